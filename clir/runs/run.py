"""The Run: for every topic a ranking of scored documents, checked and in one canonical order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from clir.runs.pairs import Integers, checked_ids, falling_docids, picked, refuse_repeated, spans, table, topic_numbers
from clir.support.errors import ClirError, UsageError, quoted

# The integer that `ordered` gives to the greatest finite float32.
GREATEST = 0x7F7FFFFF


class Hit(NamedTuple):
    """One retrieved document."""

    docid: str
    score: float


@dataclass(frozen=True, eq=False)
class Run:
    """One ranking per topic, in trec_eval's order: score as float32 descending, then docid descending.

    `frame` has the columns `qid` (String), `docid` (String) and `score` (Float32); topics stand in order of
    first appearance, each in one piece. Make one with `Run.of`, `Run.from_hits` or `clir.runs.trec.read_run`,
    which check and sort; the bare constructor trusts its frame.

    `doubles` (Float64, a score for each line of `frame`) is there for a run that was read from a file whose scores rank
    otherwise as float64, which is trec_eval 10's order; None for any other, and for runs made from this one.
    """

    frame: pl.DataFrame
    tag: str = "clir"
    doubles: pl.Series | None = None

    def __post_init__(self) -> None:
        check_tag(self.tag)

    @classmethod
    def of(
        cls, qids: Sequence[str] | pl.Series, docids: Sequence[str] | pl.Series, scores: Any, tag: str = "clir"
    ) -> Run:
        """A run from three parallel columns in any order.

        Raises ClirError on columns of different length, an empty id or one with white space, a score that is
        not finite as float32, and a document twice in one topic.
        """
        columns = [checked_ids(qids, "qid"), checked_ids(docids, "docid"), _float32(scores)]
        return cls(canonical(table(columns, "a run")), tag)

    @classmethod
    def from_hits(cls, hits: Mapping[str, Sequence[tuple[str, float]]], tag: str = "clir") -> Run:
        """A run from `{qid: [(docid, score), ...]}`; a topic without hits leaves no trace. Errors as `Run.of`."""
        lengths = [len(ranking) for ranking in hits.values()]
        qids = checked_ids(list(hits), "qid")
        return cls.of(
            qids.gather(np.repeat(np.arange(len(lengths)), lengths)),
            [docid for ranking in hits.values() for docid, _ in ranking],
            [score for ranking in hits.values() for _, score in ranking],
            tag,
        )

    @property
    def topics(self) -> list[str]:
        """The topics that have hits, in order."""
        return list(self._spans)

    @cached_property
    def lengths(self) -> Integers:
        """The number of hits of each topic, in the order of `topics`."""
        return np.array([stop - start for start, stop in self._spans.values()], dtype=np.int64)

    @cached_property
    def ranks(self) -> Integers:
        """The rank of every line within its topic, from 1."""
        ranks = np.arange(1, len(self) + 1)
        ranks -= np.repeat(np.cumsum(self.lengths) - self.lengths, self.lengths)
        return ranks

    @cached_property
    def _spans(self) -> dict[str, tuple[int, int]]:
        return spans(self.frame["qid"])

    def __getitem__(self, qid: str) -> list[Hit]:
        """The ranking of a topic, best first; empty for a topic that is not in the run."""
        start, stop = self._spans.get(qid, (0, 0))
        part = self.frame[start:stop]
        return list(map(Hit, part["docid"].to_list(), part["score"].to_list()))

    def as_dict(self) -> dict[str, dict[str, float]]:
        """`{qid: {docid: score}}`, every ranking from its best hit on."""
        docids, scores = self.frame["docid"].to_list(), self.frame["score"].to_list()
        return {
            qid: dict(zip(docids[start:stop], scores[start:stop], strict=True))
            for qid, (start, stop) in self._spans.items()
        }

    def rankings(self) -> dict[str, dict[str, float]]:
        """`{qid: {docid: score}}`, every ranking from its best hit on, with whole scores that fall to 1."""
        docids = self.frame["docid"].to_list()
        longest = int(self.lengths.max(initial=0))
        falling = [float(score) for score in range(longest, 0, -1)]
        return {
            qid: dict(zip(docids[start:stop], falling[longest - (stop - start) :], strict=True))
            for qid, (start, stop) in self._spans.items()
        }

    def __len__(self) -> int:
        """The number of lines: hits of all topics."""
        return self.frame.height

    def __iter__(self) -> Iterator[str]:
        return iter(self._spans)

    def __contains__(self, qid: object) -> bool:
        return qid in self._spans

    def cut(self, k: int) -> Run:
        """The best `k` hits of every topic."""
        if k < 1:
            raise UsageError(f"a run is cut to at least 1 hit a topic, not {k}")
        return Run(self.frame.filter(pl.Series(self.ranks <= k)), self.tag)

    def only(self, topics: Iterable[str]) -> Run:
        """The rankings of some topics; those that the run lacks are left out."""
        wanted = pl.Series([qid for qid in topics if qid in self._spans], dtype=pl.String)
        return Run(self.frame.filter(pl.col("qid").is_in(wanted.implode())), self.tag)

    def with_tag(self, tag: str) -> Run:
        """The same rankings under another tag."""
        return Run(self.frame, tag)

    def distinct(self) -> Run:
        """The same rankings with scores that fall strictly within every topic, as float32.

        Every evaluator then sees the same order, whatever it does with ties. Where a score does not fall, it is
        moved to the next lower float32; a run with distinct scores stays as it is.
        """
        scores = self.frame["score"].to_numpy()
        tied = scores[1:] == scores[:-1]
        tied[np.cumsum(self.lengths)[:-1] - 1] = False
        if not tied.any():
            return self
        scores = falling(scores, self.lengths)
        return Run(self.frame.with_columns(pl.Series("score", scores)), self.tag)


def check_tag(tag: str) -> None:
    """Raise UsageError if `tag` is empty or has white space in it."""
    if not tag or any(character.isspace() for character in tag):
        raise UsageError(f"run tag {quoted(tag)}: a tag is one word without white space")


def canonical(frame: pl.DataFrame) -> pl.DataFrame:
    """The lines of a run (`qid`, `docid`, `score` Float32, ids checked) in canonical order.

    Raises ClirError on a score that is not finite and on a document twice in one topic.
    """
    finite = frame["score"].is_finite()
    if not finite.all():
        qid, docid, score = frame.select("qid", "docid", "score").row(finite.arg_min() or 0)
        raise ClirError(f"topic {qid}, document {docid}: the score {score} is not finite as float32")
    if not _in_order(frame):
        topic = topic_numbers(frame["qid"])
        # One integer per line that rises along the canonical order, ties aside.
        key = topic << 33
        key -= ordered(frame["score"].to_numpy())
        rows = pl.Series(_order(key, frame["docid"].rechunk()).astype(np.uint32))
        # Where topics are in one piece each, lines move within their topics only: qids stay.
        moved = pl.all().exclude("qid") if (topic[1:] >= topic[:-1]).all() else pl.all()
        frame = frame.with_columns(moved.gather(rows))
    refuse_repeated(frame, "the run")
    return frame


def ranked_otherwise(frame: pl.DataFrame, doubles: pl.Series) -> pl.Series | None:
    """`doubles`, the scores of a canonical `frame`'s lines as float64, if these rank otherwise than as float32; else
    None."""
    scores = doubles.to_numpy()
    before = np.flatnonzero(scores[1:] > scores[:-1])
    # Where a topic begins, a higher score is no wonder.
    same = picked(frame["qid"], before) == picked(frame["qid"], before + 1)
    return doubles if same.any() else None


def _in_order(frame: pl.DataFrame) -> bool:
    """Is every topic in one piece, and are its scores falling without ties?"""
    pieces = frame["qid"].rle().struct
    if pieces.field("value").n_unique() < len(pieces.field("value")):
        return False
    scores = frame["score"].to_numpy()
    rising = scores[1:] >= scores[:-1]
    rising[np.cumsum(pieces.field("len").to_numpy())[:-1] - 1] = False
    return not rising.any()


def _order(key: Integers, docids: pl.Series) -> Integers:
    """The rows by rising key and, where keys are equal, falling docid."""
    order = np.argsort(key, kind="stable")
    key = key[order]
    tied = np.append(np.zeros(min(1, len(key)), dtype=bool), key[1:] == key[:-1])
    return falling_docids(order, tied, docids)


def ordered(scores: npt.NDArray[np.float32]) -> Integers:
    """Integers in the order of finite float32 `scores`, one step for each float32; both zeros give 0."""
    bits = np.ascontiguousarray(scores, dtype=np.float32).view(np.int32)
    # All ones where the score is negative: x ^ sign - sign is then -x.
    sign = bits >> 31
    steps = bits & 0x7FFFFFFF
    steps ^= sign
    steps -= sign
    return steps.astype(np.int64)


def falling(scores: npt.NDArray[Any], lengths: Integers) -> npt.NDArray[np.float32]:
    """`scores` as float32 made to fall strictly within each of the consecutive topics of `lengths` hits.

    y[i] = min(x[i], the next float32 below y[i-1]). Raises ClirError where there is no room below.
    """
    steps = np.arange(len(scores))
    # With x counted in float32 steps, y[i] + i = min over j <= i of x[j] + j; taking 2^34 off per topic
    # starts that minimum anew in each.
    apart = steps - np.repeat(np.arange(len(lengths), dtype=np.int64) << 34, lengths)
    whole = np.minimum.accumulate(ordered(scores.astype(np.float32)) + apart) - apart
    if len(whole) and whole.min() < -GREATEST:
        raise ClirError("scores so close to the lowest float32 that ties among them cannot be made distinct")
    bits = np.where(whole >= 0, whole, -whole | 0x80000000)
    return bits.astype(np.uint32).view(np.float32)


def _float32(scores: Any) -> pl.Series:
    with np.errstate(over="ignore"):
        return pl.Series("score", np.asarray(scores, dtype=np.float64).astype(np.float32), dtype=pl.Float32)
