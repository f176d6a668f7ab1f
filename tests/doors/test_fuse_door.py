"""`python -m clir.fuse` from outside."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture
def door(tmp_path):
    (tmp_path / "a.run").write_text("1 Q0 x 1 2 a\n1 Q0 y 2 1 a\n")
    (tmp_path / "b.run").write_text("1 Q0 y 1 9 b\n1 Q0 z 2 8 b\n2 Q0 x 1 7 b\n")

    def call(arguments: str) -> subprocess.CompletedProcess[str]:
        root = Path(__file__).parents[2]
        environment = {**os.environ, "PYTHONPATH": str(root)}
        command = [sys.executable, "-m", "clir.fuse", *arguments.split(" ")]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)

    return call


def test_rrf_with_its_manifest(door, tmp_path):
    result = door("--runs a.run b.run --method rrf --rrf.k 10 --depth 5 --hits 2 --runtag mine --output out/f.run")
    assert (result.returncode, result.stdout) == (0, "")
    assert result.stderr == "out/f.run: 3 hits for 2 topics\n"
    assert (tmp_path / "out/f.run").read_text() == (
        "1 Q0 y 1 0.17424242 mine\n1 Q0 x 2 0.09090909 mine\n2 Q0 x 1 0.09090909 mine\n"
    )
    manifest = json.loads((tmp_path / "out/f.run.meta.json").read_text())
    assert manifest["method"] == {"fusion": {"method": "rrf", "rrf_k": 10.0, "depth": 5, "hits": 2}, "tag": "mine"}
    assert manifest["data"]["run 1"] == {
        "path": "a.run",
        "sha256": hashlib.sha256((tmp_path / "a.run").read_bytes()).hexdigest(),
    }
    assert sorted(os.listdir(tmp_path / "out")) == ["f.run", "f.run.meta.json"]


def test_weighted(door, tmp_path):
    result = door("--runs a.run b.run --method weighted --weights .3 .7 --normalization minmax --output f.run")
    assert result.returncode == 0
    assert (tmp_path / "f.run").read_text() == (
        "1 Q0 y 1 0.7 clir-weighted\n1 Q0 x 2 0.3 clir-weighted\n1 Q0 z 3 0.0 clir-weighted\n"
        "2 Q0 x 1 0.7 clir-weighted\n"
    )
    manifest = json.loads((tmp_path / "f.run.meta.json").read_text())
    assert manifest["method"]["fusion"]["weights"] == [0.3, 0.7]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            "--runs a.run b.run --method rff",
            "unknown fusion method 'rff'; did you mean 'rrf'? (known: rrf, weighted, combsum, "
            "combmnz, combanz, borda, isr, logisr)",
        ),
        (
            "--runs a.run b.run",
            "--method is missing: one of rrf, weighted, combsum, combmnz, combanz, borda, isr, logisr",
        ),
        ("--runs a.run b.run --method borda --missing zero", "--missing does not apply to method borda"),
        (
            "--runs a.run b.run --method combsum --missing least",
            "unknown rule for missing documents 'least' (known: zero, minimum)",
        ),
        (
            "--runs a.run b.run --method rrf --output-format xml",
            "unknown form of a run 'xml' (known: trec, msmarco, json)",
        ),
        ("--runs a.run b.run --method rrf --qrels q", "--qrels goes with --tune"),
        ("--runs a.run b.run --method rrf --folds 3", "--folds goes with --tune"),
        ("--runs a.run b.run --method rrf --tune", "--tune needs --qrels: the judgements to tune on"),
        ("--runs a.run b.run --tune --qrels no.txt", "--qrels no.txt: no such file, and no collection of that name"),
        ("--runs a.run --method rrf", "fusion needs at least two runs, not 1"),
        (
            "--runs a.run b.run --method rrf --document-languages ./f.run",
            "--output f.run is also one of the files to read: choose another name",
        ),
        (
            "--runs a.run b.run --tune --qrels f.run",
            "--output f.run is also one of the files to read: choose another name",
        ),
        ("--runs a.run no.run --method rrf", "run not found: no.run"),
        ("--runs a.run ./a.run --method rrf", "--runs names the same file twice"),
        ("--runs a.run b.run --method rrf --depth -1", "depth must be at least 1, not -1"),
        ("--runs a.run b.run --method rrf --hits 0", "hits must be at least 1, not 0"),
        ("--runs a.run b.run --method rrf --rrf.k -2", "the k of rrf must be 0 or more, not -2"),
        ("--runs a.run b.run --method rrf --weights 1 1", "--weights does not apply to method rrf"),
        ("--runs a.run b.run --method rrf --normalization none", "--normalization does not apply to method rrf"),
        ("--runs a.run b.run --method weighted --rrf.k 60", "--rrf.k does not apply to method weighted"),
        (
            "--runs a.run b.run --method weighted --weights .3 .3 .4",
            "3 weights for 2 runs: give one for each, in the same order",
        ),
        (
            "--runs a.run b.run --method weighted --weights nan 1",
            "weights must be 0 or more, and not all 0; these are nan 1",
        ),
        (
            "--runs a.run b.run --method weighted --normalization max",
            "unknown normalization 'max'; did you mean 'minmax'? (known: minmax, zscore, sum, rank, over-topics, none)",
        ),
        (
            "--runs a.run b.run --method rrf --runtag a\u00a0b",
            "run tag 'a\\xa0b': a tag is one word without white space",
        ),
    ],
)
def test_wrong_use_is_one_line_and_touches_nothing(door, tmp_path, arguments, message):
    (tmp_path / "f.run").write_text("earlier")
    result = door(f"{arguments} --output f.run")
    assert result.returncode == 2
    assert result.stderr == f"python -m clir.fuse: {message}\n"
    assert (tmp_path / "f.run").read_text() == "earlier"
    assert sorted(os.listdir(tmp_path)) == ["a.run", "b.run", "f.run"]


def test_bad_data_is_a_failure_with_file_and_line(door, tmp_path):
    (tmp_path / "b.run").write_text("1 Q0 y 1 9 b\n1 Q0 y 2 8 b\n")
    result = door("--runs a.run b.run --method rrf --output f.run")
    assert result.returncode == 1
    assert result.stderr == "python -m clir.fuse: b.run:2: document y a second time for topic 1 (first on line 1)\n"
    assert not (tmp_path / "f.run").exists()


def test_an_input_is_not_overwritten(door, tmp_path):
    result = door("--runs a.run b.run --method rrf --output ./b.run")
    assert (result.returncode, result.stderr) == (
        2,
        "python -m clir.fuse: --output ./b.run is also one of the files to read: choose another name\n",
    )


def test_an_output_that_is_a_folder(door, tmp_path):
    (tmp_path / "f.run").mkdir()
    result = door("--runs a.run b.run --method rrf --output f.run")
    message = "python -m clir.fuse: --output f.run is a folder: name a file in it\n"
    assert (result.returncode, result.stderr) == (2, message)
    assert os.listdir(tmp_path / "f.run") == []


def test_other_forms_in_and_out(door, tmp_path):
    (tmp_path / "m.tsv").write_text("1\ty\t1\n1\tw\t2\n")
    (tmp_path / "j.json").write_text('{"1": {"w": 4, "x": 2.5}}')
    assert door("--runs m.tsv j.json --method borda --output f.tsv").returncode == 0
    assert (tmp_path / "f.tsv").read_text() == "1\tw\t1\n1\ty\t2\n1\tx\t3\n"
    assert door("--runs m.tsv j.json --method borda --output f.out --output-format json").returncode == 0
    assert json.loads((tmp_path / "f.out").read_text()) == {"1": {"w": 5.0, "y": 4.0, "x": 3.0}}


@pytest.fixture
def judged(tmp_path):
    """Six topics for which g.run has the relevant document first, and h.run last."""
    good, bad, qrels = [], [], []
    for topic in range(6):
        for rank in range(1, 5):
            good.append(f"{topic} Q0 d{rank} {rank} {9 - rank} g")
            bad.append(f"{topic} Q0 d{5 - rank} {rank} {9 - rank} h")
        qrels.append(f"{topic} 0 d1 1")
    for name, lines in (("g.run", good), ("h.run", bad), ("q.txt", qrels)):
        (tmp_path / name).write_text("".join(line + "\n" for line in lines))


def test_tuning_prints_what_is_honest_and_what_is_not(door, judged, tmp_path):
    result = door("--runs g.run h.run --tune --qrels q.txt --folds 3 --measure RR --output t.run")
    assert result.returncode == 0
    assert result.stderr.endswith("t.run: 24 hits for 6 topics\n")
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert "| g.run | 1.0000* |" in lines
    assert "| h.run | 0.2500 |" in lines
    assert "| weighted, out of fold (t.run) | 1.0000* |" in lines
    assert "| weighted, in sample | 1.0000* |" in lines
    assert any(line.startswith("fold 1, 2 topics: depth all, weights ") for line in lines)
    assert lines[-1].startswith("in sample, an upper bound and no result: depth all, weights ")
    manifest = json.loads((tmp_path / "t.run.meta.json").read_text())
    tuning = manifest["method"]["fusion"]["tuning"]
    assert (tuning["measure"], tuning["seed"], tuning["inputs"]) == ("RR", 0, {"g.run": 1.0, "h.run": 0.25})
    assert sorted(qid for fold in tuning["folds"] for qid in fold["topics"]) == list("012345")
    assert manifest["data"]["qrels"]["path"] == "q.txt"


def test_a_seed_is_not_negative(door, judged, tmp_path):
    result = door("--runs g.run h.run --tune --qrels q.txt --folds 2 --seed -1 --output t.run")
    assert (result.returncode, result.stderr) == (2, "python -m clir.fuse: seed must be at least 0, not -1\n")


def test_a_measure_that_counts_is_summed_in_every_line(door, judged):
    result = door("--runs g.run h.run --tune --qrels q.txt --folds 2 --measure NumRet --json --output t.run")
    found = json.loads(result.stdout)
    assert found["inputs"] == {"g.run": 24.0, "h.run": 24.0}
    assert set(found["means"].values()) == {24.0}


def test_tuning_as_json_with_what_is_given_left_alone(door, judged):
    result = door(
        "--runs g.run h.run --tune --method rrf --rrf.k 7 --qrels q.txt --folds 2 --seed 3 --json --output t.run"
    )
    assert (result.returncode, result.stdout) == (2, "")
    assert (
        result.stderr
        == "python -m clir.fuse: nothing to tune: every parameter of method rrf is given, or it has none\n"
    )
    result = door("--runs g.run h.run --tune --method rrf --qrels q.txt --folds 2 --seed 3 --json --output t.run")
    found = json.loads(result.stdout)
    assert (found["seed"], found["measure"]) == (3, "AP")
    assert set(found["means"]) == {"out of fold", "in sample", "untuned"}


def test_languages_of_one_run_on_one_scale(door, tmp_path):
    (tmp_path / "mixed.run").write_text("1 Q0 en_1 1 9 a\n1 Q0 en_2 2 8 a\n1 Q0 sw_1 3 2 a\n1 Q0 sw_2 4 1 a\n")
    result = door(
        "--runs mixed.run --method combsum --normalization zscore --document-languages ^([a-z]+)_ --output m.run"
    )
    assert (result.returncode, result.stderr) == (0, "m.run: 4 hits for 1 topics\n")
    found = [line.split(" ")[2] for line in (tmp_path / "m.run").read_text().splitlines()]
    assert found == ["sw_1", "en_1", "sw_2", "en_2"]
    manifest = json.loads((tmp_path / "m.run.meta.json").read_text())
    assert manifest["method"]["fusion"]["document languages"] == "^([a-z]+)_"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--runs a.run --method rrf --document-languages ^([a-z]+)_", "gives no language for 'x'"),
        ("--runs a.run --method rrf --document-languages nowhere.tsv", "nowhere.tsv: no such file"),
        ("--runs a.run --document-languages x.tsv --tune --qrels q", "--document-languages does not go with --tune"),
        ("--runs a.run --method rrf", "fusion needs at least two runs, not 1"),
    ],
)
def test_wrong_languages_are_one_line(door, arguments, message):
    result = door(f"{arguments} --output f.run")
    assert result.returncode in (1, 2)
    assert message in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("runs", "said"),
    [
        (
            {"c.run": ("001",), "d.run": ("1",)},
            "no topic is in all runs: c.run has 1 (001), d.run has 1 (1); a topic that not all runs have is ranked by "
            "those that have it",
        ),
        (
            {"c.run": "12345", "d.run": "5678"},
            "1 of 8 topics is in all runs: c.run has 5 (1 2 3 ...), d.run has 4 (5 6 7 ...); a topic that not all runs "
            "have is ranked by those that have it",
        ),
        (
            {"c.run": "12", "d.run": "12", "e.run": ("01", "02")},
            "no topic in common with the other runs: e.run has 2 (01 02); c.run has 2 (1 2); a topic that not all runs "
            "have is ranked by those that have it",
        ),
        ({"c.run": "12", "d.run": "1"}, None),
    ],
)
def test_runs_that_share_few_topics(door, tmp_path, runs, said):
    for name, topics in runs.items():
        (tmp_path / name).write_text("".join(f"{topic} Q0 x 1 2 c\n" for topic in topics))
    result = door(f"--runs {' '.join(runs)} --method rrf --output f.run")
    assert result.returncode == 0
    *lines, last = result.stderr.splitlines()
    assert lines == ([said] if said else [])
    everything = {topic for topics in runs.values() for topic in topics}
    assert last == f"f.run: {len(everything)} hits for {len(everything)} topics"
    counts = json.loads((tmp_path / "f.run.meta.json").read_text())["data"]["topics"]
    shared = set.intersection(*map(set, runs.values()))
    assert (counts["shared by all runs"], counts["in any run"]) == (len(shared), len(everything))
    assert counts["run 1"] == len(runs["c.run"])
