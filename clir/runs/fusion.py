"""Fusion: one run from several, by their ranks or by their scores.

A method is a function from `Evidence` (what every run says of every document) to one contribution per run and
document, which are summed; a new one is a function and a line in `METHODS`, a new normalization likewise.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from clir.runs.pairs import Integers
from clir.runs.run import Run, falling, ordered
from clir.support.errors import ClirError, UsageError, unknown

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Parameters:
    """What the methods may ask for."""

    rrf_k: float
    weights: Floats


@dataclass(frozen=True)
class Evidence:
    """What r runs say of n documents (a document of one topic counts as one).

    `ranks` (n, r): from 1, and 0 where the run has not retrieved the document.
    `scores` (n, r): normalised, and 0 where the run has not retrieved the document.
    """

    ranks: Integers
    scores: Floats


def reciprocal_rank(evidence: Evidence, parameters: Parameters) -> Floats:
    """1 / (k + rank) for each run that retrieved the document, (n, r).

    Cormack, Clarke and Buettcher, "Reciprocal Rank Fusion outperforms Condorcet and individual Rank Learning
    Methods", SIGIR 2009; their k is 60.
    """
    found = evidence.ranks > 0
    return np.where(found, 1.0 / (parameters.rrf_k + np.maximum(evidence.ranks, 1)), 0.0)


def weighted_score(evidence: Evidence, parameters: Parameters) -> Floats:
    """weight x normalised score for each run, (n, r); a run that lacks the document contributes 0."""
    return evidence.scores * parameters.weights


METHODS: dict[str, Callable[[Evidence, Parameters], Floats]] = {"rrf": reciprocal_rank, "weighted": weighted_score}
# The methods that read scores, and so have weights and a normalization.
BY_SCORE = ("weighted",)


def minmax(run: Run) -> Floats:
    """(score - min) / (max - min) within each topic, so from 0 to 1; 1 throughout where all scores are equal.

    A single hit is such a case. Scores count as equal, too, if they differ by no more than the float32 steps
    that keep ties apart in a written run.
    """
    scores = run.frame["score"].to_numpy()
    stops = np.cumsum(run.lengths)
    highest, lowest = scores[stops - run.lengths], scores[stops - 1]
    equal = ordered(highest) - ordered(lowest) < run.lengths
    spread = np.where(equal, 1.0, highest.astype(np.float64) - lowest)
    scaled = (scores - np.repeat(lowest.astype(np.float64), run.lengths)) / np.repeat(spread, run.lengths)
    return np.where(np.repeat(equal, run.lengths), 1.0, scaled)


def as_they_are(run: Run) -> Floats:
    """The run's own scores."""
    return run.frame["score"].to_numpy().astype(np.float64)


NORMALIZATIONS: dict[str, Callable[[Run], Floats]] = {"minmax": minmax, "none": as_they_are}


def fuse(
    runs: Sequence[Run],
    method: str,
    *,
    rrf_k: float = 60,
    weights: Sequence[float] | None = None,
    normalization: str = "minmax",
    depth: int | None = None,
    hits: int | None = 1000,
    tag: str | None = None,
) -> Run:
    """Fuse two or more runs into one.

    `method`: `rrf` (sum of 1 / (rrf_k + rank)) or `weighted` (sum of weight x normalised score; equal weights
    that sum to 1 if None). A document that a run did not retrieve gets 0 from it, the lower end of the `minmax`
    scale; a topic that a run lacks gets nothing from it. `normalization`: `minmax` within each topic, or `none`.
    `depth` cuts the inputs (before normalisation), `hits` the output; None cuts nothing. The tag is
    `clir-<method>` if None.

    Topics come in order of their earliest place in any run. Sums are in float64 and in one order, so that the
    order of the runs (weights with them) does not matter; equal sums are ordered by docid, descending; the
    scores of the result fall strictly. Raises UsageError on wrong parameters.
    """
    check(len(runs), method, rrf_k=rrf_k, weights=weights, normalization=normalization, depth=depth, hits=hits)
    # Distinct scores are what a file would hold: fusing files and fusing what was written to them is the same.
    inputs = [(run.cut(depth) if depth else run).distinct() for run in runs]
    table = _side_by_side(inputs, NORMALIZATIONS[normalization if method in BY_SCORE else "none"])
    evidence = Evidence(
        np.column_stack([table[f"rank {i}"].to_numpy() for i in range(len(inputs))]),
        np.column_stack([table[f"score {i}"].to_numpy() for i in range(len(inputs))]),
    )
    shares = np.full(len(runs), 1.0 / len(runs)) if weights is None else np.array(weights, dtype=np.float64)
    contributions = METHODS[method](evidence, Parameters(rrf_k, shares))
    fused = table.select("qid", "docid", pl.Series("score", _ordered_sum(contributions)))
    return _ranked(fused, _topic_order(inputs), hits, f"clir-{method}" if tag is None else tag)


