"""A search from end to end: which index, which text per side, which ranking, and the scores of the run."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import polars as pl

from clir.corpora.collection import Collection, Topic, collection_topics
from clir.corpora.qrels import Qrels
from clir.encoding.encoder import Encoder, token_encoder
from clir.experiments.indexes import ROOT, dense_index, sparse_index, token_index
from clir.indexing.dense import DenseIndex
from clir.indexing.encoded import required_languages
from clir.indexing.lucene import LuceneIndex
from clir.indexing.tokens import TokenIndex
from clir.retrieval.bm25 import K1, B, BM25Searcher
from clir.retrieval.dense import DenseSearcher
from clir.retrieval.dense_feedback import DenseFeedback, DenseFeedbackSearcher
from clir.retrieval.hybrid import FusionOptions, HybridSearcher
from clir.retrieval.late import FIRST_STAGES, LateSearcher
from clir.retrieval.limited import LimitedSearcher
from clir.retrieval.psq import StructuredQueries
from clir.retrieval.reranking import LateReranker
from clir.retrieval.searcher import Searcher
from clir.retrieval.term_feedback import TermFeedback
from clir.retrieval.without_query import WithoutQuery, without_query
from clir.runs.forms import read_run
from clir.runs.run import Run
from clir.support.errors import ClirError, UsageError, unknown

Method = Literal["bm25", "dense", "late", "hybrid"]
METHODS: tuple[Method, ...] = ("bm25", "dense", "late", "hybrid")
# What each method searches, and each search that can stand before late interaction.
SPARSE, DENSE = ("bm25", "hybrid"), ("dense", "hybrid")
STAGES = (*FIRST_STAGES, "bm25", "dense", "hybrid")
HITS = 1000


@dataclasses.dataclass(frozen=True)
class Feedback:
    """Pseudo-relevance feedback of each side (None: none)."""

    sparse: TermFeedback | None = None
    dense: DenseFeedback | None = None


@dataclasses.dataclass(frozen=True)
class SearchOptions:
    """What a search can be told beside its method.

    k1, b: BM25's; parameters: of an approximate dense index; languages: of the documents that are found, by the dense
    index's tags, and balanced: an equal share for each, where nothing else is searched; first_stage: how late
    interaction comes to its candidates (one of STAGES, or the path of a run); candidates: how many of them are
    re-ranked (None: 1,000, or as many as are asked for); remove_query: leave out the document whose docid is the
    topic's qid, on every side, where topics are documents.
    """

    k1: float = K1
    b: float = B
    threads: int | None = None
    fusion: FusionOptions = dataclasses.field(default_factory=FusionOptions)
    feedback: Feedback = dataclasses.field(default_factory=Feedback)
    parameters: str | None = None
    languages: tuple[str, ...] | None = None
    balanced: bool = False
    first_stage: str = "auto"
    candidates: int | None = None
    remove_query: bool = False


@dataclasses.dataclass(frozen=True)
class Sides:
    """What each side of a search reads: an index and topics (None: that side is not searched).

    structured: BM25's side counts terms through a translation table; translation: where translated text came from.
    """

    dense: DenseIndex | None = None
    sparse: LuceneIndex | None = None
    topics: Sequence[Topic] = ()
    sparse_topics: Sequence[Topic] | None = None
    tokens: TokenIndex | None = None
    structured: StructuredQueries | None = None
    translation: dict[str, Any] | None = None


def collection_sides(
    collection: Collection,
    method: Method,
    encoder: Encoder | None,
    *,
    topics_language: str | None = None,
    sparse_topics_language: str | None = None,
    fields: Sequence[str] | None = None,
    analyzer: str | None = None,
    first_stage: str = "auto",
    feedback: bool = False,
    root: Path = ROOT,
) -> Sides:
    """The indexes (built where missing) and topics of `collection` that `method` needs.

    The sparse side of a hybrid reads `sparse_topics_language` (default: the topics' own language). `feedback`: the
    BM25 index must hold documents' terms for RM3 and Rocchio.
    """
    needed = _needed(method, encoder)
    searched = first_stage if method == "late" else method
    # What is quick and may be refused comes before what takes hours.
    topics = collection_topics(collection, topics_language, fields)
    sparse_topics = collection_topics(collection, sparse_topics_language, fields) if sparse_topics_language else None
    sparse = sparse_index(collection, root, analyzer=analyzer, feedback=feedback) if searched in SPARSE else None
    dense = dense_index(collection, needed, root) if needed and searched in DENSE else None
    tokens = token_index(collection, needed, root) if needed and method == "late" else None
    return Sides(dense, sparse, topics, sparse_topics, tokens)


def searcher(method: Method, sides: Sides, encoder: Encoder | None, options: SearchOptions) -> Searcher:
    """The searcher of `method` over `sides`; UsageError if a side that it needs is missing."""
    needed = _needed(method, encoder)
    if needed is not None and method == "late":
        return _late(sides, needed, options)
    sparse = _sparse(method, sides, options) if method in SPARSE else None
    dense = _dense(method, sides, needed, options) if needed is not None else None
    if dense and sparse:
        if options.languages is not None and sides.dense is not None:
            sparse = LimitedSearcher(sparse, _docids_in(sides.dense, options.languages))
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
    used = _used(method, sides, options)
    if encoder is not None and method == "late":
        used["token limit"] = token_encoder(encoder).token_limit("query")
    texts = json.dumps([list(sides.topics), list(sides.sparse_topics or ())]).encode("ascii")
    topics = {"count": len(sides.topics), "sha256": hashlib.sha256(texts).hexdigest()}
    model = {} if encoder is None else {"encoder": encoder.name, "query fingerprint": encoder.fingerprint("query")}
    if sides.translation is not None:
        model["translation"] = sides.translation  # type: ignore[assignment]
    return {"method": {"search": method, **used, **model}, "data": {"indexes": indexes, "topics": topics}}


def check_judged(topics: Sequence[Topic], qrels: Qrels) -> None:
    """Raise ClirError if not a single topic is judged in `qrels`: they are of another collection."""
    if not any(topic.qid in qrels for topic in topics):
        ours, theirs = (", ".join(qids[:3]) for qids in ([topic.qid for topic in topics], qrels.topics))
        raise ClirError(f"no topic is judged: the topics are {ours}, ..., the qrels are for {theirs}, ...")


def check_first_stage(stage: str) -> None:
    """Raise UsageError for what is neither one of STAGES nor a file."""
    if stage not in STAGES and not Path(stage).is_file():
        raise unknown("first stage", stage, [*STAGES, "or a run file"])


def _late(sides: Sides, encoder: Encoder, options: SearchOptions) -> Searcher:
    if sides.tokens is None:
        raise UsageError("--method late needs a token index (clir.encode --tokens makes one)")
    stage, threads = options.first_stage, options.threads
    if stage in FIRST_STAGES:
        # The topic's own document is one of the candidates.
        candidates = options.candidates and options.candidates + options.remove_query
        late = LateSearcher(sides.tokens, encoder, first_stage=stage, candidates=candidates, threads=threads)
        return _without_query(late, options)
    if stage in STAGES:
        first: Searcher | Run = searcher(stage, sides, encoder, options)  # type: ignore[arg-type]
    else:
        check_first_stage(stage)
        first = read_run(stage)
        first = without_query(first) if options.remove_query else first
    texts = sides.sparse_topics if stage == "bm25" else None
    return LateReranker(
        sides.tokens, encoder, first, candidates=options.candidates, first_topics=texts, threads=threads
    )


def _sparse(method: Method, sides: Sides, options: SearchOptions) -> Searcher:
    if sides.sparse is None:
        raise UsageError(f"--method {method} needs a BM25 index (clir.index makes one)")
    if sides.structured is not None:
        if options.feedback.sparse is not None:
            raise UsageError("psq has no feedback: leave out --rm3 and --rocchio")
        return _without_query(sides.structured.searcher(sides.sparse, k1=options.k1, b=options.b), options)
    sparse = BM25Searcher(
        sides.sparse, k1=options.k1, b=options.b, threads=options.threads, feedback=options.feedback.sparse
    )
    return _without_query(sparse, options)


def _dense(method: Method, sides: Sides, encoder: Encoder, options: SearchOptions) -> Searcher:
    if sides.dense is None:
        raise UsageError(f"--method {method} needs a dense index (clir.encode makes one)")
    dense = DenseSearcher(
        sides.dense, encoder, threads=options.threads, parameters=options.parameters, languages=options.languages,
        balanced=options.balanced,
    )  # fmt: skip
    if options.feedback.dense is not None:
        return _without_query(DenseFeedbackSearcher(dense, options.feedback.dense), options)
    return _without_query(dense, options)


def _without_query(searcher: Searcher, options: SearchOptions) -> Searcher:
    return WithoutQuery(searcher) if options.remove_query else searcher


def _docids_in(index: DenseIndex, languages: Sequence[str]) -> pl.Series:
    return index.docid_column.filter(pl.Series(required_languages(index).chosen(languages)))


def _used(method: Method, sides: Sides, options: SearchOptions) -> dict[str, Any]:
    """The options that took part."""
    used: dict[str, Any] = {"threads": options.threads}
    if sides.sparse is not None:
        used |= {"k1": options.k1, "b": options.b}
        if options.feedback.sparse is not None:
            name = type(options.feedback.sparse).__name__
            used["feedback"] = {"method": name, **dataclasses.asdict(options.feedback.sparse)}
    if sides.dense is not None:
        used |= {"parameters": options.parameters, "languages": options.languages, "balanced": options.balanced}
        if options.feedback.dense is not None:
            name = type(options.feedback.dense).__name__
            used["dense feedback"] = {"method": name, **dataclasses.asdict(options.feedback.dense)}
    if sides.sparse is not None and sides.dense is not None:
        used["fusion"] = dataclasses.asdict(options.fusion)
    if method == "late":
        used |= {"first stage": options.first_stage, "candidates": options.candidates}
    used["remove query"] = options.remove_query
    return {name: value for name, value in used.items() if value not in (None, False) or name == "threads"}


def _needed(method: Method, encoder: Encoder | None) -> Encoder | None:
    if method == "bm25":
        return None
    if encoder is None:
        raise UsageError(f"--method {method} needs --encoder")
    return encoder
