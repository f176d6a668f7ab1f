"""A run as arrays, 32 bytes a line, and everything that is wrong with its rankings: between the lines of a topic."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from clir.runs.pairs import Integers
from clir.submission.columns import Rows
from clir.submission.findings import Findings
from clir.submission.leaderboard import Hits, Ranks

Floats = npt.NDArray[np.float64]
Hashes = npt.NDArray[np.uint64]
Docids = Callable[[Integers], pl.Series]


class Rankings(NamedTuple):
    """The lines of a run, in the order of the file, each by its topic's place in `topics`.

    `document` is the hash of the docid; `rank` is 0 and `known` false where it is no integer; `score` is NaN where it
    is no number, and throughout where the form has none.
    """

    topics: list[str]
    line: Integers
    topic: Integers
    document: Hashes
    rank: Integers
    known: npt.NDArray[np.bool_]
    score: Floats

    def gather(self, order: Integers) -> Rankings:
        """The same lines in another order."""
        return Rankings(
            self.topics, self.line[order], self.topic[order], self.document[order], self.rank[order],
            self.known[order], self.score[order],
        )  # fmt: skip

    @property
    def same(self) -> npt.NDArray[np.bool_]:
        """For every line but the first whether it has the topic of the one before."""
        return self.topic[1:] == self.topic[:-1]


class Collector:
    """Puts the rows of a run together, block after block."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._pieces: list[tuple[npt.NDArray[np.generic], ...]] = []

    def add(self, rows: Rows, ranks: pl.Series, scores: pl.Series | None) -> None:
        """Take the rows of one block in."""
        pieces = rows.columns["qid"].rle().struct
        numbers = [self._numbers.setdefault(qid, len(self._numbers)) for qid in pieces.field("value").to_list()]
        topic = np.repeat(np.array(numbers, dtype=np.int32), pieces.field("len").to_numpy())
        score = np.full(len(topic), np.nan) if scores is None else scores.fill_null(float("nan")).to_numpy()
        self._pieces.append(
            (
                rows.line.astype(np.uint32), topic, hashes(rows.columns["docid"]),
                ranks.fill_null(0).to_numpy(), ranks.is_not_null().to_numpy(), score,
            )
        )  # fmt: skip

    def rankings(self) -> Rankings:
        """All rows taken in; the collector is empty then."""
        pieces, self._pieces = self._pieces, []
        kinds = (np.uint32, np.int32, np.uint64, np.int64, np.bool_, np.float64)
        joined = [
            np.concatenate([piece[at] for piece in pieces]) if pieces else np.empty(0, kind)
            for at, kind in enumerate(kinds)
        ]
        return Rankings(list(self._numbers), *joined)


def hashes(docids: pl.Series) -> Hashes:
    """A number of 64 bits for every docid: the same for the same one, within one process."""
    return docids.hash(seed=0).to_numpy()


def by_topic(run: Rankings) -> Rankings:
    """The lines with every topic in one piece, otherwise in the order of the file."""
    if (run.topic[1:] >= run.topic[:-1]).all():
        return run
    return run.gather(np.argsort(run.topic, kind="stable"))


def check_split(run: Rankings, findings: Findings) -> None:
    """Report the lines at which a topic goes on after lines of others; `run` in the order of the file."""
    starts = np.concatenate([[0], np.flatnonzero(~run.same) + 1]) if len(run.topic) else np.empty(0, np.int64)
    began = np.full(len(run.topics), -1)
    _, first = np.unique(run.topic[starts], return_index=True)
    again = np.setdiff1d(np.arange(len(starts)), first)
    began[run.topic[starts[first]]] = run.line[starts[first]]
    rows = starts[again]
    findings.add_all(
        "topic-split", run.line[rows].tolist(),
        lambda at: f"topic {run.topics[run.topic[rows[at]]]} goes on here, after other topics; "
        f"it began on line {began[run.topic[rows[at]]]}",
    )  # fmt: skip


def check_topics(run: Rankings, wanted: Sequence[str] | None, findings: Findings) -> None:
    """Report topics that are not wanted, each once, and wanted ones without a line; `run` by topic.

    A missing topic's line is the last of the wanted topic before it, behind which it would stand.
    """
    if wanted is None:
        return
    firsts, lasts, counts = _ends(run)
    known = set(wanted)
    strange = [at for at, qid in enumerate(run.topics) if qid not in known and counts[at]]
    strange.sort(key=lambda at: firsts[at])
    findings.add_all(
        "topic-unknown", [int(firsts[at]) for at in strange],
        lambda i: f"topic {run.topics[strange[i]]} is not one of the {len(wanted)} topics "
        f"({counts[strange[i]]} line{'s' if counts[strange[i]] > 1 else ''} of it)",
    )  # fmt: skip
    place = {qid: at for at, qid in enumerate(run.topics)}
    missing: list[tuple[int, str]] = []
    behind = 1
    for qid in wanted:
        at = place.get(qid)
        if at is None:
            missing.append((behind, qid))
        else:
            behind = int(lasts[at])
    missing.sort(key=lambda one: one[0])
    findings.add_all(
        "topic-missing", [line for line, _ in missing],
        lambda i: f"topic {missing[i][1]} has no line; in the order of the topics it would stand here",
    )  # fmt: skip


