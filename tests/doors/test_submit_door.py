"""The submit door: what it finds, what it refuses, what it packs."""

import io
import json
import tarfile
from pathlib import Path

import pytest

TOPICS = {"101": "safe water", "102": "bus to the coast"}
LINES = [f"{qid} Q0 d{hit} {hit} {9 - hit}.5 ours" for qid in TOPICS for hit in (1, 2, 3)]


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """Topics, documents, metadata, and a run that is fit for a TREC track."""
    write(tmp_path, "topics.tsv", [f"{qid}\t{text}" for qid, text in TOPICS.items()])
    write(tmp_path, "docs.jsonl", [json.dumps({"id": f"d{hit}", "text": "words"}) for hit in (1, 2, 3)])
    write(tmp_path, "about.yaml", ["team: us", "contact: us@example.org", "description: BM25"])
    write(tmp_path, "one.run", LINES)
    return tmp_path


def write(folder: Path, name: str, lines: list[str]) -> None:
    (folder / name).write_text("".join(line + "\n" for line in lines))


CHECK = ("check", "--leaderboard", "trec", "--runs", "one.run", "--topics", "topics.tsv")
PACK = ("pack", *CHECK[1:], "--metadata", "about.yaml", "--output", "ours.tar.gz")


def test_a_run_that_passes(desk: Path, door) -> None:
    done = door("submit", *CHECK, "--collection", "docs.jsonl", cwd=desk)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "one.run: 6 lines, 2 topics, tag ours: 0 errors, 0 warnings\n"
    assert done.stderr == "trec: 3 points of these rules are not verified; see: clir.submit rules\n"


def test_findings_have_file_line_and_kind(desk: Path, door) -> None:
    lines = [LINES[0], LINES[1].replace("7.5", "8.75"), LINES[2].replace("d3", "d1"), *LINES[3:5]]
    write(desk, "one.run", [*lines, "102 Q0 d4 3 6.5"])
    done = door("submit", *CHECK, "--collection", "docs.jsonl", cwd=desk)
    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        "one.run:2: warning: topic 101: the score is 8.75 here, and 8.5 on line 1 [score-order]",
        "one.run:3: error: document d1 a second time for topic 101 (first on line 1) [duplicate]",
        "one.run:6: error: 5 columns, not the 6 of qid iteration docid rank score tag [columns]",
        "one.run: 6 lines, 2 topics, tag ours: 2 errors, 1 warning",
    ]
    assert done.stderr.splitlines()[-1] == "python -m clir.submit: 2 errors: trec would refuse this"


def test_json(desk: Path, door) -> None:
    write(desk, "one.run", [line.replace("Q0", "0") for line in LINES] * 3)
    done = door("submit", *CHECK, "--json", cwd=desk)
    assert done.returncode == 1
    found = json.loads(done.stdout)
    run = found["runs"]["one.run"]
    assert (found["leaderboard"], found["errors"]) == ("trec", run["errors"])
    assert (run["lines"], run["topics"], run["tag"], run["not checked"]) == (18, 2, "ours", ["documents"])
    assert (run["counts"]["iteration"], run["counts"]["duplicate"]) == (18, 12)
    assert [one["line"] for one in run["findings"] if one["kind"] == "iteration"] == list(range(1, 11))
    first = {"line": 1, "kind": "iteration", "level": "error", "message": "the second column is 0, not Q0"}
    assert first in run["findings"]
    everything = json.loads(door("submit", *CHECK, "--json", "--all", cwd=desk).stdout)["runs"]["one.run"]
    assert len([one for one in everything["findings"] if one["kind"] == "iteration"]) == 18


def test_packing(desk: Path, door) -> None:
    done = door("submit", *PACK, cwd=desk)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "ours.tar.gz: metadata.yaml, ours.run"
    packed = (desk / "ours.tar.gz").read_bytes()
    with tarfile.open(desk / "ours.tar.gz") as archive:
        run = archive.extractfile("ours.run")
        assert run is not None and run.read() == (desk / "one.run").read_bytes()
    manifest = json.loads((desk / "ours.tar.gz.meta.json").read_text())
    assert manifest["method"]["leaderboard"] == "trec"
    assert manifest["data"]["run 1"]["path"] == "one.run"
    assert door("submit", *PACK, cwd=desk).returncode == 0
    assert (desk / "ours.tar.gz").read_bytes() == packed, "the same bytes for the same input"
    checked = door(
        "submit", "check", "--leaderboard", "trec", "--archive", "ours.tar.gz", "--topics", "topics.tsv", cwd=desk
    )
    assert checked.returncode == 0, checked.stdout
    assert checked.stdout.startswith("ours.tar.gz!ours.run: 6 lines, 2 topics, tag ours: 0 errors")


def test_a_collection_of_ours_knows_topics_and_documents(desk: Path, door) -> None:
    write(desk, "one.run", ["1 Q0 d1 1 1.5 ours"])
    done = door("submit", "check", "--leaderboard", "trec", "--runs", "one.run", "--collection", "demo/sw", cwd=desk)
    assert done.returncode == 1
    assert "one.run:1: error: document d1 is not in the collection [docid-unknown]" in done.stdout
    assert "error: topic 1 is not one of the 40 topics (1 line of it) [topic-unknown]" in done.stdout
    assert "not checked" not in done.stdout


