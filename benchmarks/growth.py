"""How the time of a search grows with topics, hits and documents: `python benchmarks/growth.py [--quick] [--json]`.

Whole processes of `clir.search`, dense and BM25, from one small setting in which one size grows at a time. All
settings take turns, and medians are told. The dense index's vectors are drawn at random: an exhaustive search does
the same work for any.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from against_pyserini import THREADS
from encoding import MINILM, model
from numpy.typing import NDArray
from sides import door, passages, quiet, show_rows

from clir.corpora.collection import Document
from clir.encoding.encoder import load_encoder
from clir.indexing.dense import build_dense_index
from clir.indexing.lucene import build_lucene_index
from clir.support.errors import ClirError
from clir.support.files import write_json
from clir.support.manifest import processor, versions
from clir.support.progress import say

GROWING: dict[str, tuple[int, ...]] = {
    "topics": (100, 1000, 10_000),
    "hits": (10, 100, 1000),
    "documents": (10_000, 100_000, 1_000_000),
}
BASE = {"topics": 1000, "hits": 100, "documents": 100_000}
METHODS = ("dense", "bm25")


class Drawn:
    """An encoder whose documents are random unit vectors, in the place of a model's."""

    name = MINILM

    def __init__(self) -> None:
        encoder = load_encoder(model(MINILM))
        self.dimension, self._fingerprint = encoder.dimension, encoder.fingerprint("document")
        self._draw = np.random.default_rng(1)

    def encode_documents(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """As many vectors as texts."""
        drawn = self._draw.normal(size=(len(texts), self.dimension)).astype(np.float32)
        return np.asarray(drawn / np.linalg.norm(drawn, axis=1, keepdims=True), dtype=np.float32)

    encode_queries = encode_documents

    def fingerprint(self, side: str) -> str:
        """The model's, so that its topics are taken."""
        return self._fingerprint


@dataclasses.dataclass(frozen=True)
class Measured:
    """A method with one size grown: the seconds of each round."""

    method: str
    grown: str
    size: int
    seconds: list[float]


def documents(count: int) -> Iterator[Document]:
    """`count` documents: the demo's passages, with words of their own drawn so that long lists of hits differ."""
    texts = [document.text.split() for document in passages(2000)]
    draw = random.Random(1)
    for number in range(count):
        words = texts[number % len(texts)]
        yield Document(f"d{number:07}", " ".join(draw.sample(words, min(len(words), 40))))


def write_topics(path: Path, count: int) -> None:
    """`count` topics of three to ten consecutive words of the demo's passages."""
    texts = [document.text.split() for document in passages(2000)]
    draw = random.Random(2)
    with open(path, "w", encoding="utf-8") as handle:
        for number in range(count):
            words = draw.choice(texts)
            start = draw.randrange(max(1, len(words) - 10))
            handle.write(f"q{number}\t{' '.join(words[start : start + draw.randint(3, 10)])}\n")


def build(folder: Path, sizes: Sequence[int]) -> None:
    """Both indexes of every size."""
    encoder: Any = Drawn()
    for size in sizes:
        started = time.perf_counter()
        with quiet():
            build_dense_index(lambda count=size: documents(count), encoder, folder / f"dense-{size}", total=size)
            build_lucene_index(documents(size), folder / f"bm25-{size}", "en")
        say(f"indexes of {size:,} documents: {time.perf_counter() - started:.0f} s")


def measure(folder: Path, growing: dict[str, tuple[int, ...]], base: dict[str, int], rounds: int) -> list[Measured]:
    """Every method at every size, in turns; a first round that nobody counts brings the indexes into memory."""
    for topics in {*growing["topics"], base["topics"]}:
        write_topics(folder / f"topics-{topics}.tsv", topics)
    found = [Measured(method, what, size, []) for what in growing for size in growing[what] for method in METHODS]
    for number in range(rounds + 1):
        for one in found:
            setting = base | {one.grown: one.size}
            work = door(
                "search", "--method", one.method, "--index", folder / f"{one.method}-{setting['documents']}",
                "--topics", folder / f"topics-{setting['topics']}.tsv", "--hits", setting["hits"],
                "--threads", THREADS, "--output", folder / "out.run",
                *(["--encoder", model(MINILM)] if one.method == "dense" else []),
            )  # fmt: skip
            started = time.perf_counter()
            work()
            if number:
                one.seconds.append(time.perf_counter() - started)
        say(f"round {number} of {rounds}")
    return found


def show(found: Sequence[Measured], base: dict[str, int]) -> None:
    """A row for each size; what does not grow is told below."""
    rows = [("grown", "size", *(f"{method}, s" for method in METHODS))]
    medians = {(one.method, one.grown, one.size): statistics.median(one.seconds) for one in found}
    for what, size in dict.fromkeys((one.grown, one.size) for one in found):
        rows.append((what, f"{size:,}", *(f"{medians[method, what, size]:.1f}" for method in METHODS)))
    show_rows(rows)
    print(f"else {', '.join(f'{size:,} {what}' for what, size in base.items())}; on {processor()}")


def main() -> int:
    """Measure and print; returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--quick", action="store_true", help="a hundredth of the documents, one round: does it work?")
    parser.add_argument("--rounds", type=int, help="measured rounds (default: 3)")
    parser.add_argument("--json", action="store_true", help="print every round as JSON")
    parser.add_argument("--output", type=Path, help="write that JSON to a file as well")
    options = parser.parse_args()
    smaller = 100 if options.quick else 1
    growing = GROWING | {"documents": tuple(size // smaller for size in GROWING["documents"])}
    growing |= {"topics": tuple(size // smaller for size in GROWING["topics"])}
    base = BASE | {"documents": BASE["documents"] // smaller, "topics": BASE["topics"] // smaller}
    try:
        with tempfile.TemporaryDirectory(prefix="clir-bench-") as name:
            folder = Path(name)
            build(folder, sorted({*growing["documents"], base["documents"]}))
            found = measure(folder, growing, base, options.rounds or (1 if options.quick else 3))
    except ClirError as error:
        say(f"benchmarks/growth.py: {error}")
        return error.exit_status
    told = {
        "machine": processor(), "versions": versions(), "else": base,
        "results": [dataclasses.asdict(one) for one in found],
    }  # fmt: skip
    if options.output:
        write_json(options.output, told)
    if options.json:
        print(json.dumps(told, indent=2))
    else:
        show(found, base)
    return 0


if __name__ == "__main__":
    sys.exit(main())
