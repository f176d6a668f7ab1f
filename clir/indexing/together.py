"""Several processes that encode one index: a shard each, merged when all are whole."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from clir.indexing.encoded import read_progress, work_folder
from clir.indexing.merging import merge
from clir.indexing.shards import Shard
from clir.support.errors import ClirError
from clir.support.locks import alone
from clir.support.manifest import read_manifest
from clir.support.processes import run_together
from clir.support.progress import Progress

# The shard as i/n, the index that it is of, the device, threads: the command that encodes it into INDEX.i-of-n.
Command = Callable[[tuple[str, str, str, int]], list[str]]


def encode_together(
    output: Path,
    processes: int,
    devices: Sequence[str],
    threads: int | None,
    command: Command,
    *,
    total: int | None,
) -> None:
    """Encode an index at `output` by `processes` processes, on `devices` in turn, that share `threads` (None: all).

    Shards lie beside `output` until they are merged; what a killed run left of them is gone on from. For that time
    the disk holds the vectors twice.
    """
    with alone(output, "encoding into"):
        _encode(output, processes, devices, threads, command, total)


def _encode(
    output: Path, processes: int, devices: Sequence[str], threads: int | None, command: Command, total: int | None
) -> None:
    shards = [Shard(number, processes) for number in range(1, processes + 1)]
    each = max(1, (threads or len(os.sched_getaffinity(0))) // processes)
    work = output.with_name(f".{output.name}.shards")
    work.mkdir(parents=True, exist_ok=True)
    folders = [work / f"index.{shard.number}-of-{shard.of}" for shard in shards]
    commands = [
        command((str(shard), str(work / "index"), devices[at % len(devices)], each)) for at, shard in enumerate(shards)
    ]
    try:
        with Progress(f"encoding in {processes} processes", total, "documents") as progress:
            progress.resume_at(_done(folders))
            run_together(commands, lambda: progress.advance(_done(folders) - progress.done))
            progress.advance(_done(folders) - progress.done)
        merge(folders, output)
    except BaseException:
        # Nothing to go on from is not left behind.
        with contextlib.suppress(OSError):
            work.rmdir()
        raise
    shutil.rmtree(work)


def _done(folders: Sequence[Path]) -> int:
    """How many documents all shards have."""
    return sum(_documents(folder) for folder in folders)


def _documents(folder: Path) -> int:
    with contextlib.suppress(ClirError):
        return int(read_manifest(folder)["documents"])
    return int(read_progress(work_folder(folder)).get("documents", 0))
