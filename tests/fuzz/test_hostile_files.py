"""Files that were written to do harm, or that once did: each is refused in a line, and soon."""

import gzip
import time
from pathlib import Path

import pytest

from clir.corpora.bitext import read_bitext
from clir.corpora.documents import read_documents
from clir.corpora.qrels import read_qrels
from clir.corpora.topics import read_topics
from clir.retrieval.translation.dictionary import read_dictionary
from clir.runs.forms import read_run
from clir.support.errors import ClirError

# Far more than any of these takes where time is linear in the file, and far less than where it is not.
SECONDS = 20.0
LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
UNITS = "<tu><tuv xml:lang='en'><seg>{}</seg></tuv><tuv xml:lang='sw'><seg>mbwa</seg></tuv></tu>"


def tmx(segment: str, doctype: str = "") -> str:
    return f"<?xml version='1.0'?>{doctype}<tmx version='1.4'><body>{UNITS.format(segment)}</body></tmx>"


def refused(read, path: Path, content: str | bytes) -> str:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    started = time.perf_counter()
    with pytest.raises(ClirError) as error:
        read(path)
    assert time.perf_counter() - started < SECONDS
    assert "\n" not in str(error.value)
    return str(error.value)


def bitext(path):
    return read_bitext([str(path)], ["sw"])


@pytest.mark.parametrize(
    ("doctype", "segment"),
    [
        (f'<!DOCTYPE tmx [<!ENTITY l0 "ha">{LAUGHS}]>', "&l9;"),
        ('<!DOCTYPE tmx [<!ENTITY x SYSTEM "file:///etc/passwd">]>', "&x;"),
        ('<!DOCTYPE tmx [<!ENTITY % p SYSTEM "http://localhost/x">%p;]>', "dog"),
    ],
)
def test_entities_in_tmx(tmp_path, doctype, segment):
    message = refused(bitext, tmp_path / "b.tmx", tmx(segment, doctype))
    assert "b.tmx: XML with entities or external references is refused" in message


def test_deep_markup_in_tmx(tmp_path):
    depth = 20_000
    (tmp_path / "b.tmx").write_text(tmx("<hi>" * depth + "dog" + "</hi>s" * depth))
    assert [pair.english for pair in bitext(tmp_path / "b.tmx")] == ["dog" + "s" * depth]
    message = refused(bitext, tmp_path / "b.tmx", tmx("<bpt>" * depth + "dog" + "</bpt>" * depth))
    assert message == f"no pairs in {tmp_path}/b.tmx"


def test_broken_tmx_has_its_line(tmp_path):
    message = refused(bitext, tmp_path / "b.tmx", "<tmx><body>\n" + UNITS.format("dog") + "\n<tu></body></tmx>")
    assert message.startswith(f"{tmp_path}/b.tmx:3: broken XML")


@pytest.mark.parametrize("opening", ["[", '{"a":', '{"id": "1", "contents": ['])
@pytest.mark.parametrize("read", [lambda path: list(read_documents(path)), read_topics], ids=["documents", "topics"])
def test_deep_json(tmp_path, opening, read):
    message = refused(read, tmp_path / "d.jsonl", '{"id": "0", "contents": "a", "text": "a"}\n' + opening * 200_000)
    assert message.startswith(f"{tmp_path}/d.jsonl:2: not JSON")


def test_a_number_too_long_for_python(tmp_path):
    message = refused(lambda path: list(read_documents(path)), tmp_path / "d.jsonl", '{"id": ' + "9" * 5000 + "}")
    assert message.startswith(f"{tmp_path}/d.jsonl:1: not JSON: Exceeds the limit")


@pytest.mark.parametrize("fill", [" ", "\t", "\r", "(", "<", "<a", "[", "\\", "\u00a0"])
@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("a.run", read_run),
        ("q.txt", read_qrels),
        ("t.txt", read_topics),
        ("d.jsonl", lambda path: list(read_documents(path))),
    ],
)
def test_a_line_of_a_million_of_the_same(tmp_path, name, read, fill):
    refused(read, tmp_path / name, "<top>" * (name == "t.txt") + fill * 1_000_000)


def test_brackets_within_brackets_in_a_dictionary(tmp_path):
    (tmp_path / "d.tsv").write_text("mbwa\tdog (of (any) kind)\npaka\tcat " + "(" * 200_000 + ")" * 200_000 + "\n")
    started = time.perf_counter()
    entries = read_dictionary(tmp_path / "d.tsv").entries
    assert time.perf_counter() - started < SECONDS
    assert entries["mbwa"] == ("dog",) and entries["paka"] == ("cat",)


@pytest.mark.parametrize("start", ["", "<tmx", "<tmx version='", "<tmx><!-- ", "<tmx>&", "<!DOCTYPE tmx ["])
def test_xml_whose_markup_has_no_end(start, tmp_path):
    # Expat reads what is not whole again with every block: the time grows with the square.
    message = refused(bitext, tmp_path / "b.tmx", f"\n{start}" + "a" * (60 << 20))
    assert message == f"{tmp_path}/b.tmx:2: broken XML: a tag or comment without end" or "not well-formed" in message


