"""Checkpoints of a training: each appears whole, with the checksum of every file, and is checked before it is used."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from clir.distillation.processes import processes
from clir.support.errors import UsageError
from clir.support.files import replace_folder, sha256_of_file, write_json
from clir.support.progress import say

# Of every file of a checkpoint, its size and SHA-256; and how many processes wrote it.
SUMS = "sums.json"
STATE = "trainer_state.json"
# Where a checkpoint is until it is whole.
UNFINISHED = ".unfinished"


def checkpoint_path(work: Path, step: int) -> Path:
    """The checkpoint of a step."""
    return work / f"checkpoint-{step}"


def seal(work: Path, step: int) -> None:
    """Put the checkpoint that every process has written in UNFINISHED in its place, with its checksums."""
    folder = checkpoint_path(work / UNFINISHED, step)
    files = {
        path.name: {"bytes": path.stat().st_size, "sha256": sha256_of_file(path)} for path in sorted(folder.iterdir())
    }
    write_json(folder / SUMS, {"processes": processes(), "files": files})
    replace_folder(folder, checkpoint_path(work, step))
    folder.parent.rmdir()


def newest_whole(work: Path) -> Path | None:
    """The newest checkpoint whose files are all as they were written; None if there is none.

    Newer ones that are damaged are said on stderr, with what is wrong, and removed: training comes by there again.
    Raises UsageError if another number of processes wrote it.
    """
    shutil.rmtree(work / UNFINISHED, ignore_errors=True)
    found = sorted((path for path in work.glob("checkpoint-*") if path.name[11:].isdecimal()), key=_step, reverse=True)
    for path in found:
        fault = _fault(path) or _fault_of_best(path)
        if fault is None:
            _check_processes(path)
            return path
        say(f"{path} is passed over: {fault}")
        shutil.rmtree(path)
    if found:
        say("no checkpoint of the unfinished run is whole: training starts anew")
    return None


def _step(checkpoint: Path) -> int:
    return int(checkpoint.name[11:])


def _fault(checkpoint: Path) -> str | None:
    """What is wrong with a checkpoint; None if it is whole."""
    if not (checkpoint / SUMS).exists():
        return f"it has no {SUMS} (it was not written to its end, or by an earlier version)"
    try:
        files: dict[str, dict[str, Any]] = json.loads((checkpoint / SUMS).read_text("utf-8"))["files"]
        for name, expected in files.items():
            path = checkpoint / name
            if not path.exists():
                return f"its {name} is missing"
            if path.stat().st_size != expected["bytes"]:
                return f"its {name} has {path.stat().st_size:,} bytes, not {expected['bytes']:,}"
            if sha256_of_file(path) != expected["sha256"]:
                return f"the bytes of its {name} have changed"
    except (ValueError, KeyError, TypeError, AttributeError):
        return f"its {SUMS} is damaged"
    except OSError as error:
        return f"it cannot be read: {error.strerror or error}"
    return None if STATE in files else f"its {SUMS} is damaged"


def _fault_of_best(checkpoint: Path) -> str | None:
    """What is wrong with the checkpoint that `checkpoint` calls the best so far, whose weights the student may get."""
    best = json.loads((checkpoint / STATE).read_text("utf-8")).get("best_global_step")
    if not best or best == _step(checkpoint):
        return None
    fault = _fault(checkpoint_path(checkpoint.parent, best))
    return f"the best one before it, checkpoint-{best}, is not whole: {fault}" if fault else None


def _check_processes(checkpoint: Path) -> None:
    wrote = json.loads((checkpoint / SUMS).read_text("utf-8")).get("processes")
    if wrote != processes():
        raise UsageError(
            f"{checkpoint.parent} holds an unfinished training by {wrote} processes, this one has {processes()}: "
            f"start {wrote} again, or remove that folder to begin anew"
        )
