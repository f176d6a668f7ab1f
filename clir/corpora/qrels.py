"""Qrels: how relevant documents were judged to be for topics; TREC's four-column files, read and written."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl

from clir.runs.columns import first_fault, parse
from clir.runs.pairs import checked_ids, refuse_repeated, spans, table, topic_numbers
from clir.runs.storage import read_bytes
from clir.support.errors import ClirError, quoted
from clir.support.files import atomic_file

COLUMNS = ("qid", "iteration", "docid", "relevance")
INTEGER = re.compile(r"[+-]?\d{1,18}", re.ASCII)
# The evaluators in C hold a number for every grade up to the highest: beyond memory they crash, or score 0.
HIGHEST = 1_000_000


@dataclass(frozen=True, eq=False)
class Qrels:
    """Judgements: `frame` has the columns `qid` (String), `docid` (String), `relevance` (Int64).

    Topics stand in order of first appearance, each in one piece, its documents in the order given. Make one
    with `Qrels.of`, `Qrels.from_dict` or `read_qrels`, which check; the bare constructor trusts its frame.
    """

    frame: pl.DataFrame

    @classmethod
    def of(
        cls, qids: Sequence[str] | pl.Series, docids: Sequence[str] | pl.Series, relevance: Sequence[int] | pl.Series
    ) -> Qrels:
        """Qrels from three parallel columns.

        Raises ClirError on columns of different length, an empty id or one with white space, a document
        judged twice for one topic, and a relevance above `HIGHEST`.
        """
        numbers = pl.Series("relevance", relevance, dtype=pl.Int64)
        if (highest := _highest(numbers)) > HIGHEST:
            raise ClirError(_too_high(highest))
        return cls(_in_pieces(table([checked_ids(qids, "qid"), checked_ids(docids, "docid"), numbers], "qrels")))

    @classmethod
    def from_dict(cls, judgements: Mapping[str, Mapping[str, int]]) -> Qrels:
        """Qrels from `{qid: {docid: relevance}}`; errors as `Qrels.of`."""
        rows = [(qid, docid, grade) for qid, judged in judgements.items() for docid, grade in judged.items()]
        return cls.of([row[0] for row in rows], [row[1] for row in rows], [row[2] for row in rows])

    @property
    def topics(self) -> list[str]:
        """The judged topics, in order."""
        return list(self._spans)

    @cached_property
    def _spans(self) -> dict[str, tuple[int, int]]:
        return spans(self.frame["qid"])

    def __getitem__(self, qid: str) -> dict[str, int]:
        """`{docid: relevance}` of a topic; empty for a topic that was not judged."""
        start, stop = self._spans.get(qid, (0, 0))
        part = self.frame[start:stop]
        return dict(zip(part["docid"].to_list(), part["relevance"].to_list(), strict=True))

    def __iter__(self) -> Iterator[str]:
        return iter(self._spans)

    def __contains__(self, qid: object) -> bool:
        return qid in self._spans

    def __len__(self) -> int:
        """The number of judgements."""
        return self.frame.height

    def as_dict(self) -> dict[str, dict[str, int]]:
        """`{qid: {docid: relevance}}` of all topics."""
        return {qid: self[qid] for qid in self}


def read_qrels(path: str | Path) -> Qrels:
    """Read TREC qrels (`qid iteration docid relevance`, by blanks or tabs), gzipped or not.

    The iteration column is not kept. Raises UsageError if the file is missing, ClirError naming file and line
    on a line without four columns, a relevance that is no integer or above `HIGHEST`, an id with white space,
    and a document judged twice for one topic.
    """
    data = read_bytes(path, "qrels")
    frame = parse(data, COLUMNS, "relevance", pl.Int64)
    if frame is None or _highest(frame["relevance"]) > HIGHEST:
        raise first_fault(path, data, COLUMNS, _bad_relevance)
    try:
        return Qrels(_in_pieces(frame))
    except ClirError as error:
        raise first_fault(path, data, COLUMNS, _bad_relevance) from error


def write_qrels(qrels: Qrels, path: str | Path) -> None:
    """Write qrels as a TREC file, whole or not at all."""
    lines = qrels.frame.select("qid", pl.lit("0").alias("iteration"), "docid", "relevance")
    with atomic_file(path) as handle:
        lines.write_csv(handle, include_header=False, separator=" ", quote_style="never")


def _in_pieces(frame: pl.DataFrame) -> pl.DataFrame:
    """The same lines with every topic in one piece; ClirError on a document judged twice for a topic."""
    topics = topic_numbers(frame["qid"])
    if not (topics[1:] >= topics[:-1]).all():
        frame = frame[np.argsort(topics, kind="stable")]
    refuse_repeated(frame, "the qrels")
    return frame


def _bad_relevance(columns: Sequence[str]) -> str | None:
    text = columns[COLUMNS.index("relevance")]
    if not INTEGER.fullmatch(text):
        return f"the relevance {quoted(text)} is not an integer"
    return _too_high(int(text)) if int(text) > HIGHEST else None


def _highest(relevance: pl.Series) -> int:
    highest = relevance.max()
    return highest if isinstance(highest, int) else 0


def _too_high(relevance: int) -> str:
    return f"the relevance {relevance} is above {HIGHEST:,}, the highest that can be scored"
