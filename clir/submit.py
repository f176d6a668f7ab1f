"""The door `python -m clir.submit`: runs held against a leaderboard's rules, and packed as it wants them."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clir.support.command import Parser, run_door

if TYPE_CHECKING:
    from clir.submission.check import RunReport, RunToCheck
    from clir.submission.findings import Findings
    from clir.submission.leaderboard import Leaderboard
    from clir.submission.metadata import Description

EXAMPLES = """
python -m clir.submit rules                             the leaderboards that are known
python -m clir.submit rules --leaderboard neuclir       its rules, where they are from, what of them is not verified
python -m clir.submit check --leaderboard trec --runs bm25.run dense.run --topics topics.tsv
python -m clir.submit check --leaderboard ciral --runs sw=dense.run --collection sw=ciral/sw/test-a
python -m clir.submit pack --leaderboard neuclir --runs fas-us-AND_one --topics topics.jsonl --metadata about.yaml --output ours.tar.gz
python -m clir.submit pack --leaderboard msmarco --runs dev.run eval.run --topics dev=dev.tsv eval=eval.tsv --id 20250131-us --team Us --description "a model" --type "full ranking" --output 20250131-us.tar.gz
python -m clir.submit check --leaderboard msmarco --archive 20250131-us.tar.gz --topics dev=dev.tsv eval=eval.tsv
"""  # noqa: E501
DESCRIPTION = """Hold runs against the rules of a leaderboard or shared task, and pack what passes.

check  name everything that would be refused (error) or is likely a mistake (warning), with file and line
pack   check, refuse what has an error, and write the archive: the same bytes for the same input
rules  the leaderboards, or the rules of one

