"""The forms in which judgements are published (TREC's columns, three columns, JSON): known by what is in them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from clir.runs.columns import first_fault, parse, without_comments
from clir.runs.json_form import is_json, nested
from clir.runs.pairs import checked_ids, topic_numbers
from clir.support.errors import ClirError, quoted
from clir.support.progress import say

COLUMNS = ("qid", "iteration", "docid", "relevance")
# BEIR's, and what is left where nobody kept an iteration.
THREE = ("qid", "docid", "relevance")
# What makes two lines one judgement.
IDS = ("qid", "iteration", "docid")
# The second column of judgements without subtopics.
NO_ITERATION = "0"
# Also as pandas writes integers of a column with gaps: 1.0.
INTEGER = re.compile(r"[+-]?\d{1,18}(?:\.0*)?", re.ASCII)
# The evaluators in C hold a number for every grade up to the highest: beyond memory they crash, or score 0.
HIGHEST = 1_000_000
# Words of a first line that only names the columns, without their hyphens and underscores.
_HEADER = {
    "qid": {"qid", "queryid", "query", "topic", "topicid", "topicno"},
    "docid": {"docid", "documentid", "document", "doc", "did", "docno", "corpusid", "pid", "passageid"},
    "relevance": {"relevance", "rel", "score", "label", "grade", "judgment", "judgement", "gain"},
}
_FIRST_LINE = re.compile(rb"^[ \t\r\v\f]*[^#\s][^\n]*", re.MULTILINE)


def parse_judgements(data: bytes, path: str | Path) -> tuple[pl.DataFrame, Sequence[str] | None]:
    """The lines of a file of judgements as `qid`, `iteration`, `docid`, `relevance` (Int64), in the order given, and
    the names of the file's columns (None for JSON).

    Raises ClirError naming file and line (topic and document in JSON) on what is none of the forms, a relevance that is
    no integer or above `HIGHEST`, and an id with white space. Repeated documents are left to the caller.
    """
    if is_json(data):
        return _from_json(data, path), None
    first = _FIRST_LINE.search(data)
    words = first[0].decode("utf-8", "replace").split() if first else []
    names = THREE if len(words) == len(THREE) else COLUMNS
    header = first is not None and _is_header(words)
    if first and header:
        # From here on it is a comment, and the lines keep their numbers.
        data = data[: first.start()] + b"#" + data[first.start() :]
        say(f"{path}: the first line names the columns and is left out: {' '.join(words)}")
    frame = _parsed(without_comments(data, path, known=int(header)), names)
    if frame is None:
        raise fault(path, data, names)
    if names == THREE:
        _check_three(frame, path)
    return frame, names


def fault(path: str | Path, data: bytes, names: Sequence[str]) -> ClirError:
    """What is wrong with a file of such columns, with its line."""
    ids = [name for name in names if name in IDS]
    return first_fault(path, data, names, lambda columns: bad_relevance(columns[-1]), ids)


def bad_relevance(text: str) -> str | None:
    """What is wrong with a relevance, or None."""
    if not INTEGER.fullmatch(text):
        return f"the relevance {quoted(text)} is not an integer"
    value = int(text.partition(".")[0])
    return too_high(value) if value > HIGHEST else None


def too_high(relevance: int) -> str:
    """The message for a relevance above `HIGHEST`."""
    return f"the relevance {relevance} is above {HIGHEST:,}, the highest that can be scored"


def highest(relevance: pl.Series) -> int:
    """The highest relevance, at least 0."""
    found = relevance.max()
    return found if isinstance(found, int) else 0


def _parsed(lines: bytes, names: Sequence[str]) -> pl.DataFrame | None:
    ids = [name for name in names if name in IDS]
    frame = parse(lines, names, "relevance", pl.Int64, ids)
    if frame is None:
        frame = _with_points(parse(lines, names, "relevance", pl.String, ids))
    if frame is None or highest(frame["relevance"]) > HIGHEST:
        return None
    if "iteration" not in ids:
        frame = frame.with_columns(pl.lit(NO_ITERATION).alias("iteration"))
    return frame.select(COLUMNS)


def _with_points(frame: pl.DataFrame | None) -> pl.DataFrame | None:
    """The frame with a relevance such as 1.0 as the integer that it is; None where it is none."""
    if frame is None or not frame["relevance"].str.contains(f"^(?:{INTEGER.pattern})$").all():
        return None
    return frame.with_columns(pl.col("relevance").str.replace(r"\.0*$", "").cast(pl.Int64))


def _is_header(words: Sequence[str]) -> bool:
    plain = [re.sub("[-_]", "", word).casefold() for word in words]
    if len(plain) == len(COLUMNS):
        del plain[1]
    return len(plain) == len(THREE) and all(word in _HEADER[name] for word, name in zip(plain, THREE, strict=True))


def _check_three(frame: pl.DataFrame, path: str | Path) -> None:
    """ClirError where lines of three columns may well be something else than topic, document and relevance."""
    if frame["docid"].is_in([NO_ITERATION, "Q0"]).all():
        raise ClirError(
            f"{path}: three columns, and the second is {frame['docid'][0]} in every line: as TREC qrels "
            f"({' '.join(COLUMNS)}) the lines lack a column"
        )
    ranks = frame.select("qid", "relevance", rank=pl.int_range(1, pl.len() + 1).over("qid"))
    if ranks["rank"].max() >= 3 and (ranks["rank"] == ranks["relevance"]).all():  # type: ignore[operator]
        raise ClirError(
            f"{path}: the third column counts 1, 2, 3, ... in every topic: these are ranks, as in an MS MARCO run, not "
            "judgements"
        )


def _from_json(data: bytes, path: str | Path) -> pl.DataFrame:
    topics = nested(data, path, "qrels", "grade")
    if empty := [qid for qid, judged in topics.items() if not judged]:
        say(f"{path}: topics without a judgement are left out: {len(empty):,} ({', '.join(empty[:3])})")
    qids = [qid for qid, judged in topics.items() for _ in judged]
    docids = [docid for judged in topics.values() for docid in judged]
    grades = [
        _grade(value, f"{path}: topic {quoted(qid)}, document {quoted(docid)}")
        for qid, judged in topics.items()
        for docid, value in judged.items()
    ]
    if not grades:
        raise ClirError(f"{path}: no judgement in it")
    try:
        columns = [checked_ids(qids, "qid"), pl.Series("iteration", [NO_ITERATION] * len(qids)),
                   checked_ids(docids, "docid"), pl.Series("relevance", grades, dtype=pl.Int64)]  # fmt: skip
    except ClirError as error:
        raise ClirError(f"{path}: {error}") from error
    return pl.DataFrame(columns)


def _grade(value: Any, where: str) -> int:
    # Also as an infinity, which JSON writes as 1e999.
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e18 or value != int(value):
        raise ClirError(f"{where}: the relevance {quoted(value, 40)} is not an integer")
    if value > HIGHEST:
        raise ClirError(f"{where}: {too_high(int(value))}")
    return int(value)


def in_pieces(lines: pl.DataFrame) -> pl.DataFrame:
    """The same lines with every topic in one piece, topics in order of first appearance."""
    topics = topic_numbers(lines["qid"])
    if (topics[1:] >= topics[:-1]).all():
        return lines
    return lines[topics.argsort(kind="stable")]
