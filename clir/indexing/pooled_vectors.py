"""The pooled vector of a document, moved to where its products come nearest to MaxSim."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clir.encoding.token_vectors import TokenVectors
from clir.indexing.tokens import TokenIndex

Floats = NDArray[np.float32]
ANCHORS = 1024
# The ridge, as a part of the anchors' total squared distance from their mean.
RIDGE = 1 / 64
DOCUMENTS_AT_ONCE = 64


@dataclasses.dataclass(frozen=True)
class PooledVectors:
    """One vector a document, whose products with query tokens are nearest to their greatest with its own tokens.

    What a query token x adds to MaxSim, max over t of <x, t>, is taken as linear in x: <x, w> + b. First guess for
    w is the mean of the document's token vectors at unit length; what it leaves is fitted by ridge regression
    over the (a, d) `anchors`, tokens of the collection, whose greatest products with the document are computed.
    (Least squares from query tokens to a document's greatest products is LEMUR's reduction, Jääsaari et al. 2026,
    arXiv 2601.21853, there in the features of a neural network; the guess that the ridge pulls to is ours.)

    A document is w and b, a query the sum of its vectors and their number; a text without tokens is zeros.
    """

    dimension: int
    anchors: Floats = dataclasses.field(repr=False, compare=False)

    name = "pooled"

    @property
    def width(self) -> int:
        """Dimensions of a vector."""
        return self.dimension + 1

    @property
    def parameters(self) -> dict[str, Any]:
        """What a manifest says of it."""
        return {"anchors": len(self.anchors), "ridge": RIDGE}

    def queries(self, vectors: TokenVectors) -> Floats:
        """(n, d + 1) vectors of n queries."""
        pooled = np.zeros((len(vectors), self.width), dtype=np.float32)
        held = np.flatnonzero(vectors.lengths)
        if len(held):
            pooled[held, :-1] = np.add.reduceat(vectors.values, vectors.offsets[held], axis=0)
        pooled[:, -1] = vectors.lengths
        return pooled

    def documents(self, vectors: TokenVectors) -> Floats:
        """(n, d + 1) vectors of n documents; without anchors, of means at unit length and 0."""
        pooled = np.zeros((len(vectors), self.width), dtype=np.float32)
        held = np.flatnonzero(vectors.lengths)
        if not len(held):
            return pooled
        begins = vectors.offsets[held]
        sums = np.add.reduceat(vectors.values, begins, axis=0)
        lengths = np.linalg.norm(sums, axis=1, keepdims=True)
        guess = np.divide(sums, lengths, out=np.zeros_like(sums), where=lengths > 0)
        pooled[held, :-1] = guess
        if len(self.anchors):
            import torch

            products = (torch.from_numpy(self.anchors) @ torch.from_numpy(vectors.values).T).numpy()
            left = np.maximum.reduceat(products, begins, axis=1) - self.anchors @ guess.T
            pooled[held] += (self._regression @ left).T
        return pooled

    @functools.cached_property
    def _regression(self) -> Floats:
        """(d + 1, a): from what is left at each anchor to what w and b lack."""
        anchors = self.anchors.astype(np.float64)
        mean = anchors.mean(axis=0)
        centred = anchors - mean
        # With centred anchors the constant is fitted apart, and is not drawn to 0.
        squares = centred.T @ centred
        squares[np.diag_indices_from(squares)] += RIDGE * np.trace(squares) + 1e-6
        slopes = np.linalg.solve(squares, centred.T)
        constant = 1 / len(anchors) - mean @ slopes
        return np.concatenate([slopes, constant[None]]).astype(np.float32)


def sample_tokens(index: TokenIndex, count: int, seed: int = 0) -> Floats:
    """(count, d) token vectors of the index, each as likely as any other; all of them if there are no more."""
    if count < index.tokens:
        rows = np.sort(np.random.default_rng(seed).choice(index.tokens, count, replace=False, shuffle=False))
    else:
        rows = np.arange(index.tokens)
    owners = np.searchsorted(index.offsets, rows, side="right") - 1
    sample = np.empty((len(rows), index.dimension), dtype=np.float32)
    for start in range(0, len(rows), DOCUMENTS_AT_ONCE):
        part = slice(start, start + DOCUMENTS_AT_ONCE)
        documents, places = np.unique(owners[part], return_inverse=True)
        held = index.take(documents)
        sample[part] = held.values[held.offsets[places] + rows[part] - index.offsets[owners[part]]]
    return sample