def test_a_long_text_is_no_markup(tmp_path):
    (tmp_path / "b.tmx").write_text(tmx("word " * 400_000))
    assert len(bitext(tmp_path / "b.tmx")[0].english) == 5 * 400_000 - 1


@pytest.fixture(scope="module")
def bomb() -> bytes:
    """80 MiB of one line in a few kilobytes."""
    return gzip.compress(b"a" * (80 << 20), mtime=0)


@pytest.mark.parametrize(
    ("read", "name"),
    [(read_run, "b.run"), (read_run, "b.json"), (read_qrels, "b.txt"), (read_topics, "b.tsv.gz"), (bitext, "b.tmx.gz"),
     (lambda path: list(read_documents(path)), "b.jsonl.gz"), (bitext, "b.jsonl.gz"), (read_dictionary, "b.tsv")],
)  # fmt: skip
def test_a_file_that_unpacks_without_measure(read, name, tmp_path, bomb):
    assert len(bomb) < 100_000
    message = refused(read, tmp_path / name, bomb)
    if ".tmx" in name:
        assert message == f"{tmp_path / name}:1: broken XML: a tag or comment without end"
        return
    assert message == f"{tmp_path / name} unpacks to more than 500 times its size: unpack it yourself if that is right"


@pytest.mark.parametrize("at", ["en", "sw"])
def test_of_two_aligned_files_the_one_at_fault_is_named(tmp_path, at):
    for side in ("en", "sw"):
        (tmp_path / f"b.{side}").write_bytes(b"one\ntwo\n" if side != at else b"one\nt\xffo\n")
    with pytest.raises(ClirError) as error:
        read_bitext([f"{tmp_path}/b.en,{tmp_path}/b.sw"], ["sw"])
    assert str(error.value) == f"{tmp_path}/b.{at}:2: not UTF-8: invalid start byte at byte 1 of the line"


@pytest.mark.parametrize("at", ["en", "sw"])
def test_of_two_aligned_files_the_one_cut_short_is_named(tmp_path, at):
    packed = gzip.compress(b"".join(b"sentence %d\n" % number for number in range(9000)))
    for side in ("en", "sw"):
        (tmp_path / f"b.{side}").write_bytes(packed if side != at else packed[: len(packed) // 2])
    with pytest.raises(ClirError) as error:
        read_bitext([f"{tmp_path}/b.en,{tmp_path}/b.sw"], ["sw"])
    assert str(error.value).startswith(f"{tmp_path}/b.{at} is not a whole compressed file")


def test_a_byte_far_into_a_file_has_its_line(tmp_path):
    lines = b"".join(b'{"id": "%d", "contents": "a"}\n' % number for number in range(20_000))
    message = refused(lambda path: list(read_documents(path)), tmp_path / "d.jsonl", lines + b'{"id": "\xff"}\n')
    assert message == f"{tmp_path}/d.jsonl:20001: not UTF-8: invalid start byte at byte 8 of the line"


@pytest.mark.parametrize(
    ("name", "read", "content"),
    [
        ("a.run", read_run, "1 Q0 " + "A" * 5000 + "\x00 1 1.0 t\n"),
        ("a.run", read_run, '{"1": {"' + "A" * 5000 + '": "x"}}'),
        ("a.run", read_run, 2 * ("1 Q0 " + "A" * 5000 + " 1 1.0 t\n")),
        ("q.txt", read_qrels, "1 0 d " + "A" * 5000 + "\n"),
        ("t.tsv", read_topics, "1" + " " * 5000 + "1\tdog\n"),
        ("t.tsv", read_topics, 2 * ("1" * 5000 + "\tdog\n")),
        ("b.jsonl", bitext, '{"' + "a" * 5000 + '": 1}\n'),
        ("b.tmx", bitext, tmx("dog").replace("'sw'", "'" + "a" * 5000 + "'")),
    ],
)
def test_no_message_is_longer_than_some_lines(tmp_path, name, read, content):
    message = refused(read, tmp_path / name, content)
    assert name in message and len(message) < 1000


def test_ids_that_cannot_be_written(tmp_path):
    message = refused(read_run, tmp_path / "a.run", '{"\\ud8001": {"d1": 2.5}}')
    assert message.startswith(f"{tmp_path}/a.run: qid '\\ud8001': an id with a lone surrogate")


def test_a_key_with_a_line_break_does_not_break_the_line(tmp_path):
    message = refused(bitext, tmp_path / "b.jsonl", '{"\\ntranslation": {"en": "dog", "sw": "mbwa"}}\n')
    assert message.startswith(f"{tmp_path}/b.jsonl:1: no text in en (keys: translation)")
