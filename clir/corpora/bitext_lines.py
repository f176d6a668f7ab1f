"""Bitext that is kept in lines: Moses pairs, and tables with tabs or commas."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path

from clir.corpora import tables
from clir.corpora.bitext import Report
from clir.corpora.bitext_order import Header, column_of, header_of
from clir.corpora.bitext_records import Sentences, listed
from clir.corpora.tables import Row
from clir.support.compression import without_ending
from clir.support.errors import ClirError
from clir.support.files import open_text
from clir.support.progress import say

HEADER = "header lines, left out"
QUOTED = "tables with cells in quotes, taken off"
RETURNS = "pairs with a carriage return inside a line, kept as a space"
# A longer first line is no name of a column.
_NAME_LENGTH = 200
_MIXED = "make all line ends line feeds (sed 's/\\r/\\n/g'), or, if it is one text, spaces (tr '\\r' ' ')"


def read_moses(english: Path, foreign: Path, language: str, report: Report, *, named: bool = False) -> Sentences:
    """(English, foreign) of every line of two line-aligned files.

    First lines that name the languages, or source and target, are left out; ClirError if they say that the second
    file is the English one, unless the files were `named` as they are. A carriage return inside a line is white
    space, and counted. Raises ClirError if one file ends before the other, and if both have carriage returns inside
    one line: then pairs have run together.
    """
    with open_text(english, "bitext") as left, open_text(foreign, "bitext") as right:
        inside = _Returns(report)
        for number, (one, other) in enumerate(zip_longest(left, right), 1):
            if one is None or other is None:
                long = number + sum(1 for _ in (left if other is None else right))
                lengths = (number - 1, long) if one is None else (long, number - 1)
                raise ClirError(
                    f"{english if one is None else foreign}:{number}: no such line; the two sides of the "
                    "bitext differ in length: "
                    f"{english} has {lengths[0]:,} lines, {foreign} has {lengths[1]:,}{inside.hint()}"
                )
            if "\r" in one or "\r" in other:
                inside.check(one, other, (english, foreign), number)
            if number == 1 and _are_names(one, other, (english, foreign), language, named, report):
                continue
            yield one, other


def _are_names(
    one: str, other: str, paths: tuple[Path, Path], language: str, named: bool, report: Report
) -> bool:  # fmt: skip
    if len(one) > _NAME_LENGTH or len(other) > _NAME_LENGTH:
        return False
    header = header_of([one, other], language, f"{paths[0]}:1")
    if header is None:
        return False
    if header != Header(0, 1) and not named:
        raise ClirError(
            f"{paths[0]}:1: the first lines ({one.strip()}, {other.strip()}) say that the second file is the English "
            f"one: English comes first; if it is the first all the same, take these lines out"
        )
    _say_header([one, other], f"{paths[0]}:1 and {paths[1]}:1", report)
    return True


class _Returns:
    """Carriage returns inside lines: one is white space in one line, and the end of a line among several."""

    def __init__(self, report: Report) -> None:
        self._report, self._first = report, ""

    def hint(self) -> str:
        """Where the first one stands, for a message about lines."""
        return f" ({self._first} has a carriage return inside: {_MIXED})" if self._first else ""

    def check(self, one: str, other: str, paths: tuple[Path, Path], number: int) -> None:
        """Count a pair with carriage returns inside, and not at the ends; ClirError if both sides have them."""
        returns = ["\r" in side.rstrip("\r\n") for side in (one, other)]
        if all(returns):
            raise ClirError(f"{paths[0]}:{number}: carriage returns inside the line, on both sides: {_MIXED}")
        if any(returns):
            path = paths[0] if returns[0] else paths[1]
            self._first = self._first or f"{path}:{number}"
            self._report.mended[RETURNS] += 1


def read_table(path: Path, language: str, columns: tuple[str, str] | None, report: Report) -> Sentences:
    """(English, foreign) of every row of a table: tabs between the columns, or commas in a `.csv`.

    `columns` are two positions counted from 1, or two names of the header line; without them those count that a
    header names, or the first two. A blank line of a table with tabs is a pair of nothing. Raises ClirError with file
    and line for a header without such a column, a row that has too few, and a row of a `.csv` that has more cells
    than the first.
    """
    commas = without_ending(path).lower().endswith(tables.CSV)
    # What is read of a pipe does not come again.
    quoted = not commas and path.is_file() and _quoted(path, report)
    with open_text(path, "bitext") as lines:
        rows = tables.rows(lines, path) if commas else _rows(lines, path, quoted, report)
        first = next(rows, None)
        if first is None:
            return
        at, is_header = _positions(first, columns, language, commas, report)
        width = len(first.cells)
        if not is_header:
            yield _pair(first, at)
        for row in rows:
            if commas and len(row.cells) > width:
                raise ClirError(
                    f"{row.where}: {len(row.cells)} columns, not the {width} of the first row: a text with a comma "
                    "in it stands in quotes"
                )
            yield _pair(row, at)


def _quoted(path: Path, report: Report) -> bool:
    with open_text(path, "bitext") as lines:
        quoted = tables.is_quoted(lines)
    if quoted:
        report.mended[QUOTED] += 1
        say(f"{path}: cells are in quotes, as CSV has them: taken off")
    return quoted


def _rows(lines: Iterator[str], path: Path, quoted: bool, report: Report) -> Iterator[Row]:
    name = str(path)
    for number, line in enumerate(lines, 1):
        text = line.rstrip("\r\n")
        if "\r" in text:
            if all("\t" in part for part in text.split("\r")):
                raise ClirError(f"{path}:{number}: carriage returns inside the line, between rows: {_MIXED}")
            report.mended[RETURNS] += 1
        cells = text.split("\t")
        yield Row(f"{name}:{number}", [tables.unquoted(cell) for cell in cells] if quoted else cells)


def _pair(row: Row, at: tuple[int, int]) -> tuple[str, str]:
    where, cells = row
    if at[0] < len(cells) and at[1] < len(cells):
        return cells[at[0]], cells[at[1]]
    if cells == [""] or (len(cells) == 1 and cells[0].isspace()):
        return "", ""
    if len(cells) == 1:
        raise ClirError(f"{where}: no tab in the line, which must be: English, tab, translation")
    raise ClirError(f"{where}: {len(cells)} columns; column {max(at) + 1} is missing")


def _positions(
    first: Row, columns: tuple[str, str] | None, language: str, commas: bool, report: Report
) -> tuple[tuple[int, int], bool]:  # fmt: skip
    """The two columns, counted from 0, and whether the first row is a header."""
    where, cells = first
    header = [name.strip() for name in cells]
    by_number = columns is not None and all(name.isascii() and name.isdigit() for name in columns)
    if columns and not by_number:
        for name in columns:
            if header.count(name) != 1:
                times = "no column" if name not in header else "more than one column"
                raise ClirError(f"{where}: {times} {name!r} in the header (columns: {listed(header)})")
        return (header.index(columns[0]), header.index(columns[1])), True
    names = header_of(header, language, where) if max(map(len, header)) <= _NAME_LENGTH else None
    if names is not None:
        _say_header(header, where, report)
    if columns:
        at = int(columns[0]) - 1, int(columns[1]) - 1
        if names and _against(header, at, language):
            say(f"{where}: columns {columns[0]},{columns[1]} are read as said, though the header calls them otherwise")
        return at, names is not None
    if names is not None:
        return (names.english, names.foreign), True
    if commas and len(cells) > 2:
        raise ClirError(
            f"{where}: {len(cells)} columns: name those of the texts, as {Path(where.rpartition(':')[0]).name}:"
            f"ENGLISH,FOREIGN or by number (columns: {listed(header)})"
        )
    return (0, 1), False


def _against(header: list[str], at: tuple[int, int], language: str) -> bool:
    """Whether columns by number are those that the header calls by the other side's language."""
    if max(at) >= len(header):
        return False
    return bool(column_of(language, [header[at[0]]]) or column_of("en", [header[at[1]]]))


def _say_header(cells: list[str], where: str, report: Report) -> None:
    report.mended[HEADER] += 1
    say(f"{where}: a header line ({listed(cell.strip() for cell in cells)}), not a pair: left out")
