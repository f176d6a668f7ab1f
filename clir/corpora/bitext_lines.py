"""Bitext that is kept in lines: Moses pairs, tables with tabs, JSON lines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import zip_longest
from pathlib import Path
from typing import Any

from clir.corpora import languages
from clir.support.errors import ClirError, quoted
from clir.support.files import open_text
from clir.support.json_records import json_records

Sentences = Iterator[tuple[str, str]]
# As much of a list of columns as a message shows.
LONG = 300


def read_moses(english: Path, foreign: Path) -> Sentences:
    """(English, foreign) of every line of two line-aligned files; ClirError if one ends before the other."""
    with open_text(english, "bitext") as left, open_text(foreign, "bitext") as right:
        for number, (one, other) in enumerate(zip_longest(left, right), 1):
            if one is None or other is None:
                long = number + sum(1 for _ in (left if other is None else right))
                lengths = (number - 1, long) if one is None else (long, number - 1)
                raise ClirError(
                    f"{english if one is None else foreign}:{number}: no such line; bitext sides differ in length: "
                    f"{english} has {lengths[0]:,} lines, {foreign} has {lengths[1]:,}"
                )
            yield one, other


def read_table(path: Path, columns: tuple[str, str] | None = None) -> Sentences:
    """(English, foreign) of every line of a table with tabs between the columns; a blank line is a pair of nothing.

    `columns` are two positions counted from 1, or two names of the header line; without them the
    first two columns count. Raises ClirError with file and line for a header without such a column
    and for a line that has too few.
    """
    with open_text(path, "bitext") as lines:
        rows = ((f"{path}:{number}", line.rstrip("\r\n").split("\t")) for number, line in enumerate(lines, 1))
        at = _positions(rows, columns)
        for where, row in rows:
            if max(at) < len(row):
                yield row[at[0]], row[at[1]]
            elif row == [""] or (len(row) == 1 and row[0].isspace()):
                yield "", ""
            elif len(row) == 1:
                raise ClirError(f"{where}: no tab; a line of bitext is: English, tab, translation")
            else:
                raise ClirError(f"{where}: {len(row)} columns; column {max(at) + 1} is missing")


def _positions(rows: Iterator[tuple[str, list[str]]], columns: tuple[str, str] | None) -> tuple[int, int]:
    """The two columns, counted from 0; reads the header if they are named."""
    if columns is None:
        return 0, 1
    if all(name.isascii() and name.isdigit() for name in columns):
        return int(columns[0]) - 1, int(columns[1]) - 1
    for where, row in rows:
        header = [name.strip() for name in row]
        for name in columns:
            if header.count(name) != 1:
                times = "no column" if name not in header else "more than one column"
                raise ClirError(f"{where}: {times} {name!r} in the header (columns: {_list(header)})")
        return header.index(columns[0]), header.index(columns[1])
    # An empty file: there is nothing to find.
    return 0, 1


def read_json(path: Path, language: str, keys: tuple[str, str] | None = None) -> Sentences:
    """(English, foreign) of every JSON object, one a line; null counts as empty, blank lines are skipped.

    Without `keys` the texts stand under language codes, in `translation` or at the top. A key with
    dots that is not there as it is written is looked for in objects within objects. Raises
    ClirError with file and line for bad JSON, a key that is missing and a text that is none.
    """
    with open_text(path, "bitext") as lines:
        found: dict[tuple[str, ...], tuple[str, str]] = {}
        for where, record in json_records(lines, path):
            if keys:
                yield _text(_value(record, keys[0], where), where), _text(_value(record, keys[1], where), where)
                continue
            texts = record["translation"] if isinstance(record.get("translation"), dict) else record
            names = tuple(texts)
            if names not in found:
                found[names] = _key(names, "en", where), _key(names, language, where)
            english, foreign = found[names]
            yield _text(texts[english], where), _text(texts[foreign], where)


def _key(names: Iterable[str], language: str, where: str) -> str:
    key = languages.code_for(language, names)
    if key is None:
        raise ClirError(f"{where}: no text in {language} (keys: {_list(names)}); name the keys as FILE:ENGLISH,FOREIGN")
    return key


def _value(record: Mapping[str, Any], key: str, where: str) -> object:
    if key in record:
        return record[key]
    value: Any = record
    for part in key.split("."):
        if not isinstance(value, dict) or part not in value:
            raise ClirError(f"{where}: no key {quoted(key)} (keys: {_list(record)})")
        value = value[part]
    return value


def _text(value: object, where: str) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise ClirError(f"{where}: not a text: {str(value)[:40]}")
    return value


def _list(names: Iterable[str]) -> str:
    """Names for a message: on one line, and no more than a line."""
    return " ".join(", ".join(names).split())[:LONG] or "none"
