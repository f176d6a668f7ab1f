"""Hybrid search: each side searches its own text, and options are checked before anything is searched."""

from collections.abc import Sequence
from typing import Any

import pytest

from clir.corpora.collection import Topic
from clir.retrieval.hybrid import FusionOptions, HybridSearcher
from clir.runs.run import Run
from clir.support.errors import UsageError

SWAHILI = [Topic("01", "maji safi"), Topic("02", "basi la asubuhi")]
ENGLISH = [Topic("02", "morning bus"), Topic("03", "goats"), Topic("01", "clean water")]
DENSE = {"01": [("a", 0.9), ("b", 0.8), ("c", 0.1)], "02": [("c", 0.7), ("a", 0.2)]}
SPARSE = {"01": [("b", 7.0), ("d", 5.0)], "02": []}


class Fixed:
    """A searcher that gives the hits it was made with, and remembers how it was asked."""

    def __init__(self, hits: dict[str, list[tuple[str, float]]]) -> None:
        self.hits = hits
        self.asked: list[tuple[list[Topic], int]] = []

    def search(self, topics: Sequence[Topic], k: int) -> Run:
        self.asked.append((list(topics), k))
        return Run.from_hits({topic.qid: self.hits[topic.qid][:k] for topic in topics})


def hybrid(**options: Any) -> tuple[HybridSearcher, Fixed, Fixed]:
    dense, sparse = Fixed(DENSE), Fixed(SPARSE)
    return HybridSearcher(dense, sparse, **options), dense, sparse


def test_reciprocal_ranks_are_added() -> None:
    searcher, dense, sparse = hybrid()
    run = searcher.search(SWAHILI, 3)
    # a 1/61; b 1/62 + 1/61; c 1/63; d 1/62
    assert [hit.docid for hit in run["01"]] == ["b", "a", "d"]
    assert run["01"][0].score == pytest.approx(1 / 62 + 1 / 61, rel=1e-5)
    assert [hit.docid for hit in run["02"]] == ["c", "a"]
    assert run.tag == "hybrid"
    assert dense.asked == sparse.asked == [(SWAHILI, 3)]


def test_each_side_searches_its_own_text_in_the_order_of_the_dense_topics() -> None:
    searcher, dense, sparse = hybrid(sparse_topics=ENGLISH)
    searcher.search(SWAHILI, 2)
    assert dense.asked == [(SWAHILI, 2)]
    assert sparse.asked == [([Topic("01", "clean water"), Topic("02", "morning bus")], 2)]


def test_depth_is_what_the_sides_are_searched_to() -> None:
    searcher, dense, sparse = hybrid(fusion=FusionOptions(depth=1))
    run = searcher.search(SWAHILI, 3)
    assert [asked[0][1] for asked in (dense.asked, sparse.asked)] == [1, 1]
    assert [hit.docid for hit in run["01"]] == ["b", "a"]


def test_weights_go_to_dense_and_sparse_in_this_order() -> None:
    for weights, first in [((0.9, 0.1), "a"), ((0.1, 0.9), "b")]:
        fusion = FusionOptions(method="weighted", weights=weights)
        run = hybrid(fusion=fusion)[0].search(SWAHILI[:1], 3)
        assert run["01"][0].docid == first


def test_a_topic_without_text_for_the_sparse_side_is_refused_before_any_search() -> None:
    searcher, dense, sparse = hybrid(sparse_topics=ENGLISH[:2])
    with pytest.raises(UsageError, match=r"topic 01 has no text for the sparse side: both sides need the same"):
        searcher.search(SWAHILI, 2)
    assert dense.asked == sparse.asked == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "rff"}, "unknown fusion method 'rff'"),
        ({"method": "weighted", "weights": (0.5,)}, "weight"),
        ({"method": "weighted", "normalization": "maxmin"}, "normalization 'maxmin'"),
        ({"rrf_k": -1}, "k"),
        ({"depth": 0}, "depth"),
    ],
)
def test_fusion_options_are_checked_when_the_searcher_is_made(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        hybrid(fusion=FusionOptions(**options))
