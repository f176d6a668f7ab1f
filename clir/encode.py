"""The door `python -m clir.encode`: documents into a dense index, or a token index, whole or in shards."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clir.support.command import Parser, run_door

if TYPE_CHECKING:
    from clir.encoding.encoder import Encoder
    from clir.indexing.approximate import Factory
    from clir.indexing.encoded import EncodedIndex

EXAMPLES = """
python -m clir.encode --corpus demo/sw --encoder encoders/students/sw-ot --output indexes/demo-dense
python -m clir.encode --corpus docs.jsonl --encoder intfloat/multilingual-e5-small --output indexes/docs --processes 2
python -m clir.encode --tokens --corpus docs.jsonl --encoder encoders/students/sw-ot --output indexes/docs-tokens
python -m clir.encode --corpus docs.jsonl --encoder encoders/students/sw-ot --output indexes/docs --shard 1/4
python -m clir.encode --merge indexes/docs.*-of-4 --output indexes/docs
python -m clir.encode --from-index indexes/docs --factory IVF1024,SQ8 --output indexes/docs-ivf
"""
# What is done, beside encoding; each excludes the others.
WAYS = ("merge", "from_index", "from_embeddings")
# Options of one way or kind only, and what they go with.
ENCODING = ("corpus", "shard", "processes")
TOKENS = ("document_tokens", "values", "pooling")
FACTORY = ("train", "seed", "recall", "recall_topics", "index_parameters", "build_parameters")


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
        "--corpus",
        help="documents (JSON, CSV, TSV, Parquet or TREC's markup: id, contents, title, ...), or a collection's id",
    )
    parser.add_argument("--encoder", help="a model: folder, hub id, or package.module:Class")
    parser.add_argument(
        "--documents-by",
        metavar="teacher|student",
        help="which side of a student encodes the documents (default: teacher)",
    )
    parser.add_argument("--output", required=True, metavar="INDEX", help="folder for the index")
    parser.add_argument("--batch-size", type=int, metavar="B", help="documents a pass (default: by their tokens)")
    parser.add_argument(
        "--window", type=int, default=1024, metavar="W", help="documents sorted by length and saved together (1024)"
    )
    parser.add_argument("--threads", type=int, metavar="N", help="processor threads, of all processes (default: all)")
    parser.add_argument("--device", nargs="+", default=["cpu"], help="cpu (default), cuda:0, ...; one process for each")
    parser.add_argument(
        "--precision", choices=["fp32", "bf16", "auto"], default="fp32",
        help="arithmetic; auto is bf16 where the machine computes in it (default: fp32)",
    )  # fmt: skip
    tokens = parser.add_argument_group("token index")
    tokens.add_argument("--tokens", action="store_true", help="a vector for every token (clir.search --method late)")
    tokens.add_argument("--document-tokens", type=int, metavar="N", help="tokens of a document that count (192)")
    tokens.add_argument(
        "--values", choices=["float32", "float16", "bfloat16", "int8"],
        help="how the vectors are kept (default: float16, half of float32's space)",
    )  # fmt: skip
    tokens.add_argument("--pooling", type=int, metavar="N", help="one vector for N tokens of a document (default: 1)")

    work = parser.add_argument_group("in parts")
    work.add_argument("--processes", type=int, metavar="N", help="processes that share the work and the threads")
    work.add_argument(
        "--shard", metavar="I/N", help="encode the I-th of N shares alone, into INDEX.I-of-N (whole windows in turn)"
    )
    work.add_argument("--merge", nargs="+", metavar="SHARD", help="put all shards together: the bytes of one run")

    made = parser.add_argument_group("from vectors that are there")
    made.add_argument("--from-index", metavar="INDEX", help="a flat dense index, clir's or Pyserini's, for --factory")
    made.add_argument(
        "--from-embeddings",
        metavar="PATH",
        help="vectors that --encoder made, as JSON lines (Pyserini's embeddings.jsonl)",
    )

    factory = parser.add_argument_group("approximate index")
    factory.add_argument("--factory", metavar="F", help='FAISS\'s factory string: HNSW32, "IVF1024,PQ48x4", SQ8, ...')
    factory.add_argument("--train", type=int, metavar="N", help="vectors to train on (50,000, or 64 a cell if more)")
    factory.add_argument("--seed", type=int, metavar="S", help="seed of the random samples (default: 0)")
    factory.add_argument(
        "--recall", type=float, metavar="R", help="recall@100 that nprobe or efSearch is tuned to (default: 0.95)"
    )
    factory.add_argument(
        "--recall-topics", metavar="FILE|ID", help="topics to measure recall with (default: 256 of the documents)"
    )
    factory.add_argument(
        "--index-parameters", metavar="P", help='search parameters to save instead of tuned ones, such as "nprobe=16"'
    )
    factory.add_argument(
        "--build-parameters", metavar="P", help='parameters set before building, such as "efConstruction=200"'
    )
    return parser


def work(options: argparse.Namespace) -> None:
    """Make the index and print its path."""
    from clir.support.command import at_least_one, use_threads

    at_least_one(options, "batch_size", "window", "threads", "document_tokens", "pooling", "processes", "train")
    _check_combination(options)
    if options.shard is not None:
        from clir.indexing.shards import parse_shard

        options.shard = parse_shard(options.shard)
    use_threads(options.threads)
    from clir.support.locks import alone

    target = _target(options)
    with alone(target, "encoding into"):
        _make(options, target)
    print(target)


def _make(options: argparse.Namespace, target: Path) -> None:
    from clir.indexing.encoded import refuse_foreign

    if not options.merge:
        refuse_foreign(target, "token" if options.tokens else "dense")
    if options.merge:
        from clir.indexing.merging import merge

        merge(options.merge, target)
    elif options.from_index:
        _approximate(options, Path(options.from_index), _given_encoder(options))
    elif options.from_embeddings:
        from clir.indexing.embeddings import import_embeddings

        import_embeddings(options.from_embeddings, target, _given_encoder(options), window=options.window)
    elif options.factory:
        _through_vectors(options, target)
    else:
        _encode(options, target)


def _target(options: argparse.Namespace) -> Path:
    """The folder that is made."""
    output = Path(options.output)
    if options.shard is None:
        return output
    return output.with_name(f"{output.name}.{options.shard.number}-of-{options.shard.of}")


def _encode(options: argparse.Namespace, target: Path) -> None:
    """Encode documents into `target`, in this process or in several."""
    processes = options.processes or len(options.device)
    if processes > 1:
        from clir.indexing.together import encode_together

        encode_together(
            target, processes, options.device, options.threads, lambda shard: _child(options, *shard),
            total=_documents(options).total,
        )  # fmt: skip
    else:
        _encode_here(options, target)


def _encode_here(options: argparse.Namespace, target: Path) -> None:
    from clir.encoding.encoder import token_encoder
    from clir.indexing.dense import build_dense_index, build_dense_part
    from clir.indexing.tokens import build_token_index, build_token_part

    corpus, encoder = _documents(options), _encoder(options)
    common: dict[str, Any] = {"window": options.window, "total": corpus.total, "about": _about(options)}
    kept: dict[str, Any] = {"storage": options.values or "float16", "pooling": options.pooling or 1}
    if options.tokens and options.shard:
        build_token_part(corpus.read, token_encoder(encoder), target, options.shard, **kept, **common)
    elif options.tokens:
        build_token_index(corpus.read, token_encoder(encoder), target, **kept, **common)
    elif options.shard:
        build_dense_part(corpus.read, encoder, target, options.shard, **common)
    else:
        build_dense_index(corpus.read, encoder, target, **common)


def _about(options: argparse.Namespace) -> dict[str, Any]:
    settings = {"batch size": options.batch_size or "by tokens", "precision": options.precision}
    return {"settings": settings, "data": {"source": options.corpus}}


def _through_vectors(options: argparse.Namespace, target: Path) -> None:
    """Encode, and make an approximate index of the vectors; they are kept beside it until it is whole."""
    import shutil

    from clir.indexing.approximate import check_factory
    from clir.indexing.dense import dense_parts
    from clir.indexing.encoded import is_finished

    encoder = _encoder(options)
    # What FAISS cannot make is known before hours of encoding.
    check_factory(_factory(options), encoder.dimension)
    vectors = target.with_name(f".{target.name}.vectors")
    parts = dense_parts(encoder, options.window, _about(options))
    if not is_finished(vectors, parts, _documents(options).read):
        _encode(options, vectors)
    _approximate(options, vectors, encoder)
    shutil.rmtree(vectors)


def _approximate(options: argparse.Namespace, vectors: Path, encoder: Encoder | None) -> EncodedIndex:
    from clir.indexing.approximate import build_approximate_index
    from clir.indexing.dense import open_dense_index
    from clir.indexing.encoded import check_encoder

    index = open_dense_index(vectors)
    queries = None
    if options.recall_topics and encoder is not None:
        from clir.corpora.given import given_topics

        topics = given_topics(options.recall_topics, option="--recall-topics")
        check_encoder(index, encoder)
        queries = encoder.encode_queries([topic.text for topic in topics])
    return build_approximate_index(
        index, options.output, _factory(options), queries=queries, queries_from=options.recall_topics
    )


def _factory(options: argparse.Namespace) -> Factory:
    from clir.indexing.approximate import Factory

    given = {
        "build": options.build_parameters, "search": options.index_parameters, "sample": options.train,
        "seed": options.seed, "recall": options.recall,
    }  # fmt: skip
    return Factory(options.factory, **{name: value for name, value in given.items() if value is not None})


def _documents(options: argparse.Namespace) -> Any:
    from clir.corpora.given import given_documents

    return given_documents(options.corpus)


def _encoder(options: argparse.Namespace) -> Encoder:
    from clir.encoding.encoder import load_encoder

    return load_encoder(
        options.encoder, batch_size=options.batch_size, device=options.device[0], precision=options.precision,
        document_tokens=options.document_tokens, documents_by=options.documents_by or "teacher",
    )  # fmt: skip


def _given_encoder(options: argparse.Namespace) -> Encoder | None:
    return _encoder(options) if options.encoder else None


def _child(options: argparse.Namespace, shard: str, output: str, device: str, threads: int) -> list[str]:
    """The command of a process that encodes one shard."""
    import sys

    command = [sys.executable, "-m", "clir.encode", "--shard", shard, "--output", output]
    given = {
        "corpus": options.corpus, "encoder": options.encoder, "batch-size": options.batch_size,
        "window": options.window, "threads": threads, "device": device, "precision": options.precision,
        "documents-by": options.documents_by,
        **{name.replace("_", "-"): getattr(options, name) for name in TOKENS},
    }  # fmt: skip
    for name, value in given.items():
        command += [] if value is None else [f"--{name}", str(value)]
    return command + ["--tokens"] * options.tokens


def _check_combination(options: argparse.Namespace) -> None:
    from clir.support.errors import UsageError

    ways = [way for way in ("corpus", *WAYS) if getattr(options, way)]
    if len(ways) != 1:
        found = "none of them" if not ways else ", ".join(map(_option, ways))
        raise UsageError(f"give one of --corpus, {', '.join(map(_option, WAYS))}; not {found}")
    needed = {"corpus": "encoder", "from_index": "factory"}.get(ways[0])
    if needed and not getattr(options, needed):
        raise UsageError(f"{_option(ways[0])} needs {_option(needed)}")
    _goes_with(options, TOKENS, options.tokens, "--tokens")
    _goes_with(options, FACTORY, options.factory, "--factory")
    _goes_with(options, ENCODING, options.corpus, "--corpus")
    _goes_with(options, ("tokens",), options.corpus, "--corpus")
    _goes_with(options, ("encoder", "documents_by"), not options.merge, "what is encoded or searched, not with --merge")
    _goes_with(options, ("factory",), not (options.tokens or options.merge or options.shard), "a whole dense index")
    _goes_with(options, ("factory",), not options.from_embeddings, "--from-index, once the vectors are imported")
    _goes_with(options, ("processes",), not options.shard, "all the work, not with --shard")
    if options.shard and len(options.device) > 1:
        raise UsageError("--shard goes with one --device, not several")
    if options.processes is not None and options.processes < len(options.device):
        devices = len(options.device)
        raise UsageError(
            f"--processes {options.processes} is too few for {devices} devices: each needs a process of its own"
        )
    if options.seed is not None and options.seed < 0:
        raise UsageError(f"--seed must be at least 0, not {options.seed}")
    for name in ("recall_topics", "documents_by"):
        if getattr(options, name) and not options.encoder:
            raise UsageError(f"{_option(name)} needs --encoder")
    if options.recall is not None and not 0 < options.recall <= 1:
        raise UsageError(f"--recall must be above 0 and at most 1, not {options.recall:g}")


def _goes_with(options: argparse.Namespace, names: Sequence[str], condition: object, what: str) -> None:
    from clir.support.errors import UsageError

    for name in names:
        if getattr(options, name) not in (None, False) and not condition:
            raise UsageError(f"{_option(name)} goes with {what}")


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the door; returns the exit status."""
    return run_door(parser(), work, argv)


if __name__ == "__main__":
    raise SystemExit(main())
