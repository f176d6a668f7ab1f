"""Dense search: query vectors against a FAISS index of document vectors."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from clir.corpora.collection import Topic
from clir.encoding.encoder import Encoder
from clir.indexing.dense import DenseIndex, open_dense_index
from clir.indexing.encoded import check_encoder
from clir.runs.run import Run
from clir.support.errors import UsageError
from clir.support.progress import Progress

# Hits that are held at a time as vectors' numbers and scores.
BATCH_HITS = 1_000_000
ENCODED_AT_ONCE = 4096


class DenseSearcher:
    """Searches a dense index by the inner product with an encoder's query vectors.

    `threads` is FAISS's (None: every processor). Raises ClirError for an index that another model made.
    """

    def __init__(self, index: DenseIndex | str | Path, encoder: Encoder, *, threads: int | None = None) -> None:
        if threads is not None and threads < 1:
            raise UsageError(f"threads must be at least 1, not {threads}")
        self.index = index if isinstance(index, DenseIndex) else open_dense_index(index)
        self.encoder, self.threads = encoder, threads
        check_encoder(self.index, encoder)
        self._docids: pl.Series | None = None
        self._vectors: Any = None

    def search(self, topics: Sequence[Topic], k: int) -> Run:
        """The best `k` documents of every topic, as a Run tagged `dense`; equal scores by docid, descending."""
        if k < 1:
            raise UsageError(f"hits must be at least 1, not {k}")
        vectors, docids = self._opened()
        k = min(k, len(docids))
        qids, found, scores = [], [], []
        with Progress("dense search", len(topics), "topics") as progress:
            for batch in _batches(topics, min(ENCODED_AT_ONCE, max(1, BATCH_HITS // k))):
                values, numbers = vectors.search(self.encoder.encode_queries([topic.text for topic in batch]), k)
                # An approximate index pads a short list with -1.
                kept = (numbers >= 0).reshape(-1)
                qids.append(pl.Series([topic.qid for topic in batch], dtype=pl.String).gather(_owners(numbers)[kept]))
                found.append(docids.gather(numbers.reshape(-1)[kept]))
                scores.append(values.reshape(-1)[kept])
                progress.advance(len(batch))
        return Run.of(_joined(qids), _joined(found), np.concatenate(scores or [np.empty(0, np.float32)]), tag="dense")

    def _opened(self) -> tuple[Any, pl.Series]:
        import faiss

        if self._docids is None:
            self._vectors = faiss.read_index(str(self.index.path / "index"), faiss.IO_FLAG_MMAP)
            self._docids = pl.Series(self.index.docids, dtype=pl.String)
        if self.threads is not None:
            faiss.omp_set_num_threads(self.threads)
        return self._vectors, self._docids


def _batches(topics: Sequence[Topic], size: int) -> list[Sequence[Topic]]:
    return [topics[start : start + size] for start in range(0, len(topics), size)]


def _owners(numbers: Any) -> Any:
    """For (n, k) hits, flat: which of the n topics each belongs to."""
    return np.repeat(np.arange(len(numbers)), numbers.shape[1])


def _joined(parts: list[pl.Series]) -> pl.Series:
    return pl.concat(parts) if parts else pl.Series([], dtype=pl.String)
