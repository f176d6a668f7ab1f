"""MaxSim between ragged token vectors, and the best documents of every query as scores come in."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from clir.encoding.token_vectors import TokenVectors
from clir.runs.run import ordered

# Below every key of a document.
NOTHING = np.iinfo(np.int64).min
RANKS = 32


def maxsim(queries: TokenVectors, documents: TokenVectors) -> NDArray[np.float32]:
    """(n, m) for n queries and m documents: the sum over q of max over t of <q, t>.

    q goes through the query's tokens, t through the document's (Khattab and Zaharia 2020, arXiv 2004.12832,
    eq. 3). No padding takes part, so that greatest products below 0 count as they are. -inf for a document
    or a query without tokens.
    """
    import torch

    scores = np.full((len(queries), len(documents)), -np.inf, dtype=np.float32)
    asked, held = np.flatnonzero(queries.lengths), np.flatnonzero(documents.lengths)
    if not len(asked) or not len(held):
        return scores
    products = torch.from_numpy(queries.values) @ torch.from_numpy(documents.values).T
    # Texts without tokens take no rows, so the others' beginnings delimit them. Along the contiguous axis numpy's
    # reduceat is ten times as fast as torch's segment_reduce.
    greatest = np.maximum.reduceat(products.numpy(), documents.offsets[held], axis=1)
    sums = np.add.reduceat(greatest, queries.offsets[asked], axis=0, dtype=np.float64)
    scores[np.ix_(asked, held)] = sums
    return scores


class BestDocuments:
    """The best `k` documents of each of `queries` queries, of equal scores the ones with the greater docids.

    A hit is one integer: its score in steps of float32, then the document's place by docid. Integers are
    quick to cut, and never tie.
    """

    def __init__(self, queries: int, k: int, docids: pl.Series) -> None:
        self._order = docids.arg_sort().to_numpy().astype(np.int64)
        self._place = np.empty(len(docids), dtype=np.int64)
        self._place[self._order] = np.arange(len(docids))
        self._keys = np.full((queries, k), NOTHING)

    def offer(self, query: int, document: int, scores: NDArray[np.float32]) -> None:
        """Take in (n, m) scores: n queries from `query` on, m documents from `document` on; -inf is no hit."""
        rows = slice(query, query + len(scores))
        places = self._place[document : document + scores.shape[1]]
        keys = np.where(scores == -np.inf, NOTHING, (ordered(scores) << RANKS) + places)
        k = self._keys.shape[1]
        both = np.concatenate([self._keys[rows], keys], axis=1)
        both.partition(both.shape[1] - k, axis=1)
        self._keys[rows] = both[:, -k:]

    def hits(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
        """All hits as parallel columns, in no order: the number of the query, of the document, and the score."""
        owners, columns = np.nonzero(self._keys != NOTHING)
        keys = self._keys[owners, columns]
        steps = keys >> RANKS
        bits = np.where(steps >= 0, steps, -steps | 0x80000000).astype(np.uint32)
        return owners, self._order[keys & ((1 << RANKS) - 1)], bits.view(np.float32)
