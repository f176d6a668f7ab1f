"""The Tatoeba test sets as collections: find a sentence's translation among those of the other sentences.

Artetxe and Schwenk, "Massively Multilingual Sentence Embeddings for Zero-Shot Cross-Lingual Transfer and Beyond",
TACL 2019 (github.com/facebookresearch/LASER, data/tatoeba/v1). XTREME and XTREME-R take 36 and 41 of the languages.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from clir.corpora import languages
from clir.corpora.collection import Document, Topic, topic_language
from clir.corpora.qrels import Qrels
from clir.corpora.sources import data_file, source
from clir.corpora.text import storable
from clir.support.errors import ClirError, unknown
from clir.support.files import open_text

FAMILY = "tatoeba"
_FROM_ENGLISH = ("en", "eng")
_FILE = "v1/tatoeba.{pair}-eng.{side}"


@dataclass(frozen=True)
class Tatoeba:
    """`tatoeba/<lang>`, or `tatoeba/en-<lang>` the other way: sentence n of one file is that of the other.

    Documents: the sentences of one side, at most 1,000; each test set has English sentences of its
    own, so that scores of two languages are not of the same task. `tatoeba/<lang>` has the English
    ones (XTREME's direction), `tatoeba/en-<lang>` those in the language.

    Topics: the sentences of the other side. A topic that is not in English is there in English too
    (`en`), which is the very text of its document.

    Qrels: the aligned sentence alone, relevance 1, as LASER and XTREME count: another document with
    the same text would be wrong (in the data as it was published, no side has a sentence twice).
    With one relevant document, the accuracy of the nearest neighbour is `Success@1`. Where two
    documents score the same, the run's order decides: docid descending.

    The n-th sentence is `<lang>-<n>`, from 1: as qid and as docid.
    """

    other: str
    from_english: bool = False

    @property
    def id(self) -> str:
        return f"{FAMILY}/{'en-' if self.from_english else ''}{self.other}"

    @property
    def language(self) -> str:
        return self.other if self.from_english else "en"

    @property
    def topic_languages(self) -> tuple[str, ...]:
        return ("en",) if self.from_english else (self.other, "en")

    def documents(self) -> Iterator[Document]:
        for docid, text in self._side(self.language):
            yield Document(docid, text)

    def document_count(self) -> int:
        return len(sentences(self.other)[0])

    def topics(self, language: str | None = None) -> list[Topic]:
        texts = self._side(topic_language(self, language))
        return [Topic(qid, text) for qid, (_, text) in zip(self._qids(), texts, strict=True)]

    def qrels(self) -> Qrels:
        docids = [docid for docid, _ in self._side(self.language)]
        return Qrels.of(self._qids(), docids, [1] * len(docids))

    def _qids(self) -> list[str]:
        return [qid for qid, _ in self._side(self.topic_languages[0])]

    def _side(self, language: str) -> list[tuple[str, str]]:
        texts = sentences(self.other)[0 if language == "en" else 1]
        return [(f"{language}-{number}", text) for number, text in enumerate(texts, 1)]


def open_tatoeba(name: str) -> Tatoeba:
    """The test set of a language, or with `en-` before it the one from English; any of a language's codes will do.

    Raises UsageError for a language that has none. `fil` finds Tagalog.
    """
    first, _, rest = name.partition("-")
    from_english = bool(rest) and first.lower() in _FROM_ENGLISH
    code = rest if from_english else name
    known = own_codes()
    found = languages.matching(code, list(known))
    if found is None:
        raise unknown("Tatoeba language", code, sorted(known))
    return Tatoeba(found, from_english)


def own_spelling(name: str) -> str:
    """What stands behind the family in an id, with Tatoeba's own code: `en-swh` for `en-sw`."""
    found = open_tatoeba(name)
    return ("en-" if found.from_english else "") + own_codes()[found.other]


def own_codes() -> dict[str, str]:
    """The 112 languages by BCP-47 code, each with Tatoeba's own three-letter code."""
    pairs = [file.path.split(".")[1].split("-")[0] for file in source(FAMILY).files if file.path.endswith(".eng")]
    return {languages.language(code): code for code in pairs}


def sentences(language: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The English sentences and those in a language (BCP-47), aligned by their place.

    Raises ClirError for an empty line and for files that are not aligned.
    """
    own = own_codes()[language]
    return _sentences(*(data_file(FAMILY, _FILE.format(pair=own, side=side)) for side in ("eng", own)))


@functools.lru_cache(maxsize=8)
def _sentences(english: Path, foreign: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    sides = _lines(english), _lines(foreign)
    if len(sides[0]) != len(sides[1]):
        raise ClirError(f"{foreign} has {len(sides[1]):,} lines, {english} has {len(sides[0]):,}")
    return sides


def _lines(path: Path) -> tuple[str, ...]:
    with open_text(path, "Tatoeba file") as lines:
        texts = tuple(storable(line).strip() for line in lines)
    if "" in texts:
        raise ClirError(f"{path}:{texts.index('') + 1}: an empty line")
    return texts
