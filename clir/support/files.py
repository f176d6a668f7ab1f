"""Files and folders that appear whole or not at all, and their checksums."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from clir.support.errors import ClirError, UsageError

READ_BLOCK = 1 << 20


@contextlib.contextmanager
def atomic_file(path: str | Path, mode: str = "wb") -> Iterator[IO[Any]]:
    """Open a temporary sibling of `path`; it takes the place of `path` when the block ends well.

    An error inside the block removes the temporary file and leaves an earlier `path` as it was.
    A full disk is raised as ClirError. Text modes are UTF-8 with "\\n" line ends.
    """
    path = Path(path)
    text = {} if "b" in mode else {"encoding": "utf-8", "newline": "\n"}
    with wrapping_disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".partial", dir=path.parent)
        try:
            with os.fdopen(descriptor, mode, **text) as handle:
                yield handle
                handle.flush()
                os.fsync(handle.fileno())
            os.chmod(name, 0o666 & ~_umask())
            os.replace(name, path)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name)
            raise


@contextlib.contextmanager
def atomic_folder(path: str | Path) -> Iterator[Path]:
    """Yield an empty temporary sibling folder; it takes the place of `path` when the block ends well.

    An earlier folder at `path` stays until the new one is complete.
    """
    path = Path(path)
    with wrapping_disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".partial", dir=path.parent))
        os.chmod(partial, 0o777 & ~_umask())
        try:
            yield partial
            replace_folder(partial, path)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise


def replace_folder(new: Path, path: Path) -> None:
    """Put the folder `new` at `path`; a folder that stood there is removed after the exchange."""
    if not path.exists():
        os.replace(new, path)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".old", dir=path.parent))
    os.replace(path, old / "was")
    os.replace(new, path)
    shutil.rmtree(old, ignore_errors=True)


@contextlib.contextmanager
def wrapping_disk_errors(path: Path) -> Iterator[None]:
    """Turn the operating system's errors on writing `path` into one clear line."""
    try:
        yield
    except OSError as error:
        raise ClirError(f"cannot write {path}: {error.strerror or error}") from error


def write_json(path: str | Path, value: Any) -> None:
    """Write `value` as indented JSON, atomically."""
    with atomic_file(path, "w") as handle:
        json.dump(value, handle, ensure_ascii=False, indent=2)
        handle.write("\n")


def existing(path: str | Path, what: str) -> Path:
    """`path` if it is there; otherwise a UsageError that names what was looked for."""
    path = Path(path)
    if not path.exists():
        raise UsageError(f"{what} not found: {path}")
    return path


@contextlib.contextmanager
def open_text(path: str | Path, what: str = "file") -> Iterator[IO[str]]:
    """Open a UTF-8 text file, gzipped or not by its first bytes; a byte order mark is dropped.

    Raises UsageError if it is missing or a folder, ClirError on bytes that are not UTF-8 or on a
    broken gzip stream, naming the file.
    """
    path = existing(path, what)
    if path.is_dir():
        raise UsageError(f"{what} is a folder, not a file: {path}")
    with open(path, "rb") as raw:
        zipped = raw.read(2) == b"\x1f\x8b"
    opener = gzip.open if zipped else open
    try:
        with opener(path, "rt", encoding="utf-8-sig", newline="\n") as handle:
            yield handle  # type: ignore[misc]
    except UnicodeDecodeError as error:
        raise ClirError(f"{path} is not UTF-8: {error.reason} at byte {error.start}") from error
    except (EOFError, gzip.BadGzipFile) as error:
        raise ClirError(f"{path} is not a whole gzip file: {error}") from error


def sha256_of_file(path: str | Path) -> str:
    """The hexadecimal SHA-256 of a file's bytes, read in blocks."""
    digest = hashlib.sha256()
    with open(path, "rb") as handle:
        while block := handle.read(READ_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _umask() -> int:
    # There is no call that reads the mask without setting it.
    mask = os.umask(0)
    os.umask(mask)
    return mask
