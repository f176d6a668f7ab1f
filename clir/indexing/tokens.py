"""Token indexes: a vector for every content token of every document, for late interaction.

A folder with `values` (the vectors in a row, little-endian, nothing else), `offsets` (int64: document i
has the rows from offsets[i] to offsets[i + 1]), `docid` (line i names document i) and the manifest. int8 has
`scales` beside them: (d,) float32 for each window of documents, by which its values are multiplied. A window's
scales come from its own vectors, so that neither a kill nor the division of the work changes a byte.
"""

from __future__ import annotations

import dataclasses
import functools
import mmap
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from clir.corpora.collection import Document
from clir.encoding.encoder import TokenEncoder
from clir.encoding.token_vectors import TokenVectors, pieces
from clir.indexing.encoded import (
    WINDOW,
    EncodedIndex,
    ReadDocuments,
    check_docids,
    growing,
    is_finished,
    longest_first,
    named,
    refuse_shard,
)
from clir.indexing.pooling import pooled
from clir.indexing.shards import Shard
from clir.indexing.storage import KINDS, SCALE, Storage, fits, kept, restored, scales_of
from clir.support.errors import ClirError, UsageError
from clir.support.manifest import read_manifest
from clir.support.progress import Progress, say
from clir.support.workers import Room

OFFSET = np.dtype("<i8")
# Documents that are looked at to see whether an index is in memory.
SAMPLE = 16


