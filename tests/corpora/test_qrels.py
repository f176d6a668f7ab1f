"""Qrels: read, refused with file and line, written."""

import gzip
import os
from pathlib import Path

import pytest

from clir.corpora.qrels import Qrels, read_qrels, write_qrels
from clir.support.errors import ClirError, UsageError

SHARED = Path(os.environ.get("CLIR_SHARED", Path(__file__).parents[2] / ".." / "shared"))


def test_blanks_tabs_and_padding(tmp_path):
    for content in ("001 0 NA 1\n2 Q0 b -1\n", "001\t0\tNA\t1\r\n2\tQ0\tb\t-1", " 001  0 NA\t1\n\n2 Q0 b -1 \n"):
        path = tmp_path / "q"
        path.write_text(content)
        qrels = read_qrels(path)
        assert qrels.frame.rows() == [("001", "NA", 1), ("2", "b", -1)]
    path.write_bytes(gzip.compress(content.encode()))
    assert read_qrels(path).as_dict() == {"001": {"NA": 1}, "2": {"b": -1}}


def test_scattered_topics_come_together_in_the_order_given():
    qrels = Qrels.of(["2", "1", "2"], ["b", "x", "a"], [0, 1, 3])
    assert qrels.as_dict() == {"2": {"b": 0, "a": 3}, "1": {"x": 1}}
    assert qrels.topics == list(qrels) == ["2", "1"]
    assert qrels["2"] == {"b": 0, "a": 3} and qrels["9"] == {}
    assert "1" in qrels and "9" not in qrels and len(qrels) == 3


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("1 0 b", "3 columns, not the 4 of qid iteration docid relevance"),
        ("1 0 b 1 x", "5 columns, not the 4 of qid iteration docid relevance"),
        ("1 0 b 1.0", "the relevance '1.0' is not an integer"),
        ("1 0 b 99999999999999999999", "the relevance '99999999999999999999' is not an integer"),
        ("1 0 b 1000001", "the relevance 1000001 is above 1,000,000, the highest that can be scored"),
        ("1 0 b 2147483647", "the relevance 2147483647 is above 1,000,000, the highest that can be scored"),
        ("1 0 a 0", "document a a second time for topic 1 (first on line 1)"),
        ("1 0 b\u2003c 1", "an id has white space in it: '1 0 b\\u2003c 1'"),
    ],
)
def test_bad_lines(tmp_path, line, reason):
    path = tmp_path / "q"
    path.write_text(f"1 0 a 1\n{line}\n", "utf-8")
    with pytest.raises(ClirError) as error:
        read_qrels(path)
    assert str(error.value) == f"{path}:2: {reason}"


def test_missing_and_empty_files(tmp_path):
    with pytest.raises(UsageError, match="qrels not found"):
        read_qrels(tmp_path / "q")
    (tmp_path / "q").write_text("")
    with pytest.raises(ClirError, match="q is empty: no line of a qrels in it"):
        read_qrels(tmp_path / "q")


def test_bad_columns():
    with pytest.raises(ClirError, match="topic 1: document a more than once in the qrels"):
        Qrels.of(["1", "1"], ["a", "a"], [1, 1])
    with pytest.raises(ClirError, match="an id is not empty and has no white space"):
        Qrels.from_dict({"1": {"a b": 1}})
    with pytest.raises(ClirError, match="the relevance 3000000000 is above 1,000,000"):
        Qrels.from_dict({"1": {"a": 3_000_000_000}})


def test_written_and_read_again(tmp_path):
    qrels = Qrels.from_dict({"2": {"b": 0, "a": 3}, "1": {"x": -1}})
    write_qrels(qrels, tmp_path / "q")
    assert (tmp_path / "q").read_text() == "2 0 b 0\n2 0 a 3\n1 0 x -1\n"
    assert read_qrels(tmp_path / "q").frame.equals(qrels.frame)


def test_qrels_as_they_are_published():
    folder = SHARED / "data" / "qrels"
    if not folder.is_dir():
        pytest.skip("no shared data")
    sizes = {path.name: (len(qrels), len(qrels.topics)) for path in folder.iterdir() for qrels in [read_qrels(path)]}
    assert sizes["qrels.miracl-v1.0-yo-dev.tsv"] == (1188, 119)
    assert sizes["qrels.neuclir22-fa.txt"] == (34174, 46)
    assert sizes["qrels.ciral-v1.0-sw-test-a.tsv"] == (1656, 85)
