"""Speed of clir beside its peers: `make bench`, or `python benchmarks/run.py [--quick] [--only NAME ...] [--json]`.

Both sides do the same work on the same files in one session, in turns (A B A B ...), and medians are compared: what
else the machine does falls on both. Nothing is asserted of a time; what is asserted is that the results agree.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import io
import json
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from clir.corpora.collection import Document
from clir.corpora.demo_collection import demo_file
from clir.corpora.registry import open_collection
from clir.experiments.demo import offline_model
from clir.runs.trec import read_run
from clir.support.errors import ClirError
from clir.support.files import write_json
from clir.support.manifest import processor, versions
from clir.support.progress import say

MODELS = Path(__file__).resolve().parents[1] / "encoders" / "models"
MINILM, E5 = "all-MiniLM-L6-v2", "multilingual-e5-small"
# How Pyserini is told what the model folder says: prompts, and the length at which texts are cut.
PEER_OPTIONS: dict[str, dict[str, Any]] = {
    MINILM: {"document": None, "query": None, "max_length": 256},
    E5: {"document": "passage:", "query": "query:", "max_length": 512},
}
BATCH_SIZE = 32
HITS = 1000
TIMEOUT = 3600
# A module of Pyserini's as the program it is, in a process with the Java that pip brought and no OpenAI key.
LAUNCHER = """
import os, runpy, sys
from clir.support import jvm
jvm.start()
os.environ.setdefault("OPENAI_API_KEY", "placeholder")
sys.argv = sys.argv[1:]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""


@dataclasses.dataclass(frozen=True)
class Result:
    """What was measured on both sides, round by round: seconds, or units a second (`unit` says which)."""

    name: str
    what: str
    peer: str
    unit: str
    ours: list[float]
    theirs: list[float]

    @property
    def times_faster(self) -> float:
        """How many times as fast as the peer, by medians."""
        ours, theirs = statistics.median(self.ours), statistics.median(self.theirs)
        return theirs / ours if self.unit in ("s", "ms") else ours / theirs


@dataclasses.dataclass(frozen=True)
class Bench:
    """The sizes of a session and its folder for files."""

    folder: Path
    passages: int
    topics: int
    rounds: int
    models: tuple[str, ...]


def encode_speed(bench: Bench) -> Iterator[Result]:
    """Documents a second into an index: `clir.encode`'s engine and `pyserini.encode`'s, models already loaded."""
    from clir.encoding.encoder import computes_bf16, load_encoder
    from clir.encoding.quiet import quiet_transformers
    from clir.support.jvm import pyserini_module

    quiet_transformers()
    documents = passages(bench.passages)
    corpus, few = bench.folder / "docs.jsonl", bench.folder / "few.jsonl"
    write_corpus(documents, corpus)
    write_corpus(documents[:BATCH_SIZE], few)
    auto = pyserini_module("pyserini.encode").AutoDocumentEncoder
    precisions = ["fp32", "bf16"] if computes_bf16("cpu") else ["fp32"]
    if "bf16" not in precisions:
        say("encode: this processor does not compute in bf16; only fp32 is measured")
    for name in bench.models:
        folder = str(offline_model(name, MODELS))
        peer = auto(folder, device="cpu", pooling="mean", l2_norm=True, prefix=PEER_OPTIONS[name]["document"])
        for precision in precisions:
            encoder = load_encoder(folder, batch_size=BATCH_SIZE, precision=precision)  # type: ignore[arg-type]
            outputs = bench.folder / "ours", bench.folder / "theirs"
            with quiet():
                clir_encoding(encoder, documents[:BATCH_SIZE], outputs[0])()
                pyserini_encoding(peer, name, few, outputs[1])()
            check_vectors(*outputs, tolerance=0.05 if precision == "bf16" else 1e-3)
            ours = clir_encoding(encoder, documents, outputs[0])
            theirs = pyserini_encoding(peer, name, corpus, outputs[1])
            rates = in_turns(ours, theirs, bench.rounds, f"encode {name} {precision}")
            per_second = [[len(documents) / seconds for seconds in side] for side in rates]
            yield Result("encode", f"{name}, {precision}", "pyserini.encode, fp32", "documents/s", *per_second)


