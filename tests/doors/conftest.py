"""What the doors' tests share: a small library with indexes that the doors built, a quick encoder, and a check that
a refusal is one clear line that leaves everything as it was."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest

Refusal = Callable[..., str]

DOCUMENTS = {
    "d01": "Boil the water for one minute before the children drink it.",
    "d02": "The borehole pump broke in March; a mechanic from town repaired it.",
    "d03": "Goats must be vaccinated against foot-and-mouth disease every year.",
    "d04": "A farmer who stores maize in a dry granary keeps weevils out.",
    "d05": "Plant beans between the rows of maize to feed the soil.",
    "d06": "The night bus to the coast leaves at nine and stops twice.",
    "d07": "Tickets for the ferry are sold at the pier, cash only.",
    "d08": "The bank lends to market women in groups of ten.",
    "d09": "Mobile money can be sent to any phone; the fee is two percent.",
    "d10": "A landlord needs a court order before a tenant can be evicted.",
    "d11": "Witnesses are heard by the magistrate on Tuesdays.",
    "d12": "School fees are waived for orphans and for girls in boarding.",
    "d13": "The teacher marks the arithmetic homework on Fridays.",
    "d14": "Heavy rain and thunder are expected on the lake tonight.",
    "d15": "The drought emptied the reservoirs of the northern districts.",
    "d16": "Fever, cough and chills: go to the clinic for a malaria test.",
    "d17": "Wash your hands with soap after using the latrine.",
    "d18": "The dentist visits the health centre once a month.",
    "d19": "Passports are issued at the ministry within three weeks.",
    "d20": "The cooperative sells honey and beeswax abroad.",
}
TOPICS = {
    "101": "How do I make water safe to drink?",
    "102": "When does the bus go to the sea?",
    "103": "Can my landlord throw me out of the house?",
    "104": "keeping insects away from stored grain",
    "105": "symptoms of malaria",
}
SWAHILI = {
    "101": "Nifanyeje ili maji yawe salama kunywa?",
    "102": "Basi la pwani linaondoka saa ngapi?",
    "103": "Mwenye nyumba anaweza kunifukuza?",
    "104": "kuzuia wadudu kwenye mahindi yaliyohifadhiwa",
    "105": "dalili za malaria",
}
RELEVANT = {"101": "d01", "102": "d06", "103": "d10", "104": "d04", "105": "d16"}
BITEXT = (
    ("The water is clean.", "Maji ni safi."),
    ("The bus has left.", "Basi limeondoka."),
    ("My house is small.", "Nyumba yangu ni ndogo."),
    ("The maize is dry.", "Mahindi yamekauka."),
    ("The child has a fever.", "Mtoto ana homa."),
    ("Where is the market?", "Soko liko wapi?"),
    ("She teaches at our school.", "Anafundisha katika shule yetu."),
    ("It will rain tomorrow.", "Kesho mvua itanyesha."),
    ("He sells fish and salt.", "Anauza samaki na chumvi."),
    ("The judge was patient.", "Hakimu alikuwa mvumilivu."),
    ("We walked to the river.", "Tulitembea hadi mtoni."),
    ("The price of sugar went up.", "Bei ya sukari ilipanda."),
)

# An encoder of one's own, named as package.module:Class; it needs no model, and takes its time where asked to.
QUICK_ENCODER = """
import hashlib, os, time
import numpy as np

class Encoder:
    name = "quick"
    dimension = 8

    def encode_queries(self, texts):
        return np.stack([np.frombuffer(hashlib.sha256(text.encode()).digest()[:8], np.uint8) for text in texts]) / 255

    def encode_documents(self, texts):
        if any("unlucky" in text for text in texts):
            raise RuntimeError("a bug\\nin the encoder")
        time.sleep(float(os.environ.get("QUICK_SECONDS", "0")))
        return self.encode_queries(texts)

    def fingerprint(self, side):
        return "quick-1"

class Wider(Encoder):
    dimension = 16

class Odd:
    name = "odd"
"""


def lines_of(texts: dict[str, str]) -> str:
    return "".join(f"{name}\t{text}\n" for name, text in texts.items())


def corpus_of(texts: dict[str, str]) -> str:
    return "".join(json.dumps({"id": docid, "contents": text}) + "\n" for docid, text in texts.items())


def snapshot(folder: Path) -> dict[str, str]:
    """The SHA-256 of every file under `folder`, and every folder, by relative path."""
    return {
        str(path.relative_to(folder)): "" if path.is_dir() else hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if "__pycache__" not in path.parts
    }


def write_library(folder: Path) -> Path:
    """Documents, topics in two languages, judgements, bitext and the quick encoder in `folder`."""
    (folder / "docs.jsonl").write_text(corpus_of(DOCUMENTS))
    (folder / "topics.tsv").write_text(lines_of(TOPICS))
    (folder / "topics.sw.tsv").write_text(lines_of(SWAHILI))
    (folder / "qrels.txt").write_text("".join(f"{qid} 0 {docid} 1\n" for qid, docid in RELEVANT.items()))
    (folder / "text.en").write_text("".join(f"{english}\n" for english, _ in BITEXT))
    (folder / "text.sw").write_text("".join(f"{foreign}\n" for _, foreign in BITEXT))
    (folder / "quick.py").write_text(QUICK_ENCODER)
    return folder


@pytest.fixture(scope="session")
def library_in() -> Callable[[Path], Path]:
    """Puts the library's files into a folder."""
    return write_library


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """A folder of one's own with the library's files and no indexes."""
    return write_library(tmp_path)


@pytest.fixture(scope="session")
def library(tmp_path_factory, door, minilm) -> Path:
    """The library with the indexes that the doors built: `dense` (MiniLM), `sparse`. Not to be written into."""
    folder = write_library(tmp_path_factory.mktemp("library"))
    for name, *options in (
        ("encode", "--encoder", minilm, "--output", "dense"),
        ("index", "--language", "en", "--output", "sparse", "--threads", "1"),
    ):
        done = door(name, "--corpus", "docs.jsonl", *options, cwd=folder)
        assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="session")
def refusal(door) -> Refusal:
    """`refusal(folder, "search", *options, status=2)`: the one line that the door, started in `folder`, refuses with.

    Checks that nothing is printed on stdout and that every file in `folder` is as it was.
    """

    def refuse(folder: Path, name: str, *options: str | Path, status: int, **more: object) -> str:
        before = snapshot(folder)
        done = door(name, *options, cwd=folder, **more)
        assert (done.returncode, done.stdout) == (status, ""), done.stderr
        assert "Traceback" not in done.stderr
        prefix = f"python -m clir.{name}: "
        # A slow machine shows progress before the error.
        assert [line.startswith(prefix) for line in done.stderr.splitlines()].count(True) == 1, done.stderr
        assert done.stderr.splitlines()[-1].startswith(prefix), done.stderr
        assert snapshot(folder) == before
        return done.stderr.splitlines()[-1].removeprefix(prefix)

    return refuse