Where a leaderboard has parts (languages, sets of queries), a run, topics or a collection may be given for one part as
PART=NAME. Exit status 1 where there is an error."""
# What a person says of a submission, by the option's name.
DESCRIBING = ("team", "contact", "description", "paper", "code", "type")


def parser() -> Parser:
    """The options of this door."""
    parser = Parser("submit", DESCRIPTION, EXAMPLES)
    parser.add_argument("action", choices=("check", "pack", "rules"), help="what to do")
    parser.add_argument("--leaderboard", metavar="NAME", help="a known one, or a .yaml file of rules")
    parser.add_argument("--runs", nargs="+", default=[], metavar="RUN", help="run files, each as RUN or PART=RUN")
    parser.add_argument("--archive", metavar="ARCHIVE", help="check what is in this archive, and its layout")
    parser.add_argument(
        "--topics", nargs="+", default=[], metavar="TOPICS", help="what must be covered: a file or a collection's id"
    )
    parser.add_argument(
        "--collection", nargs="+", default=[], metavar="COLLECTION",
        help="what may be retrieved (a collection's id, or a file or folder of documents); an id stands for its "
        "topics too; documents that are not on this machine are not downloaded",
    )  # fmt: skip
    parser.add_argument("--output", metavar="ARCHIVE", help="the archive to write")
    parser.add_argument(
        "--metadata", metavar="FILE", help="a YAML file (or .json) with what the leaderboard asks about the runs"
    )
    parser.add_argument("--id", help="the submission's id, where the leaderboard wants one")
    parser.add_argument("--team", help="the team's name")
    parser.add_argument("--contact", help="an address to write to")
    parser.add_argument("--description", metavar="TEXT", help="the model, or how the runs were made")
    parser.add_argument("--paper", metavar="URL", help="address of a paper")
    parser.add_argument("--code", metavar="URL", help="address of the code")
    parser.add_argument("--type", help="the kind of runs, in the leaderboard's words")
    parser.add_argument("--all", action="store_true", help="show all findings (default: the first 10 of each kind)")
    parser.add_argument("--json", action="store_true", help="JSON on stdout")
    return parser


def work(options: argparse.Namespace) -> None:
    """Do what was asked."""
    from clir.submission.leaderboard import read_leaderboard
    from clir.support.errors import UsageError

    if options.action == "rules":
        _rules(options)
        return
    if options.leaderboard is None:
        raise UsageError(f"{options.action} needs --leaderboard (python -m clir.submit rules lists them)")
    board = read_leaderboard(options.leaderboard)
    if options.action == "check":
        _check(options, board)
    else:
        _pack(options, board)


def _check(options: argparse.Namespace, board: Leaderboard) -> None:
    from clir.submission.archive import unpacked
    from clir.submission.findings import SHOWN, Findings
    from clir.submission.metadata import check_run_entries, fields_of, run_fields_of
    from clir.support.errors import UsageError

    if bool(options.runs) == bool(options.archive):
        raise UsageError("check needs either --runs or --archive")
    for name in ("output", "id"):
        if getattr(options, name) is not None:
            raise UsageError(f"--{name} is for pack")
    if options.archive:
        for name in ("metadata", *DESCRIBING):
            if getattr(options, name) is not None:
                raise UsageError(f"--{name} does not go with --archive, which has its own metadata inside")
    description = _description(options)
    if options.runs:
        reports, together = _checked(options, board, _runs(options, board), description)
        faults = [together]
        if options.metadata or any(_described(options).values()):
            about = Findings(description.name, dict(board.levels), None)
            fields_of(board, description, _described(options), about)
            check_run_entries(board, description, reports, about)
            for report in reports:
                run_fields_of(board, description, report, about)
            faults.append(about)
        _show(options, board, reports, faults)
        return
    # What a stranger wrote can have any number of faults.
    shown = None if options.all else SHOWN
    layout = Findings(options.archive, dict(board.levels), shown)
    with unpacked(board, options.archive, layout) as (runs, packed):
        if packed is not None:
            about = Findings(packed.name, dict(board.levels), shown)
            fields_of(board, packed, {}, about)
        reports, together = _checked(options, board, runs, packed or description)
        if packed is not None:
            check_run_entries(board, packed, reports, about)
            for report in reports:
                run_fields_of(board, packed, report, about)
        _show(options, board, reports, [layout, together, *([about] if packed is not None else [])])


def _pack(options: argparse.Namespace, board: Leaderboard) -> None:
    from clir.submission.archive import check_ending, member_names, write_archive
    from clir.submission.findings import Findings
    from clir.submission.metadata import check_run_entries, fields_of, run_fields_of
    from clir.support.errors import UsageError
    from clir.support.files import check_output
    from clir.support.manifest import checksums, manifest_beside

    if not options.runs or not options.output:
        raise UsageError("pack needs --runs and --output")
    if options.archive:
        raise UsageError("--archive is for check")
    check_ending(board, options.output)
    id = _id(options, board)
    description = _description(options)
    runs = _runs(options, board)
    check_output(options.output, [*(run.path for run in runs), options.metadata])
    about = Findings(description.name, dict(board.levels), None)
    fields = fields_of(board, description, _described(options), about)
    reports, together = _checked(options, board, runs, description, converts=True)
    check_run_entries(board, description, reports, about)
    run_fields = [run_fields_of(board, description, report, about) for report in reports]
    _show(options, board, reports, [together, about], packing=True)
    unknown = [report.findings.file for report in reports if "topics" in report.unchecked]
    if unknown:
        raise UsageError(
            f"pack needs the topics of {', '.join(unknown)} (--topics or --collection): without them a missing "
            "topic would not be seen"
        )
    team = options.team or description.values.get("team")
    member_names(board, reports, id, team)
    with manifest_beside(
        options.output,
        method={"leaderboard": board.name, "sources": list(board.sources), "id": id, "metadata": fields},
        data=checksums({f"run {i}": run.path for i, run in enumerate(runs, start=1)}),
    ):
        names = write_archive(board, reports, fields, run_fields, options.output, id=id, team=team)
    if not options.json:
        print(f"{options.output}: {', '.join(names)}")


def _checked(
    options: argparse.Namespace, board: Leaderboard, runs: list[RunToCheck], description: Description, **more: Any
) -> tuple[list[RunReport], Findings]:
    from clir.submission.check import check_submission
    from clir.submission.expected import Expectations
    from clir.submission.findings import SHOWN

    expected = Expectations(
        board, _by_part(options.topics, board, "--topics"), _by_part(options.collection, board, "--collection")
    )
    team = options.team or description.values.get("team")
    return check_submission(runs, board, expected, team=team, shown=None if options.all else SHOWN, **more)


def _runs(options: argparse.Namespace, board: Leaderboard) -> list[RunToCheck]:
    """The runs to check; UsageError if one is not there or is named twice."""
    from clir.submission.check import RunToCheck
    from clir.support.errors import UsageError
    from clir.support.files import existing

    runs, seen = [], set()
    for given in options.runs:
        part, name = _split(given, board)
        path = existing(name, "run")
        if path.resolve() in seen:
            raise UsageError(f"--runs names the same file twice: {name}")
        seen.add(path.resolve())
        runs.append(RunToCheck(path, part))
    return runs


def _by_part(given: Sequence[str], board: Leaderboard, option: str) -> dict[str | None, str]:
    from clir.support.errors import UsageError

    found: dict[str | None, str] = {}
    for one in given:
        part, name = _split(one, board)
        if part in found:
            raise UsageError(f"{option} is given twice for {part or 'all runs'}")
        found[part] = name
    return found


def _split(given: str, board: Leaderboard) -> tuple[str | None, str]:
    """`PART=NAME` as part and name, where the leaderboard has such a part and there is no file of the whole name."""
    part, mark, name = given.partition("=")
    if mark and part in board.parts and not Path(given).exists():
        return part, name
    return None, given


def _id(options: argparse.Namespace, board: Leaderboard) -> str | None:
    import re

    from clir.support.errors import UsageError

    if board.id_pattern is None:
        if options.id is not None:
            raise UsageError(f"--id does not apply to {board.name}: leave it out")
        return None
    if options.id is None or not re.fullmatch(board.id_pattern, options.id):
        said = "is missing" if options.id is None else f"{options.id} is not of that shape"
        raise UsageError(f"{board.name} wants a submission id, {board.id_about}: --id {said}")
    return str(options.id)


def _description(options: argparse.Namespace) -> Description:
    from clir.submission.metadata import Description, read_description

    return read_description(options.metadata) if options.metadata else Description()


def _described(options: argparse.Namespace) -> dict[str, str | None]:
    return {name: getattr(options, name) for name in DESCRIBING}


def _show(
    options: argparse.Namespace,
    board: Leaderboard,
    reports: list[RunReport],
    others: list[Findings],
    packing: bool = False,
) -> None:
    """Print what was found; ClirError if there is an error in it."""
    from clir.support.errors import ClirError
    from clir.support.progress import say

    groups = [*(report.findings for report in reports), *others]
    errors = sum(group.count("error") for group in groups)
    warnings = sum(group.count("warning") for group in groups)
    if options.json:
        _print_json(board, reports, others, errors, warnings)
    else:
        for group in groups:
            _print_findings(group)
        for report in reports:
            print(_summary(report))
    if board.unverified:
        say(f"{board.name}: {len(board.unverified)} points of these rules are not verified; see: clir.submit rules")
    if errors:
        end = "not packed" if packing else f"{board.name} would refuse this"
        raise ClirError(f"{_count(errors, 'error')}: {end}")


def _print_findings(findings: Findings) -> None:
    for one in findings.in_order():
        print(one)
    for kind, number in findings.left_out().items():
        print(f"{findings.file}: {findings.level(kind)}: {number:,} more of this kind (--all shows them) [{kind}]")


def _summary(report: RunReport) -> str:
    findings = report.findings
    parts = [_count(report.lines, "line"), _count(report.topics, "topic")]
    parts += [f"tag {report.tag}"] if report.tag else []
    parts += [f"for {report.part}"] if report.part else []
    counts = [_count(findings.count("error"), "error"), _count(findings.count("warning"), "warning")]
    unchecked = f"; not checked: {', '.join(report.unchecked)}" if report.unchecked else ""
    return f"{findings.file}: {', '.join(parts)}: {', '.join(counts)}{unchecked}"


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _print_json(
    board: Leaderboard, reports: list[RunReport], others: list[Findings], errors: int, warnings: int
) -> None:
    import json

    from clir.submission.check import as_json, findings_as_json

    found = {
        "leaderboard": board.name,
        "errors": errors,
        "warnings": warnings,
        "runs": {report.findings.file: as_json(report) for report in reports},
        "others": {group.file: findings_as_json(group) for group in others if group.counts},
    }
    print(json.dumps(found, ensure_ascii=False, indent=2))


def _rules(options: argparse.Namespace) -> None:
    import json

    from clir.submission.findings import KINDS
    from clir.submission.leaderboard import leaderboards, read_leaderboard

    if options.leaderboard is None:
        boards = [read_leaderboard(name) for name in leaderboards()]
        if options.json:
            print(json.dumps({board.name: board.title for board in boards}, ensure_ascii=False, indent=2))
            return
        for board in boards:
            print(f"{board.name:<12} {board.title}")
        return
    board = read_leaderboard(options.leaderboard)
    levels = {kind: board.levels.get(kind, default.level) for kind, default in KINDS.items()}
    if options.json:
        print(json.dumps({**board.model_dump(mode="json"), "levels": levels}, ensure_ascii=False, indent=2))
        return
    print(f"{board.name}: {board.title}\n\nsources")
    print("\n".join(f"  {one}" for one in board.sources))
    print("\nnot verified" if board.unverified else "", *(f"  {one}" for one in board.unverified), sep="\n")
    print("\nrules")
    rules = board.model_dump(
        mode="json", exclude_defaults=True, exclude={"name", "title", "sources", "unverified", "levels"}
    )
    import yaml

    print("\n".join(f"  {line}" for line in yaml.safe_dump(rules, sort_keys=False, width=110).splitlines()))
    print("\nfindings")
    for kind, level in levels.items():
        print(f"  {level:<8} {kind:<16} {KINDS[kind].about}")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the door; returns the exit status."""
    return run_door(parser(), work, argv)


if __name__ == "__main__":
    raise SystemExit(main())
