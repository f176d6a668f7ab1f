"""Tables of scores for people: runs down, measures across, the best of each column marked."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import IO

import polars as pl
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from clir.evaluation.languages import Matrix
from clir.evaluation.measures import Scores
from clir.evaluation.summary import Summary

BEST = "*"
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


def summary_table(summary: Summary) -> Table:
    """Runs down, measures across, to 4 decimals; the best of a column is marked `*`, `+` and `-` differ from the
    baseline."""
    rows = {run: {m: summary.cells[run, m].mean for m in summary.measures} for run in summary.runs}
    marks = {(run, m): summary.mark(run, m) for run in summary.runs for m in summary.measures}
    return score_table(rows, summary.measures, marks)


def gap_table(scores: Mapping[str, Scores], measures: Sequence[str], baseline: str, oracle: str) -> Table:
    """(run - baseline) / (oracle - baseline) for each run and measure, in per cent; empty where the two are equal."""
    table = _table(["gap closed"])
    for measure in measures:
        table.add_column(Text(measure), justify="right", no_wrap=True)
    for run, found in scores.items():
        if run in (baseline, oracle):
            continue
        cells = []
        for measure in measures:
            low, high = scores[baseline].average[measure], scores[oracle].average[measure]
            cells.append(f"{(found.average[measure] - low) / (high - low):.1%}" if high > low else "")
        table.add_row(Text(run), *cells)
    return table


def pairs_table(frame: pl.DataFrame) -> Table:
    """The pairs of `summary.pairs_frame`."""
    table = _table(["first", "second"])
    for heading in ("difference", "95 % interval", "p", "corrected", "effect", "topics + - ="):
        table.add_column(heading, justify="right", no_wrap=True)
    for line in frame.iter_rows(named=True):
        table.add_row(
            Text(line["first"]), Text(line["second"]), f"{line['difference']:+.4f}",
            f"{line['difference_low']:+.4f} {line['difference_high']:+.4f}", f"{line['p']:.4f}",
            f"{line['p_adjusted']:.4f}", f"{line['effect']:.2f}",
            f"{line['better']} {line['worse']} {line['equal']}",
        )  # fmt: skip
    return table


def matrix_table(matrix: Matrix, run: str) -> Table:
    """A measure by topics' language (down) and documents' language (across)."""
    table = _table([f"{matrix.measure}, {run}"])
    for name in matrix.document_languages:
        table.add_column(Text(name), justify="right", no_wrap=True)
    for row in matrix.topic_languages:
        values = [matrix.values[row][column] for column in matrix.document_languages]
        table.add_row(Text(row), *("" if value is None else f"{value:.4f}" for value in values))
    return table


def plain_table(lines: Sequence[Mapping[str, object]]) -> Table:
    """Lines that have the same keys; numbers to 4 decimals."""
    first, *others = lines[0]
    table = _table([first])
    for name in others:
        table.add_column(Text(name), justify="right", no_wrap=True)
    for line in lines:
        texts = (f"{value:.4f}" if isinstance(value, float) else str(value) for value in line.values())
        # What is only a name (a run's, a step's) may look like markup.
        table.add_row(*map(Text, texts))
    return table


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
        table.add_column(Text(heading), overflow="fold")
    return table
