"""Measures of a run against qrels: ir_measures' names and trec_eval's numbers, over every judged topic; and mAP@k."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from clir.corpora.qrels import Qrels
from clir.runs.run import Run
from clir.support.errors import ClirError, UsageError

DEFAULT = ("AP", "nDCG@10", "R@100")
# ir_measures' measure object; its package has no types.
Measure = Any
# Words of a list of measures: white space inside brackets does not split.
_WORD = re.compile(r"(?:[^\s(]|\([^)]*\))+")
# Parameters that may differ between measures of one call to a provider.
_CUTOFFS = ("cutoff", "recall")


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


def parse(names: Iterable[str]) -> list[Measure]:
    """ir_measures' measures from names such as `AP`, `nDCG@10`, `P(rel=2)@5`, and ours, `mAP@20`; a repeated one
    counts once.

    A name may hold several, separated by blanks. Raises UsageError for a name that means nothing, and
    ClirError for a measure whose package is not installed.
    """
    words = [word for name in names for word in _WORD.findall(name)]
    if not words:
        raise UsageError("no measure given (for example: AP nDCG@10 R@100)")
    return list(dict.fromkeys(_parse_one(word) for word in words))


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

    The run's scores are made distinct first, so that every provider behind ir_measures sees trec_eval's order
    (RR@10, for one, comes from a provider that has its own rule for ties). Raises ClirError if the run has
    hits, but none for a judged topic.
    """
    wanted = list(dict.fromkeys(parse([m])[0] if isinstance(m, str) else m for m in measures))
    judged = Run(run.frame.filter(pl.col("qid").is_in(qrels.topics)), run.tag)
    check_together(run, qrels)
    values = _per_topic(judged, qrels, wanted)
    per_topic = {qid: {str(m): values[m][qid] for m in wanted} for qid in qrels.topics}
    return Scores(per_topic, {str(m): aggregate(m, [values[m][qid] for qid in qrels.topics]) for m in wanted})


def _per_topic(run: Run, qrels: Qrels, measures: Sequence[Measure]) -> dict[Measure, dict[str, float]]:
    import ir_measures

    rankings, judgements = run.distinct().as_dict(), qrels.as_dict()
    values = {m: {qid: _without_hits(m, judgements[qid]) for qid in qrels.topics} for m in measures}
    theirs, ours = [m for m in measures if not _is_ours(m)], [m for m in measures if _is_ours(m)]
    for measure in ours:
        values[measure] |= {qid: measure.value(ranking, judgements[qid]) for qid, ranking in rankings.items()}
    # One call for each set of parameters: in a mixed call ir_measures lets some measures see the
    # parameters of others (NumRet counts judged documents only, beside a judged_only measure).
    calls: dict[str, list[Measure]] = {}
    for measure in theirs:
        parameters = sorted((k, repr(v)) for k, v in measure.params.items() if k not in _CUTOFFS)
        calls.setdefault(repr(parameters), []).append(measure)
    for call in calls.values():
        for metric in ir_measures.iter_calc(call, judgements, rankings):
            if metric.query_id in rankings:
                values[metric.measure][metric.query_id] = float(metric.value)
    return values


def _without_hits(measure: Measure, judged: Mapping[str, int]) -> float:
    """The value for a topic that the run lacks: ir_measures' default, 0, but what only counts the qrels still does
    (as trec_eval -c has it, and ir_measures has not)."""
    if measure.NAME == "NumQ":
        return 1.0
    if measure.NAME == "NumRel":
        return float(sum(relevance >= measure["rel"] for relevance in judged.values()))
    return float(measure.DEFAULT)


def _is_ours(measure: Measure) -> bool:
    from clir.evaluation.average_precision import CutAveragePrecision

    return isinstance(measure, CutAveragePrecision)


def _by_name(text: str) -> Measure:
    """ir_measures' measure, or ours; errors are ir_measures'."""
    import ir_measures

    from clir.evaluation.average_precision import NAME, CutAveragePrecision

    if re.match(rf"{NAME}\b", text):
        # Its parameters are written as those of AP.
        return CutAveragePrecision(**ir_measures.parse_measure("AP" + text.removeprefix(NAME)).params)
    return ir_measures.parse_measure(text)


def _parse_one(text: str) -> Measure:
    try:
        measure = _by_name(text)
        measure.validate_params()
    except NameError as error:
        raise _unknown(text) from error
    except (ValueError, AssertionError, KeyError, TypeError) as error:
        raise UsageError(f"measure {text!r} is not well formed{_hint(text, str(error))}") from error
    cutoff = measure.params.get("cutoff", 1)
    # The evaluators in C crash on such values.
    if isinstance(cutoff, bool) or (isinstance(cutoff, int) and cutoff < 1):
        raise UsageError(f"measure {text!r}: a cutoff is an integer from 1")
    _check_provided(measure)
    return measure


def _check_provided(measure: Measure) -> None:
    import ir_measures

    if _is_ours(measure) or ir_measures.DefaultPipeline.supports(measure):
        return
    missing = [p for p in ir_measures.DefaultPipeline.providers if p.supports(measure)]
    instructions = [p.install_instructions() or p.NAME for p in missing]
    if instructions:
        raise ClirError(f"measure {measure} needs a package that is not installed: {' or '.join(instructions)}")
    raise UsageError(f"measure {measure}: nothing computes it with these parameters")


def _unknown(text: str) -> UsageError:
    import ir_measures

    from clir.evaluation.average_precision import NAME

    known = [*ir_measures.measures.registry, NAME]
    name = re.match(r"\w*", text).group()  # type: ignore[union-attr]
    same = [other for other in known if other.casefold() == name.casefold()]
    near = same or difflib.get_close_matches(name, known, n=1)
    suggestion = _from_trec_name(text) or (near[0] + text[len(name) :] if near else "")
    hint = f"did you mean {suggestion!r}?" if suggestion else "ir_measures' names are meant: AP, nDCG@10, R@100, RR@10"
    return UsageError(f"unknown measure {text!r}; {hint}")


def _from_trec_name(text: str) -> str:
    """The measure that trec_eval calls `text`, or nothing."""
    import ir_measures

    try:
        found = ir_measures.parse_trec_measure(text)
    except (ValueError, KeyError, TypeError):
        return ""
    return str(found[0]) if len(found) == 1 else ""


def _hint(text: str, reason: str) -> str:
    if "cutoff" in reason and "@" not in text:
        return f": it wants a cutoff, as in {text}@10"
    return " (as in nDCG@10 or P(rel=2)@5)"


def _some(ids: Sequence[str]) -> str:
    return ", ".join(ids[:3]) + (", ..." if len(ids) > 3 else "")
