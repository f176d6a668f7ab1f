"""`python -m clir.encode` as a person calls it: the index, a kill, and what bad input gets."""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import faiss
import numpy as np
import pytest

QUICK = ("--encoder", "quick:Encoder")
DOCUMENTS = 20


def encode(*options: str | Path) -> tuple[str | Path, ...]:
    return ("encode", "--corpus", "docs.jsonl", *QUICK, "--output", "dense", *options)


def index_bytes(folder: Path) -> tuple[bytes, bytes]:
    return (folder / "index").read_bytes(), (folder / "docid").read_bytes()


def test_the_index_is_pyserinis_with_a_manifest(library, minilm):
    from clir.encoding.encoder import load_encoder

    index = faiss.read_index(str(library / "dense" / "index"))
    docids = (library / "dense" / "docid").read_text().splitlines()
    assert (index.ntotal, index.d, index.metric_type) == (DOCUMENTS, 384, faiss.METRIC_INNER_PRODUCT)
    assert docids == [f"d{number:02}" for number in range(1, 21)]
    encoder = load_encoder(str(minilm))
    texts = [json.loads(line)["contents"] for line in (library / "docs.jsonl").read_text().splitlines()]
    np.testing.assert_allclose(index.reconstruct_n(0, DOCUMENTS), encoder.encode_documents(texts), atol=1e-5)
    manifest = json.loads((library / "dense/meta.json").read_text())
    assert (manifest["kind"], manifest["documents"], manifest["dimension"]) == ("dense", DOCUMENTS, 384)
    assert manifest["encoder"] == str(minilm)
    assert manifest["encoder fingerprint"] == encoder.fingerprint("document")
    assert manifest["data"] == {"source": "docs.jsonl"}
    assert manifest["settings"] == {"batch size": "by tokens", "precision": "fp32"}
    assert manifest["implementation"]["command"][-2:] == ["--output", "dense"]


def test_an_encoder_of_ones_own_and_a_collection_by_id(door, desk):
    done = door("encode", "--corpus", "demo/sw", *QUICK, "--output", "out/demo", cwd=desk)
    assert (done.returncode, done.stdout) == (0, "out/demo\n"), done.stderr
    assert faiss.read_index(str(desk / "out/demo/index")).ntotal == 170


def test_what_has_to_be_given(refusal, desk):
    ways = "give one of --corpus, --merge, --from-index, --from-embeddings; not none of them"
    assert refusal(desk, "encode", "--output", "dense", status=2) == ways
    message = refusal(desk, "encode", "--corpus", "docs.jsonl", "--output", "dense", status=2)
    assert message == "--corpus needs --encoder"
    message = refusal(desk, "encode", "--from-index", "dense", "--output", "again", status=2)
    assert message == "--from-index needs --factory"
    message = refusal(desk, "encode", "--from-index", "dense", "--factory", "SQ8", "--output", "again", status=2)
    assert message == "no index folder at dense"
    options = ("--from-index", "a", "--factory", "SQ8", "--recall-topics", "topics.tsv", "--output", "again")
    assert refusal(desk, "encode", *options, status=2) == "--recall-topics needs --encoder"


def test_same_bytes_whatever_the_hash_seed(door, desk, minilm):
    for seed in ("0", "1"):
        done = door(
            *encode("--encoder", minilm, "--output", f"out{seed}"), cwd=desk, env={**os.environ, "PYTHONHASHSEED": seed}
        )
        assert done.returncode == 0, done.stderr
    assert index_bytes(desk / "out0") == index_bytes(desk / "out1")


def test_a_token_index_with_its_manifest(door, desk, minilm):
    options = ("--tokens", "--encoder", minilm, "--document-tokens", "10", "--values", "float32", "--output", "tokens")
    done = door(*encode(*options), cwd=desk)
    assert (done.returncode, done.stdout) == (0, "tokens\n"), done.stderr
    manifest = json.loads((desk / "tokens/meta.json").read_text())
    assert (manifest["kind"], manifest["documents"], manifest["dimension"]) == ("token", DOCUMENTS, 384)
    # Two of the ten are MiniLM's own; every text has at least eight.
    assert (manifest["token limit"], manifest["storage"], manifest["tokens"]) == (10, "float32", 8 * DOCUMENTS)
    assert (desk / "tokens/values").stat().st_size == 8 * DOCUMENTS * 384 * 4
    assert manifest["settings"] == {"batch size": "by tokens", "precision": "fp32"}


def start(folder: Path, *options: str, seconds: str) -> subprocess.Popen[str]:
    """The door at work in windows of 4 documents, each of which takes `seconds`."""
    command = [sys.executable, "-m", "clir.encode", *map(str, encode("--window", "4", *options)[1:])]
    environment = {**os.environ, "QUICK_SECONDS": seconds}
    return subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True)


