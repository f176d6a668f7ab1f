"""One lock for each output: who makes it is alone with it, from the first look at it until it is in place."""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
from collections.abc import Iterator
from pathlib import Path

from clir.support.errors import UsageError
from clir.support.progress import say

# The outputs that this process is at, each with the thread that may take its lock again.
_held: dict[Path, int] = {}


@contextlib.contextmanager
def alone(output: str | Path, doing: str = "writing", *, wait: bool = False) -> Iterator[None]:
    """Be the only one at `output` (a file or folder, there or not) while the block runs; `doing`, as "encoding into",
    is what others are told of it.

    The lock is a file `.NAME.lock` beside `output`, which goes with the block. A killed process leaves the file, but
    not the lock. Who has it may take it again, in the same thread. Where nothing can be written, or the file system
    has no locks, the block runs without one.

    Raises UsageError if another process is at it; with `wait`, waits until it is not, and says so.
    """
    output = Path(os.path.abspath(output))
    place = Path(os.path.realpath(output.parent)) / output.name
    if _held.get(place) == threading.get_ident():
        yield
        return
    missing = [folder for folder in output.parents if not folder.exists()]
    path = output.with_name(f".{output.name}.lock")
    lock = _taken(path, output, doing, wait)
    _held[place] = threading.get_ident()
    try:
        yield
    finally:
        del _held[place]
        if lock is not None:
            # Gone before it is free: who waits for it sees that this file is no longer the lock.
            with contextlib.suppress(OSError):
                path.unlink()
            os.close(lock)
        for folder in missing:
            with contextlib.suppress(OSError):
                folder.rmdir()


def take(descriptor: int, *, wait: bool = False) -> bool:
    """Lock an open file or folder until it is closed, or its process ends; False if another process has it locked.

    Raises OSError on a file system that has no locks.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    return True


def _taken(path: Path, output: Path, doing: str, wait: bool) -> int | None:
    """The locked descriptor of the file `path`; None if it cannot be made."""
    said = False
    while True:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError:
            # Then `output` cannot be made either, and whoever tries says why.
            return None
        try:
            # Without locks, two at a time are the user's to avoid.
            with contextlib.suppress(OSError):
                if not take(lock):
                    if not wait:
                        raise UsageError(f"{_who(lock, output)}: wait for it, or end it")
                    if not said:
                        say(f"{_who(lock, output)}: waiting for it")
                    said = True
                    take(lock, wait=True)
            if _is_at(lock, path):
                with contextlib.suppress(OSError):
                    os.ftruncate(lock, 0)
                    os.pwrite(lock, f"{os.getpid()}\n{doing}\n".encode(), 0)
                return lock
        except BaseException:
            os.close(lock)
            raise
        os.close(lock)


def _is_at(lock: int, path: Path) -> bool:
    """Whether the open file `lock` lies at `path`: while it was not ours, who had it may have removed it."""
    try:
        return os.path.samestat(os.fstat(lock), os.stat(path))
    except FileNotFoundError:
        return False


def _who(lock: int, output: Path) -> str:
    """Which process has the lock, as it wrote into the file."""
    number, _, doing = os.pread(lock, 200, 0).decode("utf-8", "replace").strip().partition("\n")
    named = f" (process {number})" if number.isdecimal() else ""
    return f"another process is {doing or 'writing'} {output}{named}"
