"""The door `python -m clir.search`: topics in, a TREC run out, and its scores where there are qrels."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clir.support.command import Parser, run_door

if TYPE_CHECKING:
    from clir.corpora.qrels import Qrels
    from clir.encoding.encoder import Encoder
    from clir.experiments.search import SearchOptions, Sides
    from clir.retrieval.hybrid import FusionOptions
    from clir.runs.run import Run

EXAMPLES = """
python -m clir.search --collection demo/sw --encoder encoders/students/sw-ot --method dense --output runs/dense.run
python -m clir.search --collection demo/sw --method bm25 --output runs/bm25.run
python -m clir.search --collection demo/sw --encoder encoders/students/sw-ot --method late --output runs/late.run
python -m clir.search --collection afriqa/swa/test --encoder encoders/students/sw-ot --method hybrid \\
    --sparse-topics-language en --output runs/hybrid.run
python -m clir.search --topics topics.tsv --index indexes/docs --encoder encoders/students/sw-ot --method dense \\
    --output runs/mine.run --hits 100 --qrels qrels.txt
"""
MEASURES = ["AP", "nDCG@10", "R@100"]


def parser() -> Parser:
    """The options of this door."""
    parser = Parser(
        "search",
        "Search topics by BM25, by dense vectors, by both fused, or by token vectors (late interaction). From a\n"
        "collection's id everything that is missing is built and kept; from indexes nothing but the search is done.",
        EXAMPLES,
    )
    what = parser.add_argument_group("what is searched")
    what.add_argument("--collection", metavar="ID", help="demo/sw, afriqa/swa/test, ..., or any ir_datasets id")
    what.add_argument("--topics", metavar="FILE|ID", help="qid, tab, text a line; or a collection's topics")
    what.add_argument("--index", metavar="INDEX", help="the index that the method searches (hybrid: the dense one)")
    what.add_argument("--sparse-index", metavar="INDEX", help="the BM25 index, where --index is the dense one")
    what.add_argument("--qrels", metavar="FILE|ID", help="judgements to score the run with")
    what.add_argument("--indexes", default="indexes", metavar="DIR", help="where --collection keeps its indexes")

    how = parser.add_argument_group("how")
    how.add_argument("--method", required=True, metavar="bm25|dense|late|hybrid", help="the kind of search")
    how.add_argument("--encoder", help="a model: folder, hub id, or package.module:Class")
    how.add_argument("--topics-language", metavar="CODE", help="which of a collection's topics (default: its own)")
    how.add_argument("--sparse-topics-language", metavar="CODE", help="which of them the BM25 side reads")
    how.add_argument("--sparse-topics", metavar="FILE", help="the BM25 side's text where topics are a file")
    how.add_argument("--hits", type=int, default=1000, help="documents a topic (default: 1000)")
    how.add_argument("--threads", type=int, metavar="N", help="processor threads (default: all)")
    how.add_argument("--batch-size", type=int, default=32, metavar="B", help="queries encoded together (default: 32)")
    how.add_argument("--device", default="cpu", help="cpu (default), cuda:0, ...")
    how.add_argument("--language", metavar="CODE", help="the documents' language, for a BM25 index without manifest")
    how.add_argument("--analyzer", help="BM25 terms of a language without analyzer: standard, whitespace, or a code")
    how.add_argument("--k1", type=float, default=0.9, help="BM25's k1 (default: 0.9)")
    how.add_argument("--b", type=float, default=0.4, help="BM25's b (default: 0.4)")

    late = parser.add_argument_group("late")
    late.add_argument("--query-tokens", type=int, metavar="N", help="tokens of a query that count (default: 96)")
    late.add_argument("--document-tokens", type=int, metavar="N", help="of a --collection's document (default: 192)")

    fusion = parser.add_argument_group("hybrid")
    fusion.add_argument("--fusion", default="rrf", metavar="rrf|weighted", help="how both runs are fused")
    fusion.add_argument("--rrf.k", dest="rrf_k", type=float, metavar="K", help="for rrf: its k (default: 60)")
    fusion.add_argument("--weights", type=float, nargs=2, metavar=("DENSE", "SPARSE"), help="for weighted")
    fusion.add_argument("--normalization", metavar="minmax|none", help="for weighted: of scores (default: minmax)")
    fusion.add_argument("--depth", type=int, metavar="D", help="hits of each side that are fused (default: --hits)")

    out = parser.add_argument_group("what comes out")
    out.add_argument("--output", required=True, metavar="RUN", help="the TREC run (.gz: compressed)")
    out.add_argument("--runtag", metavar="TAG", help="the run's tag (default: clir-<method>)")
    out.add_argument("--measures", nargs="+", default=MEASURES, help=f"scores to print (default: {' '.join(MEASURES)})")
    out.add_argument("--json", action="store_true", help="print the scores as JSON")
    return parser


def work(options: argparse.Namespace) -> None:
    """Search, write the run with its manifest, print its scores."""
    from clir.evaluation.measures import parse
    from clir.experiments.search import METHODS, check_judged, search
    from clir.runs.run import check_tag
    from clir.support.command import at_least_one, use_threads
    from clir.support.errors import UsageError, unknown

    if options.method not in METHODS:
        raise unknown("method", options.method, METHODS)
    at_least_one(options, "hits", "threads", "batch_size", "depth", "query_tokens", "document_tokens")
    tag = options.runtag if options.runtag is not None else f"clir-{options.method}"
    check_tag(tag)
    _check_combination(options)
    measures = parse(options.measures)
    settings = _settings(options)
    use_threads(options.threads)
    encoder = _encoder(options)
    qrels = _qrels(options)
    if options.json and qrels is None:
        raise UsageError("--json prints scores, but there are no judgements: add --qrels")
    sides = _sides(options, encoder)
    if qrels is not None:
        check_judged(sides.topics, qrels)
    run = search(options.method, sides, encoder, hits=options.hits, options=settings).with_tag(tag)
    _write(options, run, sides, encoder, settings)
    if qrels is not None:
        _show(options, run, qrels, measures)


def _check_combination(options: argparse.Namespace) -> None:
    from clir.support.errors import UsageError

    if bool(options.collection) == bool(options.topics):
        raise UsageError("say what to search: either --collection, or --topics with --index")
    if options.topics and not options.index:
        raise UsageError("--topics needs --index (and hybrid --sparse-index)")
    if options.collection and (options.index or options.sparse_index):
        raise UsageError("--collection finds its own indexes: leave out --index and --sparse-index")
    if options.topics and options.method == "hybrid" and not options.sparse_index:
        raise UsageError("--method hybrid with --topics needs --sparse-index beside --index")
    if options.method != "bm25" and not options.encoder:
        raise UsageError(f"--method {options.method} needs --encoder")
    _check_late(options)
    if options.sparse_topics and options.collection:
        raise UsageError("--sparse-topics goes with --topics; a collection has --sparse-topics-language")
    if options.sparse_topics and options.sparse_topics_language:
        raise UsageError("--sparse-topics and --sparse-topics-language: give one of them")
    if options.topics and Path(options.topics).exists():
        for option in ("topics_language", "sparse_topics_language"):
            if getattr(options, option):
                raise UsageError(f"--{option.replace('_', '-')} goes with a collection; {options.topics} is a file")
    _check_output(Path(options.output), [options.topics, options.sparse_topics, options.qrels])


def _check_late(options: argparse.Namespace) -> None:
    from clir.support.errors import UsageError

    for name, value in (("--query-tokens", options.query_tokens), ("--document-tokens", options.document_tokens)):
        if value is not None and options.method != "late":
            raise UsageError(f"{name} means nothing to --method {options.method}")
    if options.document_tokens is not None and options.index:
        raise UsageError("--document-tokens was decided when --index was made (clir.encode --tokens)")


def _check_output(output: Path, inputs: Sequence[str | None]) -> None:
    from clir.support.errors import UsageError

    if output.is_dir():
        raise UsageError(f"--output {output} is a folder: name a file in it")
    files = [parent for parent in output.parents if parent.is_file()]
    if files:
        raise UsageError(f"--output {output} cannot be: {files[0]} is a file")
    if output.resolve() in [Path(name).resolve() for name in inputs if name]:
        raise UsageError(f"--output {output} is one of the files to read")


def _settings(options: argparse.Namespace) -> SearchOptions:
    from clir.experiments.search import SearchOptions
    from clir.retrieval.bm25 import check_parameters

    check_parameters(options.k1, options.b)
    return SearchOptions(options.k1, options.b, options.threads, _fusion(options))


def _fusion(options: argparse.Namespace) -> FusionOptions:
    """How a hybrid is fused; UsageError for a parameter that the method of fusion would not use."""
    from clir.retrieval.hybrid import FusionOptions
    from clir.runs.fusion import BY_SCORE, check
    from clir.support.errors import UsageError

    check(2, options.fusion)
    unused = {"--rrf.k": options.rrf_k} if options.fusion in BY_SCORE else {"--normalization": options.normalization}
    for option, value in unused.items():
        if value is not None:
            raise UsageError(f"{option} means nothing to fusion method {options.fusion}")
    weights = tuple(options.weights) if options.weights else None
    rrf_k = 60.0 if options.rrf_k is None else options.rrf_k
    fusion = FusionOptions(options.fusion, rrf_k, weights, options.normalization or "minmax", options.depth)
    check(2, fusion.method, rrf_k=fusion.rrf_k, weights=weights, normalization=fusion.normalization, depth=fusion.depth)
    return fusion


def _encoder(options: argparse.Namespace) -> Encoder | None:
    if options.method == "bm25":
        return None
    from clir.encoding.encoder import DOCUMENT_TOKENS, QUERY_TOKENS, load_encoder

    return load_encoder(
        options.encoder, batch_size=options.batch_size, device=options.device,
        query_tokens=options.query_tokens or QUERY_TOKENS, document_tokens=options.document_tokens or DOCUMENT_TOKENS,
    )  # fmt: skip


def _qrels(options: argparse.Namespace) -> Qrels | None:
    if options.qrels:
        from clir.corpora.given import given_qrels

        return given_qrels(options.qrels)
    if options.collection:
        from clir.corpora.registry import open_collection

        return open_collection(options.collection).qrels()
    return None


def _sides(options: argparse.Namespace, encoder: Encoder | None) -> Sides:
    if options.collection:
        from clir.corpora.registry import open_collection
        from clir.experiments.search import collection_sides

        return collection_sides(
            open_collection(options.collection), options.method, encoder, topics_language=options.topics_language,
            sparse_topics_language=options.sparse_topics_language, analyzer=options.analyzer,
            root=Path(options.indexes),
        )  # fmt: skip
    return _given_sides(options)


def _given_sides(options: argparse.Namespace) -> Sides:
    from clir.corpora.given import given_topics
    from clir.experiments.search import DENSE, SPARSE, Sides
    from clir.indexing.dense import open_dense_index
    from clir.indexing.lucene import open_lucene_index
    from clir.indexing.tokens import open_token_index

    # The same --index and --sparse-index do for every method.
    sparse = options.sparse_index or (options.index if options.method == "bm25" else None)
    sparse_topics = None
    if options.sparse_topics:
        sparse_topics = given_topics(options.sparse_topics, option="--sparse-topics")
    elif options.sparse_topics_language:
        sparse_topics = given_topics(options.topics, options.sparse_topics_language)
    return Sides(
        dense=open_dense_index(options.index) if options.method in DENSE else None,
        sparse=open_lucene_index(sparse, language=options.language, analyzer=options.analyzer)
        if options.method in SPARSE and sparse is not None
        else None,
        tokens=open_token_index(options.index) if options.method == "late" else None,
        topics=given_topics(options.topics, options.topics_language),
        sparse_topics=sparse_topics,
    )


def _write(
    options: argparse.Namespace, run: Run, sides: Sides, encoder: Encoder | None, settings: SearchOptions
) -> None:
    from clir.experiments.search import provenance
    from clir.runs.trec import write_run
    from clir.support.manifest import manifest_beside
    from clir.support.progress import say

    about: dict[str, Any] = provenance(options.method, sides, encoder, settings)
    about["data"]["source"] = _sources(options)
    with manifest_beside(options.output, kind="run", tag=run.tag, hits=options.hits, **about):
        write_run(run, options.output)
    empty = len(sides.topics) - len(run.topics)
    without = f"; {empty} topics found nothing" if empty else ""
    say(f"{options.output}: {len(run):,} hits for {len(run.topics):,} topics{without}")


def _sources(options: argparse.Namespace) -> dict[str, str]:
    """Where the topics came from, as the command line named it."""
    named = ("collection", "topics", "topics_language", "sparse_topics", "sparse_topics_language", "qrels")
    return {name.replace("_", " "): getattr(options, name) for name in named if getattr(options, name)}


def _show(options: argparse.Namespace, run: Run, qrels: Qrels, measures: Sequence[Any]) -> None:
    from clir.evaluation.measures import evaluate
    from clir.evaluation.tables import score_table, show

    average = evaluate(run, qrels, measures).average
    if options.json:
        import json

        print(json.dumps({options.output: average}, indent=2))
    else:
        show(score_table({options.output: average}, list(average)))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the door; returns the exit status."""
    return run_door(parser(), work, argv)


if __name__ == "__main__":
    raise SystemExit(main())
