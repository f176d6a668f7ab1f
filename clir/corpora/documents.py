"""Documents from files: JSON, tables and TREC's markup; compressed or not, one file or a folder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from clir.corpora import tables
from clir.corpora.collection import Document
from clir.corpora.distinct import DistinctIds
from clir.corpora.formats import Form, form_of_name, form_of_text, saying_how_to_convert
from clir.corpora.languages import known_tag
from clir.corpora.text import checked_id, storable
from clir.corpora.topic_records import LONG, is_header
from clir.corpora.trec_documents import trec_documents
from clir.support.errors import ClirError, UsageError, quoted
from clir.support.files import existing, open_text
from clir.support.json_records import json_records
from clir.support.progress import say

ID_KEYS = ("id", "docid", "_id", "docno", "doc_id")
TEXT_KEYS = ("contents", "text", "body")
LANGUAGE_KEYS = ("language", "lang")
# As much of a file as its form is told by.
START = 1 << 12
# MS MARCO's documents, which have no header.
MSMARCO = ("id", "url", "title", "text")
_HEADER_TEXTS = (*TEXT_KEYS, "content", "passage", "title")
_HEADER_SURE = ("docid", "_id", "docno", "doc_id")
Records = Iterator[tuple[str, Mapping[str, Any]]]


def read_documents(path: str | Path) -> Iterator[Document]:
    """Stream the documents of a file, or of all such files of a folder in the order of their names.

    Forms, by the file's name, otherwise by its first character: JSON objects (a line each, in a list, or over several
    lines) with `id` (or `docid`, `_id`, `docno`, `doc_id`), `contents`, `text` or `body`, optional `title` and
    `language` (or `lang`, a code or an English name); CSV, Parquet, and tab-separated tables with these names in their
    first line; an id and a text with a tab between; MS MARCO's four columns; TREC's `<DOC>` markup. Other keys are
    ignored and blank lines skipped. An id is a string (an integer counts as its digits). A document with an empty text
    is a document, as in Pyserini; how many there are is said on stderr at the end. A few bytes of each id are kept in
    memory, to refuse a second document with it.

    Raises UsageError if `path` is missing (at once), ClirError with file and line for a bad line,
    and ClirError if there is no document at all.
    """
    return _documents(document_files(path), Path(path))


def count_documents(path: str | Path) -> int:
    """How many documents `read_documents` would give, if nothing is wrong with them."""
    return sum(1 for file in document_files(path) for _ in _records(file))


def document_files(path: str | Path, forms: Sequence[Form] = ("json", "columns", "table", "markup")) -> list[Path]:
    """The files that hold the documents of `path`: itself, or those in the folder that are of one of these forms by
    their names, or, without an ending, by their beginning; in the order of names."""
    path = existing(path, "documents")
    if not path.is_dir():
        return [path]
    files = [file for file in _visible(path) if _form_in_folder(file) in forms]
    if not files:
        read = ".jsonl" if tuple(forms) == ("json",) else ".jsonl, .csv, .tsv, .parquet or TREC's markup"
        raise UsageError(f"no file to read in the folder {path} ({read}, compressed or not)")
    return files


def document_form(path: Path) -> Form:
    """The form of a file of documents; ClirError for one that is in none of them."""
    if form := form_of_name(path):
        return form
    with open_text(path, "documents") as handle:
        return _form_begun(handle, path)


def _form_begun(handle: IO[str], path: Path) -> Form:
    """The form of an open file, of which nothing is read: what is read of a pipe does not come again."""
    start = handle.buffer.peek(START).decode("utf-8", "ignore").lstrip("\ufeff")  # type: ignore[attr-defined]
    if form := form_of_text(start):
        return form
    first = start.lstrip().split("\n", 1)[0]
    if first and "\t" not in first:
        raise ClirError(f"{path}: no documents: not JSON, no table with tabs, and no <DOC> ({quoted(first, 40)})")
    return "table"


def _visible(folder: Path) -> list[Path]:
    return sorted(file for file in folder.iterdir() if not file.name.startswith(".") and file.is_file())


def _form_in_folder(file: Path) -> Form | None:
    """The form of a file that stands beside others, which need not be documents."""
    form = form_of_name(file)
    if form in (None, "markup"):
        return "markup" if begins_with_doc(file) else None
    return form


def begins_with_doc(file: Path) -> bool:
    """Whether a file begins as TREC's documents do, perhaps with a root's tag before them."""
    try:
        with open_text(file) as handle:
            start = handle.read(START).lstrip().lower()
    except ClirError:
        return False
    return start.startswith("<") and ("<doc>" in start or "<doc " in start)


def _documents(files: list[Path], path: Path) -> Iterator[Document]:
    seen = DistinctIds()
    without_text = unknown = 0
    for file in files:
        for where, record in _records(file):
            document = document_of(record, where)
            if not seen.add(document.docid):
                raise ClirError(f"{where}: document id {quoted(document.docid)} is there twice")
            without_text += not document.contents
            unknown += bool(_tag(record)) and not document.language
            yield document
    if not len(seen):
        raise ClirError(f"{path} has no documents")
    if without_text:
        say(f"{path}: {without_text:,} of {len(seen):,} documents have no text")
    if unknown:
        say(f"{path}: {unknown:,} of {len(seen):,} documents name a language that is no code, and count as without one")
    if path.is_dir():
        _say_what_was_read(path, files)


def _say_what_was_read(folder: Path, files: list[Path]) -> None:
    """What in a folder was no document, and that files of several forms were: topics may lie beside the documents."""
    if others := [file.name for file in _visible(folder) if file not in files]:
        say(f"{folder}: files that are not read as documents: {_some(others)}")
    first_of = {_form_in_folder(file): file.name for file in reversed(files)}
    if len(first_of) > 1:
        say(f"{folder}: files of several forms were read as documents, among them {_some(sorted(first_of.values()))}")


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:4]) + (f", and {len(names) - 4:,} more" if len(names) > 4 else "")


def _records(file: Path) -> Records:
    form = form_of_name(file)
    if form == "columns":
        with saying_how_to_convert():
            for where, record in tables.records(file, "documents"):
                yield where, _in_small_letters(record)
        return
    if form == "json":
        with open_text(file, "documents") as handle:
            yield from json_records(handle, file)
        return
    with saying_how_to_convert(), open_text(file, "documents") as handle:
        form = form or _form_begun(handle, file)
        if form == "json":
            yield from json_records(handle, file)
        elif form == "markup":
            yield from trec_documents(handle, file)
        else:
            yield from _table(handle, file)


def _in_small_letters(record: Mapping[str, Any]) -> Mapping[str, Any]:
    small = {name.strip().lower(): value for name, value in record.items()}
    return small if len(small) == len(record) else record


def _table(handle: IO[str], file: Path) -> Records:
    """The rows of tab-separated documents, under the names that the first line gives, or that their number has."""
    quoted_cells = False
    # A pipe cannot be gone through twice.
    if file.is_file():
        with open_text(file, "documents") as lines:
            quoted_cells = tables.is_quoted(lines)
    if quoted_cells:
        say(f"{file}: its cells stand in quotes, as CSV has them: the quotes are taken off")
    rows = tables.rows(handle, file, quoted=quoted_cells)
    first = next(rows, None)
    if first is None:
        return
    if is_header(first.cells, ID_KEYS, _HEADER_SURE, _HEADER_TEXTS):
        say(f"{first.where}: read as the names of the columns ({', '.join(first.cells)}), not as a document")
        for where, record in tables.named(_after(first, rows), file):
            yield where, _in_small_letters(record)
        return
    names = _columns(first)
    if names == MSMARCO:
        say(f"{file}: four columns, read as MS MARCO's documents: {', '.join(names)}")
    for where, cells in _after(first, rows):
        if len(cells) != len(names):
            raise ClirError(
                f"{where}: {len(cells)} columns, not the {len(names)} of the first line ({', '.join(names)})"
            )
        yield where, dict(zip(names, cells, strict=True))


def _after(first: tables.Row, rows: Iterator[tables.Row]) -> Iterator[tables.Row]:
    yield first
    yield from rows


def _columns(first: tables.Row) -> tuple[str, ...]:
    where, cells = first
    if len(cells) == 2:
        return ("id", "text")
    if len(cells) == 4 and (not cells[1] or "://" in cells[1]):
        return MSMARCO
    if len(cells) == 1:
        raise ClirError(f"{where}: no tab; a line of documents is: id, tab, text")
    raise ClirError(
        f"{where}: {len(cells)} columns; a line of documents is: id, tab, text (or id, url, title, text); of "
        "others the first line has to give the names (id, title, text, ...)"
    )


def document_of(record: Mapping[str, Any], where: str) -> Document:
    """The document in one JSON object, or row of a table; ClirError, starting with `where`, if it is none."""
    docid = checked_id(_first(record, ID_KEYS, "document id", where), "document id", where)
    text = _string(_first(record, TEXT_KEYS, "text", where), "text", docid, where)
    title = _string(record.get("title") or "", "title", docid, where)
    return Document(docid, text, title, known_tag(_tag(record)))


def _tag(record: Mapping[str, Any]) -> object:
    """What a record says of its document's language."""
    return next((record[key] for key in LANGUAGE_KEYS if record.get(key)), "")


def _first(record: Mapping[str, Any], keys: tuple[str, ...], what: str, where: str) -> object:
    for key in keys:
        if key in record:
            return record[key]
    has = quoted(", ".join(record)) if record else "nothing"
    raise ClirError(f"{where}: no {what} (one of the keys {', '.join(keys)}); it has {has}")


def _string(value: object, what: str, docid: str, where: str) -> str:
    if not isinstance(value, str):
        raise ClirError(f"{where}: the {what} of document {docid[:LONG]} is not a string: {str(value)[:40]}")
    return storable(value)
