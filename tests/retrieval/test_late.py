"""Late interaction finds what comparing every pair of tokens finds."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clir.corpora.collection import Document, Topic
from clir.encoding.encoder import TokenEncoder, load_encoder, token_encoder
from clir.encoding.token_vectors import TokenVectors, pieces
from clir.indexing.reduced import open_reduced_index
from clir.indexing.tokens import TokenIndex, build_token_index
from clir.retrieval import late, reranking
from clir.retrieval.late import LateSearcher
from clir.retrieval.maxsim import BestDocuments, maxsim
from clir.retrieval.reranking import candidates_for
from clir.runs.run import Run
from clir.support.errors import ClirError, UsageError

WORDS = ["kisima", "maji", "samaki", "mbuzi", "soko", "barua", "mvua", "shamba", "njia", "daraja"]
DOCUMENTS = [
    Document(f"d{number:02}", " ".join(WORDS[(number * step) % 10] for step in range(number % 8)))
    for number in range(40)
]
TOPICS = [Topic(f"{number:03}", " ".join(WORDS[number : number + 1 + number % 4])) for number in range(9)]


class Seeded:
    """A vector for every word, drawn by the word and its neighbour; many products are negative."""

    name = "seeded"

    def __init__(self, dimension: int = 6) -> None:
        self.dimension = dimension

    def encode_queries(self, texts: Sequence[str]) -> np.ndarray:
        raise NotImplementedError

    encode_documents = encode_queries

    def encode_query_tokens(self, texts: Sequence[str]) -> TokenVectors:
        return TokenVectors.of([self._words(text.split()) for text in texts], self.dimension)

    encode_document_tokens = encode_query_tokens

    def token_limit(self, side: str) -> int:
        return 96

    def fingerprint(self, side: str) -> str:
        return f"seeded {self.dimension}"

    def _words(self, words: list[str]) -> np.ndarray:
        seeds = [list(f"{word} {before}".encode()) for word, before in zip(words, ["", *words], strict=False)]
        draws = [np.random.default_rng(seed).normal(size=self.dimension) for seed in seeds]
        return np.array(draws, dtype=np.float32).reshape(-1, self.dimension)


def by_hand(queries: TokenVectors, documents: TokenVectors) -> np.ndarray:
    """(n, m) MaxSim in float64, token by token; -inf where a side has no tokens."""
    scores = np.full((len(queries), len(documents)), -np.inf)
    for row in range(len(queries)):
        for column in range(len(documents)):
            ours, theirs = queries[row].astype(np.float64), documents[column].astype(np.float64)
            if len(ours) and len(theirs):
                scores[row, column] = sum(max(float(q @ t) for t in theirs) for q in ours)
    return scores


def ragged(lengths: Sequence[int], dimension: int, seed: int, unit: bool = True) -> TokenVectors:
    vectors = TokenVectors.empty(lengths, dimension)
    vectors.values[:] = np.random.default_rng(seed).normal(size=vectors.values.shape)
    if unit and len(vectors.values):
        vectors.values[:] /= np.linalg.norm(vectors.values, axis=1, keepdims=True)
    return vectors


lengths = st.lists(st.integers(0, 9), min_size=0, max_size=7)


@given(lengths, lengths, st.integers(1, 12), st.integers(0, 1000))
def test_maxsim_equals_the_double_loop(ours: list[int], theirs: list[int], dimension: int, seed: int) -> None:
    queries, documents = ragged(ours, dimension, seed), ragged(theirs, dimension, seed + 1)
    scores = maxsim(queries, documents)
    assert scores.shape == (len(ours), len(theirs)) and scores.dtype == np.float32
    np.testing.assert_allclose(scores, by_hand(queries, documents), rtol=1e-5, atol=1e-5)


def test_no_padding_beats_a_negative_similarity() -> None:
    queries = TokenVectors.of([np.array([[1.0, 0.0], [0.0, 1.0]], dtype=np.float32)], 2)
    documents = TokenVectors.of(
        [np.array([[-0.5, -0.5]], dtype=np.float32), np.array([[-1, 0], [-0.2, -0.1], [0, -1]], dtype=np.float32)], 2
    )
    # -.5 - .5; for the second: the greatest of (-1, -.2, 0) and of (0, -.1, -1).
    np.testing.assert_allclose(maxsim(queries, documents), [[-1.0, 0.0]])
    assert maxsim(queries, documents.part(0, 1))[0, 0] == -1.0


def test_maxsim_equals_sentence_transformers_on_minilms_tokens(minilm: Path) -> None:
    import torch
    from sentence_transformers.util.similarity import maxsim as theirs

    encoder = token_encoder(load_encoder(str(minilm)))
    queries = encoder.encode_query_tokens(["where does the water come from?", "bus", "goats, and maize"])
    documents = encoder.encode_document_tokens(
        [
            "The village draws its water from a deep well.",
            "The bus leaves every morning at six.",
            "Maize!",
            "rain " * 60,
        ]
    )
    expected = theirs(*([torch.from_numpy(side[at]) for at in range(len(side))] for side in (queries, documents)))
    np.testing.assert_allclose(maxsim(queries, documents), expected.numpy(), rtol=1e-5)


@given(lengths, st.integers(1, 12))
def test_pieces_are_bounded_and_whole(counts: list[int], tokens: int) -> None:
    vectors = ragged(counts, 2, 0)
    found = list(pieces(vectors.offsets, tokens))
    assert [at for start, stop in found for at in range(start, stop)] == list(range(len(counts)))
    assert all(sum(counts[start:stop]) <= tokens or stop == start + 1 for start, stop in found)


@given(st.data(), st.integers(1, 6), st.integers(1, 12), st.integers(1, 9))
def test_the_best_are_those_of_sorting_everything(data: st.DataObject, queries: int, documents: int, k: int) -> None:
    some = st.sampled_from([0.0, -0.0, 1.5, -2.25, 3e38, -3e38, 1e-40, -np.inf])
    scores = np.array(data.draw(st.lists(st.lists(some, min_size=documents, max_size=documents), min_size=queries,
                                         max_size=queries)), dtype=np.float32)  # fmt: skip
    docids = [f"{(7 * number) % 13}" for number in range(documents)]
    best = BestDocuments(queries, min(k, documents), pl.Series(docids))
    for start in range(0, documents, 4):
        best.offer(0, start, scores[:, start : start + 4])
    owners, numbers, found = best.hits()
    for query in range(queries):
        order = sorted(range(documents), key=lambda at: (scores[query, at], docids[at]), reverse=True)
        wanted = {at: scores[query, at] for at in order[:k] if scores[query, at] > -np.inf}
        assert dict(zip(numbers[owners == query].tolist(), found[owners == query].tolist(), strict=True)) == wanted


@pytest.fixture
def index(tmp_path: Path) -> TokenIndex:
    return build_token_index(lambda: iter(DOCUMENTS), Seeded(), tmp_path / "index")


def brute_force(index: TokenIndex, k: int) -> dict[str, list[tuple[str, float]]]:
    scores = by_hand(Seeded().encode_query_tokens([topic.text for topic in TOPICS]), index.read(0, index.documents))
    ranked = {}
    for topic, row in zip(TOPICS, scores.astype(np.float32), strict=True):
        order = sorted(range(len(row)), key=lambda at: (row[at], DOCUMENTS[at].docid), reverse=True)
        ranked[topic.qid] = [(DOCUMENTS[at].docid, float(row[at])) for at in order[:k] if row[at] > -np.inf]
    return ranked


def assert_equal(run: Run, expected: dict[str, list[tuple[str, float]]]) -> None:
    assert run.topics == list(expected)
    for qid, hits in expected.items():
        np.testing.assert_allclose([hit.score for hit in run[qid]], [score for _, score in hits], rtol=1e-5, atol=1e-5)
        ours, theirs = dict(run[qid]), dict(hits)
        assert all(abs(ours.get(docid, -9) - score) < 1e-4 for docid, score in theirs.items())


@pytest.mark.parametrize("k", [1, 5, 1000])
def test_search_equals_comparing_all_tokens(index: TokenIndex, k: int) -> None:
    run = LateSearcher(index, Seeded(), threads=1).search(TOPICS, k)
    assert_equal(run, brute_force(index, k))
    assert run.tag == "late"


def test_batches_of_topics_do_not_change_the_ranking(index: TokenIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reranking, "TOPICS_AT_ONCE", 2)
    assert_equal(LateSearcher(index.path, Seeded()).search(TOPICS, 6), brute_force(index, 6))


def test_an_empty_document_is_never_found_and_an_empty_topic_finds_nothing(index: TokenIndex) -> None:
    assert [doc.docid for doc in DOCUMENTS if not doc.text] == ["d00", "d08", "d16", "d24", "d32"]
    run = LateSearcher(index, Seeded()).search([Topic("empty", " "), *TOPICS[:2]], 100)
    assert run.topics == ["000", "001"]
    assert len(run) == 2 * 35
    assert not {"d00", "d08", "d16", "d24", "d32"} & set(run.frame["docid"])


def test_equal_scores_come_by_docid_descending_at_the_cut_too(tmp_path: Path) -> None:
    same = [Document(docid, "the same text") for docid in ("b", "a", "10", "9", "ä")]
    build_token_index(lambda: iter(same), Seeded(), tmp_path / "ties")
    for k, expected in ((5, ["ä", "b", "a", "9", "10"]), (2, ["ä", "b"])):
        run = LateSearcher(tmp_path / "ties", Seeded()).search(TOPICS[:1], k)
        assert [hit.docid for hit in run["000"]] == expected


def test_ids_that_look_like_numbers_or_nothing_stay(tmp_path: Path) -> None:
    named = [Document(docid, f"text {docid}") for docid in ("001", "1", "NA", "null")]
    build_token_index(lambda: iter(named), Seeded(), tmp_path / "names")
    run = LateSearcher(tmp_path / "names", Seeded()).search([Topic("NA", "a"), Topic("01", "b")], 4)
    assert run.topics == ["NA", "01"]
    assert sorted(run.frame["docid"].unique().to_list()) == ["001", "1", "NA", "null"]


def test_no_topics_give_an_empty_run(index: TokenIndex) -> None:
    assert len(LateSearcher(index, Seeded()).search([], 10)) == 0


def test_the_number_of_threads_is_put_back(index: TokenIndex) -> None:
    import torch

    before = torch.get_num_threads()
    LateSearcher(index, Seeded(), threads=before + 1).search(TOPICS, 3)
    assert torch.get_num_threads() == before


class Broken(Seeded):
    def encode_query_tokens(self, texts: Sequence[str]) -> TokenVectors:
        vectors = super().encode_query_tokens(texts)
        vectors.values[:] = np.nan
        return vectors


def test_queries_that_are_not_finite_are_refused(index: TokenIndex) -> None:
    with pytest.raises(ClirError, match="is not finite"):
        LateSearcher(index, Broken()).search(TOPICS, 3)


class Pooled:
    name = "pooled"


def test_wrong_options_and_other_models_are_refused(index: TokenIndex) -> None:
    with pytest.raises(UsageError, match="hits must be at least 1, not 0"):
        LateSearcher(index, Seeded()).search(TOPICS, 0)
    with pytest.raises(UsageError, match="threads must be at least 1, not 0"):
        LateSearcher(index, Seeded(), threads=0)
    with pytest.raises(ClirError, match="was made by another model"):
        LateSearcher(index, Seeded(dimension=7))
    with pytest.raises(UsageError, match="pooled gives no token vectors: its class lacks encode_query_tokens"):
        LateSearcher(index, Pooled())  # type: ignore[arg-type]


@pytest.mark.parametrize("stage", ["pooled", "muvera"])
@pytest.mark.parametrize("k", [3, 1000])
def test_all_documents_as_candidates_give_exhaustive_search(index: TokenIndex, stage: late.FirstStage, k: int) -> None:
    run = LateSearcher(index, Seeded(), first_stage=stage, threads=1).search(TOPICS, k)
    assert_equal(run, brute_force(index, k))
    assert (index.path / stage / "meta.json").exists()


@pytest.mark.parametrize("stage", ["pooled", "muvera"])
def test_few_candidates_are_the_nearest_by_one_vector_and_are_scored_exactly(
    index: TokenIndex, stage: late.FirstStage
) -> None:
    run = LateSearcher(index, Seeded(), first_stage=stage, candidates=5).search(TOPICS, 2)
    exact = brute_force(index, 1000)
    held = open_reduced_index(index, stage)  # type: ignore[arg-type]
    found = held.search(Seeded().encode_query_tokens([topic.text for topic in TOPICS]), 5)
    for topic, numbers in zip(TOPICS, found, strict=True):
        assert len(numbers) == 5
        candidates = {DOCUMENTS[number].docid for number in numbers}
        best = [(docid, score) for docid, score in exact[topic.qid] if docid in candidates][:2]
        assert [hit.docid for hit in run[topic.qid]] == [docid for docid, _ in best]
        np.testing.assert_allclose([hit.score for hit in run[topic.qid]], [score for _, score in best], rtol=1e-5)


@pytest.mark.parametrize(("candidates", "found"), [(2, 2), (None, 30)])
def test_no_more_are_found_than_candidates_and_as_many_as_asked_for_if_none_are_said(
    index: TokenIndex, candidates: int | None, found: int
) -> None:
    run = LateSearcher(index, Seeded(), first_stage="pooled", candidates=candidates).search(TOPICS, 30)
    assert {len(run[topic.qid]) for topic in TOPICS} == {found}


def test_more_hits_than_a_thousand_are_so_many_candidates() -> None:
    assert [candidates_for(k, given) for k, given in ((10, None), (2000, None), (2000, 5))] == [1000, 2000, 5]


def test_auto_scores_everything_while_that_is_affordable_and_says_so_once(
    index: TokenIndex, capsys: pytest.CaptureFixture[str]
) -> None:
    searcher = LateSearcher(index, Seeded(), candidates=10)
    for _ in range(2):
        assert_equal(searcher.search(TOPICS, 3), brute_force(index, 3))
    assert searcher.chosen == "exhaustive"
    # 9 topics of 1 to 4 words, 2.2 on average.
    said = "140 document tokens x 2 query tokens x 6 dimensions are 3.7e-06 GFLOP a query, and up to 20 are affordable"
    assert capsys.readouterr().err == f"late: every document is scored ({said})\n"


def test_auto_takes_candidates_beyond_that_and_keeps_what_it_made(
    index: TokenIndex, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(late, "AFFORDABLE", 100.0)
    run = LateSearcher(index, Seeded(), candidates=39).search(TOPICS, 3)
    assert_equal(run, brute_force(index, 3))
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("late: 39 candidates by pooled vectors are scored exactly (140 document tokens x 2 query")
    assert second == f"late: making pooled vectors of 40 documents, kept in {index.path}"
    made = (index.path / "pooled" / "meta.json").stat().st_mtime_ns
    searcher = LateSearcher(index, Seeded(), candidates=39)
    assert_equal(searcher.search(TOPICS, 3), brute_force(index, 3))
    assert searcher.chosen == "pooled"
    assert (index.path / "pooled" / "meta.json").stat().st_mtime_ns == made
    assert len(capsys.readouterr().err.splitlines()) == 1
    # No more documents than candidates: nothing would be gained.
    few = LateSearcher(index, Seeded(), candidates=40)
    few.search(TOPICS, 3)
    assert few.chosen == "exhaustive"


def test_vectors_of_an_earlier_index_are_made_again(
    index: TokenIndex, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = build_token_index(lambda: iter(DOCUMENTS[::-1]), Seeded(), tmp_path / "other")
    LateSearcher(other, Seeded(), first_stage="pooled").search(TOPICS, 3)
    shutil.copytree(other.path / "pooled", index.path / "pooled")
    capsys.readouterr()
    run = LateSearcher(index, Seeded(), first_stage="pooled", candidates=30).search(TOPICS, 3)
    assert "late: making pooled vectors of 40 documents" in capsys.readouterr().err
    assert len(run) == 27
    assert open_reduced_index(index, "pooled").numbers.tolist() == [at for at in range(40) if at % 8]


def test_a_searcher_is_a_first_stage(index: TokenIndex) -> None:
    class Last:
        def search(self, topics: Sequence[Topic], k: int) -> Run:
            hits = [(doc.docid, 1.0) for doc in DOCUMENTS[-k:]]
            return Run.from_hits({topic.qid: hits for topic in topics})

    run = LateSearcher(index, Seeded(), first_stage=Last(), candidates=7).search(TOPICS, 4)
    exact = brute_force(index, 1000)
    for topic in TOPICS:
        wanted = [docid for docid, _ in exact[topic.qid] if docid >= "d33"][:4]
        assert [hit.docid for hit in run[topic.qid]] == wanted


def test_an_unknown_first_stage_is_refused(index: TokenIndex) -> None:
    with pytest.raises(UsageError, match="unknown first stage 'polled'; did you mean 'pooled'"):
        LateSearcher(index, Seeded(), first_stage="polled")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="candidates must be at least 1, not 0"):
        LateSearcher(index, Seeded(), candidates=0)


def test_minilm_finds_the_passage_that_answers(minilm: Path, tmp_path: Path) -> None:
    passages = [
        Document("well", "The village draws its drinking water from a deep well."),
        Document("bus", "The bus to the city leaves every morning at six."),
        Document("maize", "Farmers plant maize when the long rains begin."),
    ]
    encoder: TokenEncoder = token_encoder(load_encoder(str(minilm)))
    build_token_index(lambda: iter(passages), encoder, tmp_path / "index")
    topics = [Topic("1", "where does the water come from?"), Topic("2", "when does the bus leave?")]
    run = LateSearcher(tmp_path / "index", encoder).search(topics, 3)
    assert [run[qid][0].docid for qid in ("1", "2")] == ["well", "bus"]
