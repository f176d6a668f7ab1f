"""Grades become gains, and unjudged hits leave."""

import pytest

from clir.corpora.qrels import Qrels
from clir.evaluation.gains import gains, judged_only, regraded
from clir.evaluation.measures import evaluate
from clir.runs.run import Run
from clir.support.errors import ClirError, UsageError


def test_gains_by_name_and_by_grade():
    assert gains(["neuclir"]) == {0: 0, 1: 1, 3: 3}
    assert gains(["0=0", "2=5"]) == {0: 0, 2: 5}
    with pytest.raises(UsageError, match="--gains 1:2: give a name"):
        gains(["1:2"])
    with pytest.raises(UsageError, match="--gains 1=3000000000: a gain is at most 1,000,000"):
        gains(["1=3000000000"])


def test_regrading_changes_what_measures_see():
    qrels = Qrels.from_dict({"q": {"a": 2, "b": 1, "c": -1}})
    run = Run.from_hits({"q": [("b", 2), ("a", 1)]})
    assert regraded(qrels, {1: 1, 2: 3})["q"] == {"a": 3, "b": 1, "c": -1}
    assert evaluate(run, regraded(qrels, {1: 0, 2: 1}), ["AP"]).average == {"AP": 0.5}
    with pytest.raises(ClirError, match="the qrels have the grade 2, for which --gains names no gain"):
        regraded(qrels, gains(["neuclir"]))


def test_condensed_lists_keep_their_order():
    qrels = Qrels.from_dict({"q": {"a": 1, "b": 0}})
    run = Run.from_hits({"q": [("x", 3), ("b", 2), ("a", 1)], "r": [("a", 1)]})
    assert judged_only(run, qrels).as_dict() == {"q": {"b": 2.0, "a": 1.0}}
