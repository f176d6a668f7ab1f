"""The door `python -m clir.encode`: documents into a dense index, or a token index."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from clir.support.command import Parser, run_door

EXAMPLES = """
python -m clir.encode --corpus demo/sw --encoder encoders/students/sw-ot --output indexes/demo-dense
python -m clir.encode --corpus docs.jsonl --encoder intfloat/multilingual-e5-small --output indexes/docs
python -m clir.encode --tokens --corpus docs.jsonl --encoder encoders/students/sw-ot --output indexes/docs-tokens
"""


def parser() -> Parser:
    """The options of this door."""
    parser = Parser(
        "encode",
        "Encode documents into a dense index in Pyserini's layout (FAISS inner product, and docids), or with\n"
        "--tokens into a token index, which has a vector for every token, for late interaction.\n"
        "A killed run goes on after its last whole window when the same command is given again.",
        EXAMPLES,
    )
    parser.add_argument(
        "--corpus", required=True, help="documents (JSON lines: id, contents, title), or a collection's id"
    )
    parser.add_argument("--encoder", required=True, help="a model: folder, hub id, or package.module:Class")
    parser.add_argument("--output", required=True, metavar="INDEX", help="folder for the index")
    parser.add_argument("--batch-size", type=int, default=32, metavar="B", help="documents a pass (default: 32)")
    parser.add_argument(
        "--window", type=int, default=1024, metavar="W", help="documents sorted by length and saved together (1024)"
    )
    parser.add_argument("--threads", type=int, metavar="N", help="processor threads (default: all)")
    parser.add_argument("--device", default="cpu", help="cpu (default), cuda:0, ...")
    parser.add_argument(
        "--precision", choices=["fp32", "bf16", "auto"], default="fp32",
        help="arithmetic; auto is bf16 where the machine computes in it (default: fp32)",
    )  # fmt: skip
    tokens = parser.add_argument_group("token index")
    tokens.add_argument("--tokens", action="store_true", help="a vector for every token (clir.search --method late)")
    tokens.add_argument("--document-tokens", type=int, metavar="N", help="tokens of a document that count (192)")
    tokens.add_argument(
        "--values", choices=["float16", "float32"], help="how the vectors are kept (default: float16, half the space)"
    )
    return parser


def work(options: argparse.Namespace) -> None:
    """Encode the documents and print the index's path."""
    from clir.corpora.given import given_documents
    from clir.encoding.encoder import DOCUMENT_TOKENS, load_encoder, token_encoder
    from clir.indexing.dense import build_dense_index
    from clir.indexing.encoded import EncodedIndex, refuse_foreign
    from clir.indexing.tokens import build_token_index
    from clir.support.command import at_least_one, use_threads

    at_least_one(options, "batch_size", "window", "threads", "document_tokens")
    _check_combination(options)
    refuse_foreign(options.output, "token" if options.tokens else "dense")
    corpus = given_documents(options.corpus)
    use_threads(options.threads)
    encoder = load_encoder(
        options.encoder, batch_size=options.batch_size, device=options.device, precision=options.precision,
        document_tokens=options.document_tokens or DOCUMENT_TOKENS,
    )  # fmt: skip
    settings = {"batch size": options.batch_size, "precision": options.precision}
    about = {"settings": settings, "data": {"source": options.corpus}}
    index: EncodedIndex
    if options.tokens:
        index = build_token_index(
            corpus.read, token_encoder(encoder), options.output, stored=options.values or "float16",
            window=options.window, total=corpus.total, about=about,
        )  # fmt: skip
    else:
        index = build_dense_index(
            corpus.read, encoder, options.output, window=options.window, total=corpus.total, about=about
        )
    print(index.path)


def _check_combination(options: argparse.Namespace) -> None:
    from clir.support.errors import UsageError

    for name, value in (("--document-tokens", options.document_tokens), ("--values", options.values)):
        if value is not None and not options.tokens:
            raise UsageError(f"{name} goes with --tokens")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the door; returns the exit status."""
    return run_door(parser(), work, argv)


if __name__ == "__main__":
    raise SystemExit(main())
