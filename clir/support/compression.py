"""Compressed files (gzip, bzip2, xz, Zstandard, zip with one file in it), known by their first bytes and read as what
they unpack to, within a bound: a few bytes can unpack to any number. And the same forms, written."""

from __future__ import annotations

import bz2
import contextlib
import functools
import gzip
import io
import lzma
import os
import struct
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, cast

from clir.support.errors import ClirError

# By the ending of a file's name, what such a file begins with.
MARKS = {
    ".gz": b"\x1f\x8b",
    ".bz2": b"BZh",
    ".xz": b"\xfd7zXZ\x00",
    ".zst": b"\x28\xb5\x2f\xfd",
    ".zip": b"PK\x03\x04",
}
ENDINGS = tuple(MARKS)
# Text packs to a tenth or so, published topics of term weights to a four-hundredth, and the formats themselves can do a
# thousandth and less. This much is unpacked in
# any case.
RATIO, FREE = 500, 64 << 20
BLOCK = 1 << 18
# How much of a compressed file is unpacked at once: to tens of megabytes at the most, by each format's best ratio.
STEPS = {".gz": 1 << 15, ".bz2": 1 << 11, ".xz": 1 << 12, ".zst": 1 << 11}
# What unpacking may keep in memory to look back into: the highest levels of xz and zstd ask for this much or less.
WINDOW = 1 << 27
# gzip's default: a tenth of the time of the highest level, and a few per cent more bytes.
LEVEL = 6


class BrokenCompression(Exception):
    """A compressed stream that breaks off, or is damaged; the message says how."""


class NotUnpacked(ClirError):
    """A compressed file that is left alone; `reason` is the message without the name of the file."""

    def __init__(self, path: str | Path, reason: str) -> None:
        super().__init__(f"{path} {reason}")
        self.reason = reason


class Allowance:
    """How many bytes may still be unpacked from a file of `size` bytes, over all that is in it."""

    def __init__(self, path: str | Path, size: int) -> None:
        self._path, self._left = path, max(FREE, RATIO * size)

    def take(self, size: int) -> None:
        """Count `size` bytes; NotUnpacked if that is more than is allowed."""
        self._left -= size
        if self._left < 0:
            raise NotUnpacked(
                self._path, f"unpacks to more than {RATIO} times its size: unpack it yourself if that is right"
            )


def without_ending(name: str | Path) -> str:
    """A file's name without the ending that says how it is compressed."""
    name = str(name)
    ending = next((ending for ending in ENDINGS if name.lower().endswith(ending)), "")
    return name[: len(name) - len(ending)]


def is_compressed(path: Path) -> bool:
    """Whether a file's first bytes are those of a compressed one."""
    with open(path, "rb") as handle:
        return compression_of(handle.read(BLOCK)) is not None


def compression_of(start: bytes) -> str | None:
    """How a file that begins with `start` is compressed, as the ending that such files have; None if it is not."""
    for ending, mark in MARKS.items():
        if start.startswith(mark) and (ending != ".bz2" or start[3:4] in b"123456789"):
            return ending
    return None


def open_unpacked(path: Path) -> IO[bytes]:
    """The bytes of a file, or of a pipe, unpacked if its first bytes say that it is compressed, from the beginning.

    Reading raises BrokenCompression for a broken stream, and NotUnpacked (a ClirError) for one that unpacks to more
    than RATIO times the file's size; so does opening for a zip of several files, and for one that needs a password.
    """
    handle = io.BufferedReader(open(path, "rb", 0), BLOCK)  # noqa: SIM115 - whoever reads closes it
    # Looked at and not read: what is read of a pipe does not come again.
    ending = compression_of(handle.peek(8))
    if ending is None:
        return handle
    regular = path.is_file()
    size = os.fstat(handle.fileno()).st_size if regular else sys.maxsize // RATIO
    if ending == ".zip" and not regular:
        handle.close()
        raise ClirError(f"{path}: a zip file cannot be read from a pipe: save it, and name the file")
    return _bounded(path, ending, size, handle)


def unpacked(path: Path) -> bytes:
    """All bytes of a file, or of a pipe, as `open_unpacked` reads them."""
    data = path.read_bytes()
    ending = compression_of(data[:8])
    if ending is None:
        return data
    with _bounded(path, ending, len(data), io.BytesIO(data)) as handle:
        return b"".join(iter(lambda: handle.read(BLOCK), b""))


@contextlib.contextmanager
def packing(handle: IO[bytes], name: str | Path) -> Iterator[IO[bytes]]:
    """`handle`, behind the compression that the ending of `name` asks for (none: as it is).

    Nothing but the content decides the bytes: no time and no name of a temporary file is kept.
    """
    ending = str(name).lower()[len(without_ending(name)) :]
    if not ending:
        yield handle
        return
    with _packer(ending, handle, Path(without_ending(name)).name) as packed:
        yield packed


def _packer(ending: str, handle: IO[bytes], inner: str) -> Any:
    if ending == ".gz":
        return gzip.GzipFile(filename="", mode="wb", compresslevel=LEVEL, fileobj=handle, mtime=0)
    if ending == ".bz2":
        return bz2.BZ2File(handle, "wb")
    if ending == ".xz":
        return lzma.LZMAFile(handle, "wb")
    if ending == ".zst":
        import zstandard

        return zstandard.ZstdCompressor().stream_writer(handle, closefd=False)
    return _zip_member(handle, inner)


@contextlib.contextmanager
def _zip_member(handle: IO[bytes], inner: str) -> Iterator[IO[bytes]]:
    member = zipfile.ZipInfo(inner)
    member.compress_type = zipfile.ZIP_DEFLATED
    with zipfile.ZipFile(handle, "w") as archive, archive.open(member, "w", force_zip64=True) as packed:
        yield packed


