"""Measures that are computed here and not by a package of ir_measures: a function from a topic's ranking and its
judgements to the value.

ERR and nDCG with exponential gains are gdeval's, the Perl script of TREC's Web Track, which takes numbers for topics
and rounds to five digits; here they are exact, for ids of any kind and without Perl.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from clir.evaluation.average_precision import CutAveragePrecision

# The grade at which a user of ERR is nearly sure to stop: gdeval's, for which TREC's numbers are published.
ERR_HIGHEST = 4
# 2^grade is a float up to here.
EXPONENTIAL_HIGHEST = 1000
# A topic's docids from the best on, and its grades by docid.
Value = Callable[[Iterable[str], Mapping[str, int]], float]


def own_value(measure: Any) -> Value | None:
    """The function that computes a measure, or None for one of ir_measures' packages' own."""
    if isinstance(measure, CutAveragePrecision):
        return measure.value
    if measure.NAME == "ERR":
        return lambda ranking, judged: expected_reciprocal_rank(ranking, judged, measure.params.get("cutoff"))
    if measure.NAME == "nDCG" and measure["dcg"] == "exp-log2":
        gains = measure.params.get("gains", {})
        return lambda ranking, judged: exponential_ndcg(
            ranking, {docid: gains.get(grade, grade) for docid, grade in judged.items()}, measure.params.get("cutoff")
        )
    if measure.NAME == "NumRel":
        return lambda ranking, judged: float(sum(grade >= measure["rel"] for grade in judged.values()))
    return None


def highest_grade(measure: Any) -> int | None:
    """The highest grade for which a measure is defined; None if there is none."""
    if measure.NAME == "ERR":
        return ERR_HIGHEST
    if measure.NAME == "nDCG" and measure["dcg"] == "exp-log2":
        return EXPONENTIAL_HIGHEST
    # Those of the package cwl_eval: grades are scaled from min_rel to max_rel.
    highest: int | None = measure.params.get("max_rel")
    return highest


def expected_reciprocal_rank(ranking: Iterable[str], judged: Mapping[str, int], cutoff: int | None = None) -> float:
    """ERR@cutoff: a user goes down the ranking and stops at a document of grade g with the probability
    (2^g - 1) / 2^4; the expected value of 1 / the rank where they stop.

    Grades are at most 4; those below 1 stop nobody. Chapelle et al., "Expected Reciprocal Rank for Graded Relevance",
    CIKM 2009; the highest grade as in gdeval.pl.
    """
    value, goes_on = 0.0, 1.0
    for rank, docid in enumerate(itertools.islice(ranking, cutoff), 1):
        stops = _exponential(judged.get(docid, 0)) / 2**ERR_HIGHEST
        value += goes_on * stops / rank
        goes_on *= 1 - stops
    return value


def exponential_ndcg(ranking: Iterable[str], judged: Mapping[str, int], cutoff: int | None = None) -> float:
    """nDCG@cutoff with the gain 2^g - 1 for a grade g, 0 for one below 1, discounted by log2(1 + rank); 0 for a topic
    without relevant documents.

    Burges et al., "Learning to Rank using Gradient Descent", ICML 2005; nDCG of gdeval.pl.
    """
    best = _discounted(sorted(judged.values(), reverse=True), cutoff)
    return _discounted((judged.get(docid, 0) for docid in ranking), cutoff) / best if best else 0.0


def _discounted(grades: Iterable[int], cutoff: int | None) -> float:
    return sum(
        _exponential(grade) / math.log2(rank + 1) for rank, grade in enumerate(itertools.islice(grades, cutoff), 1)
    )


def _exponential(grade: int) -> float:
    return 2.0**grade - 1 if grade > 0 else 0.0
