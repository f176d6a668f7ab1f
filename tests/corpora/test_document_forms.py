"""Documents as collections are handed out: TREC's markup, tables, Parquet, and folders of several of these."""

import bz2
import gzip
import json
import lzma
import os
import zipfile
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
import zstandard

from clir.corpora.collection import Document
from clir.corpora.documents import count_documents, document_files, read_documents
from clir.corpora.held_out import held_out_texts
from clir.support.errors import ClirError, UsageError


def write(path: Path, text: str) -> Path:
    path.write_text(text, "utf-8")
    return path


def read(path: Path) -> list[Document]:
    return list(read_documents(path))


TREC = {
    "newspaper": (
        "<DOC>\n<DOCNO> A-1 </DOCNO>\n<DOCID> 9 </DOCID>\n<DATE>1994</DATE>\n<HEADLINE>\n<P>\nWells &amp; pumps\n</P>\n"
        "</HEADLINE>\n<BYLINE>X</BYLINE>\n<TEXT>\n<P>The well\nis deep.</P><P>It is R&D &lt; 5.</P>\n</TEXT>\n</DOC>\n",
        Document("A-1", "The well is deep. It is R&D < 5.", "Wells & pumps"),
    ),
    "several texts": (
        "<DOC>\n<DOCNO>A-1</DOCNO>\n<HL> Wells </HL>\n<LP>The well</LP>\n<TEXT>is deep.</TEXT>\n"
        "<TEXT>Very.</TEXT>\n</DOC>\n",
        Document("A-1", "The well is deep. Very.", "Wells"),
    ),
    "text inside body": (
        '<DOC id="A-1" type="story">\n<BODY>\n<SLUG>x</SLUG>\n<HEADLINE>Wells</HEADLINE>\n<TEXT>\nDeep.\n</TEXT>\n'
        "</BODY>\n</DOC>\n",
        Document("A-1", "Deep.", "Wells"),
    ),
    "no tag for the text": (
        "<doc>\n<docno>A-1</docno>\n<title>Wells</title>\n<date>1994</date>\nThe well\nis deep.\n</doc>\n",
        Document("A-1", "The well is deep.", "Wells"),
    ),
    "a comment, a tag of its own, unclosed": (
        "<DOC>\n<DOCNO>A-1</DOCNO>\n<!-- <TEXT>no</TEXT> -->\n<DATE>1994\n<TITLE>Wells</TITLE>\n"
        "<TEXT>\n<ITAG tagnum=1>The&blank;well\n</DOC>\n",
        Document("A-1", "The well", "Wells"),
    ),
    "a root, and languages": (
        '<?xml version="1.0"?>\n<docs>\n<DOC lang="sw">\n<DOCNO>A-1</DOCNO>\n<TEXT>Kisima</TEXT>\n</DOC>\n</docs>\n',
        Document("A-1", "Kisima", "", "sw"),
    ),
}


@pytest.mark.parametrize("name", ["docs.sgml", "docs.trectext.gz", "A01"])
@pytest.mark.parametrize(("text", "expected"), TREC.values(), ids=TREC)
def test_trec_markup(tmp_path: Path, name: str, text: str, expected: Document) -> None:
    other = "<DOC><DOCNO>B-2</DOCNO><TEXT>b</TEXT></DOC> <DOC><DOCNO>B-3</DOCNO><TEXT>c</TEXT></DOC>\n"
    whole = text if expected.language else text + other
    path = tmp_path / name
    path.write_bytes(gzip.compress(whole.encode()) if name.endswith(".gz") else whole.encode())
    more = [] if expected.language else [Document("B-2", "b"), Document("B-3", "c")]
    assert read(path) == [expected, *more]
    assert count_documents(path) == 1 + len(more)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<DOC>\n<DOCNO>1</DOCNO>\n</DOC>\n<DOC>\n<TEXT>a</TEXT>\n</DOC>\n", ":4: a <DOC> without <DOCNO>"),
        ("<DOC>\n<DOCNO>1</DOCNO>\n<DOC>\n<DOCNO>2</DOCNO>\n</DOC>\n", ":3: a <DOC> begins before the one of line 1"),
        ("<DOC>\n<DOCNO>1</DOCNO>\n<TEXT>a</TEXT>\n", ":1: this <DOC> is never closed"),
        ("<DOC>\n<DOCNO>1</DOCNO>\n</DOC>\nmore\n", ":4: stands in no <DOC>: 'more'"),
        ("<DOC>\n<DOCNO>1 2</DOCNO>\n</DOC>\n", ":1: the document id has white space"),
        ("<DOC>\n<DOCNO>1</DOCNO>\n</DOC>\n\n<DOC>\n<DOCNO>1</DOCNO>\n</DOC>\n", ":5: document id '1' is there twice"),
        ("<html><a></a></html>", "has no documents"),
    ],
)
def test_bad_markup_is_refused_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    path = write(tmp_path / "d.sgml", text)
    with pytest.raises(ClirError) as caught:
        read(path)
    assert str(caught.value).startswith(str(path))
    assert message in str(caught.value)


