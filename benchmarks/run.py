"""Speed of clir beside its peers: `make bench`, or `python benchmarks/run.py [--quick] [--only NAME ...] [--json]`.

Both sides do the same work on the same files in one session, in turns (A B A B ...), and medians are compared: what
else the machine does falls on both. Nothing is asserted of a time; what is asserted is that the results agree.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import statistics
import tempfile
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from against_pyserini import HITS, bm25_search, dense_search, hybrid_search
from encoding import E5, MINILM, encoding
from sides import Bench, Result, door, in_turns, pyserini, show_rows

from clir.runs.trec import read_run
from clir.support.errors import ClirError
from clir.support.files import write_json
from clir.support.manifest import processor, versions
from clir.support.progress import say


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
    "encode": encoding,
    "search-dense": dense_search,
    "search-bm25": bm25_search,
    "search-hybrid": hybrid_search,
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
    show_rows([header, *rows])
    rounds = max(len(result.ours) for result in results)
    print(f"medians of {rounds} rounds or fewer, in turns, on {processor()}")


def main() -> int:
    """Measure what was asked for and print it; returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--quick", action="store_true", help="small sizes, one round, MiniLM only: does it work?")
    parser.add_argument("--only", nargs="+", choices=list(BENCHMARKS), metavar="NAME", help=f"{', '.join(BENCHMARKS)}")
    parser.add_argument("--rounds", type=int, help="rounds of each benchmark (default: 3; fuse: a third)")
    parser.add_argument("--passages", type=int, help="passages to encode and search in (default: 600; quick: 200)")
    parser.add_argument("--json", action="store_true", help="print every round of every benchmark as JSON")
    parser.add_argument("--output", type=Path, help="write that JSON to a file as well")
    options = parser.parse_args()
    rounds = options.rounds or (1 if options.quick else 3)
    try:
        with tempfile.TemporaryDirectory(prefix="clir-bench-") as folder:
            bench = (
                Bench(Path(folder), options.passages or 200, 200, 40, rounds, (MINILM,))
                if options.quick
                else Bench(Path(folder), options.passages or 600, 5000, 1000, rounds, (MINILM, E5))
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
