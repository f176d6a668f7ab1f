"""Dense indexes in Pyserini's layout: `index` (FAISS, inner product) and `docid` (line i names vector i).

Vectors are appended window by window to the index file itself, so memory does not grow with the
collection and a killed run goes on after its last whole window.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from clir.corpora.collection import Document
from clir.encoding.encoder import Encoder, Vectors
from clir.indexing.encoded import (
    WINDOW,
    EncodedIndex,
    Growth,
    ReadDocuments,
    check_docids,
    growing,
    is_finished,
    longest_first,
    named,
    overwrite,
    refuse_shard,
)
from clir.indexing.faiss_vectors import FaissVectors, check_usable, read_index
from clir.indexing.flat import FLAT_HEADER, FlatVectors, flat_header, flat_shape, open_flat
from clir.indexing.shards import Shard
from clir.support.errors import ClirError, UsageError
from clir.support.manifest import read_manifest
from clir.support.progress import Progress, say


@dataclasses.dataclass(frozen=True)
class DenseIndex(EncodedIndex):
    """A dense index on disk: a vector for each document."""

    @functools.cached_property
    def flat(self) -> FlatVectors | None:
        """The vectors themselves, memory-mapped if large; None if the index is of another kind of FAISS's."""
        return open_flat(self.path / "index")

    def vectors(self, parameters: str | None = None) -> FlatVectors | FaissVectors:
        """What is searched; `parameters` as in FaissVectors. Raises UsageError for parameters of a flat index."""
        if self.flat is None:
            return FaissVectors(self.path / "index", parameters)
        if parameters is not None:
            raise UsageError(f"{self.path} is a flat index, which is searched exactly: leave out --index-parameters")
        return self.flat


def open_dense_index(path: str | Path) -> DenseIndex:
    """The dense index at `path`, ours or Pyserini's.

    Raises UsageError if it is missing or no such index, ClirError if its parts do not agree or it is a shard.
    """
    path = Path(path)
    if not path.is_dir():
        raise UsageError(f"no index folder at {path}")
    if not (path / "index").exists() or not (path / "docid").exists():
        raise UsageError(f"{path} is no dense index (it lacks the file index or docid)")
    made = read_manifest(path) if (path / "meta.json").exists() else {}
    refuse_shard(path, made)
    shape = flat_shape(path / "index")
    if shape is None:
        vectors = read_index(path / "index")
        check_usable(vectors, path / "index")
        shape = vectors.ntotal, vectors.d
    index = DenseIndex(path, *shape, made.get("encoder fingerprint"), made.get("documents sha256"))
    check_docids(index, "vectors")
    if not index.documents:
        raise ClirError(f"{path} is empty: it has no vectors to search")
    return index


def build_dense_index(
    read: ReadDocuments,
    encoder: Encoder,
    output: str | Path,
    *,
    window: int = WINDOW,
    total: int | None = None,
    about: dict[str, Any] | None = None,
) -> DenseIndex:
    """Encode the documents that `read()` yields into a dense index at `output`; a killed run goes on where it stopped.

    Documents are encoded in windows of `window` (sorted by length inside, stored in their own order).
    `about` goes into the manifest and, with the encoder's fingerprint, decides whether earlier windows
    may be kept; their documents are read again and must be the same. Raises ClirError if not a single
    document comes, a docid comes twice or has white space in it, or a vector is not finite.
    """
    _grow(read, encoder, Path(output), window, total, about or {}, None)
    return open_dense_index(output)


def build_dense_part(
    read: ReadDocuments,
    encoder: Encoder,
    output: str | Path,
    shard: Shard | None = None,
    *,
    window: int = WINDOW,
    total: int | None = None,
    about: dict[str, Any] | None = None,
) -> Path:
    """As `build_dense_index`, of one shard (None: of all) of the documents that `read()` yields, which is all of them.

    What is finished at `output` and of the same model, settings and documents is kept. Shards are put together by
    `clir.indexing.merging.merge`.
    """
    output = Path(output)
    if is_finished(output, dense_parts(encoder, window, about or {}), read, shard):
        say(f"{output} was finished earlier")
    else:
        _grow(read, encoder, output, window, total, about or {}, shard)
    return output


def seal_flat(folder: Path, documents: int) -> None:
    """Write into the flat index in `folder` that it has `documents` vectors."""
    with open(folder / "index", "rb") as handle:
        dimension = FLAT_HEADER.unpack(handle.read(FLAT_HEADER.size))[1]
    overwrite(folder / "index", flat_header(dimension, documents))


def dense_parts(encoder: Encoder, window: int, about: dict[str, Any]) -> dict[str, Any]:
    """All that decides what a document becomes, by which an index is known to be of the same work."""
    return {"encoder": encoder.fingerprint("document"), "window": window, **about}


def _grow(
    read: ReadDocuments,
    encoder: Encoder,
    output: Path,
    window: int,
    total: int | None,
    about: dict[str, Any],
    shard: Shard | None,
) -> None:
    parts = dense_parts(encoder, window, about)
    with growing(output, parts, {"index": flat_header(encoder.dimension, 0)}, shard) as growth:
        with Progress("encoding", total, "documents") as progress:
            for batch in growth.remaining(read, window, progress):
                append_vectors(growth, batch, _encoded(batch, encoder, progress))
        seal_flat(growth.folder, growth.documents)
        growth.finish(
            output,
            kind="dense",
            dimension=encoder.dimension,
            window=window,
            **named(encoder),
            **{"encoder fingerprint": parts["encoder"]},
            **about,
        )


def append_vectors(growth: Growth, batch: Sequence[Document], vectors: Vectors) -> None:
    """Store a window's (n, d) vectors."""
    growth.append(batch, {"index": np.ascontiguousarray(vectors, dtype="<f4").tobytes()})


def _encoded(batch: Sequence[Document], encoder: Encoder, progress: Progress) -> Vectors:
    """The vectors of a window in its own order, encoded longest first, a few batches at a time."""
    vectors = np.empty((len(batch), encoder.dimension), dtype=np.float32)
    for chosen in longest_first(batch):
        found = encoder.encode_documents([batch[at].contents for at in chosen])
        if found.shape != (len(chosen), encoder.dimension):
            wanted = (len(chosen), encoder.dimension)
            raise ClirError(f"the encoder gave vectors of shape {found.shape}, not {wanted}")
        vectors[chosen] = found
        progress.advance(len(chosen))
    return finite(vectors, batch)


def finite(vectors: Vectors, batch: Sequence[Document]) -> Vectors:
    """`vectors`; ClirError if one of them has a number that is not finite."""
    bad = ~np.isfinite(vectors).all(axis=1)
    if bad.any():
        raise ClirError(
            f"the encoder gave a vector with NaN or infinity for document {batch[int(bad.argmax())].docid!r}"
        )
    return vectors
