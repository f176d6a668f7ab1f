"""Pseudo-relevance feedback for dense search: a second search with a vector moved towards the first one's hits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from clir.corpora.collection import Topic
from clir.encoding.encoder import Vectors
from clir.retrieval.dense import DenseSearcher, with_text
from clir.runs.run import Run
from clir.support.errors import UsageError

# Topics whose feedback is computed together: with 10 documents of 384 dimensions each, 8 MB.
TOPICS_AT_ONCE = 512


@dataclass(frozen=True)
class Average:
    """The mean of the query's vector and those of the best `depth` documents (Pyserini's `avg`).

    Li, Mourad, Zhuang, Koopman and Zuccon, "Pseudo Relevance Feedback with Deep Language Models and Dense
    Retrievers", TOIS 2023.
    """

    depth: int = 3

    def __post_init__(self) -> None:
        _check_count("depth", self.depth, 1)

    def moved(self, query: Vectors, found: Vectors) -> Vectors:
        """The (d,) vector to search with, from the query's (d,) and those of its hits, best first (n, d)."""
        return np.vstack([query, found]).mean(axis=0, dtype=np.float32)


@dataclass(frozen=True)
class DenseRocchio:
    """`alpha` times the query's vector, plus `beta` times the mean of the best `documents`, minus `gamma` times the
    mean of the last `last_documents` of the best `depth` (Rocchio, 1971; Li et al., 2023).

    The defaults are Pyserini's; `last_documents` of 0 is no negative feedback. Fewer hits than `depth` are taken as
    they are.
    """

    depth: int = 3
    alpha: float = 0.9
    beta: float = 0.1
    gamma: float = 0.1
    documents: int = 3
    last_documents: int = 0

    def __post_init__(self) -> None:
        _check_count("depth", self.depth, 1)
        _check_count("documents", self.documents, 1)
        _check_count("last documents", self.last_documents, 0)
        if max(self.documents, self.last_documents) > self.depth:
            most = max(self.documents, self.last_documents)
            raise UsageError(f"feedback from {most} documents needs a depth of {most} at least, not {self.depth}")
        for name, value in (("alpha", self.alpha), ("beta", self.beta), ("gamma", self.gamma)):
            if not 0 <= value < float("inf"):
                raise UsageError(f"Rocchio's {name} is a number from 0 up, not {value}")

    def moved(self, query: Vectors, found: Vectors) -> Vectors:
        """The (d,) vector to search with, from the query's (d,) and those of its hits, best first (n, d)."""
        vector = self.alpha * query + self.beta * found[: self.documents].mean(axis=0)
        if self.last_documents:
            vector = vector - self.gamma * found[-self.last_documents :].mean(axis=0)
        return vector.astype(np.float32)


DenseFeedback = Average | DenseRocchio


class DenseFeedbackSearcher:
    """A DenseSearcher that searches twice: the second time with the vectors that `feedback` makes of the first hits.

    Document vectors come from the index, so nothing is encoded but the queries. Scores are inner products with the
    new vectors, which have no unit length any more. A topic that finds nothing keeps its own vector.
    """

    def __init__(self, dense: DenseSearcher, feedback: DenseFeedback) -> None:
        self.dense, self.feedback = dense, feedback

    def search(self, topics: Sequence[Topic], k: int) -> Run:
        """The best `k` documents of every topic, as a Run tagged `dense`.

        Raises UsageError for `k` below 1, ClirError for an index that cannot give back its vectors.
        """
        topics = with_text(topics)
        qids = [topic.qid for topic in topics]
        queries = self.dense.encoder.encode_queries([topic.text for topic in topics])
        return self.dense.search_vectors(qids, self.moved(qids, queries), k)

    def moved(self, qids: Sequence[str], queries: Vectors) -> Vectors:
        """The (n, d) vectors that `feedback` makes of the queries' (n, d), and of what they find."""
        moved = np.array(queries, dtype=np.float32)
        for start in range(0, len(qids), TOPICS_AT_ONCE):
            part = slice(start, start + TOPICS_AT_ONCE)
            first = self.dense.search_vectors(qids[part], queries[part], self.feedback.depth)
            vectors = self.dense.vectors().take(self._numbers(first))
            ends = dict(zip(first.topics, np.cumsum(first.lengths), strict=True))
            lengths = dict(zip(first.topics, first.lengths, strict=True))
            for at, qid in enumerate(qids[part], start):
                if qid in ends:
                    moved[at] = self.feedback.moved(queries[at], vectors[ends[qid] - lengths[qid] : ends[qid]])
        return moved

    def _numbers(self, run: Run) -> NDArray[np.int64]:
        """The number in the index of each line's document."""
        table = pl.DataFrame({"docid": self.dense.index.docid_column}).with_row_index("number")
        lines = run.frame.select("docid").join(table, on="docid", how="left", maintain_order="left")
        return lines["number"].to_numpy().astype(np.int64)


def _check_count(name: str, count: int, least: int) -> None:
    if count < least:
        raise UsageError(f"feedback's {name} must be at least {least}, not {count}")
