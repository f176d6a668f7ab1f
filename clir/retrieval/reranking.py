"""Late interaction as a re-ranker: what another search, or a run, has found, ranked by exact MaxSim."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from clir.corpora.collection import Topic
from clir.encoding.encoder import Encoder, token_encoder
from clir.encoding.token_vectors import TokenVectors
from clir.indexing.encoded import check_encoder
from clir.indexing.tokens import TokenIndex, open_token_index
from clir.retrieval.maxsim import score_candidates
from clir.retrieval.searcher import Searcher
from clir.runs.run import Run
from clir.support.errors import ClirError, UsageError
from clir.support.progress import Progress, say

CANDIDATES = 1000
# Topics whose token vectors, and candidates that, are held at a time.
TOPICS_AT_ONCE = 256
HITS_AT_ONCE = 1_000_000

Numbers = NDArray[np.int64]


class LateReranker:
    """Ranks the best `candidates` hits that `first` has for each topic by exact MaxSim over a token index.

    `candidates` None is 1,000, or what is asked for if that is more. `first` is any searcher, or a run (read from a
    file, fused, ...). A searcher gets `first_topics`, the same qids, where its text is not what the encoder reads (a
    translation for BM25); a run is looked up by qid. Topics are searched some at a time, so `first` must not mix them.

    What the first stage did not find is not found. Its documents that the token index does not have, or has
    without tokens, are left out, as in exhaustive search; how many are not in the index is said. A topic without
    candidates, or without tokens, finds nothing. `threads` is a limit (None: torch's); the run does not depend on
    it. Raises ClirError for an index that another model made, UsageError for an encoder without token vectors.
    """

    def __init__(
        self,
        index: TokenIndex | str | Path,
        encoder: Encoder,
        first: Searcher | Run,
        *,
        candidates: int | None = None,
        first_topics: Sequence[Topic] | None = None,
        threads: int | None = None,
    ) -> None:
        check_counts(candidates=candidates, threads=threads)
        self.encoder, self.threads = token_encoder(encoder), threads
        self.index = index if isinstance(index, TokenIndex) else open_token_index(index)
        check_encoder(self.index, encoder)
        self.first, self.candidates = first, candidates
        self._first_text = None if first_topics is None else {topic.qid: topic for topic in first_topics}

    def search(self, topics: Sequence[Topic], k: int) -> Run:
        """The best `k` of each topic's candidates, as a Run tagged `late`; equal scores by docid, descending.

        Raises ClirError if the token index has none of the documents that the first stage found, UsageError if a
        topic has no text for the first stage.
        """
        check_counts(hits=k)
        depth = candidates_for(k, self.candidates)
        parts: list[Run] = []
        found = missing = 0
        with Progress("re-ranking", len(topics), "topics") as progress:
            for batch in batches(topics, depth):
                numbers, lacking = self._numbers(self._first_run(batch, depth))
                found, missing = found + sum(map(len, numbers.values())), missing + lacking
                queries = self.encoder.encode_query_tokens([topic.text for topic in batch])
                chosen = [numbers.get(topic.qid, np.empty(0, dtype=np.int64)) for topic in batch]
                parts.append(ranked(self.index, self._docids, batch, queries, chosen, k, self.threads, progress))
        if missing and not found:
            raise ClirError(
                f"{self.index.path} has none of the {missing:,} documents that the first stage found: "
                "was it made of another collection?"
            )
        if missing:
            say(f"late: {missing:,} of {found + missing:,} candidates are not in {self.index.path} and are left out")
        return joined(parts)

    @functools.cached_property
    def _docids(self) -> pl.Series:
        return docid_column(self.index)

    def _first_run(self, topics: Sequence[Topic], depth: int) -> Run:
        if isinstance(self.first, Run):
            wanted = self.first.frame.filter(pl.col("qid").is_in([topic.qid for topic in topics]))
            return Run(wanted).cut(depth)
        if self._first_text is not None:
            lacking = [topic.qid for topic in topics if topic.qid not in self._first_text]
            if lacking:
                raise UsageError(
                    f"topic {lacking[0]} has no text for the first stage (one of {len(lacking)} such topics)"
                )
            topics = [self._first_text[topic.qid] for topic in topics]
        return self.first.search(topics, depth)

    def _numbers(self, run: Run) -> tuple[dict[str, Numbers], int]:
        """Each topic's hits as numbers of documents in the index, and how many hits it does not have."""
        known = pl.DataFrame([self._docids, pl.Series("number", np.arange(self.index.documents))])
        found = run.frame.join(known, on="docid", how="inner", maintain_order="left")
        ranges = found.group_by("qid", maintain_order=True).agg("number")
        hits = {qid: numbers.to_numpy() for qid, numbers in zip(ranges["qid"], ranges["number"], strict=True)}
        return hits, len(run) - len(found)


def ranked(
    index: TokenIndex,
    docids: pl.Series,
    topics: Sequence[Topic],
    queries: TokenVectors,
    candidates: Sequence[Numbers],
    k: int,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Run:
    """The best `k` of each topic's `candidates` (numbers of documents) by exact MaxSim, as a Run tagged `late`.

    `docids` are those of the index.
    """
    qids, found, scores = [], [], []
    for at, (topic, numbers) in enumerate(zip(topics, candidates, strict=True)):
        exact = score_candidates(queries[at], index, numbers, threads=threads)
        kept = np.flatnonzero(exact != -np.inf)
        # All that tie with the last are kept here, for the run's own order to cut; and NaN, for it to refuse.
        if len(kept) > k:
            kept = kept[~(exact[kept] < np.partition(exact[kept], -k)[-k])]
        qids.append(pl.repeat(topic.qid, len(kept), dtype=pl.String, eager=True))
        found.append(docids.gather(numbers[kept]))
        scores.append(exact[kept])
        if progress is not None:
            progress.advance()
    if not scores:
        return Run.of([], [], [], tag="late")
    return Run.of(pl.concat(qids), pl.concat(found), np.concatenate(scores), tag="late").cut(k)


def joined(parts: Sequence[Run]) -> Run:
    """Runs of different topics as one, tagged `late`."""
    if not parts:
        return Run.of([], [], [], tag="late")
    frame = pl.concat([part.frame for part in parts])
    return Run.of(frame["qid"], frame["docid"], frame["score"].to_numpy(), tag="late")


def docid_column(index: TokenIndex) -> pl.Series:
    """The docids of the index; a column is quicker to gather from than a list."""
    return pl.Series("docid", index.docids, dtype=pl.String)


def batches(topics: Sequence[Topic], hits: int) -> Iterator[Sequence[Topic]]:
    """Topics that go together, with so many hits each."""
    size = min(TOPICS_AT_ONCE, max(1, HITS_AT_ONCE // hits))
    for start in range(0, len(topics), size):
        yield topics[start : start + size]


def candidates_for(k: int, candidates: int | None) -> int:
    """How many documents of a topic are scored for its best `k`: as said, or CANDIDATES and no fewer than `k`."""
    return max(k, CANDIDATES) if candidates is None else candidates


def check_counts(**counts: int | None) -> None:
    """Raise UsageError for a number below 1."""
    for name, value in counts.items():
        if value is not None and value < 1:
            raise UsageError(f"{name} must be at least 1, not {value}")


@contextlib.contextmanager
def faiss_threads(threads: int | None) -> Iterator[None]:
    """Let FAISS compute in `threads` threads (None: as many as it has now)."""
    import faiss

    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(threads or before)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)
