"""The texts that a student may not be taught: what collections, and files of one's own, are asked and hold."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from typing import Any

from clir.corpora import tables
from clir.corpora.collection import Collection, WithTopicFields
from clir.corpora.documents import begins_with_doc, document_files
from clir.corpora.escapes import unescaped
from clir.corpora.formats import form_of_name
from clir.corpora.registry import open_collection
from clir.corpora.trec_documents import trec_documents
from clir.support.files import open_text
from clir.support.json_records import json_records

_MARKUP = re.compile("<[^<>]*>")


def held_out_texts(names: Iterable[str | Collection]) -> Iterator[str]:
    """Topics in every language and field, and documents; documents that collections share come once.

    A document with a title comes with it and without, so that its first sentence stands alone too. A name may be a
    file of topics or documents, or a folder of such: all strings of JSON, all cells of CSV and Parquet, the
    documents of TREC's markup, every column of other tables but the first, or whole lines. Raises UsageError for a
    name that is neither.
    """
    seen: set[str] = set()
    for name in names:
        if isinstance(name, str) and os.path.exists(name):
            yield from _file_texts(name)
            continue
        collection = open_collection(name) if isinstance(name, str) else name
        yield from _topic_texts(collection)
        for document in collection.documents():
            if document.contents not in seen:
                seen.add(document.contents)
                yield document.contents
                if document.title and document.text:
                    yield document.text


def _topic_texts(collection: Collection) -> Iterator[str]:
    if isinstance(collection, WithTopicFields):
        yield from collection.topic_texts()
        return
    for language in collection.topic_languages:
        yield from (topic.text for topic in collection.topics(language))


def _file_texts(name: str) -> Iterator[str]:
    for path in document_files(name):
        form = form_of_name(path)
        if form == "columns" and tables.is_parquet(path):
            for _, record in tables.records(path, "held-out text"):
                yield from _strings(record)
            continue
        as_documents = form in (None, "markup") and begins_with_doc(path)
        with open_text(path, "held-out text") as lines:
            if form == "json":
                for _, record in json_records(lines, path):
                    yield from _strings(record)
            elif as_documents:
                for _, document in trec_documents(lines, path):
                    yield from (document["title"], document["text"])
            else:
                # Quotes of a table with tabs do no harm: texts are compared without punctuation. A first column is an
                # id, but for CSV, where the header says what it is: there it does no harm to compare it too.
                for _, cells in tables.rows(lines, path):
                    texts = cells if form == "columns" else cells[1:] or cells
                    yield from (unescaped(_MARKUP.sub(" ", text)) for text in texts)


def _strings(value: Any) -> Iterator[str]:
    """Every string in a JSON value, keys apart."""
    if isinstance(value, str):
        yield unescaped(value)
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _strings(part)
