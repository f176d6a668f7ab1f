"""The door `python -m clir.encode`: documents into a dense index."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from clir.support.command import Parser, run_door

EXAMPLES = """
python -m clir.encode --corpus demo/sw --encoder encoders/students/sw-ot --output indexes/demo-dense
python -m clir.encode --corpus docs.jsonl --encoder intfloat/multilingual-e5-small --output indexes/docs
"""


def parser() -> Parser:
    """The options of this door."""
    parser = Parser(
        "encode",
        "Encode documents into a dense index in Pyserini's layout (FAISS inner product, and docids).\n"
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
    return parser


def work(options: argparse.Namespace) -> None:
    """Encode the documents and print the index's path."""
    from clir.corpora.given import given_documents
    from clir.encoding.encoder import load_encoder
    from clir.indexing.dense import build_dense_index, refuse_foreign
    from clir.support.command import at_least_one, use_threads

    at_least_one(options, "batch_size", "window", "threads")
    refuse_foreign(options.output)
    corpus = given_documents(options.corpus)
    use_threads(options.threads)
    encoder = load_encoder(
        options.encoder, batch_size=options.batch_size, device=options.device, precision=options.precision
    )
    settings = {"batch size": options.batch_size, "precision": options.precision}
    index = build_dense_index(
        corpus.read,
        encoder,
        options.output,
        window=options.window,
        total=corpus.total,
        about={"settings": settings, "data": {"source": options.corpus}},
    )
    print(index.path)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the door; returns the exit status."""
    return run_door(parser(), work, argv)


if __name__ == "__main__":
    raise SystemExit(main())
