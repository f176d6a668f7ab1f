"""Blank-separated columns, the shape of TREC's run and qrels files: read fast when all is well, and
otherwise gone through line by line until the fault has a line number."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import polars as pl

from clir.runs.pairs import BLANK_IN_ID
from clir.support.errors import ClirError, quoted
from clir.support.progress import say

# Bytes that are looked at together: they fit into a processor's cache, with what is computed from them.
BLOCK = 1 << 18
# As much of an id as a message shows.
LONG = 120
_BLANK, _LINE_END = ord(" "), ord("\n")
# One after the other, so that the time is linear in the length of a row of blanks.
_BLANKS = re.compile(rb"[ \t\r\v\f]+")
_AROUND_LINE_END = re.compile(rb" ?\n[ \n]*")
_FILLED = re.compile(rb"\S")
_COLUMN = re.compile(r"[^ \t\r\v\f]+")
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1b]")
# A line whose first character is `#`: trec_eval 10 leaves such lines out. Inside a line the character is one of an id.
_COMMENT = re.compile(rb"^[ \t\r\v\f]*#[^\n]*\n?", re.MULTILINE)


def parse(
    data: bytes, names: Sequence[str], number: str, dtype: type[pl.DataType], ids: Sequence[str] = ("qid", "docid")
) -> pl.DataFrame | None:
    """The columns `ids` and `number` (as `dtype`) of lines that have exactly the columns `names`.

    Separators are single blanks or single tabs; failing that, runs of blanks and tabs. Comment lines are left to
    `without_comments`. Returns None where a line does not fit (its columns, its number, white space in an id):
    `first_fault` can then say which.
    """
    end = data.find(b"\n")
    wanted = [*ids, number]
    separator = b" " if b" " in data[: end if end >= 0 else None] else b"\t"
    frame = _parse_separated(data, names, number, dtype, separator, wanted)
    if frame is None:
        frame = _parse_separated(tidy(data), names, number, dtype, b" ", wanted)
    return frame


def without_comments(data: bytes, path: str | Path, known: int = 0) -> bytes:
    """The lines of the file `path` that are no comments; how many are, beyond those `known`, is said on stderr.

    A comment's first character but for blanks is `#`, which is trec_eval 10's rule; a docid may have the character, a
    topic's id cannot begin with it. Raises ClirError if there is nothing else.
    """
    lines, comments = _without_comments(data)
    if not _FILLED.search(lines):
        raise ClirError(f"{path} has no line that is not a comment (beginning with #)")
    if comments > known:
        say(f"{path}: comments (lines that begin with #) are left out: {comments - known:,}")
    return lines


def _without_comments(data: bytes) -> tuple[bytes, int]:
    # Nearly all files have none, which is seen at a tenth of the expression's cost.
    if b"#" not in data:
        return data, 0
    if not (data[:1] in b"# \t\r\v\f\n" or b"\n#" in data or b" #" in data or b"\t#" in data):
        return data, 0
    return _COMMENT.subn(b"", data)


def refuse_comment_ids(topics: Iterable[str], path: str | Path) -> None:
    """Raise ClirError for a topic whose id begins with `#`, before its lines are written."""
    if qid := next((qid for qid in topics if qid.startswith("#")), None):
        raise ClirError(
            f"{path}: the topic {quoted(qid)} begins with #: trec_eval and clir would read its lines as comments"
        )


def tidy(data: bytes) -> bytes:
    """The same lines with one blank between columns, none at the ends, and no empty line."""
    return _AROUND_LINE_END.sub(b"\n", _BLANKS.sub(b" ", data)).strip()


def first_fault(
    path: str | Path,
    data: bytes,
    names: Sequence[str],
    check: Callable[[Sequence[str]], str | None],
    ids: Sequence[str] = ("qid", "docid"),
) -> ClirError:
    """The error for the first bad line of `data`, a file with its comment lines: `path:line: reason`.

    `check` is asked about every line's columns and answers with a reason or None. Besides, a line has as many
    columns as `names`, its ids hold no white space, and, where all lines are well, no two have the same `ids`.
    """  # fmt: skip
    for line, text in _lines(path, data):
        if reason := _fault(text, names, check):
            return ClirError(f"{path}:{line}: {reason}")
    repeated = _repeated(data, names, ids)
    if repeated is None:
        return ClirError(f"{path} cannot be read as lines of {' '.join(names)}")
    (qid, docid), rows, more = repeated
    first, second = _line_numbers(path, data, rows)
    others = f"; {more:,} such lines in all" if more > 1 else ""
    pair = f"document {docid[:LONG]} a second time for topic {qid[:LONG]}"
    return ClirError(f"{path}:{second}: {pair} (first on line {first}{others})")


def _fault(text: str, names: Sequence[str], check: Callable[[Sequence[str]], str | None]) -> str | None:
    columns = text.split()
    blank_split = _COLUMN.findall(text)
    if not blank_split or blank_split[0].startswith("#"):
        return None
    if len(blank_split) != len(names):
        hint = "; blanks or tabs separate them, not commas" if text.count(",") >= len(names) - 1 else ""
        return f"{len(blank_split)} columns, not the {len(names)} of {' '.join(names)}{hint}"
    if len(columns) != len(names):
        return f"an id has white space in it: {quoted(text.strip())}"
    if _CONTROL.search(text):
        return f"a control character: {quoted(text.strip())}"
    return check(columns)


def _repeated(
    data: bytes, names: Sequence[str], ids: Sequence[str]
) -> tuple[tuple[str, str], tuple[int, int], int] | None:
    """The topic and document of the first line whose `ids` come again, the two lines, counted from 0 without empty ones
    and comments, and how many lines in all repeat an earlier one. Every line has the columns `names`."""
    schema = dict.fromkeys(names, pl.String)
    lines = tidy(_without_comments(data)[0])
    table = pl.scan_csv(lines, separator=" ", has_header=False, quote_char=None, schema=schema)
    pairs = table.select(ids).collect().with_row_index("row")
    repeated = pairs.filter(~pl.struct(ids).is_first_distinct())
    if not repeated.height:
        return None
    second = repeated.row(0, named=True)
    first = pairs.filter(pl.all_horizontal(pl.col(name) == second[name] for name in ids))["row"][0]
    return (second["qid"], second["docid"]), (first, second["row"]), repeated.height


def _line_numbers(path: str | Path, data: bytes, rows: tuple[int, int]) -> tuple[int, int]:
    """The lines, counted from 1, of two rows, counted from 0 over the lines that are neither empty nor comments."""
    filled = (line for line, text in _lines(path, data) if (first := _COLUMN.search(text)) and first[0][0] != "#")
    numbers = list(itertools.islice(filled, rows[1] + 1))
    return numbers[rows[0]], numbers[rows[1]]


def _parse_separated(
    data: bytes, names: Sequence[str], number: str, dtype: type[pl.DataType], separator: bytes, wanted: Sequence[str]
) -> pl.DataFrame | None:
    lines = _count_lines(data, len(names), ord(separator))
    if lines is None:
        return None
    schema = {name: dtype if name == number else pl.String for name in names}
    table = pl.scan_csv(data, separator=separator.decode(), has_header=False, quote_char=None, schema=schema)
    try:
        frame = table.select(wanted).collect()
    except pl.exceptions.PolarsError:
        return None
    # In ASCII the separators, which were counted, are the only white space: no need to look for more.
    odd = frame.height != lines or frame[number].has_nulls() or (not data.isascii() and _blank_in_ids(frame, wanted))
    return None if odd else frame


def _count_lines(data: bytes, columns: int, separator: int) -> int | None:
    """The number of lines, if every line has so many columns, none empty, with one `separator` between them and no
    other blank or control character; None if not, or if the lines are not UTF-8."""
    lines, start, plain = 0, 0, data.isascii()
    while start < len(data):
        stop = _end_of_line(data, start)
        # The last line may lack its end.
        block = data[start:stop] if data[stop - 1] == _LINE_END else data[start:stop] + b"\n"
        text = np.frombuffer(block, np.uint8)
        marked = text <= _BLANK
        marks = text[np.flatnonzero(marked)]
        count, odd = divmod(len(marks), columns)
        whole = not odd and (marks[columns - 1 :: columns] == _LINE_END).all()
        if not whole or np.count_nonzero(marks == separator) != count * (columns - 1):
            return None
        empty = marked[0] or (marked[1:] & marked[:-1]).any()
        if empty or not (plain or _is_utf8(block)):
            return None
        lines, start = lines + count, stop
    return lines


def _end_of_line(data: bytes, start: int) -> int:
    """Where a block of whole lines that begins at `start` ends: after BLOCK bytes or, of one long line, at its end."""
    if len(data) - start <= BLOCK:
        return len(data)
    stop = data.rfind(b"\n", start, start + BLOCK)
    stop = stop if stop >= 0 else data.find(b"\n", start + BLOCK)
    return stop + 1 if stop >= 0 else len(data)


def _is_utf8(block: bytes) -> bool:
    try:
        block.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _blank_in_ids(frame: pl.DataFrame, names: Sequence[str]) -> bool:
    return any(frame[name].str.contains(BLANK_IN_ID).any() for name in names if frame[name].dtype == pl.String)


def _lines(path: str | Path, data: bytes) -> Iterator[tuple[int, str]]:
    """The lines with their numbers, one at a time."""
    start, line = 0, 0
    while start < len(data):
        stop = data.find(b"\n", start)
        stop = stop if stop >= 0 else len(data)
        line += 1
        try:
            text = data[start:stop].decode("utf-8")
        except UnicodeDecodeError as error:
            raise ClirError(f"{path}:{line}: not UTF-8: {error.reason} at byte {error.start} of the line") from error
        yield line, text
        start = stop + 1
