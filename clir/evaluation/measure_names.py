"""Names of measures: ir_measures' and ours, with words that help where one means nothing or lacks something."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import Any

from clir.corpora.qrels_forms import HIGHEST
from clir.evaluation.average_precision import NAME, CutAveragePrecision
from clir.evaluation.graded import own_value
from clir.evaluation.providers import computed, is_of_diversity, judged_only
from clir.support.errors import ClirError, UsageError, quoted

# ir_measures' measure object; its package has no types.
Measure = Any
# Words of a list of measures: white space inside brackets does not split.
_WORD = re.compile(r"(?:[^\s(]|\([^)]*\))+")
# Names of other programs for measures that ir_measures has under its own.
_ELSEWHERE = {
    "hit": "Success", "hits": "Success", "hit_rate": "Success", "hitrate": "Success",
    "f1": "SetF", "f": "SetF", "rbp": "RBP(rel=1)", "unj": "Judged", "unjudged": "Judged",
    "alpha_ndcg_cut": "alpha_nDCG",
}  # fmt: skip
# What `trec_eval -m` takes beside the measures that ir_measures has.
_SETS = ("official", "all_trec", "all_prefs", "prefs", "all_qrels_jg", "qrels_jg", "set")
_ONLY_TREC = re.compile(
    r"(?:11pt_avg|G|Rndcg|Rprec_mult(?:_avgjg)?|binG|gm_bpref|gm_map|map_avgjg|P_avgjg|ndcg_p|ndcg_rel|"
    r"num_nonrel_judged_ret|prefs_\w+|rbp_resid|relative_P|relstring|runid|utility|yaap)(?:[._][\d.,]+)?"
)
# Of measures that want one, an example.
_EXAMPLES = {"cutoff": 10, "recall": 0.1, "rel": 1, "max_rel": 3}
# As far as pyndeval counts.
DIVERSITY_CUTOFF = 20


def parse(names: Iterable[str]) -> list[Measure]:
    """ir_measures' measures from names such as `AP`, `nDCG@10`, `P(rel=2)@5`, and ours, `mAP@20`; a repeated one
    counts once.

    A name may hold several, separated by blanks. Raises UsageError for a name that means nothing or lacks a parameter,
    and ClirError for a measure whose package is not installed.
    """
    words = [word for name in names for word in _WORD.findall(name)]
    if not words:
        raise UsageError("no measure given (for example: AP nDCG@10 R@100)")
    return list(dict.fromkeys(_parse_one(word) for word in words))


def _parse_one(text: str) -> Measure:
    try:
        measure = _by_name(text)
    except NameError as error:
        raise _unknown(text) from error
    except (ValueError, AssertionError, KeyError, TypeError) as error:
        if hint := _elsewhere(text):
            raise UsageError(f"unknown measure {text!r}; {hint}") from error
        raise _badly_formed(text) from error
    if (cutoff := measure.params.get("cutoff")) is True or (isinstance(cutoff, int) and cutoff < 1):
        # The evaluators in C crash on such values.
        raise UsageError(f"measure {text!r}: a cutoff is an integer from 1")
    if isinstance(cutoff, int) and cutoff > HIGHEST:
        raise UsageError(f"measure {text!r}: a cutoff must be at most {HIGHEST:,}")
    _check_parameters(text, measure)
    _check_values(text, measure)
    _check_provided(text, measure)
    return measure


def _by_name(text: str) -> Measure:
    """ir_measures' measure, or ours; errors are ir_measures'."""
    import ir_measures

    if re.match(rf"{NAME}\b", text):
        # Its parameters are written as those of AP.
        return CutAveragePrecision(**ir_measures.parse_measure("AP" + text.removeprefix(NAME)).params)
    return ir_measures.parse_measure(text)


def _badly_formed(text: str) -> UsageError:
    if parts := re.fullmatch(r"[\w@.]+(?:,[\w@.]+)+", text):
        return UsageError(
            f"measure {text!r} is not well formed: blanks separate measures: {parts[0].replace(',', ' ')}"
        )
    return UsageError(f"measure {text!r} is not well formed (as in nDCG@10 or P(rel=2)@5)")


def _check_parameters(text: str, measure: Measure) -> None:
    """UsageError for a parameter that the measure has not, lacks, or cannot take."""
    supported = measure.SUPPORTED_PARAMS
    for name, value in measure.params.items():
        if name not in supported:
            raise UsageError(
                f"measure {text!r}: {measure.NAME} has no parameter {name} (it has {', '.join(supported)})"
            )
        if not supported[name].validate(value):
            if isinstance(value, int) and not isinstance(value, bool) and supported[name].dtype is float:
                measure.params[name] = float(value)
                continue
            raise UsageError(f"measure {text!r}: {name} is {_kind(supported[name])}, not {quoted(value, 40)}")
    lacking = [name for name, info in supported.items() if info.required and name not in measure.params]
    if lacking == ["cutoff"]:
        raise UsageError(f"measure {text!r} is not well formed: it needs a cutoff, as in {_example(measure, lacking)}")
    if lacking:
        raise _lacking(text, measure, lacking)


def _kind(info: Any) -> str:
    words = {int: "an integer", float: "a number", bool: "True or False", dict: "{grade: gain, ...}"}
    if isinstance(info.choices, list | tuple):
        return " or ".join(map(repr, info.choices))
    return words.get(info.dtype, "something else")


def _lacking(text: str, measure: Measure, lacking: list[str]) -> UsageError:
    what = ", ".join(f"{name} ({_meaning(measure.SUPPORTED_PARAMS[name])})" for name in lacking)
    package = _package(measure(**{name: _EXAMPLES.get(name, 1) for name in lacking}))
    needs = f"; it also needs {package}" if package else ""
    return UsageError(f"measure {text!r} lacks {what}: write {_example(measure, lacking)}{needs}")


def _meaning(info: Any) -> str:
    return str(info.desc).partition(",")[0].partition(" (")[0]


def _example(measure: Measure, lacking: list[str]) -> str:
    at = measure.params.get(measure.AT_PARAM, _EXAMPLES.get(measure.AT_PARAM) if measure.AT_PARAM in lacking else None)
    inside = [f"{name}={value!r}" for name, value in measure.params.items() if name != measure.AT_PARAM]
    inside += [f"{name}={_EXAMPLES.get(name, 1)}" for name in lacking if name != measure.AT_PARAM]
    return measure.__name__ + (f"({','.join(inside)})" if inside else "") + (f"@{at}" if at is not None else "")


def _check_values(text: str, measure: Measure) -> None:
    """UsageError for values that a package would read as others, or crash on."""
    import ir_measures

    parameters = measure.params
    least = 1 if ir_measures.pytrec_eval.supports(computed(measure)) else 0
    if parameters.get("rel", least) < least:
        raise UsageError(f"measure {text!r}: rel, the least grade that counts as relevant, is at least {least}")
    recall = parameters.get("recall")
    if recall is not None and not (0 <= recall <= 1 and round(recall, 2) == recall):
        raise UsageError(f"measure {text!r}: a level of recall is between 0 and 1, with two digits at most")
    for grade, gain in parameters.get("gains", {}).items():
        if type(grade) is not int or type(gain) is not int or not 0 <= gain <= HIGHEST:
            raise UsageError(f"measure {text!r}: gains are integers from 0 to {HIGHEST:,} for integers")
    for name in ("p", "alpha"):
        if name in parameters and not 0 <= parameters[name] <= 1:
            raise UsageError(f"measure {text!r}: {name} is between 0 and 1")
    if "max_rel" in parameters and not measure["min_rel"] < measure["max_rel"]:
        raise UsageError(f"measure {text!r}: max_rel is above min_rel ({measure['min_rel']})")
    if is_of_diversity(measure) and "cutoff" in measure.SUPPORTED_PARAMS:
        if "cutoff" not in parameters:
            raise UsageError(
                f"measure {text!r} is not well formed: it needs a cutoff, as in {_example(measure, ['cutoff'])}"
            )
        if parameters["cutoff"] > DIVERSITY_CUTOFF:
            raise UsageError(f"measure {text!r}: its package, pyndeval, counts to a cutoff of {DIVERSITY_CUTOFF}")


def _check_provided(text: str, measure: Measure) -> None:
    """UsageError if no package computes the measure with these parameters, ClirError if none that does is installed."""
    import ir_measures

    asked = computed(measure) if judged_only(measure) else measure
    if own_value(measure) or ir_measures.DefaultPipeline.supports(asked):
        return
    if package := _package(asked):
        raise ClirError(f"measure {measure} needs {package}")
    for provider in ir_measures.DefaultPipeline.providers:
        for supported in provider.SUPPORTED_MEASURES:
            # Parameters that are optional by name, and that every package wants.
            lacking = [
                name for name, spec in supported.params.items()
                if getattr(spec, "required", False) and name not in measure.params
            ]  # fmt: skip
            if supported.NAME == measure.NAME and lacking:
                raise _lacking(text, measure, lacking)
    raise UsageError(f"measure {measure}: nothing computes it with these parameters")


def _package(measure: Measure) -> str:
    """The package that computes a measure and is not installed, in words; empty if there is none."""
    import ir_measures

    able = [one for one in ir_measures.DefaultPipeline.providers if one.supports(measure)]
    if any(one.is_available() for one in able):
        return ""
    instructions = [one.install_instructions() or one.NAME for one in able]
    return f"a package that is not installed: {' or '.join(instructions)}" if instructions else ""


def _unknown(text: str) -> UsageError:
    import ir_measures

    if hint := _elsewhere(text):
        return UsageError(f"unknown measure {text!r}; {hint}")
    known = [*ir_measures.measures.registry, NAME]
    name = re.match(r"\w*", text).group()  # type: ignore[union-attr]
    same = [other for other in known if other.casefold() == name.casefold()]
    near = same or difflib.get_close_matches(name, known, n=1)
    if near:
        return UsageError(f"unknown measure {text!r}; did you mean {near[0] + text[len(name) :]!r}?")
    return UsageError(f"unknown measure {text!r}; ir_measures' names are meant: AP, nDCG@10, R@100, RR@10")


def _elsewhere(text: str) -> str:
    """What a name of trec_eval's, or of another program's, is called here; empty for any other."""
    if text in _SETS:
        return "trec_eval's name for several measures: name each (for example: AP nDCG@10 R@100)"
    if _ONLY_TREC.fullmatch(text):
        return "trec_eval has this measure, ir_measures and clir do not"
    name, _, cutoff = text.partition("@")
    if found := _from_trec_name(name):
        if cutoff and len(found) > 1:
            found = [f"{found[0].partition('@')[0]}@{cutoff}"]
        elif cutoff and "@" not in found[0]:
            found = [f"{found[0]}@{cutoff}"]
        return f"did you mean {' '.join(found)!r}?"
    name, argument = re.match(r"(.*?)(?:[._@](\d+))?$", text, re.DOTALL).groups()  # type: ignore[union-attr]
    if word := _ELSEWHERE.get(name.casefold()):
        takes_cutoff = word in ("Success", "Judged", "alpha_nDCG")
        return f"did you mean {word + (f'@{argument or 10}' if takes_cutoff else '')!r}?"
    return ""


def _from_trec_name(text: str) -> list[str]:
    """The measures that trec_eval calls `text`, or none."""
    import ir_measures

    if not re.fullmatch(r"\w+(?:\.[\d.,]+|_[\d.,]+)?", text):
        return []
    try:
        return [str(found) for found in ir_measures.parse_trec_measure(text)]
    except (ValueError, KeyError, TypeError):
        return []
