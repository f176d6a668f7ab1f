"""Topics as tracks and tools publish them: XML and SGML of many kinds, tables with headers and quotes, JSON of other
shapes, and several languages in one file."""

import bz2
import json
import lzma
import time
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from clir.corpora.collection import Topic
from clir.corpora.topics import read_topics
from clir.support.errors import ClirError, UsageError


def write(path: Path, text: str) -> Path:
    path.write_text(text, "utf-8")
    return path


XML = '<?xml version="1.0" encoding="UTF-8"?>\n'
MARKUP = {
    "attributes of top": "<topics>\n<top lang='bn'>\n<num>7</num><title>Goat milk</title></top>\n"
    "<top lang='bn'>\n<num>8</num>\n<title>Rain\nfall</title></top></topics>",
    "number as attribute": '<topics task="x">\n <topic number="7"><title>Goat milk</title></topic>\n'
    ' <topic number="8"><title>Rain fall</title></topic>\n</topics>\n',
    "number inside": "<topics><topic><number>7</number><title>Goat milk</title></topic>"
    "<topic><number>8</number><title>Rain fall</title></topic></topics>",
    "identifier, declared": XML + '<topics><topic lang="en"><identifier>7</identifier><title>Goat milk</title></topic>'
    '<topic lang="en"><identifier>8</identifier><title>Rain fall</title></topic></topics>',
    "two on a line": "<top><num>7</num><title>Goat milk</title></top><top><num>8</num><title>Rain fall</title></top>",
    "prefixed tags": "<top>\n<num> 7 </num>\n<EN-title> Goat milk </EN-title>\n<EN-desc> x </EN-desc>\n</top>\n"
    "<top>\n<num> 8 </num>\n<EN-title> Rain fall </EN-title>\n</top>\n",
    "unclosed, labels, more lines": "<top>\n<head> Topic Description\n<num> Number:  7\n<dom> Domain: Farms\n"
    "<title> Topic:  Goat\nmilk\n\n<desc> Description:\nAll & any < 5 litres.\n</top>\n\n"
    "<top>\n<num> Number: 8\n<title> Topic: Rain fall\n<desc> Description:\nIt falls.\n</top>\n",
    "capitals": "<TOPIC>\n<NUM>7</NUM>\n<TITLE>Goat milk</TITLE>\n<NARR><BACK>b</BACK><REL>r</REL></NARR>\n</TOPIC>\n"
    "<TOPIC>\n<NUM>8</NUM><TITLE>Rain fall</TITLE></TOPIC>\n",
    "a DOCTYPE and comments": XML + "<!DOCTYPE t [\n <!ELEMENT t (topic)*>\n]>\n<t>\n<!-- <topic number='1'> -->\n"
    "<topic number='7' kind='a'><title>Goat <i>milk</i></title></topic>"
    "<topic number='8'><title>Rain&#32;fall</title></topic></t>",
    "declared, but not XML": XML + "<!-- made\nby hand --><topics>\n<topic id='7'><title>Goat milk</title>"
    "<desc>R&D</desc></topic>\n<topic id='8'><title>Rain fall</title></topic>\n</topics>",
    "a namespace": '<t xmlns="urn:x"><topic number="7"><title>Goat milk</title></topic>'
    '<topic number="8"><title>Rain fall</title></topic></t>',
}


@pytest.mark.parametrize("text", MARKUP.values(), ids=MARKUP)
@pytest.mark.parametrize("name", ["t.xml", "topics.txt"])
def test_titles_in_markup(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, name: str) -> None:
    assert read_topics(write(tmp_path / name, text)) == [Topic("7", "Goat milk"), Topic("8", "Rain fall")]
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("text", "taken", "expected"),
    [
        ("<queries><query><qid>0007</qid><content>goat milk</content><description>d</description></query></queries>",
         "content", "goat milk"),
        ('<topics><topic number="0007"><query>goat milk</query><question>q?</question></topic></topics>',
         "query", "goat milk"),
        ("<top>\n<num> Number: 0007 </num>\n<query> goat milk </query>\n<querytime> Tue </querytime>\n</top>\n",
         "query", "goat milk"),
        ("<parameters><query><number>0007</number><text>goat milk</text></query></parameters>", "text", "goat milk"),
        ('<topics><topic number="0007">\n goat milk\n</topic></topics>', "text", "goat milk"),
        ('<set><q id="0007" kind="fact"><question>Is it goat milk?</question></q></set>',
         "question", "Is it goat milk?"),
        ("<DOC>\n<DOCNO> 0007 </DOCNO>\n\n goat\n milk\n</DOC>\n", "text", "goat milk"),
        ("<topic><num>0007</num><desc>goat milk</desc></topic>", "description", "goat milk"),
    ],
)  # fmt: skip
def test_without_a_title_the_next_best_is_taken_and_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, taken: str, expected: str
) -> None:
    path = write(tmp_path / "t.xml", text)
    assert read_topics(path) == [Topic("0007", expected)]
    assert f"{path}: the topics have no title; their {taken} is searched" in capsys.readouterr().err


