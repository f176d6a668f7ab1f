"""Threads that take pieces of work in turn, each computing on one core, in memory of its own."""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clir.support.errors import UsageError


class Room:
    """Memory for intermediate results that stays from one piece of work to the next: fresh memory is slow."""

    def __init__(self) -> None:
        self._held: dict[str, NDArray[np.uint8]] = {}

    def of(self, name: str, shape: tuple[int, int], kind: Any = np.float32) -> NDArray[Any]:
        """An array that holds whatever was there; one name for each of the uses at a time."""
        size = shape[0] * shape[1] * np.dtype(kind).itemsize
        if name not in self._held or len(self._held[name]) < size:
            self._held[name] = np.empty(size, dtype=np.uint8)
        return self._held[name][:size].view(kind).reshape(shape)


def share_out(
    pieces: Iterable[tuple[int, int]], work: Callable[[int, int, Room], None], threads: int | None = None
) -> None:
    """Call `work(start, stop, room)` for every piece, in `threads` threads (None: as many as torch uses).

    A thread takes the next piece when it is done with one, so that a slow core holds nothing up; in them torch
    computes on one core. Raises what `work` raises, when all threads have ended.
    """
    import torch

    threads = torch.get_num_threads() if threads is None else threads
    if threads < 1:
        raise UsageError(f"threads must be at least 1, not {threads}")
    # next() of a list's iterator is one step of the interpreter: no two threads get the same piece.
    left = iter(list(pieces))

    def take_turns() -> None:
        for start, stop in left:
            work(start, stop, _own.room)

    pool = _pool(threads, os.getpid())
    ended = [pool.submit(take_turns) for _ in range(threads)]
    wait(ended)
    for turns in ended:
        turns.result()


class _Own(threading.local):
    """What each thread has for itself."""

    def __init__(self) -> None:
        self.room = Room()


_own = _Own()


@functools.cache
def _pool(threads: int, process: int) -> ThreadPoolExecutor:
    """Threads that stay, in which torch uses one core each; `process` keeps a fork from waiting for its parent's."""
    import torch

    before = torch.get_num_threads()
    all_here = threading.Barrier(threads)

    def begin() -> None:
        # Setting holds for the calling thread and for those that torch first counts in after it. A thread that has not
        # been counted in would lose its own setting then.
        torch.get_num_threads()
        torch.set_num_threads(1)
        all_here.wait()

    pool = ThreadPoolExecutor(threads, thread_name_prefix="clir")
    wait([pool.submit(begin) for _ in range(threads)])
    torch.set_num_threads(before)
    return pool
