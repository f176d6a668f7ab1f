"""Documents of a token index as one vector each, searched by FAISS: candidates for exact MaxSim.

A folder inside the token index's own, named by the reduction, in the layout of a dense index; where nothing can be
written there, in the cache, under the token index's fingerprint.
"""

from __future__ import annotations

import dataclasses
import errno
import functools
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from clir.encoding.token_vectors import TokenVectors, pieces
from clir.indexing.approximate import Factory, build_approximate_index
from clir.indexing.dense import DenseIndex, open_dense_index
from clir.indexing.faiss_vectors import FaissVectors
from clir.indexing.fixed_dimensional import PROJECTION, FixedDimensional
from clir.indexing.flat import FLAT_HEADER, FlatVectors, Numbers, Vectors, flat_header
from clir.indexing.pooled_vectors import ANCHORS, PooledVectors, sample_tokens
from clir.indexing.tokens import TokenIndex
from clir.support.errors import ClirError, UsageError, unknown
from clir.support.files import atomic_folder, cache_root, sha256_of_file
from clir.support.locks import alone
from clir.support.manifest import read_manifest, write_manifest
from clir.support.progress import Progress
from clir.support.workers import Room, share_out

Kind = Literal["pooled", "muvera"]
KINDS: tuple[Kind, ...] = ("pooled", "muvera")
# Token vectors, and floats of what they are reduced to, that a thread has in memory at a time.
BLOCK_TOKENS, BLOCK_FLOATS = 1 << 13, 1 << 22
# Floats up to which vectors are searched one by one (128 MiB); more of them lie in cells, in 8 bits a dimension.
FLAT_FLOATS = 1 << 25
# Why nothing can be written where an index lies: then its reductions lie in the cache.
UNWRITABLE = (errno.EROFS, errno.EACCES, errno.EPERM)
# Cells for each square root of the number of documents.
CELLS = 4
RECALL = 0.99
# What the search parameters are tuned with: runs of so many tokens of documents in the place of queries.
SAMPLE_QUERIES, QUERY_TOKENS = 256, 12


class Reduction(Protocol):
    """A way to make one vector of a text's token vectors, so that inner products are near MaxSim or rank like it."""

    name: Any

    @property
    def width(self) -> int:
        """Dimensions of the one vector."""

    @property
    def parameters(self) -> dict[str, Any]:
        """What a manifest says of it."""

    def documents(self, vectors: TokenVectors) -> Vectors:
        """(n, width) vectors of n documents."""

    def queries(self, vectors: TokenVectors) -> Vectors:
        """(n, width) vectors of n queries."""


@dataclasses.dataclass(frozen=True)
class ReducedIndex:
    """The documents of `tokens` (those that have tokens) as one vector each."""

    path: Path
    tokens: TokenIndex
    reduction: Reduction

    @functools.cached_property
    def vectors(self) -> FlatVectors | FaissVectors:
        """What is searched."""
        return open_dense_index(self.path).vectors()

    @functools.cached_property
    def numbers(self) -> Numbers:
        """(vectors,) the number that each vector's document has in the token index."""
        return np.flatnonzero(np.diff(self.tokens.offsets))

    def search(self, queries: TokenVectors, k: int) -> list[Numbers]:
        """For each query the numbers of up to `k` documents, best first."""
        _, rows = self.vectors.search(self.reduction.queries(queries), min(k, len(self.numbers)))
        return [self.numbers[found[found >= 0]] for found in rows]


def build_reduced_index(
    index: TokenIndex, reduction: Reduction | Kind, *, factory: str | None = None, threads: int | None = None
) -> ReducedIndex:
    """Reduce every document of `index` to one vector, searched by an index that FAISS makes of `factory`.

    By default vectors are kept as they are (`Flat`) up to FLAT_FLOATS floats; beyond that in cells, in 8 bits a
    dimension, with as many cells looked into as bring RECALL of the exact best 100 for runs of the documents'
    tokens. Memory holds a block of documents a thread, then FAISS's index if it is not flat. The same bytes come
    out for any number of threads. An earlier reduction of the kind stays until this one is whole. Raises ClirError
    if no document has a token, UsageError for a factory string that FAISS cannot use.
    """
    reduction = default_reduction(index, reduction) if isinstance(reduction, str) else reduction
    held = np.diff(index.offsets) > 0
    count = int(np.count_nonzero(held))
    if not count:
        raise ClirError(f"{index.path} has no document with tokens")
    factory = factory or default_factory(count, reduction.width)
    path = reduction_place(index, reduction.name)
    with alone(path, "reducing into", wait=True):
        _build(index, reduction, path, count, factory, threads)
    return _opened(index, reduction.name, path)


