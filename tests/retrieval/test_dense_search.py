"""Dense search finds what comparing every pair of vectors finds."""

from collections.abc import Sequence
from pathlib import Path

import faiss
import numpy as np
import polars as pl
import pytest

from clir.corpora.collection import Document, Topic
from clir.encoding.encoder import load_encoder
from clir.indexing.approximate import Factory, build_approximate_index
from clir.indexing.dense import DenseIndex, build_dense_index
from clir.retrieval import dense
from clir.retrieval.dense import DenseSearcher
from clir.retrieval.dense_feedback import Average, DenseFeedbackSearcher
from clir.runs.run import Run
from clir.runs.trec import read_run, write_run
from clir.support.errors import ClirError, UsageError

DOCUMENTS = [Document(f"d{number:02}", "") for number in range(40)]
TOPICS = [Topic(f"{number:03}", f"topic {number}") for number in range(7)]


class Seeded:
    """A vector for every text, drawn by the text: no two nearly alike."""

    name = "seeded"

    def __init__(self, dimension: int = 12) -> None:
        self.dimension = dimension
        self.documents = 0

    def encode_queries(self, texts: Sequence[str]) -> np.ndarray:
        draws = [np.random.default_rng(list(text.encode())).normal(size=self.dimension) for text in texts]
        return np.array(draws, dtype=np.float32).reshape(len(texts), self.dimension)

    def encode_documents(self, texts: Sequence[str]) -> np.ndarray:
        return self.encode_queries(texts)

    def fingerprint(self, side: str) -> str:
        return f"seeded {self.dimension}"


def documents() -> list[Document]:
    return [doc._replace(text=f"text of {doc.docid}") for doc in DOCUMENTS]


@pytest.fixture
def index(tmp_path: Path) -> DenseIndex:
    return build_dense_index(lambda: iter(documents()), Seeded(), tmp_path / "index")


def brute_force(encoder: Seeded, k: int) -> dict[str, list[tuple[str, float]]]:
    ours = encoder.encode_queries([topic.text for topic in TOPICS]).astype(np.float64)
    theirs = encoder.encode_queries([doc.text for doc in documents()]).astype(np.float64)
    scores = ours @ theirs.T
    best = np.argsort(-scores, axis=1)[:, :k]
    return {topic.qid: [(DOCUMENTS[at].docid, scores[row, at]) for at in best[row]] for row, topic in enumerate(TOPICS)}