def wait_for_windows(folder: Path, documents: int) -> None:
    progress = folder / ".dense.encoding" / "progress.json"
    for _ in range(600):
        if progress.exists() and json.loads(progress.read_text())["documents"] >= documents:
            return
        time.sleep(0.05)
    raise AssertionError("no window was written in half a minute")


def test_a_killed_run_goes_on_with_the_same_bytes(door, desk):
    assert door(*encode("--window", "4", "--output", "whole"), cwd=desk).returncode == 0
    running = start(desk, seconds="1")
    wait_for_windows(desk, 8)
    running.send_signal(signal.SIGKILL)
    running.communicate(timeout=30)
    assert running.returncode == -signal.SIGKILL
    assert not (desk / "dense").exists(), "nothing half-written is where the index goes"
    done = door(*encode("--window", "4"), cwd=desk)
    assert done.returncode == 0, done.stderr
    assert "going on after" in done.stderr
    assert index_bytes(desk / "dense") == index_bytes(desk / "whole")
    assert not (desk / ".dense.encoding").exists()


def test_a_killed_run_notices_other_documents(door, desk):
    running = start(desk, seconds="1")
    wait_for_windows(desk, 4)
    running.send_signal(signal.SIGKILL)
    running.communicate(timeout=30)
    changed = (desk / "docs.jsonl").read_text().replace("Boil the water", "Filter the water")
    (desk / "docs.jsonl").write_text(changed)
    done = door(*encode("--window", "4"), cwd=desk)
    assert done.returncode == 0, done.stderr
    assert "the documents have changed since the unfinished run: encoding all of them again" in done.stderr
    assert door(*encode("--window", "4", "--output", "whole"), cwd=desk).returncode == 0
    assert index_bytes(desk / "dense") == index_bytes(desk / "whole")


def test_interrupted_is_one_line_and_status_130(desk):
    running = start(desk, seconds="5")
    wait_for_windows(desk, 0)
    time.sleep(0.3)
    running.send_signal(signal.SIGINT)
    _, stderr = running.communicate(timeout=30)
    assert running.returncode == 130
    assert stderr.splitlines()[-1] == "python -m clir.encode: interrupted; run the same command again to go on"
    assert "Traceback" not in stderr
    assert not (desk / "dense").exists()


