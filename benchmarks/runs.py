"""Speed and memory of runs beside their peers: `python benchmarks/runs.py [--topics 5000 --rounds 3 --ranx PYTHON]`.

Reading, ordering, writing and fusing runs of so many topics with 1,000 hits each. Whole processes of clir and of a peer
take turns on the same files (A B A B ...); ratios are of medians, of wall time and of processor time, which other work
on the machine disturbs less. `--ranx` names a Python that has ranx, which is no dependency of clir.
"""

from __future__ import annotations

import argparse
import gzip
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from run import HITS, write_big_run
from sides import LAUNCHER

from clir.runs.forms import write_run
from clir.runs.trec import read_run
from clir.support.errors import ClirError
from clir.support.manifest import processor
from clir.support.progress import say

PARTS = ["read", "fuse", "growth", "stages"]
RANX = """
import sys
from ranx import Run, fuse
runs = [Run.from_file(path, kind="trec") for path in sys.argv[1:3]]
fuse(runs=runs, norm=None, method="rrf", params={"k": 60}).save(sys.argv[3], kind="trec")
"""
# Prints the seconds of wall and of processor of its reading alone.
TIMED = """
import sys, time
{imports}
path, wall, cpu = sys.argv[1], time.perf_counter(), time.process_time()
{read}
print(time.perf_counter() - wall, time.process_time() - cpu)
"""
READERS = {
    "clir": ("from clir.runs.trec import read_run", "run = read_run(path)"),
    "ir_measures": ("import collections, ir_measures", "collections.deque(ir_measures.read_trec_run(path), maxlen=0)"),
    "pytrec_eval": ("import pytrec_eval", "run = pytrec_eval.parse_run(open(path))"),
}


@dataclass(frozen=True)
class Cost:
    """What a process took: seconds of wall and of processor time, MiB at its largest."""

    wall: float
    cpu: float
    memory: float


def cost(command: Sequence[object]) -> Cost:
    """Run a command to its end; ClirError if it fails. Two numbers that it prints are the times that it measured."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors:
        started = time.perf_counter()
        process = subprocess.Popen(list(map(str, command)), stdout=out, stderr=errors)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        said, printed = (
            handle.seek(0) or handle.read().decode(errors="replace").split("\n") for handle in (errors, out)
        )
    if process.returncode:
        raise ClirError(f"a peer failed: {' '.join(said[-2:])}")
    times = [float(word) for word in printed[0].split()] if len(printed) == 2 else []
    return Cost(*(times or [wall, usage.ru_utime + usage.ru_stime]), usage.ru_maxrss / 1024)


def in_turns(sides: dict[str, Sequence[object]], rounds: int) -> dict[str, list[Cost]]:
    """The costs of each side in each round; the sides take turns."""
    costs: dict[str, list[Cost]] = {name: [] for name in sides}
    for number in range(1, rounds + 1):
        for name, command in sides.items():
            costs[name].append(cost(command))
            last = costs[name][-1]
            say(f"round {number} of {rounds}, {name}: {last.wall:.1f} s, {last.cpu:.1f} s of processor")
    return costs


def show(title: str, costs: dict[str, list[Cost]]) -> None:
    """A table on stdout: medians of each side, and how many times the first side's they are."""
    print(f"\n{title}\n")
    print(f"| {'':<20} | {'wall s':>8} | {'times':>6} | {'cpu s':>8} | {'times':>6} | {'MiB':>7} |")
    print(f"|{'-' * 22}|{'-' * 10}|{'-' * 8}|{'-' * 10}|{'-' * 8}|{'-' * 9}|")
    middle = {name: medians(own) for name, own in costs.items()}
    ours = next(iter(middle.values()))
    for name, own in middle.items():
        wall, cpu = own.wall / ours.wall, own.cpu / ours.cpu
        print(f"| {name:<20} | {own.wall:8.2f} | {wall:6.2f} | {own.cpu:8.2f} | {cpu:6.2f} | {own.memory:7.0f} |")


def medians(costs: Sequence[Cost]) -> Cost:
    return Cost(*(statistics.median(getattr(own, name) for own in costs) for name in ("wall", "cpu", "memory")))


