"""Scores of different runs on one scale: normalised over the hits that are fused, within each topic but for
`over_topics`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from clir.runs.run import Run, ordered

Floats = npt.NDArray[np.float64]
Scalar = TypeVar("Scalar", bound=np.generic)


def minmax(run: Run) -> Floats:
    """(score - min) / (max - min) within each topic, so from 0 to 1; 1 throughout where all scores are equal.

    A single hit is such a case. Scores count as equal, too, if they differ by no more than the float32 steps
    that keep ties apart in a written run.
    """
    above, equal = _above_the_least(run)
    spread = np.where(equal, 1.0, above[_first(run)])
    return np.where(_each(run, equal), 1.0, above / _each(run, spread))


def zscore(run: Run) -> Floats:
    """(score - mean) / standard deviation (of the population) within each topic; 0 where all scores are equal, as in
    `minmax`. Montague and Aslam's "ZMUV" (Relevance Score Normalization for Metasearch, CIKM 2001)."""
    above, equal = _above_the_least(run)
    lengths = np.maximum(run.lengths, 1)
    centred = above - _each(run, _sums(run, above) / lengths)
    deviation = np.sqrt(_sums(run, np.square(centred)) / lengths)
    return np.where(_each(run, equal), 0.0, centred / _each(run, np.where(equal, 1.0, deviation)))


def unit_sum(run: Run) -> Floats:
    """(score - min) / sum of (score - min) within each topic, so that a topic's scores sum to 1; 1 / n each where all
    n scores are equal, as in `minmax`. Montague and Aslam's "sum" (CIKM 2001)."""
    above, equal = _above_the_least(run)
    total = np.where(equal, 1.0, _sums(run, above))
    return np.where(_each(run, equal), _each(run, 1.0 / np.maximum(run.lengths, 1)), above / _each(run, total))


def by_rank(run: Run) -> Floats:
    """1 - (rank - 1) / n within each topic of n hits: from 1 down to 1 / n, whatever the scores."""
    return 1.0 - (run.ranks - 1) / _each(run, run.lengths)


def over_topics(run: Run) -> Floats:
    """(score - mean) / standard deviation (of the population) over the hits of all topics; 0 where all are equal, as in
    `minmax`.

    What a run says in general is taken out, and what it says of one topic stays: a run that finds little for a topic
    is not lifted to the level of one that finds much, as it is by normalisation within the topic.
    """
    scores = as_they_are(run)
    if not len(scores):
        return scores
    highest, lowest = (ordered(np.array([end], dtype=np.float32))[0] for end in (scores.max(), scores.min()))
    if highest - lowest < run.lengths.max():
        return np.zeros_like(scores)
    centred = scores - scores.mean()
    return centred / float(np.sqrt(np.square(centred).mean()))


def as_they_are(run: Run) -> Floats:
    """The run's own scores."""
    return run.frame["score"].to_numpy().astype(np.float64)


NORMALIZATIONS: dict[str, Callable[[Run], Floats]] = {
    "minmax": minmax,
    "zscore": zscore,
    "sum": unit_sum,
    "rank": by_rank,
    "over-topics": over_topics,
    "none": as_they_are,
}


def _above_the_least(run: Run) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """How far each score is above the least of its topic; and for each topic, whether its scores are all equal."""
    scores = run.frame["score"].to_numpy()
    first, last = _first(run), np.cumsum(run.lengths) - 1
    equal = ordered(scores[first]) - ordered(scores[last]) < run.lengths
    return scores - _each(run, scores[last].astype(np.float64)), equal


def _first(run: Run) -> npt.NDArray[np.int64]:
    """The line of each topic's first hit."""
    return np.cumsum(run.lengths) - run.lengths


def _each(run: Run, per_topic: npt.NDArray[Scalar]) -> npt.NDArray[Scalar]:
    """A value of each topic, for every line."""
    return np.repeat(per_topic, run.lengths)


def _sums(run: Run, per_line: Floats) -> Floats:
    return np.add.reduceat(per_line, _first(run)) if len(run) else np.zeros(0)
