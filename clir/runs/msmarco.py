"""MS MARCO run files: `qid<TAB>docid<TAB>rank`, without scores."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from clir.runs.columns import first_fault, parse, refuse_comment_ids, without_comments
from clir.runs.run import Run, canonical
from clir.runs.storage import writing
from clir.support.errors import ClirError, quoted

COLUMNS = ("qid", "docid", "rank")
_RANK = re.compile(r"0*[1-9]\d{0,6}", re.ASCII)


def parse_run(data: bytes, path: str | Path) -> Run:
    """The run in `data`, the bytes of the file `path`, tagged `msmarco`.

    The score of a hit is 1 / rank, as Pyserini has it when it evaluates such files: ranks order, equal ranks are ties,
    and up to 4,000,000 different ranks are different as float32. Raises ClirError naming file and line on a line
    without three columns, a rank that is no integer from 1, an id with white space, and a document twice in one topic.
    """
    frame = parse(without_comments(data, path), COLUMNS, "rank", pl.Int64)
    if frame is None or not frame["rank"].is_between(1, 9_999_999).all():
        raise first_fault(path, data, COLUMNS, _bad_rank)
    try:
        scores = (1 / pl.col("rank")).cast(pl.Float32).alias("score")
        return Run(canonical(frame.select("qid", "docid", scores)), "msmarco")
    except ClirError as error:
        raise first_fault(path, data, COLUMNS, _bad_rank) from error


def write_run(run: Run, path: str | Path) -> None:
    """Write a run as an MS MARCO file, whole or not at all; compressed as its ending says.

    Ranks count from 1; scores and tag are not kept. Raises ClirError if the run has no hit at all.
    """
    if not len(run):
        raise ClirError(f"nothing to write to {path}: the run has no hit for any topic")
    refuse_comment_ids(run, path)
    with writing(path) as handle:
        lines = run.frame.select("qid", "docid", pl.Series("rank", run.ranks))
        lines.write_csv(handle, include_header=False, separator="\t", quote_style="never")


def _bad_rank(columns: Sequence[str]) -> str | None:
    text = columns[COLUMNS.index("rank")]
    return None if _RANK.fullmatch(text) else f"the rank {quoted(text)} is not an integer from 1 to 9999999"
