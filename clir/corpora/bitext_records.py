"""Bitext that is kept in records with named texts: JSON, and Parquet as Hugging Face's datasets are published."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from clir.corpora import tables
from clir.corpora.bitext_order import column_of
from clir.support.errors import ClirError, quoted
from clir.support.files import open_text
from clir.support.json_records import json_records

Sentences = Iterator[tuple[str, str]]
# As much of a list of columns as a message shows.
LONG = 300


def read_json(path: Path, language: str, keys: tuple[str, str] | None = None) -> Sentences:
    """(English, foreign) of every JSON object, in lines or a list (`json_records`); null counts as empty.

    Without `keys` the texts stand under codes or names of the languages, in `translation` or at the top. A key with
    dots that is not there as it is written is looked for in objects within objects. Raises
    ClirError with file and line for bad JSON, a key that is missing and a text that is none.
    """
    with open_text(path, "bitext") as lines:
        yield from _pairs(json_records(lines, path), language, keys)


def read_parquet(path: Path, language: str, columns: tuple[str, str] | None = None) -> Sentences:
    """(English, foreign) of every row of a Parquet file; columns as the keys of `read_json`, null counts as empty."""
    names = tables.parquet_names(path)
    empty = dict.fromkeys(names)
    rows = tables.records(path, "bitext")
    yield from _pairs(((where, {**empty, **record}) for where, record in rows), language, columns)


def _pairs(records: Iterator[tuple[str, dict[str, Any]]], language: str, keys: tuple[str, str] | None) -> Sentences:
    found: dict[tuple[str, ...], tuple[str, str]] = {}
    for where, record in records:
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
    key = column_of(language, names)
    if key is None:
        raise ClirError(
            f"{where}: no text in {language} (keys: {listed(names)}); name the keys as FILE:ENGLISH,FOREIGN"
        )
    return key


def _value(record: Mapping[str, Any], key: str, where: str) -> object:
    if key in record:
        return record[key]
    value: Any = record
    for part in key.split("."):
        if not isinstance(value, dict) or part not in value:
            raise ClirError(f"{where}: no key {quoted(key)} (keys: {listed(record)})")
        value = value[part]
    return value


def _text(value: object, where: str) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise ClirError(f"{where}: not a text: {str(value)[:40]}")
    return value


def listed(names: Iterable[str]) -> str:
    """Names for a message: on one line, and no more than a line."""
    return " ".join(", ".join(names).split())[:LONG] or "none"
