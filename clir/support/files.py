"""Files and folders that appear whole or not at all, and their checksums."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

from clir.support.compression import BrokenCompression, open_unpacked
from clir.support.errors import ClirError, UsageError
from clir.support.locks import take

READ_BLOCK = 1 << 20


@contextlib.contextmanager
def atomic_file(path: str | Path, mode: str = "wb") -> Iterator[IO[Any]]:
    """Open a temporary sibling of `path`; it takes the place of `path` when the block ends well.

    An error inside the block removes the temporary file and leaves an earlier `path` as it was.
    A full disk is raised as ClirError. Text modes are UTF-8 with "\\n" line ends.
    """
    path = Path(path)
    text: dict[str, Any] = {} if "b" in mode else {"encoding": "utf-8", "newline": "\n"}
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
    """Yield an empty temporary folder; it takes the place of `path` when the block ends well.

    An earlier folder at `path` stays until the new one is complete.
    """
    path = Path(path)
    with scratch_folder(path) as scratch:
        partial = scratch / "new"
        partial.mkdir()
        yield partial
        replace_folder(partial, path)


@contextlib.contextmanager
def scratch_folder(path: str | Path) -> Iterator[Path]:
    """Yield an empty temporary sibling folder of `path` to build it in; it is removed at the end.

    What killed processes left of such folders for `path` is removed first.
    """
    path = Path(path)
    with wrapping_disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(path)
        scratch, lock = _locked_folder(path)
        try:
            yield scratch
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
            os.close(lock)


def _locked_folder(path: Path) -> tuple[Path, int]:
    """A new temporary sibling folder of `path`, and the descriptor that locks it while its maker lives."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".partial", dir=path.parent))
        # Another process may take it for abandoned before it is locked: then there is another turn.
        with contextlib.suppress(FileNotFoundError):
            lock = os.open(folder, os.O_RDONLY)
            # A file system without locks only loses the removal of what killed processes left.
            with contextlib.suppress(OSError):
                take(lock, wait=True)
            if folder.exists():
                return folder, lock
            os.close(lock)


def _remove_abandoned(path: Path) -> None:
    """Remove temporary folders for `path` that no living process has locked."""
    for folder in temporary_folders(path, "partial"):
        with contextlib.suppress(OSError):
            lock = os.open(folder, os.O_RDONLY)
            try:
                if take(lock):
                    shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(lock)


def temporary_folders(path: Path, kind: str) -> list[Path]:
    """The temporary siblings of `path` whose names end in `kind`."""
    made_here = re.compile(rf"\.{re.escape(path.name)}\.[a-z0-9_]{{8}}\.{kind}")
    return [folder for folder in path.parent.iterdir() if made_here.fullmatch(folder.name) and folder.is_dir()]


def replace_folder(new: Path, path: Path) -> None:
    """Put the folder `new` at `path`; a folder that stood there is removed after the exchange."""
    while True:
        try:
            # Nothing, or an empty folder, gives way.
            os.replace(new, path)
            break
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                raise
        old = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".old", dir=path.parent))
        os.replace(path, old / "was")
    # With what a kill here left another time; an empty one is of a process that is about to use it.
    for folder in temporary_folders(path, "old"):
        if (folder / "was").exists():
            shutil.rmtree(folder, ignore_errors=True)


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
        dump_json(value, handle)


def dump_json(value: Any, handle: IO[str]) -> None:
    """`value` as indented JSON into an open file."""
    json.dump(value, handle, ensure_ascii=False, indent=2)
    handle.write("\n")


def existing(path: str | Path, what: str) -> Path:
    """`path` if it is there; otherwise a UsageError that names what was looked for."""
    if not os.path.exists(path):
        raise UsageError(f"{what} not found: {path}")
    return Path(path)


def check_output(output: str | Path, inputs: Iterable[str | Path | None] = (), option: str = "--output") -> None:
    """Raise UsageError if `output` cannot be written or would overwrite one of `inputs`: before the work, not after."""
    path, given = Path(output), f"{option} {output}"
    if path.is_dir():
        raise UsageError(f"{given} is a folder: name a file in it")
    if path.resolve() in [Path(name).resolve() for name in inputs if name]:
        raise UsageError(f"{given} is also one of the files to read: choose another name")
    nearest = next(parent for parent in path.parents if parent.exists())
    if not nearest.is_dir():
        raise UsageError(f"{given} cannot be written: {nearest} is a file, not a folder")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise UsageError(f"{given} cannot be written: no permission to write in {nearest}")


@contextlib.contextmanager
def open_text(path: str | Path, what: str = "file") -> Iterator[IO[str]]:
    """Open a UTF-8 text file, compressed or not by its first bytes; a byte order mark is dropped.

    Lines end in a line feed; in a file whose beginning has none, but carriage returns, they end in these (as old
    programs for the Macintosh write them) and are given with line feeds.

    Raises UsageError if it is missing or a folder, ClirError on bytes that are not UTF-8 or on a
    broken compressed stream, naming file and line, or on one without measure (`support.compression`).
    """
    path = existing(path, what)
    if path.is_dir():
        raise UsageError(f"{what} is a folder, not a file: {path}")
    try:
        raw = open_unpacked(path)
    except OSError as error:
        raise ClirError(f"cannot read {path}: {error.strerror or error}") from error
    try:
        with io.TextIOWrapper(raw, encoding="utf-8-sig", newline=_line_end(raw)) as handle:
            yield handle
    except (UnicodeDecodeError, BrokenCompression) as error:
        # Of two files that are read in step, the other may be at fault: then its own block says so.
        if (fault := _text_fault(path)) is None:
            raise
        raise fault from error


def _line_end(raw: IO[bytes]) -> str | None:
    """What `open` calls `newline`, by the first bytes of a file."""
    start: bytes = raw.peek()  # type: ignore[attr-defined]
    return None if b"\r" in start and b"\n" not in start else "\n"


def _text_fault(path: Path) -> ClirError | None:
    """The first line that is not UTF-8, or where a compressed stream breaks, as an error; None if there is neither."""
    whole = 0
    try:
        with open_unpacked(path) as handle:
            for line in handle:
                line.decode("utf-8")
                whole += 1
    except UnicodeDecodeError as error:
        return ClirError(f"{path}:{whole + 1}: not UTF-8: {error.reason} at byte {error.start} of the line")
    except BrokenCompression as error:
        return ClirError(f"{path} is not a whole compressed file: {error} (after line {whole})")
    return None


def sha256_of_file(path: str | Path) -> str:
    """The hexadecimal SHA-256 of a file's bytes, read in blocks."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def cache_root() -> Path:
    """Where clir keeps what it can compute again: $CLIR_CACHE, else the user's cache folder."""
    if configured := os.environ.get("CLIR_CACHE"):
        return Path(configured)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "clir"


def _umask() -> int:
    # There is no call that reads the mask without setting it.
    mask = os.umask(0)
    os.umask(mask)
    return mask
