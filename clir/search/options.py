"""The options of `clir.search`, and which of them go together."""

from __future__ import annotations

import argparse
from pathlib import Path

from clir.support.command import Parser
from clir.support.errors import UsageError
from clir.support.files import check_output

EXAMPLES = """
python -m clir.search --collection demo/sw --encoder encoders/students/sw-ot --method dense --output runs/dense.run
python -m clir.search --collection demo/sw --method bm25 --output runs/bm25.run
python -m clir.search --collection demo/sw --encoder encoders/students/sw-ot --method late --output runs/late.run
python -m clir.search --collection afriqa/swa/test --encoder encoders/students/sw-ot --method hybrid \\
    --translate psq:news.en,news.sw --output runs/hybrid.run
python -m clir.search --topics topics.tsv --index indexes/docs --encoder encoders/students/sw-ot --method dense \\
    --output runs/mine.run --hits 100 --qrels qrels.txt --show 3
"""
MEASURES = ["AP", "nDCG@10", "R@100"]
# What a first stage of late interaction needs beside the token index.
STAGES = {"bm25": ("sparse",), "dense": ("dense",), "hybrid": ("dense", "sparse")}


def parser() -> Parser:
    """The options of this door."""
    parser = Parser(
        "search",
        "Search topics by BM25, by dense vectors, by both fused, or by token vectors (late interaction). From a\n"
        "collection's id everything that is missing is built and kept; from indexes nothing but the search is done.",
        EXAMPLES,
    )
    _add_what(parser)
    _add_how(parser)
    _add_methods(parser)
    _add_out(parser)
    return parser


def _add_what(parser: Parser) -> None:
    what = parser.add_argument_group("what is searched")
    what.add_argument("--collection", metavar="ID", help="demo/sw, afriqa/swa/test, ..., or any ir_datasets id")
    what.add_argument(
        "--topics", metavar="FILE|ID",
        help="qid, tab, text a line, CSV, JSON, XML or TREC's markup; or a collection's topics",
    )  # fmt: skip
    what.add_argument("--fields", nargs="+", metavar="F", help="of topics with several: title description narrative")
    what.add_argument("--index", metavar="INDEX", help="the index that the method searches (hybrid: the dense one)")
    what.add_argument("--sparse-index", metavar="INDEX", help="the BM25 index, where --index is another")
    what.add_argument("--dense-index", metavar="INDEX", help="the dense index of --method late's first stage")
    what.add_argument("--qrels", metavar="FILE|ID", help="judgements to score the run with")
    what.add_argument("--indexes", metavar="DIR", help="where --collection keeps its indexes (default: indexes)")


def _add_how(parser: Parser) -> None:
    how = parser.add_argument_group("how")
    how.add_argument("--method", required=True, metavar="bm25|dense|late|hybrid", help="the kind of search")
    how.add_argument("--encoder", help="a model: folder, hub id, or package.module:Class")
    how.add_argument(
        "--documents-by", metavar="teacher|student", help="which side of a student reads documents (default: teacher)"
    )
    how.add_argument(
        "--topics-language", metavar="CODE",
        help="which of the topics that a collection, or a file, has in several (default: the collection's own, the "
        "file's original)",
    )  # fmt: skip
    how.add_argument(
        "--topics-source", metavar="NAME", help="whose text of a file's topics: original, human, ... (HC4, NeuCLIR)"
    )
    how.add_argument(
        "--sparse-topics-language", metavar="CODE", help="language of the topics for the BM25 side of a hybrid"
    )
    how.add_argument(
        "--sparse-topics", metavar="FILE", help="topics for the BM25 side of a hybrid, where --topics is a file"
    )
    how.add_argument("--hits", type=int, default=1000, help="documents a topic (default: 1000)")
    how.add_argument(
        "--remove-query", action="store_true",
        help="leave out the document whose id is the topic's, where topics are documents (ArguAna, Quora)",
    )  # fmt: skip
    how.add_argument("--threads", type=int, metavar="N", help="processor threads (default: all)")
    how.add_argument("--batch-size", type=int, metavar="B", help="queries encoded together (default: by their tokens)")
    how.add_argument("--device", default="cpu", help="cpu (default), cuda:0, ...")

    translate = parser.add_argument_group("query translation (hybrid: of BM25's side)")
    translate.add_argument(
        "--translate", metavar="HOW",
        help="human, dictionary:FILE, table:FILE, psq:FILE (tables from bitext or TSV), or a seq2seq model",
    )  # fmt: skip
    translate.add_argument("--source-language", metavar="CODE", help="of the topics, where they are a file")
    translate.add_argument("--senses", metavar="all|first", help="of a dictionary (default: first)")
    translate.add_argument("--untranslated", metavar="keep|drop", help="words without translation (default: keep)")
    translate.add_argument("--cumulative", type=float, metavar="P", help="psq: probability to cover (default: .95)")
    translate.add_argument("--beams", type=int, metavar="N", help="of a model's search (default: 4)")


