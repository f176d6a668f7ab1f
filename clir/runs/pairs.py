"""Tables of (topic, document) pairs, which runs and qrels both are: ids checked, no pair twice, topics in pieces."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from clir.support.errors import ClirError, quoted

Integers = npt.NDArray[np.int64]
# Ties of more hits than this are sorted, not settled among neighbours.
FEW = 8
# Lines that are looked at together: what is computed from them stays in a processor's cache.
BLOCK = 1 << 16
# White space and control characters.
BLANK_IN_ID = r"[\s\x00-\x1f]"


def checked_ids(values: Sequence[str] | pl.Series, name: str) -> pl.Series:
    """The ids as a String column called `name`; ClirError on an empty one or one with white space.

    A control character counts as white space.
    """
    try:
        series = pl.Series(name, values, dtype=pl.String)
    except UnicodeEncodeError as error:
        raise ClirError(
            f"{name} {quoted(error.object)}: an id with a lone surrogate cannot be written as UTF-8"
        ) from error
    bad = series.is_null() | (series == "") | series.str.contains(BLANK_IN_ID)
    if bad.any():
        row = bad.arg_max() or 0
        raise ClirError(
            f"{name} {quoted(series[row])} (line {row + 1}): an id must not be empty or have white space in it"
        )
    return series


def table(columns: Sequence[pl.Series], what: str) -> pl.DataFrame:
    """The columns side by side; ClirError if their lengths differ."""
    if len({len(column) for column in columns}) > 1:
        lengths = ", ".join(f"{column.name} {len(column)}" for column in columns)
        raise ClirError(f"the columns of {what} differ in length: {lengths}")
    return pl.DataFrame(columns)


def topic_numbers(qids: pl.Series) -> Integers:
    """For every line the number of its topic, by first appearance."""
    pieces = qids.rle().struct
    topics = pieces.field("value").unique(maintain_order=True)
    numbers = pieces.field("value").cast(pl.Enum(topics)).to_physical().to_numpy().astype(np.int64)
    return np.repeat(numbers, pieces.field("len").to_numpy())


def refuse_repeated(frame: pl.DataFrame, what: str) -> None:
    """Raise ClirError if a document stands twice under one topic; every topic of `frame` is in one piece."""
    if found := repeated(frame):
        raise ClirError(f"topic {found[0]}: document {found[1]} more than once in {what}")


def repeated(frame: pl.DataFrame) -> tuple[str, str] | None:
    """A topic and a document of it that stand together twice, or None; every topic of `frame` is in one piece."""
    lengths = frame["qid"].rle().struct.field("len").to_numpy().astype(np.int64)
    stops = np.cumsum(lengths)
    for topics in blocks(lengths):
        start, stop = stops[topics.start] - lengths[topics.start], stops[topics.stop - 1]
        numbers = np.repeat(np.arange(len(topics)), lengths[topics.start : topics.stop])
        keys = topic_keys(numbers, frame["docid"][start:stop])
        keys.sort()
        # Where keys are all different, so are the pairs.
        if (keys[1:] == keys[:-1]).any():
            again = frame[start:stop].select("qid", "docid").filter(pl.struct("qid", "docid").is_duplicated())
            if again.height:
                qid, docid = again.row(0)
                return qid, docid
    return None


def blocks(lengths: Integers) -> Iterator[range]:
    """Ranges of consecutive topics, of `lengths` lines each, that have up to BLOCK lines together or are one topic."""
    stops = np.cumsum(lengths)
    start, before = 0, 0
    while start < len(stops):
        stop = max(start + 1, int(np.searchsorted(stops, before + BLOCK, side="right")))
        yield range(start, stop)
        start, before = stop, int(stops[stop - 1])


def topic_keys(topics: Integers, docids: pl.Series) -> npt.NDArray[np.uint64]:
    """For each line a number with its topic's in the highest bits and, of its document's hash, the highest below.

    Lines of one topic and document have one key; others have different ones, but for one pair in a great many.
    """
    bits = np.uint64(int(topics.max(initial=0)).bit_length())
    return (topics.astype(np.uint64) << (np.uint64(63) - bits)) | (docids.hash().to_numpy() >> (bits + np.uint64(1)))


def picked(series: pl.Series, rows: Integers) -> pl.Series:
    """The elements in `rows`, in that order; a `series` of one chunk gives them quickly."""
    # Series.gather builds and runs a query, which takes longer than some thousand elements do.
    return series[rows.astype(np.uint32)]


def falling_docids(order: Integers, tied: npt.NDArray[np.bool_], docids: pl.Series) -> Integers:
    """`order`, rows of `docids`, with rows that are tied ordered by docid, descending.

    `tied` says of each place in `order` whether it is tied with the place before.
    """
    starts, later = np.flatnonzero(~tied), np.flatnonzero(tied)
    if not len(later):
        return order
    order = order.copy()
    sizes = np.diff(np.append(starts, len(order)))
    if sizes.max() > FEW:
        large = np.repeat(sizes > FEW, sizes)
        rows = order[large]
        table = pl.DataFrame({"tie": np.repeat(starts, sizes)[large], "docid": picked(docids, rows), "row": rows})
        order[large] = table.sort("tie", "docid", descending=[False, True])["row"].to_numpy()
        sizes[sizes > FEW] = 1
        later = later[~large[later]]
    # Small ties, of which there may be millions: neighbours change places, at odd and even places in turn, until there
    # were as many turns as hits in the largest tie (Knuth's odd-even transposition sort).
    odd = (later - np.repeat(starts, sizes - 1)) % 2 == 1
    turns = int(sizes.max())
    for turn in range(turns if turns > 2 else 1):
        right = later[odd] if turn % 2 == 0 else later[~odd]
        wrong = (picked(docids, order[right - 1]) < picked(docids, order[right])).to_numpy()
        right = right[wrong]
        order[right - 1], order[right] = order[right], order[right - 1]
    return order


def spans(qids: pl.Series) -> dict[str, tuple[int, int]]:
    """First line and line after the last of every topic, where each topic stands in one piece."""
    pieces = qids.rle().struct
    stops = np.cumsum(pieces.field("len").to_numpy(), dtype=np.int64).tolist()
    starts = [0, *stops[:-1]]
    return {
        qid: (start, stop) for qid, start, stop in zip(pieces.field("value").to_list(), starts, stops, strict=False)
    }
