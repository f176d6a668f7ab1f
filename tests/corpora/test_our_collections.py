"""AfriQA, NTREX held-out, the demo, and the registry: pinned counts, checksums, and the rules they state."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from clir.corpora.afriqa import AfriQA, gold_path, records
from clir.corpora.bitext import read_bitext
from clir.corpora.cleaning import clean, remove_leaks
from clir.corpora.collection import Document, Topic
from clir.corpora.demo_collection import demo_file
from clir.corpora.registry import collection_ids, is_collection, open_collection
from clir.support.errors import ClirError, UsageError


def test_afriqa_documents_are_pinned(data_root: Path) -> None:
    collection = open_collection("afriqa/swa/test")
    documents = list(collection.documents())
    assert len(documents) == collection.document_count() == 5_413
    assert len({document.docid for document in documents}) == 5_413
    texts = "\n".join(sorted(f"{document.title} {document.text}" for document in documents))
    expected = "36cbd8229650261220ec82f259144f112ed8e792836221d207050816f666c2bd"
    assert hashlib.sha256(texts.encode()).hexdigest() == expected
    assert documents == list(open_collection("afriqa/zul/dev").documents()), "one set of passages for all"


@pytest.mark.parametrize(
    ("name", "topics", "judgements", "languages"),
    [
        ("afriqa/swa/test", 295, 295, ("sw", "en")),
        ("afriqa/hau/test", 299, 300, ("ha", "en")),
        ("afriqa/yor/test", 253, 253, ("yo", "en")),
        ("afriqa/ibo/test", 409, 409, ("ig", "en")),
        ("afriqa/twi/test", 472, 474, ("tw", "en")),
        ("afriqa/hau/dev", 222, 222, ("ha", "en")),
        ("afriqa/twi/dev", 344, 345, ("tw", "en")),
        ("afriqa/kin/train", 214, 214, ("rw", "en")),
    ],
)
def test_afriqa_topics_and_qrels(
    name: str, topics: int, judgements: int, languages: tuple[str, ...], data_root: Path
) -> None:
    collection = open_collection(name)
    assert collection.topic_languages == languages
    native, english = collection.topics(), collection.topics("en")
    assert [topic.qid for topic in native] == [topic.qid for topic in english]
    assert len(native) == topics
    assert all(topic.text for topic in native + english)
    qrels = collection.qrels()
    assert qrels is not None
    assert len(qrels.frame) == judgements
    assert set(qrels.topics) == {topic.qid for topic in native}
    docids = {document.docid for document in collection.documents()}
    assert all(docid in docids for docid in qrels.frame["docid"])


def gold(question: str, context: str | None, id: str, title: str | None = "Goats") -> str:
    record = {"id": id, "question_lang": question, "question_translated": f"English of {id}"}
    return json.dumps({**record, "context": context, "title": title}) + "\n"


def test_afriqa_rules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLIR_DATA", str(tmp_path))
    path = tmp_path / "afriqa" / gold_path("swa", "test")
    path.parent.mkdir(parents=True)
    path.write_text(
        gold("Mbuzi hula nini?", "Goats eat leaves.", "7")
        + gold("Bila maandishi?", " ", "8")
        + gold("Hakuna?", None, "9", None)
        + gold("Mbuzi hula nini?", "They browse.", "10", None),
        "utf-8",
    )
    collection = AfriQA("swa", "test")
    assert collection.topics() == [Topic("7", "Mbuzi hula nini?")], "the same question is one topic"
    assert collection.topics("eng") == [Topic("7", "English of 7")]
    ids = ["afriqa-" + hashlib.sha256(text).hexdigest()[:12] for text in (b"Goats Goats eat leaves.", b" They browse.")]
    assert collection.qrels()["7"] == dict.fromkeys(ids, 1)
    assert records(path)[1].document == Document(ids[1], "They browse.", "")

    path.write_text(gold("Mbuzi?", "Goats.", "7") + '{"id": "8"}\n', "utf-8")
    with pytest.raises(
        ClirError, match=r"swa\.en\.test\.json:2: not an AfriQA record \('context'\): get the file again"
    ):
        collection.topics()


def test_ntrex_is_pinned(data_root: Path) -> None:
    test, dev = open_collection("ntrex-heldout/so"), open_collection("ntrex-heldout/so/dev")
    assert test.document_count() == len(list(test.documents())) == 123
    assert list(test.documents()) == list(dev.documents())
    assert (len(test.topics()), len(dev.topics())) == (478, 486)
    assert [topic.qid for topic in test.topics()] == [topic.qid for topic in test.topics("en")]
    articles = {name: set(one.qrels().frame["docid"]) for name, one in (("test", test), ("dev", dev))}
    assert not articles["test"] & articles["dev"]
    assert len(articles["test"]), len(articles["dev"]) == (61, 62)
    assert open_collection("ntrex-heldout/som/test") == test
    assert test.topics()[0].qid == test.qrels().topics[0] == "rt.com.91337-2"


def test_a_held_out_sentence_is_not_in_its_document(data_root: Path) -> None:
    collection = open_collection("ntrex-heldout/so")
    texts = {document.docid: document.text for document in collection.documents()}
    gold = {qid: docid for qid, docid, _ in collection.qrels().frame.iter_rows()}
    assert not [topic for topic in collection.topics("en") if topic.text in texts[gold[topic.qid]]]


def test_ntrex_rules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLIR_DATA", str(tmp_path))
    folder = tmp_path / "ntrex" / "NTREX-128"
    folder.mkdir(parents=True)
    (folder.parent / "DOCUMENT_IDS.tsv").write_text("x.1\nx.1\nx.1\ny.2\ny.2\ny.2\ny.2\n")
    (folder / "newstest2019-src.eng.txt").write_text("a1\na2\na3\nb1\nb2\nb3\nb4\n")
    (folder / "newstest2019-ref.swa.txt").write_text("A1\nA2\nA3\nB1\nB2\nB3\nB4\n")
    (folder / "newstest2019-ref.dan.txt").write_text("A1\nA2\n")
    test = open_collection("ntrex-heldout/swh")
    assert list(test.documents()) == [Document("x.1", "a1 a3"), Document("y.2", "b1 b3")]
    assert test.topics() == [Topic("y.2-2", "B2"), Topic("y.2-4", "B4")]
    assert test.topics("en") == [Topic("y.2-2", "b2"), Topic("y.2-4", "b4")]
    assert test.qrels().as_dict() == {"y.2-2": {"y.2": 1}, "y.2-4": {"y.2": 1}}
    assert open_collection("ntrex-heldout/sw/dev").topics() == [Topic("x.1-2", "A2")]
    with pytest.raises(ClirError, match=r"newstest2019-ref\.dan\.txt has 2 lines, .*DOCUMENT_IDS\.tsv has 7"):
        open_collection("ntrex-heldout/da").topics()
    with pytest.raises(UsageError, match=r"ref\.zul\.txt is not there; get it with: python -m clir\.fetch ntrex"):
        open_collection("ntrex-heldout/zu").topics()


def test_a_translation_by_script_is_found_and_of_two_none_is_guessed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLIR_DATA", str(tmp_path))
    folder = tmp_path / "ntrex" / "NTREX-128"
    folder.mkdir(parents=True)
    (folder.parent / "DOCUMENT_IDS.tsv").write_text("x.1\nx.1\ny.2\ny.2\n")
    for name in ("src.eng", "ref.aze-Latn", "ref.zho-CN", "ref.zho-TW"):
        (folder / f"newstest2019-{name}.txt").write_text("1\n2\n3\n4\n")
    assert open_collection("ntrex-heldout/az").topics() == [Topic("y.2-2", "4")]
    with pytest.raises(
        UsageError, match=r"Chinese is there as newstest2019-ref\.zho-CN\.txt, .*zho-TW\.txt in .*: copy"
    ):
        open_collection("ntrex-heldout/zh").topics()


def test_afriqa_passages_as_distractors(data_root: Path) -> None:
    collection = open_collection("ntrex-heldout+afriqa/ha")
    assert collection.id == "ntrex-heldout+afriqa/ha"
    assert collection.document_count() == len({document.docid for document in collection.documents()}) == 123 + 5_413


def test_filipino_and_tagalog(data_root: Path) -> None:
    collection = open_collection("ntrex-heldout/tl")
    assert collection.id == "ntrex-heldout/fil"
    assert collection.topics("tgl") == collection.topics("fil") == collection.topics()


def test_the_demo_collection_holds_together() -> None:
    collection = open_collection("demo/sw")
    documents = {document.docid for document in collection.documents()}
    assert len(documents) == collection.document_count() >= 150
    native, english = collection.topics(), collection.topics("en")
    assert [topic.qid for topic in native] == [topic.qid for topic in english]
    assert len(native) == 40
    assert open_collection("demo/eng").topics() == english
    qrels = collection.qrels()
    assert qrels is not None
    assert set(qrels.topics) == {topic.qid for topic in native}
    assert documents.issuperset(qrels.frame["docid"])


def test_the_demo_bitext_shares_nothing_with_topics_and_passages() -> None:
    collection = open_collection("demo/sw")
    pairs = read_bitext([str(demo_file("bitext.tsv"))], ["sw"])
    assert len(pairs) >= 600
    assert clean(pairs)[0] == pairs, "no duplicates, nothing to filter"
    texts = [topic.text for language in ("sw", "en") for topic in collection.topics(language)]
    texts += [text for document in collection.documents() for text in (document.title, document.text)]
    assert remove_leaks(pairs, texts)[0] == pairs


@pytest.mark.parametrize(
    ("given", "id"),
    [
        ("demo/swa", "demo/sw"),
        ("afriqa/sw/test", "afriqa/swa/test"),
        ("afriqa/kin/dev", "afriqa/kin/dev"),
        ("afriqa/rw/dev", "afriqa/kin/dev"),
        ("ntrex-heldout/som", "ntrex-heldout/so"),
        ("ntrex-heldout/so/test", "ntrex-heldout/so"),
        ("ntrex-heldout+afriqa/mar/dev", "ntrex-heldout+afriqa/mr/dev"),
    ],
)
def test_ids_and_their_spellings(given: str, id: str) -> None:
    assert open_collection(given).id == id
    assert id in collection_ids()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("afriqa/swa/dev", "AfriQA has no 'dev' split with passages for swa (it has: test)"),
        ("afriqa/fr/test", "unknown AfriQA language 'fr'"),
        ("afriqa", "unknown collection 'afriqa'"),
        ("ntrex-heldout/so/train", "unknown split of ntrex-heldout 'train'"),
        ("ntrex-heldout/zz", "unknown language 'zz'"),
        ("demo/fr", "unknown language of the demo collection 'fr'"),
        ("ntrex-held-out/so", "did you mean ntrex-heldout/so"),
        ("hc4/fa/dve", "did you mean hc4/fa/dev"),
    ],
)
def test_unknown_collections(name: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        open_collection(name)
    assert message in str(caught.value)
    assert not is_collection(name)


def test_a_language_that_a_collection_has_no_topics_in() -> None:
    with pytest.raises(UsageError, match=r"demo/sw has no topics in 'so' \(it has: sw, en\)"):
        open_collection("demo/sw").topics("so")


def test_our_ids_do_not_import_ir_datasets() -> None:
    code = (
        "import sys; from clir.corpora.registry import open_collection, is_collection\n"
        "open_collection('afriqa/sw/test'); open_collection('demo/sw').topics(); is_collection('demo/xx')\n"
        "print('ir_datasets' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
