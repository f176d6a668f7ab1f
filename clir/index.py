"""The door `python -m clir.index`: documents into a BM25 index."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from clir.support.command import Parser, run_door
from clir.support.errors import UsageError

EXAMPLES = """
python -m clir.index --corpus docs.jsonl --language en --output indexes/docs
python -m clir.index --corpus afriqa/swa/test --output indexes/afriqa
python -m clir.index --corpus habari.jsonl --language sw --analyzer unicode --output indexes/habari
"""

STORED = {
    "positions": "store term positions (for phrase queries)",
    "docvectors": "store document vectors (for feedback: RM3, Rocchio)",
    "contents": "store the documents' contents (slower search)",
    "raw": "store the documents as JSON (slower search)",
}


def parser() -> Parser:
    """The options of this door."""
    options = Parser(
        "index",
        "Index documents for BM25 with Anserini (Lucene) and the analyzer of their language.\n"
        "An index of the same documents and options that is already there is left as it is.",
        EXAMPLES,
    )
    options.add_argument(
        "--corpus",
        required=True,
        help="documents (JSON, CSV, TSV, Parquet or TREC's markup: id, contents, title), or a collection's id",
    )
    options.add_argument("--output", required=True, metavar="INDEX", help="folder for the index")
    options.add_argument("--language", help="the documents' language, a BCP-47 code (default: the collection's)")
    options.add_argument(
        "--analyzer",
        help="how text is cut into terms: a language's code, `unicode` (words in one form, neither stemmed nor "
        "stopped), `unicode-folded` (without accents too), `subwords:MODEL` (a model's tokens), `standard` (Lucene's "
        "words), or `whitespace` (default: the language's own, where Anserini has one)",
    )
    options.add_argument("--threads", type=int, metavar="N", help="indexing threads (default: all processors)")
    options.add_argument("--memory", type=int, default=2048, metavar="MIB", help="memory for Anserini (default: 2048)")
    for part, use in STORED.items():
        options.add_argument(f"--store{part.capitalize()}", action="append_const", dest="store", const=part, help=use)
    options.add_argument("--optimize", action="store_true", help="merge the index into one segment")
    return options


def work(options: argparse.Namespace) -> None:
    """Build the index that the options describe and print its path."""
    from clir.corpora.given import given_documents
    from clir.indexing.lucene import build_lucene_index
    from clir.support.jvm import quicken

    corpus = given_documents(options.corpus)
    language = options.language or corpus.language
    if not language or language == "und":
        raise UsageError(f"say with --language which language the documents of {options.corpus} are in")
    path = build_lucene_index(
        corpus.read(),
        options.output,
        language,
        analyzer=options.analyzer,
        threads=options.threads,
        memory=options.memory,
        store=options.store or (),
        optimize=options.optimize,
        total=corpus.total,
        source=options.corpus,
    )
    print(path, flush=True)
    quicken(path)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the door and return its exit status."""
    return run_door(parser(), work, argv)


if __name__ == "__main__":
    sys.exit(main())
