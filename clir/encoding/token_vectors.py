"""Token vectors: what late interaction compares, one vector for every content token of a text."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray


@dataclasses.dataclass(frozen=True, eq=False)
class TokenVectors:
    """The token vectors of `n` texts, one after another and without padding.

    values: (tokens, d) float32; offsets: (n + 1,) int64, text i has the rows from offsets[i] to
    offsets[i + 1], which may be none.
    """

    values: NDArray[np.float32]
    offsets: NDArray[np.int64]

    @classmethod
    def empty(cls, lengths: Sequence[int] | NDArray[np.int64], dimension: int) -> TokenVectors:
        """Room for texts of so many tokens, to be filled through `vectors[i][:] = ...`."""
        offsets = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]).astype(np.int64)
        return cls(np.empty((int(offsets[-1]), dimension), dtype=np.float32), offsets)

    @classmethod
    def of(cls, texts: Sequence[NDArray[np.float32]], dimension: int) -> TokenVectors:
        """The (t, d) arrays of several texts, t differing among them, as one."""
        vectors = cls.empty([len(text) for text in texts], dimension)
        for at, text in enumerate(texts):
            vectors[at][:] = text
        return vectors

    @property
    def dimension(self) -> int:
        """Width d of the vectors."""
        return int(self.values.shape[1])

    @property
    def lengths(self) -> NDArray[np.int64]:
        """(n,) tokens of each text."""
        return np.diff(self.offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, at: int) -> NDArray[np.float32]:
        """The (t, d) vectors of a text: a view."""
        if not 0 <= at < len(self):
            raise IndexError(at)
        return self.values[self.offsets[at] : self.offsets[at + 1]]

    def part(self, start: int, stop: int) -> TokenVectors:
        """The texts from `start` to `stop`: a view."""
        offsets = self.offsets[start : stop + 1]
        return TokenVectors(self.values[offsets[0] : offsets[-1]], offsets - offsets[0])


def pieces(offsets: NDArray[np.int64], tokens: int) -> Iterator[tuple[int, int]]:
    """Begin and end of consecutive runs of texts with at most `tokens` tokens together, and of one text at least."""
    start, texts = 0, len(offsets) - 1
    while start < texts:
        stop = int(np.searchsorted(offsets, offsets[start] + tokens, side="right")) - 1
        stop = min(max(stop, start + 1), texts)
        yield start, stop
        start = stop
