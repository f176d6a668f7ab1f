"""Bitext: English sentences and their translations, as pieces named on a command line, and what became of them."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from clir.corpora import languages
from clir.corpora.bitext_order import SAMPLE, check_columns, check_names, marked, say_if_exchanged
from clir.corpora.escapes import has_marks, without_escapes
from clir.corpora.text import folded, without_controls
from clir.support.compression import without_ending
from clir.support.errors import ClirError, UsageError
from clir.support.files import existing

# Behind each may stand how the file is compressed.
TMX_ENDINGS = (".tmx",)
TABLE_ENDINGS = (".tsv", ".txt", ".tab", ".csv")
JSON_ENDINGS = (".jsonl", ".ndjson", ".json")
PARQUET_ENDINGS = (".parquet",)
ENDINGS = (TMX_ENDINGS, TABLE_ENDINGS, JSON_ENDINGS, PARQUET_ENDINGS)
EMPTY_SIDE = "a side is empty"
LANGUAGE_MISSING = "a language is missing"


class Pair(NamedTuple):
    """An English sentence, its translation, and the language of the translation (BCP-47)."""

    english: str
    foreign: str
    language: str


class Source(NamedTuple):
    """One piece of bitext as the command line names it: its files (English first), its language, its columns (of two
    files: the languages that were said to be theirs)."""

    paths: tuple[Path, ...]
    language: str
    columns: tuple[str, str] | None = None


class Dropped(NamedTuple):
    """A pair that was dropped, and why."""

    reason: str
    pair: Pair


class Report(Counter[str]):
    """How many pairs were kept (key `kept`) and how many dropped, by reason; `dropped` are the pairs themselves.

    As a mapping it holds the counts alone, so that it can be compared with one and written as JSON. `mended` counts
    the pairs whose text was changed on reading, or has something odd that was kept, and lines that are no pairs.
    """

    def __init__(self, counts: Mapping[str, int] | None = None) -> None:
        super().__init__(counts or {})
        self.dropped: list[Dropped] = []
        self.mended: Counter[str] = Counter()

    def drop(self, reason: str, pair: Pair) -> None:
        """Count a pair as dropped, and keep it."""
        self[reason] += 1
        self.dropped.append(Dropped(reason, pair))

    def examples(self, most: int = 3) -> dict[str, list[Pair]]:
        """By reason, the first pairs that were dropped for it."""
        found: dict[str, list[Pair]] = {}
        for reason, pair in self.dropped:
            if len(found.setdefault(reason, [])) < most:
                found[reason].append(pair)
        return found


def read_bitext(specs: Sequence[str], language_codes: Sequence[str] = ()) -> list[Pair]:
    """The pairs of several pieces of bitext, in order. See `read_bitext_with_report`."""
    return read_bitext_with_report(specs, language_codes)[0]


def read_bitext_with_report(specs: Sequence[str], language_codes: Sequence[str] = ()) -> tuple[list[Pair], Report]:
    """The pairs of several pieces of bitext, in order, and what was kept and dropped.

    A spec is `[LANGUAGE=]FILES[:ENGLISH,FOREIGN]`, any of its files compressed or not:

    - `A.en,A.sw`: a Moses pair, line-aligned files, English first; files whose names say otherwise are
      refused, unless `A.sw,A.en:sw,en` says which is which;
    - `B.tmx`: TMX 1.4;
    - `C.tsv` (`.txt`, `.tab`: tabs between the columns; `.csv`). English is the first column and the translation
      the second, or as a header line says; `C.tsv:3,1` takes the third and the first, and `C.tsv:source,target` the
      columns that a header line, the first, calls `source` and `target`. Cells of a table with tabs are in quotes if
      the whole file shows it (`tables.is_quoted`; of a pipe they never are);
    - `D.jsonl` (`.ndjson`, `.json`) or `D.parquet`: objects, in lines or in a list, or rows,
      `{"translation": {"en": ..., "sw": ...}}` or `{"en": ..., "sw": ...}`; `D.jsonl:source,target` names the keys,
      with dots for objects in objects (`translation.en`).

    The language is the one of `language_codes` (one for all, or one a spec), or stands before the
    spec: `ha=A.en,A.ha`. A file comes first: where `C.tsv:a,b` is a file's name, or `C.tsv:a` and
    `b` are two, that is what is read. A column whose name has a colon or a comma goes by position.
    Columns that are two numbers are positions in a table, keys in JSON.

    Escapes in the text are undone (`escapes.without_escapes`), it is put in Unicode's NFC, control characters are
    taken out, white space is folded; pairs with an empty side are dropped and counted. A first row, or first lines,
    that name languages or columns are a header and no pair; this is said on stderr, as are sides that look exchanged.

    Raises UsageError for a missing file, an unknown language or a spec that is none of these;
    ClirError with file and line for a side that ends before the other (with both lengths), a
    column or key that is missing, line ends of two kinds, bad JSON, XML that is broken; ClirError for XML that declares
    entities, and for a piece without a single pair.
    """
    if not specs:
        raise UsageError("no bitext given")
    pairs: list[Pair] = []
    report = Report()
    for source in parse_specs(specs, language_codes):
        before = len(pairs)
        for english, foreign in _sentences(source, report):
            if has_marks(english) or has_marks(foreign):
                found: set[str] = set()
                english, foreign = without_escapes(english, found), without_escapes(foreign, found)
                report.mended.update(found)
            pair = Pair(_plain(english), _plain(foreign), source.language)
            if pair.english and pair.foreign:
                pairs.append(pair)
            else:
                report.drop(EMPTY_SIDE, pair)
        name = ",".join(map(str, source.paths))
        if len(pairs) == before:
            raise ClirError(f"no pairs in {name}")
        say_if_exchanged([pair[:2] for pair in pairs[before : before + SAMPLE]], name)
    report["kept"] = len(pairs)
    return pairs, report


def _plain(text: str) -> str:
    return folded(without_controls(text))


def parse_specs(specs: Sequence[str], language_codes: Sequence[str] = ()) -> list[Source]:
    """The files, language and columns that each spec means; nothing is read, but every file must be there."""
    if len(language_codes) not in (0, 1, len(specs)):
        raise UsageError(f"{len(specs)} pieces of bitext but {len(language_codes)} languages: give one, or one each")
    given = list(language_codes) * len(specs) if len(language_codes) < 2 else list(language_codes)
    return [_parse(spec, given[at] if given else None) for at, spec in enumerate(specs)]


_PREFIXED = re.compile(r"([A-Za-z]{2,3}(?:[-_][A-Za-z0-9]+)*)=(.+)", re.DOTALL)
_COLUMNS = re.compile(r"(.+):([^:,]+),([^:,]+)", re.DOTALL)


def _parse(spec: str, code: str | None) -> Source:
    prefixed = None if os.path.exists(spec) else _PREFIXED.fullmatch(spec)
    if prefixed:
        code, spec = prefixed.groups()
    if code is None:
        raise UsageError(f"no language given for the bitext {spec}: give it with --language, or write sw={spec}")
    language = languages.language(code)
    if language == "en":
        raise UsageError(f"the foreign side of the bitext {spec} cannot be English")
    files, columns = _files_and_columns(spec)
    if len(files) > 2 or (len(files) == 1 and not _ends(files[0], *ENDINGS)):
        raise UsageError(
            f"bitext {spec} is neither a Moses pair (A.en,A.{code}) nor a .tmx, .tsv or .jsonl file "
            "(nor .csv or .parquet)"
        )
    if len(files) == 2 and columns:
        files = marked((files[0], files[1]), columns, language, spec)
    elif columns:
        check_columns(columns, language, spec)
    paths = tuple(existing(path, "bitext") for path in files)
    if len(paths) == 2:
        _check_lines(paths, spec)
        if not columns:
            check_names(*paths, language)
    return Source(paths, language, columns)


def _check_lines(paths: tuple[Path, ...], spec: str) -> None:
    for path in paths:
        if _ends(path, TMX_ENDINGS, JSON_ENDINGS, PARQUET_ENDINGS):
            raise UsageError(f"bitext {spec}: two files are line-aligned text; {path} holds pairs: give it by itself")


def _files_and_columns(spec: str) -> tuple[tuple[str, ...], tuple[str, str] | None]:
    if os.path.exists(spec):
        return (spec,), None
    parts = tuple(spec.split(","))
    if all(os.path.exists(part) for part in parts):
        return parts, None
    named = _COLUMNS.fullmatch(spec)
    if named is None:
        return parts, None
    columns = (named[2], named[3])
    sides = tuple(named[1].split(","))
    if len(sides) == 2 and not os.path.exists(named[1]):
        return sides, columns
    if not _ends(named[1], *ENDINGS):
        return parts, None
    if _ends(named[1], TMX_ENDINGS):
        raise UsageError(f"bitext {spec}: a .tmx file has languages and no columns: write {named[1]}")
    if "0" in columns and _ends(named[1], TABLE_ENDINGS):
        raise UsageError(f"bitext {spec}: columns are counted from 1")
    return (named[1],), columns


def _ends(path: str | Path, *endings: tuple[str, ...]) -> bool:
    name = without_ending(path).lower()
    return any(name.endswith(some) for some in endings)


def _sentences(source: Source, report: Report) -> Iterator[tuple[str, str]]:
    # These modules know the types of this one. XML is parsed only where there is XML.
    from clir.corpora.bitext_lines import read_moses, read_table
    from clir.corpora.bitext_records import read_json, read_parquet

    path, columns, language = source.paths[0], source.columns, source.language
    if len(source.paths) == 2:
        return read_moses(*source.paths, language, report, named=columns is not None)
    if _ends(path, TMX_ENDINGS):
        from clir.corpora.tmx import read_tmx

        return read_tmx(path, language, report)
    if _ends(path, JSON_ENDINGS):
        return read_json(path, language, columns)
    if _ends(path, PARQUET_ENDINGS):
        return read_parquet(path, language, columns)
    return read_table(path, language, columns, report)