def _add_methods(parser: Parser) -> None:
    bm25 = parser.add_argument_group("bm25")
    bm25.add_argument("--language", metavar="CODE", help="the documents' language, for an index without manifest")
    bm25.add_argument("--analyzer", help="terms: a code, unicode, unicode-folded, standard, whitespace, subwords:MODEL")
    bm25.add_argument("--k1", type=float, help="default: 0.9")
    bm25.add_argument("--b", type=float, help="default: 0.4")
    bm25.add_argument("--rm3", action="store_true", help="search again with terms of the first hits, by RM3")
    bm25.add_argument(
        "--rocchio", action="store_true", help="search again with terms of the first hits, by Rocchio's method"
    )
    bm25.add_argument("--fb-terms", type=int, metavar="N", help="terms of that feedback (default: 10)")
    bm25.add_argument("--fb-docs", type=int, metavar="N", help="documents of that feedback (default: 10)")
    bm25.add_argument("--original-query-weight", type=float, metavar="W", help="of RM3 (default: .5)")

    dense = parser.add_argument_group("dense")
    dense.add_argument("--index-parameters", metavar="P", help="of an approximate index: nprobe=16, efSearch=128")
    dense.add_argument("--languages", nargs="+", metavar="CODE", help="only documents in these languages")
    dense.add_argument("--balance-languages", action="store_true", help="an equal share of hits for each language")
    dense.add_argument("--prf-method", metavar="avg|rocchio", help="search again with a vector moved to first hits")
    dense.add_argument("--prf-depth", type=int, metavar="N", help="hits of that feedback (default: 3)")

    late = parser.add_argument_group("late")
    late.add_argument("--query-tokens", type=int, metavar="N", help="tokens of a query that count (default: 96)")
    late.add_argument(
        "--document-tokens", type=int, metavar="N", help="tokens of a --collection's document that count (default: 192)"
    )
    late.add_argument(
        "--first-stage", default="auto", metavar="STAGE",
        help="auto, exhaustive, pooled, muvera; bm25, dense, hybrid; or a run file to re-rank (default: auto)",
    )  # fmt: skip
    late.add_argument("--candidates", type=int, metavar="N", help="documents of it that are re-ranked (default: 1000)")

    fusion = parser.add_argument_group("hybrid")
    fusion.add_argument("--fusion", metavar="METHOD", help="as clir.fuse --method (default: rrf)")
    fusion.add_argument("--rrf.k", dest="rrf_k", type=float, metavar="K", help="for rrf: its k (default: 60)")
    fusion.add_argument(
        "--weights",
        type=float,
        nargs=2,
        metavar=("DENSE", "SPARSE"),
        help="weights of the sides for --fusion weighted: DENSE SPARSE",
    )
    fusion.add_argument("--normalization", metavar="N", help="of scores, as clir.fuse (default: minmax)")
    fusion.add_argument("--missing", metavar="RULE", help="zero or minimum, as clir.fuse (default: zero)")
    fusion.add_argument(
        "--depth", type=int, nargs="+", metavar="D", help="hits fused: of both sides, or DENSE SPARSE (default: --hits)"
    )


def _add_out(parser: Parser) -> None:
    out = parser.add_argument_group("what comes out")
    out.add_argument(
        "--output",
        required=True,
        metavar="RUN",
        help="the run to write (.gz, .zst, ...: compressed)",
    )
    out.add_argument(
        "--output-format", metavar="FORM", help="trec, msmarco or json (default: by its name, .tsv msmarco, .json json)"
    )
    out.add_argument("--runtag", metavar="TAG", help="the run's tag (default: clir-<method>)")
    out.add_argument("--measures", nargs="+", default=MEASURES, help=f"scores to print (default: {' '.join(MEASURES)})")
    out.add_argument("--json", action="store_true", help="print the scores as JSON")
    out.add_argument("--show", type=int, metavar="N", help="print the best N hits of every topic with their passages")
    out.add_argument("--explain", action="store_true", help="with --show: which word met which in each passage")
    out.add_argument("--corpus", metavar="FILE|ID", help="the passages, where the index does not say where they are")


def check_combination(options: argparse.Namespace) -> None:
    """Refuse options that do not go together, with what to do instead (UsageError)."""
    _check_sources(options)
    if options.method != "bm25" and not options.encoder:
        raise UsageError(f"--method {options.method} needs --encoder")
    _check_sparse_text(options)
    _check_translation(options)
    _check_uses(options)
    _check_shown(options)
    files = [options.topics, options.sparse_topics, options.qrels, options.corpus]
    check_output(options.output, [*files, options.first_stage if options.method == "late" else None])


def needed_indexes(options: argparse.Namespace) -> tuple[str, ...]:
    """Of `dense` and `sparse`, the sides that the method, or late interaction's first stage, searches."""
    if options.method == "late":
        return STAGES.get(options.first_stage, ())
    return STAGES[options.method]


