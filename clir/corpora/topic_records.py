"""Topics as they stand in files of JSON or tables, before it is decided which of their texts is searched."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from clir.corpora import tables
from clir.corpora.text import checked_id
from clir.support.errors import ClirError, quoted
from clir.support.json_records import json_records
from clir.support.progress import say

ID_KEYS = ("qid", "id", "_id", "query_id", "query-id", "topic_id", "question_id", "number", "num", "topic")
# Ids that no text could be taken for, and so the beginning of a header.
_HEADER_IDS = ("qid", "_id", *ID_KEYS[3:7])
TEXT_KEYS = ("text", "query", "title")
LANGUAGE_KEYS = ("language", "lang")
# The full names of TREC's tags.
FIELD_NAMES = {"desc": "description", "narr": "narrative"}
# As much of an id as a message shows.
LONG = 120
_NUMBERED = re.compile(r"(\d+):(?:\d+:)?(.*)")


class Record(NamedTuple):
    """A topic as it stands in a file.

    `where` is `path:line`; `fields` are texts by name; `default` is the field that is searched unless another is
    asked for (None: none of the usual ones is there); `language` and `source` are "" where the file does not say.
    """

    where: str
    qid: object
    fields: dict[str, str]
    default: str | None
    language: str = ""
    source: str = ""


def field_name(name: str) -> str:
    """The full name of a topic's field: `desc`, `EN-desc` and `topic_description` are `description`."""
    name = re.sub(r"^([a-z]{2}-|topic_)", "", name.lower())
    return FIELD_NAMES.get(name, name)


def with_full_names(fields: Mapping[str, str]) -> dict[str, str]:
    """Fields by their full names; a name that two of them would have (`en-title`, `fr-title`) none gets."""
    meant = [field_name(name) for name in fields]
    return {
        meaning if meaning == name or meant.count(meaning) == 1 else name.lower(): text
        for (name, text), meaning in zip(fields.items(), meant, strict=True)
    }


def json_topics(lines: list[str], path: Path) -> Iterator[Record]:
    """Topics of JSON: objects with an id and texts, HC4's and NeuCLIR's, or one object of texts by id."""
    found = list(json_records(io.StringIO("".join(lines), newline="\n"), path))
    if len(found) == 1 and _is_by_id(found[0][1]):
        where, record = found[0]
        found = [(where, {"id": qid, **_as_fields(value)}) for qid, value in record.items()]
    for where, record in found:
        if isinstance(record.get("topics"), list):
            yield from _translated_topics(where, record)
        else:
            yield record_topic(where, record)


def _is_by_id(record: dict[str, Any]) -> bool:
    """Whether an object's keys are ids, and its values texts or the fields of topics."""
    names = {*ID_KEYS, *TEXT_KEYS, *LANGUAGE_KEYS, "description", "narrative", "question", "topics", "queries"}
    return (
        bool(record)
        and not names.intersection(map(field_name, record))
        and not names.intersection(record)
        and (all(isinstance(value, str) for value in record.values())
             or all(isinstance(value, dict) for value in record.values()))
    )  # fmt: skip


def _as_fields(value: Any) -> dict[str, Any]:
    return {"text": value} if isinstance(value, str) else {key: text for key, text in value.items() if key != "id"}


def record_topic(where: str, record: Mapping[str, Any]) -> Record:
    """The topic in one JSON object or row of a table; ClirError, starting with `where`, if it is none."""
    key = next((key for key in ID_KEYS if key in record), None)
    if key is None:
        has = quoted(", ".join(record)) if record else "nothing"
        raise ClirError(f"{where}: no topic id (one of the keys {', '.join(ID_KEYS)}); it has {has}")
    qid = checked_id(record[key], "topic id", where)
    default = next((key for key in TEXT_KEYS if record.get(key) is not None), None)
    if default is not None and not isinstance(record[default], str):
        raise ClirError(f"{where}: the text of topic {qid[:LONG]} is not a string")
    apart = (key, *LANGUAGE_KEYS)
    texts = {name: text for name, text in record.items() if isinstance(text, str) and name not in apart}
    fields = with_full_names(texts)
    if default is None and "title" in fields:
        default = "title"
    language = next((record[name] for name in LANGUAGE_KEYS if isinstance(record.get(name), str)), "")
    return Record(where, qid, fields, default, language)


