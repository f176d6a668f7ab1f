"""Where trec_eval 10 would give a run another number than the rules that are followed here, which are trec_eval 9's and
every other evaluator's: scores are compared as float32, and a level of recall is rounded up from a tenth of a document.

trec_eval 10 (2026) compares scores as float64, so that hits which are tied as float32 may change places, and rounds a
level of recall to the nearest number of documents (`m_iprec_at_recall.c`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from clir.corpora.qrels import Qrels
from clir.evaluation.measures import Scores, aggregate, evaluate
from clir.runs.run import Run

# What is less than the last digit that trec_eval prints is no other number.
DIGITS = 4
NAMED = 5


@dataclass(frozen=True)
class Difference:
    """A measure's average here and under trec_eval 10, and the topics whose values differ."""

    measure: str
    here: float
    there: float
    topics: tuple[str, ...]

    def __str__(self) -> str:
        named = ", ".join(self.topics[:NAMED]) + (", ..." if len(self.topics) > NAMED else "")
        return f"{self.measure} {self.there:.4f} instead of {self.here:.4f} (topics: {len(self.topics):,}; {named})"


def differences(run: Run, qrels: Qrels, measures: Sequence[Any], scores: Scores) -> list[Difference]:
    """The measures that have another value for some topic under trec_eval 10; `scores` are the run's, here."""
    moved = _as_double(run, qrels)
    levels = [measure for measure in measures if measure.NAME == "IPrec"]
    there = {qid: dict(values) for qid, values in scores.per_topic.items()}
    if len(moved):
        judged = Qrels.from_lines(qrels.judgements.filter(pl.col("qid").is_in(moved.topics)))
        for qid, values in evaluate(moved, judged, measures).per_topic.items():
            there[qid] |= values
    for measure in levels:
        for qid in qrels.topics:
            hits = (moved if qid in moved else run)[qid]
            if hits:
                value = _interpolated(measure, [hit.docid for hit in hits], qrels[qid])
                there[qid][str(measure)] = there[qid][str(measure)] if value is None else value
    found = []
    for name in map(str, measures):
        topics = [
            qid for qid, values in scores.per_topic.items() if round(values[name] - there[qid][name], DIGITS) != 0
        ]
        if topics:
            average = aggregate(name, [values[name] for values in there.values()])
            found.append(Difference(name, scores.average[name], average, tuple(topics)))
    return found


def _as_double(run: Run, qrels: Qrels) -> Run:
    """The rankings of judged topics that change if scores are compared as float64; none for most runs."""
    if run.doubles is None:
        return Run(run.frame.clear(), run.tag)
    scores = run.doubles.to_numpy()
    rising = np.flatnonzero(scores[1:] > scores[:-1])
    qids = run.frame["qid"]
    inside = qids.gather(rising).to_numpy() == qids.gather(rising + 1).to_numpy()
    topics = set(qids.gather(rising[inside]).to_list())
    lines = run.frame.with_columns(double=run.doubles).filter(pl.col("qid").is_in([q for q in qrels if q in topics]))
    lines = lines.sort("qid", "double", "docid", descending=[False, True, True])
    # Scores that fall with the rank: what they were is lost in float32.
    falling = -pl.int_range(pl.len(), dtype=pl.Int32).over("qid").cast(pl.Float32)
    return Run(lines.select("qid", "docid", score=falling), run.tag)


def _interpolated(measure: Any, ranking: Sequence[str], judged: Mapping[str, int]) -> float | None:
    """IPrec with the level of recall as trec_eval 10 rounds it; None where it is the same number of documents."""
    level, rel = measure["recall"], measure["rel"]
    relevant = sum(grade >= rel for grade in judged.values())
    # lround: halves go away from 0.
    cut = math.floor(level * relevant + 0.5)
    if cut == int(level * relevant + 0.9):
        return None
    if measure["judged_only"]:
        ranking = [docid for docid in ranking if judged.get(docid, -1) >= 0]
    hits = np.array([judged.get(docid, -1) >= rel for docid in ranking], dtype=np.int64)
    so_far = np.cumsum(hits)
    precisions = so_far / np.arange(1, len(hits) + 1)
    return float(precisions[so_far >= cut].max(initial=0.0))
