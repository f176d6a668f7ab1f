"""What a collection is: documents in one language, topics in one or more, judgements."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Protocol

from clir.corpora import languages
from clir.corpora.qrels import Qrels
from clir.support.errors import UsageError


class Document(NamedTuple):
    """A document; `text` may be empty, `docid` may not and has no white space."""

    docid: str
    text: str
    title: str = ""

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
