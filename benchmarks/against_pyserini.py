"""Encoding and searching beside Pyserini: `benchmarks/run.py` runs these."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sides import Bench, Result, check_runs, door, in_turns, passages, pyserini, quiet

from clir.corpora.collection import Document
from clir.experiments.demo import offline_model
from clir.support.errors import ClirError
from clir.support.progress import say

MODELS = Path(__file__).resolve().parents[1] / "encoders" / "models"
MINILM, E5 = "all-MiniLM-L6-v2", "multilingual-e5-small"
# How Pyserini is told what the model folder says: prompts, and the length at which texts are cut.
PEER_OPTIONS: dict[str, dict[str, Any]] = {
    MINILM: {"document": None, "query": None, "max_length": 256},
    E5: {"document": "passage:", "query": "query:", "max_length": 512},
}
BATCH_SIZE = 32
HITS = 1000
THREADS = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
# Topics go through Pyserini in batches, on as many threads as through clir: by default it takes one at a time.
ENGINE = ["--threads", THREADS, "--batch-size", 64]
# What BM25's score weighs in a hybrid: Pyserini's default.
ALPHA = 0.1


def encode_speed(bench: Bench) -> Iterator[Result]:
    """Documents a second into an index: `clir.encode`'s engine and `pyserini.encode`'s, models already loaded."""
    from clir.encoding.encoder import load_encoder
    from clir.encoding.precision import computes_bf16
    from clir.encoding.quiet import quiet_transformers
    from clir.support.jvm import pyserini_module

    quiet_transformers()
    documents = passages(bench.passages)
    corpus, few = bench.folder / "docs.jsonl", bench.folder / "few.jsonl"
    write_corpus(documents, corpus)
    write_corpus(documents[:BATCH_SIZE], few)
    auto = pyserini_module("pyserini.encode").AutoDocumentEncoder
    precisions = ["fp32", "bf16"] if computes_bf16("cpu") else ["fp32"]
    if "bf16" not in precisions:
        say("encode: this processor does not compute in bf16; only fp32 is measured")
    for name in bench.models:
        folder = str(offline_model(name, MODELS))
        peer = auto(folder, device="cpu", pooling="mean", l2_norm=True, prefix=PEER_OPTIONS[name]["document"])
        for precision in precisions:
            encoder = load_encoder(folder, batch_size=BATCH_SIZE, precision=precision)  # type: ignore[arg-type]
            outputs = bench.folder / "ours", bench.folder / "theirs"
            with quiet():
                clir_encoding(encoder, documents[:BATCH_SIZE], outputs[0])()
                pyserini_encoding(peer, name, few, outputs[1])()
            check_vectors(*outputs, tolerance=0.05 if precision == "bf16" else 1e-3)
            ours = clir_encoding(encoder, documents, outputs[0])
            theirs = pyserini_encoding(peer, name, corpus, outputs[1])
            rates = in_turns(ours, theirs, bench.rounds, f"encode {name} {precision}")
            per_second = [[len(documents) / seconds for seconds in side] for side in rates]
            yield Result("encode", f"{name}, {precision}", "pyserini.encode, fp32", "documents/s", *per_second)


def clir_encoding(encoder: Any, documents: Sequence[Document], output: Path) -> Callable[[], None]:
    """Our side of `encode_speed`."""
    from clir.indexing.dense import build_dense_index

    def encode() -> None:
        build_dense_index(lambda: iter(documents), encoder, output, total=len(documents))

    return encode


def pyserini_encoding(encoder: Any, model: str, corpus: Path, output: Path) -> Callable[[], None]:
    """The loop of `python -m pyserini.encode ... output --to-faiss`, with its own parts."""
    from clir.support.jvm import pyserini_module

    read = pyserini_module("pyserini.encode").JsonlCollectionIterator
    write = pyserini_module("pyserini.encode.optional").FaissRepresentationWriter

    def encode() -> None:
        writer = write(str(output), dimension=encoder.model.config.hidden_size)
        with writer:
            for batch in read(str(corpus), ["text"], None, "\n")(BATCH_SIZE):
                max_length = PEER_OPTIONS[model]["max_length"]
                batch["vector"] = encoder.encode(texts=batch["text"], max_length=max_length, fp16=False, add_sep=False)
                writer.write(batch, ["text"])

    return encode


def check_vectors(ours: Path, theirs: Path, tolerance: float) -> None:
    """Raise ClirError unless two indexes hold the same vectors."""
    import faiss

    indexes = [faiss.read_index(str(path / "index")) for path in (ours, theirs)]
    vectors = [index.reconstruct_n(0, index.ntotal) for index in indexes]
    difference = np.abs(vectors[0] - vectors[1]).max()
    if not difference <= tolerance:
        raise ClirError(f"not the same work: the two sides' vectors differ by {difference:.2g}")


def dense_search(bench: Bench) -> Iterator[Result]:
    """The whole process of `clir.search --method dense` and of `pyserini.search.faiss` on one index."""
    for name in bench.models:
        index = dense_index(bench, name)
        ours, theirs = bench.folder / "ours.run", bench.folder / "theirs.run"
        sides = (
            door("search", "--method", "dense", *common(bench, index), "--encoder", model(name), "--output", ours),
            pyserini("search.faiss", *common(bench, index), *ENGINE, *peer_model(name), "--output", theirs),
        )
        seconds = in_turns(*sides, bench.rounds, f"search dense {name}")
        check_runs(ours, theirs)
        what = f"{name}, {bench.questions:,} topics, whole process"
        yield Result("search-dense", what, "pyserini.search.faiss", "s", *seconds)


def bm25_search(bench: Bench) -> Iterator[Result]:
    """The whole process of `clir.search --method bm25` and of `pyserini.search.lucene` on one index, threads alike."""
    index = lucene_index(bench)
    ours, theirs = bench.folder / "ours.run", bench.folder / "theirs.run"
    sides = (
        door("search", "--method", "bm25", *common(bench, index), "--threads", THREADS, "--output", ours),
        pyserini("search.lucene", "--bm25", *common(bench, index), *ENGINE, "--output", theirs),
    )
    seconds = in_turns(*sides, bench.rounds, "search bm25")
    check_runs(ours, theirs)
    what = f"{bench.questions:,} topics, {THREADS} threads, whole process"
    yield Result("search-bm25", what, "pyserini.search.lucene", "s", *seconds)


def hybrid_search(bench: Bench) -> Iterator[Result]:
    """The whole process of `clir.search --method hybrid` and of `pyserini.search.hybrid`, fused by the same rule."""
    sparse = lucene_index(bench)
    for name in bench.models:
        dense = dense_index(bench, name)
        ours, theirs = bench.folder / "ours.run", bench.folder / "theirs.run"
        rule = ["--fusion", "weighted", "--weights", 1, ALPHA, "--normalization", "none", "--missing", "minimum"]
        asked = ["--topics", topics(bench), "--hits", HITS]
        sides = (
            door(
                "search", "--method", "hybrid", *asked, "--index", dense, "--sparse-index", sparse,
                "--encoder", model(name), *rule, "--threads", THREADS, "--output", ours,
            ),
            pyserini(
                "search.hybrid", "dense", "--index", dense, *peer_model(name), "sparse", "--index", sparse,
                "fusion", "--alpha", ALPHA, "--hits", HITS, "run", *asked, *ENGINE, "--output", theirs,
            ),
        )  # fmt: skip
        seconds = in_turns(*sides, bench.rounds, f"search hybrid {name}")
        check_runs(ours, theirs)
        what = f"{name}, {bench.questions:,} topics, whole process"
        yield Result("search-hybrid", what, "pyserini.search.hybrid", "s", *seconds)


def model(name: str) -> str:
    """The folder of a model."""
    return str(offline_model(name, MODELS))


def peer_model(name: str) -> list[object]:
    """How Pyserini's searchers are told of it."""
    prefix = PEER_OPTIONS[name]["query"]
    told = ["--encoder-class", "auto", "--encoder", model(name), "--pooling", "mean", "--l2-norm"]
    return [*told, "--query-prefix", prefix] if prefix else [*told]


