"""AfriCLIRMatrix as collections: find the Wikipedia articles in an African language for an English title.

Ogundepo et al., "AfriCLIRMatrix: Enabling Cross-Lingual Information Retrieval for African Languages", EMNLP 2022
(github.com/castorini/africlirmatrix); made as CLIRMatrix was.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from clir.corpora import languages
from clir.corpora.collection import Document, Topic, topic_language
from clir.corpora.documents import read_documents
from clir.corpora.qrels import Qrels, read_qrels
from clir.corpora.sources import data_file, file_from_elsewhere
from clir.corpora.topics import read_topics
from clir.support.errors import unknown

FAMILY = "africlirmatrix"
# Upstream's code and name of each language.
_LANGUAGES = {
    "af": ("afr", "afrikaans"),
    "am": ("amh", "amharic"),
    "ary": ("ary", "moroccan_arabic"),
    "arz": ("arz", "egyptian_arabic"),
    "ha": ("hau", "hausa"),
    "ig": ("ibo", "igbo"),
    "nso": ("nso", "northern_sotho"),
    "sn": ("sna", "shona"),
    "so": ("som", "somali"),
    "sw": ("swa", "swahili"),
    "ti": ("tir", "tigrinya"),
    "tw": ("twi", "twi"),
    "wo": ("wol", "wolof"),
    "yo": ("yor", "yoruba"),
    "zu": ("zul", "zulu"),
}
LANGUAGES = tuple(_LANGUAGES)
SPLIT = "test"
_DOCUMENTS = "https://huggingface.co/datasets/castorini/africlirmatrix/resolve/main"


@dataclass(frozen=True)
class AfriCLIRMatrix:
    """`africlirmatrix/<lang>`: the test set of a language; upstream's topics, qrels and ids as they are.

    Documents: the articles of a Wikipedia in the language; a docid is the number of the page. They come from where
    AfriCLIRMatrix publishes them, by the command that the error names.

    Topics: titles of English Wikipedia articles, in English; a qid is the number of that article. Igbo has topics
    without a judgement.

    Qrels: 4 to 6 in the published files; as in CLIRMatrix, made from the retrieval scores that the English article
    gives and not by people.
    """

    language: str

    @property
    def id(self) -> str:
        return f"{FAMILY}/{self.language}"

    @property
    def topic_languages(self) -> tuple[str, ...]:
        return ("en",)

    def documents(self) -> Iterator[Document]:
        path = f"africlirmatrix-v1.0-{_LANGUAGES[self.language][1]}/corpus.jsonl"
        return read_documents(file_from_elsewhere(FAMILY, path, f"{_DOCUMENTS}/{path}"))

    def document_count(self) -> None:
        return None

    def topics(self, language: str | None = None) -> list[Topic]:
        topic_language(self, language)
        return read_topics(data_file(FAMILY, f"test/queries/topics.africlirmatrix-v1.0.en.{self._code}.tsv"))

    def qrels(self) -> Qrels:
        return read_qrels(data_file(FAMILY, f"test/qrels/qrels.africlirmatrix-v1.0.en.{self._code}.txt"))

    @property
    def _code(self) -> str:
        return _LANGUAGES[self.language][0]


def open_africlirmatrix(language: str, split: str = SPLIT) -> AfriCLIRMatrix:
    """The collection of a language, by any of its codes; UsageError for a language or split that there is not."""
    found = languages.matching(language, LANGUAGES)
    if found is None:
        raise unknown("AfriCLIRMatrix language", language, LANGUAGES)
    if split != SPLIT:
        raise unknown("split of AfriCLIRMatrix", split, [SPLIT])
    return AfriCLIRMatrix(found)


def own_spellings(name: str) -> list[str]:
    """The other ways to write one of the ids: upstream's code of the language, the split that is implied."""
    found = open_africlirmatrix(name.split("/")[1])
    codes = dict.fromkeys((found.language, _LANGUAGES[found.language][0]))
    written = [f"{FAMILY}/{code}{split}" for code in codes for split in ("", f"/{SPLIT}")]
    return [other for other in written if other != found.id]
