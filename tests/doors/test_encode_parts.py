"""`python -m clir.encode` in parts: shards and their merging, several processes, vectors that are there already."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import faiss
import numpy as np
import pytest

QUICK = ("--encoder", "quick:Encoder")
ENCODE = ("encode", "--corpus", "docs.jsonl", *QUICK, "--window", "3")
FILES = ("index", "docid", "language")


@pytest.fixture
def shelf(desk: Path) -> Path:
    """The desk, where every other document is said to be in English, and the index of one run at `whole`."""
    lines = [json.loads(line) for line in (desk / "docs.jsonl").read_text().splitlines()]
    tags = ["en", ""]
    marked = [{**record, "lang": tags[at % 2]} for at, record in enumerate(lines)]
    (desk / "docs.jsonl").write_text("".join(json.dumps(record) + "\n" for record in marked))
    return desk


def bytes_of(folder: Path) -> list[bytes]:
    return [(folder / name).read_bytes() for name in FILES]


def test_shards_merge_into_the_bytes_of_one_run(door, shelf, refusal):
    assert door(*ENCODE, "--output", "whole", cwd=shelf).returncode == 0
    for number in (1, 2):
        done = door(*ENCODE, "--output", "dense", "--shard", f"{number}/2", cwd=shelf)
        assert (done.returncode, done.stdout) == (0, f"dense.{number}-of-2\n"), done.stderr
    parts = ("dense.2-of-2", "dense.1-of-2")
    message = refusal(shelf, "encode", "--merge", parts[0], "--output", "dense", status=2)
    assert message == "of 2 shards 1 are missing: 1"
    done = door("encode", "--merge", *parts, "--output", "dense", cwd=shelf)
    assert (done.returncode, done.stdout) == (0, "dense\n"), done.stderr
    assert bytes_of(shelf / "dense") == bytes_of(shelf / "whole")
    sums = [json.loads((shelf / name / "meta.json").read_text())["documents sha256"] for name in ("dense", "whole")]
    assert sums[0] == sums[1]


def test_several_processes_are_killed_and_go_on(door, shelf):
    assert door(*ENCODE, "--output", "whole", cwd=shelf).returncode == 0
    command = (*ENCODE, "--output", "dense", "--processes", "2", "--threads", "2")
    running = subprocess.Popen(
        [sys.executable, "-m", f"clir.{command[0]}", *command[1:]], cwd=shelf, stderr=subprocess.DEVNULL,
        env={**os.environ, "QUICK_SECONDS": "2"},
    )  # fmt: skip
    work = [shelf / ".dense.shards" / f".index.{number}-of-2.encoding" / "progress.json" for number in (1, 2)]
    deadline = time.monotonic() + 100
    while not all(path.exists() and json.loads(path.read_text())["documents"] for path in work):
        assert running.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    running.send_signal(signal.SIGKILL)
    running.wait()
    # The children end with it: nothing goes on writing.
    time.sleep(0.5)
    stored = [json.loads(path.read_text())["documents"] for path in work]
    assert 0 < sum(stored) < 20 and not (shelf / "dense").exists()
    time.sleep(2.5)
    assert [json.loads(path.read_text())["documents"] for path in work] == stored
    done = door(*command, cwd=shelf)
    assert (done.returncode, done.stdout) == (0, "dense\n"), done.stderr
    assert bytes_of(shelf / "dense") == bytes_of(shelf / "whole")
    assert not (shelf / ".dense.shards").exists()


def test_what_goes_wrong_in_a_process_is_said_once(refusal, desk):
    (desk / "docs.jsonl").write_text('{"id": "a", "contents": "b"}\n{"id": "a", "contents": "c"}\n')
    message = refusal(desk, *ENCODE, "--output", "dense", "--processes", "2", status=1)
    assert message == "docs.jsonl:2: document id 'a' is there twice"
    message = refusal(desk, *ENCODE, "--encoder", "nowhere", "--output", "dense", "--device", "cpu", "cpu", status=2)
    assert message.startswith("no model 'nowhere'")


def test_an_approximate_index_at_once_and_from_vectors(door, shelf):
    # What a run that was killed while FAISS trained has left: its vectors, which are not encoded again.
    assert door(*ENCODE, "--output", ".coded.vectors", cwd=shelf).returncode == 0
    shutil.copytree(shelf / ".coded.vectors", shelf / "flat")
    slow = {**os.environ, "QUICK_SECONDS": "1000"}
    at_once = door(*ENCODE, "--output", "coded", "--factory", "SQ8", cwd=shelf, env=slow, timeout=100)
    assert (at_once.returncode, at_once.stdout) == (0, "coded\n"), at_once.stderr
    assert "SQ8: R@10 " in at_once.stderr
    assert not list(shelf.glob(".coded*"))
    topics = ("--recall-topics", "topics.tsv", *QUICK)
    later = door("encode", "--from-index", "flat", "--factory", "SQ8", *topics, "--output", "later", cwd=shelf)
    assert (later.returncode, later.stdout) == (0, "later\n"), later.stderr
    assert bytes_of(shelf / "coded") == bytes_of(shelf / "later")
    assert type(faiss.read_index(str(shelf / "later/index"))) is faiss.IndexScalarQuantizer
    measured = json.loads((shelf / "later/meta.json").read_text())["recall"]
    assert measured["queries"] == {"number": 5, "from": "topics.tsv", "seed": 0}
    assert measured["R@10"] > 0.9


def test_vectors_from_json_lines(door, desk):
    vectors = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    lines = [json.dumps({"id": f"v{at}", "vector": vector.tolist()}) for at, vector in enumerate(vectors)]
    (desk / "embeddings.jsonl").write_text("\n".join(lines) + "\n")
    done = door("encode", "--from-embeddings", "embeddings.jsonl", "--output", "imported", cwd=desk)
    assert (done.returncode, done.stdout) == (0, "imported\n"), done.stderr
    np.testing.assert_array_equal(faiss.read_index(str(desk / "imported/index")).reconstruct_n(0, 3), vectors)
    assert (desk / "imported/docid").read_text() == "v0\nv1\nv2\n"
