"""Tables of (topic, document) pairs, which runs and qrels both are: ids checked, no pair twice, topics in pieces."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from clir.support.errors import ClirError

Integers = npt.NDArray[np.int64]
BLANK_IN_ID = r"[\s\x1c-\x1f]"


def checked_ids(values: Sequence[str] | pl.Series, name: str) -> pl.Series:
    """The ids as a String column called `name`; ClirError on an empty one or one with white space."""
    series = pl.Series(name, values, dtype=pl.String)
    bad = series.is_null() | (series == "") | series.str.contains(BLANK_IN_ID)
    if bad.any():
        row = bad.arg_max() or 0
        raise ClirError(f"{name} {series[row]!r} (line {row + 1}): an id is not empty and has no white space")
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


def refuse_repeated(frame: pl.DataFrame, topics: Integers, what: str) -> None:
    """Raise ClirError if a document stands twice under one topic; `topics` as `topic_numbers` gives them."""
    # Hashes first: where they are all different, so are the pairs.
    mixed = frame["docid"].hash().to_numpy() + topics.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    hashes = pl.Series(mixed)
    if hashes.n_unique() == len(hashes):
        return
    suspects = frame.filter(hashes.is_duplicated()).select("qid", "docid")
    repeated = suspects.filter(suspects.is_duplicated())
    if repeated.height:
        qid, docid = repeated.row(0)
        raise ClirError(f"topic {qid}: document {docid} more than once in {what}")


def spans(qids: pl.Series) -> dict[str, tuple[int, int]]:
    """First line and line after the last of every topic, where each topic stands in one piece."""
    pieces = qids.rle().struct
    stops = np.cumsum(pieces.field("len").to_numpy(), dtype=np.int64).tolist()
    starts = [0, *stops[:-1]]
    return {
        qid: (start, stop) for qid, start, stop in zip(pieces.field("value").to_list(), starts, stops, strict=False)
    }
