"""trec_eval 10's numbers where they differ: scores as double, levels of recall rounded to the nearest document."""

import pytest

from clir.corpora.qrels import Qrels
from clir.evaluation.measures import evaluate, parse
from clir.evaluation.trec_eval_10 import differences
from clir.runs.forms import read_run

CLOSE = ["0.92226214537525870", "0.92226214537525860"]


def compared(path, qrels, names):
    run, measures = read_run(path), parse(names)
    scores = evaluate(run, qrels, measures)
    return [
        (found.measure, found.here, pytest.approx(found.there), found.topics)
        for found in differences(run, qrels, measures, scores)
    ]


def test_scores_that_are_tied_as_float32(tmp_path):
    path = tmp_path / "a.run"
    path.write_text(f"q1 Q0 d0 1 {CLOSE[0]} s\nq1 Q0 d9 2 {CLOSE[1]} s\nq2 Q0 a 1 2 s\nq2 Q0 b 2 1 s\n")
    qrels = Qrels.from_dict({"q1": {"d0": 1}, "q2": {"b": 1}, "q3": {"x": 1}})
    # In q1 the relevant document is first as double and second as float32.
    assert compared(path, qrels, ["AP", "R@5", "P@1"]) == [
        ("AP", pytest.approx((0.5 + 0.5) / 3), pytest.approx((1 + 0.5) / 3), ("q1",)),
        ("P@1", 0.0, pytest.approx(1 / 3), ("q1",)),
    ]
    path.write_text(f'{{"q1": {{"d0": {CLOSE[0]}, "d9": {CLOSE[1]}}}}}')
    assert [found[0] for found in compared(path, qrels, ["AP"])] == ["AP"]
    # Another order that no measure sees, and ties that are ties as double too.
    path.write_text(f"q1 Q0 d8 1 {CLOSE[0]} s\nq1 Q0 d9 2 {CLOSE[1]} s\nq1 Q0 d0 2 0.1 s\n")
    assert compared(path, qrels, ["AP"]) == []
    path.write_text(f"q1 Q0 d0 1 {CLOSE[0]} s\nq1 Q0 d9 2 {CLOSE[0]} s\n")
    assert compared(path, qrels, ["AP"]) == []


def test_levels_of_recall(tmp_path):
    # Of 11 relevant documents a tenth is 1.1: two documents up to trec_eval 9, one in trec_eval 10.
    path = tmp_path / "a.run"
    path.write_text("1 Q0 d1 1 3 s\n1 Q0 x 2 2 s\n1 Q0 d2 3 1 s\n")
    qrels = Qrels.from_dict({"1": {f"d{i}": 1 for i in range(1, 12)}})
    assert compared(path, qrels, ["IPrec@0.1", "IPrec@0", "IPrec@1", "AP"]) == [
        ("IPrec@0.1", pytest.approx(2 / 3), pytest.approx(1.0), ("1",))
    ]
    few = Qrels.from_dict({"1": {f"d{i}": 1 for i in range(1, 11)}})
    assert compared(path, few, ["IPrec@0.1"]) == []
