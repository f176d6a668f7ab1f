"""What the options of `clir.search` name: the encoder, settings, indexes, topics and qrels."""

from __future__ import annotations

import argparse
from pathlib import Path

from clir.corpora.collection import Collection, topic_language
from clir.corpora.given import given_qrels, given_topics
from clir.corpora.qrels import Qrels
from clir.corpora.registry import is_collection, open_collection
from clir.encoding.encoder import Encoder, load_encoder
from clir.experiments.indexes import ROOT
from clir.experiments.search import Feedback, SearchOptions, Sides, check_first_stage, collection_sides
from clir.experiments.translation import bitext_reader, translated
from clir.indexing.dense import open_dense_index
from clir.indexing.lucene import open_lucene_index
from clir.indexing.tokens import open_token_index
from clir.retrieval.bm25 import K1, B, check_parameters
from clir.retrieval.dense_feedback import Average, DenseRocchio
from clir.retrieval.hybrid import FusionOptions
from clir.retrieval.psq import Cutoffs
from clir.retrieval.reranking import candidates_for
from clir.retrieval.term_feedback import RM3, Rocchio
from clir.retrieval.translation.spec import TranslationOptions, make_translator
from clir.runs.fusion import READS, check
from clir.search.options import needed_indexes
from clir.support.errors import UsageError, unknown


def given_settings(options: argparse.Namespace) -> SearchOptions:
    """What the search is told beside its method; UsageError for a value that means nothing."""
    k1, b = (K1 if options.k1 is None else options.k1), (B if options.b is None else options.b)
    check_parameters(k1, b)
    check_first_stage(options.first_stage)
    return SearchOptions(
        k1, b, options.threads, _fusion(options), _feedback(options),
        parameters=options.index_parameters,
        languages=tuple(options.languages) if options.languages else None,
        balanced=options.balance_languages, first_stage=options.first_stage,
        candidates=candidates_for(options.hits, options.candidates), remove_query=options.remove_query,
    )  # fmt: skip


def given_encoder(options: argparse.Namespace) -> Encoder | None:
    """The model; None for BM25."""
    if options.method == "bm25":
        return None
    return load_encoder(
        options.encoder, batch_size=options.batch_size, device=options.device, query_tokens=options.query_tokens,
        document_tokens=options.document_tokens, documents_by=options.documents_by or "teacher",
    )  # fmt: skip


def given_judgements(options: argparse.Namespace) -> Qrels | None:
    """The qrels that were named, or the collection's own."""
    if options.qrels:
        return given_qrels(options.qrels)
    return open_collection(options.collection).qrels() if options.collection else None


def given_sides(options: argparse.Namespace, encoder: Encoder | None) -> Sides:
    """Indexes and topics, translated where that is asked for."""
    sides = _collection_sides(options, encoder) if options.collection else _index_sides(options)
    if options.translate is None:
        return sides
    collection = _topics_collection(options)
    source = options.source_language
    if source is None:
        source = options.topics_language if collection is None else topic_language(collection, options.topics_language)
    translator = make_translator(
        options.translate, source, _documents_language(options, sides), collection=collection,
        options=_translation_options(options), read_pairs=bitext_reader(options.collection or options.topics),
    )  # fmt: skip
    return translated(sides, options.method, translator)


def _collection_sides(options: argparse.Namespace, encoder: Encoder | None) -> Sides:
    return collection_sides(
        open_collection(options.collection), options.method, encoder, topics_language=options.topics_language,
        sparse_topics_language=options.sparse_topics_language, fields=options.fields, analyzer=options.analyzer,
        first_stage=options.first_stage, feedback=options.rm3 or options.rocchio, root=Path(options.indexes or ROOT),
    )  # fmt: skip


