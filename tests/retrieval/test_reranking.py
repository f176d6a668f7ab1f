"""Re-ranking gives a first stage's documents the order, and the scores, that exhaustive search gives them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_late import DOCUMENTS, TOPICS, Seeded

from clir.corpora.collection import Document, Topic
from clir.encoding.token_vectors import TokenVectors
from clir.indexing.tokens import TokenIndex, build_token_index
from clir.retrieval import reranking
from clir.retrieval.late import LateSearcher
from clir.retrieval.reranking import LateReranker
from clir.runs.run import Run
from clir.runs.trec import read_run, write_run
from clir.support.errors import ClirError, UsageError


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> TokenIndex:
    return build_token_index(lambda: iter(DOCUMENTS), Seeded(), tmp_path_factory.mktemp("tokens") / "index")


class Everything:
    """A first stage that finds all documents, in an order of its own; remembers what it was asked."""

    def __init__(self, docids: Sequence[str] = tuple(doc.docid for doc in DOCUMENTS)) -> None:
        self.docids = docids
        self.asked: list[tuple[list[Topic], int]] = []

    def search(self, topics: Sequence[Topic], k: int) -> Run:
        self.asked.append((list(topics), k))
        ranking = [(docid, float(-place)) for place, docid in enumerate(self.docids)]
        return Run.from_hits({topic.qid: ranking[:k] for topic in topics})


def assert_same(one: Run, other: Run) -> None:
    """The same documents in the same order; scores to the last bits of a sum."""
    assert one.frame.select("qid", "docid").rows() == other.frame.select("qid", "docid").rows()
    np.testing.assert_allclose(one.frame["score"], other.frame["score"], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("k", [1, 7, 1000])
def test_all_documents_as_candidates_give_exhaustive_search(index: TokenIndex, k: int) -> None:
    exhaustive = LateSearcher(index, Seeded(), first_stage="exhaustive").search(TOPICS, k)
    run = LateReranker(index, Seeded(), Everything(), candidates=40).search(TOPICS, k)
    assert_same(run, exhaustive)
    assert run.tag == "late"


@settings(max_examples=30)
@given(st.data())
def test_a_run_is_ranked_among_its_own_documents(index: TokenIndex, data: st.DataObject) -> None:
    docids = [doc.docid for doc in DOCUMENTS]
    chosen = data.draw(
        st.dictionaries(st.sampled_from([topic.qid for topic in TOPICS]), st.sets(st.sampled_from(docids), min_size=1))
    )
    candidates, k = data.draw(st.integers(1, 12)), data.draw(st.integers(1, 12))
    first = Run.from_hits(
        {qid: [(docid, float(data.draw(st.integers(0, 5)))) for docid in found] for qid, found in chosen.items()}
    )
    run = LateReranker(index, Seeded(), first, candidates=candidates, threads=1).search(TOPICS, k)
    everything = LateSearcher(index, Seeded(), first_stage="exhaustive").search(TOPICS, 1000).as_dict()
    for topic in TOPICS:
        allowed = [hit.docid for hit in first[topic.qid][:candidates]]
        expected = [docid for docid in everything[topic.qid] if docid in allowed][:k]
        assert [hit.docid for hit in run[topic.qid]] == expected
        scores = [everything[topic.qid][docid] for docid in expected]
        np.testing.assert_allclose([hit.score for hit in run[topic.qid]], scores, rtol=1e-6, atol=1e-6)
    assert run.topics == [topic.qid for topic in TOPICS if run[topic.qid]], "in the order of the topics"


def test_a_run_file_is_a_first_stage(index: TokenIndex, tmp_path: Path) -> None:
    write_run(Everything().search(TOPICS, 12), tmp_path / "first.run")
    run = LateReranker(index, Seeded(), read_run(tmp_path / "first.run")).search(TOPICS, 5)
    assert_same(run, LateReranker(index, Seeded(), Everything(), candidates=12).search(TOPICS, 5))


def test_only_the_best_candidates_are_asked_for(index: TokenIndex) -> None:
    first = Everything()
    run = LateReranker(index, Seeded(), first, candidates=4).search(TOPICS, 100)
    assert {k for _, k in first.asked} == {4}
    # Of d00 to d03 the first has no tokens.
    assert {len(run[topic.qid]) for topic in TOPICS} == {3}


def test_documents_without_tokens_and_unknown_ones_are_left_out_and_the_unknown_counted(
    index: TokenIndex, capsys: pytest.CaptureFixture[str]
) -> None:
    first = Everything(["d07", "stranger", "d08", "d01", "NA"])
    run = LateReranker(index, Seeded(), first).search(TOPICS[:3], 10)
    found = {topic: {hit.docid for hit in run[topic]} for topic in run}
    assert found == {"000": {"d07", "d01"}, "001": {"d07", "d01"}, "002": {"d07", "d01"}}
    assert "late: 6 of 15 candidates are not in" in capsys.readouterr().err


def test_an_index_of_another_collection_is_refused(index: TokenIndex) -> None:
    with pytest.raises(ClirError, match="has none of the 18 documents that the first stage found"):
        LateReranker(index, Seeded(), Everything(["stranger", "NA"])).search(TOPICS, 10)


def test_topics_without_candidates_or_tokens_find_nothing(index: TokenIndex) -> None:
    first = Run.from_hits({"empty": [("d01", 1.0)], "000": [("d01", 1.0)], "other": [("d02", 1.0)]})
    run = LateReranker(index, Seeded(), first).search([Topic("empty", " "), *TOPICS], 10)
    assert run.topics == ["000"]
    assert len(LateReranker(index, Seeded(), Run.from_hits({})).search(TOPICS, 10)) == 0
    assert len(LateReranker(index, Seeded(), first).search([], 10)) == 0


def test_the_first_stage_may_read_another_text(index: TokenIndex) -> None:
    first = Everything()
    translated = [topic._replace(text=f"translated {topic.qid}") for topic in TOPICS]
    run = LateReranker(index, Seeded(), first, first_topics=translated).search(TOPICS[2:4], 5)
    assert first.asked == [(translated[2:4], 1000)]
    assert_same(run, LateSearcher(index, Seeded()).search(TOPICS[2:4], 5))
    with pytest.raises(UsageError, match=r"topic 000 has no text for the first stage \(one of 2 such topics\)"):
        LateReranker(index, Seeded(), first, first_topics=translated[2:]).search(TOPICS, 5)


def test_batches_change_nothing(index: TokenIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = LateReranker(index, Seeded(), Everything()).search(TOPICS, 6)
    monkeypatch.setattr(reranking, "TOPICS_AT_ONCE", 2)
    first = Everything()
    assert_same(LateReranker(index, Seeded(), first).search(TOPICS, 6), whole)
    assert [len(topics) for topics, _ in first.asked] == [2, 2, 2, 2, 1]
    # Two topics of 40 hits each are as many as may be held.
    monkeypatch.setattr(reranking, "HITS_AT_ONCE", 99)
    first = Everything()
    LateReranker(index, Seeded(), first, candidates=40).search(TOPICS, 6)
    assert [len(topics) for topics, _ in first.asked] == [2, 2, 2, 2, 1]


def test_equal_scores_come_by_docid_descending_at_the_cut_too(tmp_path: Path) -> None:
    same = [Document(docid, "the same text") for docid in ("b", "a", "10", "9", "ä")]
    index = build_token_index(lambda: iter(same), Seeded(), tmp_path / "ties")
    for k, expected in ((5, ["ä", "b", "a", "9", "10"]), (2, ["ä", "b"])):
        first = Everything([doc.docid for doc in same])
        run = LateReranker(index, Seeded(), first).search(TOPICS[:1], k)
        assert [hit.docid for hit in run["000"]] == expected


class Broken(Seeded):
    def encode_query_tokens(self, texts: Sequence[str]) -> TokenVectors:
        vectors = super().encode_query_tokens(texts)
        vectors.values[:] = np.nan
        return vectors


def test_wrong_options_and_other_models_are_refused(index: TokenIndex) -> None:
    with pytest.raises(UsageError, match="candidates must be at least 1, not 0"):
        LateReranker(index, Seeded(), Everything(), candidates=0)
    with pytest.raises(UsageError, match="threads must be at least 1, not 0"):
        LateReranker(index, Seeded(), Everything(), threads=0)
    with pytest.raises(UsageError, match="hits must be at least 1, not 0"):
        LateReranker(index, Seeded(), Everything()).search(TOPICS, 0)
    with pytest.raises(ClirError, match="was made by another model"):
        LateReranker(index, Seeded(dimension=7), Everything())
    with pytest.raises(ClirError, match="is not finite"):
        LateReranker(index, Broken(), Everything()).search(TOPICS, 3)
