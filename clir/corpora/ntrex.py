"""NTREX-128 as a retrieval collection: find the English news article that a translated sentence is from.

Federmann, Kocmi and Xin, "NTREX-128 - News Test References for MT Evaluation of 128 Languages",
SUMEval 2022 (github.com/MicrosoftTranslator/NTREX).
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from clir.corpora import afriqa, languages
from clir.corpora.collection import Document, Topic, topic_language
from clir.corpora.qrels import Qrels
from clir.corpora.sources import data_file, source
from clir.corpora.text import checked_id
from clir.support.errors import ClirError, UsageError, unknown
from clir.support.files import open_text

SPLITS = ("test", "dev")
DISTRACTORS = "+afriqa"
_ARTICLES = "DOCUMENT_IDS.tsv"
_ENGLISH = "NTREX-128/newstest2019-src.eng.txt"
_TRANSLATION = "NTREX-128/newstest2019-ref.{}.txt"


class Sentence(NamedTuple):
    """A sentence by its article, the article's place in the file and its own in the article, both from 1."""

    article: str
    article_number: int
    position: int
    text: str

    @property
    def held_out(self) -> bool:
        """Whether it is a query (2nd, 4th, ... of its article) and not part of the document."""
        return self.position % 2 == 0

    @property
    def split(self) -> str:
        """The half that its article belongs to: the 1st, 3rd, ... article is dev, the 2nd, 4th, ... is test."""
        return "dev" if self.article_number % 2 else "test"


@dataclass(frozen=True)
class HeldOut:
    """`ntrex-heldout/<lang>`: topical search for the article of a sentence that is not in it.

    Documents: of every one of the 123 articles the 1st, 3rd, ... English sentence, joined by
    spaces; the docid is the article's id. With `+afriqa`, AfriQA's passages are distractors.

    Topics: the 2nd, 4th, ... sentence of an article in another language (the default), or in
    English (`en`): a built-in oracle. A qid is the article's id and the sentence's position, as
    `site.123-2`. The topics of the 2nd, 4th, ... article are the test half, which the plain id (and
    `ntrex-heldout/<lang>/test`) has; those of the other articles are `ntrex-heldout/<lang>/dev`.

    Qrels: the sentence's own article, relevance 1.
    """

    topics_language: str
    split: str = "test"
    distractors: bool = False

    @property
    def id(self) -> str:
        family = "ntrex-heldout" + (DISTRACTORS if self.distractors else "")
        return f"{family}/{self.topics_language}" + ("" if self.split == "test" else f"/{self.split}")

    @property
    def language(self) -> str:
        return "en"

    @property
    def topic_languages(self) -> tuple[str, ...]:
        return ("en",) if self.topics_language == "en" else (self.topics_language, "en")

    def documents(self) -> Iterator[Document]:
        texts: dict[str, list[str]] = {}
        for sentence in sentences("en"):
            if not sentence.held_out:
                texts.setdefault(sentence.article, []).append(sentence.text)
        for article, parts in texts.items():
            yield Document(article, " ".join(parts))
        if self.distractors:
            yield from afriqa.passages()

    def document_count(self) -> int:
        articles = len({sentence.article for sentence in sentences("en")})
        return articles + (len(afriqa.passages()) if self.distractors else 0)

    def topics(self, language: str | None = None) -> list[Topic]:
        return [Topic(_qid(one), one.text) for one in self._queries(topic_language(self, language))]

    def qrels(self) -> Qrels:
        queries = self._queries("en")
        return Qrels.of([_qid(one) for one in queries], [one.article for one in queries], [1] * len(queries))

    def _queries(self, language: str) -> list[Sentence]:
        return [one for one in sentences(language) if one.held_out and one.split == self.split]


def open_heldout(code: str, split: str = "test", *, distractors: bool = False) -> HeldOut:
    """The collection whose topics are in a language, by any of its codes; `tl` finds `fil`.

    Raises UsageError for an unknown language or split, or a language that has no translation.
    """
    if split not in SPLITS:
        raise unknown("split of ntrex-heldout", split, SPLITS)
    return HeldOut(_known(code), split, distractors)


def topic_codes() -> list[str]:
    """The languages (BCP-47) of the translations that `clir.fetch ntrex` brings."""
    names = [Path(file.path).name.split(".") for file in source("ntrex").files]
    return sorted(languages.language(name[1]) for name in names if name[0] == "newstest2019-ref")


def sentences(language: str) -> tuple[Sentence, ...]:
    """All sentences in a language, in the order of the files.

    Raises ClirError if the file is not aligned with the articles or has an empty line.
    """
    return _sentences(data_file("ntrex", _ARTICLES), _text_file(language))


@functools.lru_cache(maxsize=8)
def _sentences(articles_path: Path, path: Path) -> tuple[Sentence, ...]:
    articles, texts = _lines(articles_path), _lines(path)
    if len(articles) != len(texts):
        raise ClirError(f"{path} has {len(texts):,} lines, {articles_path} has {len(articles):,}")
    counts: dict[str, int] = {}
    numbers: dict[str, int] = {}
    found = []
    for number, (article, text) in enumerate(zip(articles, texts, strict=True), 1):
        if not text:
            raise ClirError(f"{path}:{number}: an empty line")
        checked_id(article, "article id", f"{articles_path}:{number}")
        counts[article] = counts.get(article, 0) + 1
        numbers.setdefault(article, len(numbers) + 1)
        found.append(Sentence(article, numbers[article], counts[article], text))
    return tuple(found)


def _lines(path: Path) -> list[str]:
    with open_text(path, "NTREX file") as lines:
        return [line.strip() for line in lines]


def _qid(sentence: Sentence) -> str:
    return f"{sentence.article}-{sentence.position}"


def _known(code: str) -> str:
    wanted = languages.language(code)
    if wanted == "en":
        return wanted
    found = languages.matching(wanted, topic_codes())
    if found:
        return found
    # A full clone of the data set has more languages than are fetched.
    _text_file(wanted)
    return wanted


def _text_file(language: str) -> Path:
    if language == "en":
        return data_file("ntrex", _ENGLISH)
    paths = [_TRANSLATION.format(spelling) for spelling in languages.spellings(language)]
    fetched = {file.path for file in source("ntrex").files}.intersection(paths)
    if fetched:
        return data_file("ntrex", fetched.pop())
    folder = data_file("ntrex", _ARTICLES).parent
    for path in paths:
        if (folder / path).exists():
            return folder / path
    # Of some languages there are translations by script or country (srp-Cyrl, zho-TW).
    several = sorted(
        found
        for spelling in languages.spellings(language)
        for found in folder.glob(_TRANSLATION.format(f"{spelling}-*"))
    )
    if len(several) == 1:
        return several[0]
    if several:
        raise UsageError(
            f"{languages.language_name(language)} is there as {', '.join(path.name for path in several)} in {folder}: "
            f"copy the one that you mean to {paths[0]}"
        )
    raise UsageError(
        f"no {languages.language_name(language)} translation in {folder} "
        f"(clir.fetch ntrex brings: {', '.join(topic_codes())})"
    )
