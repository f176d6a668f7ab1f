"""Topics from files: JSON, tables, XML and TREC's markup; which of their texts is searched, in which language."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from clir.corpora import languages, tables
from clir.corpora.collection import Topic
from clir.corpora.formats import form_of_name, form_of_text, saying_how_to_convert
from clir.corpora.text import checked_id, storable
from clir.corpora.topic_markup import marked_topics
from clir.corpora.topic_records import (
    LONG,
    TEXT_KEYS,
    Record,
    column_topics,
    field_name,
    json_topics,
    table_topics,
    with_full_names,
)
from clir.support.compression import BrokenCompression, unpacked
from clir.support.errors import ClirError, UsageError, unknown
from clir.support.files import existing, open_text
from clir.support.progress import say

# What is searched where no topic has a title (markup) or one of TEXT_KEYS (JSON and tables), in this order.
OTHER_DEFAULTS = (
    "query", "text", "question", "topic", "query_text", "query_txt", "content", "contents", "description", "summary",
)  # fmt: skip
# Of one language the first of these is read unless another is asked for.
SOURCES = ("original", "human translation")
_ENCODING = re.compile(rb"""\A\s*<\?xml[^>]*?encoding\s*=\s*["']([\w.-]+)["']""")
_START = 400


def read_topics(
    path: str | Path,
    fields: Sequence[str] | None = None,
    *,
    language: str | None = None,
    source: str | None = None,
) -> list[Topic]:
    """The topics of a file, in its order: JSON, a table, XML, or TREC's `<top>` markup; compressed or not.

    `.jsonl`/`.json` is JSON (an object a line, a list, or objects over several lines; an id `qid`, `id`, `_id`,
    `query_id`, ..., a text `text`, `query` or `title`; or one object of texts by id), `.tsv` an id and a text with a
    tab between, or columns that the first line names, as in `.csv` and `.parquet`. Under any other name the first
    character that is not white space decides: `{` or `[` is JSON, `<` is markup, anything else a table. The title is
    the text of topics in markup. Where no topic has the usual text, the next one of OTHER_DEFAULTS is taken, which is
    said on stderr.

    `fields` are the fields that make the text instead, joined by spaces: `title`, `description` and `narrative` (or
    `desc`, `narr`; CLEF's `<EN-title>` is `title`), or any other tag, key or column.

    `language` and `source` choose among the texts of a file that has topics in several languages, or by several
    translators (HC4, NeuCLIR: `original`, `human translation`, ...); without them the original is read, and that is
    said.

    Raises UsageError if the file is missing, no topic has one of the fields, or it has to be said which language or
    source is meant; ClirError with file and line for a bad line, a topic without id, without text or without one of
    the fields, or an id that is there twice; and ClirError if there is no topic at all.
    """
    path = existing(path, "topics")
    records = list(_records(path))
    for number, record in enumerate(records):
        records[number] = record._replace(qid=checked_id(record.qid, "topic id", record.where))
    records = _in_language(records, path, language, source)
    wanted = _wanted(records, fields, path) if fields is not None else None
    if wanted is None:
        records = _with_default(records, path)
    topics: dict[str, Topic] = {}
    for record in records:
        topic = _topic(record, wanted)
        if topic.qid in topics:
            raise ClirError(f"{record.where}: topic {topic.qid[:LONG]} is there twice")
        topics[topic.qid] = topic
    if not topics:
        raise ClirError(f"{path} has no topics")
    return list(topics.values())


def _records(path: Path) -> Iterator[Record]:
    form = form_of_name(path)
    if form == "columns":
        with saying_how_to_convert():
            yield from column_topics(tables.records(path, "topics"))
        return
    text = _text(path)
    if form in (None, "markup"):
        form = form_of_text(text) or "table"
    if form == "markup":
        for where, qid, fields, language in marked_topics(text, path):
            yield Record(where, qid, with_full_names(fields), "title", language)
        return
    lines = [f"{line}\n" for line in text.removesuffix("\n").split("\n")]
    yield from (json_topics if form == "json" else table_topics)(lines, path)


def _text(path: Path) -> str:
    """A whole file: UTF-8, or XML in the encoding that it declares."""
    if path.is_file():
        with open(path, "rb") as handle:
            start = handle.read(_START)
        declared = _ENCODING.match(start)
        wide = start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        if wide or (declared and declared[1].lower() not in (b"utf-8", b"utf8")):
            encoding = "utf-16" if wide else declared[1].decode("ascii")  # type: ignore[index]
            try:
                return unpacked(path).decode(encoding)
            except (LookupError, UnicodeError, BrokenCompression) as error:
                raise ClirError(f"{path} cannot be read as {encoding}, which it says it is: {error}") from error
    with saying_how_to_convert(), open_text(path, "topics") as text:
        return text.read()


def _topic(record: Record, wanted: Sequence[str] | None) -> Topic:
    qid = str(record.qid)
    parts = []
    for name in [record.default or "text"] if wanted is None else wanted:
        text = storable(record.fields.get(name, "")).strip()
        if not text:
            raise ClirError(f"{record.where}: topic {qid[:LONG]} has no {'text' if wanted is None else name}")
        parts.append(text)
    return Topic(qid, " ".join(parts))


def _wanted(records: Sequence[Record], fields: Sequence[str], path: Path) -> list[str]:
    """The names of the fields that are asked for, as the records have them; UsageError for one that no topic has."""
    known = _names(records)
    wanted = []
    for field in fields:
        name = next((name for name in (field, field.lower(), field_name(field)) if name in known), None)
        if name is None and records:
            raise UsageError(f"{path}: {unknown('field of topics', field_name(field), known)}")
        wanted.append(name or field)
    return wanted


def _names(records: Sequence[Record]) -> list[str]:
    return list({name: None for record in records for name in record.fields})


def _with_default(records: Sequence[Record], path: Path) -> list[Record]:
    """The records, each with the field that is searched; what is not the usual one is said."""
    usual = [record for record in records if record.fields.get(record.default or "", "").strip()]
    if usual or not records:
        return list(records)
    known = _names([record for record in records if any(text.strip() for text in record.fields.values())])
    if not known:
        return list(records)
    name = next((name for name in OTHER_DEFAULTS if any(record.fields.get(name) for record in records)), None)
    if name is None:
        raise UsageError(
            f"{path}: no title, text or query to search; choose with --fields what makes the text: {', '.join(known)}"
        )
    missing = "title" if records[0].default == "title" else ", ".join(TEXT_KEYS)
    others = [other for other in known if other != name]
    more = f" (--fields chooses among {', '.join([name, *others])})" if others else ""
    say(f"{path}: the topics have no {missing}; their {name} is searched{more}")
    return [record._replace(default=name) for record in records]


def _in_language(records: list[Record], path: Path, language: str | None, source: str | None) -> list[Record]:
    """The records in the language, and of the source, that are asked for, or that are the file's own."""
    versions = list(dict.fromkeys((record.language, record.source) for record in records))
    if language is None and source is None and (len(versions) < 2 or _are_topics_of_their_own(records)):
        return records
    listed = ", ".join(_named(version) for version in versions)
    if language is not None:
        language = _language(language, [one for one, _ in versions], path)
        versions = [version for version in versions if version[0] == language]
    if source is not None:
        found = _source(source, [one for _, one in versions], path)
        versions = [version for version in versions if version[1] == found]
    left_open = len(versions) > 1
    if len({one for one, _ in versions}) > 1:
        originals = [version for version in versions if version[1] == SOURCES[0]]
        if len(originals) != 1:
            raise UsageError(f"{path} has topics in several languages: choose with --topics-language ({listed})")
        versions = originals
    if len(versions) > 1:
        preferred = [version for name in SOURCES for version in versions if version[1] == name]
        if not preferred:
            raise UsageError(f"{path} has several texts of a topic: choose with --topics-source ({listed})")
        versions = preferred[:1]
    chosen = versions[0]
    kept = [record for record in records if (record.language, record.source) == chosen]
    if left_open:
        say(f"{path} has topics in {listed}; {_named(chosen)} is read (--topics-language, --topics-source)")
    topics, left = {record.qid for record in records}, {record.qid for record in kept}
    if without := len(topics) - len(left):
        say(f"{path}: {without:,} of {len(topics):,} topics are left out: they are not there in {_named(chosen)}")
    return kept


def _are_topics_of_their_own(records: Sequence[Record]) -> bool:
    """Whether the texts in several languages are no translations of each other: no id comes twice."""
    return not any(record.source for record in records) and len({record.qid for record in records}) == len(records)


def _named(version: tuple[str, str]) -> str:
    language, source = version
    return f"{language or 'no language'}{f' ({source})' if source else ''}"


def _language(wanted: str, known: Sequence[str], path: Path) -> str:
    """What the file calls a language; UsageError if it has no topics in it."""
    named = list(dict.fromkeys(one for one in known if one))
    if not named:
        raise UsageError(f"--topics-language goes with a collection; {path} is a file that does not say its languages")
    if wanted in named:
        return wanted
    codes = {languages.known_tag(one) or one: one for one in named}
    if code := languages.code_for(wanted, codes):
        return codes[code]
    raise UsageError(f"{path} has no topics in {wanted!r} (it has: {', '.join(named)})")


def _source(wanted: str, known: Sequence[str], path: Path) -> str:
    """The source of that name, or that begins so; UsageError if there is none, or several."""
    named = list(dict.fromkeys(one for one in known if one))
    if not named:
        raise UsageError(f"{path} does not say where its topics' texts are from: --topics-source is not for it")
    alike = [one for one in named if one.lower().startswith(wanted.lower())]
    if wanted in named:
        return wanted
    if len(alike) != 1:
        raise UsageError(f"{path}: {unknown('source of topics', wanted, named)}")
    return alike[0]
