"""Which pairs a student sees, in which order: a function of the data's size, lengths and seed alone.

The same for every loss, so that losses differ in nothing else, and known before training starts, so
that a resumed run goes on exactly where it was.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

# Batches are cut from this many batches' worth of shuffled pairs sorted by length: little padding,
# yet every pair can meet nearly every other over the epochs.
POOL = 8


def training_order(lengths: Sequence[int], steps: int, batch_size: int, seed: int) -> NDArray[np.int64]:
    """(steps, batch_size) positions of pairs: pass after pass over all, shuffled anew, of like length in a batch.

    `lengths` are the pairs' token counts. No pair comes a second time before every other came once
    (the last batch of a pass is filled from the next).
    """
    count = len(lengths)
    if count < batch_size:
        raise ValueError(f"{count} pairs do not fill a batch of {batch_size}")
    generator = np.random.default_rng(seed)
    sizes = np.asarray(lengths)
    passes = -(-steps * batch_size // count)
    stream = np.concatenate([generator.permutation(count) for _ in range(passes)])[: steps * batch_size]
    batches = []
    for start in range(0, len(stream), POOL * batch_size):
        pool = stream[start : start + POOL * batch_size]
        pool = pool[np.argsort(-sizes[pool], kind="stable")].reshape(-1, batch_size)
        batches.append(pool[generator.permutation(len(pool))])
    return np.concatenate(batches).astype(np.int64)


def deranged(count: int, seed: int) -> NDArray[np.int64]:
    """A permutation of `count` positions that leaves none in its place: who gets whose target in a shuffle control."""
    generator = np.random.default_rng(seed)
    order = generator.permutation(count)
    shifted = np.empty(count, dtype=np.int64)
    shifted[order] = np.roll(order, 1)
    return shifted
