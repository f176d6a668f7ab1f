"""What a command is given for a corpus, topics or qrels: the name of a file, or the id of a collection."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from clir.corpora.collection import Document, Topic, collection_topics
from clir.corpora.qrels import Qrels, read_qrels
from clir.support.errors import UsageError


class GivenDocuments(NamedTuple):
    """`read()` starts from the first document each time; language and total are None where not known."""

    name: str
    read: Callable[[], Iterable[Document]]
    language: str | None
    total: int | None


def given_documents(name: str) -> GivenDocuments:
    """The documents of a file, a folder of files, or a collection; UsageError if `name` is none of these."""
    from clir.corpora.registry import is_collection, open_collection

    if Path(name).exists():
        from clir.corpora.documents import read_documents

        return GivenDocuments(name, functools.partial(read_documents, name), None, None)
    if not is_collection(name):
        raise UsageError(f"--corpus {name}: no such file, and no collection of that name")
    collection = open_collection(name)
    return GivenDocuments(name, collection.documents, collection.language, collection.document_count())


def docids_at_hand(name: str) -> Iterator[str] | None:
    """The docids of a file, a folder of files, or a collection; None where a collection's documents are not here.

    Nothing is downloaded for it. Raises UsageError if `name` is none of these.
    """
    given = given_documents(name)
    if not Path(name).exists():
        from clir.corpora.irds import Dataset
        from clir.corpora.registry import open_collection

        collection = open_collection(name)
        if isinstance(collection, Dataset) and not collection.documents_are_here():
            return None
    try:
        documents = iter(given.read())
        first = next(documents)
    except UsageError:
        if Path(name).exists():
            raise
        return None
    return (document.docid for document in itertools.chain([first], documents))


def given_topics(
    name: str,
    language: str | None = None,
    option: str = "--topics",
    fields: Sequence[str] | None = None,
    source: str | None = None,
) -> list[Topic]:
    """The topics of a file or of a collection, in `language`; UsageError if `name` is neither.

    `fields` (title, description, ...) make their text, where it is not the usual one; `source` says whose text a file
    is to be read for, where it has several in a language.
    """
    from clir.corpora.registry import is_collection, open_collection

    if Path(name).exists():
        from clir.corpora.topics import read_topics

        return read_topics(name, fields, language=language, source=source)
    if not is_collection(name):
        raise UsageError(f"{option} {name}: no such file, and no collection of that name")
    if source is not None:
        raise UsageError(f"--topics-source chooses among a file's topics; {name} is a collection")
    return collection_topics(open_collection(name), language, fields)


def given_qrels(name: str) -> Qrels:
    """The qrels of a file or of a collection; UsageError if `name` is neither, or the collection has none."""
    from clir.corpora.registry import is_collection, open_collection

    if Path(name).exists():
        return read_qrels(name)
    if not is_collection(name):
        raise UsageError(f"--qrels {name}: no such file, and no collection of that name")
    qrels = open_collection(name).qrels()
    if qrels is None:
        raise UsageError(f"--qrels {name}: this collection has no qrels")
    return qrels
