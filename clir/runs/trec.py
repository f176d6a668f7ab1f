"""TREC run files: `qid Q0 docid rank score tag`, read with every check and written for every evaluator."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl

from clir.runs.columns import first_fault, parse, refuse_comment_ids, without_comments
from clir.runs.run import Run, canonical, ranked_otherwise
from clir.runs.storage import read_bytes, writing
from clir.support.errors import ClirError, UsageError, quoted
from clir.support.progress import say

COLUMNS = ("qid", "iteration", "docid", "rank", "score", "tag")
_NUMBER = r"[+-]?(?:\d++\.?\d*+|\.\d++)(?:[eE][+-]?\d++)?"
DECIMAL = re.compile(_NUMBER, re.ASCII)
# A line with words after its tag. Where the would-be tag is a number, the words are none: a docid has white space in it
# and has moved the columns on.
_WORDS_AFTER_TAG = re.compile(
    rf"^([ \t]*+(?:\S++[ \t]++){{3}}[+-]?\d++[ \t]++{_NUMBER}[ \t]++(?!{_NUMBER}[ \t])\S++)[ \t]++\S[^\n]*$".encode(),
    re.MULTILINE,
)


def read_run(path: str | Path) -> Run:
    """Read a TREC run file, compressed or not, into canonical order.

    The score orders (trec_eval 9's rule: as float32, descending; then docid descending), the rank column is
    ignored, ids stay the strings they are; the tag is the first line's. Columns are separated by blanks and tabs; words
    after the tag are left out, as trec_eval does, and so are lines that begin with `#`, as trec_eval 10 does; both are
    said on stderr. Raises UsageError if the file is missing, ClirError naming file and line on a line without six
    columns, a score that is no finite float32, an id with white space, and a document twice in one topic.
    """
    return parse_run(read_bytes(path, "run"), path)


def parse_run(data: bytes, path: str | Path) -> Run:
    """The run in `data`, the bytes of the file `path`; see `read_run`."""
    lines = without_comments(data, path)
    frame = parse(lines, COLUMNS, "score", pl.Float64)
    if frame is None:
        lines, count = _WORDS_AFTER_TAG.subn(rb"\1", lines)
        data = _WORDS_AFTER_TAG.sub(rb"\1", data) if count else data
        frame = parse(lines, COLUMNS, "score", pl.Float64) if count else None
        if frame is None:
            raise first_fault(path, data, COLUMNS, _bad_score)
        say(f"{path}: words after the tag are left out ({count:,} lines)")
    try:
        # By way of float64, as trec_eval parses it.
        frame = canonical(frame.with_columns(pl.col("score").cast(pl.Float32), double="score"))
    except ClirError as error:
        raise first_fault(path, data, COLUMNS, _bad_score) from error
    doubles = ranked_otherwise(frame, frame["double"])
    try:
        return Run(frame.drop("double"), _first_tag(lines), doubles)
    except UsageError as error:
        raise ClirError(f"{path}: {error}") from error


def write_run(run: Run, path: str | Path) -> None:
    """Write a run as a TREC file, whole or not at all; compressed as its ending says.

    Scores are made distinct within a topic (`Run.distinct`) and written as the shortest decimal that parses to
    the float32; ranks count from 1. Reading the file gives the same rankings, and writing those the same bytes.
    Raises ClirError if the run has no hit at all.
    """
    if not len(run):
        raise ClirError(f"nothing to write to {path}: the run has no hit for any topic")
    refuse_comment_ids(run, path)
    lines = run.distinct().frame.select(
        "qid",
        pl.lit("Q0").alias("iteration"),
        "docid",
        pl.Series("rank", run.ranks),
        pl.col("score").cast(pl.String),
        pl.lit(run.tag).alias("tag"),
    )
    with writing(path) as handle:
        lines.write_csv(handle, include_header=False, separator=" ", quote_style="never")


def _first_tag(data: bytes) -> str:
    line = re.search(rb"\S[^\n]*", data)
    return line.group().split()[-1].decode("utf-8") if line else ""


def _bad_score(columns: Sequence[str]) -> str | None:
    text = columns[COLUMNS.index("score")]
    if not DECIMAL.fullmatch(text):
        return f"the score {quoted(text)} is not a finite number"
    with np.errstate(over="ignore"):
        finite = bool(np.isfinite(np.float32(float(text))))
    return None if finite else f"the score {text[:40]} is beyond float32"
