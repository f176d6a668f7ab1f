"""Two sides that take turns: what every benchmark beside a peer is made of."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import random
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from clir.corpora.collection import Document
from clir.corpora.registry import open_collection
from clir.runs.trec import read_run
from clir.support.errors import ClirError
from clir.support.progress import say

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
    """The sizes of a session and its folder for files: `topics` of runs that are made up, `questions` to search for."""

    folder: Path
    passages: int
    topics: int
    questions: int
    rounds: int
    models: tuple[str, ...]


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


def show_rows(rows: Sequence[tuple[str, ...]]) -> None:
    """A Markdown table on stdout, whose first row is its head."""
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    for row in (rows[0], tuple("-" * width for width in widths), *rows[1:]):
        print("| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |")
    print()


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
    """Raise ClirError unless two runs are one: the same topics, each with the same scores, rank by rank."""
    # With threads Pyserini writes topics in another order.
    one, other = (read_run(path).frame.sort("qid", maintain_order=True) for path in (ours, theirs))
    if not one["qid"].equals(other["qid"]) or not np.allclose(
        one["score"].to_numpy(), other["score"].to_numpy(), atol=1e-4
    ):
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
