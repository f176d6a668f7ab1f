"""Dense search: query vectors against an index of document vectors, of all documents or of those in some languages."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from clir.corpora.collection import Topic
from clir.encoding.encoder import Encoder
from clir.indexing.dense import DenseIndex, open_dense_index
from clir.indexing.encoded import check_encoder, required_languages
from clir.indexing.faiss_vectors import FaissVectors
from clir.indexing.flat import FlatVectors
from clir.retrieval.balance import balance_languages
from clir.runs.run import Run
from clir.support.errors import UsageError
from clir.support.progress import Progress

# Hits that are held at a time as vectors' numbers and scores.
BATCH_HITS = 1_000_000
ENCODED_AT_ONCE = 4096

Scores = NDArray[np.float32]
Numbers = NDArray[np.int64]
Mask = NDArray[np.bool_]
# The languages whose documents are searched together; None is all documents.
Part = tuple[str, ...] | None


class DenseSearcher:
    """Searches a dense index by the inner product with an encoder's query vectors.

    threads: FAISS's (None: every processor). parameters: of an approximate index, as "nprobe=16" (None: as it was
    saved). languages: only documents in these; balanced: an equal share of the hits for each of `languages` (None:
    of all that the index has), as `clir.retrieval.balance` divides them. A flat index is searched exactly, also
    within languages.

    Raises ClirError for an index that another model made, UsageError for parameters that the index has not and
    for languages that no document is in.
    """

    def __init__(
        self,
        index: DenseIndex | str | Path,
        encoder: Encoder,
        *,
        threads: int | None = None,
        parameters: str | None = None,
        languages: Sequence[str] | None = None,
        balanced: bool = False,
    ) -> None:
        if threads is not None and threads < 1:
            raise UsageError(f"threads must be at least 1, not {threads}")
        self.index = index if isinstance(index, DenseIndex) else open_dense_index(index)
        self.encoder, self.threads, self.parameters = encoder, threads, parameters
        check_encoder(self.index, encoder)
        self._parts = _parts(self.index, languages, balanced)
        self._balanced = balanced
        self._vectors: FlatVectors | FaissVectors | None = None
        if parameters is not None:
            self.vectors()

    def search(self, topics: Sequence[Topic], k: int) -> Run:
        """The best `k` documents of every topic, as a Run tagged `dense`; equal scores by docid, descending.

        Of a flat index, that order decides, too, which of the documents that tie for the last place are found; what an
        approximate or a balanced search finds of those is FAISS's choice. A topic without text finds nothing.
        """
        topics = with_text(topics)
        texts = [topic.text for topic in topics]
        return self._search(
            [topic.qid for topic in topics], lambda begin, end: self.encoder.encode_queries(texts[begin:end]), k
        )

    def search_vectors(self, qids: Sequence[str], queries: Scores, k: int) -> Run:
        """As `search`, for queries that are vectors already, (n, d)."""
        return self._search(qids, lambda begin, end: queries[begin:end], k)

    def _search(self, qids: Sequence[str], queries: Callable[[int, int], Scores], k: int) -> Run:
        """The run of the queries that `queries(begin, end)` gives as vectors."""
        if k < 1:
            raise UsageError(f"hits must be at least 1, not {k}")
        vectors, docids = self.vectors(), self.index.docid_column
        k = min(k, len(docids))
        at_once = min(ENCODED_AT_ONCE, max(1, BATCH_HITS // (k * len(self._parts))))
        owners, found, scores = [], [], []
        with Progress("dense search", len(qids), "topics") as progress:
            for begin in range(0, len(qids), at_once):
                batch = qids[begin : begin + at_once]
                for topics, values, numbers in self._best(vectors, queries(begin, begin + len(batch)), k):
                    # A short list is padded with -1.
                    kept = numbers >= 0
                    owners.append(pl.Series(batch, dtype=pl.String).gather(np.repeat(topics, kept.sum(axis=1))))
                    found.append(docids.gather(numbers[kept]))
                    scores.append(values[kept])
                progress.advance(len(batch))
        run = Run.of(_joined(owners), _joined(found), np.concatenate(scores or [np.empty(0, np.float32)]), tag="dense")
        return run.cut(k) if len(run) and run.lengths.max() > k else run

    def _best(
        self, vectors: FlatVectors | FaissVectors, queries: Scores, k: int
    ) -> Iterator[tuple[Numbers, Scores, Numbers]]:
        """The best `k` of all queries, some at a time: which queries, (n,), and their scores and numbers, (n, k).

        Where documents of a flat index tie for the last place, there are more columns, for all that tie.
        """
        everyone = np.arange(len(queries))
        if self._balanced or isinstance(vectors, FaissVectors):
            lists = [vectors.search(queries, k, self._chosen(part)) for part in self._parts]
            yield everyone, *(balance_languages(lists, k) if self._balanced else lists[0])
            return
        width = k + 1
        while len(everyone):
            values, numbers = vectors.search(queries[everyone], min(width, vectors.count), self._chosen(self._parts[0]))
            tied = (values[:, -1] == values[:, k - 1]) & (numbers[:, -1] >= 0) & (width < vectors.count)
            # At first nothing but the next best is looked at beyond k.
            settled = slice(k if width == k + 1 else None)
            yield everyone[~tied], values[~tied, settled], numbers[~tied, settled]
            everyone, width = everyone[tied], 4 * width

    def _chosen(self, part: Part) -> Mask | None:
        # Made for each search, so that there is one at a time.
        return None if part is None or self.index.languages is None else self.index.languages.chosen(part)

    def vectors(self) -> FlatVectors | FaissVectors:
        """The index's vectors, opened once."""
        import faiss

        if self._vectors is None:
            self._vectors = self.index.vectors(self.parameters)
        if self.threads is not None:
            faiss.omp_set_num_threads(self.threads)
        return self._vectors


def _parts(index: DenseIndex, languages: Sequence[str] | None, balanced: bool) -> list[Part]:
    """What is searched: all documents (None), those in some languages, or those in each language for itself."""
    if languages is None and not balanced:
        return [None]
    tags = required_languages(index)
    each = tuple(tags.counts) if languages is None else tuple(dict.fromkeys(map(tags.known, languages)))
    if not each:
        raise UsageError("no language to search in was given")
    return [(one,) for one in each] if balanced else [each]


def with_text(topics: Sequence[Topic]) -> list[Topic]:
    """The topics that have a text: a model has a vector for none, too, and neighbours that mean nothing."""
    return [topic for topic in topics if topic.text.strip()]


def _joined(parts: list[pl.Series]) -> pl.Series:
    return pl.concat(parts) if parts else pl.Series([], dtype=pl.String)
