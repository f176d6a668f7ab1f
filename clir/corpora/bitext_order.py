"""Which side of bitext is English, by what files, columns and header lines are called, and by the words in them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from clir.corpora import languages
from clir.support.compression import without_ending
from clir.support.errors import ClirError, UsageError
from clir.support.progress import say

# What header lines call the two sides if they name no language.
_SOURCE = frozenset(
    ["source", "src", "source_text", "src_text", "source_sentence", "source_string", "sentence1", "sentence_1",
     "text1", "text", "original"]
)  # fmt: skip
_TARGET = frozenset(
    ["target", "tgt", "trg", "target_text", "tgt_text", "target_sentence", "target_string", "sentence2", "sentence_2",
     "text2", "translation", "translated", "foreign"]
)  # fmt: skip
_NAME = re.compile(r"[A-Za-z][\w.-]{0,39}")
_TOKENS = re.compile(r"[^A-Za-z0-9]+")
# Frequent in all English text, and words of hardly another language.
_ENGLISH_WORDS = frozenset({"the", "and", "of"})
_SOME = 0.03
SAMPLE = 1000
"""As many of the first pairs of a file are looked at."""


class Header(NamedTuple):
    """Where a header line says that the two sides are (columns counted from 0)."""

    english: int
    foreign: int


def column_of(language: str, names: Iterable[str]) -> str | None:
    """Which of the names of columns or keys is a language's: by any of its codes, or its name in English."""
    names = list(names)
    wanted = languages.language(language)
    return languages.code_for(wanted, names) or next(
        (name for name in names if (code := languages.named(name)) and languages.same_language(code, wanted)), None
    )


def header_of(cells: Sequence[str], language: str, where: str) -> Header | None:
    """The columns of the sides if the first row of a table, or the first lines of two files, are names and no pair.

    They are if one is English's name or code and another the language's, wherever they stand; or if they are called
    source and target, or alike, in this order or the other, with English first. A row that may be a header, and is
    taken for a pair, is said. Raises ClirError for a header that names English and another language alone.
    """
    names = [cell.strip() for cell in cells]
    english, foreign = column_of("en", names), column_of(language, names)
    others = [name for name in names if _is_another(name)]
    if english is not None and foreign is None and others and len(names) == len(others) + 1:
        raise ClirError(
            f"{where}: a header line ({', '.join(names)}) without {language}: is the bitext in {others[0]}? "
            "If this is a pair, put it elsewhere than first"
        )
    sources = [name for name in names if _folded(name) in _SOURCE]
    targets = [name for name in names if _folded(name) in _TARGET]
    if english is not None and (other := foreign or _only(targets) or _only(sources)):
        return Header(names.index(english), names.index(other))
    if foreign is not None and (other := _only(sources) or _only(targets)):
        return Header(names.index(other), names.index(foreign))
    if (one := _only(sources)) and (two := _only(targets)):
        return Header(*sorted((names.index(one), names.index(two))))
    if len(names) > 1 and _may_be_header(names[:2]):
        say(f"{where}: read as a pair: {names[0]!r}, {names[1]!r}; if it is a header line, take it out")
    return None


def _is_another(name: str) -> bool:
    """Whether a name is the name or the code of a language that is not English."""
    return column_of("en", [name]) is None and bool(languages.named(name) or languages.is_code(name))