def test_fields_are_chosen_by_tag(tmp_path: Path) -> None:
    path = write(
        tmp_path / "t.xml",
        '<topics><topic number="1"><disease>fever</disease><gene>ABC1</gene><age>7</age></topic></topics>',
    )
    assert read_topics(path, ["disease", "gene"]) == [Topic("1", "fever ABC1")]
    with pytest.raises(UsageError) as none:
        read_topics(path)
    assert str(none.value) == (
        f"{path}: no title, text or query to search; choose with --fields what makes the text: disease, gene, age"
    )


def test_titles_of_two_languages_in_one_topic_are_not_mixed_up(tmp_path: Path) -> None:
    text = "<top>\n<num> 1\n<EN-title> rain\n<FR-title> pluie\n</top>\n"
    path = write(tmp_path / "t.txt", text)
    assert read_topics(path, ["FR-title"]) == [Topic("1", "pluie")]
    with pytest.raises(UsageError, match="choose with --fields what makes the text: en-title, fr-title"):
        read_topics(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<t>\n<topic number='1'><title>a</title></topic>\n<topic><title>b</title></topic></t>",
         ":3: a <topic> without <num>"),
        ("<t>\n<topic number='1'><title>a</title></topic>\n\n<topic number='2'><title/></topic></t>",
         ":4: topic 2 has no text"),
        ("<t>\n<topic number='1'><title>a</title></topic>\n<topic number='1'><title>b</title></topic></t>",
         ":3: topic 1 is there twice"),
        ("<t>\n<topic number='1'><title>a</title></topic>\n<topic number='2'><title>b & c", ":3: this <topic> is"),
        ("<top>\n<num> 1\n<title> a\n<num> 2\n<title> b\n</top>\n", ":1: a <top> with two ids, '1' and '2'"),
        ("<top>\n<num> 1 2\n<title> a\n</top>\n", ":1: the topic id has white space"),
        ("<html><body>none</body></html>", "has no topics: none of the tags <top>, <topic>, <query>; it has <html>"),
        ('<!DOCTYPE t [<!ENTITY a "b">]><t><topic number="1"><title>&a;</title></topic></t>', "XML with entities"),
    ],
)  # fmt: skip
def test_no_topic_is_lost_without_a_word(tmp_path: Path, text: str, message: str) -> None:
    path = write(tmp_path / "t.xml", text)
    with pytest.raises(ClirError) as caught:
        read_topics(path)
    assert str(caught.value).startswith(str(path))
    assert message in str(caught.value)


def test_a_topic_that_ends_where_the_next_begins_is_read_and_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = "<top>\n<num>1</num>\n<title>a</title>\n\n<top>\n<num>2</num>\n<title>b</title>\n</top>\n"
    path = write(tmp_path / "t.txt", text)
    assert read_topics(path) == [Topic("1", "a"), Topic("2", "b")]
    said = f"{path}:5: a <top> begins before the one of line 1 is closed: taken as its end\n"
    assert capsys.readouterr().err == said


def test_xml_in_the_encoding_that_it_declares(tmp_path: Path) -> None:
    text = '<?xml version="1.0" encoding="ISO-8859-1"?><t><topic number="1"><title>caf\xe9</title></topic></t>'
    (tmp_path / "t.xml").write_bytes(text.encode("latin-1"))
    assert read_topics(tmp_path / "t.xml") == [Topic("1", "caf\xe9")]
    (tmp_path / "old.txt").write_bytes("<top>\n<num> 1\n<title> caf\xe9\n</top>\n".encode("latin-1"))
    with pytest.raises(ClirError, match=r"old\.txt:3: not UTF-8: .*iconv -f latin1 -t utf-8"):
        read_topics(tmp_path / "old.txt")


@pytest.mark.parametrize("piece", ["<!--", "<a b='", '<a b="', "<?", "<!DOCTYPE [", "<top ", "<desc>", "<a" + " " * 40])
def test_hostile_markup_takes_no_time(tmp_path: Path, piece: str) -> None:
    path = write(tmp_path / "t.txt", "<top>\n<num> 1\n<title> a " + piece * 20_000 + "\n</top>\n")
    start = time.perf_counter()
    try:
        read_topics(path)
    except ClirError as error:
        assert len(str(error)) < 1000
    assert time.perf_counter() - start < 5


