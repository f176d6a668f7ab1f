"""Runs held against a leaderboard's rules: one file, and all that are to be sent together."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl

from clir.runs.pairs import Integers
from clir.submission import columns, rankings
from clir.submission.columns import FORM_NAMES, Form, Rows
from clir.submission.findings import SHOWN, Findings, Level
from clir.submission.leaderboard import Leaderboard
from clir.submission.rankings import Collector, Hashes, Tags
from clir.submission.reading import Block, blocks, compression_of
from clir.support.errors import UsageError
from clir.support.files import existing

# What is wrong with these does not matter where the file is written anew.
_OF_THE_FORM = ("separator", "blank-line", "line-end", "last-line", "iteration", "tag-form", "tag-length")
_OF_RANKS = ("rank-start", "rank-gap", "rank-repeated", "rank-order", "rank-limit", "rank-score")
_BATCH = 100_000


@dataclass(frozen=True)
class RunToCheck:
    """A run file, the part it is for (None: to be found out), and the name to call it by (None: its path)."""

    path: Path
    part: str | None = None
    name: str | None = None

    @property
    def file_name(self) -> str:
        """The name of the file, without folders or the archive that it is in."""
        return Path((self.name or str(self.path)).rpartition("!")[2]).name


@dataclass
class RunReport:
    """What a run file holds, what was found in it, and what could not be checked."""

    run: RunToCheck
    findings: Findings
    form: Form
    part: str | None = None
    tag: str | None = None
    lines: int = 0
    topics: int = 0
    unchecked: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Expected:
    """What runs are held against: the topics' ids in order, the hashes of the collection's docids; None: unknown."""

    topics: Sequence[str] | None = None
    documents: Hashes | None = None


def document_hashes(docids: Iterable[str]) -> Hashes:
    """The sorted hashes of a collection's docids, 8 bytes a document, for `Expected`."""
    pieces = [np.empty(0, np.uint64)]
    docids = iter(docids)
    while batch := list(itertools.islice(docids, _BATCH)):
        pieces.append(rankings.hashes(pl.Series("docid", batch, dtype=pl.String)))
    return np.unique(np.concatenate(pieces))


def check_run(
    run: RunToCheck,
    board: Leaderboard,
    expected: Callable[[str | None], Expected],
    *,
    team: str | None = None,
    converts: bool = False,
    shown: int | None = SHOWN,
) -> RunReport:
    """Everything in a run file that the leaderboard would refuse, or that is likely to be a mistake.

    `expected` gives what runs of a part are held against. `converts` says that a run in TREC's form
    is going to be written in the leaderboard's: then its form is no fault. `shown` findings of a kind are kept. The
    file is read in blocks; 32 bytes a line stay in memory, and the documents of lines that tie or repeat.

    Raises UsageError if the file is not there, ClirError if it cannot be read.
    """
    path = existing(run.path, "run")
    if path.is_dir():
        raise UsageError(f"run is a folder, not a file: {path}")
    findings = Findings(run.name or str(run.path), dict(board.levels), shown)
    report = RunReport(run, findings, board.form, part=run.part)
    _check_file(path, run, board, findings)
    collector, tags, begun = Collector(), Tags(), False
    for block in blocks(path, findings):
        if not begun and (begun := bool(block.data.decode("utf-8").strip())):
            report.form = _form(block, board, findings, converts)
        rows = columns.rows_of(block, report.form, findings)
        report.lines = block.last
        if not rows.columns.height:
            continue
        if report.form == "trec":
            if tags.first is None:
                report.tag = rows.columns["tag"][0]
                _check_tag(report, board, int(rows.line[0]), team)
            tags.add(rows, findings)
        if report.part is None and board.parts:
            report.part = _part(report, board, int(rows.line[0]))
        _collect(rows, collector, report, board)
    if not begun and "line-length" not in findings.counts:
        findings.add("file-empty", None, f"no line{' but blank ones' if report.lines else ''} in this file")
    _check_rankings(report, collector, board, expected(report.part))
    return report


