"""What holds for every door: quick help with examples that work as written, one-line errors, tracebacks on demand."""

import importlib
import re
import shlex
import subprocess
import sys

import pytest

DOORS = ["train", "encode", "index", "search", "fuse", "evaluate", "submit", "compare", "fetch", "experiments.demo"]
# What takes half a second and more to import, each.
HEAVY = ("torch", "transformers", "sentence_transformers", "pyserini", "jnius", "polars", "ir_datasets", "ir_measures")
# The calls that the project promises to keep working as written.
CONTRACT = """
python -m clir.fetch   afriqa --from DIR
python -m clir.train   --teacher T --student S --bitext A.en,A.sw B.tmx C.tsv --language sw --loss ot --output O
python -m clir.train   --teacher T --bitext A.en,A.sw --output O --recipe R.yaml --steps 1 --batch-size 2 --lr 1e-3 --seed 3
python -m clir.encode  --corpus docs.jsonl --encoder E --output INDEX --batch-size 8 --threads 2 --device cpu
python -m clir.index   --corpus docs.jsonl --language en --output INDEX --threads 2
python -m clir.search  --collection demo/sw --encoder E --method bm25 --output RUN
python -m clir.search  --topics t.tsv --index I --sparse-index J --encoder E --method hybrid --output RUN --hits 1000 --threads 2 --runtag TAG --qrels Q
python -m clir.fuse    --runs A B C --method rrf --output RUN --rrf.k 60 --depth 5 --hits 9 --runtag TAG
python -m clir.fuse    --runs A B --method weighted --output RUN --weights .3 .7 --normalization minmax
python -m clir.evaluate --qrels QRELS --runs A B --measures "AP" "nDCG@10" --per-query --json
python -m clir.submit  check --leaderboard NAME --runs A B
python -m clir.submit  pack --leaderboard NAME --runs A B --output ARCHIVE
"""  # noqa: E501
# For each door options that are well formed and must fail, for the sake of the error.
FAILING = {
    "train": "--teacher nowhere --bitext no.en,no.sw --language sw --output out",
    "encode": "--corpus no.jsonl --encoder nowhere --output out",
    "index": "--corpus no.jsonl --language en --output out",
    "search": "--topics no.tsv --index nowhere --encoder nowhere --method dense --output out",
    "fuse": "--runs no.run none.run --method rrf --output out",
    "compare": "--recipe no.yaml --output out",
    "evaluate": "--qrels no.txt --runs no.run",
    "submit": "check --leaderboard trec --runs no.run",
    "fetch": "nothing",
    # Its folder would lie below a file.
    "experiments.demo": "--folder file",
}


def examples(door: str) -> list[str]:
    """The commands under `examples:` in a door's help, without the words that explain them or a `> file`."""
    help_text = importlib.import_module(f"clir.{door}").parser().format_help()
    shown = help_text.split("examples:\n")[1].replace("\\\n", " ")
    return [re.split(r"\s{3,}(?=\w+ )| > ", line.strip())[0] for line in shown.splitlines() if line.strip()]


@pytest.mark.parametrize("door_name", DOORS)
def test_help_loads_nothing_heavy_and_has_examples(door_name):
    program = (
        "import runpy, sys\n"
        "sys.argv = ['x', '--help']\n"
        "try:\n"
        f"    runpy.run_module('clir.{door_name}', run_name='__main__')\n"
        "except SystemExit as end:\n"
        "    assert end.code in (0, None), end.code\n"
        f"print(sorted(set({HEAVY!r}) & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stderr == "[]\n"
    assert done.stdout.startswith(f"usage: python -m clir.{door_name} ")
    assert f"examples:\n  python -m clir.{door_name}" in done.stdout
    assert "--debug" in done.stdout


@pytest.mark.parametrize("door_name", DOORS)
def test_examples_are_understood(door_name):
    parser = importlib.import_module(f"clir.{door_name}").parser()
    found = examples(door_name)
    assert found
    for line in found:
        assert line.startswith(f"python -m clir.{door_name}"), line
        parser.parse_args(shlex.split(line)[3:])


@pytest.mark.parametrize("line", CONTRACT.strip().splitlines())
def test_contract_is_understood(line):
    module, *options = shlex.split(line)[2:]
    parsed = importlib.import_module(module).parser().parse_args(options)
    assert not parsed.debug


@pytest.mark.parametrize("door_name", DOORS)
def test_an_unknown_option_is_one_line(door, door_name, tmp_path):
    # After all that is needed: otherwise what is missing would be the error.
    done = door(door_name, *shlex.split(FAILING[door_name]), "--no-such-option", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    message = "unrecognized arguments: --no-such-option (see --help)"
    assert done.stderr == f"python -m clir.{door_name}: {message}\n"


@pytest.mark.parametrize("door_name", DOORS)
def test_abbreviations_are_refused(door, door_name, tmp_path):
    done = door(door_name, *shlex.split(FAILING[door_name]), "--debu", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "unrecognized arguments: --debu" in done.stderr


@pytest.mark.parametrize("door_name", [name for name in DOORS if name not in ("fetch", "experiments.demo")])
def test_missing_options_are_one_line(door, door_name, tmp_path):
    done = door(door_name, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(
        rf"python -m clir\.{door_name}: (?:the following arguments are required: |give --)[^\n]*\n", done.stderr
    )


@pytest.mark.parametrize("door_name", DOORS)
def test_a_failure_is_one_line_and_with_debug_a_traceback(door, door_name, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    options = shlex.split(FAILING[door_name])
    plain = door(door_name, *options, cwd=tmp_path)
    assert plain.returncode in (1, 2)
    assert plain.stdout == ""
    assert "Traceback" not in plain.stderr
    message = plain.stderr.splitlines()[-1]
    assert message.startswith(f"python -m clir.{door_name}: ")
    debug = door(door_name, *options, "--debug", cwd=tmp_path)
    assert debug.returncode != 0
    assert "Traceback (most recent call last)" in debug.stderr
    assert message.partition(": ")[2][:40] in debug.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file"]


def test_a_bare_clir_lists_these_doors(tmp_path):
    done = subprocess.run([sys.executable, "-m", "clir"], capture_output=True, text=True, timeout=60, cwd=tmp_path)
    listed = [line.split()[0] for line in done.stdout.splitlines() if line.startswith("  ")]
    assert set(listed) == {name for name in DOORS if "." not in name}
