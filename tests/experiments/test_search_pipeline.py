"""From a collection to runs: indexes found by what they hold, text per side, and what a manifest says."""

import dataclasses
import hashlib
from collections.abc import Iterator, Sequence

import numpy as np
import pytest

from clir.corpora.collection import Document, Topic, topic_language
from clir.corpora.qrels import Qrels
from clir.encoding.token_vectors import TokenVectors
from clir.experiments.indexes import dense_index, sparse_index, token_index
from clir.experiments.search import SearchOptions, Sides, check_judged, collection_sides, provenance, search
from clir.indexing.documents import documents_fingerprint
from clir.retrieval.hybrid import FusionOptions
from clir.runs.fusion import fuse
from clir.support.errors import ClirError, UsageError

DOCUMENTS = (
    Document("a", "Goats eat the leaves of the acacia tree."),
    Document("b", "The market sells dried fish."),
    Document("c", "Rain fills the village well."),
    Document("d", "Fish live in the lake, not in the well."),
)
TOPICS = {
    "en": {"1": "fish in the lake", "2": "water of the well"},
    "sw": {"1": "samaki ziwani", "2": "maji ya kisima"},
}


@dataclasses.dataclass(frozen=True)
class Shelf:
    """A collection in memory; counts how often it is read."""

    id: str = "shelf/sw"
    language: str = "en"
    topic_languages: tuple[str, ...] = ("sw", "en")
    held: tuple[Document, ...] = DOCUMENTS
    count: int | None = len(DOCUMENTS)
    readings: list[int] = dataclasses.field(default_factory=list)

    def documents(self) -> Iterator[Document]:
        self.readings.append(1)
        return iter(self.held)

    def document_count(self) -> int | None:
        return self.count

    def topics(self, language: str | None = None) -> list[Topic]:
        return [Topic(qid, text) for qid, text in TOPICS[topic_language(self, language)].items()]

    def qrels(self) -> Qrels:
        return Qrels.from_dict({"1": {"d": 1}, "2": {"c": 1}})


class Letters:
    """An encoder that counts letters; `salt` makes it another model."""

    name = "letters"
    dimension = 26

    def __init__(self, salt: str = "") -> None:
        self.salt = salt
        self.encoded = 0

    def encode_queries(self, texts: Sequence[str]) -> np.ndarray:
        counts = [[text.lower().count(chr(97 + at)) for at in range(26)] for text in texts]
        return np.array(counts, dtype=np.float32).reshape(len(texts), 26)

    def encode_documents(self, texts: Sequence[str]) -> np.ndarray:
        self.encoded += len(texts)
        return self.encode_queries(texts)

    def fingerprint(self, side: str) -> str:
        return hashlib.sha256(f"{self.salt} {side}".encode()).hexdigest()[:16]


class LetterTokens(Letters):
    """A vector for each word of a text, up to `limit` of them."""

    def __init__(self, salt: str = "", limit: int = 20) -> None:
        super().__init__(salt)
        self.limit = limit

    def encode_query_tokens(self, texts: Sequence[str]) -> TokenVectors:
        return TokenVectors.of([self.encode_queries(text.split()[: self.limit]) for text in texts], 26)

    def encode_document_tokens(self, texts: Sequence[str]) -> TokenVectors:
        self.encoded += len(texts)
        return self.encode_query_tokens(texts)

    def token_limit(self, side: str) -> int:
        return self.limit


def test_a_token_index_is_built_once_and_found_again(tmp_path):
    shelf, encoder = Shelf(), LetterTokens()
    first = token_index(shelf, encoder, tmp_path)
    assert (first.documents, first.tokens, encoder.encoded) == (4, 27, 4)
    assert token_index(dataclasses.replace(shelf, id="shelf/en/test"), encoder, tmp_path) == first, "same documents"
    assert encoder.encoded == 4
    others = [
        token_index(Shelf(), LetterTokens("other"), tmp_path),
        token_index(shelf, LetterTokens(limit=3), tmp_path),
    ]
    assert len({index.path for index in [first, *others]}) == 3
    with pytest.raises(UsageError, match="letters gives no token vectors: its class lacks"):
        token_index(shelf, Letters(), tmp_path)


