"""FAISS's factory strings, read before FAISS sees them: what ends its process, or never ends, is refused here."""

from __future__ import annotations

import re

from clir.support.errors import UsageError

# A graph needs links to lead anywhere: with fewer FAISS aborts, or searches for ever.
FEWEST_LINKS = {"HNSW": 2, "NSG": 4}
MOST_LINKS = 1024
# More centroids than 2 to the power of this want more memory and training vectors than there are.
MOST_BITS = 16
# Of anything: cells, dimensions, codes.
GREATEST = 1 << 24
_LINKS = re.compile(r"(HNSW|NSG)(\d+)")
_BITS = re.compile(r"(?:PQ|RQ|LSQ)[\dx]*x(\d+)")


def check_factory_string(factory: str) -> None:
    """Raise UsageError for a string that FAISS would not survive, or that makes nothing of use here.

    Whether FAISS knows what the rest says, it tells itself.
    """
    fault = _fault(factory)
    if fault is not None:
        raise UsageError(f"no index can be made by the factory string {factory!r}: {fault}")


def _fault(factory: str) -> str | None:
    if not factory.strip():
        return "it is empty (Flat, HNSW32, IVF1024,SQ8, ...)"
    if "IDMap" in factory:
        return "a dense index numbers its documents itself, leave out IDMap"
    numbers = [int(number) for number in re.findall(r"\d+", factory)]
    if 0 in numbers:
        return "a number in it is 0"
    if max(numbers, default=0) > GREATEST:
        return f"a number in it is greater than {GREATEST:,}"
    for kind, links in _LINKS.findall(factory):
        if not FEWEST_LINKS[kind] <= int(links) <= MOST_LINKS:
            return f"{kind} needs from {FEWEST_LINKS[kind]} to {MOST_LINKS:,} links a vector, not {links}"
    for bits in _BITS.findall(factory):
        if int(bits) > MOST_BITS:
            return f"codes have up to {MOST_BITS} bits, not {bits}"
    return None
