"""Whatever is in a file, a reader gives what it read or one line that names the file: no traceback, nothing else."""

import re
import tracemalloc
from collections import deque
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given
from mangling import mangled

from clir.corpora.bitext import Report, read_bitext
from clir.corpora.documents import read_documents
from clir.corpora.language_tags import read_language_tags
from clir.corpora.qrels import read_qrels
from clir.corpora.tmx import read_tmx
from clir.corpora.topics import read_topics
from clir.retrieval.translation.dictionary import read_dictionary
from clir.runs import forms
from clir.support.errors import ClirError

TREC_TOPICS = b"""<top>
<num> Number: 301
<title> dogs and cats
<desc> Description:
Which?
</top>
<top>
<num> 302
<title> fish
</top>
"""
TEI = """<?xml version="1.0" encoding="UTF-8"?>
<TEI xmlns="http://www.tei-c.org/ns/1.0"><text><body xml:lang="sw">
<entry><form><orth>mbwa</orth></form><sense><cit type="trans"><quote>dog</quote></cit></sense></entry>
<entry><form><orth>paka</orth></form><sense><cit type="trans"><quote>cat é</quote></cit></sense></entry>
</body></text></TEI>
""".encode()
TMX = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE tmx SYSTEM "tmx14.dtd">
<tmx version="1.4"><header srclang="en"/><body>
<tu><tuv xml:lang="en"><seg>A <bpt i="1">x</bpt>dog</seg></tuv><tuv xml:lang="sw"><seg>Mbwa é</seg></tuv></tu>
<tu><tuv xml:lang="en"><seg>Cat</seg></tuv><tuv xml:lang="sw"><seg>Paka</seg></tuv></tu>
</body></tmx>
""".encode()


def documents(path: Path) -> object:
    return deque(read_documents(path), maxlen=0)


def bitext(path: Path) -> object:
    return read_bitext([str(path)], ["sw"])


def moses(path: Path) -> object:
    other = path.with_name("other.sw")
    other.write_text("moja\nmbili\n", "utf-8")
    return read_bitext([f"{path},{other}"], ["sw"])


# name of the file, its reader, what is valid in it
READERS: dict[str, tuple[str, Callable[[Path], object], bytes]] = {
    "run": ("a.run", forms.read_run, "1 Q0 d1 1 2.5 t\n1 Q0 dé 2 1.0 t\n02 Q0 NA 1 -3e2 t\n".encode()),
    "run, MS MARCO": ("a.run", forms.read_run, b"1\td1\t1\n1\td2\t2\n02\tNA\t1\n"),
    "run, JSON": ("a.run", forms.read_run, b'{"1": {"d1": 2.5, "d2": 1}, "02": {"NA": -3e2}}\n'),
    "qrels": ("a.qrels", read_qrels, b"1 0 d1 1\n1 0 d2 0\n02\t0\tNA\t-1\n"),
    "topics, JSON": ("t.jsonl", read_topics, '{"qid": "1", "text": "dogs é"}\n{"id": 2, "query": "cats"}\n'.encode()),
    "topics, table": ("t.tsv", read_topics, "1\tdogs é\n02\tcats\n".encode()),
    "topics, TREC": ("t.txt", read_topics, TREC_TOPICS),
    "documents": (
        "d.jsonl",
        documents,
        '{"id": "d1", "contents": "dogs é"}\n{"_id": "d2", "title": "cats", "text": "\\ud83d\\ude00"}\n'.encode(),
    ),
    "bitext, table": ("b.tsv", bitext, "dog\tmbwa\ncat\tpaka é\n".encode()),
    "bitext, CSV": ("b.csv", bitext, 'dog,mbwa\n"cat, ""x""",paka é\n'.encode()),
    "bitext, JSON": ("b.jsonl", bitext, b'{"translation": {"en": "dog", "sw": "mbwa"}}\n{"en": "cat", "sw": "paka"}\n'),
    "bitext, TMX": ("b.tmx", bitext, TMX),
    "bitext, Moses": ("b.en", moses, b"one\ntwo\n"),
    "dictionary, table": ("d.tsv", read_dictionary, "mbwa\tdog\npaka\tcat, é\n".encode()),
    "dictionary, TEI": ("d.tei", read_dictionary, TEI),
    "language tags": ("l.txt", read_language_tags, b"d1\ten\nd2\tsw\n"),
}


