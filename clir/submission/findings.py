"""What can be wrong with a submission, each kind by its name, and the findings of one file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

Level = Literal["error", "warning", "off"]
SHOWN = 10


class Kind(NamedTuple):
    """How serious a kind of finding is where a leaderboard's rules do not say, and what it means."""

    level: Level
    about: str


KINDS: dict[str, Kind] = {
    "file-name": Kind("warning", "the file's name has other characters than the leaderboard takes"),
    "compression": Kind("error", "a compression that is not taken, is not whole, or unpacks to too much"),
    "file-empty": Kind("error", "no line in the file, or only blank ones"),
    "byte-order-mark": Kind("error", "the file begins with a byte order mark, which becomes part of the first id"),
    "encoding": Kind("error", "bytes that are not UTF-8"),
    "line-length": Kind("error", "a line too long to be one of a run"),
    "line-end": Kind("warning", "a carriage return before the line feed"),
    "last-line": Kind("warning", "no line feed after the last line"),
    "blank-line": Kind("warning", "a line with nothing on it"),
    "odd-character": Kind("error", "a control character, an invisible one, or white space that is no blank or tab"),
    "form": Kind("error", "the file has another form of run than the leaderboard takes"),
    "columns": Kind("error", "not as many columns as the form has"),
    "separator": Kind("warning", "columns not separated as the form says"),
    "iteration": Kind("error", "the second column is not the fixed one"),
    "topic-form": Kind("error", "a topic id of another shape than the leaderboard's"),
    "topic-unknown": Kind("error", "a topic that is not among the leaderboard's"),
    "topic-missing": Kind("error", "a topic without any line"),
    "topic-split": Kind("warning", "a topic's lines do not stand together"),
    "docid-form": Kind("error", "a document id of another shape than the collection's"),
    "docid-unknown": Kind("error", "a document that is not in the collection"),
    "duplicate": Kind("error", "a document twice for one topic"),
    "hits-most": Kind("error", "more documents for a topic than are taken"),
    "hits-least": Kind("warning", "fewer documents for a topic than are asked for"),
    "rank-form": Kind("error", "a rank that is no integer"),
    "rank-start": Kind("warning", "a topic's lowest rank is not the first"),
    "rank-gap": Kind("warning", "a rank is left out"),
    "rank-repeated": Kind("warning", "a rank twice in one topic"),
    "rank-order": Kind("warning", "the lines of a topic do not stand in the order of their ranks"),
    "rank-limit": Kind("error", "a rank beyond the last that is read"),
    "rank-score": Kind("warning", "a document has a higher score than one with a better rank"),
    "score-form": Kind("error", "a score that is no finite decimal number"),
    "score-range": Kind("error", "a score that is no finite number as float32, which trec_eval compares"),
    "score-order": Kind("warning", "a score is higher than that of the topic's line before"),
    "score-tie": Kind("warning", "documents with one score as float32, which trec_eval puts in another order"),
    "tag-form": Kind("error", "a run tag of another shape than the leaderboard's"),
    "tag-length": Kind("error", "a run tag that is too long"),
    "tag-changes": Kind("error", "more than one run tag in a file"),
    "tag-style": Kind("warning", "a run tag without what the leaderboard recommends"),
    "tag-team": Kind("error", "a run tag that does not name the team where it should"),
    "tag-repeated": Kind("error", "one run tag for several runs"),
    "part": Kind("error", "which part of the leaderboard a run is for is not known"),
    "part-missing": Kind("error", "no run for a part of the leaderboard that needs one"),
    "number-of-runs": Kind("warning", "more or fewer runs than are asked for"),
    "metadata": Kind("error", "a description that is missing, unknown, or not as the leaderboard wants it"),
    "archive": Kind(
        "error", "a file in the archive that is missing, not expected, twice there, changed, or not safe to unpack"
    ),
}


class Finding(NamedTuple):
    """One thing that was found; `line` counts from 1 and is None where a whole file or submission is meant."""

    file: str
    line: int | None
    kind: str
    level: str
    message: str

    def __str__(self) -> str:
        where = self.file if self.line is None else f"{self.file}:{self.line}"
        return f"{where}: {self.level}: {self.message} [{self.kind}]"


@dataclass
class Findings:
    """The findings of one file: of every kind all are counted, and the first `shown` are kept (None keeps all).

    `levels` are a leaderboard's; kinds that it does not name have their own.
    """

    file: str
    levels: Mapping[str, Level] = field(default_factory=dict)
    shown: int | None = SHOWN
    counts: dict[str, int] = field(default_factory=dict)
    kept: list[Finding] = field(default_factory=list)

    def level(self, kind: str) -> Level:
        """How serious a finding of this kind is here."""
        return self.levels.get(kind, KINDS[kind].level)

    def wanted(self, kind: str) -> bool:
        """Whether findings of this kind are looked for."""
        return self.level(kind) != "off"

    def add(self, kind: str, line: int | None, message: str) -> None:
        """One finding."""
        self.add_all(kind, [line], lambda _: message)

    def add_all(self, kind: str, lines: Sequence[int | None], describe: Callable[[int], str]) -> None:
        """Findings of one kind, the lowest line first; `describe(i)` is asked only for those that are kept."""
        level = self.level(kind)
        if level == "off" or not len(lines):
            return
        before = self.counts.get(kind, 0)
        self.counts[kind] = before + len(lines)
        room = len(lines) if self.shown is None else max(0, self.shown - before)
        for at, line in enumerate(lines[:room]):
            self.kept.append(Finding(self.file, None if line is None else int(line), kind, level, describe(at)))

    def count(self, level: Level) -> int:
        """How many findings of this level there are."""
        return sum(number for kind, number in self.counts.items() if self.level(kind) == level)

    def in_order(self) -> list[Finding]:
        """The kept findings by line, those of the whole file first."""
        # What is read of a file may change the levels.
        found = [one._replace(level=self.level(one.kind)) for one in self.kept if self.wanted(one.kind)]
        return sorted(found, key=lambda one: (one.line or 0, list(KINDS).index(one.kind)))

    def left_out(self) -> dict[str, int]:
        """Of every kind that has more findings than are kept, how many more."""
        kept: dict[str, int] = {}
        for one in self.kept:
            kept[one.kind] = kept.get(one.kind, 0) + 1
        more = {kind: number - kept.get(kind, 0) for kind, number in self.counts.items() if self.wanted(kind)}
        return {kind: number for kind, number in more.items() if number}