def common(bench: Bench, index: Path) -> list[object]:
    """The options that both sides have."""
    return ["--topics", topics(bench), "--index", index, "--hits", HITS]


def topics(bench: Bench) -> Path:
    """A file of `bench.questions` topics: three to ten consecutive words of the demo's passages."""
    path = bench.folder / "topics.tsv"
    if not path.exists():
        draw = random.Random(2)
        words = [document.text.split() for document in passages(bench.passages)]
        with open(path, "w", encoding="utf-8") as handle:
            for number in range(1, bench.questions + 1):
                text = draw.choice(words)
                start = draw.randrange(max(1, len(text) - 10))
                handle.write(f"q{number}\t{' '.join(text[start : start + draw.randint(3, 10)])}\n")
    return path


def dense_index(bench: Bench, name: str) -> Path:
    """The passages encoded, once a session."""
    from clir.encoding.encoder import load_encoder

    index = bench.folder / f"dense-{name}"
    if not index.exists():
        with quiet():
            clir_encoding(load_encoder(model(name), batch_size=BATCH_SIZE), passages(bench.passages), index)()
    return index


def lucene_index(bench: Bench) -> Path:
    """The passages indexed for BM25, once a session."""
    from clir.indexing.lucene import build_lucene_index

    index = bench.folder / "lucene"
    if not index.exists():
        with quiet():
            build_lucene_index(passages(bench.passages), index, "en")
    return index


def write_corpus(documents: Sequence[Document], path: Path) -> None:
    """The documents as both programs read them."""
    with open(path, "w", encoding="utf-8") as handle:
        for document in documents:
            handle.write(json.dumps({"id": document.docid, "text": document.contents}) + "\n")
