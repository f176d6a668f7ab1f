"""Tables of scores for people: runs down, measures across, the best of each column marked."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import IO

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

BEST, BETTER, WORSE = "*", "+", "-"
# Wide enough for any table: where the output is no terminal, nothing is cut.
PLAIN_WIDTH = 10_000


def score_table(
    rows: Mapping[str, Mapping[str, float]],
    measures: Sequence[str],
    marks: Mapping[tuple[str, str], str] | None = None,
    heading: str = "run",
) -> Table:
    """A table of `rows[label][measure]` to 4 decimals; with several rows the best of a column is marked `*`.

    `marks[label, measure]` is put behind a number (`+`, `-` for significantly better or worse, say).
    """
    marks = marks or {}
    texts = {(label, m): f"{row[m]:.4f}" for label, row in rows.items() for m in measures}
    best = {m: max((texts[label, m] for label in rows), key=float) for m in measures} if len(rows) > 1 else {}
    table = _table([heading])
    for m in measures:
        width = max((len(texts[label, m]) for label in rows), default=0)
        table.add_column(Text(m.rjust(width)), no_wrap=True)
        for label in rows:
            is_best = texts[label, m] == best.get(m)
            texts[label, m] = texts[label, m].rjust(width) + (BEST if is_best else "") + marks.get((label, m), "")
    for label in rows:
        cells = [Text(texts[label, m], style="bold" if BEST in texts[label, m] else "") for m in measures]
        table.add_row(Text(label), *cells)
    return table


def topic_table(runs: Mapping[str, Mapping[str, Mapping[str, float]]], measures: Sequence[str]) -> Table:
    """A table of `runs[label][qid][measure]`: one line per run and topic."""
    table = _table(["run", "topic"])
    for measure in measures:
        table.add_column(Text(measure), justify="right", no_wrap=True)
    for label, topics in runs.items():
        for qid, row in topics.items():
            table.add_row(Text(label), Text(qid), *[f"{row[m]:.4f}" for m in measures])
    return table


def significance_marks(
    adjusted: Mapping[tuple[str, str], tuple[float, float]], level: float = 0.05
) -> dict[tuple[str, str], str]:
    """`+` or `-` for each (label, measure) whose (difference, adjusted p-value) is significant at `level`."""
    return {cell: BETTER if difference > 0 else WORSE for cell, (difference, p) in adjusted.items() if p < level}


def show(table: Table, caption: str = "", file: IO[str] | None = None) -> None:
    """Print a table, on stdout if not told otherwise, and a caption under it."""
    file = file or sys.stdout
    console = Console(file=file, width=None if file.isatty() else PLAIN_WIDTH, highlight=False)
    console.print(table)
    if caption:
        console.print(Text(caption))


def _table(headings: Sequence[str]) -> Table:
    # Rules in plain ASCII: the table reads the same in a log, a terminal and a document.
    table = Table(box=box.MARKDOWN)
    for heading in headings:
        table.add_column(heading, overflow="fold")
    return table
