"""Test sentences, indexed so that training text can be searched for them and for near copies of them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from clir.corpora.bitext import Pair
from clir.corpora.containment import Containers, grams
from clir.corpora.text import normalised

IN_TEST = "is in the test"
NEARLY_IN_TEST = "is nearly in the test"

SHINGLE = 5
"""Characters in a shingle."""
CONTAINED_SHINGLES = 20
"""Test sentences with fewer shingles than this are too common as parts of others to count as contained."""
WHOLE_CHARACTERS = 500
"""Texts up to this length are searched for near copies as a whole too."""
BATCH = 2_000
"""Sides that are looked for in one step."""

Integers = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]
Booleans = npt.NDArray[np.bool_]


class TestTexts:
    """Sentences of a test set, and the question whether pairs have one of them.

    A side is in the test if it equals a test text, or a sentence of one, once normalised; nearly
    if it, or a sentence of it that has 20 shingles, shares `jaccard` of the character 5-grams of
    both with a test sentence (or a short test text), or has `containment` of a test sentence's
    5-grams (20 or more); or if it, with at least 24 characters, stands inside a test text.

    Candidates come from a prefix filter (Chaudhuri, Ganti and Kaushik, ICDE 2006; Xiao et al., WWW
    2008): a side that must share m of a sentence's n shingles shares at least k of any n - m + k of
    them, so that only the rarest ones of a sentence are indexed. Each candidate is then compared in
    full: the filter changes the time, never the answer. Shingles are 64-bit hashes.
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
        # Where sentences end is a guess, and a headline has no end: what is in a text is looked for without one.
        self._containers = Containers(sorted(wholes))
        # A near copy of a long text has near copies of its sentences; those of a short one may be mere scraps.
        near = parts | {key for key in wholes if len(key) <= WHOLE_CHARACTERS}
        self._index([key for key in sorted(near) if len(key) >= SHINGLE])

    def __len__(self) -> int:
        return len(self._exact)

    def leak(self, pair: Pair) -> str:
        """Why the pair must not be trained on, or an empty string."""
        return self.leaks([pair])[0]

    def leaks(self, pairs: Sequence[Pair]) -> list[str]:
        """For each pair why it must not be trained on, or an empty string."""
        return [reason for at in range(0, len(pairs), BATCH) for reason in self._leaks(pairs[at : at + BATCH])]

    def nearly(self, side: str) -> bool:
        """Whether a normalised text is nearly one of the test sentences."""
        return bool(self._nearly([side])[0])

    def _leaks(self, pairs: Sequence[Pair]) -> list[str]:
        found = [""] * len(pairs)
        for name, sides in (
            ("english", [pair.english for pair in pairs]),
            ("foreign", [pair.foreign for pair in pairs]),
        ):
            keys = [normalised(side) for side in sides]
            rows = list(range(len(keys)))
            for row, side in enumerate(sides):
                own = [normalised(sentence) for sentence in sentences(side)]
                if len(own) > 1:
                    longer = [key for key in own if len(key) >= CONTAINED_SHINGLES + SHINGLE - 1]
                    keys += longer
                    rows += [row] * len(longer)
            near = {row for row, alike in zip(rows, self._nearly(keys), strict=True) if alike}
            near.update(np.flatnonzero(self._containers.hold(keys[: len(pairs)])).tolist())
            for row in range(len(pairs)):
                if keys[row] in self._exact and not found[row].endswith(IN_TEST):
                    found[row] = f"{name} {IN_TEST}"
                elif row in near and not found[row]:
                    found[row] = f"{name} {NEARLY_IN_TEST}"
        return found

    def _nearly(self, sides: Sequence[str]) -> Booleans:
        """For each normalised text, whether it is nearly one of the test sentences."""
        near = np.zeros(len(sides), bool)
        hashes, owner, sizes = _shingle_hashes(sides)
        if not len(self._vocabulary) or not len(hashes):
            return near
        at = np.minimum(np.searchsorted(self._vocabulary, hashes), len(self._vocabulary) - 1)
        known = self._vocabulary[at] == hashes
        grams, owner = at[known], owner[known]

        # Each known shingle of a side meets the sentences that are indexed under it.
        many = self._posting_starts[grams + 1] - self._posting_starts[grams]
        within = np.arange(int(many.sum())) - np.repeat(np.cumsum(many) - many, many)
        side, sentence = np.repeat(owner, many), self._postings[np.repeat(self._posting_starts[grams], many) + within]
        fits = self._comparable(sizes[side], self._sizes[sentence])
        meetings, hits = np.unique(side[fits] * len(self._sizes) + sentence[fits], return_counts=True)
        side, sentence = np.divmod(meetings, len(self._sizes))
        enough = hits >= self._needed[sentence]

        starts = _starts(np.bincount(owner, minlength=len(sides)))
        for row, test in zip(side[enough].tolist(), sentence[enough].tolist(), strict=True):
            if not near[row]:
                near[row] = self._alike(int(sizes[row]), grams[starts[row] : starts[row + 1]], test)
        return near

    def _comparable(self, sizes: Integers, tests: Integers) -> Booleans:
        """Whether sets of these sizes can be alike at all."""
        alike = (tests >= self.jaccard * sizes - 1e-9) & (sizes >= self.jaccard * tests - 1e-9)
        return alike | ((tests >= CONTAINED_SHINGLES) & (sizes >= self.containment * tests - 1e-9))

    def _alike(self, size: int, grams: Integers, sentence: int) -> bool:
        test = self._grams[self._gram_starts[sentence] : self._gram_starts[sentence + 1]]
        shared = int(np.isin(grams, test, assume_unique=True).sum())
        if shared >= self.jaccard * (size + len(test) - shared):
            return True
        return len(test) >= CONTAINED_SHINGLES and shared >= self.containment * len(test)

    def _index(self, keys: list[str]) -> None:
        hashes, sentence, sizes = _shingle_hashes(keys)
        self._vocabulary, grams = np.unique(hashes, return_inverse=True)
        self._grams, self._sizes = grams.astype(np.int64), sizes
        self._gram_starts = _starts(sizes)

        # The nudge keeps rounding from asking for one shingle too many, which could miss a sentence.
        must_share = np.maximum(1, np.ceil(min(self.jaccard, self.containment) * sizes - 1e-9)).astype(np.int64)
        self._needed = np.maximum(1, must_share // 4)
        indexed = np.minimum(sizes, sizes - must_share + self._needed)

        frequency = np.bincount(self._grams, minlength=len(self._vocabulary))
        rarest_first = np.lexsort((self._grams, frequency[self._grams], sentence))
        rank = np.arange(len(rarest_first)) - self._gram_starts[sentence]
        entries = rarest_first[rank < indexed[sentence]]
        by_gram = entries[np.argsort(self._grams[entries], kind="stable")]
        self._postings = sentence[by_gram]
        self._posting_starts = _starts(np.bincount(self._grams[entries], minlength=len(self._vocabulary)))


def _starts(sizes: Integers) -> Integers:
    return np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)


