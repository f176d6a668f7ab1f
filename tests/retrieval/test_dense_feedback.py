"""Dense feedback: the vectors and runs of Pyserini's own classes, on random vectors."""

from collections.abc import Sequence
from pathlib import Path

import faiss
import numpy as np
import pytest

from clir.corpora.collection import Topic
from clir.encoding.encoder import Vectors
from clir.indexing.dense import DenseIndex, open_dense_index
from clir.retrieval.dense import DenseSearcher
from clir.retrieval.dense_feedback import Average, DenseFeedback, DenseFeedbackSearcher, DenseRocchio
from clir.retrieval.searcher import Searcher
from clir.runs.run import Run
from clir.support.errors import ClirError, UsageError
from clir.support.jvm import pyserini_module

DIMENSION, DOCUMENTS, TOPICS = 16, 400, 7


class RandomEncoder:
    """Vectors of unit length that only the text decides."""

    name, dimension = "random", DIMENSION

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        rows = [np.random.default_rng(list(text.encode())).standard_normal(DIMENSION) for text in texts]
        vectors = np.array(rows, dtype=np.float32).reshape(-1, DIMENSION)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    encode_documents = encode_queries

    def fingerprint(self, side: str) -> str:
        return "random"


def write_index(folder: Path, factory: str = "Flat") -> DenseIndex:
    folder.mkdir()
    vectors = RandomEncoder().encode_documents([f"document {number}" for number in range(DOCUMENTS)])
    index = faiss.index_factory(DIMENSION, factory, faiss.METRIC_INNER_PRODUCT)
    index.train(vectors)
    index.add(vectors)
    faiss.write_index(index, str(folder / "index"))
    # Not in order, so that a docid is no row number.
    (folder / "docid").write_text("".join(f"d{number * 7 % DOCUMENTS:03}\n" for number in range(DOCUMENTS)))
    return open_dense_index(folder)


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> DenseIndex:
    return write_index(tmp_path_factory.mktemp("flat") / "index")


@pytest.fixture(scope="module")
def topics() -> list[Topic]:
    return [Topic(f"0{number}", f"topic {number}") for number in range(TOPICS)]


@pytest.mark.parametrize(
    ("feedback", "rule", "arguments"),
    [
        (Average(), "DenseVectorAveragePrf", ()),
        (Average(depth=8), "DenseVectorAveragePrf", ()),
        (DenseRocchio(), "DenseVectorRocchioPrf", (0.9, 0.1, 0.1, 3, 0)),
        (
            DenseRocchio(depth=9, alpha=0.4, beta=0.6, gamma=0.3, documents=4, last_documents=2),
            "DenseVectorRocchioPrf",
            (0.4, 0.6, 0.3, 4, 2),
        ),
    ],
)
def test_run_equals_pyserinis(
    feedback: DenseFeedback, rule: str, arguments: tuple[float, ...], index: DenseIndex, topics: list[Topic]
) -> None:
    pyserini = pyserini_module("pyserini.search.faiss")
    theirs = pyserini.FaissSearcher(str(index.path), None)
    queries, qids = RandomEncoder().encode_queries([topic.text for topic in topics]), [topic.qid for topic in topics]
    vectors, candidates = theirs.batch_search(queries, qids, k=feedback.depth, return_vector=True)
    moved = getattr(pyserini, rule)(*arguments).get_batch_prf_q_emb(qids, vectors, candidates)
    searcher: Searcher = DenseFeedbackSearcher(DenseSearcher(index, RandomEncoder()), feedback)
    np.testing.assert_allclose(searcher.moved(qids, queries), moved, rtol=0, atol=1e-6)
    found = theirs.batch_search(moved, qids, k=50)
    expected = Run.from_hits({qid: [(hit.docid, hit.score) for hit in found[qid]] for qid in qids})
    ours = searcher.search(topics, 50)
    assert ours.frame.select("qid", "docid").equals(expected.frame.select("qid", "docid"))
    np.testing.assert_allclose(ours.frame["score"], expected.frame["score"], rtol=0, atol=1e-6)
    without = DenseSearcher(index, RandomEncoder()).search(topics, 50)
    assert not ours.frame["docid"].equals(without.frame["docid"])


def test_by_hand() -> None:
    query, found = np.array([1, 0], np.float32), np.array([[0, 1], [0, 0], [0.5, 0]], np.float32)
    np.testing.assert_allclose(Average().moved(query, found), [0.375, 0.25])
    rocchio = DenseRocchio(alpha=1, beta=0.5, gamma=0.2, documents=2, last_documents=1)
    np.testing.assert_allclose(rocchio.moved(query, found), [1 - 0.2 * 0.5, 0.5 * 0.5])


def test_vectors_come_from_other_indexes_where_they_can(tmp_path: Path, topics: list[Topic], index: DenseIndex) -> None:
    exact = DenseFeedbackSearcher(DenseSearcher(index, RandomEncoder()), Average()).search(topics, 5)
    for factory in ("HNSW16", "IVF1,Flat"):
        other = write_index(tmp_path / factory.partition(",")[0], factory)
        run = DenseFeedbackSearcher(DenseSearcher(other, RandomEncoder()), Average()).search(topics, 5)
        assert run.topics == exact.topics
        assert sum(run[qid] == exact[qid] for qid in exact) > TOPICS / 2
    fast = write_index(tmp_path / "fast", "IVF1,PQ8x4fs")
    with pytest.raises(
        ClirError, match=r"\(IndexIVFPQFastScan\) does not keep its vectors, which are needed here: use the flat index"
    ):
        DenseFeedbackSearcher(DenseSearcher(fast, RandomEncoder()), Average()).search(topics, 5)


def test_small_and_empty_searches(index: DenseIndex, topics: list[Topic]) -> None:
    searcher = DenseFeedbackSearcher(DenseSearcher(index, RandomEncoder()), Average(depth=2 * DOCUMENTS))
    assert len(searcher.search(topics[:1], 3)) == 3
    assert len(searcher.search([], 3)) == 0
    with pytest.raises(UsageError, match="hits must be at least 1"):
        searcher.search(topics, 0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Average(depth=0), "depth must be at least 1, not 0"),
        (lambda: DenseRocchio(depth=5, documents=8), "feedback from 8 documents needs a depth of 8 at least, not 5"),
        (lambda: DenseRocchio(last_documents=-1), "last documents must be at least 0"),
        (lambda: DenseRocchio(alpha=float("inf")), "alpha is a number from 0 up, not inf"),
    ],
)
def test_wrong_settings(make, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        make()
