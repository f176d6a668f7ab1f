"""LAReQA's XQuAD-R as collections: find the sentences that answer a question in a pool of eleven languages.

Roy et al., "LAReQA: Language-Agnostic Answer Retrieval from a Multilingual Pool", EMNLP 2020
(github.com/google-research-datasets/lareqa); XTREME-R, EMNLP 2021, has it as a task.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from clir.corpora import languages
from clir.corpora.collection import Document, Topic, topic_language
from clir.corpora.qrels import Qrels
from clir.corpora.sources import data_file
from clir.corpora.text import checked_id, storable
from clir.support.errors import ClirError, UsageError, unknown
from clir.support.files import open_text

FAMILY = "lareqa"
CONTEXT = "+context"
FAMILIES = (FAMILY, FAMILY + CONTEXT)
LANGUAGES = ("ar", "de", "el", "en", "es", "hi", "ru", "th", "tr", "vi", "zh")
MONOLINGUAL, CROSS_LINGUAL = "x-x", "x-y"
SEVERAL = "mul"


class Question(NamedTuple):
    """A question in one language: `key` is the same in all languages, `answer` the sentence's docid in this one."""

    key: str
    text: str
    answer: str


class Candidate(NamedTuple):
    """A sentence that may be an answer, and the paragraph that it is from."""

    docid: str
    sentence: str
    context: str


class Part(NamedTuple):
    """The questions and the candidates of one language."""

    questions: tuple[Question, ...]
    candidates: tuple[Candidate, ...]


@dataclass(frozen=True)
class LAReQA:
    """Questions in some languages over the candidate sentences of some languages (both in LANGUAGES' order).

    - `lareqa`: the questions of all 11 languages over the pool of all 11; what LAReQA reports.
    - `lareqa/<lang>`: the questions of one language over the same pool; 11 answers each.
    - `lareqa/x-x/<lang>`: over the sentences of the question's own language; one answer.
    - `lareqa/x-y/<lang>`: over those of the ten other languages; 10 answers.
    - `lareqa/x-y/<lang>-<lang>`: over those of the second language alone; one answer.

    Documents: every sentence of the 240 paragraphs (13,014 in all languages), as the data set's own
    `sentence_breaks` cut them. Its text is the sentence; with `lareqa+context` the sentence, a space
    and its whole paragraph, which is what XTREME-R's code encodes. A docid is the reference code's:
    language, number of the paragraph in the file from 1, number of the sentence in it from 0, as
    `ar_17_3`. Every document has its language; the collection's is `mul` for a pool of several.

    Topics: the 1,190 questions of a language; a qid is the question's id and language, as the
    reference code's (`56beb4343aeaaa14008c925b_ar`), the same in every view. By default they are in
    their own language (`mul` for those of all 11); in English (`en`) they are a built-in oracle.

    Qrels: in every language of the pool the sentence in which the answer begins, relevance 1. The
    measure is `mAP@20`, the mean over all questions.
    """

    questions: tuple[str, ...] = LANGUAGES
    pool: tuple[str, ...] = LANGUAGES
    context: bool = False

    @property
    def id(self) -> str:
        return "/".join([FAMILY + (CONTEXT if self.context else ""), *self._view()])

    def _view(self) -> list[str]:
        if len(self.questions) > 1:
            return []
        asked = self.questions[0]
        if self.pool == LANGUAGES:
            return [asked]
        if self.pool == (asked,):
            return [MONOLINGUAL, asked]
        return [CROSS_LINGUAL, asked if len(self.pool) > 1 else f"{asked}-{self.pool[0]}"]

    @property
    def language(self) -> str:
        return _common(self.pool)

    @property
    def topic_languages(self) -> tuple[str, ...]:
        own = _common(self.questions)
        return (own,) if own == "en" else (own, "en")

    def documents(self) -> Iterator[Document]:
        for code in self.pool:
            for one in part(code).candidates:
                text = f"{one.sentence} {one.context}" if self.context else one.sentence
                yield Document(one.docid, text, language=code)

    def document_count(self) -> int:
        return sum(len(part(code).candidates) for code in self.pool)

    def topics(self, language: str | None = None) -> list[Topic]:
        in_english = topic_language(self, language) == "en"
        english = {one.key: one.text for one in part("en").questions} if in_english else {}
        return [
            Topic(_qid(one, code), _same(english, one, "en") if in_english else one.text)
            for code in self.questions
            for one in part(code).questions
        ]

    def qrels(self) -> Qrels:
        answers = {code: {one.key: one.answer for one in part(code).questions} for code in self.pool}
        judged = [
            (_qid(one, code), _same(answers[other], one, other))
            for code in self.questions
            for one in part(code).questions
            for other in self.pool
        ]
        return Qrels.of([qid for qid, _ in judged], [docid for _, docid in judged], [1] * len(judged))


