"""Is one run better than another? Paired tests over topics, corrected for their number, with the size of the effect."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeVar

import numpy as np

from clir.evaluation.corrections import correction
from clir.evaluation.intervals import Values, blocks, bootstrap_interval
from clir.support.errors import ClirError, unknown

ROUNDS = 10_000
# Relative; sums of the same differences in another order are equal up to this.
TOLERANCE = 1e-12

Name = TypeVar("Name")


@dataclass(frozen=True)
class Comparison:
    """A run against a baseline on one measure, by paired differences over topics (positive: above the baseline).

    difference: their mean; low, high: its 95 % bootstrap interval; p: the test's p-value, NaN where there are too few
    topics for one; adjusted: after correction for the number of tests made together; effect: the mean in units of the
    differences' standard deviation (Cohen's d of paired values; infinite if all differ by the same); better, worse,
    equal: how many topics are above, below, level with the baseline.
    """

    difference: float
    low: float
    high: float
    p: float
    adjusted: float
    effect: float
    better: int
    worse: int
    equal: int

    def times(self, factor: float) -> Comparison:
        """The comparison of values that are summed, not averaged, over `factor` topics: p and effect are the same."""
        return replace(self, difference=factor * self.difference, low=factor * self.low, high=factor * self.high)


class SignificanceTest(NamedTuple):
    """A significance test: its two-sided p-value of (baseline, other), its name, and what it takes for granted."""

    p: Callable[[Values, Values], float]
    name: str
    assumes: str


def t_test(baseline: Values, other: Values) -> float:
    """Two-sided p-value of the paired t test over topics; 1 if no topic differs, 0 if all do by the same."""
    from scipy import stats

    differences = other - baseline
    if not differences.any():
        return 1.0
    if len(differences) < 2:
        return math.nan
    if _constant(differences):
        return 0.0
    return float(stats.ttest_rel(other, baseline).pvalue)


def wilcoxon_test(baseline: Values, other: Values) -> float:
    """Two-sided p-value of Wilcoxon's signed-rank test (1945); topics without difference are left out, as he did.

    Exact for up to 50 topics without ties, else by the normal approximation, corrected for ties.
    """
    from scipy import stats

    differences = np.round(other - baseline, 12)
    if not differences.any():
        return 1.0
    return float(stats.wilcoxon(differences[differences != 0]).pvalue)


def randomisation_test(baseline: Values, other: Values, rounds: int = ROUNDS, seed: int = 0) -> float:
    """Two-sided p-value of the paired randomisation test on the mean difference over topics.

    Under the null hypothesis each difference may as well have the other sign. All 2^n sign patterns are tried
    where they are no more than `rounds`; otherwise `rounds` random ones, with the observed one counted among
    them. Smucker, Allan and Carterette, "A Comparison of Statistical Significance Tests for Information
    Retrieval Evaluation", CIKM 2007.
    """
    differences = other - baseline
    topics = len(differences)
    bound = abs(differences.sum()) - TOLERANCE * np.abs(differences).sum()
    if topics < rounds.bit_length():
        patterns = (np.arange(2**topics)[:, None] >> np.arange(topics)) & 1
        return float(np.mean(np.abs((1 - 2 * patterns) @ differences) >= bound))
    generator = np.random.default_rng(seed)
    as_extreme = 0
    for block in blocks(rounds, topics):
        signs = 1 - 2 * generator.integers(0, 2, size=(block, topics), dtype=np.int8).astype(np.float64)
        as_extreme += int(np.count_nonzero(np.abs(signs @ differences) >= bound))
    return (as_extreme + 1) / (rounds + 1)


def bootstrap_test(baseline: Values, other: Values, rounds: int = ROUNDS, seed: int = 0) -> float:
    """Two-sided p-value of the bootstrap test on the studentised mean difference over topics.

    The differences are moved to a mean of zero and drawn with replacement; counted is how often their t statistic
    is as far from zero as the observed one (Sakai, SIGIR 2006, figure 1; Efron and Tibshirani 1993, section 16.4).
    """
    differences = other - baseline
    topics = len(differences)
    if not differences.any():
        return 1.0
    if topics < 2:
        return math.nan
    if _constant(differences):
        return 0.0
    observed = abs(_t(differences[None, :])[0])
    centred = differences - differences.mean()
    generator = np.random.default_rng(seed)
    as_extreme = 0
    for block in blocks(rounds, topics):
        drawn = centred[generator.integers(0, topics, size=(block, topics))]
        as_extreme += int(np.count_nonzero(np.abs(_t(drawn)) >= observed * (1 - TOLERANCE)))
    return (as_extreme + 1) / (rounds + 1)


TESTS: dict[str, SignificanceTest] = {
    "t": SignificanceTest(t_test, "paired t test", "the mean difference is about normal, as with many topics it is"),
    "wilcoxon": SignificanceTest(
        wilcoxon_test, "Wilcoxon's signed-rank test", "differences lie symmetrically around their median"
    ),
    "randomisation": SignificanceTest(
        randomisation_test, "paired randomisation test", "without an effect each difference could have either sign"
    ),
    "bootstrap": SignificanceTest(
        bootstrap_test, "paired bootstrap test", "the topics are a sample of those that matter"
    ),
}


def significance_test(name: str) -> SignificanceTest:
    """The test of that name; UsageError for an unknown one."""
    if name not in TESTS:
        raise unknown("significance test", name, list(TESTS))
    return TESTS[name]


def compare(
    baseline: Values, others: Mapping[str, Values], test: str = "t", correct: str = "holm"
) -> dict[str, Comparison]:
    """Compare runs with a baseline on one measure, corrected for the number of runs.

    `baseline` and each of `others`: one value per topic, in the same order of topics. Raises UsageError for an
    unknown test or correction, ClirError if the numbers of topics differ.
    """
    for name, values in others.items():
        if len(values) != len(baseline):
            raise ClirError(f"{name} has values for {len(values)} topics, the baseline for {len(baseline)}")
    return _corrected({name: _one(baseline, values, test) for name, values in others.items()}, correct)


def compare_all(
    runs: Mapping[str, Values], test: str = "t", correct: str = "holm"
) -> dict[tuple[str, str], Comparison]:
    """Compare every two runs on one measure, corrected for the number of pairs: `(a, b)` says how b differs from a.

    As `compare` otherwise.
    """
    found: dict[tuple[str, str], Comparison] = {}
    for first, second in itertools.combinations(runs, 2):
        found[first, second] = compare(runs[first], {second: runs[second]}, test, "none")[second]
    return _corrected(found, correct)


def effect_size(differences: Values) -> float:
    """Mean over standard deviation of paired differences (Cohen's d_z); 0 where nothing differs."""
    if not differences.any():
        return 0.0
    if len(differences) < 2:
        return math.nan
    if _constant(differences):
        return math.copysign(math.inf, differences[0])
    return float(differences.mean() / differences.std(ddof=1))


def _one(baseline: Values, values: Values, test: str) -> Comparison:
    differences = values - baseline
    p = significance_test(test).p(baseline, values)
    low, high = bootstrap_interval(differences)
    better, worse = int(np.count_nonzero(differences > 0)), int(np.count_nonzero(differences < 0))
    return Comparison(
        float(differences.mean()), low, high, p, p, effect_size(differences),
        better, worse, len(differences) - better - worse,
    )  # fmt: skip


def _corrected(found: Mapping[Name, Comparison], correct: str) -> dict[Name, Comparison]:
    adjusted = correction(correct)([comparison.p for comparison in found.values()])
    return {name: replace(c, adjusted=p) for (name, c), p in zip(found.items(), adjusted, strict=True)}


def _constant(differences: Values) -> bool:
    return bool(np.ptp(differences) <= TOLERANCE * np.abs(differences).max())


def _t(rows: Values) -> Values:
    """The t statistic of each row; infinite for a constant row that is not zero, 0 for one that is."""
    means, deviations = rows.mean(axis=1), rows.std(axis=1, ddof=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = means / (deviations / math.sqrt(rows.shape[1]))
    return np.nan_to_num(found, nan=0.0, posinf=math.inf, neginf=-math.inf)