def _translated_topics(where: str, record: Mapping[str, Any]) -> Iterator[Record]:
    """The texts of a topic of HC4 or NeuCLIR, one for each language and source."""
    qid = record_topic(where, {key: value for key, value in record.items() if key != "topics"}).qid
    for text in record["topics"]:
        if not isinstance(text, dict):
            raise ClirError(f"{where}: a text of topic {str(qid)[:LONG]} is not an object: {quoted(text, 40)}")
        parts = {key: value for key, value in text.items() if key not in (*ID_KEYS, "source")}
        found, source = record_topic(where, {"id": qid, **parts}), text.get("source")
        yield found._replace(source=source if isinstance(source, str) else "")


def table_topics(lines: list[str], path: Path) -> Iterator[Record]:
    """Topics of tab-separated lines: an id and a text, or columns that the first line names.

    What is done beside reading two columns is said: quotes of CSV that are taken off, a header that is left out, a tab
    inside a text.
    """
    if not any("\t" in line for line in lines) and all(_NUMBERED.match(line) for line in lines if not line.isspace()):
        yield from _numbered_topics(lines, path)
        return
    quoted_cells = tables.is_quoted(lines)
    if quoted_cells:
        say(f"{path}: its cells stand in quotes, as CSV has them: the quotes are taken off")
    rows = list(tables.rows(io.StringIO("".join(lines), newline="\n"), path, quoted=quoted_cells))
    if rows and is_header(rows[0].cells, ID_KEYS, _HEADER_IDS, (*TEXT_KEYS, *_OTHER_TEXTS)):
        say(f"{rows[0].where}: read as the names of the columns ({', '.join(rows[0].cells)}), not as a topic")
        yield from column_topics(tables.named(iter(rows), path))
        return
    wide = [row for row in rows if len(row.cells) > 2]
    if wide and 2 * len(wide) < len(rows):
        more = f" and {len(wide) - 1:,} more lines" if len(wide) > 1 else ""
        say(f"{wide[0].where}{more}: more than one tab; what stands behind the first is the text")
        joined = [row._replace(cells=[row.cells[0], " ".join(row.cells[1:])]) for row in wide]
        again = {row.where: row for row in joined}
        rows = [again.get(row.where, row) for row in rows]
    for where, cells in rows:
        if len(cells) == 1:
            raise ClirError(f"{where}: no tab; a line of topics is: id, tab, text")
        if len(cells) > 2:
            raise ClirError(
                f"{where}: {len(cells)} columns; a line of topics is: id, tab, text; of more columns the first line "
                "has to give the names (qid, text, ...), and --fields chooses among them"
            )
        yield Record(where, cells[0], {"text": cells[1]}, "text")


# Names under which a text stands in a header, beside TEXT_KEYS.
_OTHER_TEXTS = (
    "question", "queries", "topic", "content", "contents", "description", "desc", "translation", "query_text",
    "topic_title", "body", "sentence",
)  # fmt: skip


def is_header(cells: Sequence[str], ids: Sequence[str], sure: Sequence[str], texts: Sequence[str]) -> bool:
    """Whether a first row names its columns: it begins with a word that is only an id's name, or has an id's name and
    a text's."""
    names = [cell.strip().lower() for cell in cells]
    return names[0] in sure or (
        len(set(names)) == len(names) > 1
        and any(name in ids and any(text in texts for text in names if text != name) for name in names)
    )


def column_topics(rows: Iterable[tuple[str, Mapping[str, Any]]]) -> Iterator[Record]:
    """Topics of a table whose columns have names."""
    for where, record in rows:
        small = {name.strip().lower(): value for name, value in record.items()}
        found = record_topic(where, small if len(small) == len(record) else record)
        if found.default is None and len(found.fields) == 1:
            found = found._replace(default=next(iter(found.fields)))
        yield found


def _numbered_topics(lines: list[str], path: Path) -> Iterator[Record]:
    """TREC's lines of number, colon, text (`12:hotel prices`), or with a priority between (`12:1:hotel prices`)."""
    for number, line in enumerate(lines, 1):
        if found := _NUMBERED.match(line):
            yield Record(f"{path}:{number}", found[1], {"text": found[2]}, "text")
