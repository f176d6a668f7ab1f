"""Run files in any form: TREC, MS MARCO or JSON, known by what is in them when read, by their name when written."""

from __future__ import annotations

import re
from pathlib import Path
from types import ModuleType

from clir.runs import json_form, msmarco, trec
from clir.runs.run import Run
from clir.runs.storage import read_bytes
from clir.support.compression import without_ending
from clir.support.errors import unknown

# A module has `parse_run(data, path)` and `write_run(run, path)`.
FORMS: dict[str, ModuleType] = {"trec": trec, "msmarco": msmarco, "json": json_form}
_FIRST_LINE = re.compile(rb"^[ \t\r\v\f]*[^#\s][^\n]*", re.MULTILINE)
ENDINGS = {".json": "json", ".tsv": "msmarco"}


def read_run(path: str | Path, form: str | None = None) -> Run:
    """Read a run file, compressed or not, into canonical order.

    `form` is `trec`, `msmarco` or `json`; if None, a file that begins with `{` and a quote or `}` is JSON, one whose
    first line has three columns MS MARCO's, and any other TREC's. Raises UsageError if the file is missing or the form
    unknown; ClirError as `parse_run` of that form does.
    """
    check_form(form)
    data = read_bytes(path, "run")
    run: Run = FORMS[form or detected(data)].parse_run(data, path)
    return run


def write_run(run: Run, path: str | Path, form: str | None = None) -> None:
    """Write a run file, whole or not at all; compressed as its ending says (`.gz`, `.zst`, ...).

    `form` is `trec`, `msmarco` or `json`; if None, a name that ends in `.json` (or `.json.gz`, ...) is JSON, `.tsv`
    MS MARCO's, and any other TREC's. Raises UsageError if the form is unknown, ClirError if there is no hit.
    """
    check_form(form)
    FORMS[form or named(path)].write_run(run, path)


def check_form(form: str | None) -> None:
    """Raise UsageError for a form that is not known; None is."""
    if form is not None and form not in FORMS:
        raise unknown("form of a run", form, list(FORMS))


def detected(data: bytes) -> str:
    """The form of a run's bytes."""
    if json_form.is_json(data):
        return "json"
    first = _FIRST_LINE.search(data)
    return "msmarco" if first and len(first[0].split()) == 3 else "trec"


def named(path: str | Path) -> str:
    """The form that a file's name says."""
    return ENDINGS.get(Path(without_ending(path)).suffix, "trec")