def test_a_dense_index_is_built_once_and_found_again(tmp_path):
    shelf, encoder = Shelf(), Letters()
    first = dense_index(shelf, encoder, tmp_path)
    assert (first.documents, encoder.encoded) == (4, 4)
    assert first.path.parent == tmp_path / "shelf"
    assert dense_index(dataclasses.replace(shelf, id="shelf/en/test"), encoder, tmp_path) == first, "same documents"
    assert encoder.encoded == 4


def test_another_model_or_other_documents_are_another_index(tmp_path):
    first = dense_index(Shelf(), Letters(), tmp_path)
    changed = (*DOCUMENTS[:3], Document("d", "Fish live in the lake."))
    others = [
        dense_index(Shelf(), Letters("other"), tmp_path),
        dense_index(Shelf(held=changed), Letters(), tmp_path),
        dense_index(Shelf(held=DOCUMENTS[:3], count=3), Letters(), tmp_path),
    ]
    assert len({index.path for index in [first, *others]}) == 4
    assert len({index.documents_fingerprint for index in [first, *others]}) == 3


def test_a_large_collection_is_known_by_its_id(tmp_path):
    shelf, encoder = Shelf(count=1_000_000), Letters()
    first = dense_index(shelf, encoder, tmp_path)
    readings = len(shelf.readings)
    assert dense_index(shelf, encoder, tmp_path) == first
    assert len(shelf.readings) == readings, "it is not read through again"
    assert dense_index(dataclasses.replace(shelf, id="shelf/other"), encoder, tmp_path).path != first.path


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("indexes")


def test_a_sparse_index_is_built_once_and_found_again(root):
    shelf = Shelf()
    first = sparse_index(shelf, root)
    made = (first.path / "meta.json").stat().st_mtime_ns
    assert (first.documents, first.analyzer) == (4, "en")
    assert sparse_index(shelf, root) == first
    assert (first.path / "meta.json").stat().st_mtime_ns == made
    assert first.documents_fingerprint == documents_fingerprint(DOCUMENTS)


def sides_of(method, root, **options) -> Sides:
    return collection_sides(Shelf(), method, Letters(), root=root, **options)


def test_each_method_has_the_sides_it_needs(root):
    assert [side is None for side in (sides_of("bm25", root).dense, sides_of("bm25", root).sparse)] == [True, False]
    assert [side is None for side in (sides_of("dense", root).dense, sides_of("dense", root).sparse)] == [False, True]
    late = collection_sides(Shelf(), "late", LetterTokens(), root=root, topics_language="en")
    assert late.tokens and not late.dense and not late.sparse
    assert search("late", late, LetterTokens())["1"][0].docid == "d"
    hybrid = sides_of("hybrid", root, topics_language="en")
    assert hybrid.dense and hybrid.sparse and hybrid.sparse_topics is None
    assert [topic.text for topic in hybrid.topics] == ["fish in the lake", "water of the well"]


def test_bm25_reads_the_language_it_is_told(root):
    def run(**languages):
        return search("bm25", sides_of("bm25", root, **languages), None)

    assert run(topics_language="en")["1"][0].docid == "d"
    assert len(run()) == 0, "Swahili words are in no passage"
    assert run(sparse_topics_language="en")["2"][0].docid == "c"


def test_a_hybrid_of_some_languages_finds_no_document_of_another(tmp_path):
    held = tuple(doc._replace(language="sw" if doc.docid in "ad" else "en") for doc in DOCUMENTS)
    sides = collection_sides(Shelf(held=held), "hybrid", Letters(), root=tmp_path, topics_language="en")
    whole = search("hybrid", sides, Letters())
    assert {hit.docid for hit in whole["1"]} == {"a", "b", "c", "d"}
    run = search("hybrid", sides, Letters(), options=SearchOptions(languages=("swa",)))
    assert {qid: {hit.docid for hit in run[qid]} for qid in run} == {"1": {"a", "d"}, "2": {"a", "d"}}