def _bounded(path: Path, ending: str, size: int, below: IO[bytes]) -> IO[bytes]:
    try:
        stream = _zip_reader(path, below) if ending == ".zip" else _Frames(ending, below)
    except BaseException:
        below.close()
        raise
    return cast(IO[bytes], io.BufferedReader(_Bounded(path, stream, Allowance(path, size), below), BLOCK))


def open_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path, allowance: Allowance) -> IO[bytes]:
    """One file of a zip file at `path`, unpacked as far as `allowance` goes; errors as `open_unpacked`."""
    stream = _Bounded(path, _opened(archive, member, path), allowance, io.BytesIO())
    return cast(IO[bytes], io.BufferedReader(stream, BLOCK))


class _Bounded(io.RawIOBase):
    """What a compressed stream unpacks to, as long as that is allowed; `below` is closed with it."""

    def __init__(self, path: Path, stream: Any, allowance: Allowance, below: IO[bytes]) -> None:
        self._path, self._stream, self._below, self._allowance = path, stream, below, allowance

    def readable(self) -> bool:
        return True

    def readinto(self, block: Any) -> int:
        with _naming_faults(self._path):
            data = self._stream.read(len(block))
        block[: len(data)] = data
        self._allowance.take(len(data))
        return len(data)

    def close(self) -> None:
        self._stream.close()
        self._below.close()
        super().close()


class _Frames:
    """The streams (frames) of a compressed file, one after another, read a little at a time: what that little unpacks
    to fits into memory whatever it is."""

    def __init__(self, ending: str, below: IO[bytes]) -> None:
        self._below, self._new, self._step = below, _UNPACKERS[ending], STEPS[ending]
        self._unpacker, self._packed, self._ready = self._new(), b"", memoryview(b"")

    def read(self, size: int) -> memoryview:
        """At least one byte and at most `size`, but for the end."""
        while not self._ready:
            if self._unpacker.eof:
                # Another may follow, with zeros between them.
                self._packed = (self._unpacker.unused_data or self._below.read(self._step)).lstrip(b"\0")
                if not self._packed:
                    return self._ready
                self._unpacker = self._new()
            self._packed = self._packed or self._below.read(self._step)
            if not self._packed:
                raise EOFError("it breaks off")
            self._ready, self._packed = memoryview(self._unpacker.decompress(self._packed)), b""
        data, self._ready = self._ready[:size], self._ready[size:]
        return data

    def close(self) -> None:
        """Nothing is held open."""


def _xz() -> Any:
    # An xz file may ask for gigabytes to look back into.
    return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=2 * WINDOW)


def _zstd() -> Any:
    import zstandard

    return zstandard.ZstdDecompressor(max_window_size=WINDOW).decompressobj()


_UNPACKERS: dict[str, Callable[[], Any]] = {
    ".gz": functools.partial(zlib.decompressobj, 16 + zlib.MAX_WBITS),
    ".bz2": bz2.BZ2Decompressor,
    ".xz": _xz,
    ".zst": _zstd,
}


@contextlib.contextmanager
def _naming_faults(path: Path) -> Iterator[None]:
    """Turn what the libraries raise for a broken stream into BrokenCompression."""
    try:
        yield
    except (EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile) as error:
        raise BrokenCompression(str(error)) from error
    except NotImplementedError as error:
        raise NotUnpacked(path, f"cannot be unpacked ({error}): unpack it yourself") from error
    except OSError as error:
        # bz2 and gzip have no error of their own; the operating system's has a number.
        if error.errno is not None:
            raise
        raise BrokenCompression(str(error)) from error
    except Exception as error:
        # zstandard's, which is imported where it is needed alone.
        if type(error).__name__ != "ZstdError":
            raise
        raise BrokenCompression(str(error)) from error


def _zip_reader(path: Path, below: IO[bytes]) -> IO[bytes]:
    with _naming_zip_faults(path):
        archive = zipfile.ZipFile(below)
        members = [member for member in archive.infolist() if not _is_bookkeeping(member)]
        if len(members) != 1:
            raise NotUnpacked(path, f"is a zip of {len(members)} files: unpack it, and name the one that is meant")
        return _opened(archive, members[0], path)


def _opened(archive: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path) -> IO[bytes]:
    with _naming_zip_faults(path):
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            # Of the other methods Python's reader unpacks any number of bytes at once.
            raise NotUnpacked(path, "cannot be unpacked (its method of compression is not deflate): unpack it yourself")
        return archive.open(member)


@contextlib.contextmanager
def _naming_zip_faults(path: Path) -> Iterator[None]:
    try:
        yield
    except (zipfile.BadZipFile, ValueError, EOFError, struct.error) as error:
        raise NotUnpacked(path, f"is not a whole zip file: {short(error)}") from error
    except RuntimeError as error:
        # NotImplementedError, a method of packing that is not known, is one of these.
        reason = "it needs a password" if "password" in str(error) else short(error)
        raise NotUnpacked(path, f"cannot be unpacked ({reason}): unpack it yourself") from error


def short(error: Exception) -> str:
    """What a library says of a broken file, in one line: it may quote the file at length."""
    text = " ".join(str(error).split())
    return f"{text[:160]}..." if len(text) > 160 else text or "it breaks off"


def _is_bookkeeping(member: zipfile.ZipInfo) -> bool:
    """Whether an entry of a zip is a folder, or what macOS and Windows put beside the user's files."""
    _, mark, name = member.filename.rpartition("/")
    return bool(mark and not name) or member.filename.startswith("__MACOSX/") or name in (".DS_Store", "Thumbs.db")
