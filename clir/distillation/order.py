"""Which pairs a student sees, in which order: a function of the data's size, lengths and seed alone.

The same for every loss, so that losses differ in nothing else, and known before training starts, so
that a resumed run goes on exactly where it was.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

# Batches are cut from this many batches' worth of shuffled pairs sorted by length: little padding,
# yet every pair can meet nearly every other over the epochs.
POOL = 8


def training_order(lengths: Sequence[int], batches: int, batch_size: int, seed: int) -> NDArray[np.int64]:
    """(batches, batch_size) positions of pairs: pass after pass over all, shuffled anew, of like length in a batch.

    `lengths` are the pairs' token counts. No pair comes a second time before every other came once,
    and none twice in a batch (the last batch of a pass is filled from the next). An order of more batches
    begins with this one, but for the last pool of a few batches.
    """
    count = len(lengths)
    if count < batch_size:
        raise ValueError(f"{count} pairs do not fill a batch of {batch_size}")
    # A generator each, so that more batches begin with the same ones.
    passes, pools = (np.random.default_rng([seed, number]) for number in range(2))
    sizes = np.asarray(lengths)
    stream = _stream(count, batches * batch_size, batch_size, passes)
    order = []
    start = 0
    while start < len(stream):
        end = _pool_end(start, count, batch_size)
        pool = stream[start:end]
        pool = pool[np.argsort(-sizes[pool], kind="stable")].reshape(-1, batch_size)
        order.append(pool[pools.permutation(len(pool))])
        start = end
    return np.concatenate(order).astype(np.int64)


def _stream(count: int, length: int, batch_size: int, generator: np.random.Generator) -> NDArray[np.int64]:
    """Pass after pass over `count` positions, cut at `length`; a batch across two passes has no position twice."""
    passes = [generator.permutation(count) for _ in range(-(-length // count))]
    for number in range(1, len(passes)):
        begun = number * count % batch_size
        if begun:
            repeated = np.isin(passes[number], passes[number - 1][count - begun :])
            fillers = np.flatnonzero(~repeated)[: batch_size - begun]
            passes[number] = np.concatenate([passes[number][fillers], np.delete(passes[number], fillers)])
    return np.concatenate(passes)[:length].astype(np.int64)


def _pool_end(start: int, count: int, batch_size: int) -> int:
    """Where the pool of batches that begins at `start` ends: a pool is of one pass, or a batch across two."""
    boundary = (start // count + 1) * count
    last_whole = boundary // batch_size * batch_size
    return min(start + POOL * batch_size, last_whole) if last_whole > start else start + batch_size


def with_replay(order: NDArray[np.int64], count: int, share: float, seed: int) -> NDArray[np.int64]:
    """`order` with more columns: of every batch a random `share` (rounded up) again, at position + `count`.

    There the student reads the English side of the pair.
    """
    width = order.shape[1]
    chosen = np.random.default_rng([seed, width]).random(order.shape).argsort(axis=1)[:, : math.ceil(share * width)]
    return np.concatenate([order, np.take_along_axis(order, chosen, axis=1) + count], axis=1)


def deranged(count: int, seed: int) -> NDArray[np.int64]:
    """A permutation of `count` positions that leaves none in its place: who gets whose target in a shuffle control."""
    generator = np.random.default_rng(seed)
    order = generator.permutation(count)
    shifted = np.empty(count, dtype=np.int64)
    shifted[order] = np.roll(order, 1)
    return shifted
