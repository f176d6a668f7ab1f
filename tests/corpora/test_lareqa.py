"""LAReQA's views: what is asked, what is in the pool, what is relevant; on a small invented file and on the data."""

import hashlib
import json
from pathlib import Path

import pytest

from clir.corpora.collection import Document, Topic
from clir.corpora.lareqa import LANGUAGES
from clir.corpora.registry import aliases, collection_ids, open_collection
from clir.support.errors import ClirError, UsageError

PAGE = "The mill was built in 1702.\nIt burnt down twice. Bread is baked there."


def paragraph(context: str, breaks: list[list[int]], *asked: tuple[str, str, int]) -> dict:
    qas = [{"id": id, "question": text, "answers": [{"answer_start": at, "text": "x"}]} for id, text, at in asked]
    return {"context": context, "sentence_breaks": breaks, "sentences": [], "qas": qas}


def squad(*paragraphs: dict) -> str:
    # One article for each paragraph: the numbers run through the file.
    return json.dumps({"version": "1.1", "data": [{"title": "t", "paragraphs": [one]} for one in paragraphs]})


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a LAReQA with two questions in each language; all but English are the same."""
    monkeypatch.setenv("CLIR_DATA", str(tmp_path))
    folder = tmp_path / "lareqa/xquad-r"
    folder.mkdir(parents=True)
    for code in LANGUAGES:
        mill = paragraph(f"{code} mill. {code} fire. ", [[0, 8], [9, 18]], ("q1", f" {code} when?", 9))
        (folder / f"{code}.json").write_text(squad(mill, paragraph("Rye.", [[0, 4]], ("q2", "what?", 0))))
    english = paragraph(PAGE, [[0, 27], [28, 48], [49, 70]], ("q1", "When was it built?", 22))
    (folder / "en.json").write_text(squad(english, paragraph("Rye.", [[0, 4]], ("q2", "What?", 0))))
    return folder


def test_the_multilingual_pool(small: Path) -> None:
    collection = open_collection("lareqa")
    assert (collection.id, collection.language, collection.topic_languages) == ("lareqa", "mul", ("mul", "en"))
    documents = list(collection.documents())
    assert documents[:3] == [
        Document("ar_1_0", "ar mill.", language="ar"),
        Document("ar_1_1", "ar fire.", language="ar"),
        Document("ar_2_0", "Rye.", language="ar"),
    ]
    assert len(documents) == collection.document_count() == 10 * 3 + 4
    assert collection.topics()[:3] == [Topic("q1_ar", "ar when?"), Topic("q2_ar", "what?"), Topic("q1_de", "de when?")]
    assert collection.topics("en")[:2] == [Topic("q1_ar", "When was it built?"), Topic("q2_ar", "What?")]
    qrels = collection.qrels()
    assert qrels.topics == [topic.qid for topic in collection.topics()]
    answers = {f"{code}_1_1": 1 for code in LANGUAGES if code != "en"} | {"en_1_0": 1}
    assert qrels["q1_ar"] == qrels["q1_en"] == answers


@pytest.mark.parametrize(
    ("name", "language", "pool"),
    [
        ("lareqa/ar", "mul", LANGUAGES),
        ("lareqa/x-x/ar", "ar", ("ar",)),
        ("lareqa/x-y/ar", "mul", tuple(code for code in LANGUAGES if code != "ar")),
        ("lareqa/x-y/ar-en", "en", ("en",)),
    ],
)
def test_views(name: str, language: str, pool: tuple[str, ...], small: Path) -> None:
    collection, whole = open_collection(name), open_collection("lareqa")
    assert (collection.id, collection.language, collection.topic_languages) == (name, language, ("ar", "en"))
    assert collection.topics() == whole.topics()[:2], "a topic is the same in every view"
    assert list(collection.documents()) == [one for one in whole.documents() if one.docid.split("_")[0] in pool]
    qrels = collection.qrels()
    assert set(qrels.topics) == {"q1_ar", "q2_ar"}
    assert set(qrels["q1_ar"]) == {"en_1_0" if code == "en" else f"{code}_1_1" for code in pool}


def test_with_context_a_sentence_stands_before_its_paragraph(small: Path) -> None:
    collection = open_collection("lareqa+context/x-x/en")
    assert collection.id == "lareqa+context/x-x/en"
    in_context = "It burnt down twice. " + PAGE.replace("\n", " ")
    assert list(collection.documents())[1] == Document("en_1_1", in_context, language="en")
    assert collection.qrels().as_dict() == open_collection("lareqa/x-x/en").qrels().as_dict()
    assert open_collection("lareqa+context").document_count() == 34


def test_broken_files(small: Path) -> None:
    path = small / "en.json"
    path.write_text('{"data": [{"paragraphs": [{"context": "A."}]}]}')
    with pytest.raises(ClirError, match=r"en\.json: not an XQuAD-R file: KeyError: 'sentence_breaks'"):
        open_collection("lareqa/en").topics()


def test_an_answer_outside_all_sentences(small: Path) -> None:
    (small / "en.json").write_text(squad(paragraph("A.  B.", [[0, 2], [4, 6]], ("q1", "Why?", 3))))
    with pytest.raises(ClirError, match=r"en\.json: the answer to q1 begins in no sentence"):
        open_collection("lareqa/x-x/en").qrels()


def test_a_question_that_a_language_lacks(small: Path) -> None:
    (small / "en.json").write_text(squad(paragraph("A.", [[0, 2]], ("q1", "Why?", 0))))
    with pytest.raises(ClirError, match="question q2 is not there in en"):
        open_collection("lareqa").qrels()


def test_ids() -> None:
    ids = [name for name in collection_ids() if name.startswith("lareqa")]
    assert len(ids) == len(set(ids)) == 2 * (1 + 11 + 11 + 11 + 110)
    for name in ids:
        assert open_collection(name).id == name
    assert open_collection("lareqa/x-y/ara-eng").id == "lareqa/x-y/ar-en"
    assert aliases("lareqa") == aliases("lareqa/x-x/ar") == []


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("lareqa/sw", "unknown LAReQA language 'sw'"),
        ("lareqa/x-z/ar", "unknown view of LAReQA 'x-z'; did you mean 'x-"),
        ("lareqa/x-y/ar-ar", "lareqa/x-y/ar-ar names one language twice: write lareqa/x-x/ar"),
        ("lareqa/x-y/ar-sw", "unknown LAReQA language 'sw'"),
        ("lareqa/x-y/ar/en", "unknown collection 'lareqa/x-y/ar/en'"),
    ],
)
def test_unknown(name: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        open_collection(name)
    assert message in str(caught.value)


# The counts of LAReQA's own README.
CANDIDATES = dict(zip(LANGUAGES, (1222, 1276, 1234, 1180, 1215, 1244, 1219, 852, 1167, 1209, 1196), strict=True))


def test_pinned(data_root: Path) -> None:
    collection = open_collection("lareqa")
    documents, topics, qrels = list(collection.documents()), collection.topics(), collection.qrels()
    assert len(documents) == len({one.docid for one in documents}) == collection.document_count() == 13_014
    assert {code: open_collection(f"lareqa/x-x/{code}").document_count() for code in LANGUAGES} == CANDIDATES
    assert len(topics) == 11 * 1_190
    assert [topic.qid for topic in topics] == qrels.topics == [topic.qid for topic in collection.topics("en")]
    assert len(qrels) == 11 * 11 * 1_190
    assert set(qrels.frame["docid"]) <= {one.docid for one in documents}
    assert all(one.text for one in documents) and all(topic.text for topic in topics)
    digest = hashlib.sha256("\n".join(f"{one.docid} {one.text}" for one in documents).encode()).hexdigest()
    assert digest[:16] == "c0ef0d79a5453041"


def test_a_sentence_begins_its_document_with_context(data_root: Path) -> None:
    alone, with_context = open_collection("lareqa/x-x/vi"), open_collection("lareqa+context/x-x/vi")
    for one, other in zip(alone.documents(), with_context.documents(), strict=True):
        assert one.docid == other.docid
        assert other.text.startswith(f"{one.text} ")
        assert other.text.count(one.text.replace("\n", " ")) >= 2 or "\n" in one.text
