"""The description that goes with a submission: its fields from options and a YAML file, checked, and as a file."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from clir.submission.check import RunReport
from clir.submission.findings import Findings
from clir.submission.leaderboard import Field, Leaderboard, read_yaml
from clir.support.errors import ClirError, UsageError
from clir.support.files import existing

RUNS = "runs"
# What a listed run has besides the leaderboard's own fields.
_OF_A_RUN = ("file", "part", "tag", "topics", "lines", "sha256")


@dataclass(frozen=True)
class Description:
    """What somebody says of a submission: the keys and values of a file (or none), and the line of every key."""

    values: Mapping[str, Any] = field(default_factory=dict)
    name: str = "metadata"
    lines: Mapping[str, int] = field(default_factory=dict)


def read_description(path: str | Path) -> Description:
    """A YAML (or JSON) file; UsageError if it is not there, ClirError with file and line if it is no mapping."""
    path = existing(path, "metadata")
    if path.is_dir():
        raise UsageError(f"metadata is a folder, not a file: {path}")
    return description_of(path.read_bytes(), str(path))


def description_of(text: bytes, name: str) -> Description:
    """The description in a YAML (or JSON) text; errors as `read_description`."""
    values = read_yaml(text, name)
    if not all(isinstance(key, str) for key in values):
        raise ClirError(f"{name}: its keys are not all words")
    root = yaml.compose(text, yaml.SafeLoader)
    pairs = root.value if isinstance(root, yaml.MappingNode) else []
    return Description(values, name, {key.value: key.start_mark.line + 1 for key, _ in pairs})


def fields_of(
    board: Leaderboard, description: Description, options: Mapping[str, str | None], findings: Findings
) -> dict[str, str]:
    """The fields of a submission in the leaderboard's order: from options, else the description, else the default.

    What is missing, not text, or not one of the values that the leaderboard takes goes to `findings`, as does a key
    that it does not know. Raises UsageError for an option that the leaderboard has no field for.
    """
    fields = board.metadata.fields
    known = {one.option or name for name, one in fields.items()}
    for option, value in options.items():
        if value is not None and option not in known:
            raise UsageError(f"--{option} means nothing to {board.name}; it has: {', '.join(sorted(known))}")
    _report_unknown(board, description, findings)
    given = {
        name: value
        for name, one in fields.items()
        if (value := options.get(one.option or name) or description.values.get(name)) is not None
    }
    filled = {}
    for name, one in fields.items():
        hint = f"--{one.option or name}" if (one.option or name) in options else "in the --metadata file"
        value = _value(given, name, one, hint, description, findings)
        if value is not None:
            filled[name] = value
    return filled


def run_fields_of(
    board: Leaderboard, description: Description, report: RunReport, findings: Findings
) -> dict[str, str]:
    """The fields of one run: what the description says of it under `runs`, else of all runs; faults as `fields_of`."""
    own: Any = description.values.get(RUNS) or {}
    names = _names(report)
    said: Mapping[str, Any] = next(
        (own[name] for name in names if isinstance(own, dict) and isinstance(own.get(name), dict)), {}
    )
    filled = {}
    for name, one in board.metadata.run_fields.items():
        given = {name: value} if (value := said.get(name, description.values.get(name))) is not None else {}
        run = report.tag or report.run.file_name
        value = _value(given, name, one, f"for run {run}, {_how(name)}", description, findings)
        if value is not None:
            filled[name] = value
    return filled


def check_run_entries(
    board: Leaderboard, description: Description, reports: Sequence[RunReport], findings: Findings
) -> None:
    """Report what stands under `runs` to no effect: what is said of no run here, and fields that runs do not have."""
    own = description.values.get(RUNS)
    if own is None or not _has_runs(board):
        return
    line = description.lines.get(RUNS)
    if not isinstance(own, dict):
        findings.add("metadata", line, f"{RUNS} is not a mapping of runs to their fields")
        return
    known = {name: None for report in reports for name in _names(report) if name}
    fields = board.metadata.run_fields
    for name, said in own.items():
        if name not in known:
            findings.add(
                "metadata",
                line,
                f"{RUNS} has {name!r}, which is no run's tag, file or part (there are: {_list(known)})",
            )
        if not isinstance(said, dict):
            findings.add("metadata", line, f"{RUNS}, {name}: not a mapping of fields to values")
            continue
        for key in said:
            if key not in fields:
                message = f"{RUNS}, {name}: {board.name} has no field {key!r} of a run (it has: {_list(fields)})"
                findings.add("metadata", line, message)


def rendered(board: Leaderboard, fields: Mapping[str, str], runs: Sequence[Mapping[str, object]]) -> bytes:
    """The metadata file: always the same bytes for the same content."""
    content: dict[str, Any] = dict(fields)
    if board.metadata.lists_runs:
        content = {"leaderboard": board.name, **content, RUNS: [dict(run) for run in runs]}
    if board.metadata.format == "json":
        return (json.dumps(content, ensure_ascii=False, indent=2) + "\n").encode()
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=1000).encode()


def packed_description(description: Description) -> Description:
    """The description in a packed metadata file: what `rendered` lists of the runs, as it is given for packing."""
    values = dict(description.values)
    values.pop("leaderboard", None)
    if isinstance(values.get(RUNS), list):
        values[RUNS] = {
            name: {key: value for key, value in run.items() if key not in _OF_A_RUN}
            for run in listed_runs(description) if isinstance(name := run.get("file", run.get("tag")), str)
        }  # fmt: skip
    return Description(values, description.name, description.lines)


def listed_runs(description: Description) -> list[Mapping[str, Any]]:
    """What a packed metadata file lists of its runs (`rendered`); nothing in any other."""
    runs = description.values.get(RUNS)
    return [run for run in runs if isinstance(run, dict)] if isinstance(runs, list) else []


def _report_unknown(board: Leaderboard, description: Description, findings: Findings) -> None:
    known = {*board.metadata.fields, *board.metadata.run_fields}
    if _has_runs(board):
        known.add(RUNS)
    for key in description.values:
        if key not in known:
            message = f"{board.name} has no field {key!r} (it has: {', '.join(sorted(known))})"
            findings.add("metadata", description.lines.get(key), message)


def _value(
    given: Mapping[str, Any], name: str, one: Field, hint: str, description: Description, findings: Findings
) -> str | None:
    line = description.lines.get(name)
    value = given.get(name, one.default)
    if value is None or value == "" != one.default:
        if one.required:
            findings.add("metadata", line, f"{name} is missing ({one.about}): give it {hint}")
        return None
    if not isinstance(value, str):
        findings.add("metadata", line, f"{name} is not text but {value!r}: put it in quotes")
    elif one.choices is not None and value not in one.choices:
        findings.add("metadata", line, f"{name} is {value!r}, not {' or '.join(map(repr, one.choices))}")
    elif one.pattern is not None and not re.fullmatch(one.pattern, value):
        findings.add("metadata", line, f"{name} is {value!r}, which is not {one.about}")
    else:
        return value
    return None


def _has_runs(board: Leaderboard) -> bool:
    return bool(board.metadata.run_fields) or board.metadata.lists_runs


def _names(report: RunReport) -> tuple[str | None, ...]:
    """What a run may be called under `runs`: where it stands in the archive, its tag, its file, its part."""
    inside = report.run.name.rpartition("!")[2] if report.run.name else None
    return inside, report.tag, report.run.file_name, report.part


def _list(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"


def _how(name: str) -> str:
    return f"in the --metadata file (`{name}:` for all runs, or under `{RUNS}:` and the run's tag)"
