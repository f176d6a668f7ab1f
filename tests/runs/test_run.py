"""The Run: canonical order, refusals, cutting, and scores made distinct."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clir.runs.run import Hit, Run, falling, ordered
from clir.support.errors import ClirError, UsageError

FLOAT32 = st.floats(width=32, allow_nan=False, allow_infinity=False)


def lines(run: Run) -> list[tuple[str, str, float]]:
    return run.frame.rows()


def test_topics_keep_their_first_place_and_hits_fall_by_score_then_docid():
    run = Run.of(["2", "1", "2", "2", "1"], ["a", "z", "c", "b", "y"], [0.5, 1, 0.5, 2, 3], tag="t")
    assert lines(run) == [("2", "b", 2.0), ("2", "c", 0.5), ("2", "a", 0.5), ("1", "y", 3.0), ("1", "z", 1.0)]
    assert run.topics == ["2", "1"]
    assert run["1"] == [Hit("y", 3.0), Hit("z", 1.0)]
    assert run.as_dict() == {"2": {"b": 2.0, "c": 0.5, "a": 0.5}, "1": {"y": 3.0, "z": 1.0}}
    assert run.lengths.tolist() == [3, 2]
    assert run.ranks.tolist() == [1, 2, 3, 1, 2]


def test_scores_that_are_equal_as_float32_are_ties():
    run = Run.of(["1", "1"], ["a", "b"], np.array([1.0 + 1e-9, 1.0]))
    assert [hit.docid for hit in run["1"]] == ["b", "a"]


def test_docids_are_ordered_by_code_point():
    docids = ["a", "B", "é", "𝄞", "\uffee", "10", "9"]
    run = Run.of(["1"] * 7, docids, [1.0] * 7)
    assert [hit.docid for hit in run["1"]] == sorted(docids, reverse=True)


def test_ids_stay_strings():
    run = Run.of(["001", "1", "null"], ["NA", "1e3", "007"], [1, 2, 3])
    assert lines(run) == [("001", "NA", 1.0), ("1", "1e3", 2.0), ("null", "007", 3.0)]


def test_a_topic_that_is_not_there_has_no_hits():
    run = Run.of(["1"], ["a"], [1.0])
    assert run["2"] == []
    assert "2" not in run and "1" in run
    assert list(run) == ["1"]


def test_from_hits_and_an_empty_run():
    run = Run.from_hits({"1": [("a", 1), ("b", 2)], "2": [], "3": [("a", 0)]}, tag="x")
    assert lines(run) == [("1", "b", 2.0), ("1", "a", 1.0), ("3", "a", 0.0)]
    empty = Run.from_hits({})
    assert len(empty) == 0 and empty.topics == [] and len(empty.cut(5)) == 0 and len(empty.distinct()) == 0


@pytest.mark.parametrize(
    ("qids", "docids", "scores", "message"),
    [
        (["1", "2", "1"], ["a", "a", "a"], [1, 2, 3], "topic 1: document a more than once in the run"),
        (["1", "1"], ["a", "b"], [1, float("nan")], "topic 1, document b: the score nan is not finite as float32"),
        (["1", "1"], ["a", "b"], [1, 1e39], "topic 1, document b: the score inf is not finite as float32"),
        (["1", "1"], ["a", "b c"], [1, 2], "docid 'b c' (line 2): an id must not be empty or have white space in it"),
        (
            ["1", "1"],
            ["a", "b\u00a0c"],
            [1, 2],
            "docid 'b\\xa0c' (line 2): an id must not be empty or have white space in it",
        ),
        (["", "1"], ["a", "b"], [1, 2], "qid '' (line 1): an id must not be empty or have white space in it"),
        (["1", "1"], ["a"], [1, 2], "the columns of a run differ in length: qid 2, docid 1, score 2"),
    ],
)
def test_bad_columns_are_refused(qids, docids, scores, message):
    with pytest.raises(ClirError) as error:
        Run.of(qids, docids, scores)
    assert str(error.value) == message


def test_ids_that_are_no_strings_are_refused():
    with pytest.raises(TypeError):
        Run.of([1, 2], ["a", "b"], [1.0, 2.0])


@pytest.mark.parametrize("tag", ["", "a b", "a\t", "a\u00a0b"])
def test_a_tag_is_one_word(tag):
    with pytest.raises(UsageError, match="a tag is one word"):
        Run.of(["1"], ["a"], [1.0]).with_tag(tag)


def test_cut_keeps_the_best_of_every_topic():
    run = Run.of(["1", "1", "1", "2"], ["a", "b", "c", "a"], [1, 3, 2, 9])
    assert lines(run.cut(2)) == [("1", "b", 3.0), ("1", "c", 2.0), ("2", "a", 9.0)]
    assert lines(run.cut(10)) == lines(run)
    with pytest.raises(UsageError):
        run.cut(0)


hits = st.dictionaries(
    st.text("0129x", min_size=1, max_size=3),
    st.dictionaries(st.text("abz1é", min_size=1, max_size=3), FLOAT32, max_size=12),
    max_size=5,
)


@given(hits, st.randoms())
@settings(max_examples=200, deadline=None)
def test_canonical_order_is_the_plain_sort_whatever_the_order_of_lines(topics, random):
    triples = [(qid, docid, score) for qid, ranking in topics.items() for docid, score in ranking.items()]
    random.shuffle(triples)
    run = Run.of([t[0] for t in triples], [t[1] for t in triples], [t[2] for t in triples])
    expected = [
        (qid, docid, score)
        for qid in dict.fromkeys(t[0] for t in triples)
        for docid, score in sorted(topics[qid].items(), key=lambda hit: (hit[1], hit[0]), reverse=True)
    ]
    assert lines(run) == expected


@given(st.lists(st.lists(FLOAT32.filter(lambda x: x > -3e38), min_size=1, max_size=20), max_size=5))
@settings(max_examples=200, deadline=None)
def test_falling_is_the_walk_down_with_nextafter(topics):
    expected = []
    for scores in topics:
        for place, score in enumerate(scores):
            below = np.inf if place == 0 else np.nextafter(expected[-1], np.float32(-np.inf))
            expected.append(min(np.float32(score), below))
    flat = np.array([score for scores in topics for score in scores], dtype=np.float32)
    assert falling(flat, np.array([len(scores) for scores in topics], dtype=np.int64)).tolist() == expected


def test_ties_at_zero_fall_below_zero():
    run = Run.of(["1"] * 3, ["a", "b", "c"], [0.0, -0.0, 0.0]).distinct()
    assert [hit.docid for hit in run["1"]] == ["c", "b", "a"]
    assert [hit.score for hit in run["1"]] == [0.0, pytest.approx(-1.4e-45), pytest.approx(-2.8e-45)]


def test_ties_at_the_lowest_float32_are_refused():
    lowest = np.finfo(np.float32).min
    with pytest.raises(ClirError, match="so close to the lowest float32"):
        Run.of(["1", "1"], ["a", "b"], [lowest, lowest]).distinct()


@given(FLOAT32, FLOAT32)
def test_ordered_integers_order_like_the_floats(a, b):
    first, second = ordered(np.array([a, b], dtype=np.float32)).tolist()
    assert (first < second, first == second) == (a < b, a == b)


def test_many_hits_with_few_scores_keep_every_line():
    rng = np.random.default_rng(0)
    docids = [f"d{i}" for i in range(5000)]
    run = Run.of([str(i % 7) for i in range(5000)], docids, rng.integers(0, 5, 5000))
    assert run.frame.schema == {"qid": pl.String, "docid": pl.String, "score": pl.Float32}
    assert sorted(run.frame["docid"].to_list()) == sorted(docids)
    parts = run.distinct().frame.partition_by("qid")
    assert len(parts) == 7
    assert all((part["score"].diff().drop_nulls() < 0).all() for part in parts)