def test_old_bytes_are_refused_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "d.sgml").write_bytes(b"<DOC>\n<DOCNO>1</DOCNO>\n<TEXT>caf\xe9</TEXT>\n</DOC>\n")
    with pytest.raises(ClirError, match=r"d\.sgml:3: not UTF-8: .*; if it is Latin-1, convert it: iconv -f latin1"):
        read(tmp_path / "d.sgml")


@pytest.mark.parametrize(
    ("name", "text", "expected", "said"),
    [
        ("d.tsv", "001\ta\n2\tb\n", [Document("001", "a"), Document("2", "b")], ""),
        ("d", "001\ta\n2\tb\n", [Document("001", "a"), Document("2", "b")], ""),
        ("d.tsv", "D1\thttp://x.y\tT\ta\nD2\t\t\tb\n", [Document("D1", "a", "T"), Document("D2", "b")],
         "four columns, read as MS MARCO's documents: id, url, title, text"),
        ("d.tsv", "id\ttext\ttitle\n001\ta\tT\n", [Document("001", "a", "T")],
         ":1: read as the names of the columns (id, text, title), not as a document"),
        ("d.tsv", '1\t"a ""b"""\n', [Document("1", 'a "b"')], "stand in quotes"),
        ("d.tsv", '1\t"a" b\n', [Document("1", '"a" b')], ""),
        ("d.csv", 'docno,Title,Body,language\n001,T,"a, ""b""\nc",Swahili\n',
         [Document("001", 'a, "b"\nc', "T", "sw")], ""),
        ("d.csv", "_id,contents\n1,a\n", [Document("1", "a")], ""),
        ("d.json", '{"docno": "1", "body": "a"}', [Document("1", "a")], ""),
    ],
)  # fmt: skip
def test_tables(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, text: str, expected: list[Document], said: str
) -> None:
    path = write(tmp_path / name, text)
    assert read(path) == expected
    err = capsys.readouterr().err
    assert said in err and bool(err) == bool(said)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("d.tsv", "1\ta\tb\n", ":1: 3 columns; a line of documents is: id, tab, text"),
        ("d.tsv", "1\ta\tb\tc\n", ":1: 4 columns; a line of documents is"),
        ("d.tsv", "1\ta\n2\n", ":2: 1 columns, not the 2 of the first line (id, text)"),
        ("d.tsv", "1 a\n", ":1: no tab; a line of documents is: id, tab, text"),
        ("d.tsv", "1\ta\n1\tb\n", ":2: document id '1' is there twice"),
        ("d", "plain words\n", "not JSON, no table with tabs, and no <DOC> ('plain words')"),
        ("d.csv", "name,words\n1,a\n", ":2: no document id (one of the keys id, docid, _id, docno, doc_id); it has"),
        ("d.csv", "id,text\n1,a,b\n", ":2: 3 columns, not the 2 of the header"),
        ("d.json", '[{"id": "1", "text": "a"}, {"id": "2", "text": "b", "text": "c"}]', "stands twice"),
    ],
)
def test_bad_tables_are_refused(tmp_path: Path, name: str, text: str, message: str) -> None:
    path = write(tmp_path / name, text)
    with pytest.raises(ClirError) as caught:
        read(path)
    assert str(caught.value).startswith(str(path))
    assert message in str(caught.value)