def assert_equal(run: Run, expected: dict[str, list[tuple[str, float]]]) -> None:
    assert run.topics == list(expected)
    for qid, hits in expected.items():
        assert [hit.docid for hit in run[qid]] == [docid for docid, _ in hits]
        np.testing.assert_allclose([hit.score for hit in run[qid]], [score for _, score in hits], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("k", [1, 5, 40])
def test_search_equals_comparing_all_vectors(index: DenseIndex, k: int) -> None:
    run = DenseSearcher(index, Seeded(), threads=1).search(TOPICS, k)
    assert_equal(run, brute_force(Seeded(), k))
    assert run.tag == "dense"


def test_batches_of_topics_change_nothing(index: DenseIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dense, "BATCH_HITS", 12)
    assert_equal(DenseSearcher(index, Seeded()).search(TOPICS, 6), brute_force(Seeded(), 6))


def test_more_hits_than_documents_gives_every_document_once_and_no_padding(index: DenseIndex, tmp_path: Path) -> None:
    run = DenseSearcher(index, Seeded()).search(TOPICS, 1000)
    assert_equal(run, brute_force(Seeded(), 40))
    write_run(run, tmp_path / "dense.run")
    lines = (tmp_path / "dense.run").read_text().splitlines()
    assert len(lines) == 7 * 40
    assert not [line for line in lines if line.split()[2] in ("-1", "None") or float(line.split()[4]) < -1e30]
    assert read_run(tmp_path / "dense.run").topics == run.topics


def test_the_padding_of_an_approximate_index_is_left_out(index: DenseIndex) -> None:
    vectors = faiss.read_index(str(index.path / "index")).reconstruct_n(0, 40)
    # Eight cells of which one is looked at: faiss fills the list up with -1.
    cells = faiss.index_factory(12, "IVF8,Flat", faiss.METRIC_INNER_PRODUCT)
    cells.train(vectors)
    cells.add(vectors)
    faiss.write_index(cells, str(index.path / "index"))
    run = DenseSearcher(index.path, Seeded()).search(TOPICS, 40)
    assert 0 < len(run) < 7 * 40
    assert set(run.frame["docid"]) <= {doc.docid for doc in DOCUMENTS}
    exact = brute_force(Seeded(), 40)
    for qid in run.topics:
        scores = dict(exact[qid])
        assert all(abs(scores[hit.docid] - hit.score) < 1e-4 for hit in run[qid])


TAGS = ["sw", "en", "en", "so", ""]


def tagged(folder: Path) -> DenseIndex:
    """The forty documents: 8 in Swahili, 16 in English, 8 in Somali, 8 in no language that is said."""
    with_tags = [doc._replace(language=TAGS[at % 5]) for at, doc in enumerate(documents())]
    return build_dense_index(lambda: iter(with_tags), Seeded(), folder / "tagged", window=7)


def of_language(docid: str) -> str:
    return TAGS[int(docid[1:]) % 5]


@pytest.mark.parametrize("factory", [None, "HNSW8", "IVF2,SQ8"])
@pytest.mark.parametrize("languages", [("sw",), ("swa", "en"), ("so", "so")])
def test_only_documents_in_some_languages(tmp_path: Path, languages: tuple[str, ...], factory: str | None) -> None:
    index = tagged(tmp_path)
    if factory is not None:
        index = build_approximate_index(index, tmp_path / "approximate", Factory(factory))
    run = DenseSearcher(index, Seeded(), languages=languages).search(TOPICS, 6)
    wanted = {"swa": "sw"}
    asked = {wanted.get(one, one) for one in languages}
    expected = {
        qid: [hit for hit in hits if of_language(hit[0]) in asked][:6]
        for qid, hits in brute_force(Seeded(), 40).items()
    }
    if factory != "IVF2,SQ8":
        assert_equal(run, expected)
    assert {of_language(docid) for docid in run.frame["docid"]} == asked


def test_an_equal_share_for_every_language_and_what_is_left_over_for_the_best(tmp_path: Path) -> None:
    """Eleven hits in three languages: three each, and the two best of what remains, all by score."""
    run = DenseSearcher(tagged(tmp_path), Seeded(), balanced=True).search(TOPICS, 11)
    for qid, hits in brute_force(Seeded(), 40).items():
        each = {code: [hit for hit in hits if of_language(hit[0]) == code] for code in ("sw", "en", "so")}
        share = [hit for some in each.values() for hit in some[:3]]
        rest = sorted((hit for some in each.values() for hit in some[3:]), key=lambda hit: -hit[1])
        expected = sorted([*share, *rest[:2]], key=lambda hit: -hit[1])
        assert [hit.docid for hit in run[qid]] == [docid for docid, _ in expected]


def test_places_that_a_language_cannot_fill_go_to_the_others(tmp_path: Path) -> None:
    run = DenseSearcher(tagged(tmp_path), Seeded(), languages=("sw", "en"), balanced=True).search(TOPICS, 22)
    counts = [[of_language(hit.docid) for hit in run[topic.qid]].count("sw") for topic in TOPICS]
    assert counts == [8] * 7, "all eight in Swahili, and 14 in English"
    assert [len(run[topic.qid]) for topic in TOPICS] == [22] * 7
    # More than there are.
    assert len(DenseSearcher(tagged(tmp_path), Seeded(), balanced=True).search(TOPICS, 1000)) == 7 * 32


def test_languages_that_are_not_there(index: DenseIndex, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not know the languages of its documents"):
        DenseSearcher(index, Seeded(), languages=["sw"])
    with pytest.raises(UsageError, match="does not know the languages of its documents"):
        DenseSearcher(index, Seeded(), balanced=True)
    with pytest.raises(UsageError, match="no document is in 'yo'; the index has en, so, sw"):
        DenseSearcher(tagged(tmp_path), Seeded(), languages=["sw", "yo"])
    with pytest.raises(UsageError, match="no language to search in was given"):
        DenseSearcher(tagged(tmp_path), Seeded(), languages=[])


def test_parameters_of_an_approximate_index(index: DenseIndex, tmp_path: Path) -> None:
    cells = build_approximate_index(index, tmp_path / "cells", Factory("IVF8,Flat", search="nprobe=1"))
    few = DenseSearcher(cells, Seeded()).search(TOPICS, 40)
    assert 0 < len(few) < 7 * 40
    assert_equal(DenseSearcher(cells, Seeded(), parameters="nprobe=8").search(TOPICS, 40), brute_force(Seeded(), 40))
    with pytest.raises(UsageError, match=r"this index has no parameter efSearch \(it has: nprobe\)"):
        DenseSearcher(cells, Seeded(), parameters="efSearch=8")
    with pytest.raises(UsageError, match="nprobe must be at least 1, not 0"):
        DenseSearcher(cells, Seeded(), parameters="nprobe=0")
    with pytest.raises(UsageError, match="is a flat index, which is searched exactly"):
        DenseSearcher(index, Seeded(), parameters="nprobe=8")


def test_equal_scores_come_by_docid_descending(tmp_path: Path) -> None:
    same = [Document(docid, "the same text") for docid in ("b", "a", "10", "9")]
    build_dense_index(lambda: iter(same), Seeded(), tmp_path / "ties")
    run = DenseSearcher(tmp_path / "ties", Seeded()).search(TOPICS[:1], 4)
    assert [hit.docid for hit in run["000"]] == ["b", "a", "9", "10"]


@pytest.mark.parametrize("k", [1, 2, 3, 5])
def test_of_documents_that_tie_for_the_last_place_docids_decide(tmp_path: Path, k: int) -> None:
    same = [Document(f"d{at}", "the same text") for at in range(30)]
    other = [Document(f"a{at}", f"another {at}") for at in range(3)]
    build_dense_index(lambda: iter(same + other), Seeded(), tmp_path / "ties")
    whole = DenseSearcher(tmp_path / "ties", Seeded()).search(TOPICS, 33)
    run = DenseSearcher(tmp_path / "ties", Seeded()).search(TOPICS, k)
    for topic in TOPICS:
        assert run[topic.qid] == whole[topic.qid][:k]
    assert any("d9" in [hit.docid for hit in run[topic.qid]] for topic in TOPICS)


def test_a_topic_without_text_finds_nothing(index: DenseIndex) -> None:
    empty = Topic("empty", " ")
    run = DenseSearcher(index, Seeded()).search([empty, *TOPICS], 3)
    assert run.topics == [topic.qid for topic in TOPICS]
    feedback = DenseFeedbackSearcher(DenseSearcher(index, Seeded()), Average())
    assert feedback.search([*TOPICS, empty], 3).topics == [topic.qid for topic in TOPICS]


def test_ids_that_look_like_numbers_or_nothing_stay(tmp_path: Path) -> None:
    named = [Document(docid, f"text {docid}") for docid in ("001", "1", "NA", "null")]
    build_dense_index(lambda: iter(named), Seeded(), tmp_path / "names")
    run = DenseSearcher(tmp_path / "names", Seeded()).search([Topic("NA", "a"), Topic("01", "b")], 4)
    assert run.topics == ["NA", "01"]
    assert sorted(run.frame["docid"].unique().to_list()) == ["001", "1", "NA", "null"]
    assert run.frame["docid"].dtype == pl.String


def test_no_topics_give_an_empty_run(index: DenseIndex) -> None:
    assert len(DenseSearcher(index, Seeded()).search([], 10)) == 0


def test_wrong_options_and_another_models_index_are_refused(index: DenseIndex) -> None:
    with pytest.raises(UsageError, match="hits must be at least 1, not 0"):
        DenseSearcher(index, Seeded()).search(TOPICS, 0)
    with pytest.raises(UsageError, match="threads must be at least 1, not 0"):
        DenseSearcher(index, Seeded(), threads=0)
    with pytest.raises(ClirError, match="was made by another model"):
        DenseSearcher(index, Seeded(dimension=13))


def test_minilm_finds_the_passage_that_answers(minilm: Path, tmp_path: Path) -> None:
    passages = [
        Document("well", "The village draws its drinking water from a deep well."),
        Document("bus", "The bus to the city leaves every morning at six."),
        Document("maize", "Farmers plant maize when the long rains begin."),
    ]
    encoder = load_encoder(str(minilm))
    build_dense_index(lambda: iter(passages), encoder, tmp_path / "index")
    topics = [Topic("1", "where does the water come from?"), Topic("2", "when does the bus leave?")]
    run = DenseSearcher(tmp_path / "index", encoder).search(topics, 3)
    assert [run[qid][0].docid for qid in ("1", "2")] == ["well", "bus"]
