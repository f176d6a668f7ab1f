"""A search from end to end: which index, which text per side, which ranking, and the scores of the run."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from clir.corpora.collection import Collection, Topic
from clir.corpora.qrels import Qrels
from clir.encoding.encoder import Encoder, token_encoder
from clir.experiments.indexes import ROOT, dense_index, sparse_index, token_index
from clir.indexing.dense import DenseIndex
from clir.indexing.lucene import LuceneIndex
from clir.indexing.tokens import TokenIndex
from clir.retrieval.bm25 import BM25Searcher
from clir.retrieval.dense import DenseSearcher
from clir.retrieval.hybrid import FusionOptions, HybridSearcher
from clir.retrieval.late import LateSearcher
from clir.retrieval.searcher import Searcher
from clir.runs.run import Run
from clir.support.errors import ClirError, UsageError

Method = Literal["bm25", "dense", "late", "hybrid"]
METHODS: tuple[Method, ...] = ("bm25", "dense", "late", "hybrid")
# What each method searches.
SPARSE, DENSE = ("bm25", "hybrid"), ("dense", "hybrid")
HITS = 1000


@dataclasses.dataclass(frozen=True)
class SearchOptions:
    """What a search can be told beside its method: BM25's parameters, fusion, threads."""

    k1: float = 0.9
    b: float = 0.4
    threads: int | None = None
    fusion: FusionOptions = dataclasses.field(default_factory=FusionOptions)


@dataclasses.dataclass(frozen=True)
class Sides:
    """What each side of a search reads: an index and topics (None: that side is not searched)."""

    dense: DenseIndex | None = None
    sparse: LuceneIndex | None = None
    topics: Sequence[Topic] = ()
    sparse_topics: Sequence[Topic] | None = None
    tokens: TokenIndex | None = None


def collection_sides(
    collection: Collection,
    method: Method,
    encoder: Encoder | None,
    *,
    topics_language: str | None = None,
    sparse_topics_language: str | None = None,
    analyzer: str | None = None,
    root: Path = ROOT,
) -> Sides:
    """The indexes (built where missing) and topics of `collection` that `method` needs.

    The sparse side of a hybrid reads `sparse_topics_language` (default: the topics' own language).
    """
    needed = _needed(method, encoder)
    # What is quick and may be refused comes before what takes hours.
    topics = collection.topics(topics_language)
    sparse_topics = collection.topics(sparse_topics_language) if sparse_topics_language else None
    sparse = sparse_index(collection, root, analyzer=analyzer) if method in SPARSE else None
    dense = dense_index(collection, needed, root) if needed and method in DENSE else None
    tokens = token_index(collection, needed, root) if needed and method == "late" else None
    return Sides(dense, sparse, topics, sparse_topics, tokens)


def searcher(method: Method, sides: Sides, encoder: Encoder | None, options: SearchOptions) -> Searcher:
    """The searcher of `method` over `sides`; UsageError if a side that it needs is missing."""
    needed = _needed(method, encoder)
    if needed is not None and method == "late":
        if sides.tokens is None:
            raise UsageError("--method late needs a token index")
        return LateSearcher(sides.tokens, needed, threads=options.threads)
    sparse = dense = None
    if method in SPARSE:
        if sides.sparse is None:
            raise UsageError(f"--method {method} needs a BM25 index")
        sparse = BM25Searcher(sides.sparse, k1=options.k1, b=options.b, threads=options.threads)
    if needed is not None:
        if sides.dense is None:
            raise UsageError(f"--method {method} needs a dense index")
        dense = DenseSearcher(sides.dense, needed, threads=options.threads)
    if dense and sparse:
        return HybridSearcher(dense, sparse, sparse_topics=sides.sparse_topics, fusion=options.fusion)
    return dense or sparse  # type: ignore[return-value]


def search(
    method: Method, sides: Sides, encoder: Encoder | None, *, hits: int = HITS, options: SearchOptions | None = None
) -> Run:
    """The run of `sides.topics`; `bm25` alone reads `sparse_topics` where they are given."""
    topics = sides.topics
    if method == "bm25" and sides.sparse_topics is not None:
        topics = sides.sparse_topics
    return searcher(method, sides, encoder, options or SearchOptions()).search(topics, hits)


def provenance(method: Method, sides: Sides, encoder: Encoder | None, options: SearchOptions) -> dict[str, Any]:
    """What a run's manifest says of how it was made."""
    from clir.support.manifest import read_manifest

    indexes = {}
    for side, index in (("dense", sides.dense), ("sparse", sides.sparse), ("tokens", sides.tokens)):
        if index is not None:
            made = read_manifest(index.path) if (index.path / "meta.json").exists() else {}
            indexes[side] = {"path": str(index.path), "documents sha256": made.get("documents sha256")}
    used = dataclasses.asdict(options)
    if method != "hybrid":
        used.pop("fusion")
    if method not in SPARSE:
        used = {"threads": options.threads}
    if encoder is not None and method == "late":
        used["token limit"] = token_encoder(encoder).token_limit("query")
    texts = json.dumps([list(sides.topics), list(sides.sparse_topics or ())]).encode("ascii")
    topics = {"count": len(sides.topics), "sha256": hashlib.sha256(texts).hexdigest()}
    model = {} if encoder is None else {"encoder": encoder.name, "query fingerprint": encoder.fingerprint("query")}
    return {"method": {"search": method, **used, **model}, "data": {"indexes": indexes, "topics": topics}}


def check_judged(topics: Sequence[Topic], qrels: Qrels) -> None:
    """Raise ClirError if not a single topic is judged in `qrels`: they are of another collection."""
    if not any(topic.qid in qrels for topic in topics):
        ours, theirs = (", ".join(qids[:3]) for qids in ([topic.qid for topic in topics], qrels.topics))
        raise ClirError(f"no topic is judged: the topics are {ours}, ..., the qrels are for {theirs}, ...")


def _needed(method: Method, encoder: Encoder | None) -> Encoder | None:
    if method == "bm25":
        return None
    if encoder is None:
        raise UsageError(f"--method {method} needs --encoder")
    return encoder