def check_hits(run: Rankings, hits: Hits, findings: Findings) -> None:
    """Report topics with too many lines (at the first of these) and with too few (at their last); `run` by topic."""
    _, lasts, counts = _ends(run)
    starts = np.cumsum(counts) - counts
    if hits.most is not None:
        over = np.flatnonzero(counts > hits.most)
        rows = run.line[starts[over] + hits.most]
        over, rows = over[np.argsort(rows)], np.sort(rows)
        findings.add_all(
            "hits-most", rows.tolist(),
            lambda at: f"topic {run.topics[over[at]]} has {counts[over[at]]:,} documents, and at most {hits.most:,} "
            "are accepted; this is the first beyond",
        )  # fmt: skip
    if hits.least is not None:
        under = np.flatnonzero((counts < hits.least) & (counts > 0))
        under = under[np.argsort(lasts[under])]
        findings.add_all(
            "hits-least", lasts[under].tolist(),
            lambda at: f"topic {run.topics[under[at]]} has {counts[under[at]]:,} documents, and {hits.least:,} are "
            "asked for",
        )  # fmt: skip


def check_ranks(run: Rankings, ranks: Ranks, findings: Findings) -> None:
    """Report ranks of a topic that do not count from the first on, one each; `run` by topic."""
    if ranks.last is not None:
        over = np.flatnonzero(run.known & (run.rank > ranks.last))
        over = over[np.argsort(run.line[over])]
        findings.add_all(
            "rank-limit", run.line[over].tolist(),
            lambda at: f"rank {run.rank[over[at]]} is beyond {ranks.last}, the last that is read",
        )  # fmt: skip
    falls = run.same & run.known[1:] & run.known[:-1] & (run.rank[1:] < run.rank[:-1])
    _report_order("rank-order", run, falls, "the rank", run.rank, findings)
    ranked = _in_order_of_rank(run)
    step = np.where(ranked.same, ranked.rank[1:] - ranked.rank[:-1], 1)
    _report_steps(
        "rank-repeated",
        ranked,
        step == 0,
        "rank {rank} a second time for topic {topic} (first on line {before})",
        findings,
    )
    _report_steps(
        "rank-gap",
        ranked,
        step > 1,
        "topic {topic} goes from rank {rank_before} (line {before}) to rank {rank}",
        findings,
    )
    starts = np.concatenate([[0], np.flatnonzero(~ranked.same) + 1]) if len(ranked.rank) else np.empty(0, np.int64)
    wrong = starts[ranked.rank[starts] != ranks.first]
    wrong = wrong[np.argsort(ranked.line[wrong])]
    findings.add_all(
        "rank-start", ranked.line[wrong].tolist(),
        lambda at: f"the lowest rank of topic {ranked.topics[ranked.topic[wrong[at]]]} is {ranked.rank[wrong[at]]}, "
        f"not {ranks.first}",
    )  # fmt: skip


def check_scores(run: Rankings, docids: Docids, findings: Findings) -> None:
    """Report scores that rise down the lines or the ranks of a topic, and ties that trec_eval turns round.

    `run` by topic; `docids` gives the documents of lines, which are asked for only where scores tie. trec_eval sorts
    by score as float32, descending, and then by docid, descending.
    """
    _report_order("score-order", run, run.same & (run.score[1:] > run.score[:-1]), "the score", run.score, findings)
    ranked = _in_order_of_rank(run) if run.known.all() else run
    if ranked is not run:
        rises = ranked.same & (ranked.score[1:] > ranked.score[:-1])
        _report_steps(
            "rank-score", ranked, rises,
            "topic {topic}: rank {rank} has a higher score than rank {rank_before} (line {before})", findings,
        )  # fmt: skip
    if not findings.wanted("score-tie"):
        return
    with np.errstate(over="ignore", invalid="ignore"):
        small = ranked.score.astype(np.float32)
    tied = np.flatnonzero(ranked.same & (small[1:] == small[:-1]))
    if not len(tied):
        return
    lines = np.union1d(ranked.line[tied], ranked.line[tied + 1])
    texts = docids(lines)
    before = texts.gather(np.searchsorted(lines, ranked.line[tied]))
    after = texts.gather(np.searchsorted(lines, ranked.line[tied + 1]))
    turned = (before < after).to_numpy()
    order = np.argsort(ranked.line[tied[turned] + 1], kind="stable")
    rows = tied[turned][order]
    first, second = before.filter(pl.Series(turned)).gather(order), after.filter(pl.Series(turned)).gather(order)

    def describe(at: int) -> str:
        row = rows[at]
        one, other = ranked.score[row], ranked.score[row + 1]
        scores = f"both score {one:g}" if one == other else f"{float(one)!r} and {float(other)!r} are one float32"
        return f"{scores}: trec_eval puts {second[at]} before {first[at]} (line {ranked.line[row]})"

    findings.add_all("score-tie", ranked.line[rows + 1].tolist(), describe)


