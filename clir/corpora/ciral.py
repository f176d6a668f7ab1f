"""CIRAL as collections: find the news passages in an African language that answer an English question.

Adeyemi et al., "CIRAL: A Test Collection for CLIR Evaluations in African Languages", SIGIR 2024
(github.com/ciralproject/ciral); a track of FIRE 2023.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from clir.corpora import languages
from clir.corpora.collection import Document, Topic, topic_language
from clir.corpora.documents import read_documents
from clir.corpora.qrels import Qrels, read_qrels
from clir.corpora.sources import data_file, file_from_elsewhere, source
from clir.corpora.topics import read_topics
from clir.support.errors import unknown

FAMILY = "ciral"
# Upstream's name of each language, and how many passages its README counts.
_LANGUAGES = {"ha": ("hausa", 715_355), "so": ("somali", 827_552), "sw": ("swahili", 949_013), "yo": ("yoruba", 82_095)}
LANGUAGES = tuple(_LANGUAGES)
SPLITS = ("dev", "test-a", "test-b")
_PASSAGES = "https://huggingface.co/datasets/CIRAL/ciral-corpus/resolve/main/passages-v1.0"
_TOPICS_AND_QRELS = "https://huggingface.co/datasets/CIRAL/ciral/resolve/main"


@dataclass(frozen=True)
class CIRAL:
    """`ciral/<lang>/<split>`: the passages are the same in all splits of a language.

    Documents: passages of news articles in Hausa, Somali, Swahili or Yoruba; a docid is the source, the article's
    number and the passage's, as `VOA#2578#3`.

    Topics: questions in English (the default), and the same by native speakers in the documents' language, where
    that is published (`dev` and `test-a`). `clir.fetch ciral` brings the topics and qrels of `test-a`, and of `dev`
    the native topics and the qrels; the other files, and all passages, come from where CIRAL publishes them, by the
    command that the error names.

    Qrels: binary, of the passages that the annotators saw; `test-a` as `qrels.ciral-v1.0-<lang>-test-a.tsv` has it
    (the judgements of the track's deeper pools are a file of their own, which is not read).
    """

    language: str
    split: str

    @property
    def id(self) -> str:
        return f"{FAMILY}/{self.language}/{self.split}"

    @property
    def topic_languages(self) -> tuple[str, ...]:
        return ("en",) if self.split == "test-b" else ("en", self.language)

    def documents(self) -> Iterator[Document]:
        return read_documents(self._passages())

    def document_count(self) -> int:
        return _LANGUAGES[self.language][1]

    def topics(self, language: str | None = None) -> list[Topic]:
        native = "" if topic_language(self, language) == "en" else "-native"
        return read_topics(self._file("topics", native))

    def qrels(self) -> Qrels:
        return read_qrels(self._file("qrels"))

    def _passages(self) -> Path:
        file = f"{_LANGUAGES[self.language][0]}_passages.jsonl"
        return file_from_elsewhere(FAMILY, f"passages/{file}", f"{_PASSAGES}/{file}")

    def _file(self, kind: str, ending: str = "") -> Path:
        path = f"{kind}/{kind}.ciral-v1.0-{self.language}-{self.split}{ending}.tsv"
        if any(file.path == path for file in source(FAMILY).files):
            return data_file(FAMILY, path)
        return file_from_elsewhere(FAMILY, path, f"{_TOPICS_AND_QRELS}/{FAMILY}-{_LANGUAGES[self.language][0]}/{path}")


def open_ciral(language: str, split: str) -> CIRAL:
    """The collection of a language (by any of its codes) and a split; UsageError for one that there is not."""
    found = languages.matching(language, LANGUAGES)
    if found is None:
        raise unknown("CIRAL language", language, LANGUAGES)
    if split not in SPLITS:
        raise unknown("split of CIRAL", split, SPLITS)
    return CIRAL(found, split)
