"""Files of runs and qrels, held in memory whole: read and unpacked, written at once or not at all."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from clir.support.compression import BrokenCompression, packing, unpacked
from clir.support.errors import ClirError, UsageError
from clir.support.files import atomic_file, existing

BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def read_bytes(path: str | Path, what: str) -> bytes:
    """The bytes of a file, unpacked if they are compressed, without a byte order mark.

    Raises UsageError if the file is missing or a folder; ClirError if it is empty, unreadable, a broken
    compressed file or one that unpacks without measure.
    """
    path = existing(path, what)
    if path.is_dir():
        raise UsageError(f"{what} is a folder, not a file: {path}")
    try:
        data = unpacked(path)
    except BrokenCompression as error:
        raise ClirError(f"{path} is not a whole compressed file: {error}") from error
    except OSError as error:
        raise ClirError(f"cannot read {path}: {error.strerror or error}") from error
    data = data.removeprefix(BYTE_ORDER_MARK)
    if b"\r" in data and b"\n" not in data:
        # Line ends of old programs for the Macintosh.
        data = data.replace(b"\r", b"\n")
    if not data or data.isspace():
        raise ClirError(f"{path} is empty: no line of a {what} in it")
    return data


@contextlib.contextmanager
def writing(path: str | Path) -> Iterator[IO[Any]]:
    """A binary file that appears at `path` when the block ends well, compressed as its ending says."""
    with atomic_file(path) as handle, packing(handle, path) as packed:
        yield packed
