"""Documents and topics from files: formats, ids kept as they are, and bad input refused with file and line."""

import gzip
import itertools
import json
from pathlib import Path

import pytest

from clir.corpora.collection import Document, Topic, collection_topics
from clir.corpora.documents import count_documents, read_documents
from clir.corpora.given import given_topics
from clir.corpora.registry import open_collection
from clir.corpora.topics import read_topics
from clir.support.errors import ClirError, UsageError


def write(path: Path, text: str) -> Path:
    path.write_text(text, "utf-8")
    return path


def test_documents_of_every_key_spelling(tmp_path: Path) -> None:
    path = write(
        tmp_path / "docs.jsonl",
        '{"id": "001", "contents": "Boil the water.", "title": "Water"}\n'
        '{"docid": "NA", "text": "Plant early."}\n'
        "\n"
        '{"_id": "null", "text": "", "title": null, "url": "ignored"}\n'
        '{"id": 12, "contents": "Rain."}',
    )
    assert list(read_documents(path)) == [
        Document("001", "Boil the water.", "Water"),
        Document("NA", "Plant early."),
        Document("null", ""),
        Document("12", "Rain."),
    ]
    assert count_documents(path) == 4


def test_contents_are_title_and_text() -> None:
    assert Document("1", "Boil it.", "Water").contents == "Water Boil it."
    assert Document("1", "Boil it.").contents == "Boil it."


def test_documents_without_text_are_kept_and_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "docs.jsonl", '{"id": "a", "text": ""}\n{"id": "b", "text": "x"}\n')
    assert len(list(read_documents(path))) == 2
    assert capsys.readouterr().err == f"{path}: 1 of 2 documents have no text\n"


def test_what_is_no_language_is_said_and_passed_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "docs.jsonl"
    tags = ["Swahili", "sw-KE", "java-17", ["en"], None]
    path.write_text(
        "".join(json.dumps({"id": f"d{at}", "text": "x", "language": tag}) + "\n" for at, tag in enumerate(tags))
    )
    assert [document.language for document in read_documents(path)] == ["sw", "sw", "", "", ""]
    assert "2 of 5 documents name a language that is no code" in capsys.readouterr().err


def test_a_folder_of_gzipped_and_plain_files_in_the_order_of_names(tmp_path: Path) -> None:
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(b'{"id": "2", "text": "two"}\n'))
    write(tmp_path / "a.jsonl", '{"id": "1", "text": "one"}\n')
    write(tmp_path / "README.md", "not a document")
    assert [document.docid for document in read_documents(tmp_path)] == ["1", "2"]
    assert count_documents(tmp_path) == 2
    write(tmp_path / "c.jsonl", '{"id": "1", "text": "again"}\n')
    with pytest.raises(ClirError, match=r"c\.jsonl:1: document id '1' is there twice"):
        list(read_documents(tmp_path))


def test_documents_stream(tmp_path: Path) -> None:
    path = write(tmp_path / "docs.jsonl", '{"id": "1", "text": "one"}\nnot JSON\n')
    assert next(read_documents(path)).docid == "1"


