"""Test sentences, indexed so that training text can be searched for them and for near copies of them."""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from clir.corpora.bitext import Pair
from clir.corpora.text import normalised

SHINGLE = 5
"""Characters in a shingle."""
CONTAINED_SHINGLES = 20
"""Test sentences with fewer shingles than this are too common as parts of others to count as contained."""

Integers = npt.NDArray[np.int64]


class TestTexts:
    """Sentences of a test set, and the question whether a pair has one of them.

    A side is in the test if it equals a test text, or a sentence of one, once normalised; nearly
    if the two share `jaccard` of their character 5-grams, or if `containment` of a test sentence's
    5-grams (20 or more) are in the side.

    Candidates come from a prefix filter (Chaudhuri, Ganti and Kaushik, ICDE 2006; Xiao et al., WWW
    2008): a side that must share m of a sentence's n shingles shares at least k of any n - m + k of
    them, so that only the rarest ones of a sentence are indexed. Each candidate is then compared in
    full: the filter changes the time, never the answer.
    """

    # pytest would otherwise take the class for a test.
    __test__ = False

    def __init__(self, texts: Iterable[str], *, jaccard: float = 0.7, containment: float = 0.9) -> None:
        self.jaccard, self.containment = jaccard, containment
        wholes: set[str] = set()
        parts: set[str] = set()
        for text in texts:
            wholes.add(normalised(text))
            parts.update(map(normalised, sentences(text)))
        self._exact = frozenset(key for key in wholes | parts if key)
        self._numbers: dict[str, int] = {}
        # A near copy of a text of several sentences has near copies of its sentences.
        self._index([key for key in sorted(parts) if len(key) >= SHINGLE])

    def __len__(self) -> int:
        return len(self._exact)

    def leak(self, pair: Pair) -> str:
        """Why the pair must not be trained on, or an empty string."""
        sides = (("english", normalised(pair.english)), ("foreign", normalised(pair.foreign)))
        for name, side in sides:
            if side in self._exact:
                return f"{name} is in the test"
        for name, side in sides:
            if self.nearly(side):
                return f"{name} is nearly in the test"
        return ""

    def nearly(self, side: str) -> bool:
        """Whether a normalised text is nearly one of the test sentences."""
        grams = shingles(side)
        known = [number for gram in grams if (number := self._numbers.get(gram)) is not None]
        if not known:
            return False
        lists = [self._postings[self._posting_starts[at] : self._posting_starts[at + 1]] for at in known]
        hits = np.bincount(np.concatenate(lists))
        candidates = np.flatnonzero(hits >= self._needed[: len(hits)])
        candidates = candidates[self._comparable(len(grams), self._sizes[candidates])]
        numbers = np.array(known, np.int64)
        return any(self._alike(len(grams), numbers, int(at)) for at in candidates)

    def _comparable(self, size: int, tests: Integers) -> npt.NDArray[np.bool_]:
        """Whether sets of these sizes can be alike at all."""
        alike = (tests >= self.jaccard * size - 1e-9) & (size >= self.jaccard * tests - 1e-9)
        return alike | ((tests >= CONTAINED_SHINGLES) & (size >= self.containment * tests - 1e-9))

    def _alike(self, size: int, numbers: Integers, sentence: int) -> bool:
        test = self._grams[self._gram_starts[sentence] : self._gram_starts[sentence + 1]]
        shared = int(np.isin(numbers, test, assume_unique=True).sum())
        if shared >= self.jaccard * (size + len(test) - shared):
            return True
        return len(test) >= CONTAINED_SHINGLES and shared >= self.containment * len(test)

    def _index(self, keys: list[str]) -> None:
        number = self._numbers
        rows = [[number.setdefault(gram, len(number)) for gram in shingles(key)] for key in keys]
        self._sizes = sizes = np.array([len(row) for row in rows], np.int64)
        self._grams = np.array([gram for row in rows for gram in row], np.int64)
        self._gram_starts = _starts(sizes)

        # The nudge keeps rounding from asking for one shingle too many, which could miss a sentence.
        must_share = np.maximum(1, np.ceil(min(self.jaccard, self.containment) * sizes - 1e-9)).astype(np.int64)
        self._needed = np.maximum(1, must_share // 4)
        indexed = np.minimum(sizes, sizes - must_share + self._needed)

        sentence = np.repeat(np.arange(len(rows)), sizes)
        frequency = np.bincount(self._grams, minlength=len(number))
        rarest_first = np.lexsort((self._grams, frequency[self._grams], sentence))
        rank = np.arange(len(rarest_first)) - self._gram_starts[sentence]
        entries = rarest_first[rank < indexed[sentence]]
        by_gram = entries[np.argsort(self._grams[entries], kind="stable")]
        self._postings = sentence[by_gram]
        self._posting_starts = _starts(np.bincount(self._grams[entries], minlength=len(number)))


def _starts(sizes: Integers) -> Integers:
    return np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)


def shingles(text: str) -> set[str]:
    """The character 5-grams of a normalised text; none of a shorter one."""
    return {text[at : at + SHINGLE] for at in range(len(text) - SHINGLE + 1)}


_END = re.compile(r"(?<=[.!?।؟።…])[\"'”’»)\]]*\s+|\n+")


def sentences(text: str) -> list[str]:
    """The sentences of a text, split at line ends and after closing punctuation."""
    return _END.split(text)
