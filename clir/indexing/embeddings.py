"""Vectors that Pyserini wrote as JSON lines (`pyserini.encode ... --to-jsonl`), as a dense index."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from clir.corpora.collection import Document
from clir.corpora.documents import document_files, document_of
from clir.encoding.encoder import Encoder, Vectors
from clir.indexing.dense import DenseIndex, append_vectors, finite, open_dense_index, seal_flat
from clir.indexing.encoded import WINDOW, growing
from clir.indexing.flat import flat_header
from clir.support.errors import ClirError
from clir.support.files import open_text
from clir.support.json_records import json_records
from clir.support.progress import Progress

# Documents whose vectors are compared with the encoder's own, and how alike they must be.
COMPARED, LEAST_COSINE, MOST_STRETCH = 8, 0.99, 0.02


def import_embeddings(
    path: str | Path, output: str | Path, encoder: Encoder | None = None, *, window: int = WINDOW
) -> DenseIndex:
    """The vectors of a JSON-lines file, or of all such files of a folder, as a flat dense index at `output`.

    One object a line with `id`, `vector` and, if there is any, `contents`. With `encoder`, which is said to have
    made them, the first documents are encoded again, and the index is known as that encoder's from then on.
    A killed run goes on. Raises ClirError, with file and line, for what is no vector or of another width, and if
    the encoder gives other vectors.
    """
    path, output = Path(path), Path(output)
    first = next(_embedded(path), None)
    if first is None:
        raise ClirError(f"{path} has no vectors")
    made_by: dict[str, Any] = {}
    if encoder is not None:
        _check_alike(path, encoder)
        made_by = {"encoder": encoder.name, "encoder fingerprint": encoder.fingerprint("document")}
    dimension = len(first.vector)
    parts = {"source": str(path), "files": _state(path), "dimension": dimension, "window": window, **made_by}
    with growing(output, parts, {"index": flat_header(dimension, 0)}) as growth:
        with Progress("importing", None, "vectors") as progress:
            for batch in growth.remaining(lambda: _embedded(path), window, progress):
                # What `_embedded` yields comes out again.
                vectors = np.stack([doc.vector for doc in batch])  # type: ignore[attr-defined]
                append_vectors(growth, batch, finite(vectors, batch))
                progress.advance(len(batch))
        seal_flat(growth.folder, growth.documents)
        growth.finish(output, kind="dense", dimension=dimension, window=window, data={"source": str(path)}, **made_by)
    return open_dense_index(output)


def _state(path: Path) -> list[list[int]]:
    """What a file that was written again would not have in common with its earlier self."""
    found = (file.stat() for file in document_files(path, ("json",)))
    return [[status.st_size, status.st_mtime_ns, status.st_ino] for status in found]


class _Embedded(Document):
    """A document with its vector."""

    vector: Vectors


def _embedded(path: Path) -> Iterator[_Embedded]:
    dimension = None
    for file in document_files(path, ("json",)):
        with open_text(file, "embeddings") as lines:
            for where, record in json_records(lines, file):
                document = _Embedded(*document_of({"contents": "", **record}, where))
                document.vector = _vector(record.get("vector"), where)
                dimension = dimension or len(document.vector)
                if len(document.vector) != dimension:
                    raise ClirError(f"{where}: a vector of {len(document.vector)} numbers among those of {dimension}")
                yield document


def _vector(value: object, where: str) -> Vectors:
    try:
        vector = np.array(value, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise ClirError(f"{where}: the vector is not a list of numbers") from error
    if vector.ndim != 1 or not len(vector):
        raise ClirError(f"{where}: no vector (key vector: a list of numbers)")
    return vector


def _check_alike(path: Path, encoder: Encoder) -> None:
    few = [document for document, _ in zip(_embedded(path), range(COMPARED), strict=False)]
    given = np.stack([document.vector for document in few])
    own = encoder.encode_documents([document.contents for document in few])
    if given.shape != own.shape:
        raise ClirError(f"{path} has vectors of {given.shape[1]} numbers, {encoder.name} gives {own.shape[1]}")
    lengths = np.linalg.norm(given, axis=1), np.linalg.norm(own, axis=1)
    cosine = float((np.einsum("nd,nd->n", given, own) / np.maximum(lengths[0] * lengths[1], 1e-12)).min())
    stretch = float(np.abs(lengths[0] / np.maximum(lengths[1], 1e-12) - 1).max())
    if cosine < LEAST_COSINE or stretch > MOST_STRETCH:
        raise ClirError(
            f"{path} does not have the vectors of {encoder.name}: of the first {len(few)} documents one has cosine "
            f"{cosine:.3f} to the encoder's own, lengths differ by up to {100 * stretch:.0f} %"
        )