def check_submission(
    runs: Sequence[RunToCheck],
    board: Leaderboard,
    expected: Callable[[str | None], Expected],
    *,
    team: str | None = None,
    converts: bool = False,
    shown: int | None = SHOWN,
) -> tuple[list[RunReport], Findings]:
    """Every run checked, and what is wrong with them together. Arguments and errors as `check_run`."""
    reports = [check_run(run, board, expected, team=team, converts=converts, shown=shown) for run in runs]
    together = Findings("submission", dict(board.levels), None)
    tags: dict[tuple[str | None, str], str] = {}
    for report in reports:
        if report.tag is not None and board.form == "trec":
            earlier = tags.setdefault((report.part, report.tag), report.findings.file)
            if earlier != report.findings.file:
                report.findings.add("tag-repeated", 1, f"the run tag {report.tag} is also that of {earlier}")
    numbers: dict[str | None, int] = {part: 0 for part in board.parts} if board.every_part else {}
    for report in reports:
        numbers[report.part] = numbers.get(report.part, 0) + 1
    for part, number in numbers.items():
        _check_number(part, number, board, together)
    return reports, together


def read_docids(path: Path, form: Form, lines: Integers) -> pl.Series:
    """The documents on some lines of a run, whose numbers rise and are those of lines that have their columns."""
    silent = Findings(str(path), shown=0)
    pieces = [pl.Series("docid", [], dtype=pl.String)]
    for block in blocks(path, silent):
        rows = columns.rows_of(block, form, silent)
        start, stop = np.searchsorted(lines, [block.first, block.last + 1])
        if stop > start:
            pieces.append(rows.columns["docid"].gather(np.searchsorted(rows.line, lines[start:stop])))
        if stop == len(lines):
            break
    return pl.concat(pieces)


def _check_file(path: Path, run: RunToCheck, board: Leaderboard, findings: Findings) -> None:
    if not re.fullmatch(board.file.pattern, run.file_name):
        findings.add("file-name", None, f"the file's name has other characters than {board.file.about}")
    packed = compression_of(path)
    if packed not in board.file.compression:
        taken = ", ".join("no compression" if one == "none" else one for one in board.file.compression)
        findings.add("compression", None, f"compressed as {packed}; taken: {taken}")


def _form(block: Block, board: Leaderboard, findings: Findings, converts: bool) -> Form:
    """The form of the file; where it is not the leaderboard's, that is reported and the form's own rules are let go."""
    form = columns.form_of(block) or board.form
    if form != board.form:
        possible = form == "trec"
        advice = "pack writes it so" if possible else "it has no scores and no tag, so that nothing can make one of it"
        message = f"{FORM_NAMES[form]}, but {board.name} takes {FORM_NAMES[board.form]}: {advice}"
        if not (converts and possible):
            text = block.data.decode("utf-8")
            blank = text[: len(text) - len(text.lstrip())]
            findings.add("form", block.first + blank.count("\n"), message)
        own: dict[str, Level] = {kind: level for kind, level in board.levels.items() if kind not in _OF_THE_FORM}
        findings.levels = {**own, **{kind: "off" for kind in (*_OF_RANKS, "rank-form")}, "tag-changes": "warning"}
    return form


def _check_tag(report: RunReport, board: Leaderboard, line: int, team: str | None) -> None:
    """Report what is wrong with the first tag, and take the part from it where the rules do."""
    tag, rules, findings = report.tag or "", board.tag, report.findings
    if report.form != board.form:
        return
    match = re.fullmatch(rules.pattern, tag) if rules.pattern else None
    if rules.pattern and not match:
        findings.add("tag-form", line, f"the run tag {tag} is not {rules.about}")
    if rules.longest is not None and len(tag) > rules.longest:
        findings.add(
            "tag-length", line, f"the run tag {tag} has {len(tag)} characters; at most {rules.longest} are accepted"
        )
    if rules.recommended and match and not re.fullmatch(rules.recommended, tag):
        findings.add("tag-style", line, f"the run tag {tag} lacks {rules.recommended_about}")
    if board.part_from == "tag" and match:
        named = match.group("part")
        if report.part not in (None, named):
            findings.add("part", line, f"given as a run for {report.part}, but its tag {tag} says {named}")
        report.part = report.part or named
    if rules.begins and team and report.part:
        start = rules.begins.format(part=report.part, team=team)
        if match and not tag.startswith(start):
            findings.add("tag-team", line, f"the run tag {tag} does not begin with {start}")