REFUSED = [
    (("check",), 2, "check needs --leaderboard (python -m clir.submit rules lists them)"),
    (("check", "--leaderboard", "nuclir", "--runs", "one.run"), 2, "unknown leaderboard 'nuclir'; did you mean"),
    (("check", "--leaderboard", "trec"), 2, "check needs either --runs or --archive"),
    (("check", "--leaderboard", "trec", "--runs", "no.run"), 2, "run not found: no.run"),
    ((*CHECK[:5], "one.run"), 2, "--runs names the same file twice: one.run"),
    ((*CHECK[:5], "--topics", "no.tsv"), 2, "--topics no.tsv: no such file, and no collection of that name"),
    ((*CHECK, "--paper", "x"), 2, "--paper is no field of trec; it has: contact, description, team"),
    ((*CHECK, "--metadata", "one.run"), 1, "one.run is not a description of a submission: it must be keys and values"),
    ((*CHECK[:3], "--archive", "one.run"), 1, "one.run is neither a zip file nor a tar file"),
    ((*CHECK, "--id", "x"), 2, "--id is for pack"),
    ((*CHECK[:3], "--archive", "one.run", "--team", "us"), 2,
     "--team does not go with --archive, which has its own metadata inside"),
    ((*PACK[:-1], "ours.zip"), 2, "--output ours.zip: trec wants a tar.gz file (.tar.gz or .tgz)"),
    ((*PACK, "--id", "x"), 2, "--id does not apply to trec: leave it out"),
    (("pack", "--leaderboard", "msmarco", "--runs", "one.run", "--output", "x.tar.gz", "--id", "us"), 2,
     "msmarco wants a submission id, yyyymmdd-name, the day of the submission first: --id us is not of that shape"),
]  # fmt: skip


@pytest.mark.parametrize(("options", "status", "message"), REFUSED)
def test_wrong_use(options: tuple[str, ...], status: int, message: str, desk: Path, refusal) -> None:
    assert message in refusal(desk, "submit", *options, status=status)


def test_what_would_be_refused_is_not_packed(desk: Path, door) -> None:
    (desk / "ours.tar.gz").write_text("earlier")
    write(desk, "one.run", LINES[:3])
    done = door("submit", *PACK, cwd=desk)
    assert (done.returncode, (desk / "ours.tar.gz").read_text()) == (1, "earlier")
    assert "one.run:3: error: topic 102 has no line" in done.stdout
    assert done.stderr.splitlines()[-1] == "python -m clir.submit: 1 error: not packed"
    write(desk, "one.run", LINES)
    done = door("submit", *(one for one in PACK if one not in ("--metadata", "about.yaml")), "--team", "us", cwd=desk)
    assert done.returncode == 1
    assert "metadata: error: contact is missing (an e-mail address): give it --contact [metadata]" in done.stdout
    without_topics = [one for one in PACK if one not in ("--topics", "topics.tsv")]
    done = door("submit", *without_topics, cwd=desk)
    assert done.returncode == 2
    assert "pack needs the topics of one.run (--topics or --collection)" in done.stderr
    assert sorted(path.name for path in desk.iterdir() if path.name.startswith("ours")) == ["ours.tar.gz"]


def test_misspelt_runs_of_the_metadata_are_not_packed(desk: Path, door) -> None:
    with open(desk / "about.yaml", "a") as lines:
        lines.write("runs:\n  orus: {}\n")
    done = door("submit", *PACK, cwd=desk)
    assert done.returncode == 1
    assert "about.yaml:4: error: runs has 'orus', which is no run's tag, file or part" in done.stdout
    assert not (desk / "ours.tar.gz").exists()


def test_an_archive_that_was_changed_is_refused(desk: Path, door) -> None:
    assert door("submit", *PACK, cwd=desk).returncode == 0
    with tarfile.open(desk / "ours.tar.gz") as archive:
        members = {one.name: archive.extractfile(one).read() for one in archive}
    members["ours.run"] = members["ours.run"].replace(b"d3", b"d4")
    with tarfile.open(desk / "ours.tar.gz", "w:gz") as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    done = door("submit", *CHECK[:3], "--archive", "ours.tar.gz", "--topics", "topics.tsv", cwd=desk)
    assert done.returncode == 1
    assert "ours.tar.gz: error: ours.run is not the run that was packed" in done.stdout
    content = bytearray((desk / "ours.tar.gz").read_bytes())
    content[-6] ^= 1
    (desk / "ours.tar.gz").write_bytes(content)
    done = door("submit", *CHECK[:3], "--archive", "ours.tar.gz", "--topics", "topics.tsv", cwd=desk)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("python -m clir.submit: ours.tar.gz is not a whole archive that can be read: ")


def test_the_rules_are_shown(door, tmp_path: Path) -> None:
    listed = door("submit", "rules", cwd=tmp_path)
    assert listed.returncode == 0
    assert "\nneuclir      TREC NeuCLIR" in listed.stdout
    shown = door("submit", "rules", "--leaderboard", "msmarco", cwd=tmp_path)
    assert shown.returncode == 0
    for words in ("github.com/microsoft/MSMARCO-Passage-Ranking-Submissions", "not verified", "error    duplicate"):
        assert words in shown.stdout
