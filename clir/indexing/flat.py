"""Vectors in a row on disk, as FAISS's flat index has them: memory-mapped, searched exactly block by block."""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clir.support.errors import ClirError

Vectors = NDArray[np.float32]
Numbers = NDArray[np.int64]

# FAISS's IndexFlatIP on disk: fourcc, d, ntotal, two unused words, trained, metric, number of floats, floats.
FLAT_HEADER = struct.Struct("<4siqqqbiq")
FLAT_FOURCC = b"IxFI"
FLAT_UNUSED = 1 << 20
INNER_PRODUCT = 0
# Bytes of vectors that all queries of a call meet before the next come from disk.
BLOCK = 1 << 28
# A file up to this size is read into memory, where single queries are up to twice as fast as in a mapped one.
READ_WHOLE = 1 << 28
NOTHING = np.float32(-np.finfo(np.float32).max)


def flat_header(dimension: int, count: int) -> bytes:
    """What the file begins with when it has `count` vectors."""
    return FLAT_HEADER.pack(
        FLAT_FOURCC, dimension, count, FLAT_UNUSED, FLAT_UNUSED, 1, INNER_PRODUCT, dimension * count
    )


@dataclasses.dataclass(frozen=True, eq=False)
class FlatVectors:
    """(n, d) float32 vectors, in memory or memory-mapped."""

    vectors: Vectors

    @property
    def count(self) -> int:
        """How many vectors there are."""
        return len(self.vectors)

    @property
    def dimension(self) -> int:
        """How wide they are."""
        return int(self.vectors.shape[1])

    def blocks(self, size: int | None = None) -> Iterator[tuple[int, Vectors]]:
        """All vectors in blocks of about `size` bytes (BLOCK), each with the number of its first."""
        rows = max(1, (size or BLOCK) // (4 * self.dimension))
        for start in range(0, self.count, rows):
            yield start, self.vectors[start : start + rows]

    def take(self, numbers: Numbers) -> Vectors:
        """A copy of the vectors of these numbers."""
        return np.ascontiguousarray(self.vectors[numbers])

    def search(self, queries: Vectors, k: int, chosen: NDArray[np.bool_] | None = None) -> tuple[Vectors, Numbers]:
        """The `k` greatest inner products of each query, and whose they are, best first: (n, k) each.

        With `chosen`, (count,), only among the vectors for which it is true. A list that is too short ends in
        number -1. Exact; every block is read from disk once for all queries.
        """
        import faiss

        queries = np.ascontiguousarray(queries, dtype=np.float32)
        best: tuple[Vectors, Numbers] | None = None
        for start, block in self.blocks():
            rows = None if chosen is None else np.flatnonzero(chosen[start : start + len(block)])
            if rows is not None:
                if len(rows) == 0:
                    continue
                block = _selected(block, rows)
            scores, numbers = faiss.knn(queries, block, min(k, len(block)), metric=faiss.METRIC_INNER_PRODUCT)
            numbers = start + (numbers if rows is None else rows[numbers])
            best = (scores, numbers) if best is None else _best_of(best, (scores, numbers), k)
        return _padded(best, len(queries), k)


def flat_shape(path: Path) -> tuple[int, int] | None:
    """(n, d) of a FAISS index file if it is flat with inner products; None if it is anything else.

    Raises ClirError if it has not as many bytes as it says.
    """
    size = path.stat().st_size
    with open(path, "rb") as handle:
        head = handle.read(FLAT_HEADER.size)
    if len(head) < FLAT_HEADER.size or head[:4] != FLAT_FOURCC:
        return None
    _, dimension, count, _, _, _, metric, floats = FLAT_HEADER.unpack(head)
    if metric != INNER_PRODUCT:
        return None
    if dimension < 1 or count < 0:
        raise ClirError(f"{path} is broken: {count:,} vectors of {dimension:,} dimensions")
    if floats != dimension * count or size != FLAT_HEADER.size + 4 * floats:
        raise ClirError(f"{path} is broken: {size:,} bytes, not {FLAT_HEADER.size + 4 * floats:,}")
    return count, dimension


def open_flat(path: Path) -> FlatVectors | None:
    """The vectors of a FAISS index file if it is flat with inner products; None if it is anything else."""
    shape = flat_shape(path)
    if shape is None:
        return None
    if 4 * shape[0] * shape[1] <= READ_WHOLE:
        return FlatVectors(np.fromfile(path, dtype="<f4", offset=FLAT_HEADER.size).reshape(shape))
    return FlatVectors(np.memmap(path, dtype="<f4", mode="r", offset=FLAT_HEADER.size, shape=shape))


def _selected(block: Vectors, rows: Numbers) -> Vectors:
    """`block[rows]`, without a copy where the rows lie together."""
    first, last = int(rows[0]), int(rows[-1])
    return block[first : last + 1] if last - first + 1 == len(rows) else block[rows]


def _best_of(one: tuple[Vectors, Numbers], other: tuple[Vectors, Numbers], k: int) -> tuple[Vectors, Numbers]:
    """The best `k` of two lists for each query; of equal scores, those of `one` first."""
    scores = np.concatenate([one[0], other[0]], axis=1)
    numbers = np.concatenate([one[1], other[1]], axis=1)
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(scores, order, axis=1), np.take_along_axis(numbers, order, axis=1)


def _padded(best: tuple[Vectors, Numbers] | None, queries: int, k: int) -> tuple[Vectors, Numbers]:
    found = 0 if best is None else best[0].shape[1]
    if best is not None and found == k:
        return best
    scores = np.full((queries, k), NOTHING, dtype=np.float32)
    numbers = np.full((queries, k), -1, dtype=np.int64)
    if best is not None:
        scores[:, :found], numbers[:, :found] = best
    return scores, numbers
