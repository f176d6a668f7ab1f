"""What a collection is: documents in one language, topics in one or more, judgements."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

from clir.corpora import languages
from clir.corpora.qrels import Qrels
from clir.support.errors import UsageError


class Document(NamedTuple):
    """A document; `text` may be empty, `docid` may not and has no white space.

    `language` is its BCP-47 code where its collection has several ("" where that is not said).
    """

    docid: str
    text: str
    title: str = ""
    language: str = ""

    @property
    def contents(self) -> str:
        """What is indexed: title and text joined by a space, or the text alone if there is no title."""
        return f"{self.title} {self.text}" if self.title else self.text


class Topic(NamedTuple):
    """A topic; `text` is what is searched."""

    qid: str
    text: str


class Collection(Protocol):
    """Documents, topics and judgements under one id."""

    @property
    def id(self) -> str:
        """The id that `open_collection` gives it back for."""

    @property
    def language(self) -> str:
        """The documents' BCP-47 primary code (`und` if the source does not say)."""

    @property
    def topic_languages(self) -> tuple[str, ...]:
        """The languages that topics are there in; the first is the default."""

    def documents(self) -> Iterator[Document]:
        """Every document once, always in the same order."""

    def document_count(self) -> int | None:
        """How many documents there are, if that is known without reading them all."""

    def topics(self, language: str | None = None) -> list[Topic]:
        """The topics in `language` (default: the first of `topic_languages`), always with the same qids.

        Raises UsageError if there are none in that language.
        """

    def qrels(self) -> Qrels | None:
        """The judgements, or None if the collection has none."""


@runtime_checkable
class WithTopicFields(Protocol):
    """A collection whose topics have several fields (title, description, narrative)."""

    def topics_of(self, fields: Sequence[str], language: str | None = None) -> list[Topic]:
        """The topics with these fields, joined by spaces, as their text.

        Raises UsageError for a field that there is not in that language, ClirError for a topic without one.
        """

    def topic_texts(self) -> Iterator[str]:
        """Every field of every topic, in every language, one by one; none is empty."""


def collection_topics(
    collection: Collection, language: str | None = None, fields: Sequence[str] | None = None
) -> list[Topic]:
    """The topics of `collection` in `language`, of these `fields` where its topics have several.

    Raises UsageError for a language or a field that there is not.
    """
    if fields is None:
        return collection.topics(language)
    if isinstance(collection, WithTopicFields):
        return collection.topics_of(fields, language)
    if list(fields) != ["text"]:
        raise UsageError(f"the topics of {collection.id} have one field, text: they have no {', '.join(fields)}")
    return collection.topics(language)


def topic_language(collection: Collection, language: str | None) -> str:
    """The member of `collection.topic_languages` that was asked for; the first if `language` is None.

    `tl` and `fil` find each other. Raises UsageError if the collection has no topics in it.
    """
    known = collection.topic_languages
    if language is None:
        return known[0]
    found = language if language in known else languages.matching(language, [one for one in known if one != "und"])
    if found is None:
        raise UsageError(f"{collection.id} has no topics in {language!r} (it has: {', '.join(known)})")
    return found
