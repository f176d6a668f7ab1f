"""TREC run files: what is read, what is refused and with which line, and what is written."""

import gzip
import itertools
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clir.runs import columns
from clir.runs.run import Run
from clir.runs.trec import read_run, write_run
from clir.support.errors import ClirError, UsageError

TWO = [("7", "b", 2.5), ("7", "a", 1.0)]


@pytest.fixture
def file(tmp_path):
    def write(content: str | bytes, name: str = "a.run") -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


@pytest.mark.parametrize(
    "content",
    [
        "7 Q0 a 1 1.0 t\n7 Q0 b 2 2.5 t\n",
        "7 Q0 a 1 1.0 t\n7 Q0 b 2 2.5 t",
        "7 Q0 a 1 1.0 t\r\n7 Q0 b 2 2.5 t\r\n",
        "7\tQ0\ta\t1\t1.0\tt\n7\tQ0\tb\t2\t2.5\tt\n",
        "7\tQ0\ta\t1\t  1.0\tt\n7 Q0 b 2 2.5 t\n",
        "  7   Q0 a 1 1.0 t  \n\n \t\n7 Q0 b 2 2.5 t\n\n",
        "\ufeff7 Q0 a 1 1.0 t\n7 Q0 b 2 +2.5e0 t\n",
        "7 Q0 a 1 1. other\n7 0 b 1 .25E1 t\n".replace("other", "t"),
    ],
)
def test_the_same_run_in_many_layouts(file, content):
    run = read_run(file(content))
    assert run.frame.rows() == TWO
    assert run.tag == "t"


def test_the_score_orders_and_not_the_rank(file):
    run = read_run(file("1 Q0 a 1 0.1 t\n1 Q0 b 2 0.3 t\n1 Q0 c 3 0.2 t\n1 Q0 d 4 0.2 t\n"))
    assert [hit.docid for hit in run["1"]] == ["b", "d", "c", "a"]


def test_scattered_topics_come_together(file):
    run = read_run(file("1 Q0 a 1 1 t\n2 Q0 a 1 5 t\n1 Q0 b 2 3 t\n"))
    assert run.frame.rows() == [("1", "b", 3.0), ("1", "a", 1.0), ("2", "a", 5.0)]


def test_ids_and_quotes_and_hashes_are_plain_text(file):
    content = '001 Q0 NA 1 9 "t"\n001 Q0 null 2 8 t\n001 Q0 "x 3 7 t\n1 Q0 # 1 6 t\na#1 Q0 #1e5 1 5 t\n'
    run = read_run(file(content))
    assert run.frame.select("qid", "docid").rows() == [
        ("001", "NA"),
        ("001", "null"),
        ("001", '"x'),
        ("1", "#"),
        ("a#1", "#1e5"),
    ]
    assert run.tag == '"t"'


def test_scores_go_by_way_of_float64_to_float32(file):
    run = read_run(file("1 Q0 a 1 1.00000000001 t\n1 Q0 b 2 1.0 t\n"))
    assert run.frame.rows() == [("1", "b", 1.0), ("1", "a", 1.0)]


def test_gzip_is_known_by_its_bytes(file):
    packed = gzip.compress(b"7 Q0 a 1 1.0 t\n7 Q0 b 2 2.5 t\n")
    assert read_run(file(packed, "a.run")).frame.rows() == TWO
    with pytest.raises(ClirError, match=r"b\.run is not a whole compressed file"):
        read_run(file(packed[:-9], "b.run"))


