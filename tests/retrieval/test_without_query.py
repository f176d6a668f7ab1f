"""Topics that are documents are left out of their own hits, on every side of a search, and as many hits come back."""

import dataclasses

import numpy as np
import pytest

from clir.corpora.collection import Document, Topic
from clir.encoding.token_vectors import TokenVectors
from clir.experiments.search import SearchOptions, Sides, provenance, search
from clir.indexing.dense import build_dense_index
from clir.indexing.lucene import build_lucene_index, open_lucene_index
from clir.indexing.tokens import build_token_index
from clir.retrieval.without_query import WithoutQuery
from clir.runs.run import Run
from clir.runs.trec import write_run

WORDS = ("goats eat leaves", "goats drink water", "goats eat salt", "water of the lake", "leaves of the acacia")
DOCUMENTS = [Document(f"d{at}", text) for at, text in enumerate(WORDS)]
TOPICS = [Topic("d0", WORDS[0]), Topic("d3", WORDS[3]), Topic("other", "goats")]


class LetterTokens:
    """An encoder that counts letters, of a text and of each of its words."""

    name, dimension = "letters", 26

    def encode_queries(self, texts) -> np.ndarray:
        counts = [[text.count(chr(97 + at)) for at in range(26)] for text in texts]
        vectors = np.array(counts, dtype=np.float32).reshape(len(texts), 26)
        return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)

    encode_documents = encode_queries

    def encode_query_tokens(self, texts) -> TokenVectors:
        return TokenVectors.of([self.encode_queries(text.split()) for text in texts], 26)

    encode_document_tokens = encode_query_tokens

    def token_limit(self, side: str) -> int:
        return 20

    def fingerprint(self, side: str) -> str:
        return f"letters {side}"


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    return tmp_path_factory.mktemp("indexes")


def sides_over(documents: list[Document], places, name: str) -> Sides:
    encoder = LetterTokens()
    return Sides(
        dense=build_dense_index(lambda: iter(documents), encoder, places / f"{name}-dense"),
        sparse=open_lucene_index(build_lucene_index(documents, places / f"{name}-sparse", language="en")),
        tokens=build_token_index(lambda: iter(documents), encoder, places / f"{name}-tokens"),
        topics=TOPICS,
    )


@pytest.fixture(scope="module")
def sides(places) -> Sides:
    return sides_over(DOCUMENTS, places, "all")


@pytest.mark.parametrize(
    ("method", "more"),
    [
        ("bm25", {}),
        ("dense", {}),
        ("hybrid", {}),
        ("late", {"first_stage": "exhaustive"}),
        ("late", {"first_stage": "pooled", "candidates": 2}),
        ("late", {"first_stage": "dense", "candidates": 2}),
    ],
)
def test_the_topics_own_document_is_not_found_and_another_comes_for_it(sides, method, more):
    whole = search(method, sides, LetterTokens(), hits=5, options=SearchOptions(**{**more, "candidates": 5}))
    run = search(method, sides, LetterTokens(), hits=2, options=SearchOptions(**more, remove_query=True))
    assert whole["d0"][0].docid == "d0"
    for topic in TOPICS:
        assert topic.qid not in [hit.docid for hit in run[topic.qid]]
        others = [hit.docid for hit in whole[topic.qid] if hit.docid != topic.qid]
        assert len(run[topic.qid]) == min(2, len(others))
        if method != "hybrid" and "candidates" not in more:
            assert [hit.docid for hit in run[topic.qid]] == others[:2]


def test_a_hybrid_is_fused_as_if_the_document_were_not_there(sides, places):
    """Ranks and the normalisation of scores would otherwise be of rankings that the document heads."""
    without = sides_over([doc for doc in DOCUMENTS if doc.docid != "d0"], places, "without")
    topics = [TOPICS[0]]
    dense = dataclasses.replace(sides, sparse=None, topics=topics)
    expected = search("dense", dataclasses.replace(without, topics=topics), LetterTokens(), hits=2)
    assert search("dense", dense, LetterTokens(), hits=2, options=SearchOptions(remove_query=True)).frame.equals(
        expected.frame
    )
    # BM25's own scores know of all documents; its ranks are all that is fused here.
    fused = search("hybrid", without, LetterTokens(), hits=3)
    found = search("hybrid", sides, LetterTokens(), hits=3, options=SearchOptions(remove_query=True))
    assert found["d0"] == fused["d0"]


def test_a_run_that_is_ranked_again_loses_it_before_its_candidates_are_counted(sides, tmp_path):
    first = Run.from_hits({"d0": [("d0", 3.0), ("d4", 2.0), ("d1", 1.0)]})
    write_run(first, tmp_path / "first.run")
    options = SearchOptions(first_stage=str(tmp_path / "first.run"), candidates=2, remove_query=True)
    run = search("late", sides, LetterTokens(), hits=2, options=options)
    assert {hit.docid for hit in run["d0"]} == {"d4", "d1"}


def test_the_manifest_keeps_it_and_only_it(sides):
    told = provenance("bm25", sides, None, SearchOptions(remove_query=True))
    assert told["method"]["remove query"] is True
    assert "remove query" not in provenance("bm25", sides, None, SearchOptions())["method"]


def test_one_hit_more_is_searched_for():
    class Fixed:
        def search(self, topics, k):
            self.asked = k
            return Run.from_hits({topic.qid: [(f"d{at}", 9.0 - at) for at in range(k)] for topic in topics})

    searcher = Fixed()
    run = WithoutQuery(searcher).search([Topic("d1", "a"), Topic("x", "a")], 2)
    assert searcher.asked == 3
    assert {qid: [hit.docid for hit in run[qid]] for qid in run} == {"d1": ["d0", "d2"], "x": ["d0", "d1"]}
