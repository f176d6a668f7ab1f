"""Scripts and benchmarks: each says how it is used, and what the scripts compute by themselves is right."""

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from clir.corpora.bitext import Pair
from clir.corpora.collection import Document
from clir.corpora.registry import open_collection
from clir.encoding.encoder import load_encoder, token_encoder
from clir.indexing.tokens import build_token_index

CHECKOUT = Path(__file__).resolve().parents[2]
sys.path.append(str(CHECKOUT / "scripts"))  # as it is for a script that is run
PROGRAMS = sorted(
    path
    for folder in ("scripts", "benchmarks")
    for path in (CHECKOUT / folder).glob("*.py")
    if "main()" in path.read_text()
)


def script(name: str) -> ModuleType:
    """A script as a module."""
    specification = importlib.util.spec_from_file_location(name, CHECKOUT / "scripts" / f"{name}.py")
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.name)
def test_every_program_says_how_it_is_used(path: Path) -> None:
    done = subprocess.run([sys.executable, path, "--help"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("usage: ") and len(done.stdout.splitlines()) > 3


def test_topics_that_a_student_was_taught_do_not_count(minilm: Path, data_root: Path) -> None:
    transfer = script("transfer_results")
    collection = open_collection("tatoeba/sw")
    encoder = load_encoder(str(minilm))
    topics = collection.topics()
    taught = {topic.qid for topic in topics[:10]}
    whole = transfer.accuracy(collection, encoder, transfer.Taught([]))
    # The last of the ten is taught inside a longer sentence.
    pairs = [Pair("", topic.text if at < 9 else f"Juzi {topic.text}", "sw") for at, topic in enumerate(topics[:10])]
    kept = transfer.accuracy(collection, encoder, transfer.Taught(pairs))
    assert len(whole) == len(topics) and set(whole.values()) <= {0.0, 1.0}
    # Near copies of the ten are taught too.
    assert not taught & set(kept) and 0 < len(topics) - len(kept) < 30
    assert all(kept[qid] == whole[qid] for qid in kept)


def test_the_table_marks_what_differs(capsys: pytest.CaptureFixture[str]) -> None:
    table = script("marked_table")
    draw = np.random.default_rng(0)
    low = {f"q{number}": float(score) for number, score in enumerate(draw.uniform(0, 0.5, 50))}
    better = {qid: score + 0.3 + 0.01 * number for number, (qid, score) in enumerate(low.items())}
    same = {qid: score + (-1) ** number * 0.01 for number, (qid, score) in enumerate(low.items())}
    table.print_table("T", {"low": {"a": low}, "better": {"a": better}, "same": {"a": same}}, "low")
    lines = [line.strip("| ").split(" | ") for line in capsys.readouterr().out.splitlines()]
    rows = dict(line for line in lines if len(line) == 2)
    assert rows["topics"] == "50" and rows["better"].endswith("+") and not rows["same"].endswith(("+", "-"))


def test_centred_search_is_maxsim_of_the_vectors_without_their_mean(minilm: Path, tmp_path: Path) -> None:
    centring = script("centred_search")
    encoder = token_encoder(load_encoder(str(minilm)))
    texts = [f"Sentence {number} is about {animal}." for number, animal in enumerate(("goats", "rivers", "law"))]
    documents = [Document(f"d{at}", text) for at, text in enumerate(texts)]
    index = build_token_index(lambda: iter(documents), encoder, tmp_path / "tokens", total=3)
    queries = encoder.encode_query_tokens(["goats of the river", "a law"])
    whole = index.read(0, 3)
    mean = whole.values.mean(axis=0)
    np.testing.assert_allclose(centring.mean_token(index), mean, atol=1e-6)
    for taken in (0 * mean, mean):
        run = centring.exhaustive(["a", "b"], queries, index, taken)
        for qid, query in zip("ab", range(2), strict=True):
            for hit in run[qid]:
                tokens = whole[int(hit.docid[1:])] - taken
                tokens /= np.linalg.norm(tokens, axis=1, keepdims=True)
                assert hit.score == pytest.approx((queries[query] @ tokens.T).max(axis=1).sum(), abs=1e-4)
