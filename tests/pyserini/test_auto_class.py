"""A head-free student's query tower through `pyserini.search.faiss --encoder-class auto`: our search door's run."""

import subprocess
import sys
from pathlib import Path

import pytest

from clir.runs.run import Run
from clir.runs.trec import read_run

# `python -m pyserini.search.faiss` in a process that has the Java that pip brought, and no OpenAI key.
LAUNCHER = """
import os, runpy
from clir.support import jvm
jvm.start()
os.environ.setdefault("OPENAI_API_KEY", "placeholder")
runpy.run_module("pyserini.search.faiss", run_name="__main__")
"""


def search_with_pyserini(student: Path, index: Path, topics: Path, folder: Path, *options: str) -> Run:
    command = [
        sys.executable, "-c", LAUNCHER, "--encoder-class", "auto", "--encoder", student / "query_0_Transformer",
        "--pooling", "mean", "--l2-norm", *options, "--index", index, "--topics", topics, "--hits", "100",
        "--output", folder / "pyserini.run",
    ]  # fmt: skip
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return read_run(folder / "pyserini.run")


def test_a_student_without_prompt(minilm_student, minilm_index, topics, minilm_run, tmp_path, agree):
    theirs = search_with_pyserini(minilm_student, minilm_index, topics, tmp_path)
    assert len(theirs) == 41 * 100
    agree(read_run(minilm_run), theirs, 1e-5)


@pytest.mark.slow
def test_a_student_with_a_prompt(e5, student_of, index_of, searched_by_clir, topics, tmp_path, agree):
    student = student_of(e5)
    index = index_of(student)
    ours = read_run(searched_by_clir(student, index))
    agree(ours, search_with_pyserini(student, index, topics, tmp_path, "--query-prefix", "query:"), 1e-5)
    without = search_with_pyserini(student, index, topics, tmp_path)
    with pytest.raises(AssertionError):
        agree(ours, without, 1e-5)