def open_lareqa(*view: str, context: bool = False) -> LAReQA:
    """The view that stands behind the family in an id: nothing, a language, `x-x` or `x-y` and a language.

    Raises UsageError for a language or view that there is not.
    """
    if not view:
        return LAReQA(context=context)
    if len(view) == 1:
        return LAReQA((_known(view[0]),), context=context)
    kind, code = view
    if kind not in (MONOLINGUAL, CROSS_LINGUAL):
        raise unknown("view of LAReQA", kind, [MONOLINGUAL, CROSS_LINGUAL])
    asked, _, target = code.partition("-")
    questions = (_known(asked),)
    if kind == MONOLINGUAL:
        return LAReQA((_known(code),), (_known(code),), context)
    others = (_known(target),) if target else tuple(one for one in LANGUAGES if one not in questions)
    if others == questions:
        raise UsageError(
            f"{FAMILY}/{CROSS_LINGUAL}/{code} names one language twice: write {FAMILY}/{MONOLINGUAL}/{asked}"
        )
    return LAReQA(questions, others, context)


def views() -> list[str]:
    """Every view as it stands in an id, behind the family: empty for that of all questions and all documents."""
    pairs = [f"{CROSS_LINGUAL}/{one}-{other}" for one in LANGUAGES for other in LANGUAGES if one != other]
    kinds = [f"{kind}/{code}" for kind in (MONOLINGUAL, CROSS_LINGUAL) for code in LANGUAGES]
    return ["", *LANGUAGES, *kinds, *pairs]


def part(language: str) -> Part:
    """The questions and candidates of one language; ClirError if the file is not one of LAReQA's."""
    return _part(data_file(FAMILY, f"xquad-r/{language}.json"), language)


@functools.lru_cache(maxsize=2 * len(LANGUAGES))
def _part(path: Path, language: str) -> Part:
    with open_text(path, "LAReQA file") as handle:
        text = handle.read()
    questions: list[Question] = []
    candidates: list[Candidate] = []
    try:
        paragraphs = [paragraph for article in json.loads(text)["data"] for paragraph in article["paragraphs"]]
        for number, paragraph in enumerate(paragraphs, 1):
            sentences = _candidates(paragraph, f"{language}_{number}")
            candidates += sentences
            questions += (_question(asked, paragraph, sentences, path) for asked in paragraph["qas"])
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise ClirError(f"{path}: not an XQuAD-R file: {type(error).__name__}: {error}") from error
    return Part(tuple(questions), tuple(candidates))


def _candidates(paragraph: dict[str, Any], name: str) -> list[Candidate]:
    # As the reference code does it: `sentences` differs from what the breaks cut in two places.
    context = storable(paragraph["context"])
    return [
        Candidate(f"{name}_{number}", context[start:end].strip(), context.replace("\n", " ").strip())
        for number, (start, end) in enumerate(paragraph["sentence_breaks"])
    ]


def _question(asked: dict[str, Any], paragraph: dict[str, Any], sentences: list[Candidate], path: Path) -> Question:
    key = checked_id(asked["id"], "question id", str(path))
    begin = asked["answers"][0]["answer_start"]
    holding = [at for at, (start, end) in enumerate(paragraph["sentence_breaks"]) if start <= begin < end]
    if not holding:
        raise ClirError(f"{path}: the answer to {key} begins in no sentence")
    return Question(key, storable(asked["question"]).strip(), sentences[holding[0]].docid)


def _known(code: str) -> str:
    found = languages.matching(code, LANGUAGES)
    if found is None:
        raise unknown("LAReQA language", code, LANGUAGES)
    return found


def _common(codes: tuple[str, ...]) -> str:
    return codes[0] if len(codes) == 1 else SEVERAL


def _qid(question: Question, language: str) -> str:
    return f"{question.key}_{language}"


def _same(found: dict[str, str], question: Question, language: str) -> str:
    """What `found` has for the question, which is there in every language."""
    if question.key not in found:
        raise ClirError(f"LAReQA: question {question.key} is not there in {language}; fetch the data anew")
    return found[question.key]
