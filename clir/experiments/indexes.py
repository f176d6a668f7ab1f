"""The indexes of a collection: found by what they were made from, built where they are missing."""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

from clir.corpora.collection import Collection
from clir.encoding.encoder import Encoder, TowerEncoder, token_encoder
from clir.indexing.dense import DenseIndex, build_dense_index, open_dense_index
from clir.indexing.documents import documents_fingerprint
from clir.indexing.lucene import LuceneIndex, build_lucene_index, open_lucene_index
from clir.indexing.tokens import TokenIndex, build_token_index, open_token_index
from clir.support.locks import alone

ROOT = Path("indexes")
# Collections up to this size are read through to see that an index still holds their documents;
# for larger ones their id stands for them.
READ_THROUGH = 100_000


def dense_index(collection: Collection, encoder: Encoder, root: Path = ROOT) -> DenseIndex:
    """The dense index of `collection` by `encoder`'s document side under `root`, built if it is not there."""
    path = root / _name(collection) / f"dense-{encoder.fingerprint('document')}-{_documents_key(collection)}"
    with _where_missing(path) as missing:
        if missing:
            _check(encoder)
            build_dense_index(
                collection.documents, encoder, path, total=collection.document_count(),
                about={"data": {"source": collection.id}},
            )  # fmt: skip
    return open_dense_index(path)


def token_index(collection: Collection, encoder: Encoder, root: Path = ROOT) -> TokenIndex:
    """The token index of `collection` by `encoder`'s document side under `root`, built if it is not there.

    Raises UsageError for an encoder without token vectors.
    """
    giving = token_encoder(encoder)
    made_by = f"{encoder.fingerprint('document')}-{giving.token_limit('document')}"
    path = root / _name(collection) / f"tokens-{made_by}-{_documents_key(collection)}"
    with _where_missing(path) as missing:
        if missing:
            _check(encoder)
            build_token_index(
                collection.documents, giving, path, total=collection.document_count(),
                about={"data": {"source": collection.id}},
            )  # fmt: skip
    return open_token_index(path)


def _check(encoder: Encoder) -> None:
    """Raise ClirError if a side of the encoder cannot be loaded: before the documents are encoded for its other."""
    if isinstance(encoder, TowerEncoder):
        encoder.check()


def sparse_index(
    collection: Collection, root: Path = ROOT, *, analyzer: str | None = None, feedback: bool = False
) -> LuceneIndex:
    """The BM25 index of `collection` under `root`, built if it is not there; `analyzer` as in `build_lucene_index`.

    `feedback`: with the terms of each document stored, which RM3 and Rocchio read; an index that has them serves
    other searches too.
    """
    terms = re.sub(r"[^\w.+-]", "-", analyzer or collection.language)
    path = root / _name(collection) / f"bm25-{terms}-{_documents_key(collection)}"
    with_terms = path.with_name(path.name + "-docvectors")
    if feedback or (with_terms / "meta.json").exists():
        path = with_terms
    with _where_missing(path) as missing:
        if missing:
            build_lucene_index(
                collection.documents(), path, collection.language, analyzer=analyzer,
                store=["docvectors"] if feedback else [], total=collection.document_count(), source=collection.id,
            )  # fmt: skip
    return open_lucene_index(path, analyzer=analyzer)


@contextlib.contextmanager
def _where_missing(path: Path) -> Iterator[bool]:
    """Whether an index is still to be built at `path`, when no other process is at it any more."""
    if (path / "meta.json").exists():
        yield False
        return
    with alone(path, "building", wait=True):
        yield not (path / "meta.json").exists()


def _name(collection: Collection) -> str:
    """A folder for the collection's documents: languages and splits of one collection share them."""
    return re.sub(r"[^\w.+-]", "-", collection.id.split("/")[0])


def _documents_key(collection: Collection) -> str:
    count = collection.document_count()
    if count is not None and count <= READ_THROUGH:
        return documents_fingerprint(collection.documents())[:12]
    return hashlib.sha256(collection.id.encode("utf-8")).hexdigest()[:12]