def check(
    runs: int,
    method: str,
    *,
    rrf_k: float = 60,
    weights: Sequence[float] | None = None,
    normalization: str = "minmax",
    depth: int | None = None,
    hits: int | None = None,
) -> None:
    """Raise UsageError if a number of `runs` cannot be fused with these parameters."""
    if method not in METHODS:
        raise unknown("fusion method", method, list(METHODS))
    if normalization not in NORMALIZATIONS:
        raise unknown("normalization", normalization, list(NORMALIZATIONS))
    if runs < 2:
        raise UsageError(f"fusion needs at least two runs, not {runs}")
    if not (math.isfinite(rrf_k) and rrf_k >= 0):
        raise UsageError(f"the k of rrf is a number from 0, not {rrf_k:g}")
    for name, value in (("depth", depth), ("hits", hits)):
        if value is not None and value < 1:
            raise UsageError(f"{name} is at least 1, not {value}")
    if weights is not None:
        _check_weights(weights, runs, method)


def _check_weights(weights: Sequence[float], runs: int, method: str) -> None:
    if method not in BY_SCORE:
        raise UsageError(f"method {method} takes no weights (method weighted does)")
    if len(weights) != runs:
        raise UsageError(f"{len(weights)} weights for {runs} runs: give one for each, in the same order")
    if not all(math.isfinite(weight) and weight >= 0 for weight in weights) or not any(weights):
        given = " ".join(f"{weight:g}" for weight in weights)
        raise UsageError(f"weights are numbers from 0, not all 0; these are {given}")


def _side_by_side(runs: Sequence[Run], normalize: Callable[[Run], Floats]) -> pl.DataFrame:
    """One row for every document of every topic, with `rank i` and `score i` of run i, 0 where it has none."""
    sides = [
        run.frame.select(
            "qid", "docid", pl.Series(f"rank {i}", run.ranks), pl.Series(f"score {i}", normalize(run), dtype=pl.Float64)
        ).lazy()
        for i, run in enumerate(runs)
    ]
    table = sides[0]
    for side in sides[1:]:
        table = table.join(side, on=["qid", "docid"], how="full", coalesce=True)
    return table.with_columns(pl.all().exclude("qid", "docid").fill_null(0)).collect()


def _ordered_sum(contributions: Floats) -> Floats:
    """Row sums, from the smallest contribution to the largest, whatever order the columns have."""
    total = np.zeros(len(contributions))
    for column in np.sort(contributions, axis=1).T:
        total += column
    return total


def _topic_order(runs: Sequence[Run]) -> pl.DataFrame:
    """The topics with their number: by earliest place in any run, then by id."""
    places = pl.concat(
        pl.DataFrame({"qid": run.topics, "place": range(len(run.topics))}, schema={"qid": pl.String, "place": pl.Int64})
        for run in runs
    )
    topics = places.group_by("qid").agg(pl.col("place").min()).sort("place", "qid")
    return topics.select("qid", pl.int_range(pl.len()).alias("topic"))


def _ranked(fused: pl.DataFrame, topics: pl.DataFrame, hits: int | None, tag: str) -> Run:
    """The run of `fused` (`qid`, `docid`, `score` Float64), ordered before the scores become float32."""
    best = (
        fused.join(topics, on="qid", how="left")
        .sort("topic", "score", "docid", descending=[False, True, True])
        .select("qid", "docid", "score")
    )
    run = Run(best, tag)
    if hits is not None:
        run = run.cut(hits)
    scores = run.frame["score"].to_numpy()
    if len(scores) and np.abs(scores).max() > np.finfo(np.float32).max:
        raise ClirError("fused scores are beyond float32: use smaller weights, or normalization minmax")
    return Run(run.frame.with_columns(pl.Series("score", falling(scores, run.lengths))), tag)