def test_hybrid_is_the_fusion_of_its_sides_each_with_its_text(root):
    dense = search("dense", sides_of("dense", root), Letters())
    sparse = search("bm25", sides_of("bm25", root, topics_language="en"), None)
    for options in (FusionOptions(), FusionOptions("weighted", weights=(0.7, 0.3)), FusionOptions(depth=2)):
        sides = sides_of("hybrid", root, sparse_topics_language="en")
        run = search("hybrid", sides, Letters(), hits=3, options=SearchOptions(fusion=options))
        # Each side is searched to as many hits as are asked for, unless told otherwise.
        depth = options.depth or 3
        expected = fuse([dense, sparse], options.method, weights=options.weights, depth=depth, hits=3)
        assert run.frame.equals(expected.frame)
        assert run.tag == "hybrid"


@pytest.mark.parametrize(
    ("method", "sides", "encoder", "message"),
    [
        ("dense", Sides(), None, "--method dense needs --encoder"),
        ("dense", Sides(), Letters(), "--method dense needs a dense index"),
        ("late", Sides(), None, "--method late needs --encoder"),
        ("late", Sides(), Letters(), "--method late needs a token index"),
        ("bm25", Sides(), None, "--method bm25 needs a BM25 index"),
        ("hybrid", Sides(), Letters(), "--method hybrid needs a BM25 index"),
    ],
)
def test_missing_sides_are_refused(method, sides, encoder, message):
    with pytest.raises(UsageError, match=message):
        search(method, sides, encoder)


def test_a_wrong_language_is_refused_before_anything_is_built(tmp_path):
    for languages in ({"topics_language": "yo"}, {"sparse_topics_language": "yo"}):
        with pytest.raises(UsageError, match=r"shelf/sw has no topics in 'yo' \(it has: sw, en\)"):
            collection_sides(Shelf(), "hybrid", Letters(), root=tmp_path, **languages)
    with pytest.raises(UsageError, match="Anserini has no analyzer for 'sw'"):
        collection_sides(Shelf(language="sw"), "hybrid", Letters(), root=tmp_path)
    assert list(tmp_path.rglob("*")) in ([], [tmp_path / "shelf"]), "no vector was computed"


def test_provenance_names_models_indexes_and_texts(root):
    sides = sides_of("hybrid", root, sparse_topics_language="en")
    told = provenance("hybrid", sides, Letters(), SearchOptions(k1=1.2))
    assert told["method"]["search"] == "hybrid"
    assert (told["method"]["k1"], told["method"]["encoder"]) == (1.2, "letters")
    assert told["method"]["query fingerprint"] == Letters().fingerprint("query")
    fingerprint = documents_fingerprint(DOCUMENTS)
    assert {side: index["documents sha256"] for side, index in told["data"]["indexes"].items()} == {
        "dense": fingerprint,
        "sparse": fingerprint,
    }
    other = provenance("hybrid", sides_of("hybrid", root), Letters(), SearchOptions())
    assert told["data"]["topics"]["count"] == other["data"]["topics"]["count"] == 2
    assert told["data"]["topics"]["sha256"] != other["data"]["topics"]["sha256"], "the sparse side's text counts"
    dense = provenance("dense", sides_of("dense", root), Letters(), SearchOptions(threads=2))
    assert dense["method"].keys() == {"search", "threads", "encoder", "query fingerprint"}


def test_topics_and_judgements_that_do_not_belong_together():
    topics = [Topic("1", "one"), Topic("2", "two")]
    check_judged(topics, Qrels.from_dict({"2": {"d": 1}, "9": {"d": 1}}))
    with pytest.raises(ClirError, match=r"no topic is judged: the topics are 1, 2, ..., the qrels are for 01, ..."):
        check_judged(topics, Qrels.from_dict({"01": {"d": 1}}))
