"""Limited search: the ranking of all documents without those that are not allowed, whatever the depth."""

from collections.abc import Sequence

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clir.corpora.collection import Topic
from clir.retrieval.limited import LimitedSearcher
from clir.runs.run import Run

TOPICS = [Topic(f"{number:02}", "text") for number in range(5)]


class Listed:
    """Finds d00, d01, ... for every topic, fewer for later topics; remembers how deep it was asked."""

    def __init__(self, documents: int) -> None:
        self.documents = documents
        self.asked: list[tuple[int, int]] = []

    def search(self, topics: Sequence[Topic], k: int) -> Run:
        self.asked.append((len(topics), k))
        hits = {
            topic.qid: [(f"d{at:03}", 1000.0 - at) for at in range(self.documents - 3 * int(topic.qid))][:k]
            for topic in topics
        }
        return Run.from_hits(hits, "listed")


@given(documents=st.integers(0, 120), k=st.integers(1, 30), every=st.integers(1, 40))
def test_as_if_only_the_allowed_were_there(documents: int, k: int, every: int) -> None:
    allowed = [f"d{at:03}" for at in range(0, 120, every)]
    run = LimitedSearcher(Listed(documents), pl.Series(allowed)).search(TOPICS, k)
    whole = Listed(documents).search(TOPICS, 1000)
    for topic in TOPICS:
        assert run[topic.qid] == [hit for hit in whole[topic.qid] if hit.docid in allowed][:k]
    assert run.topics == [topic.qid for topic in TOPICS if run[topic.qid]]


def test_only_topics_with_too_few_are_searched_deeper() -> None:
    searcher = Listed(40)
    allowed = pl.Series([f"d{at:03}" for at in range(40) if at % 10 == 0])
    LimitedSearcher(searcher, allowed).search(TOPICS, 3)
    assert searcher.asked == [(5, 3), (5, 12), (5, 48)]
    deep = Listed(1000)
    LimitedSearcher(deep, pl.Series(["d000", "d001"])).search(TOPICS[:1], 2)
    assert deep.asked == [(1, 2)]


@pytest.mark.parametrize("topics", [[], TOPICS])
def test_nothing_allowed_is_an_empty_run(topics: list[Topic]) -> None:
    assert len(LimitedSearcher(Listed(9), pl.Series([], dtype=pl.String)).search(topics, 2)) == 0
