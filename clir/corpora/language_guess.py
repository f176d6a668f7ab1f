"""A guess which language a side of a pair is in, learned from the bitext itself; it finds sides in a wrong language."""

from __future__ import annotations

import unicodedata
import zlib
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from clir.corpora.bitext import Pair

FOREIGN_IS_ENGLISH = "foreign side is English"
FOREIGN_IS_ANOTHER = "foreign side is another language"
ENGLISH_IS_FOREIGN = "english side is not English"
SWAPPED = "sides are swapped"

MARGIN = 0.3
LETTERS_TO_JUDGE = 20
LETTERS_TO_LEARN = 2_000
"""A language with less text than this is neither judged nor suspected."""
LETTERS_ENOUGH = 2_000_000
"""More text than this of one language is not learned from."""

ORDERS = (1, 2, 3, 4)
BUCKETS_LOG2 = 18
FOLDS = 3
SMOOTHING = 200_000
"""At most so many n-grams of all languages together are mixed into each; a quarter of the median language if less."""
# Pairs in a wrong language blur what is learned; where there are fewer of them than this, a second look finds no more.
SHARE_FOR_A_SECOND_LOOK = 0.005
BLOCK = 1 << 19

Booleans = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]


def wrong_languages(pairs: Sequence[Pair], *, margin: float = MARGIN, letters: int = LETTERS_TO_JUDGE) -> list[str]:
    """For each pair why a side is in a wrong language, or an empty string.

    A side is in a wrong language if it has `letters` letters and English, or another language of
    the bitext, explains it better than its own by more than `margin`, in nats per n-gram. Filipino
    and Tagalog are one language. A language that the bitext has hardly any text of (2,000 letters)
    is neither judged nor suspected.

    Naive Bayes over character 1- to 4-grams (after Cavnar and Trenkle, SDAIR 1994, and Lui and
    Baldwin, ACL 2012), hashed into 2^18 buckets: English is learned from the English sides, each
    language from its foreign sides, each smoothed with n-grams of all together (Dirichlet
    prior; Zhai and Lafferty, SIGIR 2001). A third of the texts is judged by what the other two
    thirds teach, and equal texts are in one third, so that none votes for itself. Where many sides
    are found, the languages are learned again without them, and all is judged once more.
    """
    if not pairs:
        return []
    sides = _Sides(pairs)
    found = sides.judge(np.ones(len(pairs), bool), margin, letters)
    if np.mean(found != "") > SHARE_FOR_A_SECOND_LOOK:
        found = sides.judge(found == "", margin, letters)
    return [str(reason) for reason in found]


class _Sides:
    """The distinct texts of all sides, and for each pair its two texts and its language, as numbers; English is 0."""

    def __init__(self, pairs: Sequence[Pair]) -> None:
        rows: dict[str, int] = {}
        self.english = np.array([rows.setdefault(words(pair.english), len(rows)) for pair in pairs], np.int64)
        self.foreign = np.array([rows.setdefault(words(pair.foreign), len(rows)) for pair in pairs], np.int64)
        numbers = {"en": 0}
        codes = ("fil" if pair.language == "tl" else pair.language for pair in pairs)
        self.own = np.array([numbers.setdefault(code, len(numbers)) for code in codes], np.int64)
        self.languages = len(numbers)
        self.texts = list(rows)
        self.letters = np.array([len(text) - text.count(" ") for text in self.texts], np.int64)

    def judge(self, trusted: Booleans, margin: float, letters: int) -> npt.NDArray[np.str_]:
        """The reason for each pair, by languages that are learned from the trusted pairs alone."""
        said = np.zeros((len(self.texts), self.languages), bool)
        said[self.english[trusted], 0] = True
        said[self.foreign[trusted], self.own[trusted]] = True
        learned = said.T @ self.letters >= LETTERS_TO_LEARN
        scores = np.where(learned, _scores(self.texts, said), -np.inf)

        pairs = np.arange(len(self.own))
        english, foreign = scores[self.english], scores[self.foreign]
        own = foreign[pairs, self.own]
        # Of two languages that nothing is known of neither leads: the difference is no number, and over no margin.
        with np.errstate(invalid="ignore"):
            to_english = foreign[:, 0] - own
            foreign[pairs, self.own] = foreign[:, 0] = -np.inf
            to_another = foreign.max(axis=1) - own
            from_english = english[:, 1:].max(axis=1, initial=-np.inf) - english[:, 0]

        long = self.letters >= letters
        judged = long[self.foreign] & learned[self.own]
        is_english = judged & (to_english > margin) & (to_english >= to_another)
        is_another = judged & (to_another > margin)
        not_english = long[self.english] & learned[0] & (from_english > margin)
        return np.select(
            [not_english & is_english, is_english, is_another, not_english],
            [SWAPPED, FOREIGN_IS_ENGLISH, FOREIGN_IS_ANOTHER, ENGLISH_IS_FOREIGN],
            default="",
        )


