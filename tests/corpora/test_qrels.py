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
        ("1 0 b 1.5", "the relevance '1.5' is not an integer"),
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


@pytest.mark.parametrize(
    "content",
    [
        "query-id\tcorpus-id\tscore\n001\tNA\t1\n001\tb\t0\nñ\tc#1\t2\n",  # BEIR
        "qid iteration docno rel\n001 0 NA 1\n001 0 b 0\nñ 0 c#1 2\n",
        "001 NA 1\n001 b 0\nñ c#1 2\n",
        "001\tNA\t1\n001\tb\t0\nñ\tc#1\t2",
        "001 0 NA 1.0\n001 0 b 0.0\nñ 0 c#1 2.\n",  # as pandas writes them
        "# by two people\n001 0 NA 1\n\n  #second pass\n001 0 b 0\nñ 0 c#1 2\n#end",
        "# 0 d 1\n#\n001\t0\tNA\t1\n#001\t0\tc\t1\n001\t0\tb\t0\nñ\t0\tc#1\t2\n",
        '{"001": {"NA": 1, "b": 0.0}, "none": {}, "ñ": {"c#1": 2}}',
    ],
)
def test_every_form_of_the_same_judgements(tmp_path, content):
    path = tmp_path / "q"
    path.write_text(content, "utf-8")
    assert read_qrels(path).as_dict() == {"001": {"NA": 1, "b": 0}, "ñ": {"c#1": 2}}


def test_what_is_left_out_is_said(tmp_path, capsys):
    path = tmp_path / "q"
    path.write_text("# a\nquery-id corpus-id score\n1 a 1\n# b\n")
    read_qrels(path)
    assert capsys.readouterr().err == (
        f"{path}: the first line names the columns and is left out: query-id corpus-id score\n"
        f"{path}: comments (lines that begin with #) are left out: 2\n"
    )


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("query-id\tcorpus-id\tscore\n1\ta\tgood\n", ":2: the relevance 'good' is not an integer"),
        ("# x\n1 a 1\n1 0 a 1\n", ":3: 4 columns, not the 3 of qid docid relevance"),
        ("1 a 1\n# x\n1 a 0\n", ":3: document a a second time for topic 1 (first on line 1)"),
        ("1 0 a 1\n# x\n\n1 0 a 0\n", ":4: document a a second time for topic 1 (first on line 1)"),
        ("1 s a 1\n1 t a 1\n1 t a 0\n", ":3: document a a second time for topic 1 (first on line 2)"),
        ("1 0 7\n1 0 8\n", ": three columns, and the second is 0 in every line: as TREC qrels (qid iteration docid "
         "relevance) the lines lack a column"),
        ("1 a 1\n1 b 2\n1 c 3\n2 a 1\n", ": the third column counts 1, 2, 3, ... in every topic: these are ranks, as "
         "in an MS MARCO run, not judgements"),
        ("# only\n", " has no line that is not a comment (beginning with #)"),
        ('{"1": {"a": 0.5}}', ": topic '1', document 'a': the relevance 0.5 is not an integer"),
        ('{"1": {"a": 1e999}}', ": topic '1', document 'a': the relevance inf is not an integer"),
        ('{"1": {"a": true}}', ": topic '1', document 'a': the relevance True is not an integer"),
        ('{"1": {"a": 2000000}}', ": topic '1', document 'a': the relevance 2000000 is above 1,000,000, the highest "
         "that can be scored"),
        ('{"1": {"a": 1, "a": 0}}', ": not qrels as JSON: the key 'a' stands twice in one object"),
        ('{"1": ["a"]}', ": topic '1' has no object of documents and grades ({qid: {docid: grade}})"),
        ('{"1": {"a b": 1}}', ": docid 'a b' (line 1): an id must not be empty or have white space in it"),
        ('{"1": {}}', ": no judgement in it"),
    ],
)  # fmt: skip
def test_bad_files_of_other_forms(tmp_path, content, reason):
    path = tmp_path / "q"
    path.write_text(content)
    with pytest.raises(ClirError) as error:
        read_qrels(path)
    assert str(error.value) == f"{path}{reason}"


def test_subtopics_are_kept_and_the_highest_grade_is_a_documents(tmp_path, capsys):
    path = tmp_path / "q"
    path.write_text("1 2 a 1\n1 1 a 2\n1 1 b 0\n2 fas x -2\n1 x c 1\n")
    qrels = read_qrels(path)
    assert qrels.frame.rows() == [("1", "a", 2), ("1", "b", 0), ("1", "c", 1), ("2", "x", -2)]
    assert capsys.readouterr().err == (
        f"{path}: some documents are judged under several subtopics (the second column): measures without subtopics "
        "take the highest of a document's grades\n"
    )
    write_qrels(qrels, tmp_path / "again")
    assert (tmp_path / "again").read_text() == "1 2 a 1\n1 1 a 2\n1 1 b 0\n1 x c 1\n2 fas x -2\n"


def test_a_topic_that_would_be_read_as_a_comment_is_not_written(tmp_path):
    with pytest.raises(ClirError, match="the topic '#1' begins with #"):
        write_qrels(Qrels.from_dict({"#1": {"a": 1}}), tmp_path / "q")
    assert not (tmp_path / "q").exists()


def test_missing_and_empty_files(tmp_path):
    with pytest.raises(UsageError, match="qrels not found"):
        read_qrels(tmp_path / "q")
    (tmp_path / "q").write_text("")
    with pytest.raises(ClirError, match="q is empty: no line of a qrels in it"):
        read_qrels(tmp_path / "q")


def test_bad_columns():
    with pytest.raises(ClirError, match="topic 1: document a more than once in the qrels"):
        Qrels.of(["1", "1"], ["a", "a"], [1, 1])
    with pytest.raises(ClirError, match="an id must not be empty or have white space in it"):
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
