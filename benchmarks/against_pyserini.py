"""Searching beside Pyserini: `benchmarks/run.py` runs these."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

from encoding import PEER_OPTIONS, clir_encoding, model
from sides import Bench, Result, check_runs, door, in_turns, passages, pyserini, quiet

HITS = 1000
THREADS = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
# Topics go through Pyserini in batches, on as many threads as through clir: by default it takes one at a time.
ENGINE = ["--threads", THREADS, "--batch-size", 64]
# What BM25's score weighs in a hybrid: Pyserini's default.
ALPHA = 0.1


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
            clir_encoding(load_encoder(model(name)), passages(bench.passages), index)()
    return index


def lucene_index(bench: Bench) -> Path:
    """The passages indexed for BM25, once a session."""
    from clir.indexing.lucene import build_lucene_index

    index = bench.folder / "lucene"
    if not index.exists():
        with quiet():
            build_lucene_index(passages(bench.passages), index, "en")
    return index
