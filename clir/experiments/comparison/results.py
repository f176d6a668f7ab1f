"""The numbers of a comparison, gathered from what its cells left on disk: means, intervals, spread, tests, cost."""

from __future__ import annotations

import dataclasses
import json
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from clir.evaluation.corrections import holm
from clir.evaluation.intervals import bootstrap_interval
from clir.evaluation.significance import t_test
from clir.experiments.comparison.plan import ORACLE, REFERENCES, UNDISTILLED, Plan
from clir.experiments.comparison.run import Line, Workplace, finished, line_of, methods, references
from clir.support.manifest import read_manifest

Values = NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class Row:
    """A line of the tables: one system under one budget, with a line of scores for every seed.

    name: the loss or reference; system: the same with the models behind it where there are several.
    """

    name: str
    system: str
    budget: str
    start: str
    lines: tuple[Line, ...]

    @property
    def teacher(self) -> str | None:
        """Who taught its students; None for a reference."""
        cell = self.lines[0].cell
        return None if cell is None else cell.recipe.teacher


@dataclasses.dataclass(frozen=True)
class Result:
    """One number: a row's measure on one collection by one search method.

    mean over topics and seeds; low and high its 95 % bootstrap interval over topics (each topic averaged
    over seeds); by_seed each seed's mean; difference from the baseline, p of the paired t test over topics
    and adjusted by Holm over all rows of the same collection, search and measure (None: nothing to test);
    closed: share of the way from undistilled to oracle (None where there is no such way).
    """

    row: Row
    collection: str
    search: str
    measure: str
    mean: float
    low: float
    high: float
    by_seed: tuple[float, ...]
    topics: int
    difference: float | None = None
    p: float | None = None
    adjusted: float | None = None
    closed: float | None = None

    @property
    def spread(self) -> float:
        """Standard deviation over seeds, 0 for one."""
        return statistics.stdev(self.by_seed) if len(self.by_seed) > 1 else 0.0

    @property
    def mark(self) -> str:
        """`+` or `-`: better or worse than the baseline at the 5 % level, after correction."""
        # One topic has no test: its p is not a number.
        if self.adjusted is None or self.difference is None or not self.adjusted < 0.05:
            return ""
        return "+" if self.difference > 0 else "-"


@dataclasses.dataclass(frozen=True)
class Cost:
    """What a row's students cost: floating-point operations (mean over seeds, and by part), seconds, MiB, pairs."""

    flops: float
    parts: dict[str, float]
    seconds: float
    memory: float
    pairs: int
    steps: int


def rows_of(plan: Plan, place: Workplace) -> list[Row]:
    """References first, then every loss under every budget, in the plan's order."""
    rows = [Row(line.name, line.system, "", line.encoder or "", (line,)) for line in references(plan)]
    groups: dict[tuple[str, str, str, str], list[Line]] = {}
    for cell in plan.cells():
        key = (cell.loss, cell.budget.label, cell.recipe.teacher, cell.recipe.student)
        groups.setdefault(key, []).append(line_of(cell, place))
    several = len({key[2:] for key in groups}) > 1
    for (loss, budget, teacher, student), lines in groups.items():
        models = [Path(teacher).name, *([Path(student).name] if student != teacher else [])]
        system = f"{loss} ({', '.join(models)})" if several else loss
        rows.append(Row(loss, system, budget, student, tuple(lines)))
    return rows


def gather(plan: Plan, place: Workplace) -> list[Result]:
    """All results that are there; a row counts where all its seeds are done."""
    rows = rows_of(plan, place)
    found: list[Result] = []
    for collection in plan.collections:
        for method in dict.fromkeys(method for row in rows for method in methods(plan, row.lines[0])):
            values = {row: _values(plan, place, row, collection, method) for row in rows}
            there = {row: made for row, made in values.items() if made}
            for measure in plan.measures:
                columns = {row: [scores[measure] for scores in made] for row, made in there.items()}
                found += _column(plan, columns, collection, method, measure)
    return _with_gaps(found)