def test_text_that_utf8_cannot_hold_does_not_crash(tmp_path: Path) -> None:
    path = write(tmp_path / "docs.jsonl", r'{"id": "1", "text": "a\ud800b\u0000c", "title": "\udfff"}')
    document = next(read_documents(path))
    assert document == Document("1", "a\N{REPLACEMENT CHARACTER}b c", "\N{REPLACEMENT CHARACTER}")
    document.contents.encode()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "not JSON"),
        ("[1]", "not a JSON object"),
        ("[" * 100_000, "not JSON"),
        ('{"text": "x"}', "no document id"),
        ('{"id": "", "text": "x"}', "document id is empty"),
        ('{"id": "a b", "text": "x"}', "white space"),
        ('{"id": "a\\u00a0b", "text": "x"}', "white space"),
        ('{"id": "a\\ud800", "text": "x"}', "control character"),
        ('{"id": 1.5, "text": "x"}', "document id is not a string: 1.5"),
        ('{"id": true, "text": "x"}', "document id is not a string: True"),
        ('{"id": "first", "text": "x"}', "document id 'first' is there twice"),
        ('{"id": "2"}', "no text"),
        ('{"id": "2", "text": null}', "text of document 2 is not a string"),
        ('{"id": "2", "text": "x", "title": 3}', "title of document 2 is not a string"),
    ],
)
def test_a_bad_document_is_refused_with_its_line(tmp_path: Path, line: str, message: str) -> None:
    path = write(tmp_path / "docs.jsonl", '{"id": "first", "text": "x"}\n\n' + line + "\n")
    with pytest.raises(ClirError, match=r"docs\.jsonl:3: ") as caught:
        list(read_documents(path))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_empty_and_broken_files(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"documents not found: .*nothing\.jsonl"):
        read_documents(tmp_path / "nothing.jsonl")
    with pytest.raises(ClirError, match="has no documents"):
        list(read_documents(write(tmp_path / "empty.jsonl", "\n")))
    (tmp_path / "latin.jsonl").write_bytes(b'{"id": "1", "text": "caf\xe9"}')
    with pytest.raises(ClirError, match=r":\d+: not UTF-8"):
        list(read_documents(tmp_path / "latin.jsonl"))
    (tmp_path / "cut.jsonl.gz").write_bytes(gzip.compress(b'{"id": "1", "text": "one"}\n')[:-12])
    with pytest.raises(ClirError, match="is not a whole compressed file"):
        list(read_documents(tmp_path / "cut.jsonl.gz"))
    folder = tmp_path / "folder"
    folder.mkdir()
    with pytest.raises(UsageError, match=r"no file to read in the folder .* \(\.jsonl, \.csv"):
        read_documents(folder)


EXPECTED = [Topic("001", "maji safi"), Topic("NA", "bei ya mahindi")]
FORMATS = {
    "topics.tsv": "001\tmaji safi\nNA\tbei ya mahindi \n",
    "topics.crlf.tsv": "\ufeff001\tmaji safi\r\nNA\tbei ya mahindi\r\n",
    "topics.txt": "\n001\tmaji safi\n\nNA\tbei ya mahindi",
    "topics.jsonl": '{"qid": "001", "text": "maji safi"}\n{"query_id": "NA", "query": "bei ya mahindi"}\n',
    "topics.anything": '{"_id": "001", "title": "maji safi"}\n{"id": "NA", "text": "bei ya mahindi", "title": "x"}\n',
    "topics.trec": (
        "<top>\n<num> Number: 001\n<title> maji\nsafi\n<desc> Description:\nIs it?\n</top>\n"
        "\n<top>\n<num>NA</num>\n<title>bei ya mahindi</title>\n</top>\n"
    ),
}


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("zipped", [False, True])
def test_topics_of_every_format(tmp_path: Path, name: str, zipped: bool) -> None:
    data = FORMATS[name].encode()
    path = tmp_path / (name + ".gz" if zipped else name)
    path.write_bytes(gzip.compress(data) if zipped else data)
    assert read_topics(path) == EXPECTED


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("t.tsv", "1\tone\n2 two\n", ":2: no tab"),
        ("t.tsv", "1\tone\ten\n", ":1: 3 columns"),
        ("t.tsv", "1\tone\n17\t \n", ":2: topic 17 has no text"),
        ("t.tsv", "1\tone\n2\ttwo\n1\tthree\n", ":3: topic 1 is there twice"),
        ("t.tsv", "1 2\tone\n", ":1: the topic id has white space"),
        ("t.tsv", "\tone\n", ":1: the topic id is empty"),
        ("t.tsv", "", "has no topics"),
        ("t.jsonl", '{"qid": "1"}\n', ":1: topic 1 has no text"),
        ("t.jsonl", '{"qid": "1", "text": ["one"]}\n', ":1: the text of topic 1 is not a string"),
        ("t.jsonl", '{"text": "one"}\n', ":1: no topic id"),
        ("t.trec", "<top>\n<num> 1\n</top>\n", ":1: topic 1 has no text"),
        ("t.trec", "<top>\n<title> one\n</top>\n", ":1: a <top> without <num>"),
        ("t.trec", "<top>\n<num> 1\n<title> one\n", ":1: this <top> is never closed"),
        ("t.trec", "<top>\n<num> 1\n<top>\n", ":3: a <top> begins before the one of line 1 is closed"),
    ],
)
def test_bad_topics_are_refused_with_their_line(tmp_path: Path, name: str, text: str, message: str) -> None:
    path = write(tmp_path / name, text)
    with pytest.raises(ClirError) as caught:
        read_topics(path)
    assert str(caught.value).startswith(str(path))
    assert message in str(caught.value)