def said(reader: Callable[[Path], object], path: Path) -> str | None:
    """What the reader refuses the file with, or None; anything but a ClirError is a fault, and goes through."""
    try:
        reader(path)
    except ClirError as error:
        return str(error)
    return None


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz")


@pytest.mark.parametrize("kind", READERS)
def test_what_is_valid_is_read(folder, kind):
    name, reader, valid = READERS[kind]
    (folder / name).write_bytes(valid)
    assert said(reader, folder / name) is None


@pytest.mark.parametrize("kind", READERS)
def test_what_is_mangled_is_read_or_refused_in_one_line_with_the_file(folder, kind):
    name, reader, valid = READERS[kind]
    path = folder / name

    @given(mangled(valid))
    @example(b"")
    @example(b"\x1f\x8b")
    @example(b"\xef\xbb\xbf")
    @example(valid * 2)
    @example(valid.replace(b"\n", b"\r\n"))
    def try_it(data):
        path.write_bytes(data)
        message = said(reader, path)
        if message is not None:
            assert message and "\n" not in message and "\r" not in message
            # A file that is named, and no page of it.
            assert str(folder) in message or path.name in message, message
            assert len(message) < 1500, message[:300]

    try_it()


# What a fault in one line is refused with: the file and that line.
LINES = {
    "run": b"1 Q0 d9 x\n",
    "run, MS MARCO": b"1 d9 0\n",
    "qrels": b"1 0 d9 high\n",
    "topics, JSON": b'{"qid": 3}\n',
    "topics, table": b"3\n",
    "documents": b'{"id": "d3"}\n',
    "bitext, table": b"only English\n",
    "bitext, JSON": b'{"en": 3, "sw": "tatu"}\n',
    "dictionary, table": b"neno\n",
    "language tags": b"d3 en\n",
}


@pytest.mark.parametrize("kind", LINES)
@pytest.mark.parametrize("wrong", ["bad", "not UTF-8"])
def test_a_bad_line_has_its_number(folder, kind, wrong):
    name, reader, valid = READERS[kind]
    lines = valid.splitlines(keepends=True)
    bad = LINES[kind] if wrong == "bad" else lines[-1][:-1] + b"\xff\n"
    (folder / name).write_bytes(b"".join(lines[:-1]) + bad)
    message = said(reader, folder / name)
    assert message is not None and re.search(rf"{re.escape(name)}:{len(lines)}\b", message), message


def pairs(path: Path) -> object:
    return deque(read_tmx(path, "sw", Report()), maxlen=0)


UNIT = b"<tu><tuv xml:lang='en'><seg>%s</seg></tuv><tuv xml:lang='sw'><seg>b</seg></tuv></tu>\n" % (b"w " * 900)
STREAMS = {
    "documents": ("d.jsonl", documents, lambda at: b'{"id": "%d", "contents": "%s"}\n' % (at, b"word " * 400)),
    "bitext, TMX": ("b.tmx", pairs, lambda at: UNIT),
}


@pytest.mark.parametrize("kind", STREAMS)
def test_memory_is_that_of_a_record_not_of_the_file(folder, kind):
    name, reader, record = STREAMS[kind]
    path = folder / name
    with open(path, "wb") as handle:
        handle.write(b"<tmx><body>\n" if name.endswith(".tmx") else b"")
        for at in range(4000):
            handle.write(record(at))
        handle.write(b"</body></tmx>\n" if name.endswith(".tmx") else b"")
    tracemalloc.start()
    try:
        reader(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert path.stat().st_size > 7_000_000
    assert peak < 3_000_000