def test_parquet(tmp_path: Path) -> None:
    def table(**columns: list) -> Path:
        pyarrow.parquet.write_table(pyarrow.table(columns), tmp_path / "d.parquet")
        return tmp_path / "d.parquet"

    assert read(table(docid=[7, 8], text=["a", "b"], title=["T", None])) == [
        Document("7", "a", "T"),
        Document("8", "b"),
    ]
    with pytest.raises(ClirError, match=r"d\.parquet: row 1: the document id is not a string: 7\.0"):
        read(table(docid=[7.0], text=["a"]))
    with pytest.raises(ClirError, match=r"d\.parquet: row 2: no text \(one of the keys"):
        read(table(docid=["1", "2"], text=["a", None]))


def zipped(data: bytes, path: Path) -> bytes:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("inner", data)
    return path.read_bytes()


def test_a_folder_of_every_form_and_compression(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "parts"
    folder.mkdir()
    line = b'{"id": "%d", "text": "x"}\n'
    (folder / "a.jsonl").write_bytes(line % 1)
    (folder / "b.jsonl.bz2").write_bytes(bz2.compress(line % 2))
    (folder / "c.json.xz").write_bytes(lzma.compress(b"[" + line % 3 + b"]"))
    (folder / "d.tsv.zst").write_bytes(zstandard.compress(b"4\tx\n"))
    (folder / "e.csv.zip").write_bytes(zipped(b"id,text\n5,x\n", tmp_path / "z"))
    pyarrow.parquet.write_table(pyarrow.table({"id": ["6"], "text": ["x"]}), folder / "f.parquet")
    for number, name in enumerate(["g.sgml", "h940101"], 7):
        write(folder / name, f"<DOC>\n<DOCNO>{number}</DOCNO>\n<TEXT>x</TEXT>\n</DOC>\n")
    write(folder / "README", "not a document")
    write(folder / "topics.xml", "<top><num>1</num><title>x</title></top>")
    assert [document.docid for document in read(folder)] == [str(number) for number in range(1, 9)]
    err = capsys.readouterr().err
    assert f"{folder}: files that are not read as documents: README, topics.xml\n" in err
    assert f"{folder}: files of several forms were read as documents, among them a.jsonl, d.tsv.zst" in err
    assert [file.name for file in document_files(folder, ("json",))] == ["a.jsonl", "b.jsonl.bz2", "c.json.xz"]


def test_a_folder_without_documents(tmp_path: Path) -> None:
    write(tmp_path / "README", "nothing")
    with pytest.raises(
        UsageError, match=r"no file to read in the folder .* \(\.jsonl, \.csv, \.tsv, \.parquet or TREC"
    ):
        read_documents(tmp_path)


def test_held_out_files_of_every_form(tmp_path: Path) -> None:
    write(tmp_path / "a.csv", "id,text\n1,the well\n")
    write(tmp_path / "b.sgml", "<DOC>\n<DOCNO>1</DOCNO>\n<TEXT>\nthe deep\nwell\n</TEXT>\n</DOC>\n")
    (tmp_path / "c.json.bz2").write_bytes(bz2.compress(json.dumps([{"id": "2", "text": "a goat"}], indent=1).encode()))
    write(tmp_path / "d.tsv", "3\ta cow\n")
    assert {"the well", "the deep well", "a goat", "a cow"} <= set(held_out_texts([str(tmp_path)]))


@pytest.mark.parametrize(
    "text", ['{"id": "1", "text": "a"}\n', "1\ta\n", "<DOC><DOCNO>1</DOCNO><TEXT>a</TEXT></DOC>\n"]
)
def test_a_pipe_is_read_once(text: str) -> None:
    reading, writing = os.pipe()
    os.write(writing, text.encode())
    os.close(writing)
    assert read(Path(f"/dev/fd/{reading}")) == [Document("1", "a")]
    os.close(reading)
