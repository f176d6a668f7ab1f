"""The scores of several runs in one view: means, intervals, the best, and what differs from a baseline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from clir.evaluation.corrections import MEANINGS
from clir.evaluation.intervals import bootstrap_interval
from clir.evaluation.measures import Scores, is_summed
from clir.evaluation.significance import TESTS, Comparison, compare, compare_all

LEVEL = 0.05
BETTER, WORSE = "+", "-"


@dataclass(frozen=True)
class Criterion:
    """How runs are tested: by which test, corrected how, and at which level a difference is called significant."""

    test: str = "t"
    correction: str = "holm"
    level: float = LEVEL

    def mark(self, comparison: Comparison) -> str:
        """`+` or `-` for a significant difference, else nothing."""
        if not comparison.adjusted < self.level:
            return ""
        return BETTER if comparison.difference > 0 else WORSE

    def said(self, tests: int) -> str:
        """The test, its correction and what it takes for granted, for a caption."""
        number = f" over {tests} tests" if tests > 1 and self.correction != "none" else ""
        test = TESTS[self.test]
        return f"{test.name}, p < {self.level:g}, {MEANINGS[self.correction]}{number}; it assumes that {test.assumes}"


@dataclass(frozen=True)
class Cell:
    """A run's mean of one measure over topics (the sum of one that counts), the 95 % bootstrap interval of it, whether
    no run has a higher one to 4 decimals, and its comparison with the baseline (None for the baseline and without one).
    """

    mean: float
    low: float
    high: float
    best: bool
    comparison: Comparison | None = None


@dataclass(frozen=True)
class Summary:
    """`cells[run, measure]` for all of `runs` and `measures`, over `topics` judged topics."""

    runs: tuple[str, ...]
    measures: tuple[str, ...]
    cells: Mapping[tuple[str, str], Cell]
    topics: int
    baseline: str | None
    criterion: Criterion

    def mark(self, run: str, measure: str) -> str:
        """`+` or `-` where the run differs significantly from the baseline."""
        comparison = self.cells[run, measure].comparison
        return self.criterion.mark(comparison) if comparison else ""

    @property
    def caption(self) -> str:
        """What stars and marks mean."""
        said = ["*: best"] if len(self.runs) > 1 else []
        if self.baseline and len(self.runs) > 1:
            said.append(f"+ -: better, worse than {self.baseline} ({self.criterion.said(len(self.runs) - 1)})")
        return "; ".join(said)


def summarise(
    scores: Mapping[str, Scores],
    measures: Sequence[str],
    baseline: str | None = None,
    criterion: Criterion | None = None,
) -> Summary:
    """The summary of `scores[run]`, all over the same topics.

    Tests are corrected for the number of runs, each measure by itself. Raises UsageError for an unknown test or
    correction, ClirError if the numbers of topics differ.
    """
    criterion = criterion or Criterion()
    cells: dict[tuple[str, str], Cell] = {}
    for measure in measures:
        values = {run: found.values(measure) for run, found in scores.items()}
        others = {run: found for run, found in values.items() if run != baseline}
        compared = compare(values[baseline], others, criterion.test, criterion.correction) if baseline else {}
        means = {run: found.average[measure] for run, found in scores.items()}
        highest = max(round(mean, 4) for mean in means.values())
        factor = _factor(measure, scores)
        for run, mean in means.items():
            best = len(means) > 1 and round(mean, 4) == highest
            low, high = (factor * bound for bound in bootstrap_interval(values[run]))
            comparison = compared[run].times(factor) if run in compared else None
            cells[run, measure] = Cell(mean, low, high, best, comparison)
    topics = len(next(iter(scores.values())).per_topic)
    return Summary(tuple(scores), tuple(measures), cells, topics, baseline, criterion)


def summary_frame(summary: Summary) -> pl.DataFrame:
    """A line for every run and measure, for CSV: mean, interval, and the comparison's numbers (empty without one)."""
    lines = []
    for (run, measure), cell in summary.cells.items():
        line = {"run": run, "measure": measure, "mean": cell.mean, "low": cell.low, "high": cell.high,
                "topics": summary.topics, "baseline": summary.baseline}  # fmt: skip
        lines.append({**line, **_numbers(cell.comparison)})
    return pl.DataFrame(lines, infer_schema_length=None)


def pairs_frame(scores: Mapping[str, Scores], measure: str, criterion: Criterion) -> pl.DataFrame:
    """A line for every two runs on one measure: how the second differs from the first; corrected over all pairs."""
    values = {run: found.values(measure) for run, found in scores.items()}
    found = compare_all(values, criterion.test, criterion.correction)
    factor = _factor(measure, scores)
    return pl.DataFrame(
        [
            {"first": first, "second": second, "measure": measure, **_numbers(comparison.times(factor))}
            for (first, second), comparison in found.items()
        ],
        infer_schema_length=None,
    )


def _factor(measure: str, scores: Mapping[str, Scores]) -> int:
    """What a mean over topics is multiplied by to be the measure's average: 1, or the topics where that is a sum."""
    return len(next(iter(scores.values())).per_topic) if is_summed(measure) else 1


def _numbers(comparison: Comparison | None) -> dict[str, float | int | None]:
    names = ("difference", "low", "high", "p", "adjusted", "effect", "better", "worse", "equal")
    labels = {"low": "difference_low", "high": "difference_high", "adjusted": "p_adjusted"}
    return {labels.get(name, name): getattr(comparison, name, None) for name in names}