def _index_sides(options: argparse.Namespace) -> Sides:
    # The same --index and --sparse-index do for every method.
    sparse = options.sparse_index or (options.index if options.method == "bm25" else None)
    dense = options.dense_index if options.method == "late" else options.index
    sparse_topics = None
    if options.sparse_topics:
        sparse_topics = given_topics(options.sparse_topics, option="--sparse-topics", fields=options.fields)
    elif options.sparse_topics_language:
        sparse_topics = given_topics(
            options.topics, options.sparse_topics_language, fields=options.fields, source=options.topics_source
        )  # fmt: skip
    needed = needed_indexes(options)
    return Sides(
        dense=open_dense_index(dense) if "dense" in needed else None,
        sparse=open_lucene_index(sparse, language=options.language, analyzer=options.analyzer)
        if "sparse" in needed and sparse is not None
        else None,
        tokens=open_token_index(options.index) if options.method == "late" else None,
        topics=given_topics(
            options.topics, options.topics_language, fields=options.fields, source=options.topics_source
        ),
        sparse_topics=sparse_topics,
    )


def _topics_collection(options: argparse.Namespace) -> Collection | None:
    name = options.collection or options.topics
    return open_collection(name) if is_collection(name) and not Path(name).exists() else None


def _documents_language(options: argparse.Namespace, sides: Sides) -> str:
    if options.language:
        return str(options.language)
    if sides.sparse is not None and sides.sparse.language:
        return sides.sparse.language
    if options.collection:
        return open_collection(options.collection).language
    return "en"


def _translation_options(options: argparse.Namespace) -> TranslationOptions:
    fields = tuple(options.fields) if options.fields else None
    given = {"fields": fields, "senses": options.senses, "untranslated": options.untranslated, "beams": options.beams}
    cutoffs = Cutoffs() if options.cumulative is None else Cutoffs(options.cumulative)
    chosen = {name: value for name, value in given.items() if value is not None}
    return TranslationOptions(**chosen, cutoffs=cutoffs, device=options.device)


def _feedback(options: argparse.Namespace) -> Feedback:
    counts = {"terms": options.fb_terms, "documents": options.fb_docs}
    counts = {name: value for name, value in counts.items() if value is not None}
    term: RM3 | Rocchio | None = None
    if options.rm3:
        weight = 0.5 if options.original_query_weight is None else options.original_query_weight
        term = RM3(**counts, weight=weight)
    elif options.original_query_weight is not None:
        raise UsageError("--original-query-weight is for --rm3")
    elif options.rocchio:
        term = Rocchio(**counts)
    elif counts:
        raise UsageError("--fb-terms and --fb-docs are for --rm3 or --rocchio")
    return Feedback(term, _dense_feedback(options))


def _dense_feedback(options: argparse.Namespace) -> Average | DenseRocchio | None:
    depth = 3 if options.prf_depth is None else options.prf_depth
    if options.prf_method is None:
        if options.prf_depth is not None:
            raise UsageError("--prf-depth is for --prf-method")
        return None
    if options.prf_method == "avg":
        return Average(depth)
    if options.prf_method == "rocchio":
        return DenseRocchio(depth, documents=depth)
    raise unknown("feedback", options.prf_method, ["avg", "rocchio"])


def _fusion(options: argparse.Namespace) -> FusionOptions:
    """How a hybrid is fused; UsageError for a parameter that the method of fusion would not use."""
    method = options.fusion or "rrf"
    check(2, method)
    given = {
        "rrf_k": ("--rrf.k", options.rrf_k), "normalization": ("--normalization", options.normalization),
        "missing": ("--missing", options.missing),
    }  # fmt: skip
    for name, (option, value) in given.items():
        if value is not None and name not in READS[method]:
            raise UsageError(f"{option} does not apply to fusion method {method}")
    weights = tuple(options.weights) if options.weights else None
    rrf_k = 60.0 if options.rrf_k is None else options.rrf_k
    depth, sparse_depth = (*(options.depth or [None]), None)[:2]
    normalization, missing = options.normalization or "minmax", options.missing or "zero"
    for one in (depth, sparse_depth):
        check(2, method, rrf_k=rrf_k, weights=weights, normalization=normalization, missing=missing, depth=one)
    return FusionOptions(method, rrf_k, weights, normalization, depth, sparse_depth, missing)
