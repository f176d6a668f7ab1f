"""Cleaning of bitext: filters, de-duplication, and removal of whatever is also in a test set."""

from __future__ import annotations

from collections.abc import Iterable

from clir.corpora.bitext import Pair, Report
from clir.corpora.language_guess import wrong_languages
from clir.corpora.leakage import TestTexts
from clir.corpora.text import normalised


def clean(
    pairs: Iterable[Pair], *, max_ratio: float = 4.0, max_characters: int = 1000, language_guess: bool = True
) -> tuple[list[Pair], Report]:
    """The pairs worth training on, in their order, and how many were dropped, by reason.

    A pair is dropped if a side has no letter or digit; if both sides are the same once normalised;
    if a side has more than `max_characters` characters; if one side, counted with 10 characters
    more, is over `max_ratio` times as long as the other (so that short pairs are not judged by a
    letter or two); if a pair with the same normalised sides in that language came before; and, with
    `language_guess`, if a side is clearly in another of the languages of the pairs that are left
    (`language_guess.wrong_languages`).
    """
    kept: list[Pair] = []
    report = Report()
    seen: set[tuple[str, str, str]] = set()
    for pair in pairs:
        key = (pair.language, normalised(pair.english), normalised(pair.foreign))
        reason = _unfit(pair, key, max_ratio, max_characters) or ("duplicate" if key in seen else "")
        if reason:
            report.drop(reason, pair)
            continue
        seen.add(key)
        kept.append(pair)
    if language_guess:
        kept = _in_their_languages(kept, report)
    report["kept"] = len(kept)
    return kept, report


def _in_their_languages(pairs: list[Pair], report: Report) -> list[Pair]:
    kept: list[Pair] = []
    for pair, reason in zip(pairs, wrong_languages(pairs), strict=True):
        if reason:
            report.drop(reason, pair)
        else:
            kept.append(pair)
    return kept


def _unfit(pair: Pair, key: tuple[str, str, str], max_ratio: float, max_characters: int) -> str:
    lengths = sorted((len(pair.english), len(pair.foreign)))
    if not key[1] or not key[2]:
        return "no letters"
    if key[1] == key[2]:
        return "sides are the same"
    if lengths[1] > max_characters:
        return "too long"
    if lengths[1] + 10 > max_ratio * (lengths[0] + 10):
        return "lengths differ too much"
    return ""


def remove_leaks(
    pairs: Iterable[Pair], texts: Iterable[str], *, jaccard: float = 0.7, containment: float = 0.9
) -> tuple[list[Pair], Report]:
    """The pairs of which neither side is in a test set, and how many were dropped, by reason.

    `texts` are the topics, documents or sentences that will be reported on, in any language; each
    counts as a whole and sentence by sentence. A side leaks if it equals one of them once
    normalised (`english is in the test`), or nearly: with `jaccard` of the character 5-grams of
    both shared, or `containment` of a test sentence's 5-grams (20 or more) inside the side
    (`english is nearly in the test`); the same for `foreign`.
    """
    pairs = list(pairs)
    test = TestTexts(texts, jaccard=jaccard, containment=containment)
    kept: list[Pair] = []
    report = Report()
    for pair, reason in zip(pairs, test.leaks(pairs), strict=True):
        if reason:
            report.drop(reason, pair)
        else:
            kept.append(pair)
    report["kept"] = len(kept)
    return kept, report
