"""Which analyzer cuts a language's text into terms: Anserini's where it has one, otherwise one that is asked for."""

from __future__ import annotations

from typing import Any

from clir.corpora.languages import language as canonical
from clir.corpora.languages import language_name
from clir.indexing.terms import Cutter, UnicodeWords, subwords_of
from clir.support.errors import UsageError, unknown

# Anserini's AnalyzerMap, and English. For other codes Anserini takes the English analyzer without a word, except for
# ha, so, sw and yo: those get white space.
WITH_ANALYZER = (
    "ar", "bn", "da", "de", "en", "es", "fa", "fi", "fr", "hi", "hu", "id", "it",
    "ja", "ko", "nl", "no", "pl", "pt", "ru", "sv", "te", "th", "tr", "uk", "zh",
)  # fmt: skip
# For any language: terms are what stands between white space, case and punctuation included (Pyserini's
# --pretokenized, and its --language for ha, so, sw, yo) ...
WHITESPACE = "whitespace"
# ... or Lucene's words in lower case, without stemming and stop words (Pyserini's --stemmer none --keepStopwords) ...
STANDARD = "standard"
# ... or words of the text in one Unicode form, with accents or without, or a model's subwords (`clir.indexing.terms`).
UNICODE, FOLDED, SUBWORDS = "unicode", "unicode-folded", "subwords"
SUBWORDS_OF = f"{SUBWORDS}:"
FOR_ANY_LANGUAGE = (UNICODE, FOLDED, STANDARD, WHITESPACE)
ANALYZERS = (*WITH_ANALYZER, *FOR_ANY_LANGUAGE)


def choose_analyzer(language: str, analyzer: str | None = None) -> str:
    """The analyzer for documents in `language`: the one asked for, else the language's own.

    Raises UsageError for an unknown language or analyzer, and for a language without an analyzer when none is
    asked for: Anserini would silently stem it as English.
    """
    code = canonical(language)
    if analyzer is not None:
        return known_analyzer(analyzer)
    if code not in WITH_ANALYZER:
        raise UsageError(
            f"Anserini has no analyzer for {code!r}: choose with --analyzer: {UNICODE} (words, in one form), {FOLDED} "
            f"(without accents too), {SUBWORDS_OF}MODEL (a model's own), {STANDARD} (Lucene's words), {WHITESPACE} (as "
            f"Pyserini does for ha, so, sw, yo), or a language's: {', '.join(WITH_ANALYZER)}"
        )
    return code


def known_analyzer(name: str) -> str:
    """`name` if it is an analyzer (`english` counts as `en`); UsageError with the list of them otherwise."""
    if name.startswith(SUBWORDS_OF) and name != SUBWORDS_OF:
        return name
    if name.rstrip(":") == SUBWORDS:
        raise UsageError(f"the analyzer {SUBWORDS_OF}MODEL needs a model: its folder or hub id")
    codes = {language_name(code).lower(): code for code in WITH_ANALYZER}
    code = codes.get(name.lower(), name)
    if code not in ANALYZERS:
        raise unknown("analyzer", name, (*ANALYZERS, f"{SUBWORDS_OF}MODEL"))
    return code


def cutter_of(analyzer: str) -> Cutter | None:
    """What cuts text for `analyzer` before Lucene splits it at spaces; None where Lucene does all of it.

    Raises UsageError for `subwords:MODEL` with a model that has no tokenizer of its own.
    """
    if analyzer in (UNICODE, FOLDED):
        return UnicodeWords(fold=analyzer == FOLDED)
    if analyzer.startswith(SUBWORDS_OF):
        return subwords_of(analyzer.removeprefix(SUBWORDS_OF))
    return None


def indexing_arguments(analyzer: str) -> list[str]:
    """The options that make Anserini's IndexCollection use `analyzer`."""
    if _at_spaces(analyzer):
        return ["-language", "en", "-pretokenized"]
    if analyzer == STANDARD:
        return ["-language", "en", "-stemmer", "none", "-keepStopwords"]
    return ["-language", analyzer]


def java_analyzer(analyzer: str) -> Any:
    """The Java object that analyses queries (cut already, if `analyzer` cuts) as the documents were."""
    from clir.support.jvm import java_class

    if _at_spaces(analyzer):
        return java_class("org.apache.lucene.analysis.core.WhitespaceAnalyzer")()
    if analyzer == STANDARD:
        return java_class("io.anserini.analysis.DefaultEnglishAnalyzer").fromArguments("none", True, None)
    if analyzer == "en":
        return java_class("io.anserini.index.IndexCollection").DEFAULT_ANALYZER
    return java_class("io.anserini.analysis.AnalyzerMap").getLanguageSpecificAnalyzer(analyzer)


def _at_spaces(analyzer: str) -> bool:
    return analyzer in (WHITESPACE, UNICODE, FOLDED, SUBWORDS) or analyzer.startswith(SUBWORDS_OF)