def clir_encoding(encoder: Any, documents: Sequence[Document], output: Path) -> Callable[[], None]:
    """Our side of `encode_speed`."""
    from clir.indexing.dense import build_dense_index

    def encode() -> None:
        build_dense_index(lambda: iter(documents), encoder, output, total=len(documents))

    return encode


def pyserini_encoding(encoder: Any, model: str, corpus: Path, output: Path) -> Callable[[], None]:
    """The loop of `python -m pyserini.encode ... output --to-faiss`, with its own parts."""
    from clir.support.jvm import pyserini_module

    read = pyserini_module("pyserini.encode").JsonlCollectionIterator
    write = pyserini_module("pyserini.encode.optional").FaissRepresentationWriter

    def encode() -> None:
        writer = write(str(output), dimension=encoder.model.config.hidden_size)
        with writer:
            for batch in read(str(corpus), ["text"], None, "\n")(BATCH_SIZE):
                max_length = PEER_OPTIONS[model]["max_length"]
                batch["vector"] = encoder.encode(texts=batch["text"], max_length=max_length, fp16=False, add_sep=False)
                writer.write(batch, ["text"])

    return encode


def check_vectors(ours: Path, theirs: Path, tolerance: float) -> None:
    """Raise ClirError unless two indexes hold the same vectors."""
    import faiss

    indexes = [faiss.read_index(str(path / "index")) for path in (ours, theirs)]
    vectors = [index.reconstruct_n(0, index.ntotal) for index in indexes]
    difference = np.abs(vectors[0] - vectors[1]).max()
    if not difference <= tolerance:
        raise ClirError(f"not the same work: the two sides' vectors differ by {difference:.2g}")


def dense_search(bench: Bench) -> Iterator[Result]:
    """The whole process of `clir.search --method dense` and of `pyserini.search.faiss` on one index."""
    from clir.encoding.encoder import load_encoder

    documents, topics = passages(bench.passages), demo_file("topics.sw.tsv")
    for name in bench.models:
        model, index = offline_model(name, MODELS), bench.folder / f"dense-{name}"
        with quiet():
            clir_encoding(load_encoder(str(model), batch_size=BATCH_SIZE), documents, index)()
        ours, theirs = bench.folder / "ours.run", bench.folder / "theirs.run"
        common = ["--topics", topics, "--index", index, "--hits", HITS]
        prefix = PEER_OPTIONS[name]["query"]
        peer = ["--encoder-class", "auto", "--encoder", model, "--pooling", "mean", "--l2-norm"]
        peer += ["--query-prefix", prefix] if prefix else []
        sides = (
            door("search", "--method", "dense", *common, "--encoder", model, "--output", ours),
            pyserini("search.faiss", *common, *peer, "--output", theirs),
        )
        seconds = in_turns(*sides, bench.rounds, f"search dense {name}")
        check_runs(ours, theirs)
        yield Result("search-dense", f"{name}, whole process", "pyserini.search.faiss", "s", *seconds)


def bm25_search(bench: Bench) -> Iterator[Result]:
    """The whole process of `clir.search --method bm25` and of `pyserini.search.lucene` on one index."""
    from clir.indexing.lucene import build_lucene_index

    with quiet():
        index = build_lucene_index(passages(bench.passages), bench.folder / "lucene", "en")
    ours, theirs = bench.folder / "ours.run", bench.folder / "theirs.run"
    common = ["--topics", demo_file("topics.en.tsv"), "--index", index, "--hits", HITS]
    sides = (
        door("search", "--method", "bm25", *common, "--output", ours),
        pyserini("search.lucene", "--bm25", *common, "--output", theirs),
    )
    seconds = in_turns(*sides, bench.rounds, "search bm25")
    check_runs(ours, theirs)
    yield Result("search-bm25", "whole process", "pyserini.search.lucene", "s", *seconds)


