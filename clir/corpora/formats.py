"""In which form a file of documents or topics is written: by its name, otherwise by how it begins."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from clir.corpora.tables import CSV, PARQUET, TSV
from clir.support.compression import without_ending
from clir.support.errors import ClirError

Form = Literal["json", "columns", "table", "markup"]
JSON = (".jsonl", ".json", ".ndjson")
# TREC's markup of documents, as other tools name such files.
MARKUP = (".sgml", ".sgm", ".trec", ".trectext", ".xml")


def form_of_name(path: str | Path) -> Form | None:
    """`json`, `columns` (CSV and Parquet), `table` (tabs) or `markup` (XML and TREC's), whatever the compression; None
    for a name that says nothing."""
    name = without_ending(Path(path).name).lower()
    if name.endswith(JSON):
        return "json"
    if name.endswith((CSV, PARQUET)):
        return "columns"
    if name.endswith(TSV):
        return "table"
    return "markup" if name.endswith(MARKUP) else None


def form_of_text(start: str) -> Form | None:
    """The form of a text that begins so; None for what is neither JSON nor markup."""
    start = start.lstrip()
    if start.startswith("<"):
        return "markup"
    if start.startswith("{") or (start.startswith("[") and start[1:].lstrip()[:1] in ("{", "]", "")):
        return "json"
    return None


@contextlib.contextmanager
def saying_how_to_convert() -> Iterator[None]:
    """Add to the error of a file that is not UTF-8 how it is made so: old collections are often Latin-1."""
    try:
        yield
    except ClirError as error:
        if not isinstance(error.__cause__, UnicodeDecodeError):
            raise
        raise ClirError(f"{error}; if it is Latin-1, convert it: iconv -f latin1 -t utf-8 OLD > NEW") from error
