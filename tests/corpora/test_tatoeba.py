"""The Tatoeba collections: both directions, every language by its codes, and files that are not what they should be."""

import hashlib
from pathlib import Path

import pytest

from clir.corpora.collection import Document, Topic
from clir.corpora.registry import aliases, collection_ids, open_collection
from clir.corpora.tatoeba import own_codes
from clir.support.errors import ClirError, UsageError

ENGLISH = "The well is dry.\nI sold two goats.\nThe well is dry.\n"
SWAHILI = "Kisima kimekauka.\nNiliuza mbuzi wawili.\nKisima hakina maji.\n"


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a Tatoeba of one language and three pairs."""
    monkeypatch.setenv("CLIR_DATA", str(tmp_path))
    folder = tmp_path / "tatoeba/v1"
    folder.mkdir(parents=True)
    (folder / "tatoeba.swh-eng.eng").write_text(ENGLISH, "utf-8")
    (folder / "tatoeba.swh-eng.swh").write_text(SWAHILI, "utf-8")
    return folder


def test_to_english(small: Path) -> None:
    collection = open_collection("tatoeba/swh")
    assert (collection.id, collection.language, collection.topic_languages) == ("tatoeba/sw", "en", ("sw", "en"))
    assert list(collection.documents()) == [
        Document("en-1", "The well is dry."),
        Document("en-2", "I sold two goats."),
        Document("en-3", "The well is dry."),
    ]
    assert collection.document_count() == 3
    assert collection.topics() == [
        Topic("sw-1", "Kisima kimekauka."),
        Topic("sw-2", "Niliuza mbuzi wawili."),
        Topic("sw-3", "Kisima hakina maji."),
    ]
    assert collection.topics("eng")[1] == Topic("sw-2", "I sold two goats.")


def test_only_the_aligned_sentence_counts_even_where_another_is_the_same(small: Path) -> None:
    qrels = open_collection("tatoeba/sw").qrels()
    assert qrels.as_dict() == {"sw-1": {"en-1": 1}, "sw-2": {"en-2": 1}, "sw-3": {"en-3": 1}}


def test_from_english(small: Path) -> None:
    collection = open_collection("tatoeba/en-swh")
    assert (collection.id, collection.language, collection.topic_languages) == ("tatoeba/en-sw", "sw", ("en",))
    assert list(collection.documents())[2] == Document("sw-3", "Kisima hakina maji.")
    assert collection.topics()[2] == Topic("en-3", "The well is dry.")
    assert collection.qrels().as_dict() == {"en-1": {"sw-1": 1}, "en-2": {"sw-2": 1}, "en-3": {"sw-3": 1}}
    with pytest.raises(UsageError, match=r"tatoeba/en-sw has no topics in 'sw' \(it has: en\)"):
        collection.topics("sw")


def test_broken_files(small: Path) -> None:
    swahili = small / "tatoeba.swh-eng.swh"
    swahili.write_text("Kisima kimekauka.\n", "utf-8")
    with pytest.raises(ClirError, match=r"\.swh has 1 lines, .*\.eng has 3"):
        open_collection("tatoeba/sw").topics()


def test_an_empty_line(small: Path) -> None:
    (small / "tatoeba.swh-eng.swh").write_text("Kisima kimekauka.\n \nNiliuza mbuzi.\n", "utf-8")
    with pytest.raises(ClirError, match=r"tatoeba\.swh-eng\.swh:2: an empty line"):
        open_collection("tatoeba/sw").qrels()


def test_what_is_not_there(small: Path) -> None:
    with pytest.raises(UsageError, match=r"tatoeba\.mar-eng\.eng is not there; .* python -m clir\.fetch tatoeba"):
        open_collection("tatoeba/mr").topics()


def test_all_languages_have_a_code_of_their_own() -> None:
    codes = own_codes()
    assert len(codes) == len(set(codes.values())) == 112
    assert (codes["sw"], codes["tl"], codes["mr"], codes["zh"], codes["dtp"], codes["kzj"]) == (
        "swh", "tgl", "mar", "cmn", "dtp", "kzj",
    )  # fmt: skip
    assert len([name for name in collection_ids() if name.startswith("tatoeba/")]) == 224
    for code, own in codes.items():
        assert open_collection(f"tatoeba/{own}").id == f"tatoeba/{code}"
        assert open_collection(f"tatoeba/en-{own}").id == f"tatoeba/en-{code}"
    assert aliases("tatoeba/en-tl") == ["tatoeba/en-tgl"]
    assert aliases("tatoeba/tzl") == []


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("tatoeba/so", "unknown Tatoeba language 'so'"),
        ("tatoeba/en", "unknown Tatoeba language 'en'"),
        ("tatoeba/en-so", "unknown Tatoeba language 'so'"),
        ("tatoeba/zz", "unknown language 'zz'"),
        ("tatoeba", "unknown collection 'tatoeba'"),
        ("tatoeba/sw/test", "unknown collection 'tatoeba/sw/test'; did you mean tatoeba/"),
    ],
)
def test_unknown(name: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        open_collection(name)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("code", "count", "english", "foreign"),
    [
        ("sw", 390, "98c44d31b20a97c9", "23cf6b5488b23fdc"),
        ("fil", 1000, "6b3612d8886b7959", "2a6d3a5490ea1dc5"),
        ("mar", 1000, "fe48b6bbe1d6eabf", "fd549ab254f0d3c9"),
    ],
)
def test_pinned(code: str, count: int, english: str, foreign: str, data_root: Path) -> None:
    to, back = open_collection(f"tatoeba/{code}"), open_collection(f"tatoeba/en-{code}")
    for collection, digest in ((to, english), (back, foreign)):
        texts = [document.text for document in collection.documents()]
        assert len(set(texts)) == collection.document_count() == count, "no sentence is there twice"
        assert hashlib.sha256("\n".join(texts).encode()).hexdigest()[:16] == digest
        assert [topic.text for topic in (back if collection is to else to).topics()] == texts
        assert len(collection.qrels()) == count


def test_no_sentence_of_any_language_is_there_twice(data_root: Path) -> None:
    total = 0
    for code in own_codes():
        for way in ("", "en-"):
            texts = [document.text for document in open_collection(f"tatoeba/{way}{code}").documents()]
            assert len(texts) == len(set(texts)), code
            total += len(texts)
    assert total == 2 * 88_877