def check_duplicates(run: Rankings, docids: Docids, findings: Findings) -> None:
    """Report every line whose document the topic has on an earlier line; `run` in the order of the file."""
    mixed = run.document + run.topic.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    order = np.argsort(mixed, kind="stable")
    equal = np.flatnonzero(mixed[order[1:]] == mixed[order[:-1]])
    if not len(equal):
        return
    # Equal hashes are only suspicious: the documents themselves decide.
    suspects = np.union1d(order[equal], order[equal + 1])
    frame = pl.DataFrame(
        {"line": run.line[suspects], "topic": run.topic[suspects], "docid": docids(run.line[suspects])}
    ).with_columns(pl.col("line").first().over("topic", "docid").alias("first"))
    repeated = frame.filter(pl.col("line") != pl.col("first"))
    topics, texts, firsts = repeated["topic"], repeated["docid"], repeated["first"]
    findings.add_all(
        "duplicate", repeated["line"].to_list(),
        lambda at: f"document {texts[at]} a second time for topic {run.topics[topics[at]]} "
        f"(first on line {firsts[at]})",
    )  # fmt: skip


def check_documents(run: Rankings, known: Hashes, docids: Docids, findings: Findings) -> None:
    """Report the lines whose document is not among the collection's, given by their hashes, sorted."""
    place = np.minimum(np.searchsorted(known, run.document), max(len(known) - 1, 0))
    strange = np.flatnonzero(known[place] != run.document) if len(known) else np.arange(len(run.document))
    lines = run.line[strange][: findings.shown]
    texts = docids(lines) if len(lines) else pl.Series([], dtype=pl.String)
    findings.add_all(
        "docid-unknown", run.line[strange].tolist(), lambda at: f"document {texts[at]} is not in the collection"
    )


def _ends(run: Rankings) -> tuple[Integers, Integers, Integers]:
    """Of every topic the first line, the last, and how many there are; `run` by topic."""
    counts = np.bincount(run.topic, minlength=len(run.topics))
    stops = np.cumsum(counts)
    if not len(run.line):
        return counts, counts, counts
    return run.line[np.minimum(stops - counts, len(run.line) - 1)], run.line[stops - 1], counts


def _in_order_of_rank(run: Rankings) -> Rankings:
    """The lines that have a rank by topic and rank; `run` itself where they stand so."""
    if run.known.all():
        if not (run.same & (run.rank[1:] < run.rank[:-1])).any():
            return run
    else:
        run = run.gather(np.flatnonzero(run.known))
    return run.gather(np.lexsort((run.line, run.rank, run.topic)))


def _report_order(
    kind: str,
    run: Rankings,
    breaks: npt.NDArray[np.bool_],
    what: str,
    values: npt.NDArray[np.generic],
    findings: Findings,
) -> None:
    rows = np.flatnonzero(breaks) + 1
    rows = rows[np.argsort(run.line[rows], kind="stable")]
    findings.add_all(
        kind, run.line[rows].tolist(),
        lambda at: f"topic {run.topics[run.topic[rows[at]]]}: {what} is {values[rows[at]]:g} here, and "
        f"{values[rows[at] - 1]:g} on line {run.line[rows[at] - 1]}",
    )  # fmt: skip


def _report_steps(kind: str, run: Rankings, steps: npt.NDArray[np.bool_], message: str, findings: Findings) -> None:
    rows = np.flatnonzero(steps) + 1
    rows = rows[np.argsort(run.line[rows], kind="stable")]
    findings.add_all(
        kind, run.line[rows].tolist(),
        lambda at: message.format(
            topic=run.topics[run.topic[rows[at]]], rank=run.rank[rows[at]], rank_before=run.rank[rows[at] - 1],
            before=run.line[rows[at] - 1],
        ),
    )  # fmt: skip


@dataclass
class Tags:
    """The run tag of a file: its first one, and where it changes."""

    first: str | None = None

    def add(self, rows: Rows, findings: Findings) -> None:
        """Take the tags of a block in; lines with another tag than the file's first are reported."""
        tags = rows.columns["tag"]
        if self.first is None and len(tags):
            self.first = tags[0]
        other = tags != self.first
        if other.any():
            texts = tags.filter(other)
            findings.add_all(
                "tag-changes", rows.line[other.to_numpy()].tolist(),
                lambda at: f"the run tag is {texts[at]} here, and {self.first} on the first line",
            )  # fmt: skip