def reduction_place(index: TokenIndex, kind: Kind) -> Path:
    """Where a reduction is to be made: inside the index's folder, or in the cache if nothing can be written there."""
    try:
        with tempfile.TemporaryFile(dir=index.path):
            return index.path / kind
    except OSError as error:
        if error.errno not in UNWRITABLE:
            raise
    return _cached(index, kind)


def _cached(index: TokenIndex, kind: Kind) -> Path:
    return cache_root() / "reduced" / fingerprint(index) / kind


def _build(index: TokenIndex, reduction: Reduction, path: Path, count: int, factory: str, threads: int | None) -> None:
    held = np.diff(index.offsets) > 0
    with atomic_folder(path) as folder:
        flat = folder / "flat"
        flat.mkdir()
        names = (name for name, there in zip(index.docids, held.tolist(), strict=True) if there)
        (flat / "docid").write_text("".join(f"{name}\n" for name in names), "utf-8")
        _write_vectors(index, reduction, flat / "index", count, threads)
        made: dict[str, Any] = {"factory": {"factory": factory}}
        if factory != "Flat":
            made = _approximate(flat, folder / "approximate", factory, reduction.queries(_sample_queries(index)))
            shutil.rmtree(flat)
            flat = folder / "approximate"
        for file in list(flat.iterdir()):
            os.replace(file, folder / file.name)
        flat.rmdir()
        _write_drawn(reduction, folder)
        write_manifest(
            folder, kind="reduced", documents=count, dimension=reduction.width, **made,
            reduction={"name": reduction.name, **reduction.parameters, "drawn": drawn(reduction)},
            **{"token index": fingerprint(index)},
        )  # fmt: skip


def open_reduced_index(index: TokenIndex, kind: Kind) -> ReducedIndex:
    """The reduction of `index` that lies inside its folder, else the one in the cache.

    Raises UsageError if there is none, ClirError if it is of other token vectors than are in `index` now, or was
    drawn by another random number generator than numpy has now.
    """
    if kind not in KINDS:
        raise unknown("reduction", kind, KINDS)
    within, cached = index.path / kind, _cached(index, kind)
    if not (within / "meta.json").exists():
        if not (cached / "meta.json").exists():
            raise UsageError(f"{index.path} has no {kind} vectors yet: build them with build_reduced_index")
        return _opened(index, kind, cached)
    try:
        return _opened(index, kind, within)
    except ClirError:
        # What lies inside a folder that cannot be written cannot be made again there.
        if not (cached / "meta.json").exists():
            raise
        return _opened(index, kind, cached)


def _opened(index: TokenIndex, kind: Kind, path: Path) -> ReducedIndex:
    made = read_manifest(path)
    if made.get("token index") != fingerprint(index):
        raise ClirError(f"{path} was made of other token vectors than {index.path} holds: build it again")
    try:
        reduction = _reduction(index, kind, path, made["reduction"])
        same = drawn(reduction) == made["reduction"]["drawn"]
    except (KeyError, TypeError, ValueError) as error:
        raise ClirError(f"{path / 'meta.json'} is not the manifest of {kind} vectors ({error})") from error
    if not same:
        raise ClirError(f"{path} was made with random numbers of another version of numpy: build it again")
    return ReducedIndex(path, index, reduction)


def is_current(index: TokenIndex, kind: Kind) -> bool:
    """Whether `open_reduced_index` would open it."""
    try:
        open_reduced_index(index, kind)
    except ClirError:
        return False
    return True


def default_reduction(index: TokenIndex, kind: Kind) -> Reduction:
    """The reduction of that kind with the parameters that are the default for `index`."""
    if kind not in KINDS:
        raise unknown("reduction", kind, KINDS)
    anchors = sample_tokens(index, ANCHORS)
    if kind == "pooled":
        return PooledVectors(index.dimension, anchors)
    projection = None if index.dimension <= PROJECTION else PROJECTION
    return FixedDimensional(index.dimension, projection=projection, centre=anchors.mean(axis=0))


