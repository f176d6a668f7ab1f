"""The embedded demo collection: everyday English passages, topics in English and Swahili, graded qrels, bitext.

It shows the tool at work and measures nothing: it was written for that, and is small.
"""

from __future__ import annotations

import importlib.resources
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from clir.corpora import languages
from clir.corpora.collection import Document, Topic, topic_language
from clir.corpora.documents import count_documents, read_documents
from clir.corpora.qrels import Qrels, read_qrels
from clir.corpora.topics import read_topics
from clir.support.errors import unknown

TOPIC_LANGUAGES = ("sw", "en")


@dataclass(frozen=True)
class Demo:
    """`demo/sw` or `demo/en`: the same documents, topics and judgements; the id says the default language."""

    topics_language: str

    @property
    def id(self) -> str:
        return f"demo/{self.topics_language}"

    @property
    def language(self) -> str:
        return "en"

    @property
    def topic_languages(self) -> tuple[str, ...]:
        return tuple(sorted(TOPIC_LANGUAGES, key=lambda code: code != self.topics_language))

    def documents(self) -> Iterator[Document]:
        return read_documents(demo_file("passages.jsonl"))

    def document_count(self) -> int:
        return count_documents(demo_file("passages.jsonl"))

    def topics(self, language: str | None = None) -> list[Topic]:
        return read_topics(demo_file(f"topics.{topic_language(self, language)}.tsv"))

    def qrels(self) -> Qrels:
        return read_qrels(demo_file("qrels.txt"))


def open_demo(language: str) -> Demo:
    """The demo collection with Swahili or English as its default language; UsageError for another one."""
    found = languages.matching(language, TOPIC_LANGUAGES)
    if found is None:
        raise unknown("language of the demo collection", language, TOPIC_LANGUAGES)
    return Demo(found)


def demo_file(name: str) -> Path:
    """A file of the package data: `passages.jsonl`, `topics.{en,sw}.tsv`, `qrels.txt`, `bitext.tsv`."""
    return Path(str(importlib.resources.files("clir.corpora.demo") / name))
