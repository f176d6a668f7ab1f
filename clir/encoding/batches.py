"""Which texts go through a model together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Sized

# On a processor few enough for its caches to hold what is computed: with four times as many, encoding takes a third
# longer; with an eighth, products are too small. Elsewhere what 32 texts of 512 tokens are.
CPU_TOKENS, DEVICE_TOKENS = 2048, 16384


def tokens_together(device: str) -> int:
    """How many tokens of a batch, padding included, make encoding quick on `device`."""
    return CPU_TOKENS if device.startswith("cpu") else DEVICE_TOKENS


def batches_by_length(
    rows: Sequence[Sized], *, texts: int | None = None, tokens: int | None = None
) -> Iterator[list[int]]:
    """Positions of `rows` in batches, longest first, so that little padding is computed.

    A batch has at most so many `texts`, and so many `tokens` with all its rows as long as the longest, but one row at
    least; None: any number.
    """
    order = sorted(range(len(rows)), key=lambda at: -len(rows[at]))
    start = 0
    while start < len(order):
        size = len(order) if texts is None else texts
        if tokens is not None:
            size = min(size, max(1, tokens // max(1, len(rows[order[start]]))))
        yield order[start : start + size]
        start += size
