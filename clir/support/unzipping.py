"""Files that may be gzipped, read as what they unpack to, within a bound: a few bytes can unpack to any number."""

from __future__ import annotations

import gzip
import io
import os
import sys
import zlib
from pathlib import Path
from typing import IO, Any, cast

from clir.support.errors import ClirError

MARK = b"\x1f\x8b"
# What a broken stream raises on the way.
BROKEN = (EOFError, gzip.BadGzipFile, zlib.error)
# Text and numbers pack to a tenth or so, gzip itself can do a thousandth. This much is unpacked in any case.
RATIO, FREE = 200, 64 << 20
BLOCK = 1 << 18


def open_unzipped(path: Path) -> IO[bytes]:
    """The bytes of a file, or of a pipe, unzipped if its first bytes are gzip's, to be read from the beginning.

    Reading raises one of BROKEN for a broken stream, and ClirError for one that unpacks to more than RATIO times the
    file's size.
    """
    handle = open(path, "rb")  # noqa: SIM115 - whoever reads closes it
    # Looked at and not read: what is read of a pipe does not come again.
    if not handle.peek(len(MARK)).startswith(MARK):
        return handle
    size = os.fstat(handle.fileno()).st_size if path.is_file() else sys.maxsize // RATIO
    return _reader(path, gzip.GzipFile(fileobj=handle), size, handle)


def unzipped(path: Path) -> bytes:
    """All bytes of a file, or of a pipe, as `open_unzipped` reads them."""
    data = path.read_bytes()
    if not data.startswith(MARK):
        return data
    packed = io.BytesIO(data)
    with _reader(path, gzip.GzipFile(fileobj=packed), len(data), packed) as handle:
        return b"".join(iter(lambda: handle.read(BLOCK), b""))


def _reader(path: Path, packed: gzip.GzipFile, size: int, below: IO[bytes]) -> IO[bytes]:
    return cast(IO[bytes], io.BufferedReader(_Bounded(path, packed, size, below), BLOCK))


class _Bounded(io.RawIOBase):
    """What a gzip stream of `size` bytes unpacks to, as long as that is in measure; `below` is closed with it."""

    def __init__(self, path: Path, packed: gzip.GzipFile, size: int, below: IO[bytes]) -> None:
        self._path, self._packed, self._below = path, packed, below
        self._left = max(FREE, RATIO * size)

    def readable(self) -> bool:
        return True

    def readinto(self, block: Any) -> int:
        count = self._packed.readinto(block)
        self._left -= count
        if self._left < 0:
            raise ClirError(
                f"{self._path} unpacks to more than {RATIO} times its size: unpack it yourself if that is right"
            )
        return count

    def close(self) -> None:
        self._packed.close()
        self._below.close()
        super().close()
