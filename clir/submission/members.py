"""The files in an archive that somebody else made, one after another: within bounds, whatever the archive says."""

from __future__ import annotations

import contextlib
import stat
import struct
import tarfile
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO, TypeVar, cast

from clir.submission.findings import Findings
from clir.submission.reading import compression_of
from clir.support.compression import Allowance, BrokenCompression, NotUnpacked, open_member, open_unpacked, short
from clir.support.errors import ClirError, quoted
from clir.support.files import READ_BLOCK

# No submission has so many files.
MOST_MEMBERS = 1_000
# The longest name of a file that file systems take, in bytes.
LONGEST_NAME = 255
# The flag of a zip file's encrypted member.
_ENCRYPTED = 1

Entry = TypeVar("Entry")
Members = Iterator[tuple[str, IO[bytes] | None]]


def members_of(path: Path, wanted: str, findings: Findings) -> Members:
    """Every file in an archive, by name, to be read before the next; None for what is no plain file.

    An archive of another format than `wanted` is reported. Raises ClirError if it is no archive, one of more than
    MOST_MEMBERS files, or one that unpacks to more than is allowed (`support.compression`); what else the archive's
    readers raise, `naming_faults` turns into one.
    """
    kind = "zip" if zipfile.is_zipfile(path) else "tar.gz"
    if kind != wanted or (kind == "tar.gz" and compression_of(path) != "gz"):
        findings.add("archive", None, f"it is not a {wanted} file")
    return _in_zip(path) if kind == "zip" else _in_tar(path)


def is_safe(name: str) -> bool:
    """Whether a path of an archive stays below its root, wherever it is unpacked, and can be a file's there."""
    parts = PurePosixPath(name).parts
    inside = bool(parts) and parts[0] != "/" and ".." not in parts and "\\" not in name and ":" not in parts[0]
    return inside and name.isprintable() and all(len(part.encode()) <= LONGEST_NAME for part in parts)


def called(name: str) -> str:
    """A path of an archive for a message: as it is where it is an ordinary one, else in quotes, and cut."""
    return name if is_safe(name) and len(name) <= LONGEST_NAME else quoted(name)


def _in_zip(path: Path) -> Members:
    allowance = Allowance(path, path.stat().st_size)
    with zipfile.ZipFile(path) as archive:
        for one in _counted(archive.infolist(), path):
            if one.flag_bits & _ENCRYPTED:
                raise zipfile.BadZipFile(f"{called(one.filename)} is encrypted")
            if stat.S_ISLNK(one.external_attr >> 16):
                yield one.filename, None
            elif not one.filename.endswith("/"):
                with open_member(archive, one, path, allowance) as handle:
                    yield one.filename, handle


def _in_tar(path: Path) -> Members:
    with open_unpacked(path) as stream:
        try:
            archive = tarfile.TarFile(fileobj=cast(IO[bytes], _Forward(stream)))
        except tarfile.ReadError as error:
            raise ClirError(f"{path} is neither a zip file nor a tar file") from error
        with archive:
            for member in _counted(archive, path):
                # A sparse file is as large as it says, of nothing but holes.
                plain = member.isfile() and not member.issparse()
                if not member.isdir():
                    yield member.name.removeprefix("./"), archive.extractfile(member) if plain else None
        # The archive ends before the compression does, whose checksum is its last word.
        while stream.read(READ_BLOCK):
            pass


def _counted(entries: Iterable[Entry], path: Path) -> Iterator[Entry]:
    for at, entry in enumerate(entries):
        if at == MOST_MEMBERS:
            raise ClirError(f"{path} has more than {MOST_MEMBERS:,} files: pack the files of one submission alone")
        yield entry


class _Forward:
    """A stream for tarfile, which asks for the names of files in one piece, however long they say they are, and goes
    back where a file says that it has less than nothing: both are refused."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream, self._at = stream, 0

    def read(self, size: int) -> bytes:
        if size > READ_BLOCK:
            raise tarfile.ReadError(f"a name of {size:,} bytes")
        data = self._stream.read(size)
        self._at += len(data)
        return data

    def tell(self) -> int:
        return self._at

    def seek(self, at: int) -> None:
        if at < self._at:
            raise tarfile.ReadError("a size that is not one")
        while self._at < at and self.read(min(READ_BLOCK, at - self._at)):
            pass


@contextlib.contextmanager
def naming_faults(path: Path) -> Iterator[None]:
    """Turn what reading a broken archive raises into one clear line."""
    try:
        yield
    except NotUnpacked:
        raise
    except OSError as error:
        # A full disk, say, is no fault of the archive.
        if error.errno is not None:
            raise ClirError(f"cannot unpack {path}: {error.strerror or error}") from error
        raise _not_whole(path, error) from error
    except (
        BrokenCompression,
        tarfile.TarError,
        zipfile.BadZipFile,
        EOFError,
        RuntimeError,
        ValueError,
        struct.error,
    ) as error:
        raise _not_whole(path, error) from error


def _not_whole(path: Path, error: Exception) -> ClirError:
    return ClirError(f"{path} is not a whole archive that can be read: {short(error)}")