def small_files() -> None:
    """No file may grow beyond 2,000 bytes: a full disk, but for the error's name."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))


def test_no_space_left(door, desk):
    (desk / "docs.jsonl").write_text(
        "".join(json.dumps({"id": f"d{number}", "contents": f"text {number}"}) + "\n" for number in range(100))
    )
    done = door(*encode(), cwd=desk, preexec_fn=small_files)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "python -m clir.encode: cannot write dense: File too large\n"
    assert not (desk / "dense").exists()
    assert door(*encode(), cwd=desk).returncode == 0, "with space again"
    assert faiss.read_index(str(desk / "dense/index")).ntotal == 100


def test_a_new_index_takes_the_place_of_the_old_one_only_when_whole(door, desk):
    assert door(*encode(), cwd=desk).returncode == 0
    before = index_bytes(desk / "dense")
    (desk / "docs.jsonl").write_text('{"id": "x", "contents": "one"}\n{"id": "x", "contents": "two"}\n')
    done = door(*encode(), cwd=desk)
    assert (done.returncode, done.stderr) == (
        1,
        "python -m clir.encode: docs.jsonl:2: document id 'x' is there twice\n",
    )
    assert index_bytes(desk / "dense") == before
    (desk / "docs.jsonl").write_text('{"id": "x", "contents": "one"}\n')
    assert door(*encode(), cwd=desk).returncode == 0
    assert (desk / "dense/docid").read_text() == "x\n"


@pytest.mark.parametrize(
    ("corpus", "status", "message"),
    [
        (None, 2, "--corpus docs.jsonl: no such file, and no collection of that name"),
        ("", 1, "docs.jsonl has no documents"),
        ("\n \n", 1, "docs.jsonl has no documents"),
        ('{"id": "a b", "contents": "x"}\n', 1, "docs.jsonl:1: the document id has white space"),
        ('{"id": "", "contents": "x"}\n', 1, "docs.jsonl:1: the document id is empty"),
        ('{"contents": "x"}\n', 1, "docs.jsonl:1: no document id (one of the keys id, docid, _id, docno, doc_id)"),
        ('{"id": "a"}\n', 1, "docs.jsonl:1: no text (one of the keys contents, text, body)"),
        ('{"id": "a", "contents": "x"}\n{"id": "a", "contents": "y"}\n', 1, "docs.jsonl:2: document id 'a' is there"),
        ('{"id": "a", "contents": "x"}\nb\n', 1, "docs.jsonl:2: not JSON"),
        ('{"id": "a", "contents": "un', 1, "docs.jsonl:1: not JSON"),
        ("\udcff\udcfe", 1, "not UTF-8"),
    ],
)
def test_bad_documents(refusal, desk, corpus, status, message):
    (desk / "docs.jsonl").unlink()
    if corpus is not None:
        (desk / "docs.jsonl").write_bytes(corpus.encode("utf-8", "surrogateescape"))
    assert message in refusal(desk, *encode(), status=status)


@pytest.mark.parametrize(
    ("options", "status", "message"),
    [
        (
            ("--encoder", "nowhere"),
            2,
            "no model 'nowhere': it is neither a folder, nor a hub id (org/model), nor package",
        ),
        (("--encoder", "empty"), 2, "empty holds no model (neither modules.json nor config.json)"),
        (("--encoder", "docs.jsonl"), 2, "no model 'docs.jsonl'"),
        (
            ("--encoder", "nobody/no-such-model"),
            2,
            "no model folder nobody/no-such-model, and it could not be downloaded",
        ),
        (("--encoder", "broken"), 1, "broken/modules.json is not JSON"),
        (("--encoder", "hollow"), 1, "hollow has no safetensors weights"),
        (("--encoder", "nomodule:Encoder"), 2, "cannot import the encoder nomodule:Encoder"),
        (("--encoder", "quick:Encodre"), 2, "module quick has no class Encodre"),
        (("--encoder", "quick:Odd"), 2, "quick:Odd is no encoder: it lacks encode_queries, encode_documents"),
        (("--encoder", "quick:Wider"), 1, "the encoder gave vectors of shape (20, 8), not (20, 16)"),
        (("--tokens",), 2, "quick gives no token vectors: its class lacks encode_query_tokens"),
        (("--tokens", "--output", "."), 2, ". exists and is no token index of clir's: choose another --output"),
        (("--document-tokens", "9"), 2, "--document-tokens goes with --tokens"),
        (("--values", "float32"), 2, "--values goes with --tokens"),
        (("--tokens", "--values", "int4"), 2, "argument --values: invalid choice: 'int4'"),
        (("--pooling", "2"), 2, "--pooling goes with --tokens"),
        (("--pooling", "0", "--tokens"), 2, "--pooling must be at least 1, not 0"),
        (("--merge", "a", "b"), 2, "give one of --corpus, --merge, --from-index, --from-embeddings; not --corpus, --m"),
        (("--shard", "5/4"), 2, "a shard must be i/n with i from 1 to n, such as 1/4, not '5/4'"),
        (("--shard", "1/4", "--processes", "2"), 2, "--processes goes with all the work, not with --shard"),
        (("--shard", "1/4", "--device", "cpu", "cpu"), 2, "--shard goes with one --device, not several"),
        (("--shard", "1/4", "--factory", "SQ8"), 2, "--factory goes with a whole dense index"),
        (("--tokens", "--factory", "SQ8"), 2, "--factory goes with a whole dense index"),
        (("--processes", "0"), 2, "--processes must be at least 1, not 0"),
        (("--recall", ".9"), 2, "--recall goes with --factory"),
        (("--factory", "SQ8", "--recall", "1.5"), 2, "--recall must be above 0 and at most 1, not 1.5"),
        (("--factory", "PQ3"), 2, "FAISS cannot make an index 'PQ3' of 8 dimensions"),
        (("--output", "docs.jsonl"), 2, "docs.jsonl exists and is no dense index of clir's: choose another --output"),
        (("--output", "."), 2, ". exists and is no dense index of clir's: choose another --output, or remove it"),
        (("--output", "docs.jsonl/dense"), 1, "cannot write docs.jsonl/dense: Not a directory"),
        (("--batch-size", "0"), 2, "--batch-size must be at least 1, not 0"),
        (("--window", "-1"), 2, "--window must be at least 1, not -1"),
        (("--threads", "two"), 2, "argument --threads: invalid int value: 'two'"),
        (("--precision", "fp8"), 2, "argument --precision: invalid choice: 'fp8'"),
        (("--corpus", "demo/xx"), 2, "--corpus demo/xx: no such file, and no collection of that name"),
    ],
)
def test_wrong_use(refusal, desk, options, status, message):
    for name, file, content in (
        ("empty", None, ""),
        ("broken", "modules.json", "[{"),
        ("hollow", "config.json", '{"model_type": "bert", "hidden_size": 8}'),
    ):
        (desk / name).mkdir()
        if file:
            (desk / name / file).write_text(content)
    assert message in refusal(desk, *encode(*options), status=status)


def test_a_bug_is_one_line_that_asks_for_debug(refusal, desk):
    (desk / "docs.jsonl").write_text('{"id": "a", "contents": "unlucky"}\n')
    message = refusal(desk, *encode(), status=1)
    assert message == "unexpected RuntimeError: a bug in the encoder (run again with --debug for the traceback)"


@pytest.mark.slow
def test_a_machine_without_that_device(refusal, desk, minilm):
    message = refusal(desk, *encode("--encoder", minilm, "--device", "cuda:7"), status=2)
    assert message.startswith("device 'cuda:7' cannot be used here: ")
