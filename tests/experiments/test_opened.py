"""One line opens a search; texts give rankings with passages, topics give runs."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from clir.corpora.collection import Document, Topic
from clir.encoding.encoder import load_encoder, token_encoder
from clir.experiments.opened import OpenSearch, open_search, shown
from clir.experiments.search import SearchOptions, Sides, search
from clir.indexing.dense import build_dense_index, open_dense_index
from clir.indexing.lucene import build_lucene_index
from clir.indexing.tokens import build_token_index, open_token_index
from clir.retrieval.ranking import Ranking
from clir.support.errors import ClirError, UsageError

DOCUMENTS = [
    Document("water", "Boil the water for a minute before you drink it.", "Safe water"),
    Document("goats", "Goats are kept dry at night and vaccinated in spring."),
    Document("court", "A summons from the court must be answered in writing."),
]
TOPICS = [Topic("001", "How is drinking water made safe?"), Topic("2", "When are goats vaccinated?")]


@pytest.fixture(scope="module")
def root(minilm: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus as a file, and an index of it of every kind; the dense one says where its documents are."""
    folder = tmp_path_factory.mktemp("opened")
    lines = (f'{{"id": "{doc.docid}", "title": "{doc.title}", "text": "{doc.text}"}}\n' for doc in DOCUMENTS)
    (folder / "docs.jsonl").write_text("".join(lines))
    model = load_encoder(str(minilm))
    about = {"data": {"source": str(folder / "docs.jsonl")}}
    build_dense_index(lambda: iter(DOCUMENTS), model, folder / "dense", about=about)
    build_token_index(lambda: iter(DOCUMENTS), token_encoder(model), folder / "tokens")
    build_lucene_index(DOCUMENTS, folder / "bm25", "en", source=str(folder / "docs.jsonl"))
    return folder


@pytest.fixture(scope="module")
def dense(root: Path, minilm: Path) -> Iterator[OpenSearch]:
    with open_search(root / "dense", str(minilm)) as opened:
        yield opened


def test_a_text_gives_a_ranking_with_passages(dense: OpenSearch) -> None:
    ranking = dense.search("where do goats sleep?", 2)
    assert isinstance(ranking, Ranking) and ranking[0].document == DOCUMENTS[1]
    assert repr(ranking).splitlines()[0] == "where do goats sleep?"
    assert len(ranking) == 2 and len(dense.search("goats")) == 3


def test_topics_give_the_run_of_the_search(dense: OpenSearch, root: Path) -> None:
    sides = Sides(dense=open_dense_index(root / "dense"), topics=TOPICS)
    expected = search("dense", sides, dense.encoder)
    run = dense.search(TOPICS)
    assert run.frame.equals(expected.frame) and run.topics == ["001", "2"]
    assert dense.ranking(run, "2", 1).docids == ["goats"]


def test_a_token_index_is_searched_by_tokens_and_explained(root: Path, minilm: Path) -> None:
    with open_search(root / "tokens", str(minilm), corpus=root / "docs.jsonl") as opened:
        assert opened.method == "late"
        ranking = opened.search("How is drinking water made safe?", 1)
        found = opened.matches(ranking.text, "water")
        assert abs(found.score - ranking[0].score) < 1e-2
        assert str(root / "tokens") in repr(opened)


def test_bm25_and_hybrid_read_their_own_text(root: Path, minilm: Path) -> None:
    with open_search(root / "bm25") as opened:
        assert (opened.method, opened.search("goats").docids) == ("bm25", ["goats"])
        with pytest.raises(UsageError, match=r"matches of tokens need an encoder"):
            opened.matches("goats", "goats")
    with open_search(root / "dense", str(minilm), sparse_index=root / "bm25") as opened:
        assert opened.method == "hybrid"
        both = opened.search("summons", 3, sparse="goats")
        assert set(both.docids[:2]) == {"court", "goats"}
        swapped = [Topic("001", "goats"), Topic("2", "court")]
        run = opened.search(TOPICS, 3, sparse=swapped)
        assert run.topics == ["001", "2"]
        assert opened.search("summons", 1).docids == ["court"]


def test_sparse_text_is_for_hybrids_and_of_the_same_kind(dense: OpenSearch, root: Path, minilm: Path) -> None:
    with pytest.raises(UsageError, match="this is a dense search"):
        dense.search("goats", sparse="goats")
    with (
        open_search(root / "dense", str(minilm), sparse_index=root / "bm25") as opened,
        pytest.raises(UsageError, match="both as text, or both as lists of topics"),
    ):
        opened.search("goats", sparse=TOPICS)  # type: ignore[call-overload]


def test_an_index_that_does_not_say_where_its_passages_are_ranks_without(
    root: Path, minilm: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with open_search(root / "tokens", str(minilm)) as opened:
        assert "does not say where its passages are" in capsys.readouterr().err
        assert opened.search("goats", 1)[0].document is None
        with pytest.raises(UsageError, match="open it with corpus="):
            opened.passage("goats")


def test_a_collection_is_opened_by_its_id(tmp_path: Path, minilm: Path) -> None:
    with open_search("demo/sw", topics_language="en", root=tmp_path) as opened:
        assert opened.method == "bm25" and len(opened.topics) == 40
        run = opened.search(opened.topics[:2], 5)
        ranking = opened.ranking(run, opened.topics[0].qid, 2)
        assert ranking.text == opened.topics[0].text and ranking[0].document is not None
        assert opened.passage(ranking[0].docid) == ranking[0].document


def test_hits_of_topics_are_shown_and_explained(root: Path, minilm: Path) -> None:
    model = load_encoder(str(minilm))
    with open_search(root / "tokens", model, corpus=root / "docs.jsonl", options=SearchOptions()) as opened:
        run = opened.search(TOPICS, 2)
        plain = list(shown(run, TOPICS, opened.passages, 1))
        assert [text.splitlines()[1].split()[2] for text in plain] == ["water", "goats"]
        (first, _) = shown(run, TOPICS, opened.passages, 1, model)
        assert first.startswith(plain[0])
        assert "\n1  water\n    score " in first
        assert [line.split()[:2] for line in first.splitlines() if line.startswith("    water")] == [["water", "water"]]
        with pytest.raises(UsageError, match="--explain needs the text of the documents"):
            list(shown(run, TOPICS, None, 1, model))


def test_what_cannot_be_opened_is_refused(root: Path, tmp_path: Path, minilm: Path) -> None:
    with pytest.raises(UsageError, match="unknown method 'tokens'"):
        open_search(root / "dense", str(minilm), "tokens")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="is not an index that can be searched: make one"):
        open_search(tmp_path)
    with pytest.raises(UsageError, match="is neither an index folder nor the id of a collection"):
        open_search(f"{tmp_path}/nowhere")
    with pytest.raises(UsageError, match="unknown language 'xx'"):
        open_search("demo/xx")
    with pytest.raises(UsageError, match="needs --encoder"):
        open_search(root / "dense")
    (tmp_path / "other.jsonl").write_text('{"id": "water", "text": "another"}\n')
    with pytest.raises(ClirError, match="are not the ones that were indexed"):
        open_search(root / "dense", str(minilm), corpus=tmp_path / "other.jsonl")
    assert open_token_index(root / "tokens").documents == 3