QUOTED = '1\t"Who wrote ""Rain"" and why?"\n2\tgoats\n'


@pytest.mark.parametrize(
    ("text", "expected", "said"),
    [
        (QUOTED, ['Who wrote "Rain" and why?', "goats"], "stand in quotes"),
        ('1\t"deep" wells\n2\tthe "goats"\n', ['"deep" wells', 'the "goats"'], None),
        ("qid\tquery\n1\ta\n2\tb\n", ["a", "b"], ":1: read as the names of the columns (qid, query)"),
        ("query_id\twhatever\n1\ta\n2\tb\n", ["a", "b"], "(query_id, whatever)"),
        ("id\ttext\n1\ta\n2\tb\n", ["a", "b"], "(id, text)"),
        ("topic\ttitle\n1\ta\n2\tb\n", ["a", "b"], "(topic, title)"),
        ("Query\tQID\na\t1\nb\t2\n", ["a", "b"], "(Query, QID)"),
        ("qid\ttext\ttranslation\n1\ta\tx\n2\tb\ty\n", ["a", "b"], "(qid, text, translation)"),
        ("1\ta\n2\tb\n3\tc\td\n", ["a", "b", "c d"], ":3: more than one tab"),
        ("1:a\n2:1:b\n", ["a", "b"], None),
    ],
)
def test_tables(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, expected: list[str], said: str | None
) -> None:
    path = write(tmp_path / "t.tsv", text)
    assert read_topics(path) == [Topic(str(at), one) for at, one in enumerate(expected, 1)]
    err = capsys.readouterr().err
    assert (said in err and str(path) in err) if said else err == ""


def test_columns_of_a_table_are_fields(tmp_path: Path) -> None:
    path = write(tmp_path / "t.tsv", "qid\ttext\ttranslation\n1\ta\tx\n2\tb\ty\n")
    assert [topic.text for topic in read_topics(path, ["translation"])] == ["x", "y"]
    path = write(tmp_path / "t.csv", 'qid,text,sw\n001,"a, ""b""\nc",x\n2,d,y\n')
    assert read_topics(path) == [Topic("001", 'a, "b"\nc'), Topic("2", "d")]
    assert [topic.text for topic in read_topics(path, ["sw"])] == ["x", "y"]
    with pytest.raises(ClirError, match=r"t3\.csv:2: no topic id \(one of .*\); it has 'number of goats, kids'"):
        read_topics(write(tmp_path / "t3.csv", "number of goats,kids\n1,2\n"))


def test_parquet_topics(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"query_id": [7, 8], "query": ["a", "b"]}), path)
    assert read_topics(path) == [Topic("7", "a"), Topic("8", "b")]
    pyarrow.parquet.write_table(pyarrow.table({"qid": [1.5], "text": ["a"]}), path)
    with pytest.raises(ClirError, match=r"t\.parquet: row 1: the topic id is not a string: 1\.5"):
        read_topics(path)


@pytest.mark.parametrize(
    "value",
    [
        [{"id": "1", "query": "a"}, {"id": 2, "query": "b"}],
        {"1": "a", "2": "b"},
        {"1": {"title": "a", "description": "x"}, "2": {"title": "b", "description": "y"}},
        [{"topic_id": "1", "topic_title": "a"}, {"topic_id": "2", "topic_title": "b"}],
    ],
)
@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("name", ["t.json", "topics"])
def test_json_of_other_shapes(tmp_path: Path, value: object, indent: int | None, name: str) -> None:
    path = write(tmp_path / name, json.dumps(value, indent=indent))
    assert read_topics(path) == [Topic("1", "a"), Topic("2", "b")]


def test_one_object_is_no_table_of_topics_where_its_keys_are_fields(tmp_path: Path) -> None:
    with pytest.raises(ClirError, match=r"t\.json:1: no topic id .*; it has 'text, answer'"):
        read_topics(write(tmp_path / "t.json", '{"text": "a", "answer": "b"}'))
    with pytest.raises(ClirError, match=r"t\.json:1: the key '1' stands twice"):
        read_topics(write(tmp_path / "t.json", '{"1": "a", "1": "b"}'))


@pytest.mark.parametrize(("ending", "pack"), [(".bz2", bz2.compress), (".xz", lzma.compress)])
def test_compressed_names_say_the_form_too(tmp_path: Path, ending: str, pack) -> None:
    path = tmp_path / f"t.csv{ending}"
    path.write_bytes(pack(b"qid,text\n1,a\n"))
    assert read_topics(path) == [Topic("1", "a")]


