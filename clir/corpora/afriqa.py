"""AfriQA as a retrieval collection: questions in an African language, English Wikipedia passages.

Ogundepo et al., "AfriQA: Cross-lingual Open-Retrieval Question Answering for African Languages",
Findings of EMNLP 2023 (github.com/masakhane-io/afriqa).
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from clir.corpora import languages
from clir.corpora.collection import Document, Topic, topic_language
from clir.corpora.qrels import Qrels
from clir.corpora.sources import data_file, source
from clir.corpora.text import checked_id, storable
from clir.support.errors import ClirError, UsageError, unknown
from clir.support.files import open_text

# The languages whose passages are English, by the data set's own codes.
LANGUAGES = ("bem", "hau", "ibo", "kin", "swa", "twi", "yor", "zul")
SPLITS = ("train", "dev", "test")


class Record(NamedTuple):
    """A question with its gold passage: `id` is unique in its language and split."""

    id: str
    question: str
    english: str
    docid: str
    document: Document


@dataclass(frozen=True)
class AfriQA:
    """`afriqa/<lang>/<split>`: the questions of one language and split over one set of passages.

    Documents: the distinct English passages of all eight languages and all splits, 5,413 in the
    data as it was published; records without a passage are left out. Passages that differ only in
    white space stay distinct. A docid is `afriqa-` and the first 12 hexadecimal digits of the
    SHA-256 of title, space and text, so that it survives additions upstream.

    Topics: the questions as native speakers asked them (the default), or their human English
    translation (`en`): a built-in oracle. A question that is there twice, word for word, is one
    topic, with the first one's id and translation and the passages of both.

    Qrels: the passage recorded with the question, relevance 1. A question without one in this
    split is no topic.
    """

    code: str
    split: str

    @property
    def id(self) -> str:
        return f"afriqa/{self.code}/{self.split}"

    @property
    def language(self) -> str:
        return "en"

    @property
    def topic_languages(self) -> tuple[str, ...]:
        return (languages.language(self.code), "en")

    def documents(self) -> Iterator[Document]:
        return iter(passages())

    def document_count(self) -> int:
        return len(passages())

    def topics(self, language: str | None = None) -> list[Topic]:
        english = topic_language(self, language) == "en"
        first: dict[str, Topic] = {}
        for record in self._records():
            first.setdefault(record.question, Topic(record.id, record.english if english else record.question))
        return list(first.values())

    def qrels(self) -> Qrels:
        qids: dict[str, str] = {}
        judged = {(qids.setdefault(one.question, one.id), one.docid): 1 for one in self._records()}
        return Qrels.of([qid for qid, _ in judged], [docid for _, docid in judged], list(judged.values()))

    def _records(self) -> list[Record]:
        return records(data_file("afriqa", gold_path(self.code, self.split)))


def open_afriqa(code: str, split: str) -> AfriQA:
    """The collection of a language, by any of its codes, and a split; UsageError if there is none."""
    own = next((one for one in LANGUAGES if languages.language(one) == languages.language(code)), None)
    if own is None:
        raise unknown("AfriQA language", code, LANGUAGES)
    if split not in splits(own):
        raise UsageError(f"AfriQA has no {split!r} split with passages for {own} (it has: {', '.join(splits(own))})")
    return AfriQA(own, split)


def splits(code: str) -> list[str]:
    """The splits that have gold passages in a language (Swahili: test only)."""
    there = {file.path for file in source("afriqa").files}
    return [split for split in SPLITS if gold_path(code, split) in there]


def gold_path(code: str, split: str) -> str:
    """Where the gold passages lie in the data set's folder."""
    return f"gold_passages/{code}/gold_span_passages.afriqa.{code}.en.{split}.json"


def passages() -> tuple[Document, ...]:
    """The distinct passages of all languages and splits, in the order in which the files first have them."""
    paths = [data_file("afriqa", gold_path(code, split)) for code in LANGUAGES for split in splits(code)]
    return _passages(tuple(paths))


@functools.lru_cache(maxsize=2)
def _passages(paths: tuple[Path, ...]) -> tuple[Document, ...]:
    found: dict[str, Document] = {}
    for path in paths:
        for record in records(path):
            if found.setdefault(record.docid, record.document).contents != record.document.contents:
                raise ClirError(f"{path}: two different passages have the document id {record.docid}")
    return tuple(found.values())


def records(path: Path) -> list[Record]:
    """The questions of one file that have a passage."""
    found = []
    with open_text(path, "AfriQA file") as lines:
        for number, line in enumerate(lines, 1):
            where = f"{path}:{number}"
            try:
                record = json.loads(line)
                text = record["context"] or ""
                if text.strip():
                    found.append(_record(record, where))
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise ClirError(
                    f"{where}: not an AfriQA record ({error}): get the file again with python -m clir.fetch afriqa"
                ) from error
    return found


def _record(record: dict[str, str | None], where: str) -> Record:
    title, text = storable(record["title"] or ""), storable(record["context"] or "")
    question, english = record["question_lang"], record["question_translated"]
    if not question or not english:
        raise ClirError(f"{where}: a question has no text")
    docid = "afriqa-" + hashlib.sha256(f"{title} {text}".encode()).hexdigest()[:12]
    qid = checked_id(record["id"], "question id", where)
    return Record(qid, storable(question).strip(), storable(english).strip(), docid, Document(docid, text, title))
