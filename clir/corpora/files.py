"""Documents and topics from files: JSON lines, tab-separated, TREC topics; plain or gzipped."""

from __future__ import annotations

import html
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from clir.corpora.collection import Document, Topic
from clir.corpora.distinct import DistinctIds
from clir.corpora.languages import known_tag
from clir.corpora.text import checked_id, storable
from clir.support.errors import ClirError, UsageError, quoted, unknown
from clir.support.files import existing, open_text
from clir.support.json_records import json_records
from clir.support.progress import say

DOCUMENT_ID_KEYS = ("id", "docid", "_id")
DOCUMENT_TEXT_KEYS = ("contents", "text")
DOCUMENT_LANGUAGE_KEYS = ("language", "lang")
TOPIC_ID_KEYS = ("qid", "id", "_id", "query_id")
TOPIC_TEXT_KEYS = ("text", "query", "title")
# The full names of TREC's tags.
FIELD_NAMES = {"desc": "description", "narr": "narrative"}
# As much of an id as a message shows.
LONG = 120
_JSON_ENDINGS = (".jsonl", ".json", ".jsonl.gz", ".json.gz")
_TABLE_ENDINGS = (".tsv", ".tsv.gz")


def read_documents(path: str | Path) -> Iterator[Document]:
    """Stream the documents of a JSON-lines file, or of all such files of a folder in the order of their names.

    One object a line with `id` (or `docid`, `_id`), `contents` or `text`, optional `title` and
    `language` (or `lang`, a code or an English name); other keys are ignored and blank lines skipped. An id is a string
    (an integer counts as its digits). A document with an empty text is a document, as in Pyserini; how
    many there are is said on stderr at the end. A few bytes of each id are kept in memory, to refuse a
    second document with it.

    Raises UsageError if `path` is missing (at once), ClirError with file and line for a bad line,
    and ClirError if there is no document at all.
    """
    return _documents(document_files(path), Path(path))


def count_documents(path: str | Path) -> int:
    """How many documents `read_documents` would give: lines that are not blank, not looked into."""
    total = 0
    for file in document_files(path):
        with open_text(file, "documents") as lines:
            total += sum(1 for line in lines if not line.isspace())
    return total


def document_files(path: str | Path) -> list[Path]:
    """The files that hold the documents of `path`: itself, or the JSON files in the folder, by name."""
    path = existing(path, "documents")
    if not path.is_dir():
        return [path]
    files = sorted(file for file in path.iterdir() if file.name.endswith(_JSON_ENDINGS) and file.is_file())
    if not files:
        raise UsageError(f"no .jsonl or .jsonl.gz file in the folder {path}")
    return files


def _documents(files: list[Path], path: Path) -> Iterator[Document]:
    seen = DistinctIds()
    without_text = unknown = 0
    for file in files:
        with open_text(file, "documents") as lines:
            for where, record in json_records(lines, file):
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


def document_of(record: Mapping[str, Any], where: str) -> Document:
    """The document in one JSON object; ClirError, starting with `where`, if it is none."""
    docid = checked_id(_first(record, DOCUMENT_ID_KEYS, "document id", where), "document id", where)
    text = _string(_first(record, DOCUMENT_TEXT_KEYS, "text", where), "text", docid, where)
    title = _string(record.get("title") or "", "title", docid, where)
    return Document(docid, text, title, known_tag(_tag(record)))


def _tag(record: Mapping[str, Any]) -> object:
    """What a record says of its document's language."""
    return next((record[key] for key in DOCUMENT_LANGUAGE_KEYS if record.get(key)), "")


class _Record(NamedTuple):
    """A topic as it stands in a file: `path:line`, its id, its fields, and which of them is the text by default."""

    where: str
    qid: object
    fields: dict[str, str]
    default: str


def read_topics(path: str | Path, fields: Sequence[str] | None = None) -> list[Topic]:
    """The topics of a file, in its order: JSON lines, `qid<TAB>text`, or TREC's `<top>` markup.

    `.jsonl`/`.json` is read as JSON lines (keys `qid`, `id`, `_id` or `query_id`; `text`, `query`
    or `title`) and `.tsv` as two columns; under any other name the first character that is not
    white space decides: `{` is JSON lines, `<` is TREC (the title is the text), anything else two
    columns. `.gz` may follow.

    `fields` are the fields that make the text instead, joined by spaces: TREC's `title`, `description`
    and `narrative` (or `desc`, `narr`; CLEF's `<EN-title>` is `title`), or any keys of JSON lines.

    Raises UsageError if the file is missing or no topic has one of the fields, ClirError with file and
    line for a bad line, a topic without text or without one of the fields, or an id that is there
    twice, and ClirError if there is no topic at all.
    """
    path = Path(path)
    with open_text(path, "topics") as handle:
        lines = handle.readlines()
    read = {"json": _json_topics, "trec": _trec_topics, "table": _table_topics}[_topic_format(path, lines)]
    records = list(read(lines, path))
    wanted = None if fields is None else [field_name(name) for name in fields]
    known = {name: None for record in records for name in record.fields}
    for name in wanted or () if records else ():
        if name not in known:
            raise UsageError(f"{path}: {unknown('field of topics', name, tuple(known))}")
    topics: dict[str, Topic] = {}
    for record in records:
        topic = _topic(record, wanted)
        if topic.qid in topics:
            raise ClirError(f"{record.where}: topic {topic.qid[:LONG]} is there twice")
        topics[topic.qid] = topic
    if not topics:
        raise ClirError(f"{path} has no topics")
    return list(topics.values())


