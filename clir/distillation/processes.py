"""Several processes training one student, as `accelerate launch` starts them: who writes, who waits."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from clir.support.locks import alone


def processes() -> int:
    """How many processes train together."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_first() -> bool:
    """Whether this process is the one that writes and speaks."""
    return int(os.environ.get("RANK", "0")) == 0


@contextlib.contextmanager
def training_alone(output: str | Path) -> Iterator[None]:
    """Keep other trainings, and other commands, from `output`; the first process has the lock for all of ours.

    Raises UsageError if another process is at it.
    """
    with alone(output, "training") if is_first() else contextlib.nullcontext():
        yield


@contextlib.contextmanager
def first_process_first(device: str) -> Iterator[None]:
    """The block runs in the first process before it runs in the others, which find what the first wrote."""
    if processes() == 1:
        yield
        return
    from accelerate import PartialState

    with PartialState(cpu=device == "cpu").main_process_first():
        yield