GOOD = "1 Q0 a 1 0.5 t\n"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (GOOD + "1 Q0 b 2 0.4\n", ":2: 5 columns, not the 6 of qid iteration docid rank score tag"),
        (GOOD + "1 Q0 b 2 0.4 t\x00\n", ":2: a control character: '1 Q0 b 2 0.4 t\\x00'"),
        (GOOD + "1 Q0 b 2 0.4 t x\n1 Q0 World War 3 0.3 t\n", ":3: 7 columns, not the 6 of qid iteration docid"),
        # A docid with white space moves the columns: what looks like the tag is the score.
        (GOOD + "1 Q0 Apollo 13 2 0.4 t\n", ":2: 7 columns, not the 6 of qid iteration docid rank score tag"),
        ("1 Q0 a b 1 0.5 t\n", ":1: 7 columns, not the 6 of qid iteration docid rank score tag"),
        ("1  a 1 0.5 t\n", ":1: 5 columns, not the 6 of qid iteration docid rank score tag"),
        (GOOD + "\n1 Q0 b 2 x t\n", ":3: the score 'x' is not a finite number"),
        (GOOD + "1 Q0 b 2 nan t\n", ":2: the score 'nan' is not a finite number"),
        (GOOD + "1 Q0 b 2 -inf t\n", ":2: the score '-inf' is not a finite number"),
        (GOOD + "1 Q0 b 2 1e39 t\n", ":2: the score 1e39 is beyond float32"),
        (GOOD + "1 Q0 b 2 1e400 t\n", ":2: the score 1e400 is beyond float32"),
        (GOOD + "1 Q0 b 2 1_0 t\n", ":2: the score '1_0' is not a finite number"),
        (GOOD + "2 Q0 a 1 1 t\n" + GOOD, ":3: document a a second time for topic 1 (first on line 1)"),
        (
            "\n" + GOOD + "\n2 Q0 a 1 1 t\n" + 2 * GOOD + "2 Q0 a 9 3 t\n",
            ":5: document a a second time for topic 1 (first on line 2; 3 such lines in all)",
        ),
        (GOOD + "1 Q0 b\u00a0c 2 0.4 t\n", ":2: an id has white space in it: '1 Q0 b\\xa0c 2 0.4 t'"),
        (GOOD.encode() + b"1 Q0 \xff 2 0.4 t\n", ":2: not UTF-8: invalid start byte at byte 5 of the line"),
    ],
)
def test_bad_lines_are_refused_with_their_number(file, content, reason):
    path = file(content)
    with pytest.raises(ClirError) as error:
        read_run(path)
    assert str(error.value).startswith(f"{path}{reason}")
    assert error.value.exit_status == 1


def test_words_after_the_tag_are_left_out_and_this_is_said(file, capsys):
    run = read_run(file("7 Q0 a 1 1.0 t more words\n7\tQ0\tb\t2\t 2.5\tt\tx\n"))
    assert (run.frame.rows(), run.tag) == (TWO, "t")
    assert capsys.readouterr().err.endswith("a.run: words after the tag are left out (2 lines)\n")


@pytest.mark.parametrize("blank", [" ", "\t", "\r", " \t"])
def test_long_rows_of_blanks_take_no_time(file, blank):
    path = file(GOOD + blank * 300_000 + "x\n")
    with pytest.raises(ClirError, match=r":2: 1 columns"):
        read_run(path)


def test_lines_longer_than_what_is_read_at_a_time(file, monkeypatch):
    monkeypatch.setattr(columns, "BLOCK", 16)
    lines = [f"1 Q0 {'d' * (at % 40 + 1)}{at} {at} {-at} t" for at in range(100)]
    assert read_run(file("\n".join(lines))).frame["docid"].to_list() == [line.split()[2] for line in lines]
    with pytest.raises(ClirError, match=r":61: 5 columns"):
        read_run(file("\n".join([*lines[:60], "1 Q0 d 1 t", *lines[60:]])))


def test_a_tag_with_white_space_is_refused(file):
    path = file("1 Q0 a 1 0.5 my\u00a0tag\n")
    with pytest.raises(ClirError) as error:
        read_run(path)
    assert str(error.value) == f"{path}: run tag 'my\\xa0tag': a tag is one word without white space"


@pytest.mark.parametrize("content", ["", "\n \n", gzip.compress(b"", mtime=0)])
def test_an_empty_run_is_refused(file, content):
    with pytest.raises(ClirError, match=r"a\.run is empty"):
        read_run(file(content))


def test_a_missing_run_and_a_folder_are_wrong_use(tmp_path):
    with pytest.raises(UsageError, match="run not found"):
        read_run(tmp_path / "no.run")
    with pytest.raises(UsageError, match="is a folder"):
        read_run(tmp_path)


def test_what_is_written(tmp_path):
    run = Run.of(["1", "1", "1", "02"], ["a", "b", "c", "a"], [0.1, 3, 3, 16777216], tag="mine")
    write_run(run, tmp_path / "x.run")
    assert (tmp_path / "x.run").read_text() == (
        "1 Q0 c 1 3.0 mine\n1 Q0 b 2 2.9999998 mine\n1 Q0 a 3 0.1 mine\n02 Q0 a 1 16777216.0 mine\n"
    )
    assert os.listdir(tmp_path) == ["x.run"]


def test_a_run_without_hits_is_not_written(tmp_path):
    with pytest.raises(ClirError, match="nothing to write"):
        write_run(Run.from_hits({}), tmp_path / "x.run")
    assert os.listdir(tmp_path) == []