def _check_sources(options: argparse.Namespace) -> None:
    if bool(options.collection) == bool(options.topics):
        raise UsageError("say what to search: either --collection, or --topics with --index")
    if options.topics and not options.index:
        raise UsageError("--topics needs --index (and hybrid --sparse-index)")
    given = [name for name in ("index", "sparse_index", "dense_index") if getattr(options, name)]
    if options.collection and given:
        raise UsageError("--collection finds its own indexes: leave out --index and --sparse-index")
    if options.dense_index and options.method != "late":
        raise UsageError(f"--dense-index is for --method late; for {options.method} use --index")
    if options.topics and options.method == "hybrid" and not options.sparse_index:
        raise UsageError("--method hybrid with --topics needs --sparse-index beside --index")
    if options.topics and options.method == "late":
        for side in needed_indexes(options):
            if not getattr(options, f"{side}_index"):
                raise UsageError(f"--first-stage {options.first_stage} needs --{side}-index beside --index")
    if options.topics_source and options.collection:
        raise UsageError("--topics-source chooses among the texts of a --topics file; leave it out with --collection")


def _check_sparse_text(options: argparse.Namespace) -> None:
    if options.sparse_topics and options.collection:
        raise UsageError("--sparse-topics goes with --topics; a collection has --sparse-topics-language")
    if options.sparse_topics and options.sparse_topics_language:
        raise UsageError("--sparse-topics and --sparse-topics-language: give one of them")


def _check_translation(options: argparse.Namespace) -> None:
    if options.translate is None:
        for name in ("source_language", "senses", "untranslated", "cumulative", "beams"):
            if getattr(options, name) is not None:
                raise UsageError(f"--{name.replace('_', '-')} is for --translate")
        return
    if options.sparse_topics or options.sparse_topics_language:
        raise UsageError(
            "--translate already gives the BM25 side its text: leave out --sparse-topics and --sparse-topics-language"
        )
    if options.topics and Path(options.topics).exists() and not (options.source_language or options.topics_language):
        raise UsageError(
            f"--translate needs --source-language: {options.topics} does not say which language its topics are in"
        )


def _check_uses(options: argparse.Namespace) -> None:
    """Refuse an option that the method would not use."""
    sides = needed_indexes(options)
    uses = {
        "dense": ("index_parameters", "languages", "prf_method", "prf_depth"),
        "sparse": ("k1", "b", "analyzer", "sparse_topics", "sparse_topics_language", "fb_terms", "fb_docs",
                   "original_query_weight"),
        "both": ("fusion", "rrf_k", "weights", "normalization", "missing", "depth"),
    }  # fmt: skip
    if len(sides) > 1:
        sides = (*sides, "both")
    method = options.method if options.method != "late" else f"late with --first-stage {options.first_stage}"
    for side, names in uses.items():
        for name in names:
            if side not in sides and getattr(options, name) is not None:
                option = "rrf.k" if name == "rrf_k" else name.replace("_", "-")
                raise UsageError(f"--{option} does not apply to --method {method}")
    if options.language and not options.translate and ("sparse" not in sides or options.collection):
        raise UsageError(
            "--language is for a BM25 --index without a manifest, or for the language that --translate translates into"
        )
    if options.indexes and not options.collection:
        raise UsageError("--indexes (where --collection keeps its indexes) needs --collection")
    late_only = {"--query-tokens": options.query_tokens, "--document-tokens": options.document_tokens,
                 "--candidates": options.candidates,
                 "--first-stage": None if options.first_stage == "auto" else options.first_stage}  # fmt: skip
    for option, value in late_only.items():
        if value is not None and options.method != "late":
            raise UsageError(f"{option} does not apply to --method {options.method}")
    if options.document_tokens is not None and options.index:
        raise UsageError(
            "--document-tokens cannot change for an --index that is there: it was set when clir.encode --tokens made it"
        )
    if options.documents_by and options.method == "bm25":
        raise UsageError("--documents-by does not apply to --method bm25")
    if (options.rm3 or options.rocchio) and "sparse" not in sides:
        raise UsageError(f"--rm3 and --rocchio do not apply to --method {options.method}")
    if options.rm3 and options.rocchio:
        raise UsageError("--rm3 and --rocchio: give one of them")
    if options.balance_languages and "dense" not in sides:
        raise UsageError(f"--balance-languages does not apply to --method {method}")
    if options.balance_languages and "sparse" in sides:
        raise UsageError("--balance-languages works for dense search alone; limit a hybrid with --languages")
    if options.method == "late" and options.normalization == "over-topics":
        raise UsageError(
            "--normalization over-topics needs all topics at once, and late interaction takes some at a time: make the "
            "run with --method hybrid, then name it as --first-stage"
        )
    if options.depth and len(options.depth) > 2:
        raise UsageError(f"--depth has one number, or one for each side, not {len(options.depth)}")


def _check_shown(options: argparse.Namespace) -> None:
    if options.explain and not options.show:
        raise UsageError("--explain needs --show N, whose hits it explains")
    if options.explain and options.method == "bm25":
        raise UsageError("--explain needs token vectors, which --method bm25 does not have")
    if options.show and options.json:
        raise UsageError("--show prints passages and --json prints scores alone: give one of them")
    if options.corpus and not options.show:
        raise UsageError("--corpus (the passages) needs --show N")
