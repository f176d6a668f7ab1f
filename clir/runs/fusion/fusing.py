"""Fusion: one run from several, by their ranks or by their scores, some topics at a time."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
import polars as pl

from clir.runs.fusion.methods import BY_SCORE, METHODS, READS, Evidence, Floats, Parameters
from clir.runs.fusion.normalizations import NORMALIZATIONS
from clir.runs.fusion.together import MISSING, Together
from clir.runs.pairs import Integers, falling_docids, picked
from clir.runs.run import Run, falling
from clir.support.errors import ClirError, UsageError, unknown


def fuse(
    runs: Sequence[Run],
    method: str,
    *,
    rrf_k: float = 60,
    weights: Sequence[float] | None = None,
    normalization: str = "minmax",
    missing: str = "zero",
    depth: int | None = None,
    hits: int | None = 1000,
    tag: str | None = None,
) -> Run:
    """Fuse two or more runs into one.

    `method`, a document's score being the sum over runs of: `rrf`, 1 / (rrf_k + rank); `combsum`, the normalised score;
    `weighted`, weight x normalised score (equal weights that sum to 1 if None); `combmnz` and `combanz`, the normalised
    score times, and divided by, the number of runs that found it; `borda`, points by rank; `isr` and `logisr`,
    1 / rank^2 times the number of runs that found it, and times that number's logarithm. `clir.runs.fusion.methods` has
    formulas and sources.

    `normalization` of scores within each topic: `minmax`, `zscore`, `sum`, `rank` or `none`; or `over-topics`, a
    z-score over the hits of all topics. `missing` says what a run gives a document that it did not retrieve, for a
    topic that it has, where scores are summed: `zero`, which is the lower end of the `minmax` scale and the mean of the
    `zscore` scale, or `minimum`, its least normalised score for the topic. A run says nothing of a topic that it lacks.
    `depth` cuts the inputs (before normalisation), `hits` the output; None cuts nothing. The tag is `clir-<method>` if
    None.

    Topics come in order of their earliest place in any run. Sums are in float64 and in one order, so that the
    order of the runs (weights with them) does not matter; equal sums are ordered by docid, descending; the
    scores of the result fall strictly. Raises UsageError on wrong parameters, ClirError where a sum is beyond float32.
    """
    check(
        len(runs), method, rrf_k=rrf_k, weights=weights, normalization=normalization, missing=missing,
        depth=depth, hits=hits,
    )  # fmt: skip
    together = side_by_side(runs, method, normalization=normalization, missing=missing, depth=depth)
    return fused(together, method, Parameters(rrf_k, shares(len(runs), weights)), hits, tag)


def fused(together: Together, method: str, parameters: Parameters, hits: int | None, tag: str | None) -> Run:
    """The run that a method makes of one or more runs side by side; what `fuse` does once all is checked."""

    def ranked(topics: range) -> tuple[pl.Series, npt.NDArray[np.float32], Integers]:
        evidence, docids, rows = together.evidence(topics)
        return _ranked(evidence, docids, rows, combined(evidence, method, parameters), hits)

    # numpy and polars leave Python's lock while they work.
    with ThreadPoolExecutor(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None) as pool:
        parts = list(pool.map(ranked, together.blocks()))
    return _joined(together.topics, parts, f"clir-{method}" if tag is None else tag)


def side_by_side(
    runs: Sequence[Run], method: str, *, normalization: str = "minmax", missing: str = "zero", depth: int | None = None
) -> Together:
    """The runs as `fuse` sees them: cut to `depth`, with the scores that `method` reads."""
    inputs = [run.cut(depth) if depth else run for run in runs]
    if method not in BY_SCORE:
        return Together.of(inputs, None)
    # Distinct scores are what a file would hold: fusing files and fusing what was written to them is the same.
    return Together.of([run.distinct() for run in inputs], NORMALIZATIONS[normalization], missing)


def combined(evidence: Evidence, method: str, parameters: Parameters) -> Floats:
    """The fused score of every document, (n,): its contributions from the smallest on, whatever order the runs have."""
    contributions = METHODS[method](evidence, parameters)
    if contributions.shape[1] > 2:
        contributions = np.sort(contributions, axis=1)
    total = contributions[:, 0].astype(np.float64)
    for column in contributions.T[1:]:
        total += column
    return total


def shares(runs: int, weights: Sequence[float] | None) -> Floats:
    """The weights, or equal ones that sum to 1."""
    return np.full(runs, 1.0 / runs) if weights is None else np.array(weights, dtype=np.float64)


def check(
    runs: int,
    method: str,
    *,
    rrf_k: float = 60,
    weights: Sequence[float] | None = None,
    normalization: str = "minmax",
    missing: str = "zero",
    depth: int | None = None,
    hits: int | None = None,
) -> None:
    """Raise UsageError if a number of `runs` cannot be fused with these parameters."""
    if method not in METHODS:
        raise unknown("fusion method", method, list(METHODS))
    if normalization not in NORMALIZATIONS:
        raise unknown("normalization", normalization, list(NORMALIZATIONS))
    if missing not in MISSING:
        raise unknown("rule for missing documents", missing, MISSING)
    if runs < 2:
        raise UsageError(f"fusion needs at least two runs, not {runs}")
    if not (math.isfinite(rrf_k) and rrf_k >= 0):
        raise UsageError(f"the k of rrf must be 0 or more, not {rrf_k:g}")
    for name, value in (("depth", depth), ("hits", hits)):
        if value is not None and value < 1:
            raise UsageError(f"{name} must be at least 1, not {value}")
    if weights is not None:
        _check_weights(weights, runs, method)


def _check_weights(weights: Sequence[float], runs: int, method: str) -> None:
    if "weights" not in READS[method]:
        raise UsageError(f"method {method} takes no weights (method weighted does)")
    if len(weights) != runs:
        raise UsageError(f"{len(weights)} weights for {runs} runs: give one for each, in the same order")
    if not all(math.isfinite(weight) and weight >= 0 for weight in weights) or not any(weights):
        given = " ".join(f"{weight:g}" for weight in weights)
        raise UsageError(f"weights must be 0 or more, and not all 0; these are {given}")


def _ranked(
    evidence: Evidence, docids: pl.Series, rows: Integers, scores: Floats, hits: int | None
) -> tuple[pl.Series, npt.NDArray[np.float32], Integers]:
    """The rankings of some topics: docids and float32 scores, best first, and how many hits each topic has."""
    order = np.argsort(-scores)
    # A stable sort of small integers is linear.
    order = order[np.argsort(evidence.topic[order].astype(np.min_scalar_type(len(evidence.hits))), kind="stable")]
    topic, scores, rows = evidence.topic[order], scores[order], rows[order]
    tied = np.append(np.zeros(min(1, len(topic)), dtype=bool), (topic[1:] == topic[:-1]) & (scores[1:] == scores[:-1]))
    lengths = np.bincount(topic, minlength=len(evidence.hits))
    place = np.arange(len(order)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    if hits is None or (cut := place < hits).all():
        rows = falling_docids(rows, tied, docids)
    else:
        # What is tied with a hit before the cut stays until ties are settled.
        near = cut[np.maximum.accumulate(np.where(tied, 0, np.arange(len(order))))]
        rows = falling_docids(rows[near], tied[near], docids)[cut[near]]
        scores, lengths = scores[cut], np.minimum(lengths, hits)
    if len(scores) and np.abs(scores).max() > np.finfo(np.float32).max:
        raise ClirError("fused scores are beyond float32: use smaller weights, or normalization minmax")
    return picked(docids, rows), falling(scores, lengths), lengths


def _joined(
    topics: Sequence[str], parts: Sequence[tuple[pl.Series, npt.NDArray[np.float32], Integers]], tag: str
) -> Run:
    if not parts:
        return Run.from_hits({}, tag)
    lengths = np.concatenate([part[2] for part in parts])
    frame = pl.DataFrame(
        {
            "qid": pl.Series(topics, dtype=pl.String).gather(np.repeat(np.arange(len(topics)), lengths)),
            "docid": pl.concat([part[0] for part in parts]),
            "score": np.concatenate([part[1] for part in parts]),
        }
    )
    return Run(frame, tag)