def shingles(text: str) -> set[str]:
    """The character 5-grams of a normalised text; none of a shorter one."""
    return {text[at : at + SHINGLE] for at in range(len(text) - SHINGLE + 1)}


def _shingle_hashes(texts: Sequence[str]) -> tuple[Hashes, Integers, Integers]:
    """The distinct shingles of every text, text by text, as hashes; the text of each; how many each text has."""
    lengths = np.array([len(text) for text in texts], np.int64)
    hashes = grams("".join(texts), SHINGLE)
    places = len(hashes)
    left = np.repeat(np.cumsum(lengths), lengths) - np.arange(int(lengths.sum()))
    whole = left[:places] >= SHINGLE
    hashes, owner = hashes[whole], np.repeat(np.arange(len(texts)), lengths)[:places][whole]
    order = np.lexsort((hashes, owner))
    hashes, owner = hashes[order], owner[order]
    first = np.ones(len(hashes), bool)
    first[1:] = (hashes[1:] != hashes[:-1]) | (owner[1:] != owner[:-1])
    return hashes[first], owner[first], np.bincount(owner[first], minlength=len(texts))


# Full stops of scripts without spaces end a sentence by themselves.
_END = re.compile(r"(?<=[.!?؟…])[\"'”’»)\]]*\s+|(?<=[。！？｡।॥۔။།։።])[\"'”’»)\]」』）】]*\s*|\n+")


def sentences(text: str) -> list[str]:
    """The sentences of a text, split at line ends and after closing punctuation."""
    return _END.split(text)
