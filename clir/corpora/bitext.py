"""Bitext: English sentences and their translations, from Moses pairs, tab-separated files and TMX."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

from clir.corpora import languages
from clir.corpora.text import folded
from clir.support.errors import ClirError, UsageError
from clir.support.files import existing, open_text

TMX_ENDINGS = (".tmx", ".tmx.gz")
TABLE_ENDINGS = (".tsv", ".txt", ".tab", ".tsv.gz", ".txt.gz", ".tab.gz")
EMPTY_SIDE = "a side is empty"
LANGUAGE_MISSING = "a language is missing"


class Pair(NamedTuple):
    """An English sentence, its translation, and the language of the translation (BCP-47)."""

    english: str
    foreign: str
    language: str


class Source(NamedTuple):
    """One piece of bitext as the command line names it: its files (English first) and its language."""

    paths: tuple[Path, ...]
    language: str


Report = Counter[str]
"""How many pairs were kept (key `kept`), and how many dropped, by reason."""


def read_bitext(specs: Sequence[str], language_codes: Sequence[str] = ()) -> list[Pair]:
    """The pairs of several pieces of bitext, in order. See `read_bitext_with_report`."""
    return read_bitext_with_report(specs, language_codes)[0]


def read_bitext_with_report(specs: Sequence[str], language_codes: Sequence[str] = ()) -> tuple[list[Pair], Report]:
    """The pairs of several pieces of bitext, in order, and what was kept and dropped.

    A spec is `A.en,A.sw` (a Moses pair: line-aligned files, English first), `B.tmx` (TMX 1.4) or
    `C.tsv` (English, tab, translation; further columns are ignored); `.gz` may follow. The
    language is the one of `language_codes` (one for all, or one a spec), or stands before the
    spec: `ha=A.en,A.ha`. Text is put in Unicode's NFC, white space folded; pairs with an empty
    side are dropped and counted.

    Raises UsageError for a missing file, an unknown language or a spec that is none of these;
    ClirError for Moses sides of different length (with both lengths), a line without a tab, XML
    that is broken or declares entities, and a piece without a single pair.
    """
    if not specs:
        raise UsageError("no bitext given")
    pairs: list[Pair] = []
    report: Report = Counter()
    for source in parse_specs(specs, language_codes):
        before = len(pairs)
        for english, foreign in _sentences(source, report):
            pair = Pair(folded(english), folded(foreign), source.language)
            if pair.english and pair.foreign:
                pairs.append(pair)
            else:
                report[EMPTY_SIDE] += 1
        if len(pairs) == before:
            raise ClirError(f"no pairs in {','.join(map(str, source.paths))}")
    report["kept"] = len(pairs)
    return pairs, report


def parse_specs(specs: Sequence[str], language_codes: Sequence[str] = ()) -> list[Source]:
    """The files and the language that each spec means; nothing is read, but every file must be there."""
    if len(language_codes) not in (0, 1, len(specs)):
        raise UsageError(f"{len(specs)} pieces of bitext but {len(language_codes)} languages: give one, or one each")
    given = list(language_codes) * len(specs) if len(language_codes) < 2 else list(language_codes)
    return [_parse(spec, given[at] if given else None) for at, spec in enumerate(specs)]


_PREFIXED = re.compile(r"([A-Za-z]{2,3}(?:[-_][A-Za-z0-9]+)*)=(.+)", re.DOTALL)


def _parse(spec: str, code: str | None) -> Source:
    prefixed = None if Path(spec).exists() else _PREFIXED.fullmatch(spec)
    if prefixed:
        code, spec = prefixed.groups()
    if code is None:
        raise UsageError(f"no language for the bitext {spec}: name it with --language, or as sw={spec}")
    language = languages.language(code)
    if language == "en":
        raise UsageError(f"the foreign side of the bitext {spec} cannot be English")
    paths = (spec,) if Path(spec).exists() else tuple(spec.split(","))
    if len(paths) > 2 or (len(paths) == 1 and not spec.lower().endswith(TMX_ENDINGS + TABLE_ENDINGS)):
        raise UsageError(f"bitext {spec} is neither a Moses pair (A.en,A.{code}) nor a .tmx or .tsv file")
    return Source(tuple(existing(path, "bitext") for path in paths), language)


def _sentences(source: Source, report: Report) -> Iterator[tuple[str, str]]:
    if len(source.paths) == 2:
        return _moses(*source.paths)
    if source.paths[0].name.lower().endswith(TMX_ENDINGS):
        # XML is parsed only where there is XML.
        from clir.corpora.tmx import read_tmx

        return read_tmx(source.paths[0], source.language, report)
    return _table(source.paths[0])


def _moses(english: Path, foreign: Path) -> Iterator[tuple[str, str]]:
    with open_text(english, "bitext") as left, open_text(foreign, "bitext") as right:
        for number, (one, other) in enumerate(zip_longest(left, right), 1):
            if one is None or other is None:
                short = number - 1
                long = number + sum(1 for _ in (left if other is None else right))
                lengths = (short, long) if one is None else (long, short)
                raise ClirError(
                    f"bitext sides differ in length: {english} has {lengths[0]:,} lines, {foreign} has {lengths[1]:,}"
                )
            yield one, other


def _table(path: Path) -> Iterator[tuple[str, str]]:
    with open_text(path, "bitext") as lines:
        for number, line in enumerate(lines, 1):
            columns = line.rstrip("\r\n").split("\t")
            if len(columns) == 1 and columns[0].strip():
                raise ClirError(f"{path}:{number}: no tab; a line of bitext is: English, tab, translation")
            yield columns[0], columns[1] if len(columns) > 1 else ""