def translated(qid: str, *texts: tuple[str, str, str]) -> str:
    versions = [{"lang": lang, "source": source, "topic_title": text, "topic_description": f"{text}?"}
                for lang, source, text in texts]  # fmt: skip
    return json.dumps({"topic_id": qid, "languages_with_qrels": ["fas"], "topics": versions, "narratives": {}}) + "\n"


ENGLISH, HUMAN, MACHINE = ("eng", "original"), ("fas", "human translation"), ("fas", "model-7")


@pytest.fixture
def official(tmp_path: Path) -> Path:
    first = translated("1", (*ENGLISH, "wells"), (*HUMAN, "chah"), (*MACHINE, "chaah"))
    return write(tmp_path / "t.jsonl", first + translated("2", (*ENGLISH, "rain"), (*MACHINE, "baran")))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, ["wells", "rain"]),
        ({"language": "en"}, ["wells", "rain"]),
        ({"language": "eng", "fields": ["title", "desc"]}, ["wells wells?", "rain rain?"]),
        ({"language": "fa"}, ["chah"]),
        ({"language": "fas", "source": "model-7"}, ["chaah", "baran"]),
        ({"source": "human"}, ["chah"]),
    ],
)
def test_topics_in_several_languages(official: Path, options: dict, expected: list[str]) -> None:
    assert [topic.text for topic in read_topics(official, **options)] == expected


def test_what_is_chosen_among_several_languages_is_said(official: Path, capsys: pytest.CaptureFixture[str]) -> None:
    read_topics(official)
    assert capsys.readouterr().err == (
        f"{official} has topics in eng (original), fas (human translation), fas (model-7); eng (original) is read "
        "(--topics-language, --topics-source)\n"
    )
    read_topics(official, language="fa")
    said = f"{official}: 1 of 2 topics are left out: they are not there in fas (human translation)\n"
    assert said in capsys.readouterr().err
    read_topics(official, language="en")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        (translated("1", (*HUMAN, "a"), ("rus", "human translation", "b")), {},
         r"has topics in several languages: choose with --topics-language \(fas \(human translation\), rus"),
        (translated("1", (*MACHINE, "a"), ("fas", "model-8", "b")), {},
         r"several texts of a topic: choose with --topics-source \(fas \(model-7\), fas \(model-8\)\)"),
        (translated("1", (*ENGLISH, "a")), {"language": "sw"}, r"has no topics in 'sw' \(it has: eng\)"),
        (translated("1", (*ENGLISH, "a")), {"source": "human"}, "unknown source of topics 'human'"),
        ("1\ta\n", {"language": "sw"}, "--topics-language goes with a collection; .* is a file that does not say"),
    ],
)  # fmt: skip
def test_a_language_that_has_to_be_chosen(tmp_path: Path, text: str, options: dict, message: str) -> None:
    path = write(tmp_path / "topics", text)
    with pytest.raises(UsageError, match=message):
        read_topics(path, **options)


def test_languages_of_markup_and_of_json_lines(tmp_path: Path) -> None:
    text = "<t>" + "".join(
        f'<topic lang="{lang}"><identifier>1</identifier><title>{title}</title></topic>'
        for lang, title in (("en", "rain"), ("sw", "mvua"))
    ) + "</t>"  # fmt: skip
    path = write(tmp_path / "t.xml", text)
    assert read_topics(path, language="swa") == [Topic("1", "mvua")]
    with pytest.raises(UsageError, match=r"several languages: choose with --topics-language \(en, sw\)"):
        read_topics(path)
    # Topics of their own are no translations: all are read.
    lines = '{"qid": "1", "text": "rain", "language": "en"}\n{"qid": "2", "text": "mvua", "language": "sw"}\n'
    path = write(tmp_path / "t.jsonl", lines)
    assert len(read_topics(path)) == 2
    assert read_topics(path, language="sw") == [Topic("2", "mvua")]


def test_official_hc4_topics(shared_data: Path) -> None:
    path = shared_data / "hc4" / "dev.topics.v1-0.jsonl"
    assert len(read_topics(path)) == 15
    persian = {topic.qid: topic.text for topic in read_topics(path, language="fa")}
    published = read_topics(shared_data / "topics" / "topics.hc4-v1.0-fa.dev.title.tsv")
    assert persian == {topic.qid: topic.text for topic in published}


def test_a_line_separator_inside_a_text_ends_no_line(tmp_path: Path) -> None:
    path = write(tmp_path / "t.json", '{"qid": "1", "text": "a\u2028b\x85c"}')
    assert read_topics(path) == [Topic("1", "a\u2028b\x85c")]
