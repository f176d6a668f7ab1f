"""mAP@k, LAReQA's measure: worked out by hand, against a plain definition, and beside ir_measures' AP@k."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clir.corpora.qrels import Qrels
from clir.evaluation.measures import evaluate, parse
from clir.runs.run import Run
from clir.support.errors import UsageError

QRELS = Qrels.from_dict({"1": {"a": 1, "b": 2, "c": 1, "x": 0}, "2": {"a": 1}, "3": {"x": 0}})
# Topic 1: relevant at ranks 1 (b), 3 (a) and 5 (c).
RUN = Run.from_hits({"1": [("b", 9.0), ("x", 8.0), ("a", 7.0), ("u", 6.0), ("c", 5.0)], "3": [("x", 1.0)]})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("mAP@1", 1 / 1),
        ("mAP@2", 1 / 2),
        ("mAP@3", (1 + 2 / 3) / 3),
        ("mAP@4", (1 + 2 / 3) / 3),
        ("mAP@5", (1 + 2 / 3 + 3 / 5) / 3),
        ("mAP@20", (1 + 2 / 3 + 3 / 5) / 3),
        ("mAP(rel=2)@3", 1 / 1),
        ("mAP(rel=3)@3", 0.0),
    ],
)
def test_by_hand(name: str, value: float) -> None:
    scores = evaluate(RUN, QRELS, [name])
    assert scores.per_topic == {"1": {name: pytest.approx(value)}, "2": {name: 0.0}, "3": {name: 0.0}}
    assert scores.average == {name: pytest.approx(value / 3)}, "topics that the run lacks count, and score 0"


def test_beside_other_measures() -> None:
    alone = [evaluate(RUN, QRELS, [name]).average for name in ("AP@2", "mAP@2", "Success@1", "mAP(rel=2)@2")]
    together = evaluate(RUN, QRELS, parse(["AP@2 mAP@2", "Success@1", "mAP(rel=2)@2"])).average
    assert together == {name: value for part in alone for name, value in part.items()}
    assert together["AP@2"] == pytest.approx(1 / 9), "ir_measures divides by the three relevant ones"
    assert together["mAP@2"] == pytest.approx(1 / 6)


def test_ties_fall_by_docid() -> None:
    # trec_eval's order: c, b, a.
    run = Run.from_hits({"2": [("a", 1.0), ("b", 1.0), ("c", 1.0)]})
    assert evaluate(run, Qrels.from_dict({"2": {"a": 1}}), ["mAP@2", "mAP@3"]).average == {
        "mAP@2": 0.0,
        "mAP@3": pytest.approx(1 / 3),
    }


def test_names() -> None:
    assert [str(measure) for measure in parse(["mAP@20 mAP(rel=2)@5", "mAP(rel=1)@20", "MAP@20"])] == [
        "mAP@20",
        "mAP(rel=2)@5",
        "AP@20",
    ], "one measure counts once; MAP is ir_measures' other name for AP"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mAP", "measure 'mAP' is not well formed: it needs a cutoff, as in mAP@10"),
        ("mAP@0", "measure 'mAP@0': a cutoff is an integer from 1"),
        ("mAP@ten", "measure 'mAP@ten' is not well formed (as in nDCG@10 or P(rel=2)@5)"),
        ("mAP(judged_only=True)@20", "measure 'mAP(judged_only=True)@20': mAP has no parameter judged_only"),
        ("mAPs@20", "unknown measure 'mAPs@20'; did you mean 'mAP@20'?"),
    ],
)
def test_names_that_mean_nothing(name: str, message: str) -> None:
    with pytest.raises(UsageError) as error:
        parse([name])
    assert str(error.value).startswith(message)


DOCIDS = [f"d{number}" for number in range(12)]
TOPIC = st.tuples(st.permutations(DOCIDS), st.integers(0, 12), st.sets(st.sampled_from(DOCIDS)))


def plain(ranking: list[str], relevant: set[str], cutoff: int) -> float:
    """The definition, rank by rank: precision is counted anew at every relevant hit."""
    top = ranking[:cutoff]
    precisions = [
        len(relevant.intersection(top[:rank])) / rank for rank in range(1, len(top) + 1) if top[rank - 1] in relevant
    ]
    return sum(precisions) / min(len(relevant), cutoff) if relevant else 0.0


@given(st.lists(TOPIC, min_size=1, max_size=4), st.integers(1, 15))
def test_against_the_definition_and_ap(topics: list[tuple[list[str], int, set[str]]], cutoff: int) -> None:
    rankings = {str(number): ranking[:hits] for number, (ranking, hits, _) in enumerate(topics)}
    relevant = {str(number): found for number, (_, _, found) in enumerate(topics)}
    run = Run.from_hits({qid: [(one, -float(at)) for at, one in enumerate(found)] for qid, found in rankings.items()})
    qrels = Qrels.from_dict({qid: {"unfound": 0} | dict.fromkeys(found, 1) for qid, found in relevant.items()})
    ours, theirs = f"mAP@{cutoff}", f"AP@{cutoff}"
    scores = evaluate(run, qrels, [ours, theirs])
    for qid, values in scores.per_topic.items():
        assert values[ours] == pytest.approx(plain(rankings[qid], relevant[qid], cutoff))
        assert 0 <= values[theirs] <= values[ours] + 1e-9 <= 1 + 2e-9
        if len(relevant[qid]) <= cutoff:
            assert values[ours] == pytest.approx(values[theirs])
    assert scores.average[ours] == pytest.approx(sum(scores.values(ours)) / len(topics))
