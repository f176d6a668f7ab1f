"""Which Lucene analyzer cuts a language's text into terms, as Anserini names and builds it."""

from __future__ import annotations

from typing import Any

from clir.corpora.languages import language as canonical
from clir.corpora.languages import language_name
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
# ... or Unicode words in lower case, without stemming and stop words (Pyserini's --stemmer none --keepStopwords).
STANDARD = "standard"
ANALYZERS = (*WITH_ANALYZER, WHITESPACE, STANDARD)


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
            f"Anserini has no analyzer for {code!r}: choose with --analyzer: standard (words in lower case), "
            f"whitespace (as Pyserini does for ha, so, sw, yo), or a language's: {', '.join(WITH_ANALYZER)}"
        )
    return code


def known_analyzer(name: str) -> str:
    """`name` if it is an analyzer (`english` counts as `en`); UsageError with the list of them otherwise."""
    codes = {language_name(code).lower(): code for code in WITH_ANALYZER}
    code = codes.get(name.lower(), name)
    if code not in ANALYZERS:
        raise unknown("analyzer", name, ANALYZERS)
    return code


def indexing_arguments(analyzer: str) -> list[str]:
    """The options that make Anserini's IndexCollection use `analyzer`."""
    if analyzer == WHITESPACE:
        return ["-language", "en", "-pretokenized"]
    if analyzer == STANDARD:
        return ["-language", "en", "-stemmer", "none", "-keepStopwords"]
    return ["-language", analyzer]


def java_analyzer(analyzer: str) -> Any:
    """The Java object that analyses queries as IndexCollection analysed the documents."""
    from clir.support.jvm import java_class

    if analyzer == WHITESPACE:
        return java_class("org.apache.lucene.analysis.core.WhitespaceAnalyzer")()
    if analyzer == STANDARD:
        return java_class("io.anserini.analysis.DefaultEnglishAnalyzer").fromArguments("none", True, None)
    if analyzer == "en":
        return java_class("io.anserini.index.IndexCollection").DEFAULT_ANALYZER
    return java_class("io.anserini.analysis.AnalyzerMap").getLanguageSpecificAnalyzer(analyzer)
