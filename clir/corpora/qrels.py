"""Qrels: how relevant documents were judged to be for topics; read from TREC's columns, three columns or JSON, and
written as TREC files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import polars as pl

from clir.corpora.qrels_forms import (
    COLUMNS,
    HIGHEST,
    IDS,
    NO_ITERATION,
    fault,
    highest,
    in_pieces,
    parse_judgements,
    too_high,
)
from clir.runs.columns import refuse_comment_ids
from clir.runs.pairs import checked_ids, repeated, spans, table
from clir.runs.storage import read_bytes
from clir.support.errors import ClirError
from clir.support.files import atomic_file
from clir.support.progress import say


@dataclass(frozen=True, eq=False)
class Qrels:
    """Judgements: `frame` has the columns `qid` (String), `docid` (String), `relevance` (Int64), a line for every
    judged document of a topic.

    `lines` has the second column of TREC's files as well: `qid`, `iteration`, `docid`, `relevance`. It holds the
    subtopic (intent) in judgements of diversity, the document's language in NeuCLIR's, and nothing of interest in most
    others; None stands for `0` everywhere. A document that was judged under several subtopics has a line for each in
    `lines`, and one in `frame`, with the highest grade.

    Topics stand in order of first appearance, each in one piece, its documents in the order given. Make one
    with `Qrels.of`, `Qrels.from_dict` or `read_qrels`, which check; the bare constructor trusts its frames.
    """

    frame: pl.DataFrame
    lines: pl.DataFrame | None = None

    @classmethod
    def of(
        cls,
        qids: Sequence[str] | pl.Series,
        docids: Sequence[str] | pl.Series,
        relevance: Sequence[int] | pl.Series,
        iterations: Sequence[str] | pl.Series | None = None,
    ) -> Qrels:
        """Qrels from parallel columns.

        Raises ClirError on columns of different length, an empty id or one with white space, a document
        judged twice for one topic (and, with `iterations`, one subtopic), and a relevance above `HIGHEST`.
        """  # fmt: skip
        numbers = pl.Series("relevance", relevance, dtype=pl.Int64)
        if (most := highest(numbers)) > HIGHEST:
            raise ClirError(too_high(most))
        columns = [checked_ids(qids, "qid"), checked_ids(docids, "docid"), numbers]
        if iterations is not None:
            columns.append(checked_ids(iterations, "iteration"))
        return cls.from_lines(table(columns, "qrels"))

    @classmethod
    def from_dict(cls, judgements: Mapping[str, Mapping[str, int]]) -> Qrels:
        """Qrels from `{qid: {docid: relevance}}`; errors as `Qrels.of`."""
        rows = [(qid, docid, grade) for qid, judged in judgements.items() for docid, grade in judged.items()]
        return cls.of([row[0] for row in rows], [row[1] for row in rows], [row[2] for row in rows])

    @classmethod
    def from_lines(cls, lines: pl.DataFrame) -> Qrels:
        """Qrels from checked lines, `qid`, `docid`, `relevance` and perhaps `iteration`, in any order of topics.

        ClirError if a document is judged twice for a topic and, where there are iterations, a subtopic.
        """
        lines = in_pieces(lines)
        pairs = lines.select("qid", "docid", "relevance")
        again = repeated(pairs)
        if "iteration" not in lines.columns or (lines["iteration"] == NO_ITERATION).all():
            if again:
                raise ClirError(f"topic {again[0]}: document {again[1]} more than once in the qrels")
            return cls(pairs)
        lines = lines.select(COLUMNS)
        if again:
            twice = lines.filter(pl.struct(IDS).is_duplicated())
            if twice.height:
                raise ClirError(f"topic {twice['qid'][0]}: document {twice['docid'][0]} more than once in the qrels")
            pairs = pairs.group_by("qid", "docid", maintain_order=True).agg(pl.col("relevance").max())
        return cls(pairs, lines)

    @property
    def judgements(self) -> pl.DataFrame:
        """All lines: `qid`, `iteration`, `docid`, `relevance`."""
        if self.lines is not None:
            return self.lines
        return self.frame.select("qid", pl.lit(NO_ITERATION).alias("iteration"), "docid", "relevance")

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
        """The number of judged documents, over all topics."""
        return self.frame.height

    def as_dict(self) -> dict[str, dict[str, int]]:
        """`{qid: {docid: relevance}}` of all topics."""
        docids, grades = self.frame["docid"].to_list(), self.frame["relevance"].to_list()
        return {
            qid: dict(zip(docids[start:stop], grades[start:stop], strict=True))
            for qid, (start, stop) in self._spans.items()
        }


def read_qrels(path: str | Path) -> Qrels:
    """Read qrels, compressed or not: TREC's four columns (`qid iteration docid relevance`), three (`qid docid
    relevance`, with BEIR's header or without one), by blanks or tabs, or JSON (`{qid: {docid: relevance}}`).

    Lines that begin with `#` are comments. A document that is judged under several iterations (subtopics) keeps all of
    its lines, and this is said. Raises UsageError if the file is missing, ClirError naming file and line on a line
    without its columns, a relevance that is no integer (`1.0` is one) or above `HIGHEST`, an id with white space, and a
    document judged twice for one topic and iteration.
    """
    data = read_bytes(path, "qrels")
    lines, names = parse_judgements(data, path)
    try:
        qrels = Qrels.from_lines(lines)
    except ClirError as error:
        raise ClirError(f"{path}: {error}") if names is None else fault(path, data, names) from error
    if lines.height > len(qrels):
        say(
            f"{path}: some documents are judged under several subtopics (the second column): measures without "
            "subtopics take the highest of a document's grades"
        )
    return qrels


def write_qrels(qrels: Qrels, path: str | Path) -> None:
    """Write qrels as a TREC file with its iterations, whole or not at all.

    Raises ClirError for a topic whose id begins with `#`: its lines would be read as comments.
    """
    refuse_comment_ids(qrels, path)
    with atomic_file(path) as handle:
        qrels.judgements.write_csv(handle, include_header=False, separator=" ", quote_style="never")
