"""Is one run better than another? Paired tests over topics, corrected for their number, and intervals."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from clir.support.errors import ClirError, unknown

Values = npt.NDArray[np.float64]
# Random numbers drawn at once, so that memory stays bounded with many topics.
BLOCK = 1 << 20
# Relative; sums of the same differences in another order are equal up to this.
TOLERANCE = 1e-12


@dataclass(frozen=True)
class Comparison:
    """A run against a baseline on one measure: the mean difference over topics (positive: better than the
    baseline), its bootstrap interval, the p-value, and the p-value after Holm's correction."""

    difference: float
    low: float
    high: float
    p: float
    adjusted: float


def t_test(baseline: Values, other: Values) -> float:
    """Two-sided p-value of the paired t test over topics; 1 if no topic differs, 0 if all do by the same."""
    from scipy import stats

    differences = other - baseline
    if not differences.any():
        return 1.0
    if len(differences) < 2:
        return math.nan
    if np.ptp(differences) <= TOLERANCE * np.abs(differences).max():
        return 0.0
    return float(stats.ttest_rel(other, baseline).pvalue)


def randomisation_test(baseline: Values, other: Values, rounds: int = 10_000, seed: int = 0) -> float:
    """Two-sided p-value of the paired randomisation test on the mean difference over topics.

    Under the null hypothesis each difference may as well have the other sign. All 2^n sign patterns are tried
    where they are no more than `rounds`; otherwise `rounds` random ones, with the observed one counted among
    them. Smucker, Allan and Carterette, "A Comparison of Statistical Significance Tests for Information
    Retrieval Evaluation", CIKM 2007.
    """
    differences = other - baseline
    topics = len(differences)
    bound = abs(differences.sum()) - TOLERANCE * np.abs(differences).sum()
    if 2**topics <= rounds:
        patterns = (np.arange(2**topics)[:, None] >> np.arange(topics)) & 1
        return float(np.mean(np.abs((1 - 2 * patterns) @ differences) >= bound))
    generator = np.random.default_rng(seed)
    as_extreme = 0
    for block in _blocks(rounds, topics):
        signs = 1 - 2 * generator.integers(0, 2, size=(block, topics), dtype=np.int8).astype(np.float64)
        as_extreme += int(np.count_nonzero(np.abs(signs @ differences) >= bound))
    return (as_extreme + 1) / (rounds + 1)


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values adjusted by Holm's step-down method for the number of them (Holm 1979)."""
    adjusted = [0.0] * len(p_values)
    highest = 0.0
    for place, i in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        highest = max(highest, min(1.0, (len(p_values) - place) * p_values[i]))
        adjusted[i] = highest
    return adjusted


def bootstrap_interval(
    differences: Values, confidence: float = 0.95, rounds: int = 10_000, seed: int = 0
) -> tuple[float, float]:
    """The percentile bootstrap interval of the mean of `differences`, one per topic (Efron 1979)."""
    generator = np.random.default_rng(seed)
    topics = len(differences)
    means = np.concatenate(
        [
            differences[generator.integers(0, topics, size=(block, topics))].mean(axis=1)
            for block in _blocks(rounds, topics)
        ]
    )
    tail = (1 - confidence) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return float(low), float(high)


TESTS: dict[str, Callable[[Values, Values], float]] = {"t": t_test, "randomisation": randomisation_test}


def compare(baseline: Values, others: Mapping[str, Any], test: str = "t") -> dict[str, Comparison]:
    """Compare runs with a baseline on one measure, with Holm's correction over the runs.

    `baseline` and each of `others`: one value per topic, in the same order of topics. Raises UsageError for an
    unknown test (`t`, `randomisation`), ClirError if the numbers of topics differ.
    """
    if test not in TESTS:
        raise unknown("significance test", test, list(TESTS))
    for name, values in others.items():
        if len(values) != len(baseline):
            raise ClirError(f"{name} has values for {len(values)} topics, the baseline for {len(baseline)}")
    p_values = [TESTS[test](baseline, values) for values in others.values()]
    comparisons = {}
    for (name, values), p, adjusted in zip(others.items(), p_values, holm(p_values), strict=True):
        low, high = bootstrap_interval(values - baseline)
        comparisons[name] = Comparison(float((values - baseline).mean()), low, high, p, adjusted)
    return comparisons


def _blocks(rounds: int, topics: int) -> Iterator[int]:
    size = max(1, BLOCK // max(1, topics))
    while rounds > 0:
        yield min(size, rounds)
        rounds -= size