def _folded(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower().replace(" ", "_").replace("-", "_")


def _only(names: Sequence[str]) -> str | None:
    return names[0] if len(names) == 1 else None


def _may_be_header(names: Sequence[str]) -> bool:
    if not all(_NAME.fullmatch(name) for name in names):
        return False
    words = {word for name in names for word in _folded(name).split("_")}
    return bool(words & {"english", "en", "eng", "source", "src", "target", "tgt", "trg"})


def check_names(english: Path, foreign: Path, language: str) -> None:
    """Raise UsageError if the names of two line-aligned files say that English is not the first of them.

    A name says a language by its ending (`news.sw`, `dev.eng_Latn.gz`), or by the words that the other's name does
    not have (`en.txt` and `sw.txt`, `data/sw/x.txt` and `data/en/x.txt`). Another language than the one that was
    given is said on stderr.
    """
    first, second = _said(english, foreign), _said(foreign, english)
    exchanged = f"{language}={foreign},{english}"
    sides = f"{language}={english},{foreign}"
    if english == foreign or (english.is_file() and foreign.is_file() and english.samefile(foreign)):
        raise UsageError(f"bitext {sides}: both sides are the same file")
    is_foreign = _has(first, language) and not _has(first, "en")
    is_english = _has(second, "en") and not _has(second, language)
    insist = f"if {english.name} is English all the same, write {sides}:en,{language}"
    if is_foreign and is_english:
        raise UsageError(f"bitext {sides}: English comes first: write {exchanged}; {insist}")
    if is_foreign:
        name = languages.language_name(language)
        raise UsageError(f"bitext {sides}: English comes first, and {english.name} is {name} by its name; {insist}")
    if is_english:
        raise UsageError(
            f"bitext {sides}: the file in {language} comes second, and {foreign.name} is English by its name; {insist}"
        )
    if second and not _has(second, language) and _has(first, "en") and len(second) == 1:
        say(
            f"bitext {sides}: {foreign.name} is {languages.language_name(second[0])} by its name, "
            f"and read as {languages.language_name(language)}"
        )


def _has(codes: Iterable[str], language: str) -> bool:
    return any(languages.same_language(code, language) for code in codes)


def _said(path: Path, other: Path) -> list[str]:
    """The languages that the name of a file says, beside another's."""
    ending = Path(without_ending(path)).suffix[1:]
    if languages.is_code(ending):
        return [languages.language(ending)]
    theirs = _languages(other)
    return [code for code in _languages(path) if not _taken(theirs, code)]


def _taken(codes: list[str], code: str) -> bool:
    if code in codes:
        codes.remove(code)
        return True
    return False


def _languages(path: Path) -> list[str]:
    words = _TOKENS.split(without_ending(path))
    found = [languages.named(word) or (languages.language(word) if languages.is_code(word) else "") for word in words]
    return [code for code in found if code]


def check_columns(columns: tuple[str, str], language: str, spec: str) -> None:
    """Raise UsageError if columns or keys that are called by languages are not English's and then the other's."""
    first, second = (column.rpartition(".")[2] for column in columns)
    if column_of(language, [first]) and column_of("en", [second]):
        raise UsageError(
            f"bitext {spec}: English comes first: write :{columns[1]},{columns[0]} at the end (of a table that calls "
            "its columns by the wrong language, name them by number)"
        )


def marked(paths: tuple[str, str], order: tuple[str, str], language: str, spec: str) -> tuple[str, str]:
    """Two files as `FILE,FILE:en,sw` or `FILE,FILE:sw,en` says: English first; UsageError for other marks."""
    if column_of("en", order[:1]) and column_of(language, order[1:]):
        return paths
    if column_of(language, order[:1]) and column_of("en", order[1:]):
        return paths[1], paths[0]
    raise UsageError(f"bitext {spec}: behind two files stand their languages, en,{language} or {language},en")


def say_if_exchanged(pairs: Sequence[tuple[str, str]], name: str) -> None:
    """Say on stderr if the first pairs of a file look as if their sides were exchanged, or both English.

    By the share of the, and, of among the words: a twentieth and more in English text.
    """
    english, foreign = (_english_words(pair[side] for pair in pairs) for side in (0, 1))
    if foreign[0] < 2 or foreign[1] < _SOME:
        return
    if english[1] < foreign[1] / 4:
        say(f"{name}: the side that is read as English does not look like it, the other does: English comes first")
    elif english[1] >= _SOME:
        say(f"{name}: both sides look like English")


def _english_words(texts: Iterable[str]) -> tuple[int, float]:
    """How many of the words are those of English, and which share."""
    words = [word for text in texts for word in text.lower().split()]
    many = sum(word in _ENGLISH_WORDS for word in words)
    return many, many / max(1, len(words))
