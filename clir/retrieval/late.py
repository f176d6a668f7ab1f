"""Late interaction: topics against the documents of a token index by exact MaxSim, all of them or the likely ones."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import polars as pl

from clir.corpora.collection import Topic
from clir.encoding.encoder import Encoder, token_encoder
from clir.encoding.token_vectors import TokenVectors
from clir.indexing.encoded import check_encoder
from clir.indexing.reduced import (
    KINDS,
    Kind,
    ReducedIndex,
    build_reduced_index,
    is_current,
    open_reduced_index,
    reduction_place,
)
from clir.indexing.tokens import TokenIndex, open_token_index
from clir.retrieval.maxsim import BestDocuments, score_all
from clir.retrieval.reranking import (
    LateReranker,
    batches,
    candidates_for,
    check_counts,
    docid_column,
    faiss_threads,
    joined,
    ranked,
)
from clir.retrieval.searcher import Searcher
from clir.runs.run import Run
from clir.support.errors import unknown
from clir.support.locks import alone
from clir.support.progress import Progress, say

FirstStage = Literal["auto", "exhaustive", "pooled", "muvera"]
FIRST_STAGES: tuple[FirstStage, ...] = ("auto", "exhaustive", *KINDS)
# Floating-point operations a query up to which every document is scored: about a quarter of a second on two cores.
AFFORDABLE = 2e10
# What `auto` takes beyond that.
BEYOND: Kind = "pooled"


class LateSearcher:
    """Searches a token index by MaxSim.

    The score is the sum over the query's content tokens of their greatest inner product with any content
    token of the document (Khattab and Zaharia 2020, arXiv 2004.12832, eq. 3). A document without tokens is
    never found, a query without tokens finds nothing.

    first_stage: which documents are scored. `exhaustive`: all. `pooled` and `muvera`: the best `candidates` by the
    products of one vector a document (see clir.indexing.pooled_vectors and clir.indexing.fixed_dimensional), which
    are made inside the index's folder where they are not there or are of other token vectors. A searcher: what it
    finds (LateReranker). `auto` is `exhaustive` while that takes no more than AFFORDABLE operations a query (twice
    query tokens x document tokens x dimensions) or there are no more documents than candidates, else `pooled`;
    its choice is made by the first topics, said once, and kept in `chosen`.

    candidates: so many are scored, and no more can be found (None: 1,000, or `k` if that is more). Memory, beside
    docids and offsets: a block of vectors a thread, the token vectors of 256 topics, a million hits, and for `pooled`
    and `muvera` FAISS's index where it is not mapped.
    `threads` is a limit (None: torch's and FAISS's own). Raises ClirError for an index that another model made,
    UsageError for an encoder without token vectors.
    """

    def __init__(
        self,
        index: TokenIndex | str | Path,
        encoder: Encoder,
        *,
        first_stage: FirstStage | Searcher = "auto",
        candidates: int | None = None,
        threads: int | None = None,
    ) -> None:
        check_counts(candidates=candidates, threads=threads)
        if isinstance(first_stage, str) and first_stage not in FIRST_STAGES:
            raise unknown("first stage", first_stage, FIRST_STAGES)
        self.encoder, self.threads = token_encoder(encoder), threads
        self.index = index if isinstance(index, TokenIndex) else open_token_index(index)
        check_encoder(self.index, encoder)
        self.first_stage, self.candidates = first_stage, candidates
        self.chosen: FirstStage | None = None
        self._reduced: ReducedIndex | None = None

    def search(self, topics: Sequence[Topic], k: int) -> Run:
        """The best `k` documents of every topic, as a Run tagged `late`; equal scores by docid, descending."""
        check_counts(hits=k)
        if not isinstance(self.first_stage, str):
            reranker = LateReranker(
                self.index, self.encoder, self.first_stage, candidates=self.candidates, threads=self.threads
            )
            return reranker.search(topics, k)
        k = min(k, self.index.documents)
        depth = min(candidates_for(k, self.candidates), self.index.documents)
        parts = []
        with Progress("late search", len(topics), "topics") as progress:
            for batch in batches(topics, depth):
                queries = self.encoder.encode_query_tokens([topic.text for topic in batch])
                stage = self._stage(queries, depth)
                if stage == "exhaustive":
                    parts.append(self._exhaustive(batch, queries, k))
                    progress.advance(len(batch))
                else:
                    with faiss_threads(self.threads):
                        chosen = self._candidates(stage).search(queries, depth)
                    parts.append(ranked(self.index, self._docids, batch, queries, chosen, k, self.threads, progress))
        return joined(parts)

    def _exhaustive(self, topics: Sequence[Topic], queries: TokenVectors, k: int) -> Run:
        best = BestDocuments(len(queries), k, self._docids)
        for first, scores in score_all(queries, self.index, threads=self.threads):
            best.offer(0, first, scores)
        owners, numbers, scores = best.hits()
        qids = pl.Series([topic.qid for topic in topics], dtype=pl.String)
        return Run.of(qids.gather(owners), self._docids.gather(numbers), scores, tag="late")

    def _stage(self, queries: TokenVectors, candidates: int) -> FirstStage:
        """What is done for these queries and all that follow."""
        if self.chosen is None and isinstance(self.first_stage, str):
            self.chosen = self.first_stage if self.first_stage != "auto" else self._affordable(queries, candidates)
        return self.chosen or "exhaustive"

    def _affordable(self, queries: TokenVectors, candidates: int) -> FirstStage:
        tokens = float(queries.lengths.mean()) if len(queries) else 0.0
        needed = operations(self.index, tokens)
        fits = needed <= AFFORDABLE or self.index.documents <= candidates
        cost = (
            f"{self.index.tokens:,} document tokens x {tokens:.0f} query tokens x {self.index.dimension} dimensions "
            f"are {needed / 1e9:.2g} GFLOP a query, and up to {AFFORDABLE / 1e9:.2g} are affordable"
        )
        if fits:
            say(f"late: every document is scored ({cost})")
            return "exhaustive"
        say(f"late: {candidates:,} candidates by {BEYOND} vectors are scored exactly ({cost})")
        return BEYOND

    def _candidates(self, kind: FirstStage) -> ReducedIndex:
        if self._reduced is None:
            wanted: Kind = "muvera" if kind == "muvera" else "pooled"
            if not is_current(self.index, wanted):
                self._reduce(wanted)
            self._reduced = open_reduced_index(self.index, wanted)
        return self._reduced

    def _reduce(self, kind: Kind) -> None:
        place = reduction_place(self.index, kind)
        # Another search may be at the same: its vectors do as well.
        with alone(place, "reducing into", wait=True):
            if not is_current(self.index, kind):
                say(f"late: making {kind} vectors of {self.index.documents:,} documents, kept in {place.parent}")
                build_reduced_index(self.index, kind, threads=self.threads)

    @functools.cached_property
    def _docids(self) -> pl.Series:
        return docid_column(self.index)


def operations(index: TokenIndex, query_tokens: float) -> float:
    """Floating-point operations that scoring all documents of `index` takes for a query of so many tokens."""
    return 2 * query_tokens * index.tokens * index.dimension