def default_factory(documents: int, width: int) -> str:
    """FAISS's string for so many vectors."""
    if documents * width <= FLAT_FLOATS:
        return "Flat"
    return f"IVF{int(CELLS * documents**0.5)},SQ8"


def fingerprint(index: TokenIndex) -> str:
    """Changes with what the token index says it holds: documents, model, storage and whose each vector is."""
    said = (
        index.encoder, index.documents_fingerprint, index.dimension, index.tokens, index.storage, index.pooling,
        index.limit, sha256_of_file(index.path / "offsets"),
    )  # fmt: skip
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:16]


def drawn(reduction: Reduction) -> str | None:
    """A digest of the random numbers that `reduction` encodes with; None if it needs none."""
    return reduction.digest if isinstance(reduction, FixedDimensional) else None


def _write_vectors(index: TokenIndex, reduction: Reduction, path: Path, count: int, threads: int | None) -> None:
    """A flat FAISS index of the documents that have tokens, each block at its place as its thread is done with it."""
    rows = np.concatenate([[0], np.cumsum(np.diff(index.offsets) > 0)])
    width = reduction.width
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o666)
    try:
        os.pwrite(descriptor, flat_header(width, count), 0)
        with Progress(f"{reduction.name} vectors", index.documents, "documents") as progress:

            def reduce(start: int, stop: int, room: Room) -> None:
                vectors = reduction.documents(index.read(start, stop, room))
                kept = vectors[np.diff(index.offsets[start : stop + 1]) > 0]
                data = np.ascontiguousarray(kept, dtype="<f4").tobytes()
                place = FLAT_HEADER.size + 4 * width * int(rows[start])
                if os.pwrite(descriptor, data, place) != len(data):
                    raise OSError("not all bytes were written")
                progress.advance(stop - start)

            share_out(_blocks(index, width), reduce, threads)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _blocks(index: TokenIndex, width: int) -> Iterator[tuple[int, int]]:
    most = max(1, BLOCK_FLOATS // width)
    for start, stop in pieces(index.offsets, BLOCK_TOKENS):
        for begin in range(start, stop, most):
            yield begin, min(begin + most, stop)


def _approximate(flat: Path, output: Path, factory: str, queries: Vectors) -> dict[str, Any]:
    """Make FAISS's index of `flat`; what its manifest says of how."""
    index: DenseIndex = open_dense_index(flat)
    built = build_approximate_index(
        index, output, Factory(factory, recall=RECALL), queries=queries, queries_from="runs of document tokens"
    )
    made = read_manifest(built.path)
    return {name: made.get(name) for name in ("factory", "trained", "recall", "search parameters")}


def _sample_queries(index: TokenIndex, seed: int = 1) -> TokenVectors:
    """Runs of tokens from documents drawn at random."""
    held = np.flatnonzero(np.diff(index.offsets))
    draw = np.random.default_rng(seed)
    chosen = np.sort(draw.choice(held, min(SAMPLE_QUERIES, len(held)), replace=False))
    runs = []
    for number in chosen.tolist():
        vectors = index.read(number, number + 1).values
        start = int(draw.integers(0, max(1, len(vectors) - QUERY_TOKENS + 1)))
        runs.append(np.array(vectors[start : start + QUERY_TOKENS]))
    return TokenVectors.of(runs, index.dimension)


def _write_drawn(reduction: Reduction, folder: Path) -> None:
    if isinstance(reduction, FixedDimensional) and reduction.centre is not None:
        reduction.centre.astype("<f4").tofile(folder / "centre")


def _reduction(index: TokenIndex, kind: Kind, path: Path, said: dict[str, Any]) -> Reduction:
    """What the queries are reduced by."""
    if kind == "pooled":
        return PooledVectors(index.dimension, np.empty((0, index.dimension), dtype=np.float32))
    centre: NDArray[np.float32] | None = np.fromfile(path / "centre", dtype="<f4") if said["centred"] else None
    return FixedDimensional(
        index.dimension, said["planes"], said["repetitions"], said["projection"], said["final"], said["seed"], centre
    )
