"""The tables of a comparison: in the terminal, as CSV, and as LaTeX with booktabs."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from rich import box
from rich.table import Table
from rich.text import Text

from clir.evaluation.latex import booktabs, escaped, number
from clir.experiments.comparison.plan import BM25, UNDISTILLED, Plan
from clir.experiments.comparison.results import Result, Row, cost_of, frame
from clir.support.files import atomic_file

MEAN = "mean"


@dataclasses.dataclass(frozen=True)
class Cell:
    """One number in a table: the mean, the spread over seeds, `+` or `-` against the baseline, best of its column."""

    text: str
    spread: str = ""
    mark: str = ""
    interval: str = ""
    best: bool = False


@dataclasses.dataclass(frozen=True)
class Grid:
    """One measure by one kind of search: rows down, collections across, then their mean, the share of the gap that
    is closed on average, and the training's floating-point operations."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Row, tuple[Cell, ...], str, str], ...]


def grids(plan: Plan, results: Sequence[Result]) -> list[Grid]:
    """A grid for every search and measure that has results."""
    found = []
    for search in dict.fromkeys(result.search for result in results if result.search != "bm25"):
        for measure in plan.measures:
            chosen = [result for result in results if result.measure == measure and result.search in (search, "bm25")]
            found.append(_grid(plan, chosen, f"{measure}, {search}"))
    return found


def terminal_table(grid: Grid) -> Table:
    """The grid for a terminal or a log."""
    table = Table(box=box.MARKDOWN, title=grid.title, title_justify="left")
    for heading in (grid.title, "budget"):
        table.add_column(heading, overflow="fold")
    for heading in (*grid.columns, MEAN, "gap closed", "FLOPs"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row, cells, closed, flops in grid.rows:
        numbers = [Text(_plain(cell), style="bold" if cell.best else "") for cell in cells]
        table.add_row(Text(row.system), Text(row.budget), *numbers, closed, flops)
    table.title = None
    return table


def legend(plan: Plan) -> str:
    """What the marks mean."""
    seeds = (
        f"mean over seeds {', '.join(map(str, plan.seeds))}, ± their standard deviation; "
        if len(plan.seeds) > 1
        else ""
    )
    untested = f"; {BM25} is not tested" if plan.bm25 else ""
    return (
        f"{seeds}*: best of a column; +, -: better or worse than {plan.baseline} (paired t test over topics, Holm "
        f"over the column, 5 %{untested}); gap closed: share of the way from {UNDISTILLED} to oracle, mean over "
        "collections."
    )


def write_csv(results: Sequence[Result], path: str | Path) -> None:
    """Every number with its interval, spread, test and cost, a line each."""
    with atomic_file(path) as handle:
        frame(results).write_csv(handle)


def latex(grids_: Sequence[Grid], plan: Plan) -> str:
    """The grids as LaTeX tables for booktabs."""
    return "\n".join(_latex(grid, plan) for grid in grids_)


def _grid(plan: Plan, results: Sequence[Result], title: str) -> Grid:
    by_row: dict[Row, dict[str, Result]] = {}
    for result in results:
        by_row.setdefault(result.row, {})[result.collection] = result
    columns = [name for name in plan.collections if any(name in found for found in by_row.values())]
    numbers = {row: [found[name].mean if name in found else None for name in columns] for row, found in by_row.items()}
    # The mean of a row that lacks a collection cannot be compared with the others'.
    means = {
        row: None if None in values else sum(filter(None, values)) / len(values) for row, values in numbers.items()
    }
    rows = []
    for row, found in by_row.items():
        cells = [
            _cell(found.get(name), _is_best(numbers[row][at], [values[at] for values in numbers.values()]))
            for at, name in enumerate(columns)
        ]
        mean = means[row]
        cells.append(Cell("" if mean is None else f"{mean:.4f}", best=_is_best(mean, list(means.values()))))
        closed = [result.closed for result in found.values() if result.closed is not None]
        cost = cost_of(row)
        share = f"{sum(closed) / len(closed):.0%}" if closed else ""
        rows.append((row, tuple(cells), share, f"{cost.flops:.2e}" if cost else ""))
    return Grid(title, tuple(columns), tuple(rows))


def _cell(result: Result | None, best: bool) -> Cell:
    if result is None:
        return Cell("")
    spread = f"{result.spread:.4f}" if len(result.by_seed) > 1 else ""
    interval = f"[{result.low:.3f}, {result.high:.3f}]"
    return Cell(f"{result.mean:.4f}", spread, result.mark, interval, best)


def _is_best(value: float | None, column: Sequence[float | None]) -> bool:
    there = [round(other, 4) for other in column if other is not None]
    return value is not None and len(there) > 1 and round(value, 4) == max(there)


def _plain(cell: Cell) -> str:
    spread = f" ±{cell.spread}" if cell.spread else ""
    return f"{cell.text}{spread}{'*' if cell.best else ''}{cell.mark}"


def _latex(grid: Grid, plan: Plan) -> str:
    heading = ["system", "budget", *grid.columns, MEAN, "gap closed", "FLOPs"]
    rows = [
        [escaped(row.system), escaped(row.budget), *map(_latex_cell, cells), escaped(closed), escaped(flops)]
        for row, cells, closed, flops in grid.rows
    ]
    return booktabs(f"{grid.title}. {legend(plan)}", "ll" + "r" * (len(heading) - 2), list(map(escaped, heading)), rows)


def _latex_cell(cell: Cell) -> str:
    spread = rf" {{\scriptsize$\pm${cell.spread}}}" if cell.spread else ""
    return number(cell.text, best=cell.best, mark=cell.mark) + spread