TREC = (
    "<top>\n<num> Number: C1\n<EN-title> clean\nwater\n<EN-desc> Description:\nWhich wells?\n"
    "<EN-narr> Narrative:\nTests count.\n</top>\n"
    "<top>\n<num>C2</num>\n<title>rain</title>\n<desc>When?</desc>\n</top>\n"
)


def test_entities_and_signs_that_are_no_tags_stay_text(tmp_path: Path) -> None:
    text = "<top>\n<num> 1\n<title> AT&amp;T below < 0\n<desc> in &lt;ink&gt;\n</top>\n"
    topics = read_topics(write(tmp_path / "t.trec", text), ("title", "description"))
    assert topics == [Topic("1", "AT&T below < 0 in <ink>")]


@pytest.mark.parametrize(
    ("name", "text", "fields", "expected"),
    [
        ("t.trec", TREC, ("title", "description"), ["clean water Which wells?", "rain When?"]),
        ("t.trec", TREC, ("desc",), ["Which wells?", "When?"]),
        ("t.trec", TREC, ("description", "title"), ["Which wells? clean water", "When? rain"]),
        ("t.tsv", "C1\tclean water\nC2\train\n", ("text",), ["clean water", "rain"]),
        ("t.jsonl", '{"qid": "C1", "text": "a", "answer": "b", "n": 1}\n{"qid": "C2", "text": "c", "answer": "d"}\n',
         ("answer", "text"), ["b a", "d c"]),
        ("t.jsonl", '{"id": "C1", "title": "a", "desc": "b"}\n{"id": "C2", "title": "c", "desc": "d"}\n',
         ("title", "description"), ["a b", "c d"]),
    ],
)  # fmt: skip
def test_topics_of_chosen_fields(
    tmp_path: Path, name: str, text: str, fields: tuple[str, ...], expected: list[str]
) -> None:
    topics = read_topics(write(tmp_path / name, text), fields)
    assert topics == [Topic("C1", expected[0]), Topic("C2", expected[1])]


def test_fields_that_topics_do_not_have(tmp_path: Path) -> None:
    path = write(tmp_path / "t.trec", TREC)
    with pytest.raises(UsageError) as unknown:
        read_topics(path, ["title", "descripton"])
    assert str(unknown.value) == (
        f"{path}: unknown field of topics 'descripton'; did you mean 'description'? "
        "(known: title, description, narrative)"
    )
    with pytest.raises(ClirError) as missing:
        read_topics(path, ["narrative"])
    assert str(missing.value) == f"{path}:10: topic C2 has no narrative"
    with pytest.raises(UsageError, match=r"unknown field of topics 'title' \(known: text\)"):
        read_topics(write(tmp_path / "t.tsv", "1\ta\n"), ["title"])


def test_fields_of_a_collection_without_any() -> None:
    demo = open_collection("demo/sw")
    assert collection_topics(demo, "en", ["text"]) == demo.topics("en")
    with pytest.raises(UsageError, match="the topics of demo/sw have one field, text: they have no title, narrative"):
        collection_topics(demo, "en", ["title", "narrative"])
    assert given_topics("demo/sw", "en", fields=["text"]) == demo.topics("en")


def test_missing_topics(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="topics not found"):
        read_topics(tmp_path / "topics.tsv")


def test_public_topic_files_read(shared_data: Path) -> None:
    paths = itertools.chain((shared_data / "topics").iterdir(), (shared_data / "africlirmatrix/test/queries").iterdir())
    counts = {path.name: len(read_topics(path)) for path in paths}
    assert counts["topics.hc4-v1.0-fa.dev.title.tsv"] == 10
    assert counts["topics.miracl-v1.0-sw-dev.tsv"] == 482
    assert min(counts.values()) > 0
