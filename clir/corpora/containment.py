"""Which texts stand word for word inside others, by an index of fingerprints that leaves few to look through.

Winnowing (Schleimer, Wilkerson and Aiken, SIGMOD 2003): of every WINDOW hashes of neighbouring GRAM characters the
least is a fingerprint. Two texts with SHORTEST characters in common share one; fewer than a sixth of all are kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

GRAM, WINDOW = 12, 13
SHORTEST = GRAM + WINDOW - 1
"""Characters of the shortest text that is looked for: shorter ones are too common as parts of others."""
BLOCK = 1 << 20
"""Characters that are hashed at a time."""

Integers = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]


class Containers:
    """Texts, and the question which others they contain."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = texts
        found = [(start, *_fingerprints(texts[start:stop])) for start, stop in _blocks(texts)]
        prints = np.concatenate([np.empty(0, np.uint64), *(prints for _, prints, _ in found)])
        owners = np.concatenate([np.empty(0, np.int64), *(start + owner for start, _, owner in found)])
        order = np.argsort(prints, kind="stable")
        self._prints = prints[order]
        self._owners = owners[order].astype(np.int32)

    def hold(self, texts: Sequence[str]) -> npt.NDArray[np.bool_]:
        """For each text whether it has SHORTEST characters and one of the containers has it inside, or is it."""
        held = np.zeros(len(texts), bool)
        prints, owners = _fingerprints(texts)
        first, last = (np.searchsorted(self._prints, prints, side) for side in ("left", "right"))
        # The rarest fingerprint of each text names the fewest containers.
        order = np.lexsort((last - first, owners))
        rarest = order[np.unique(owners[order], return_index=True)[1]]
        for at in rarest[last[rarest] > first[rarest]]:
            text = texts[owners[at]]
            held[owners[at]] = any(text in self._texts[one] for one in self._owners[first[at] : last[at]])
        return held


def _blocks(texts: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Begin and end of runs of texts with about BLOCK characters."""
    start = characters = 0
    for stop, text in enumerate(texts, 1):
        characters += len(text)
        if characters >= BLOCK or stop == len(texts):
            yield start, stop
            start, characters = stop, 0


def _fingerprints(texts: Sequence[str]) -> tuple[Hashes, Integers]:
    """The distinct fingerprints of every text, text by text, and the text of each."""
    lengths = np.array([len(text) for text in texts], np.int64)
    hashes = grams("".join(texts), GRAM)
    windows = max(0, len(hashes) - WINDOW + 1)
    least = np.full(windows, np.iinfo(np.uint64).max)
    for at in range(WINDOW):
        np.minimum(least, hashes[at : at + windows], out=least)
    left = np.repeat(np.cumsum(lengths), lengths) - np.arange(int(lengths.sum()))
    whole = left[:windows] >= SHORTEST
    least, owner = least[whole], np.repeat(np.arange(len(texts)), lengths)[:windows][whole]
    # A fingerprint mostly is the least of several windows in a row.
    new = np.ones(len(least), bool)
    new[1:] = (least[1:] != least[:-1]) | (owner[1:] != owner[:-1])
    return least[new], owner[new]


def grams(text: str, characters: int) -> Hashes:
    """The 64-bit hashes of every so many neighbouring characters, of which there may be none."""
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.uint64)
    places = max(0, len(codes) - characters + 1)
    # Multiplicative hashing (Knuth); unsigned integers wrap around.
    hashes = np.zeros(places, np.uint64)
    for at in range(characters):
        hashes = hashes * np.uint64(0x9E3779B97F4A7C15) + codes[at : at + places]
        hashes ^= hashes >> np.uint64(29)
    return hashes
