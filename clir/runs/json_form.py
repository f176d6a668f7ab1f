"""Runs as JSON, `{qid: {docid: score}}`, as ranx and many a script write them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import polars as pl

from clir.runs.run import Run, ranked_otherwise
from clir.runs.storage import writing
from clir.support.errors import ClirError, quoted
from clir.support.json_records import once_each


def parse_run(data: bytes, path: str | Path) -> Run:
    """The run in `data`, the bytes of the file `path`, tagged `json`; a topic without hits leaves no trace.

    Raises ClirError naming the file, and the line or the topic and document, on what is not JSON or not of this form,
    a score that is no finite float32, an id that is empty or has white space, and a key that stands twice in an object.
    """
    topics = nested(data, path, "a run", "score")
    hits = {qid: [(docid, _score(score, qid, docid, path)) for docid, score in ranking.items()]
            for qid, ranking in topics.items()}  # fmt: skip
    try:
        run = Run.from_hits(hits, "json")
    except ClirError as error:
        raise ClirError(f"{path}: {error}") from error
    if run.distinct() is run:
        return run
    doubles = [float(topics[qid][docid]) for qid, docid in zip(run.frame["qid"], run.frame["docid"], strict=True)]
    return Run(run.frame, run.tag, ranked_otherwise(run.frame, pl.Series("double", doubles, dtype=pl.Float64)))


def is_json(data: bytes) -> bool:
    """Whether a file of runs or judgements is JSON: it begins with `{`, and a quote or `}`, or with a list of such."""
    return bool(re.match(rb'\s*(?:\[\s*)?\{\s*["}]', data))


def nested(data: bytes, path: str | Path, what: str, number: str) -> dict[str, dict[str, Any]]:
    """`{qid: {docid: number}}` in `data`, the bytes of the file `path`; `what` that is (a run), and the `number` in it
    (score), in words.

    Raises ClirError naming the file, and the line or the topic, on what is not JSON or not of this form, and a key that
    stands twice in an object.
    """

    def not_finite(name: str) -> NoReturn:
        raise ValueError(f"the {number} {name} is not a finite number")

    try:
        topics = json.loads(data.decode("utf-8"), object_pairs_hook=once_each, parse_constant=not_finite)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ClirError(f"{path}:{line}: not UTF-8: {error.reason}") from error
    except json.JSONDecodeError as error:
        raise ClirError(f"{path}:{error.lineno}: not JSON: {error.msg} (column {error.colno})") from error
    except (ValueError, RecursionError) as error:
        raise ClirError(f"{path}: not {what} as JSON: {error}") from error
    if not isinstance(topics, dict):
        raise ClirError(f"{path}: not a JSON object of topics, which is {{qid: {{docid: {number}}}}}")
    for qid, value in topics.items():
        if not isinstance(value, dict):
            raise ClirError(
                f"{path}: topic {quoted(qid)} has no object of documents and {number}s ({{qid: {{docid: {number}}}}})"
            )
    return topics


def write_run(run: Run, path: str | Path) -> None:
    """Write a run as JSON, one topic a line, whole or not at all; compressed as its ending says.

    Scores are made distinct within a topic and written as the shortest decimals that parse to the float32; the tag is
    not kept. Raises ClirError if the run has no hit at all.
    """
    if not len(run):
        raise ClirError(f"nothing to write to {path}: the run has no hit for any topic")
    distinct = run.distinct()
    with writing(path) as handle:
        for at, qid in enumerate(distinct):
            ranking = {docid: float(str(np.float32(score))) for docid, score in distinct[qid]}
            line = f"{json.dumps(qid, ensure_ascii=False)}: {json.dumps(ranking, ensure_ascii=False)}"
            handle.write((",\n" if at else "{\n").encode() + line.encode())
        handle.write(b"\n}\n")


def _score(value: Any, qid: str, docid: str, path: str | Path) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise ClirError(
            f"{path}: topic {quoted(qid)}, document {quoted(docid)}: the score is not a number: {str(value)[:40]}"
        )
    try:
        score = float(value)
    except OverflowError:
        score = np.inf
    with np.errstate(over="ignore"):
        if np.isfinite(np.float32(score)):
            return score
    raise ClirError(f"{path}: topic {quoted(qid)}, document {quoted(docid)}: the score is beyond float32")
