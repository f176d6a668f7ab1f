"""`python -m clir.experiments.demo`: one table from nothing, the same in seconds when run again, and over a kill."""

import hashlib
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from clir.experiments.demo import CAPTION, MEASURES
from clir.runs.trec import read_run

CHECKOUT = Path(__file__).resolve().parents[2]
ROWS = {
    "BM25, Swahili topics": "bm25-sw",
    "undistilled, Swahili topics": "undistilled-sw",
    "OT student, Swahili topics": "student-sw",
    "hybrid: student, and BM25 with English topics": "hybrid-sw-en",
    "oracle: undistilled, English topics": "oracle-en",
}


@pytest.mark.parametrize("copy", ["topics/demo.en.tsv", "topics/demo.sw.tsv", "qrels/demo.txt"])
def test_the_files_in_topics_and_qrels_are_the_package_data(copy):
    from clir.corpora.demo_collection import demo_file

    name = {"qrels/demo.txt": "qrels.txt"}.get(copy, copy.replace("topics/demo.", "topics."))
    assert (CHECKOUT / copy).read_bytes() == demo_file(name).read_bytes()


def test_the_statement_says_what_the_demo_is_for_and_counts_right():
    from clir.corpora.demo_collection import demo_file
    from clir.corpora.registry import open_collection
    from clir.experiments.demo import training_pairs

    statement = demo_file("README.md").read_text("utf-8")
    assert "measures nothing" in statement and "Apache-2.0" in statement
    demo = open_collection("demo/sw")
    grades = demo.qrels().frame["relevance"].to_list()
    pairs = demo_file("bitext.tsv").read_text("utf-8").splitlines()
    counts = [grades.count(grade) for grade in (2, 1, 0)]
    for expected in (
        f"near-misses among them | {len(list(demo.documents()))} |",
        f"in English and in Swahili | {len(demo.topics())} each |",
        f"({', '.join(map(str, counts))}) | {len(grades)} |",
        f"stands in a passage | {len(pairs)} pairs |",
    ):
        assert expected in statement
    assert len(training_pairs()[0]) >= 600
    assert len(list(demo.documents())) >= 150


def command(folder: Path) -> list[str]:
    # Half a pass instead of three: what is tested is the way, not the student.
    return [sys.executable, "-m", "clir.experiments.demo", "--folder", str(folder), "--epochs", "0.5"]


def run_demo(folder: Path) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(command(folder), capture_output=True, text=True, timeout=1200)
    assert done.returncode == 0, done.stderr
    return done


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of everything in `folder` but manifests, which hold times."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.endswith("meta.json")
    }


def folder_with_model(folder: Path, e5: Path) -> Path:
    """An empty demo folder that has the converted model already: that is tested elsewhere, and takes a while."""
    (folder / "encoders").mkdir()
    (folder / "encoders" / "models").symlink_to(e5.parent, target_is_directory=True)
    return folder


@pytest.fixture(scope="module")
def demo(tmp_path_factory, e5) -> tuple[Path, subprocess.CompletedProcess[str]]:
    folder = folder_with_model(tmp_path_factory.mktemp("demo"), e5)
    return folder, run_demo(folder)


@pytest.mark.slow
def test_one_table_and_where_things_lie(demo):
    folder, done = demo
    lines = done.stdout.strip().splitlines()
    header, _, *rows = [line.strip("|").split("|") for line in lines if line.startswith("|")]
    assert [cell.strip() for cell in header] == ["demo/sw", *MEASURES]
    assert [row[0].strip() for row in rows] == list(ROWS)
    assert CAPTION in lines
    assert f"runs, with their manifests: {folder}/runs/demo/" in lines
    steps = [line[:5] for line in done.stderr.splitlines() if line.startswith("[")]
    assert steps == ["[1/4]", "[2/4]", "[3/4]", "[4/4]"]
    scores = {row[0].strip(): [float(cell.strip().rstrip("*")) for cell in row[1:]] for row in rows}
    for label, name in ROWS.items():
        manifest = json.loads((folder / "runs/demo" / f"{name}.run.meta.json").read_text())
        assert [round(manifest["scores"][measure], 4) for measure in MEASURES] == scores[label]
        assert manifest["tag"] == read_run(folder / "runs/demo" / f"{name}.run").tag == name
    oracle = scores["oracle: undistilled, English topics"][0]
    assert oracle > scores["undistilled, Swahili topics"][0] > scores["BM25, Swahili topics"][0]
    assert scores["OT student, Swahili topics"][0] > scores["BM25, Swahili topics"][0]


@pytest.mark.slow
def test_again_reuses_what_is_there(demo):
    folder, first = demo
    kept = [folder / "encoders" / "students", folder / "indexes"]
    before = {path: path.stat().st_mtime_ns for part in kept for path in part.rglob("*")}
    runs = digests(folder / "runs")
    started = time.monotonic()
    done = run_demo(folder)
    took = time.monotonic() - started
    assert {path: path.stat().st_mtime_ns for part in kept for path in part.rglob("*")} == before
    assert digests(folder / "runs") == runs
    assert done.stdout == first.stdout
    assert "is already trained by this recipe on these pairs" in done.stderr
    student = json.loads(next((folder / "encoders/students").glob("*/meta.json")).read_text())
    assert took < student["cost"]["wall seconds"] + 60, "it did not train again"


@pytest.mark.slow
def test_a_killed_demo_works_when_run_again(demo, tmp_path, e5):
    whole, _ = demo
    folder = folder_with_model(tmp_path, e5)
    running = subprocess.Popen(command(folder), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    for _ in range(12_000):
        if list(folder.glob("encoders/students/.*/*/checkpoint-*/trainer_state.json")) or running.poll() is not None:
            break
        time.sleep(0.1)
    running.send_signal(signal.SIGKILL)
    running.communicate(timeout=60)
    assert running.returncode == -signal.SIGKILL, "it was still at work"
    assert not list(folder.glob("encoders/students/demo-*")), "nothing half-trained is where the student goes"
    done = run_demo(folder)
    assert "going on after step" in done.stderr
    assert digests(folder / "encoders/students") == digests(whole / "encoders/students"), "the same bytes"
    assert digests(folder / "runs") == digests(whole / "runs")
