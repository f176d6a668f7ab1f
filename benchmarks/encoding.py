"""Encoding documents beside Pyserini and sentence-transformers: `benchmarks/run.py` runs it."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sides import Bench, Result, in_turns, passages, quiet

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
# Texts in Pyserini's batches, which are in the order of the corpus: more are slower, and its default is twice as many.
BATCH_SIZE = 32
# What sentence-transformers, which sorts by length, is tried with before its best is measured; its default is 32.
BATCH_SIZES = (4, 8, 16, 32, 64)
TRIED = 5


def encoding(bench: Bench) -> Iterator[Result]:
    """Documents a second, models already loaded: into an index beside Pyserini, into memory beside the other."""
    from clir.encoding.encoder import load_encoder
    from clir.encoding.precision import computes_bf16
    from clir.encoding.quiet import quiet_transformers

    quiet_transformers()
    precisions = ["fp32", "bf16"] if computes_bf16("cpu") else ["fp32"]
    if "bf16" not in precisions:
        say("encode: this processor does not compute in bf16; only fp32 is measured")
    documents = passages(bench.passages)
    for name in bench.models:
        for precision in precisions:
            encoder = load_encoder(model(name), precision=precision)  # type: ignore[arg-type]
            tolerance = 0.05 if precision == "bf16" else 1e-3
            yield _beside_pyserini(bench, encoder, name, documents, tolerance)
            yield _beside_sentence_transformers(bench, encoder, name, [one.contents for one in documents], tolerance)


def _beside_pyserini(bench: Bench, encoder: Any, name: str, documents: Sequence[Document], tolerance: float) -> Result:
    from clir.support.jvm import pyserini_module

    corpus, few = bench.folder / "docs.jsonl", bench.folder / "few.jsonl"
    write_corpus(documents, corpus)
    write_corpus(documents[:BATCH_SIZE], few)
    auto = pyserini_module("pyserini.encode").AutoDocumentEncoder
    peer = auto(model(name), device="cpu", pooling="mean", l2_norm=True, prefix=PEER_OPTIONS[name]["document"])
    outputs = bench.folder / "ours", bench.folder / "theirs"
    with quiet():
        clir_encoding(encoder, documents[:BATCH_SIZE], outputs[0])()
        pyserini_encoding(peer, name, few, outputs[1])()
    _check(*map(_vectors, outputs), tolerance)
    sides = clir_encoding(encoder, documents, outputs[0]), pyserini_encoding(peer, name, corpus, outputs[1])
    seconds = in_turns(*sides, bench.rounds, f"encode {name} {encoder.precision}")
    return _rates(f"{name}, {encoder.precision}, into an index", "pyserini.encode, fp32", seconds, len(documents))


def _beside_sentence_transformers(
    bench: Bench, encoder: Any, name: str, texts: Sequence[str], tolerance: float
) -> Result:
    import torch
    from sentence_transformers import SentenceTransformer

    dtype = torch.bfloat16 if encoder.precision == "bf16" else torch.float32
    with quiet():
        peer = SentenceTransformer(model(name), device="cpu", local_files_only=True, model_kwargs={"dtype": dtype})

    def theirs(some: Sequence[str], batch_size: int) -> Any:
        return peer.encode_document(list(some), batch_size=batch_size, show_progress_bar=False)

    few = texts[: max(BATCH_SIZE, len(texts) // TRIED)]
    _check(encoder.encode_documents(few), np.asarray(theirs(few, BATCH_SIZE), dtype=np.float32), tolerance)
    best = min(BATCH_SIZES, key=lambda size: _seconds(lambda: theirs(few, size)))
    what = f"{name} {encoder.precision} beside batches of {best}"
    seconds = in_turns(lambda: encoder.encode_documents(texts), lambda: theirs(texts, best), bench.rounds, what)
    return _rates(f"{name}, {encoder.precision}", f"sentence-transformers, batches of {best}", seconds, len(texts))


def _seconds(work: Callable[[], Any]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _rates(what: str, peer: str, seconds: tuple[list[float], list[float]], documents: int) -> Result:
    return Result("encode", what, peer, "documents/s", *([documents / one for one in side] for side in seconds))


def clir_encoding(encoder: Any, documents: Sequence[Document], output: Path) -> Callable[[], None]:
    """Our side: an index of the documents, from the first."""
    from clir.indexing.dense import build_dense_index

    def encode() -> None:
        # A finished index of the same documents would be kept.
        shutil.rmtree(output, ignore_errors=True)
        build_dense_index(lambda: iter(documents), encoder, output, total=len(documents))

    return encode


def pyserini_encoding(encoder: Any, name: str, corpus: Path, output: Path) -> Callable[[], None]:
    """The loop of `python -m pyserini.encode ... output --to-faiss`, with its own parts."""
    from clir.support.jvm import pyserini_module

    read = pyserini_module("pyserini.encode").JsonlCollectionIterator
    write = pyserini_module("pyserini.encode.optional").FaissRepresentationWriter

    def encode() -> None:
        writer = write(str(output), dimension=encoder.model.config.hidden_size)
        with writer:
            for batch in read(str(corpus), ["text"], None, "\n")(BATCH_SIZE):
                max_length = PEER_OPTIONS[name]["max_length"]
                batch["vector"] = encoder.encode(texts=batch["text"], max_length=max_length, fp16=False, add_sep=False)
                writer.write(batch, ["text"])

    return encode


def _vectors(index: Path) -> Any:
    import faiss

    read = faiss.read_index(str(index / "index"))
    return read.reconstruct_n(0, read.ntotal)


def _check(ours: Any, theirs: Any, tolerance: float) -> None:
    """Raise ClirError unless both sides have the same vectors."""
    difference = np.abs(ours - theirs).max()
    if not difference <= tolerance:
        raise ClirError(f"not the same work: the two sides' vectors differ by {difference:.2g}")


def model(name: str) -> str:
    """The folder of a model."""
    return str(offline_model(name, MODELS))


def write_corpus(documents: Sequence[Document], path: Path) -> None:
    """The documents as both programs read them."""
    with open(path, "w", encoding="utf-8") as handle:
        for document in documents:
            handle.write(json.dumps({"id": document.docid, "text": document.contents}) + "\n")
