"""What every kind of query translation offers, and the topics that come with a collection in several languages."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, Literal, Protocol

from clir.corpora.collection import Collection, Topic, collection_topics
from clir.support.errors import UsageError

Untranslated = Literal["keep", "drop"]
UNTRANSLATED: tuple[Untranslated, ...] = ("keep", "drop")
"""What becomes of a word without a translation: a name is often the same in both languages."""


class Translator(Protocol):
    """From topics in one language to topics in another, with the same ids in the same order."""

    def __call__(self, topics: Sequence[Topic]) -> list[Topic]:
        """The topics in the other language."""

    def provenance(self) -> dict[str, Any]:
        """What decides the translations: kind, languages, parameters, checksums. Known before anything is loaded."""


@dataclasses.dataclass(frozen=True)
class HumanTranslator:
    """The topics that the collection itself has in the language `target`, of these `fields` where they have several:
    an oracle, not a system."""

    collection: Collection
    target: str
    fields: tuple[str, ...] | None = None

    def __call__(self, topics: Sequence[Topic]) -> list[Topic]:
        """The collection's own text for each topic; UsageError if it has none for one of them."""
        texts = {topic.qid: topic for topic in collection_topics(self.collection, self.target, self.fields)}
        missing = [topic.qid for topic in topics if topic.qid not in texts]
        if missing:
            raise UsageError(
                f"{self.collection.id} has no topic {missing[0]} in {self.target!r} (one of {len(missing)} such topics)"
            )
        return [texts[topic.qid] for topic in topics]

    def provenance(self) -> dict[str, Any]:
        """The collection and the language."""
        return {"kind": "human", "collection": self.collection.id, "target": self.target}


def word_by_word(
    topics: Sequence[Topic], translate: Callable[[list[str]], list[str]], split: Callable[[str], list[str]]
) -> list[Topic]:
    """Each topic's text split into words, translated, and joined again by spaces.

    A topic of which nothing is left has an empty text: it finds nothing.
    """
    return [Topic(topic.qid, " ".join(translate(split(topic.text)))) for topic in topics]
