"""TREC run files: `qid Q0 docid rank score tag`, read with every check and written for every evaluator."""

from __future__ import annotations

import contextlib
import gzip
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
import polars as pl

from clir.runs.columns import first_fault, parse, read_bytes
from clir.runs.run import Run, canonical
from clir.support.errors import ClirError, UsageError
from clir.support.files import atomic_file

COLUMNS = ("qid", "iteration", "docid", "rank", "score", "tag")
DECIMAL = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


def read_run(path: str | Path) -> Run:
    """Read a TREC run file, gzipped or not, into canonical order.

    The score orders (trec_eval's rule: as float32, descending; then docid descending), the rank column is
    ignored, ids stay the strings they are; the tag is the first line's. Raises UsageError if the file is
    missing, ClirError naming file and line on a line without six columns, a score that is no finite float32,
    an id with white space, and a document twice in one topic.
    """
    data = read_bytes(path, "run")
    frame = parse(data, COLUMNS, "score", pl.Float64)
    if frame is None:
        raise first_fault(path, data, COLUMNS, _bad_score)
    try:
        # By way of float64, as trec_eval parses it.
        frame = canonical(frame.with_columns(pl.col("score").cast(pl.Float32)))
    except ClirError as error:
        raise first_fault(path, data, COLUMNS, _bad_score) from error
    try:
        return Run(frame, _first_tag(data))
    except UsageError as error:
        raise ClirError(f"{path}: {error}") from error


def write_run(run: Run, path: str | Path) -> None:
    """Write a run as a TREC file, whole or not at all; gzipped where the name ends in `.gz`.

    Scores are made distinct within a topic (`Run.distinct`) and written as the shortest decimal that parses to
    the float32; ranks count from 1. Reading the file gives the same rankings, and writing those the same bytes.
    Raises ClirError if the run has no hit at all.
    """
    if not len(run):
        raise ClirError(f"nothing to write to {path}: the run has no hit for any topic")
    lines = run.distinct().frame.select(
        "qid",
        pl.lit("Q0").alias("iteration"),
        "docid",
        pl.Series("rank", run.ranks),
        pl.col("score").cast(pl.String),
        pl.lit(run.tag).alias("tag"),
    )
    with _writing(path) as handle:
        lines.write_csv(handle, include_header=False, separator=" ", quote_style="never")


@contextlib.contextmanager
def _writing(path: str | Path) -> Iterator[IO[Any]]:
    with atomic_file(path) as handle:
        if not str(path).endswith(".gz"):
            yield handle
            return
        # No name and no time inside: the same run gives the same bytes.
        with gzip.GzipFile(filename="", mode="wb", fileobj=handle, mtime=0) as zipped:
            yield zipped  # type: ignore[misc]


def _first_tag(data: bytes) -> str:
    line = re.search(rb"\S[^\n]*", data)
    return line.group().split()[-1].decode("utf-8") if line else ""


def _bad_score(columns: Sequence[str]) -> str | None:
    text = columns[COLUMNS.index("score")]
    if not DECIMAL.fullmatch(text):
        return f"the score {text!r} is not a finite number"
    with np.errstate(over="ignore"):
        finite = bool(np.isfinite(np.float32(float(text))))
    return None if finite else f"the score {text} is beyond float32"
