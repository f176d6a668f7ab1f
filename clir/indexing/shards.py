"""Shards of an index of encoded documents: whole windows each, made apart, merged into the bytes of one run.

Window w of the stream (from 0) goes to shard w mod n + 1 of n, so the length of the stream need not be known. Every
shard reads the whole stream, which is cheap beside encoding, and so has the digest of all documents.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from clir.indexing import document_languages
from clir.support.errors import ClirError, UsageError
from clir.support.files import atomic_folder
from clir.support.manifest import read_manifest, write_manifest
from clir.support.progress import Progress

# (windows, files) int64: where each window of a shard ends in each of its data files.
ENDS = "ends"
# Files of int64 that say where documents end in another file: a shard's count from its own beginning.
CUMULATIVE = ("offsets",)
# What the shards' manifests have parts of, and what each has for itself.
SUMMED = ("documents", "tokens")
OWN = ("created", "platform", "implementation", "resources", "data", "shard", *SUMMED)
COPY_BLOCK = 1 << 22


class Shard(NamedTuple):
    """Shard `number` (from 1) of `of`."""

    number: int
    of: int

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    def has(self, window: int) -> bool:
        """Whether window `window` of the stream (from 0) is in this shard."""
        return window % self.of == self.number - 1

    def windows(self, total: int) -> int:
        """How many of `total` windows are in this shard."""
        return len(range(self.number - 1, total, self.of))

    def share(self, documents: int, window: int) -> int:
        """How many of `documents` are in this shard, in windows of `window`."""
        whole, rest = divmod(documents, window)
        return self.windows(whole) * window + (rest if self.has(whole) else 0)


def parse_shard(text: str) -> Shard:
    """`2/8` as a shard; UsageError if it is none."""
    found = re.fullmatch(r"(\d+)/(\d+)", text)
    shard = Shard(int(found[1]), int(found[2])) if found else Shard(0, 0)
    if not 1 <= shard.number <= shard.of:
        raise UsageError(f"a shard must be i/n with i from 1 to n, such as 1/4, not {text!r}")
    return shard


# Called with the new folder and its number of documents, when all windows are in it.
Seal = Callable[[Path, int], None]


def merge_shards(
    folders: Sequence[str | Path], output: str | Path, seal: dict[str, Seal], check: Callable[[Path, Any], None]
) -> str:
    """Put all shards of one index together at `output`: the files of a run without shards. Gives the kind of index.

    `seal` gives for a kind what is left to write when its data files are whole; `check` is asked beforehand
    whether an index of that kind may stand at `output`. Raises UsageError for a
    folder that is no shard, and for shards that are missing, come twice or are not of one index; ClirError if one
    is damaged. Memory holds a few megabytes.
    """
    parts = _parts(folders)
    output = Path(output)
    first = parts[0].made
    documents = sum(int(part.made["documents"]) for part in parts)
    check(output, first["kind"])
    heads = first["shard"]["heads"]
    turns = len(heads) * sum(len(part.bounds) - 1 for part in parts)
    with atomic_folder(output) as folder, Progress("merging", turns, "windows of files") as progress:
        for name, head in heads.items():
            _merge_file(parts, name, int(head), folder / name, progress)
        if first["kind"] in seal:
            seal[first["kind"]](folder, documents)
        document_languages.drop_if_empty(folder, documents)
        sums = {name: sum(int(part.made[name]) for part in parts) for name in SUMMED if name in first}
        own = {name: value for name, value in first.items() if name not in OWN}
        write_manifest(folder, **own, **sums, **({"data": first["data"]} if "data" in first else {}))
    return str(first["kind"])


class _Part(NamedTuple):
    """A shard on disk: its manifest, and (windows + 1, files) where each window begins and ends in each file."""

    path: Path
    shard: Shard
    made: dict[str, Any]
    bounds: NDArray[np.int64]


def _parts(folders: Sequence[str | Path]) -> list[_Part]:
    parts = sorted((_part(Path(folder)) for folder in folders), key=lambda part: part.shard)
    if not parts:
        raise UsageError("no shards to merge")
    first = parts[0]
    by_number: dict[int, _Part] = {}
    for part in parts:
        _check_same(first, part)
        twice = by_number.setdefault(part.shard.number, part)
        if twice is not part:
            raise UsageError(f"shard {part.shard} comes twice: {twice.path} and {part.path}")
    missing = [number for number in range(1, first.shard.of + 1) if number not in by_number]
    if missing:
        named = ", ".join(map(str, missing[:10])) + (", ..." if len(missing) > 10 else "")
        raise UsageError(f"of {first.shard.of} shards {len(missing)} are missing: {named}")
    total = sum(len(part.bounds) - 1 for part in parts)
    documents = sum(int(part.made["documents"]) for part in parts)
    uneven = [part for part in parts if len(part.bounds) - 1 != part.shard.windows(total)]
    if uneven or documents != int(first.made["shard"]["collection"]):
        raise ClirError(f"{(uneven or parts)[0].path} is broken: the shards do not make up the collection")
    return parts


def _part(path: Path) -> _Part:
    if not path.is_dir():
        raise UsageError(f"no shard at {path}")
    try:
        made = read_manifest(path)
        about = made["shard"]
        shard, heads = Shard(int(about["number"]), int(about["of"])), about["heads"]
    except (ClirError, KeyError, TypeError) as error:
        raise UsageError(f"{path} is no shard of an index (clir.encode --shard i/n makes them)") from error
    stored = path / ENDS
    ends = np.fromfile(stored, dtype="<i8") if stored.exists() else np.empty(0, dtype="<i8")
    if len(ends) % len(heads):
        raise ClirError(f"{stored} is broken: make this shard again")
    bounds = np.vstack([np.array([list(heads.values())], dtype="<i8"), ends.reshape(-1, len(heads))])
    sizes = [(path / name).stat().st_size if (path / name).exists() else -1 for name in heads]
    for name, size, expected in zip(heads, sizes, bounds[-1].tolist(), strict=True):
        if size != expected:
            raise ClirError(f"{path / name} is broken ({max(size, 0)} bytes, not {expected}): make this shard again")
    return _Part(path, shard, made, bounds)


def _check_same(first: _Part, part: _Part) -> None:
    if part.shard.of != first.shard.of:
        raise UsageError(
            f"{first.path} is shard {first.shard} and {part.path} is {part.shard}: they do not belong together"
        )
    keys = ("kind", "encoder fingerprint", "documents sha256")
    names = {"kind": "kinds of index", "encoder fingerprint": "models", "documents sha256": "documents"}
    for key in [*keys, *sorted((first.made.keys() | part.made.keys()) - {*keys, *OWN, "encoder"})]:
        if first.made.get(key) != part.made.get(key):
            what = f"of different {names[key]}" if key in names else f"made with different {key}"
            raise UsageError(
                f"{first.path} and {part.path} are {what}: {_short(first.made.get(key))} and "
                f"{_short(part.made.get(key))}"
            )


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else text[:12] + "..."


def _merge_file(parts: Sequence[_Part], name: str, head: int, target: Path, progress: Progress) -> None:
    """One data file of all shards, window after window of the stream."""
    column = list(parts[0].made["shard"]["heads"]).index(name)
    with contextlib.ExitStack() as stack, open(target, "wb") as out:
        handles: list[IO[bytes]] = [stack.enter_context(open(part.path / name, "rb")) for part in parts]
        out.write(handles[0].read(head))
        for handle in handles[1:]:
            handle.seek(head)
        base = _Base()
        for part, handle, size in _turns(parts, handles, column):
            if name in CUMULATIVE:
                out.write(base.moved(part.shard.number, handle.read(size)))
            else:
                _copy(handle, out, size)
            progress.advance()
        out.flush()
        os.fsync(out.fileno())


def _turns(parts: Sequence[_Part], handles: Sequence[IO[bytes]], column: int) -> Iterator[tuple[_Part, IO[bytes], int]]:
    """Whose turn it is to give its next window, its open file, and the window's bytes in it."""
    for window in range(sum(len(part.bounds) - 1 for part in parts)):
        at, turn = window % len(parts), window // len(parts)
        begin, end = parts[at].bounds[turn : turn + 2, column].tolist()
        yield parts[at], handles[at], end - begin


class _Base:
    """Where numbers that count from a shard's beginning are, counted from the whole index's."""

    def __init__(self) -> None:
        self.whole = 0
        self.shards: dict[int, int] = {}

    def moved(self, shard: int, data: bytes) -> bytes:
        ends = np.frombuffer(data, dtype="<i8")
        before = self.shards.get(shard, 0)
        moved = ends + (self.whole - before)
        if len(ends):
            self.shards[shard], self.whole = int(ends[-1]), int(moved[-1])
        return moved.astype("<i8").tobytes()


def _copy(source: IO[bytes], target: IO[bytes], size: int) -> None:
    while size:
        block = source.read(min(size, COPY_BLOCK))
        target.write(block)
        size -= len(block)
