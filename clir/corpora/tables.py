"""Rows of tables that other people wrote: tab- or comma-separated text, quoted or not, and Parquet files."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

from clir.support.compression import without_ending
from clir.support.errors import ClirError
from clir.support.files import existing, open_text

CSV, TSV, PARQUET = ".csv", (".tsv", ".tab"), ".parquet"
PARQUET_MARK = b"PAR1"
ROWS_AT_ONCE = 1024
# A cell may be a whole document.
csv.field_size_limit(1 << 28)
# A field in quotes, with its quotes doubled inside.
_QUOTED = re.compile(r'"(?:[^"]|"")*"')


class Row(NamedTuple):
    """A row of a table: `path:line`, where it begins, and its cells."""

    where: str
    cells: list[str]


def is_parquet(path: str | Path) -> bool:
    """Whether a file's name says that it is a Parquet file."""
    return without_ending(path).lower().endswith(PARQUET)


def rows(handle: IO[str], path: str | Path, *, quoted: bool = False) -> Iterator[Row]:
    """The rows of an open table, blank lines left out: commas between the cells where the name says `.csv`, otherwise
    tabs.

    Cells of a `.csv` may be in quotes and go over lines (RFC 4180). With tabs a quote is a character of the text,
    unless `quoted`, which `is_quoted` finds out; then a row is still a line. Raises ClirError with file and line for
    quotes that are not closed.
    """
    if without_ending(path).lower().endswith(CSV):
        yield from _comma_separated(handle, path)
        return
    for number, line in enumerate(handle, 1):
        text = line.rstrip("\r\n")
        if text and not text.isspace():
            cells = text.split("\t")
            yield Row(f"{path}:{number}", [unquoted(cell) for cell in cells] if quoted else cells)


def is_quoted(lines: Iterable[str]) -> bool:
    """Whether the cells of lines with tabs are in quotes as CSV has them, as spreadsheets and pandas write them.

    They are if some cell is in quotes with doubled quotes inside, or all cells of several lines are in quotes, and no
    cell begins with a quote that is not closed at the cell's end: one such line shows that quotes are text.
    """
    doubled, every, many = False, True, 0
    for line in lines:
        if '"' not in line:
            every = every and line.isspace()
            continue
        many += 1
        for cell in line.rstrip("\r\n").split("\t"):
            if cell.startswith('"'):
                if not _QUOTED.fullmatch(cell):
                    return False
                doubled = doubled or '""' in cell[1:-1]
            else:
                every = False
    return doubled or (every and many > 1)


def records(path: str | Path, what: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """`(path:line, record)` for every row of a table with named columns: `.csv` and `.tsv` (the first row names them),
    or `.parquet` (`path: row 7`, counted from 1; values as they are, nothing for null).

    Streams. Raises UsageError if the file is missing, ClirError for a row that is longer or shorter than the header,
    a column that is named twice, and a broken file.
    """
    path = existing(path, what)
    if is_parquet(path):
        yield from _parquet(path)
        return
    with open_text(path, what) as handle:
        yield from named(rows(handle, path), path)


def named(table: Iterator[Row], path: str | Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The rows behind the first as records whose keys are the first row's cells; errors as `records`."""
    header = next(table, None)
    if header is None:
        return
    names = [cell.strip() for cell in header.cells]
    if repeated := [name for at, name in enumerate(names) if name in names[:at]]:
        raise ClirError(f"{header.where}: two columns are named {repeated[0]!r}")
    for where, cells in table:
        if len(cells) != len(names):
            raise ClirError(f"{where}: {len(cells)} columns, not the {len(names)} of the header ({', '.join(names)})")
        yield where, dict(zip(names, cells, strict=True))


def unquoted(cell: str) -> str:
    """A cell without its quotes, doubled ones inside made single; as it is if it has none."""
    return cell[1:-1].replace('""', '"') if _QUOTED.fullmatch(cell) else cell


def _comma_separated(handle: IO[str], path: str | Path) -> Iterator[Row]:
    reader = csv.reader(handle, strict=True)
    before = 0
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise ClirError(f"{path}:{before + 1}: not CSV from here on: {error}") from error
        if any(cell.strip() for cell in cells):
            yield Row(f"{path}:{before + 1}", cells)
        before = reader.line_num


def parquet_names(path: Path) -> list[str]:
    """The names of a Parquet file's columns; ClirError for a broken file."""
    import pyarrow
    import pyarrow.parquet

    _check_parquet(path)
    try:
        return list(pyarrow.parquet.read_schema(path).names)
    except (pyarrow.ArrowException, OSError) as error:
        raise ClirError(f"{path} is not a whole Parquet file: {' '.join(str(error).split())}") from error


def _check_parquet(path: Path) -> None:
    with open(path, "rb") as handle:
        if handle.read(len(PARQUET_MARK)) != PARQUET_MARK:
            raise ClirError(f"{path} is not a Parquet file")


def _parquet(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    import pyarrow
    import pyarrow.parquet

    _check_parquet(path)
    number = 0
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            names = file.schema_arrow.names
            if repeated := [name for at, name in enumerate(names) if name in names[:at]]:
                raise ClirError(f"{path}: two columns are named {repeated[0]!r}")
            for batch in file.iter_batches(batch_size=ROWS_AT_ONCE):
                for record in batch.to_pylist():
                    number += 1
                    yield f"{path}: row {number:,}", {key: value for key, value in record.items() if value is not None}
    except (pyarrow.ArrowException, OSError) as error:
        raise ClirError(f"{path} is not a whole Parquet file: {' '.join(str(error).split())}") from error
