"""Files of runs and qrels, held in memory whole: read and unzipped, written at once or not at all."""

from __future__ import annotations

import contextlib
import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from clir.support.errors import ClirError, UsageError
from clir.support.files import atomic_file, existing
from clir.support.unzipping import BROKEN, unzipped

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
# zlib's own default: a tenth of the time of the highest level, and a few per cent more bytes.
COMPRESSION = 6


def read_bytes(path: str | Path, what: str) -> bytes:
    """The bytes of a file, unzipped if they are gzip's, without a byte order mark.

    Raises UsageError if the file is missing or a folder; ClirError if it is empty, unreadable, a broken gzip
    or one that unpacks without measure.
    """
    path = existing(path, what)
    if path.is_dir():
        raise UsageError(f"{what} is a folder, not a file: {path}")
    try:
        data = unzipped(path)
    except BROKEN as error:
        raise ClirError(f"{path} is not a whole gzip file: {error}") from error
    except OSError as error:
        raise ClirError(f"cannot read {path}: {error.strerror or error}") from error
    data = data.removeprefix(BYTE_ORDER_MARK)
    if not data or data.isspace():
        raise ClirError(f"{path} is empty: no line of a {what} in it")
    return data


@contextlib.contextmanager
def writing(path: str | Path) -> Iterator[IO[Any]]:
    """A binary file that appears at `path` when the block ends well, gzipped where the name ends in `.gz`."""
    with atomic_file(path) as handle:
        if not str(path).endswith(".gz"):
            yield handle
            return
        # No name and no time inside: the same run gives the same bytes.
        with gzip.GzipFile(filename="", mode="wb", compresslevel=COMPRESSION, fileobj=handle, mtime=0) as zipped:
            yield zipped  # type: ignore[misc]
