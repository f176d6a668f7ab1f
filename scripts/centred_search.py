"""Is token search better if the mean token is taken out of queries and documents, and does distillation do it already?

    python scripts/centred_search.py runs/compare-questions-dev/students/*1-epochs--seed-1

Exact MaxSim over dev collections: the vectors as they are, and with the mean taken out before they are brought back to
unit length. Documents lose the mean of their collection's tokens, queries that of all the
collection's topics (of their own language, then). English topics (the oracle) show what it does to the teacher itself.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import polars as pl
from marked_table import print_table
from numpy.typing import NDArray

from clir.corpora.collection import Collection
from clir.corpora.registry import open_collection
from clir.encoding.encoder import TokenEncoder, load_encoder, token_encoder
from clir.encoding.token_vectors import TokenVectors, pieces
from clir.evaluation.measures import evaluate
from clir.experiments.indexes import token_index
from clir.indexing.tokens import TokenIndex
from clir.retrieval.maxsim import BestDocuments, maxsim
from clir.runs.run import Run
from clir.support.errors import ClirError
from clir.support.progress import say

MODEL = "encoders/models/multilingual-e5-small"
COLLECTIONS = ("afriqa/ha/dev", "afriqa/ig/dev", "ntrex-heldout/so/dev")
SHARES = {"as they are": 0.0, "the mean out": 1.0}
HITS, QUERIES, TOKENS = 1000, 128, 1 << 16

Vector = NDArray[np.float32]


def main() -> int:
    """Search with the model as it is and with every student named; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("students", nargs="*", help="folders of students of multilingual-e5-small")
    options = parser.parse_args()
    try:
        compare_centring(options.students)
    except ClirError as error:
        say(str(error))
        return error.exit_status
    return 0


def compare_centring(students: list[str]) -> None:
    """A table of each system: MAP on every collection, by how much of the mean is taken out."""
    undistilled = token_encoder(load_encoder(MODEL))
    systems: dict[str, tuple[TokenEncoder, str | None]] = {
        "oracle": (undistilled, "en"),
        "undistilled": (undistilled, None),
    }
    systems |= {Path(folder).name: (token_encoder(load_encoder(folder)), None) for folder in students}
    for name, (encoder, language) in systems.items():
        found = {
            about: {
                collection: scores(open_collection(collection), encoder, language, share) for collection in COLLECTIONS
            }
            for about, share in SHARES.items()
        }
        print_table(f"{name}: MAP, tokens", found, "as they are")


def scores(collection: Collection, encoder: TokenEncoder, language: str | None, share: float) -> dict[str, float]:
    """Every topic's AP, with `share` of the mean token taken out of both sides."""
    qrels = collection.qrels()
    if qrels is None:
        raise ClirError(f"{collection.id} has no qrels")
    index = token_index(collection, encoder)
    topics = collection.topics(language)
    queries = encoder.encode_query_tokens([topic.text for topic in topics])
    queries = centred(queries, share * queries.values.mean(axis=0))
    run = exhaustive([topic.qid for topic in topics], queries, index, share * mean_token(index))
    return {qid: one["AP"] for qid, one in evaluate(run, qrels, ["AP"]).per_topic.items()}


def centred(vectors: TokenVectors, mean: Vector) -> TokenVectors:
    """The vectors less `mean`, at unit length again."""
    moved = vectors.values - mean
    return TokenVectors(moved / np.linalg.norm(moved, axis=1, keepdims=True), vectors.offsets)


def mean_token(index: TokenIndex) -> Vector:
    """(d,) mean of all document tokens."""
    total = np.zeros(index.dimension)
    for start, stop in pieces(index.offsets, TOKENS):
        total += index.read(start, stop).values.sum(axis=0, dtype=np.float64)
    return (total / index.tokens).astype(np.float32)


def exhaustive(qids: list[str], queries: TokenVectors, index: TokenIndex, mean: Vector) -> Run:
    """The best documents of every query, each document's tokens less `mean`."""
    docids = index.docid_column
    best = BestDocuments(len(queries), min(HITS, len(docids)), docids)
    for start, stop in pieces(index.offsets, TOKENS):
        documents = centred(index.read(start, stop), mean)
        for first in range(0, len(queries), QUERIES):
            best.offer(first, start, maxsim(queries.part(first, min(first + QUERIES, len(queries))), documents))
    owners, numbers, found = best.hits()
    return Run.of(pl.Series(qids, dtype=pl.String).gather(owners), docids.gather(numbers), found)


if __name__ == "__main__":
    raise SystemExit(main())
