"""Dense indexes in Pyserini's layout: `index` (FAISS, inner product) and `docid` (line i names vector i).

Vectors are appended window by window to the index file itself, so memory does not grow with the
collection and a killed run goes on after its last whole window.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from clir.corpora.collection import Document
from clir.encoding.encoder import Encoder, Vectors
from clir.indexing.encoded import WINDOW, EncodedIndex, ReadDocuments, growing, longest_first
from clir.support.errors import ClirError, UsageError
from clir.support.manifest import read_manifest
from clir.support.progress import Progress

# FAISS's IndexFlatIP on disk: fourcc, d, ntotal, two unused words, trained, metric, number of floats, floats.
FLAT_HEADER = struct.Struct("<4siqqqbiq")
FLAT_FOURCC = b"IxFI"
FLAT_UNUSED = 1 << 20
INNER_PRODUCT = 0


class DenseIndex(EncodedIndex):
    """A dense index on disk: a vector for each document."""


def open_dense_index(path: str | Path) -> DenseIndex:
    """The dense index at `path`, ours or Pyserini's.

    Raises UsageError if it is missing or no such index, ClirError if its parts do not agree.
    """
    path = Path(path)
    if not path.is_dir():
        raise UsageError(f"no index folder at {path}")
    if not (path / "index").exists() or not (path / "docid").exists():
        raise UsageError(f"{path} is no dense index (it lacks the file index or docid)")
    import faiss

    try:
        vectors = faiss.read_index(str(path / "index"), faiss.IO_FLAG_MMAP)
    except RuntimeError as error:
        raise ClirError(f"{path / 'index'} is not a FAISS index: {str(error).splitlines()[0]}") from error
    made = read_manifest(path) if (path / "meta.json").exists() else {}
    index = DenseIndex(path, vectors.ntotal, vectors.d, made.get("encoder fingerprint"), made.get("documents sha256"))
    if len(index.docids) != index.documents:
        raise ClirError(f"{path} is broken: {index.documents} vectors but {len(index.docids)} docids")
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
    output = Path(output)
    fingerprint, dimension = encoder.fingerprint("document"), encoder.dimension
    parts = {"encoder": fingerprint, "window": window, **(about or {})}
    with growing(output, parts, {"index": _flat_header(dimension, 0)}) as growth:
        with Progress("encoding", total, "documents") as progress:
            for batch in growth.remaining(read, window, progress):
                vectors = _encoded(batch, encoder, progress)
                growth.append(batch, {"index": np.ascontiguousarray(vectors, dtype="<f4").tobytes()})
        growth.overwrite("index", _flat_header(dimension, growth.documents))
        growth.finish(
            output,
            kind="dense",
            encoder=encoder.name,
            dimension=dimension,
            window=window,
            **{"encoder fingerprint": fingerprint},
            **(about or {}),
        )
    return open_dense_index(output)


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
    return _finite(vectors, batch)


def _finite(vectors: Vectors, batch: Sequence[Document]) -> Vectors:
    bad = ~np.isfinite(vectors).all(axis=1)
    if bad.any():
        raise ClirError(
            f"the encoder gave a vector with NaN or infinity for document {batch[int(bad.argmax())].docid!r}"
        )
    return vectors


def _flat_header(dimension: int, count: int) -> bytes:
    return FLAT_HEADER.pack(
        FLAT_FOURCC, dimension, count, FLAT_UNUSED, FLAT_UNUSED, 1, INNER_PRODUCT, dimension * count
    )
