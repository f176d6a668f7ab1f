"""Blank-separated columns, the shape of TREC's run and qrels files: read fast when all is well, and
otherwise gone through line by line until the fault has a line number."""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import polars as pl

from clir.runs.pairs import BLANK_IN_ID
from clir.support.errors import ClirError, UsageError
from clir.support.files import existing

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
# White space besides the blank and the line feed that str.split(), and so many a reader, would split on.
ODD_ASCII_BLANKS = tuple(bytes([code]) for code in b"\v\f\r\x1c\x1d\x1e\x1f")
_AROUND_LINE_END = re.compile(rb"[ \t\r\v\f]*(?:\n[ \t\r\v\f]*)+")
_BLANKS = re.compile(rb"[ \t\r\v\f]+")


def read_bytes(path: str | Path, what: str) -> bytes:
    """The bytes of a file, unzipped if they are gzip's, without a byte order mark.

    Raises UsageError if the file is missing or a folder; ClirError if it is empty, unreadable or a broken gzip.
    """
    path = existing(path, what)
    if path.is_dir():
        raise UsageError(f"{what} is a folder, not a file: {path}")
    try:
        data = path.read_bytes()
        if data.startswith(b"\x1f\x8b"):
            data = gzip.decompress(data)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ClirError(f"{path} is not a whole gzip file: {error}") from error
    except OSError as error:
        raise ClirError(f"cannot read {path}: {error.strerror or error}") from error
    data = data.removeprefix(BYTE_ORDER_MARK)
    if not data or data.isspace():
        raise ClirError(f"{path} is empty: no line of a {what} in it")
    return data


def parse(data: bytes, names: Sequence[str], number: str, dtype: type[pl.DataType]) -> pl.DataFrame | None:
    """The columns `qid`, `docid` and `number` (as `dtype`) of lines that have exactly the columns `names`.

    Separators are single blanks or single tabs; failing that, runs of blanks and tabs. Returns None where a
    line does not fit (its columns, its number, white space in an id): `first_fault` can then say which.
    """
    first = data[: data.find(b"\n")] if b"\n" in data else data
    frame = _parse_separated(data, names, number, dtype, " " if b" " in first else "\t")
    if frame is None:
        tidy = _BLANKS.sub(b" ", _AROUND_LINE_END.sub(b"\n", data)).strip()
        frame = _parse_separated(tidy, names, number, dtype, " ")
    return frame


def first_fault(
    path: str | Path, data: bytes, names: Sequence[str], check: Callable[[Sequence[str]], str | None]
) -> ClirError:
    """The error for the first bad line of `data`: `path:line: reason`.

    `check` is asked about every line's columns and answers with a reason or None. Besides, a line has as many
    columns as `names`, its ids hold no white space, and no topic has a document twice.
    """
    first_line: dict[tuple[str, str], int] = {}
    qid, docid = names.index("qid"), names.index("docid")
    for line, text in _lines(path, data):
        columns = text.split()
        if not columns:
            continue
        blank_split = re.split("[ \t\r\v\f]+", text.strip(" \t\r\v\f"))
        if len(blank_split) != len(names):
            return ClirError(f"{path}:{line}: {len(blank_split)} columns, not the {len(names)} of {' '.join(names)}")
        if len(columns) != len(names):
            return ClirError(f"{path}:{line}: an id has white space in it: {text.strip()!r}")
        if reason := check(columns):
            return ClirError(f"{path}:{line}: {reason}")
        earlier = first_line.setdefault((columns[qid], columns[docid]), line)
        if earlier != line:
            pair = f"document {columns[docid]} a second time for topic {columns[qid]}"
            return ClirError(f"{path}:{line}: {pair} (first on line {earlier})")
    return ClirError(f"{path} cannot be read as lines of {' '.join(names)}")


def _parse_separated(
    data: bytes, names: Sequence[str], number: str, dtype: type[pl.DataType], separator: str
) -> pl.DataFrame | None:
    table = pl.scan_csv(
        data, separator=separator, has_header=False, quote_char=None, schema=dict.fromkeys(names, pl.String)
    )
    incomplete = pl.any_horizontal(pl.col(name).is_null() for name in names)
    try:
        frame = table.select(
            "qid", "docid", pl.col(number).cast(dtype, strict=False), incomplete.alias("incomplete")
        ).collect()
    except pl.exceptions.PolarsError:
        return None
    other = b"\t" if separator == " " else b" "
    if frame["incomplete"].any() or frame[number].has_nulls() or other in data or _blank_in_ids(data, frame):
        return None
    return frame.drop("incomplete")


def _blank_in_ids(data: bytes, frame: pl.DataFrame) -> bool:
    # In plain ASCII without odd control characters the separators were the only white space: no need to look.
    if data.isascii() and not any(blank in data for blank in ODD_ASCII_BLANKS):
        return False
    return any(bool(frame[name].str.contains(BLANK_IN_ID).any()) for name in ("qid", "docid"))


def _lines(path: str | Path, data: bytes) -> Iterator[tuple[int, str]]:
    for line, raw in enumerate(data.split(b"\n"), start=1):
        try:
            yield line, raw.decode("utf-8")
        except UnicodeDecodeError as error:
            raise ClirError(f"{path}:{line}: not UTF-8: {error.reason} at byte {error.start} of the line") from error