def _scores(texts: Sequence[str], said: Booleans) -> Floats:
    """Mean log probability of each text's n-grams, in nats, in each language: (texts, languages).

    `said` (texts, languages): which texts to learn a language from.
    """
    languages = said.shape[1]
    checksums = np.array([zlib.crc32(text.encode()) for text in texts], np.int64)
    lengths = np.array([len(text) for text in texts], np.int64)
    folds = checksums % FOLDS
    counts = np.zeros((FOLDS, languages, 1 << BUCKETS_LOG2), np.int64)
    for language in range(languages):
        # The checksum shuffles: where there is more than enough, some of everything is learned from.
        lessons = np.flatnonzero(said[:, language])
        lessons = lessons[np.argsort(checksums[lessons], kind="stable")]
        lessons = lessons[np.cumsum(lengths[lessons]) <= LETTERS_ENOUGH]
        for fold in range(FOLDS):
            for block in _blocks(lessons[folds[lessons] == fold], lengths):
                for buckets, _ in _ngrams([texts[at] for at in block]):
                    counts[fold, language] += np.bincount(buckets, minlength=1 << BUCKETS_LOG2)

    scores = np.zeros((len(texts), languages), np.float32)
    everything = counts.sum(axis=0)
    for fold in range(FOLDS):
        table = _log_probabilities(everything - counts[fold])
        for block in _blocks(np.flatnonzero(folds == fold), lengths):
            many = np.zeros(len(block), np.int64)
            for buckets, sizes in _ngrams([texts[at] for at in block]):
                there = sizes > 0
                starts = (np.cumsum(sizes) - sizes)[there]
                scores[block[there]] += np.add.reduceat(table[buckets], starts, axis=0)
                many += sizes
            scores[block] /= many[:, None]
    return scores


def _log_probabilities(counts: Integers) -> Floats:
    """Of every bucket in every language, (buckets, languages), from counts (languages, buckets).

    What was seen in no language is as probable in each.
    """
    together = counts.sum(axis=0)
    sizes = counts.sum(axis=1, keepdims=True)
    weight = min(SMOOTHING, 1 + float(np.median(sizes)) / 4)
    prior = weight / max(1, int(together.sum())) * together
    smoothed = (counts + prior) / (sizes + weight)
    with np.errstate(divide="ignore"):
        logs = np.where(together > 0, np.log(smoothed), 0.0)
    return np.ascontiguousarray(logs.T, np.float32)


def _blocks(rows: Integers, lengths: Integers) -> Iterator[Integers]:
    """Rows in order, in groups of not much more than BLOCK characters."""
    if len(rows):
        yield from np.split(rows, np.flatnonzero(np.diff(np.cumsum(lengths[rows]) // BLOCK)) + 1)


def _ngrams(texts: Sequence[str]) -> Iterator[tuple[Integers, Integers]]:
    """For each order: the buckets of the n-grams of all texts, one text after the other, and how many each has."""
    lengths = np.array([len(text) for text in texts], np.int64)
    characters = np.frombuffer("".join(texts).encode("utf-32-le"), np.uint32).astype(np.uint64)
    left = np.repeat(np.cumsum(lengths), lengths) - np.arange(len(characters))
    # Multiplicative hashing (Knuth); unsigned integers wrap around.
    hashes = np.zeros(len(characters), np.uint64)
    for order in ORDERS:
        places = max(0, len(characters) - order + 1)
        hashes = hashes[:places] * np.uint64(0x9E3779B97F4A7C15) + characters[order - 1 :] + np.uint64(order)
        whole = left[:places] >= order
        buckets = (hashes[whole] * np.uint64(0xD6E8FEB86659FD93)) >> np.uint64(64 - BUCKETS_LOG2)
        yield buckets.astype(np.int64), np.maximum(0, lengths - order + 1)


class _Letters(dict[int, str]):
    """A translation table that keeps letters and marks and makes spaces of the rest, filled as needed."""

    def __missing__(self, code: int) -> str:
        self[code] = chr(code) if unicodedata.category(chr(code))[0] in "LM" else " "
        return self[code]


_LETTERS = _Letters()


def words(text: str) -> str:
    """The words of a text: letters and marks in lower case, a space before and after each word."""
    return f" {' '.join(text.lower().translate(_LETTERS).split())} "
