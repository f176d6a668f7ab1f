"""Measures of a run against qrels: ir_measures' names and trec_eval's numbers, over every judged topic; and mAP@k."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from clir.corpora.qrels import Qrels
from clir.evaluation.graded import highest_grade
from clir.evaluation.measure_names import Measure, parse
from clir.evaluation.providers import is_of_diversity, values_by_topic
from clir.runs.run import Run
from clir.support.errors import ClirError
from clir.support.progress import say

__all__ = ["Measure", "Scores", "aggregate", "check_measures", "check_together", "evaluate", "is_summed", "parse"]

DEFAULT = ("AP", "nDCG@10", "R@100")


@dataclass(frozen=True)
class Scores:
    """The values of a run: `per_topic[qid][measure]` for every judged topic in the order of the qrels, and
    `average[measure]` over all of them, 0 for the topics that the run lacks (trec_eval -c). Measures that
    count (`NumRet`) are summed, not averaged. Measures go by their canonical names."""

    per_topic: dict[str, dict[str, float]]
    average: dict[str, float]

    def values(self, measure: str) -> npt.NDArray[np.float64]:
        """One value per judged topic."""
        return np.array([values[measure] for values in self.per_topic.values()], dtype=np.float64)


def is_summed(measure: Measure | str) -> bool:
    """Whether the measure counts, so that its average is the sum over topics: `NumRet`, `NumRel`."""
    from ir_measures.measures import SumAgg

    return isinstance((parse([measure])[0] if isinstance(measure, str) else measure).aggregator(), SumAgg)


def aggregate(measure: Measure | str, values: Iterable[float]) -> float:
    """The values of all topics as one: their mean, or the sum of what counts."""
    aggregator = (parse([measure])[0] if isinstance(measure, str) else measure).aggregator()
    for value in values:
        aggregator.add(float(value))
    return float(aggregator.result())


def check_together(run: Run, qrels: Qrels) -> None:
    """Raise ClirError if the run has hits, but none for a judged topic."""
    if len(run) and not any(qid in run for qid in qrels.topics):
        raise ClirError(
            f"no topic of the run is in the qrels (run: {_some(run.topics)}; qrels: {_some(qrels.topics)}): "
            "they do not belong together"
        )


def evaluate(run: Run, qrels: Qrels, measures: Sequence[Measure | str]) -> Scores:
    """Score a run against qrels.

    Every package behind ir_measures sees trec_eval's order, by scores that fall with the rank: some have rules of their
    own for ties (RR@10's) or for scores below 0 (Compat's). Raises ClirError if the run has hits, but none for a judged
    topic, and if the qrels have a grade for which a measure is not defined.
    """
    wanted = list(dict.fromkeys(parse([m])[0] if isinstance(m, str) else m for m in measures))
    _check_grades(wanted, qrels)
    judged = run.only(qrels.topics)
    check_together(run, qrels)
    values = _per_topic(judged, qrels, wanted)
    per_topic = {qid: {str(m): values[m][qid] for m in wanted} for qid in qrels.topics}
    return Scores(per_topic, {str(m): aggregate(m, [values[m][qid] for qid in qrels.topics]) for m in wanted})


def check_measures(measures: Iterable[Measure], qrels: Qrels) -> None:
    """Before the work: refuse grades for which a measure is not defined, as `evaluate` does, and say if a measure of
    diversity finds no subtopics in the qrels."""
    measures = list(measures)
    _check_grades(measures, qrels)
    of_diversity = [str(measure) for measure in measures if is_of_diversity(measure)]
    if of_diversity and qrels.judgements.group_by("qid").agg(pl.col("iteration").n_unique())["iteration"].max() == 1:
        say(
            f"{', '.join(of_diversity)}: every topic of the qrels has one subtopic (second column), so there is no "
            "diversity to measure"
        )


def _check_grades(measures: Iterable[Measure], qrels: Qrels) -> None:
    highest = qrels.frame["relevance"].max()
    for measure in measures:
        most = highest_grade(measure)
        if isinstance(highest, int) and most is not None and highest > most:
            raise ClirError(
                f"measure {measure} is defined for grades up to {most}, and the qrels have the grade {highest}: give "
                f"gains of at most {most} (--gains {highest}={most} ...), or take another measure"
            )


def _per_topic(run: Run, qrels: Qrels, measures: Sequence[Measure]) -> dict[Measure, dict[str, float]]:
    judged = qrels.as_dict()
    found = values_by_topic(measures, qrels, judged, run.rankings())
    return {m: {qid: _without_hits(m, judged[qid]) for qid in qrels.topics} | found[m] for m in measures}


def _without_hits(measure: Measure, judged: Mapping[str, int]) -> float:
    """The value for a topic that the run lacks: ir_measures' default, 0, but what only counts the qrels still does
    (as trec_eval -c has it, and ir_measures has not)."""
    if measure.NAME == "NumQ":
        return 1.0
    if measure.NAME == "NumRel":
        return float(sum(relevance >= measure["rel"] for relevance in judged.values()))
    return float(measure.DEFAULT)


def _some(ids: Sequence[str]) -> str:
    return ", ".join(ids[:3]) + (", ..." if len(ids) > 3 else "")
