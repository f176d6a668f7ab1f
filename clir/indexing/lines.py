"""Files with a name a line (`docid`, `language`), read without a Python object for each."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from clir.support.errors import ClirError

READ_BLOCK = 1 << 20


def read_lines(path: Path) -> pl.Series:
    """The lines of a UTF-8 file as a String column, ends of lines ("\\n") removed; ClirError if it is no such file."""
    try:
        # Not read_text: it would take "\r" for an end of a line too.
        text = path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ClirError(f"{path}:{line} is not UTF-8: build the index again") from error
    except OSError as error:
        raise ClirError(f"cannot read {path}: {error.strerror or error}") from error
    lines = pl.Series([text.removesuffix("\n")], dtype=pl.String).str.split("\n").explode()
    return lines if text else pl.Series([], dtype=pl.String)


def count_lines(path: Path) -> int:
    """How many lines a file has, the last one without an end counted; read in blocks. ClirError if it cannot be."""
    count, last = 0, b"\n"
    try:
        with open(path, "rb") as handle:
            while block := handle.read(READ_BLOCK):
                count += block.count(b"\n")
                last = block[-1:]
    except OSError as error:
        raise ClirError(f"cannot read {path}: {error.strerror or error}") from error
    return count + (last != b"\n")