def run_reading(bench: Bench) -> Iterator[Result]:
    """Reading a run: `read_run`, which checks and orders it, and ir_measures' reader, which only parses."""
    import ir_measures

    path = bench.folder / "big-1.run"
    write_big_run(path, bench.topics, seed=1)
    sides = (lambda: read_run(path), lambda: deque(ir_measures.read_trec_run(str(path)), maxlen=0))
    seconds = in_turns(*sides, bench.rounds, "read a run")
    yield Result("read-run", f"{bench.topics:,} x {HITS:,} hits", "ir_measures.read_trec_run", "s", *seconds)


def fusing(bench: Bench) -> Iterator[Result]:
    """The whole process of `clir.fuse` and of `pyserini.fusion`: reciprocal ranks of two runs."""
    runs = [bench.folder / "big-1.run", bench.folder / "big-2.run"]
    for seed, path in enumerate(runs, 1):
        write_big_run(path, bench.topics, seed)
    ours, theirs = bench.folder / "ours.run", bench.folder / "theirs.run"
    sides = (
        door("fuse", "--runs", *runs, "--method", "rrf", "--output", ours),
        pyserini("fusion", "--runs", *runs, "--method", "rrf", "--output", theirs),
    )
    seconds = in_turns(*sides, max(1, bench.rounds // 3), "fuse two runs")
    counts = [len(read_run(path)) for path in (ours, theirs)]
    if counts[0] != counts[1]:
        raise ClirError(f"not the same work: {counts[0]:,} and {counts[1]:,} hits")
    yield Result("fuse", f"2 runs of {bench.topics:,} x {HITS:,} hits", "pyserini.fusion", "s", *seconds)


def transport(bench: Bench) -> Iterator[Result]:
    """Transport plans of a batch of sentence pairs."""
    from transport import ITERATIONS, PROBLEMS, REPEATS, TOKENS, contests

    what = f"{PROBLEMS} problems of {TOKENS} x {TOKENS}, {ITERATIONS} iterations"
    for contest in contests():
        ours, theirs = (
            repeated(work, count) for work, count in ((contest.ours, REPEATS), (contest.theirs, contest.repeats))
        )
        ours()
        seconds = in_turns(ours, theirs, max(5, bench.rounds), contest.peer)
        milliseconds = (
            [1000 * second / count for second in side]
            for side, count in zip(seconds, (REPEATS, contest.repeats), strict=True)
        )
        yield Result("transport", what, contest.peer, "ms", *milliseconds)


BENCHMARKS: dict[str, Callable[[Bench], Iterator[Result]]] = {
    "encode": encode_speed,
    "search-dense": dense_search,
    "search-bm25": bm25_search,
    "read-run": run_reading,
    "fuse": fusing,
    "transport": transport,
}


def repeated(work: Callable[[], Any], count: int) -> Callable[[], None]:
    """`work`, so many times."""

    def run() -> None:
        for _ in range(count):
            work()

    return run


def in_turns(
    ours: Callable[[], Any], theirs: Callable[[], Any], rounds: int, what: str
) -> tuple[list[float], list[float]]:
    """Seconds of each side in each round; the sides take turns."""
    seconds: tuple[list[float], list[float]] = ([], [])
    for number in range(1, rounds + 1):
        for side, work in zip(seconds, (ours, theirs), strict=True):
            with quiet():
                started = time.perf_counter()
                work()
                side.append(time.perf_counter() - started)
        say(f"{what}, round {number} of {rounds}: {seconds[0][-1]:.3g} s and {seconds[1][-1]:.3g} s")
    return seconds


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep both sides' progress lines off the terminal."""
    with contextlib.redirect_stderr(io.StringIO()):
        yield


def door(name: str, *options: object) -> Callable[[], None]:
    """A door of clir's as a process."""
    return process(f"clir.{name}", ["-m", f"clir.{name}", *options])


def pyserini(name: str, *options: object) -> Callable[[], None]:
    """A program of Pyserini's as a process."""
    return process(f"pyserini.{name}", ["-c", LAUNCHER, f"pyserini.{name}", *options])


def process(name: str, arguments: Sequence[object]) -> Callable[[], None]:
    """Runs Python with `arguments` to its end; ClirError with the last line of its stderr if it fails."""

    def run() -> None:
        command = [sys.executable, *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT)
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise ClirError(f"{name} failed: {last}")

    return run


def check_runs(ours: Path, theirs: Path) -> None:
    """Raise ClirError unless two runs are one: the same number of hits with the same scores, rank by rank."""
    one, other = read_run(ours).frame, read_run(theirs).frame
    if len(one) != len(other) or not np.allclose(one["score"].to_numpy(), other["score"].to_numpy(), atol=1e-4):
        raise ClirError(f"not the same work: the runs {ours.name} and {theirs.name} differ")


def passages(count: int) -> list[Document]:
    """`count` passages of one to ten consecutive sentences of the demo's, 10 to 200 words, the same every time."""
    text = " ".join(document.text for document in open_collection("demo/en").documents())
    sentences = re.split(r"(?<=[.?!])\s+", text)
    draw = random.Random(1)
    made = []
    for number in range(count):
        start, length = draw.randrange(len(sentences) - 10), draw.randint(1, 10)
        made.append(Document(f"d{number:05}", " ".join(sentences[start : start + length])))
    return made


def write_corpus(documents: Sequence[Document], path: Path) -> None:
    """The documents as both programs read them."""
    with open(path, "w", encoding="utf-8") as handle:
        for document in documents:
            handle.write(json.dumps({"id": document.docid, "text": document.contents}) + "\n")


def write_big_run(path: Path, topics: int, seed: int) -> None:
    """A run of `topics` x HITS hits out of 100,000 documents, ordered, with distinct scores."""
    if path.exists():
        return
    generator = np.random.default_rng(seed)
    with open(path, "w", encoding="ascii") as handle:
        for topic in range(1, topics + 1):
            documents = generator.choice(100_000, HITS, replace=False)
            lines = [f"{topic} Q0 doc{doc:06} {rank} {1000 - rank / 2} big\n" for rank, doc in enumerate(documents, 1)]
            handle.write("".join(lines))


def show_results(results: Sequence[Result]) -> None:
    """The table on stdout."""
    header = ("benchmark", "what", "clir", "peer", "the peer", "times as fast")
    rows = [
        (
            result.name, result.what, f"{statistics.median(result.ours):,.2f} {result.unit}",
            f"{statistics.median(result.theirs):,.2f} {result.unit}", result.peer, f"{result.times_faster:.2f}",
        )
        for result in results
    ]  # fmt: skip
    widths = [max(len(row[at]) for row in [header, *rows]) for at in range(len(header))]
    for row in (header, tuple("-" * width for width in widths), *rows):
        print("| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |")
    rounds = max(len(result.ours) for result in results)
    print(f"\nmedians of {rounds} rounds or fewer, in turns, on {processor()}")


def main() -> int:
    """Measure what was asked for and print it; returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--quick", action="store_true", help="small sizes, one round, MiniLM only: does it work?")
    parser.add_argument("--only", nargs="+", choices=list(BENCHMARKS), metavar="NAME", help=f"{', '.join(BENCHMARKS)}")
    parser.add_argument("--rounds", type=int, help="rounds of each benchmark (default: 3; fuse: a third)")
    parser.add_argument("--json", action="store_true", help="print every round of every benchmark as JSON")
    parser.add_argument("--output", type=Path, help="write that JSON to a file as well")
    options = parser.parse_args()
    rounds = options.rounds or (1 if options.quick else 3)
    try:
        with tempfile.TemporaryDirectory(prefix="clir-bench-") as folder:
            bench = (
                Bench(Path(folder), 200, 200, rounds, (MINILM,))
                if options.quick
                else Bench(Path(folder), 1500, 5000, rounds, (MINILM, E5))
            )
            results = [result for name in options.only or BENCHMARKS for result in BENCHMARKS[name](bench)]
    except ClirError as error:
        say(f"benchmarks/run.py: {error}")
        return error.exit_status
    found = {
        "machine": processor(),
        "versions": versions(),
        "results": [dataclasses.asdict(result) | {"times faster": result.times_faster} for result in results],
    }
    if options.output:
        write_json(options.output, found)
    if options.json:
        print(json.dumps(found, indent=2))
    else:
        show_results(results)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