def _part(report: RunReport, board: Leaderboard, line: int) -> str | None:
    if board.part_from == "file":
        words = re.split(r"[^A-Za-z0-9]+", report.run.file_name)
        named = [part for part in board.parts if part in words]
        if len(named) == 1:
            return named[0]
    if "part" not in report.findings.counts and "tag-form" not in report.findings.counts:
        known = ", ".join(board.parts)
        report.findings.add(
            "part", line, f"the file's name does not say which part this run is for: give it as PART=FILE ({known})"
        )
    return None


def _collect(rows: Rows, collector: Collector, report: RunReport, board: Leaderboard) -> None:
    """Check the lines of a block each by itself, and take them in."""
    findings = report.findings
    docids = board.docids_of(report.part)
    if board.qids.pattern:
        columns.check_ids(rows, "qid", board.qids.pattern, board.qids.about, findings)
    if docids.pattern:
        columns.check_ids(rows, "docid", docids.pattern, docids.about, findings)
    if docids.highest is not None:
        columns.check_highest(rows, docids.highest, findings)
    scores = None
    if report.form == "trec":
        if board.iteration is not None:
            columns.check_iteration(rows, board.iteration, findings)
        scores = columns.scores_of(rows, findings)
    collector.add(rows, columns.ranks_of(rows, findings), scores)


def _check_rankings(report: RunReport, collector: Collector, board: Leaderboard, expected: Expected) -> None:
    findings, run = report.findings, collector.rankings()
    report.topics = len(run.topics)

    def docids(lines: Integers) -> pl.Series:
        return read_docids(Path(report.run.path), report.form, lines)

    rankings.check_duplicates(run, docids, findings)
    rankings.check_split(run, findings)
    if expected.documents is not None:
        rankings.check_documents(run, expected.documents, docids, findings)
    else:
        has_shape = board.docids_of(report.part).pattern is not None
        report.unchecked.append(f"documents{' (only the shape of their ids)' if has_shape else ''}")
    run = rankings.by_topic(run)
    if expected.topics is None:
        report.unchecked.append("topics")
    rankings.check_topics(run, expected.topics, findings)
    rankings.check_hits(run, board.hits, findings)
    if report.form == board.form:
        rankings.check_ranks(run, board.ranks, findings)
    if report.form == "trec":
        rankings.check_scores(run, docids, findings)


def _check_number(part: str | None, number: int, board: Leaderboard, together: Findings) -> None:
    if part is None and board.parts:
        return
    where = f" for {part}" if part else ""
    if not number:
        together.add("part-missing", None, f"no run{where} ({board.parts[part or ''].about}), which is needed")
    elif board.runs.least is not None and number < board.runs.least:
        together.add(
            "number-of-runs",
            None,
            f"{number} {'runs' if number > 1 else 'run'}{where}; at least {board.runs.least} are asked for",
        )
    if board.runs.most is not None and number > board.runs.most:
        together.add("number-of-runs", None, f"{number} runs{where}; at most {board.runs.most} are accepted")


def as_json(report: RunReport) -> dict[str, object]:
    """A report as JSON's types."""
    findings = report.findings
    return {
        "form": report.form,
        "part": report.part,
        "tag": report.tag,
        "lines": report.lines,
        "topics": report.topics,
        "not checked": report.unchecked,
        **findings_as_json(findings),
    }


def findings_as_json(findings: Findings) -> dict[str, object]:
    """Findings as JSON's types: how many of each kind, and those that are kept."""
    return {
        "errors": findings.count("error"),
        "warnings": findings.count("warning"),
        "counts": findings.counts,
        "findings": [dict(itertools.islice(one._asdict().items(), 1, None)) for one in findings.in_order()],
    }
