"""What ir_measures' packages are given, and how their values come back: topics under numbers, rankings in one order
without ties, subtopics for the measures of diversity, and a topic that a package cannot score named and not fatal."""

from __future__ import annotations

import contextlib
import io
import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from clir.corpora.qrels import Qrels
from clir.evaluation.graded import own_value
from clir.support.errors import ClirError
from clir.support.progress import say

# `{qid: {docid: score}}`, every ranking from its best hit on.
Rankings = Mapping[str, Mapping[str, float]]
# `{qid: {docid: grade}}`.
Judged = Mapping[str, Mapping[str, int]]
# `{measure: {qid: value}}`.
Values = dict[Any, dict[str, float]]
# Parameters that may differ between measures of one call to a package.
_CUTOFFS = ("cutoff", "recall")
# How many topics are named in a message.
NAMED = 5


def values_by_topic(measures: Sequence[Any], qrels: Qrels, judged: Judged, rankings: Rankings) -> Values:
    """The value of every measure for every topic that has a ranking; all of these are judged, `judged` is the qrels as
    dictionaries.

    The scores of a ranking fall strictly. Topics reach the packages as numbers: some read ids as numbers. A package
    that fails for a topic leaves it at the measure's default, and this is said; ClirError if it fails for all.
    """
    found: Values = {measure: {} for measure in measures}
    calls: dict[tuple[bool, str], list[Any]] = {}
    for measure in measures:
        if value := own_value(measure):
            hits = _judged_only(rankings, judged) if judged_only(measure) else rankings
            found[measure] = {qid: value(ranking, judged[qid]) for qid, ranking in hits.items()}
        else:
            # One call for each set of parameters: in a mixed call ir_measures lets some measures see the
            # parameters of others (NumRet counts judged documents only, beside a judged_only measure).
            parameters = repr(sorted((k, repr(v)) for k, v in measure.params.items() if k not in _CUTOFFS))
            calls.setdefault((judged_only(measure), parameters + str(is_of_diversity(measure))), []).append(measure)
    numbers = {qid: str(number) for number, qid in enumerate(qrels.topics)}
    for (condensed, _), call in calls.items():
        given = _Given(qrels, judged, _judged_only(rankings, judged) if condensed else rankings, numbers)
        for measure, topics in _called(call, given).items():
            found[measure] = topics
    return found


def judged_only(measure: Any) -> bool:
    """Whether unjudged hits are left out before the measure looks at a ranking."""
    return bool(measure.params.get("judged_only", False))


def computed(measure: Any) -> Any:
    """The measure as a package is asked for it: unjudged hits are left out before."""
    return type(measure)(**{k: v for k, v in measure.params.items() if k != "judged_only"})


def is_of_diversity(measure: Any) -> bool:
    """Whether the measure looks at subtopics."""
    import ir_measures

    return measure.NAME in {supported.NAME for supported in ir_measures.pyndeval.SUPPORTED_MEASURES}


def _judged_only(rankings: Rankings, judged: Judged) -> Rankings:
    """The rankings without their unjudged hits, as `clir.evaluation.gains.judged_only` leaves them."""
    kept = {
        qid: {docid: score for docid, score in ranking.items() if judged[qid].get(docid, -1) >= 0}
        for qid, ranking in rankings.items()
    }
    return {qid: ranking for qid, ranking in kept.items() if ranking}


class _Given:
    """Judgements and rankings as packages take them."""

    def __init__(self, qrels: Qrels, judged: Judged, rankings: Rankings, numbers: Mapping[str, str]) -> None:
        self.qrels, self.judged, self.rankings, self.numbers = qrels, judged, rankings, numbers

    def only(self, qid: str) -> _Given:
        """One topic alone."""
        lines = self.qrels.judgements
        alone = Qrels.from_lines(lines.filter(lines["qid"] == qid))
        return _Given(alone, {qid: self.judged[qid]}, {qid: self.rankings[qid]}, {qid: self.numbers[qid]})

    def judgements(self, diversity: bool) -> Any:
        """As ir_measures takes them: with subtopics where these are asked for."""
        from ir_measures import Qrel

        if not diversity:
            return {self.numbers[qid]: _without_crash(grades) for qid, grades in self.judged.items()}
        return [Qrel(self.numbers[qid], docid, relevance, iteration) for qid, iteration, docid, relevance in
                self.qrels.judgements.iter_rows()]  # fmt: skip


def _without_crash(grades: Mapping[str, int]) -> Mapping[str, int]:
    """The grades of a topic with one at least that is not below 0: trec_eval's code, which counts the documents of each
    grade from 0 on, reads beyond its memory otherwise. No docid has a blank in it, and 0 changes no value."""
    return grades if max(grades.values()) >= 0 else {**grades, "no document": 0}


def _called(call: Sequence[Any], given: _Given) -> Values:
    """The values of measures that can share one call."""
    try:
        found = _computed(call, given)
    except Exception as error:
        # Whatever a package raises: it stands for the topic that it could not score, and is said.
        if len(call) > 1:
            return {measure: values for one in call for measure, values in _called([one], given).items()}
        return {call[0]: _topic_by_topic(call[0], given, error)}
    return {measure: _numbers(measure, values, given) for measure, values in found.items()}


def _topic_by_topic(measure: Any, given: _Given, first: Exception) -> dict[str, float]:
    found: dict[str, float] = {}
    failed: list[str] = []
    for qid in given.rankings:
        try:
            found |= _computed([measure], given.only(qid))[measure]
        except Exception:
            failed.append(qid)
    _say_failed(measure, failed, given, f"{type(first).__name__}: {first}")
    return _numbers(measure, found, given)


def _numbers(measure: Any, values: dict[str, float], given: _Given) -> dict[str, float]:
    """The values that are numbers: some packages divide by 0 in their own way."""
    failed = [qid for qid, value in values.items() if not math.isfinite(value)]
    if not failed:
        return values
    _say_failed(measure, failed, given, f"the value is {values[failed[0]]}")
    return {qid: value for qid, value in values.items() if math.isfinite(value)}


def _say_failed(measure: Any, failed: Sequence[str], given: _Given, reason: str) -> None:
    reason = reason.strip().splitlines()[0].rstrip(":")
    if len(failed) == len(given.rankings):
        raise ClirError(f"measure {measure} cannot be computed for any topic of the run ({reason})")
    names = ", ".join(failed[:NAMED]) + (", ..." if len(failed) > NAMED else "")
    say(
        f"measure {measure} cannot be computed for {len(failed):,} topics ({reason}), which count "
        f"{measure.DEFAULT:g}: {names}"
    )


def _computed(call: Sequence[Any], given: _Given) -> Values:
    import ir_measures

    asked = {computed(measure): measure for measure in call}
    qids = {given.numbers[qid]: qid for qid in given.rankings}
    rankings = {number: given.rankings[qid] for number, qid in qids.items()}
    judgements = given.judgements(is_of_diversity(call[0]))
    found: Values = {measure: {} for measure in call}
    with _quiet():
        for metric in ir_measures.iter_calc(list(asked), judgements, rankings):
            if metric.query_id in qids:
                found[asked[metric.measure]][qids[metric.query_id]] = float(metric.value)
    return found


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without ir_measures' warnings: what they warn of is refused or said in one line before."""
    logger = logging.getLogger("ir_measures.cwl_eval")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        logger.setLevel(level)