def stages(path: Path, folder: Path, rounds: int) -> None:
    """Our own steps one by one, in this process: least seconds of processor of some rounds."""
    run = read_run(path)
    shuffled = np.random.default_rng(0).permutation(len(run))
    qids, docids = (run.frame[name].gather(shuffled) for name in ("qid", "docid"))
    scores = run.frame["score"].to_numpy()[shuffled]
    packed = folder / "packed.gz"
    packed.write_bytes(gzip.compress(path.read_bytes(), 1))
    works: dict[str, Callable[[], object]] = {
        "read, ordered lines": lambda: read_run(path),
        "read, gzip": lambda: read_run(packed),
        "order shuffled lines": lambda: type(run).of(qids, docids, scores),
        "write TREC": lambda: write_run(run, folder / "out.run"),
        "write MS MARCO": lambda: write_run(run, folder / "out.tsv"),
        "write TREC, gzip": lambda: write_run(run, folder / "out.run.gz"),
    }
    print(f"\nsteps of clir, {len(run):,} lines, seconds of processor (of wall), least of {rounds}\n")
    for name, work in works.items():
        least = min((timed(work) for _ in range(rounds)), key=lambda pair: pair[0])
        print(f"| {name:<24} | {least[0]:7.2f} | ({least[1]:.2f}) |")


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds of processor and of wall."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.process_time() - cpu, time.perf_counter() - wall


def fusing(paths: Sequence[Path], folder: Path, ranx: str | None) -> dict[str, Sequence[object]]:
    """Commands that fuse two runs by reciprocal ranks and write the result."""
    python, runs = sys.executable, list(paths)
    common = ["--runs", *runs, "--method", "rrf", "--output"]
    sides: dict[str, Sequence[object]] = {
        "clir.fuse": [python, "-m", "clir.fuse", *common, folder / "ours.run"],
        "pyserini.fusion": [python, "-c", LAUNCHER, "pyserini.fusion", *common, folder / "theirs.run"],
    }
    if ranx:
        sides["ranx"] = [ranx, "-c", RANX, *runs, folder / "ranx.run"]
    return sides


def check_same(folder: Path) -> None:
    """Raise ClirError unless clir and Pyserini fused to the same scores, rank by rank."""
    one, other = (read_run(folder / name).frame["score"].to_numpy() for name in ("ours.run", "theirs.run"))
    if len(one) != len(other) or not np.allclose(one, other, atol=1e-6):
        raise ClirError("not the same work: the fused runs differ")


def main() -> int:
    """Measure and print; returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--topics", type=int, default=5000, help="topics of each run, with 1,000 hits (default: 5000)")
    parser.add_argument("--rounds", type=int, default=3, help="(default: 3)")
    parser.add_argument("--ranx", metavar="PYTHON", help="a Python that has ranx")
    parser.add_argument("--only", nargs="+", choices=PARTS, help="parts to measure")
    options = parser.parse_args()
    parts = options.only or PARTS
    try:
        with tempfile.TemporaryDirectory(prefix="clir-bench-") as name:
            folder = Path(name)
            paths = [folder / "a.run", folder / "b.run"]
            for seed, path in enumerate(paths, 1):
                write_big_run(path, options.topics, seed)
            measure(parts, paths, folder, options)
    except ClirError as error:
        say(f"benchmarks/runs.py: {error}")
        return error.exit_status
    print(f"\non {os.cpu_count()} cores of {processor()}")
    return 0


def measure(parts: Sequence[str], paths: Sequence[Path], folder: Path, options: argparse.Namespace) -> None:
    """The parts that were asked for."""
    size = f"{options.topics:,} topics x {HITS:,} hits"
    if "read" in parts:
        programs = {name: TIMED.format(imports=imports, read=read) for name, (imports, read) in READERS.items()}
        sides = {name: [sys.executable, "-c", program, paths[0]] for name, program in programs.items()}
        show(f"reading a run of {size}, imports not counted", in_turns(sides, options.rounds))
    if "fuse" in parts:
        costs = in_turns(fusing(paths, folder, options.ranx), options.rounds)
        check_same(folder)
        show(f"fusing two runs of {size}, whole process", costs)
    if "growth" in parts:
        growth(options, folder)
    # Last: what this process has needed counts as its children's memory.
    if "stages" in parts:
        stages(paths[0], folder, options.rounds)


def growth(options: argparse.Namespace, folder: Path) -> None:
    """What `clir.fuse` takes with an eighth, a quarter, a half and all of the topics."""
    sides = {}
    for topics in (options.topics // part for part in (8, 4, 2, 1)):
        paths = [folder / f"{name}-{topics}.run" for name in "ab"]
        for seed, path in enumerate(paths, 1):
            write_big_run(path, topics, seed)
        sides[f"{topics:,} topics"] = fusing(paths, folder, None)["clir.fuse"]
    show("clir.fuse by the number of topics, whole process", in_turns(sides, options.rounds))


if __name__ == "__main__":
    raise SystemExit(main())
