"""`python -m clir.evaluate` from outside, and the `clir` command that leads to it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture
def door(tmp_path):
    (tmp_path / "qrels.txt").write_text("1 0 x 1\n1 0 y 0\n2 0 z 2\n")
    (tmp_path / "a.run").write_text("1 Q0 x 1 2 a\n1 Q0 y 2 1 a\n2 Q0 z 1 1 a\n")
    (tmp_path / "b.run").write_text("1 Q0 y 1 9 b\n1 Q0 x 2 8 b\n")

    def call(arguments: str = "", module: str = "clir.evaluate") -> subprocess.CompletedProcess[str]:
        root = Path(__file__).parents[2]
        environment = {**os.environ, "PYTHONPATH": str(root)}
        command = [sys.executable, "-m", module, *arguments.split()]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)

    return call


def test_json(door):
    result = door("--qrels qrels.txt --runs a.run ./b.run --measures AP RR@10 --json")
    assert result.returncode == 0
    assert json.loads(result.stdout) == {"a.run": {"AP": 1.0, "RR@10": 1.0}, "./b.run": {"AP": 0.25, "RR@10": 0.25}}
    assert result.stderr == "./b.run: 1 of 2 judged topics are not in the run and count 0\n"


def test_json_per_query(door):
    result = door("--qrels qrels.txt --runs b.run --measures AP --per-query --json")
    assert json.loads(result.stdout) == {"b.run": {"1": {"AP": 0.5}, "2": {"AP": 0.0}}}


def test_table_with_the_default_measures(door):
    result = door("--qrels qrels.txt --runs a.run b.run")
    assert [line.rstrip() for line in result.stdout.splitlines() if line.strip()] == [
        "| run   |     AP  | nDCG@10 |  R@100  |",
        "|-------|---------|---------|---------|",
        "| a.run | 1.0000* | 1.0000* | 1.0000* |",
        "| b.run | 0.2500  | 0.3155  | 0.5000  |",
        "*: best",
    ]


def test_table_per_query(door):
    result = door("--qrels qrels.txt --runs a.run --measures AP --per-query")
    rows = [line.replace("|", " ").split() for line in result.stdout.splitlines() if line.strip()]
    assert ["a.run", "2", "1.0000"] in rows and rows[-1] == ["a.run", "1.0000"]


def test_differences_from_a_baseline_are_marked(door, tmp_path):
    topics = range(30)
    (tmp_path / "q").write_text("".join(f"{t} 0 x 1\n" for t in topics))
    for name, first in (("base", lambda t: t % 5 == 0), ("good", lambda t: t % 5 > 0), ("same", lambda t: t % 5 == 1)):
        ranked = (("x", "y") if first(t) else ("y", "x") for t in topics)
        lines = (f"{t} Q0 {a} 1 2 r\n{t} Q0 {b} 2 1 r\n" for t, (a, b) in zip(topics, ranked, strict=True))
        (tmp_path / name).write_text("".join(lines))
    result = door("--qrels q --runs good same --measures AP --baseline ./base")
    rows = [line.replace("|", " ").split() for line in result.stdout.splitlines() if line.strip()]
    assert rows[2:5] == [["./base", "0.6000"], ["good", "0.9000*+"], ["same", "0.6000"]]
    assert result.stdout.rstrip().endswith(
        "*: best; + -: better, worse than ./base (paired t test, p < 0.05, Holm's correction over 2 tests; "
        "it assumes that the mean difference is about normal, as with many topics it is)"
    )


def test_output_and_its_manifest(door, tmp_path):
    result = door("--qrels qrels.txt --runs a.run --measures AP --output s.json")
    assert result.returncode == 0 and "| a.run |" in result.stdout
    assert json.loads((tmp_path / "s.json").read_text()) == {"a.run": {"AP": 1.0}}
    manifest = json.loads((tmp_path / "s.json.meta.json").read_text())
    assert set(manifest["data"]) == {"run 1", "qrels"}


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        ("--qrels qrels.txt --runs no.run", 2, "run not found: no.run"),
        (
            "--qrels qrels.txt --runs a.run --csv ./a.run",
            2,
            "--csv ./a.run is also one of the files to read: choose another name",
        ),
        ("--qrels qrels.txt --runs a.run ./a.run", 2, "--runs names the same file twice: ./a.run"),
        ("--qrels qrels.txt --runs a.run --measures ndcg@10", 2, "unknown measure 'ndcg@10'; did you mean 'nDCG@10'?"),
        ("--qrels qrels.txt --runs a.run --baseline no.run", 2, "baseline run not found: no.run"),
        (
            "--qrels qrels.txt --runs a.run b.run --baseline a.run --json --output s.json",
            2,
            "--baseline is shown in tables alone, which --json does not print: add --csv or --latex or --report",
        ),
        (
            "--qrels qrels.txt --runs a.run --document-languages tags --json --csv s.csv",
            2,
            "--document-languages is shown in tables alone, which --json does not print: add --report",
        ),
        (
            "--qrels qrels.txt --runs a.run --describe --json --report r.html",
            2,
            "--describe is shown in tables alone, which --json does not print",
        ),
        (
            "--reproduce r.yaml --qrels qrels.txt --level .1 --all-pairs",
            2,
            "--reproduce can be combined with --only and --json, nothing else: leave out --qrels, --all-pairs, --level",
        ),
        (
            "--qrels qrels.txt --runs a.run b.run --level .1",
            2,
            "--level needs --baseline or --all-pairs: it is about tests between runs",
        ),
        ("--qrels qrels.txt --runs a.run --gains 1=1 1=2", 2, "--gains 1=1 1=2: the same grade is there twice"),
        (
            "--qrels qrels.txt --runs b.run --baseline a.run --csv ./a.run",
            2,
            "--csv ./a.run is also one of the files to read: choose another name",
        ),
        (
            "--qrels qrels.txt --runs b.run --report other.txt --topics ./other.txt",
            2,
            "--report other.txt is also one of the files to read: choose another name",
        ),
        (
            "--qrels qrels.txt --runs a.run --csv s --latex ./s",
            2,
            "--csv and --latex name the same file, ./s: give each its own",
        ),
        (
            "--qrels qrels.txt --runs a.run --names b.run --baseline b.run",
            2,
            "--names calls a run b.run, which is the name of the baseline: choose another",
        ),
        (
            "--qrels other.txt --runs a.run --judged-only",
            1,
            "a.run: no topic of the run is in the qrels (run: 1, 2; qrels: q1): they do not belong together",
        ),
        (
            "--qrels a.run --runs a.run",
            1,
            "a.run:1: 6 columns, not the 4 of qid iteration docid relevance",
        ),
        ("--qrels qrels.txt --runs empty.run", 1, "empty.run is empty: no line of a run in it"),
        (
            "--qrels other.txt --runs a.run",
            1,
            "a.run: no topic of the run is in the qrels (run: 1, 2; qrels: q1): they do not belong together",
        ),
    ],
)
def test_errors_are_one_line(door, tmp_path, arguments, status, message):
    (tmp_path / "other.txt").write_text("q1 0 x 1\n")
    (tmp_path / "empty.run").write_text("")
    result = door(arguments)
    assert (result.returncode, result.stdout) == (status, "")
    assert result.stderr == f"python -m clir.evaluate: {message}\n"


def test_a_name_that_is_neither_file_nor_collection(door):
    pytest.importorskip("clir.corpora.registry")
    result = door("--qrels no/such --runs a.run")
    assert result.returncode == 2
    assert result.stderr == "python -m clir.evaluate: --qrels no/such: no such file, and no collection of that name\n"


def test_the_qrels_of_a_collection(door, tmp_path):
    registry = pytest.importorskip("clir.corpora.registry")
    qrels = registry.open_collection("demo/sw").qrels()
    lines = [f"{qid} Q0 {docid} 0 {relevance} ideal\n" for qid in qrels for docid, relevance in qrels[qid].items()]
    (tmp_path / "ideal.run").write_text("".join(lines))
    result = door("--qrels demo/sw --runs ideal.run --measures nDCG@10 --json")
    assert json.loads(result.stdout) == {"ideal.run": {"nDCG@10": pytest.approx(1.0)}}


def test_the_clir_command_lists_the_doors_and_goes_through_them(door):
    listing = door(module="clir")
    assert listing.returncode == 0
    names = [line.split()[0] for line in listing.stdout.splitlines() if line.startswith("  ")]
    assert names == ["train", "encode", "index", "search", "fuse", "evaluate", "submit", "compare", "fetch"]
    result = door("evaluate --qrels qrels.txt --runs a.run --measures AP --json", module="clir")
    assert json.loads(result.stdout) == {"a.run": {"AP": 1.0}}
    result = door("evaluate --qrels qrels.txt --runs no.run", module="clir")
    assert (result.returncode, result.stderr) == (2, "python -m clir.evaluate: run not found: no.run\n")
    result = door("evalute", module="clir")
    assert result.returncode == 2
    assert result.stderr.startswith("clir: unknown command 'evalute'; did you mean 'evaluate'?")


@pytest.mark.parametrize("module", ["clir", "clir.fuse", "clir.evaluate"])
def test_help_loads_nothing_heavy(module):
    script = (
        "import runpy, sys\n"
        "sys.argv = ['x', '--help']\n"
        "try: runpy.run_module(sys.argv_module, run_name='__main__')\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'polars', 'numpy', 'transformers', 'pyserini', 'ir_measures', 'rich'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    ).replace("sys.argv_module", repr(module if module != "clir" else "clir.__main__"))
    subprocess.run([sys.executable, "-c", script], cwd=Path(__file__).parents[2], check=True, timeout=60)


def test_everything_at_once(door, tmp_path):
    (tmp_path / "topics.tsv").write_text("1\tfirst question\n2\tsecond question\n")
    (tmp_path / "docs.jsonl").write_text('{"id": "x", "text": "the text of x"}\n{"id": "y", "text": "of y"}\n')
    (tmp_path / "tags").write_text("x\ten\ny\tde\nz\tde\n")
    result = door(
        "--qrels qrels.txt --runs b.run a.run --names old new --measures AP --baseline b.run --oracle a.run "
        "--test wilcoxon --correction bh --all-pairs --document-languages tags --topic-languages (\\d) "
        "--csv s.csv --latex s.tex --report r.html --topics topics.tsv --corpus docs.jsonl"
    )
    assert result.returncode == 2 and "'1'" in result.stderr  # a digit is no language
    result = door(
        "--qrels qrels.txt --runs b.run a.run --names old new --measures AP --baseline b.run --oracle a.run "
        "--test wilcoxon --correction bh --all-pairs --document-languages tags "
        "--csv s.csv --latex s.tex --report r.html --topics topics.tsv --corpus docs.jsonl"
    )
    assert result.returncode == 0, result.stderr
    assert "Wilcoxon's signed-rank test" in result.stdout and "PEER@20" in result.stdout
    assert "1 of 3 passages of the report are not in the corpus" in result.stderr
    page = (tmp_path / "r.html").read_text()
    assert "second question" in page and "the text of x" in page
    assert (tmp_path / "s.csv").read_text().startswith("run,measure,mean,low,high,topics,baseline,difference,")
    assert {path.name for path in tmp_path.glob("*.meta.json")} == {
        "s.csv.meta.json",
        "s.tex.meta.json",
        "r.html.meta.json",
    }


def test_the_baseline_may_be_an_oracles_opposite(door):
    result = door("--qrels qrels.txt --runs a.run --oracle b.run")
    assert (result.returncode, result.stderr) == (
        2, "python -m clir.evaluate: --oracle needs --baseline RUN: scores are placed between the two runs\n",
    )  # fmt: skip


def test_a_baseline_beside_json_marks_the_files(door, tmp_path):
    result = door("--qrels qrels.txt --runs a.run --measures AP --baseline b.run --json --latex s.tex")
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout) == {"b.run": {"AP": 0.25}, "a.run": {"AP": 1.0}}
    assert "than b.run" in (tmp_path / "s.tex").read_text()


def test_what_is_in_a_run_with_its_unjudged_hits(door, tmp_path):
    (tmp_path / "c.json").write_text('{"1": {"w": 2, "x": 1}, "9": {"x": 1}}')
    result = door("--qrels qrels.txt --runs c.json --measures AP --describe --judged-only")
    assert "  3 hits for 2 topics (1 to 2 each, median 1.5)" in result.stdout.splitlines()
    assert "  unjudged: 1 of 2 hits of judged topics (50 %), 1 of 2 at ranks 1 to 10 (50 %)" in result.stdout
    assert "0.5000" in result.stdout


def test_what_is_in_a_run(door, tmp_path):
    (tmp_path / "c.json").write_text('{"1": {"x": 1, "y": 1, "w": 0.5}}')
    result = door("--qrels qrels.txt --runs c.json --measures AP --describe")
    assert result.stdout.splitlines()[:5] == [
        "c.json",
        "  3 hits for 1 topics (3 each, median 3)",
        "  2 hits in 1 ties, ordered by docid",
        "  topics without hits: 1 (2)",
        "  unjudged: 1 of 3 hits of judged topics (33 %), 1 of 3 at ranks 1 to 10 (33 %)",
    ]


def test_numbers_that_trec_eval_10_would_give_are_said_and_the_rules_are_in_the_manifest(door, tmp_path):
    (tmp_path / "c.run").write_text("1 Q0 x 1 0.92226214537525870 c\n1 Q0 y 2 0.92226214537525860 c\n")
    result = door("--qrels qrels.txt --runs a.run c.run --measures AP R@5 --output scores.json")
    assert result.stderr.splitlines() == [
        "c.run: 1 of 2 judged topics are not in the run and count 0",
        "c.run: trec_eval 10, which compares scores as double and rounds levels of recall, gives AP 0.5000 instead of "
        "0.2500 (topics: 1; 1)",
    ]
    assert json.loads((tmp_path / "scores.json").read_text())["c.run"]["AP"] == 0.25
    manifest = json.loads((tmp_path / "scores.json.meta.json").read_text())
    assert manifest["method"]["rules"] == "trec_eval 9: scores compared as float32, then docid, descending"


def test_grades_beyond_a_measure_are_refused_before_the_runs_are_read(door, tmp_path):
    (tmp_path / "high.txt").write_text("1 0 x 7\n")
    (tmp_path / "c.run").write_text("not a run\n")
    result = door("--qrels high.txt --runs c.run --measures ERR@20")
    assert result.returncode == 1 and "measure ERR@20 is defined for grades up to 4" in result.stderr
    result = door("--qrels high.txt --runs a.run --measures ERR@20 nDCG@20 --gains 7=3 --json")
    assert json.loads(result.stdout)["a.run"] == {"ERR@20": 7 / 16, "nDCG@20": 1.0}


def test_ids_and_forms_of_all_kinds_give_the_same_numbers(door, tmp_path):
    (tmp_path / "words.tsv").write_text("query-id\tcorpus-id\tscore\nsw_1\td0\t0\nsw_1\td1\t1\nñ\td0\t0\nñ\td3\t2\n")
    (tmp_path / "words.run").write_text("# x\nsw_1 Q0 d0 1 2 x\nsw_1 Q0 d1 2 1 x\nñ Q0 d3 1 2 x\nñ Q0 d0 2 1 x\n")
    result = door("--qrels words.tsv --runs words.run --measures ERR@20 nDCG(dcg='exp-log2')@20 --json")
    found = json.loads(result.stdout)["words.run"]
    assert found == pytest.approx(
        {"ERR@20": (1 / 32 + 3 / 16) / 2, "nDCG(dcg='exp-log2')@20": (1 / 1.5849625007 + 1) / 2}
    )


def test_one_answer_for_grades_below_0(door, tmp_path):
    (tmp_path / "negative.txt").write_text("1 0 y -1\n1 0 x 1\n")
    result = door("--qrels negative.txt --runs b.run --judged-only --measures P@1 P(judged_only=True)@1 --json")
    assert json.loads(result.stdout)["b.run"] == {"P@1": 1.0, "P(judged_only=True)@1": 1.0}