def cost_of(row: Row) -> Cost | None:
    """What the row's students cost; None for a reference or where a student is not there."""
    made = []
    for line in row.lines:
        path = Path(line.encoder or "") / "meta.json"
        if line.cell is None or not path.exists():
            return None
        made.append(read_manifest(path.parent))
    parts = {
        name: statistics.fmean(student["cost"][name] for student in made) for name in made[0]["cost"] if "flops" in name
    }
    return Cost(
        parts.pop("training flops"), parts, statistics.fmean(student["cost"]["wall seconds"] for student in made),
        max(student["resources"]["peak memory MiB"] for student in made), made[0]["pairs"],
        round(statistics.fmean(student["steps"] for student in made)),
    )  # fmt: skip


def frame(results: Iterable[Result]) -> pl.DataFrame:
    """The results as a table, a number a line, for CSV and for whoever wants other tables."""
    lines = []
    for result in results:
        cost = cost_of(result.row)
        values = dataclasses.asdict(result)
        values.pop("row")
        seeds = [line.cell.seed for line in result.row.lines if line.cell]
        lines.append({
            "system": result.row.system, "budget": result.row.budget, "start": result.row.start, **values,
            "by_seed": " ".join(f"{value:.6f}" for value in result.by_seed),
            "seeds": " ".join(map(str, seeds)), "spread": result.spread,
            "training_flops": cost and cost.flops, "pairs": cost and cost.pairs, "steps": cost and cost.steps,
            "wall_seconds": cost and cost.seconds, "peak_memory_mib": cost and cost.memory,
        })  # fmt: skip
    return pl.DataFrame(lines, infer_schema_length=None)


def _values(plan: Plan, place: Workplace, row: Row, collection: str, method: str) -> list[dict[str, Values]]:
    """For each seed the values over topics of each measure; empty if a seed is missing."""
    found = []
    for line in row.lines:
        if not finished(plan, place, line, collection, method):
            return []
        topics = json.loads(place.scores(line, collection, method).read_text("utf-8"))["topics"]
        found.append({m: np.array([scores[m] for scores in topics.values()]) for m in plan.measures})
    return found


def _column(plan: Plan, columns: dict[Row, list[Values]], collection: str, method: str, measure: str) -> list[Result]:
    averaged = {row: np.mean(seeds, axis=0) for row, seeds in columns.items()}
    results = []
    for row, seeds in columns.items():
        low, high = bootstrap_interval(averaged[row])
        results.append(Result(
            row, collection, method, measure, float(averaged[row].mean()), low, high,
            tuple(float(values.mean()) for values in seeds), len(averaged[row]),
        ))  # fmt: skip
    tested = {row: baseline for row in columns if (baseline := _baseline(plan, row, list(columns))) is not None}
    p_values = [t_test(averaged[baseline], averaged[row]) for row, baseline in tested.items()]
    adjusted = dict(zip(tested, zip(p_values, holm(p_values), strict=True), strict=True))
    return [
        dataclasses.replace(
            result, p=adjusted[result.row][0], adjusted=adjusted[result.row][1],
            difference=result.mean - float(averaged[tested[result.row]].mean()),
        ) if result.row in tested else result
        for result in results
    ]  # fmt: skip


def _baseline(plan: Plan, row: Row, rows: Sequence[Row]) -> Row | None:
    """The row that `row` is tested against: of the same start, and for a loss of the same teacher and budget too."""
    for other in rows:
        same_budget = plan.baseline in REFERENCES or not row.budget or other.budget == row.budget
        same_start = other.start == row.start or not row.start or not other.start
        same_teacher = None in (row.teacher, other.teacher) or row.teacher == other.teacher
        named = other.name == plan.baseline and row.name != plan.baseline
        if named and same_budget and same_start and same_teacher:
            return other
    return None


def _with_gaps(results: Sequence[Result]) -> list[Result]:
    """The results with the share of the way from undistilled to oracle of the same model that each has gone."""
    ends: dict[tuple[str, str, str, str, str], float] = {}
    for result in results:
        name = result.row.name
        if name in (UNDISTILLED, ORACLE):
            ends[name, result.row.start, result.collection, result.search, result.measure] = result.mean
    closed = []
    for result in results:
        place = (result.row.start, result.collection, result.search, result.measure)
        low, high = ends.get((UNDISTILLED, *place)), ends.get((ORACLE, *place))
        trained = result.row.lines[0].cell is not None
        way = None if low is None or high is None or not trained or high <= low else (result.mean - low) / (high - low)
        closed.append(dataclasses.replace(result, closed=way))
    return closed
