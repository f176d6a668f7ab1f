"""The description that goes with a submission: its fields from options and a YAML file, checked, and as a file."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

from clir.submission.check import RunReport
from clir.submission.findings import Findings
from clir.submission.leaderboard import Field, Leaderboard
from clir.support.errors import ClirError, UsageError, quoted
from clir.support.files import open_text
from clir.support.json_records import whole
from clir.support.settings import NotText, yaml_values

RUNS = "runs"
_KIND = "description of a submission"
# What a listed run has besides the leaderboard's own fields.
_OF_A_RUN = ("file", "part", "tag", "topics", "lines", "sha256")


@dataclass(frozen=True)
class Description:
    """What somebody says of a submission: the keys and values of a file (or none), and the line of every key."""

    values: Mapping[str, Any] = field(default_factory=dict)
    name: str = "metadata"
    lines: Mapping[str, int] = field(default_factory=dict)


def read_description(path: str | Path) -> Description:
    """A YAML file, or a JSON file where its name ends in `.json`; UsageError if it is not there, ClirError with file
    and line if it holds no keys and values."""
    with open_text(path, "metadata") as handle:
        return description_of(handle.read(), str(path), "json" if str(path).endswith(".json") else "yaml")


def description_of(text: str, name: str, form: Literal["json", "yaml"] = "yaml") -> Description:
    """The description in a text; errors as `read_description`. JSON is held to its own rules, not to YAML's."""
    if form == "json":
        values = whole(text, name)
        if not isinstance(values, dict):
            raise ClirError(f"{name} is not a {_KIND}: it must be a JSON object, keys and values in braces")
        return Description(values, name, _lines_of_keys(text))
    values, lines = yaml_values(text, name, _KIND, as_written=True), _lines_of_keys(text)
    for key in values:
        if not isinstance(key, str):
            written = key.written if isinstance(key, NotText) else str(key)
            line = f":{lines[written]}" if written in lines else ""
            raise ClirError(f"{name}{line}: the key {quoted(written)} is not text: put it in quotes")
    return Description(values, name, lines)


def _lines_of_keys(text: str) -> dict[str, int]:
    """The line of every key of a text that has been read; of JSON that is not YAML too (tabs) nothing is known."""
    try:
        root = yaml.compose(text, yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError):
        return {}
    pairs = root.value if isinstance(root, yaml.MappingNode) else []
    return {str(key.value): key.start_mark.line + 1 for key, _ in pairs}


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
            raise UsageError(f"--{option} is no field of {board.name}; it has: {', '.join(sorted(known))}")
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
        value = _value(given, name, one, f"for run {run} {_how(name)}", description, findings)
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
        message = f"{RUNS} must hold keys and values: a run's tag, file or part, and under it the fields of that run"
        findings.add("metadata", line, message)
        return
    known = {name: None for report in reports for name in _names(report) if name}
    fields = board.metadata.run_fields
    for name, said in own.items():
        if name not in known:
            message = f"{RUNS} has {_shown(name)}, which is no run's tag, file or part (there are: {_list(known)})"
            findings.add("metadata", line, message)
        where = f"{RUNS}, {_shown(name)}"
        if not isinstance(said, dict):
            findings.add("metadata", line, f"{where}: must hold keys and values, the fields of that run")
            continue
        for key in said:
            if key not in fields:
                message = f"{where}: {board.name} has no field {_shown(key)} of a run (it has: {_list(fields)})"
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
            message = f"{board.name} has no field {_shown(key)} (it has: {', '.join(sorted(known))})"
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
    if isinstance(value, NotText):
        said = f"{name}: without quotes YAML reads {quoted(value.written)} as {value.what}, not as text"
        findings.add("metadata", line, f"{said}: put it in quotes")
    elif not isinstance(value, str):
        findings.add("metadata", line, f"{name} is {_shown(value)}, not text: put text there, in quotes")
    elif one.choices is not None and value not in one.choices:
        findings.add("metadata", line, f"{name} is {quoted(value)}, not {' or '.join(map(repr, one.choices))}")
    elif one.pattern is not None and not re.fullmatch(one.pattern, value):
        findings.add("metadata", line, f"{name} is {quoted(value)}, which is not {one.about}")
    else:
        return value
    return None


def _shown(value: object) -> str:
    """A key or value for a message, as it is written; of what holds others only that."""
    if isinstance(value, NotText):
        return value.written
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    return quoted(value) if isinstance(value, str) else "a list" if isinstance(value, list) else "no single value"


def _has_runs(board: Leaderboard) -> bool:
    return bool(board.metadata.run_fields) or board.metadata.lists_runs


def _names(report: RunReport) -> tuple[str | None, ...]:
    """What a run may be called under `runs`: where it stands in the archive, its tag, its file, its part."""
    inside = report.run.name.rpartition("!")[2] if report.run.name else None
    return inside, report.tag, report.run.file_name, report.part


def _list(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"


def _how(name: str) -> str:
    return f"in the --metadata file, as `{name}: ...` for all runs, or under `{RUNS}:` and this run's tag for it alone"
