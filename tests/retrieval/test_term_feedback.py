"""RM3 and Rocchio: Pyserini's hits with the same settings, any language's terms, and what is refused."""

from pathlib import Path

import pytest

from clir.corpora.collection import Document, Topic
from clir.corpora.registry import open_collection
from clir.indexing.lucene import build_lucene_index
from clir.retrieval.bm25 import BM25Searcher
from clir.retrieval.term_feedback import RM3, Rocchio, TermFeedback
from clir.runs.run import Run
from clir.support import jvm
from clir.support.errors import UsageError

K = 100
# Nobody but the first document says both; the feedback term leads to the second.
PAIRS = [
    Document("a", "पंप टूट गया और मिस्त्री आया"),
    Document("b", "मिस्त्री कल बाज़ार में था"),
    *(Document(f"c{number}", f"खेत {number} में धान बोया") for number in range(18)),
]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo") / "index"
    return build_lucene_index(open_collection("demo/sw").documents(), folder, "en", store=["docvectors"], threads=1)


@pytest.fixture(scope="module")
def topics() -> list[Topic]:
    return [*open_collection("demo/sw").topics("en")[:12], Topic("stop", "the of and"), Topic("none", "zzz")]


def pyserini_run(index: Path, topics: list[Topic], settings: TermFeedback, k: int) -> Run:
    searcher = jvm.pyserini_module("pyserini.search.lucene").LuceneSearcher(str(index))
    if isinstance(settings, RM3):
        ascii_terms = True if settings.ascii_terms is None else settings.ascii_terms
        searcher.set_rm3(settings.terms, settings.documents, settings.weight, filter_terms=ascii_terms)
    else:
        searcher.set_rocchio(
            settings.terms, settings.documents, settings.bottom_terms, settings.bottom_documents, settings.alpha,
            settings.beta, settings.gamma, use_negative=settings.gamma > 0,
        )  # fmt: skip
    return Run.from_hits({t.qid: [(hit.docid, hit.score) for hit in searcher.search(t.text, k)] for t in topics})


@pytest.mark.parametrize(
    "feedback",
    [
        RM3(),
        RM3(terms=25, documents=5, weight=0.2, ascii_terms=False),
        Rocchio(),
        Rocchio(terms=20, documents=3, alpha=0.5, beta=1.5, gamma=0.15, bottom_terms=5, bottom_documents=4),
    ],
)
def test_run_equals_pyserinis(feedback: TermFeedback, demo: Path, topics: list[Topic]) -> None:
    ours = BM25Searcher(demo, feedback=feedback).search(topics, K)
    assert ours.topics == [topic.qid for topic in topics[:-2]]
    assert ours.frame.equals(pyserini_run(demo, topics, feedback, K).frame)
    without = BM25Searcher(demo).search(topics, K)
    assert len(ours) > 1.1 * len(without), "new terms find new documents"


def test_defaults_are_pyserinis(demo: Path, topics: list[Topic]) -> None:
    searcher = jvm.pyserini_module("pyserini.search.lucene").LuceneSearcher(str(demo))
    for switch, feedback in ((searcher.set_rm3, RM3()), (searcher.set_rocchio, Rocchio())):
        switch()
        theirs = [(hit.docid, hit.score) for hit in searcher.search(topics[0].text, K)]
        ours = BM25Searcher(demo, feedback=feedback).search(topics[:1], K)
        assert ours.frame.equals(Run.from_hits({topics[0].qid: theirs}).frame)


@pytest.mark.parametrize("feedback", [RM3(), Rocchio()])
def test_a_shorter_ranking_is_the_longer_one_cut(feedback: TermFeedback, demo: Path, topics: list[Topic]) -> None:
    searcher = BM25Searcher(demo, feedback=feedback, threads=1)
    assert searcher.search(topics, 3).frame.equals(searcher.search(topics, K).cut(3).frame)


def test_terms_of_another_script_are_fed_back(tmp_path: Path) -> None:
    index = build_lucene_index(PAIRS, tmp_path / "index", "mr", analyzer="unicode", store=["docvectors"], threads=1)
    topic = [Topic("1", "पंप")]
    assert [hit.docid for hit in BM25Searcher(index).search(topic, 10)["1"]] == ["a"]
    for feedback in (RM3(), Rocchio()):
        assert [hit.docid for hit in BM25Searcher(index, feedback=feedback).search(topic, 10)["1"]] == ["a", "b"]
    pyserinis = RM3(ascii_terms=True)
    assert [hit.docid for hit in BM25Searcher(index, feedback=pyserinis).search(topic, 10)["1"]] == ["a"]


def test_an_index_without_document_vectors(tmp_path: Path) -> None:
    index = build_lucene_index(PAIRS, tmp_path / "index", "hi", threads=1)
    for feedback in (RM3(), Rocchio()):
        with pytest.raises(
            UsageError, match=r"^feedback needs document vectors, which .* clir\.index --storeDocvectors$"
        ):
            BM25Searcher(index, feedback=feedback).search([Topic("1", "पंप")], 10)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RM3(terms=0), "at least 1 of terms, not 0"),
        (lambda: RM3(documents=51), "RM3 reads at most 50 documents of a topic, not 51"),
        (lambda: RM3(weight=1.1), "between 0 and 1, not 1.1"),
        (lambda: Rocchio(bottom_documents=0), "at least 1 of bottom documents, not 0"),
        (lambda: Rocchio(beta=-1), r"beta is a number from 0 to 1e\+18, not -1"),
        (lambda: Rocchio(gamma=float("nan")), r"gamma is a number from 0 to 1e\+18, not nan"),
    ],
)
def test_wrong_settings(make, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        make()