def field_name(name: str) -> str:
    """The full name of a topic's field: `desc` and `EN-desc` are `description`."""
    name = re.sub(r"^[a-z]{2}-", "", name.lower())
    return FIELD_NAMES.get(name, name)


def _topic(record: _Record, wanted: Sequence[str] | None) -> Topic:
    qid = checked_id(record.qid, "topic id", record.where)
    parts = []
    for name in [record.default] if wanted is None else wanted:
        text = storable(record.fields.get(name, "")).strip()
        if not text:
            raise ClirError(f"{record.where}: topic {qid[:LONG]} has no {'text' if wanted is None else name}")
        parts.append(text)
    return Topic(qid, " ".join(parts))


def _topic_format(path: Path, lines: list[str]) -> str:
    if path.name.endswith(_JSON_ENDINGS):
        return "json"
    if path.name.endswith(_TABLE_ENDINGS):
        return "table"
    start = next((line.lstrip()[0] for line in lines if line.strip()), "")
    return {"{": "json", "<": "trec"}.get(start, "table")


def _json_topics(lines: list[str], path: Path) -> Iterator[_Record]:
    for where, record in json_records(io.StringIO("".join(lines), newline="\n"), path):
        qid = checked_id(_first(record, TOPIC_ID_KEYS, "topic id", where), "topic id", where)
        default = next((key for key in TOPIC_TEXT_KEYS if record.get(key) is not None), "text")
        if not isinstance(record.get(default, ""), str):
            raise ClirError(f"{where}: the text of topic {qid[:LONG]} is not a string")
        texts = {key: text for key, text in record.items() if isinstance(text, str) and key not in TOPIC_ID_KEYS}
        yield _Record(where, qid, {**{field_name(key): text for key, text in texts.items()}, **texts}, default)


def _table_topics(lines: list[str], path: Path) -> Iterator[_Record]:
    for number, line in enumerate(lines, 1):
        if line.isspace():
            continue
        where = f"{path}:{number}"
        columns = line.rstrip("\r\n").split("\t")
        if len(columns) == 1:
            raise ClirError(f"{where}: no tab; a line of topics is: id, tab, text")
        if len(columns) > 2:
            raise ClirError(f"{where}: {len(columns)} columns; a line of topics is: id, tab, text")
        yield _Record(where, columns[0], {"text": columns[1]}, "text")


# A field runs to the next tag; old TREC topics close none of them.
_TREC_FIELD = re.compile(
    r"<([\w-]+)>\s*(?:Number:|Topic:|Description:|Narrative:)?((?:[^<]|<(?![/\w]))*)", re.IGNORECASE
)


def _trec_topics(lines: list[str], path: Path) -> Iterator[_Record]:
    for first_line, block in _trec_blocks(lines, path):
        where = f"{path}:{first_line}"
        fields: dict[str, str] = {}
        for name, text in _TREC_FIELD.findall(block):
            fields.setdefault(field_name(name), " ".join(html.unescape(text).split()))
        if "num" not in fields:
            raise ClirError(f"{where}: a <top> without <num>")
        yield _Record(where, fields.pop("num"), fields, "title")


def _trec_blocks(lines: list[str], path: Path) -> Iterator[tuple[int, str]]:
    start, block = 0, []
    for number, line in enumerate(lines, 1):
        tag = line.strip().lower()
        if tag.startswith("<top>"):
            if start:
                raise ClirError(f"{path}:{number}: a <top> begins before the one of line {start} is closed")
            start, block = number, [line.lstrip()[len("<top>") :]]
        elif start:
            block.append(line)
        if start and tag.endswith("</top>"):
            yield start, "".join(block)
            start = 0
    if start:
        raise ClirError(f"{path}:{start}: this <top> is never closed")


def _first(record: Mapping[str, Any], keys: tuple[str, ...], what: str, where: str) -> object:
    for key in keys:
        if key in record:
            return record[key]
    raise ClirError(f"{where}: no {what} (one of the keys {', '.join(keys)})")


def _string(value: object, what: str, docid: str, where: str) -> str:
    if not isinstance(value, str):
        raise ClirError(f"{where}: the {what} of document {docid[:LONG]} is not a string: {str(value)[:40]}")
    return storable(value)