def test_gzipped_runs_have_the_same_bytes_every_time(tmp_path):
    run = Run.of(["7", "7"], ["a", "b"], [1.0, 2.5])
    write_run(run, tmp_path / "x.run.gz")
    write_run(run, tmp_path / "y.run.gz")
    assert (tmp_path / "x.run.gz").read_bytes() == (tmp_path / "y.run.gz").read_bytes()
    assert gzip.decompress((tmp_path / "x.run.gz").read_bytes()) == b"7 Q0 b 1 2.5 clir\n7 Q0 a 2 1.0 clir\n"
    assert read_run(tmp_path / "x.run.gz").frame.rows() == TWO


def test_a_failed_write_leaves_the_earlier_file(tmp_path):
    path = tmp_path / "x.run"
    path.write_text("earlier")
    lowest = float(np.finfo(np.float32).min)
    with pytest.raises(ClirError):
        write_run(Run.of(["1", "1"], ["a", "b"], [lowest, lowest]), path)
    assert path.read_text() == "earlier"
    assert os.listdir(tmp_path) == ["x.run"]


scores = st.one_of(
    st.sampled_from([0.0, -0.0, 1.0, 1e-45, -1e-45, 0.1, 1e30]),
    st.floats(width=32, allow_nan=False, allow_infinity=False).filter(lambda x: x > -3e38),
)
hits = st.dictionaries(
    st.text("01x", min_size=1, max_size=2),
    st.dictionaries(st.text('ab"#é', min_size=1, max_size=3), scores, min_size=1, max_size=12),
    min_size=1,
    max_size=4,
)


@given(hits)
@settings(max_examples=150, deadline=None)
def test_read_and_write_are_inverse_and_file_order_is_the_ranking(tmp_path_factory, topics):
    folder = tmp_path_factory.mktemp("round")
    run = Run.from_hits({qid: list(ranking.items()) for qid, ranking in topics.items()})
    write_run(run, folder / "1.run")
    again = read_run(folder / "1.run")
    write_run(again, folder / "2.run")
    assert (folder / "1.run").read_bytes() == (folder / "2.run").read_bytes()
    assert again.frame.select("qid", "docid").equals(run.frame.select("qid", "docid"))
    assert again.frame.equals(run.distinct().frame)
    # As seen by a reader that keeps float64, too, scores fall strictly down the file.
    rows = [line.split(" ") for line in (folder / "1.run").read_text("utf-8").splitlines()]
    falls = [float(b[4]) < float(a[4]) for a, b in itertools.pairwise(rows) if a[0] == b[0]]
    assert all(falls)


def test_comments_are_left_out_and_said(file, capsys):
    path = file("# third try\n1 Q0 a#1 1 2.0 t\n  # 1 Q0 c 2 1.0 t\n1 Q0 #b 2 1.0 t more words\n#1 Q0 d 3 0.5 t\n")
    run = read_run(path)
    assert run["1"] == [("a#1", 2.0), ("#b", 1.0)] and run.tag == "t"
    assert capsys.readouterr().err == (
        f"{path}: comments (lines that begin with #) are left out: 3\n"
        f"{path}: words after the tag are left out (1 lines)\n"
    )


def test_lines_are_counted_with_comments(file):
    path = file("# x\n1 Q0 a 1 2.0 t\n#\n1 Q0 a 2 1.0 t\n")
    with pytest.raises(ClirError) as error:
        read_run(path)
    assert str(error.value) == f"{path}:4: document a a second time for topic 1 (first on line 2)"
    with pytest.raises(ClirError, match="has no line that is not a comment"):
        read_run(file("# x\n"))


def test_a_topic_that_would_be_read_as_a_comment_is_not_written(tmp_path):
    with pytest.raises(ClirError, match="the topic '#1' begins with #"):
        write_run(Run.from_hits({"#1": [("a", 1.0)]}), tmp_path / "run")


def test_scores_are_kept_as_double_only_where_they_rank_otherwise(file):
    close = "q Q0 d0 1 0.92226214537525870 s\nq Q0 d9 2 0.92226214537525860 s\n"
    run = read_run(file("p Q0 x 1 3 s\n" + close))
    assert run["q"][0].docid == "d9"
    assert run.doubles is not None and run.doubles.to_list() == [3.0, 0.92226214537525860, 0.92226214537525870]
    assert read_run(file(close.replace("d0", "d99"))).doubles is None
    assert read_run(file("p Q0 x 1 3 s\nq Q0 x 1 9 s\n")).doubles is None
