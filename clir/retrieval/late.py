"""Late interaction: every topic against every document of a token index, by exact MaxSim."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from clir.corpora.collection import Topic
from clir.encoding.encoder import Encoder, token_encoder
from clir.encoding.token_vectors import TokenVectors, pieces
from clir.indexing.encoded import check_encoder
from clir.indexing.tokens import TokenIndex, open_token_index
from clir.retrieval.maxsim import BestDocuments, maxsim
from clir.runs.run import Run
from clir.support.errors import UsageError
from clir.support.progress import Progress

# Vectors of documents that are in memory at a time, in float32.
BLOCK_TOKENS = 4096
# Tokens of queries in one matrix product with a block.
GROUP_TOKENS = 512
# Topics that go through the index together, and hits that are kept for them.
TOPICS_AT_ONCE = 256
HITS_AT_ONCE = 1_000_000


class LateSearcher:
    """Searches a token index by MaxSim over a whole collection: no document is left out beforehand.

    The score is the sum over the query's content tokens of their greatest inner product with any content
    token of the document (Khattab and Zaharia 2020, arXiv 2004.12832, eq. 3). A document without tokens is
    never found, a query without tokens finds nothing.

    Memory, beside docids and offsets: BLOCK_TOKENS * (d + GROUP_TOKENS) floats, 15 MB for d = 384 (a document
    or a query of more tokens counts in place of either); the token vectors of TOPICS_AT_ONCE topics; and
    HITS_AT_ONCE hits. The index itself is memory-mapped. `threads` is torch's (None: as many as it takes).
    Raises ClirError for an index that another model made, UsageError for an encoder without token vectors.
    """

    def __init__(self, index: TokenIndex | str | Path, encoder: Encoder, *, threads: int | None = None) -> None:
        if threads is not None and threads < 1:
            raise UsageError(f"threads must be at least 1, not {threads}")
        self.encoder, self.threads = token_encoder(encoder), threads
        self.index = index if isinstance(index, TokenIndex) else open_token_index(index)
        check_encoder(self.index, encoder)

    def search(self, topics: Sequence[Topic], k: int) -> Run:
        """The best `k` documents of every topic, as a Run tagged `late`; equal scores by docid, descending."""
        if k < 1:
            raise UsageError(f"hits must be at least 1, not {k}")
        docids = pl.Series(self.index.docids, dtype=pl.String)
        k = min(k, len(docids))
        size = min(TOPICS_AT_ONCE, max(1, HITS_AT_ONCE // k))
        parts = []
        with _torch_threads(self.threads):
            for start in range(0, len(topics), size):
                batch = topics[start : start + size]
                queries = self.encoder.encode_query_tokens([topic.text for topic in batch])
                owners, numbers, scores = self._best(queries, docids, k)
                qids = pl.Series([topic.qid for topic in batch], dtype=pl.String)
                parts.append((qids.gather(owners), docids.gather(numbers), scores))
        if not parts:
            return Run.of([], [], [], tag="late")
        columns = list(zip(*parts, strict=True))
        return Run.of(pl.concat(columns[0]), pl.concat(columns[1]), np.concatenate(columns[2]), tag="late")

    def _best(
        self, queries: TokenVectors, docids: pl.Series, k: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
        """Hits as parallel columns: the number of the query, the number of the document, the score."""
        best = BestDocuments(len(queries), k, docids)
        with Progress("late search", self.index.documents, "documents") as progress:
            for first, block in self.index.blocks(BLOCK_TOKENS):
                for begin, end in pieces(queries.offsets, GROUP_TOKENS):
                    best.offer(begin, first, maxsim(queries.part(begin, end), block))
                progress.advance(len(block))
        return best.hits()


@contextlib.contextmanager
def _torch_threads(threads: int | None) -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(threads or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