@dataclasses.dataclass(frozen=True)
class TokenIndex(EncodedIndex):
    """A token index on disk: `tokens` vectors of all documents, of at most `limit` tokens a text.

    They are kept as `storage`, encoded `window` documents at a time, one for every `pooling` tokens of a document.
    """

    tokens: int
    storage: Storage
    limit: int
    window: int
    pooling: int

    @functools.cached_property
    def offsets(self) -> NDArray[np.int64]:
        """(documents + 1,) where each document's rows begin and end."""
        return np.fromfile(self.path / "offsets", dtype=OFFSET).astype(np.int64, copy=False)

    @functools.cached_property
    def values(self) -> NDArray[Any]:
        """(tokens, d) all vectors as they are kept (of bfloat16 the bits, of int8 the steps), memory-mapped."""
        shape, kind = (self.tokens, self.dimension), KINDS[self.storage]
        return np.frombuffer(self._mapped, dtype=kind).reshape(shape) if self.tokens else np.empty(shape, dtype=kind)

    @functools.cached_property
    def _mapped(self) -> mmap.mmap:
        with open(self.path / "values", "rb") as file:
            # Copy-on-write, since torch wants arrays that may be written; nothing is.
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)

    @functools.cached_property
    def scales(self) -> NDArray[np.float32]:
        """(windows, d) of int8: what the values of each window of documents are multiplied by."""
        return np.fromfile(self.path / "scales", dtype=SCALE).reshape(-1, self.dimension)

    def blocks(self, tokens: int) -> Iterator[tuple[int, TokenVectors]]:
        """All documents in blocks of at most `tokens` vectors, and of one document at least, in float32.

        Yields the number of each block's first document beside the block.
        """
        for start, stop in pieces(self.offsets, tokens):
            yield start, self.read(start, stop)

    def read(self, start: int, stop: int, room: Room | None = None) -> TokenVectors:
        """The vectors of the documents from `start` to `stop`, in float32; `room` is for them, until its next use."""
        offsets = self.offsets[start : stop + 1]
        values, offsets = self.values[offsets[0] : offsets[-1]], offsets - offsets[0]
        return TokenVectors(self._restored(values, offsets, np.arange(start, stop), room), offsets)

    def take(self, documents: NDArray[np.int64], room: Room | None = None) -> TokenVectors:
        """The vectors of `documents` (their numbers, in any order, with repeats), as `read` gives those of a range.

        No other document's pages are touched.
        """
        places = Places.of(self, documents)
        return TokenVectors(self.at(places, 0, len(documents), room), places.offsets)

    def at(self, places: Places, start: int, stop: int, room: Room | None = None) -> NDArray[np.float32]:
        """(t, d) the vectors of the documents from `start` to `stop` of those that have `places`."""
        first, last = int(places.offsets[start]), int(places.offsets[stop])
        shape, kind = (last - first, self.dimension), self.values.dtype
        values = np.empty(shape, kind) if room is None else room.of("kept", shape, kind)
        # Any mode but numpy's default writes straight into `out`; all rows are within bounds.
        np.take(self.values, places.rows[first:last], axis=0, out=values, mode="clip")
        return self._restored(values, places.offsets[start : stop + 1] - first, places.documents[start:stop], room)

    def expect(self, documents: NDArray[np.int64]) -> None:
        """Have the disk begin to read the vectors of `documents`, in ascending order, if they are not in memory.

        The reads that `take` would wait for one by one, the disk then does side by side. Nothing is done if SAMPLE of
        the documents are in memory: then the others are taken to be there as well.
        """
        row = self.dimension * KINDS[self.storage].itemsize
        begins, ends = self.offsets[documents] * row, self.offsets[documents + 1] * row
        sample = begins[begins < ends][:: len(documents) // SAMPLE + 1]
        if not hasattr(mmap, "MADV_WILLNEED") or self._in_memory(sample):
            return
        begins -= begins % mmap.PAGESIZE
        for begin, size in zip(begins.tolist(), (ends - begins).tolist(), strict=True):
            self._mapped.madvise(mmap.MADV_WILLNEED, begin, size)

    def _in_memory(self, places: NDArray[np.int64]) -> bool:
        """Whether the values' bytes at these places can all be had without waiting for the disk."""
        with open(self.path / "values", "rb") as file:
            try:
                return all(os.preadv(file.fileno(), [bytearray(1)], at, os.RWF_NOWAIT) == 1 for at in places.tolist())
            except (OSError, AttributeError):
                # The disk would have to be read, or the system does not tell.
                return False

    def _restored(
        self, values: NDArray[Any], offsets: NDArray[np.int64], documents: NDArray[np.int64], room: Room | None
    ) -> NDArray[np.float32]:
        """The kept `values` of `documents` in float32."""
        found = values if self.storage == "float32" else restored(values, self.storage, room)
        if self.storage == "int8" and len(documents):
            windows = documents // self.window
            starts = np.concatenate([[0], np.flatnonzero(np.diff(windows)) + 1])
            for start, stop in zip(starts.tolist(), [*starts[1:].tolist(), len(documents)], strict=True):
                found[offsets[start] : offsets[stop]] *= self.scales[windows[start]]
        return found


class Places(NamedTuple):
    """Where n `documents` have their vectors: (n + 1,) `offsets` among their (tokens,) `rows` of the index."""

    documents: NDArray[np.int64]
    offsets: NDArray[np.int64]
    rows: NDArray[np.int64]

    @classmethod
    def of(cls, index: TokenIndex, documents: NDArray[np.int64]) -> Places:
        """The places of `documents`, numbers in any order."""
        begins = index.offsets[documents]
        lengths = index.offsets[documents + 1] - begins
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        rows = np.repeat(begins - offsets[:-1], lengths)
        rows += np.arange(offsets[-1])
        return cls(documents, offsets, rows)


def open_token_index(path: str | Path) -> TokenIndex:
    """The token index at `path`.

    Raises UsageError if it is missing or no such index, ClirError if its parts do not agree or it is a shard.
    """
    path = Path(path)
    if not path.is_dir():
        raise UsageError(f"no index folder at {path}")
    if not (path / "values").exists() or not (path / "offsets").exists():
        raise UsageError(
            f"{path} is no token index (it lacks the file values or offsets): make one with clir.encode --tokens"
        )
    made = read_manifest(path)
    refuse_shard(path, made)
    try:
        index = TokenIndex(
            path, int(made["documents"]), int(made["dimension"]), made["encoder fingerprint"],
            made["documents sha256"], int(made["tokens"]),
            cast(Storage, str(made["storage" if "storage" in made else "stored"])), int(made["token limit"]),
            int(made["window"]), int(made.get("pooling", 1)),
        )  # fmt: skip
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise ClirError(f"{path / 'meta.json'} is not the manifest of a token index ({error})") from error
    counts = index.dimension, index.limit, index.window, index.pooling
    if min(index.documents, index.tokens) < 0 or not all(0 < count < 1 << 31 for count in counts):
        raise ClirError(f"{path / 'meta.json'} is not the manifest of a token index (its numbers are out of range)")
    _check_parts(index)
    return index


def build_token_index(
    read: ReadDocuments,
    encoder: TokenEncoder,
    output: str | Path,
    *,
    storage: Storage = "float16",
    pooling: int = 1,
    window: int = WINDOW,
    total: int | None = None,
    about: dict[str, Any] | None = None,
) -> TokenIndex:
    """Encode the tokens of the documents that `read()` yields into an index at `output`; a killed run goes on.

    `pooling` over 1 keeps one vector for so many tokens of a document (see clir.indexing.pooling). Windows,
    `about`, and what is refused are as in `build_dense_index`; memory holds a window's vectors, for int8 in
    float32.
    """
    _grow(read, encoder, Path(output), _parts(encoder, storage, pooling, window, about), total, None)
    return open_token_index(output)


def build_token_part(
    read: ReadDocuments,
    encoder: TokenEncoder,
    output: str | Path,
    shard: Shard | None = None,
    *,
    storage: Storage = "float16",
    pooling: int = 1,
    window: int = WINDOW,
    total: int | None = None,
    about: dict[str, Any] | None = None,
) -> Path:
    """As `build_token_index`, of one shard (None: of all) of the documents that `read()` yields, which is all of them.

    What is finished at `output` and of the same model, settings and documents is kept. Shards are put together by
    `clir.indexing.merging.merge`.
    """
    output = Path(output)
    parts = _parts(encoder, storage, pooling, window, about)
    if is_finished(output, parts, read, shard):
        say(f"{output} was finished earlier")
    else:
        _grow(read, encoder, output, parts, total, shard)
    return output


def _parts(
    encoder: TokenEncoder, storage: Storage, pooling: int, window: int, about: dict[str, Any] | None
) -> dict[str, Any]:
    """All that decides what a document becomes."""
    if pooling < 1:
        raise UsageError(f"pooling must be at least 1, not {pooling}")
    return {
        "encoder": encoder.fingerprint("document"), "window": window, "storage": storage, "pooling": pooling,
        "token limit": encoder.token_limit("document"), **(about or {}),
    }  # fmt: skip


def _grow(
    read: ReadDocuments,
    encoder: TokenEncoder,
    output: Path,
    parts: dict[str, Any],
    total: int | None,
    shard: Shard | None,
) -> None:
    storage, window = parts["storage"], parts["window"]
    begin = {"values": b"", "offsets": np.zeros(1, OFFSET).tobytes(), **({"scales": b""} if storage == "int8" else {})}
    row = encoder.dimension * KINDS[storage].itemsize
    with growing(output, parts, begin, shard) as growth:
        with Progress("encoding tokens", total, "documents") as progress:
            for batch in growth.remaining(read, window, progress):
                rows, scales = _encoded(batch, encoder, storage, parts["pooling"], progress)
                ends = growth.size("values") // row + np.cumsum([len(vectors) for vectors in rows])
                values = b"".join(vectors.tobytes() for vectors in rows)
                growth.append(batch, {"values": values, "offsets": ends.astype(OFFSET).tobytes(), **scales})
        growth.finish(
            output,
            kind="token",
            dimension=encoder.dimension,
            **named(encoder),
            tokens=growth.size("values") // row,
            **{"encoder fingerprint" if name == "encoder" else name: value for name, value in parts.items()},
        )


def _check_parts(index: TokenIndex) -> None:
    """Raise ClirError unless files and manifest say the same."""
    if index.storage not in KINDS:
        raise ClirError(
            f"{index.path} keeps its vectors as {index.storage!r}, which this version of clir does not read"
        )
    check_docids(index, "documents")
    sizes = {"values": index.tokens * index.dimension * KINDS[index.storage].itemsize}
    if index.storage == "int8":
        sizes["scales"] = -(-index.documents // index.window) * index.dimension * SCALE.itemsize
    for name, expected in sizes.items():
        found = (index.path / name).stat().st_size if (index.path / name).exists() else 0
        if found != expected:
            raise ClirError(f"{index.path} is broken: its {name} have {found} bytes, not {expected}")
    offsets = index.offsets
    ends = (len(offsets), *offsets[:1], *offsets[-1:])
    if ends != (index.documents + 1, 0, index.tokens) or (np.diff(offsets) < 0).any():
        raise ClirError(f"{index.path} is broken: its offsets do not go from 0 to {index.tokens}")


def _encoded(
    batch: Sequence[Document], encoder: TokenEncoder, storage: Storage, pooling: int, progress: Progress
) -> tuple[list[NDArray[Any]], dict[str, bytes]]:
    """The (t, d) token vectors of each document of a window as they are kept, encoded longest first; and int8's scales.

    Scales are known when the window is, so until then its vectors stay in float32.
    """
    found: list[NDArray[Any]] = [np.empty((0, encoder.dimension), dtype=np.float32)] * len(batch)
    for chosen in longest_first(batch):
        vectors = encoder.encode_document_tokens([batch[at].contents for at in chosen])
        if (len(vectors), vectors.dimension) != (len(chosen), encoder.dimension):
            raise ClirError(
                f"the encoder gave token vectors of {len(vectors)} texts with {vectors.dimension} dimensions, "
                f"not of {len(chosen)} with {encoder.dimension}"
            )
        for row, at in enumerate(chosen):
            if not fits(vectors[row], storage):
                raise ClirError(
                    f"the encoder gave a vector with NaN or infinity (as {storage}) for document {batch[at].docid!r}"
                )
            few = pooled(vectors[row], pooling)
            found[at] = few if storage == "int8" else kept(few, storage)
        progress.advance(len(chosen))
    if storage != "int8":
        return found, {}
    scales = scales_of(np.array([np.abs(vectors).max(axis=0, initial=0) for vectors in found]))
    return [kept(vectors, storage, scales) for vectors in found], {"scales": scales.tobytes()}
