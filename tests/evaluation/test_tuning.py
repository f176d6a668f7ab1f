"""Fusion tuned by cross-validation: quick measures are the real ones, every fold is blind to its own judgements, and
with judgements that mean nothing the out-of-fold run does not win."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clir.corpora.qrels import Qrels
from clir.evaluation.measures import evaluate, parse
from clir.evaluation.tuning import Choice, Field, dealt, simplex, tune
from clir.runs.fusion import fuse
from clir.runs.run import Run
from clir.support.errors import UsageError

FIXED = {"normalization": "minmax", "missing": "zero", "hits": 1000}
MEASURES = "AP AP@5 AP(rel=2) nDCG nDCG@3 RR RR@2 R@4 R(rel=3)@4 P@3 P(rel=2)@20 Success@1 Success(rel=2)@5"


def many(seed, topics=12, documents=30, runs=2, signal=(1.0, 1.5)):
    """Runs with scores of noise and signal, and the qrels of that signal; every document of a topic is judged."""
    rng = np.random.default_rng(seed)
    relevant = rng.random((topics, documents)) < 0.15
    qids, docids = [f"q{t}" for t in range(topics)], [f"d{d}" for d in range(documents)]
    made = [
        Run.from_hits(
            {
                qid: [(docids[d], float(row[d])) for d in rng.choice(documents, documents * 2 // 3, replace=False)]
                for qid, row in zip(qids, rng.normal(size=relevant.shape) + signal[r] * relevant, strict=True)
            }
        )
        for r in range(runs)
    ]
    return made, Qrels.from_dict(
        {
            qid: {docid: int(grade) for docid, grade in zip(docids, row, strict=True)}
            for qid, row in zip(qids, relevant, strict=True)
        }
    )


hits = st.dictionaries(
    st.sampled_from(["1", "2", "3"]),
    st.dictionaries(st.sampled_from("abcdefgh"), st.integers(0, 3).map(float), min_size=1),
    min_size=1,
).map(lambda topics: Run.from_hits({qid: list(ranking.items()) for qid, ranking in topics.items()}))
judged = st.dictionaries(
    st.sampled_from(["1", "2", "4"]),
    st.dictionaries(st.sampled_from("abcdexyz"), st.integers(-1, 3), min_size=1),
    min_size=1,
)


@given(
    st.lists(hits, min_size=2, max_size=3), judged, st.sampled_from(parse([MEASURES])), st.sampled_from([2, 5, 1000])
)
@settings(max_examples=80)
def test_quick_measures_are_those_of_evaluate(runs, judgements, measure, kept):
    qrels = Qrels.from_dict(judgements)
    fixed = {**FIXED, "hits": kept}
    field = Field([run.only(qrels.topics) for run in runs], qrels, measure, "weighted", fixed)
    choice = Choice(weights=(0.3, 0.7, 0.5)[: len(runs)])
    fused = fuse(runs, "weighted", weights=choice.weights, **fixed).only(qrels.topics)
    expected = evaluate(fused, qrels, [measure]).values(str(measure))
    assert field.at(None)(choice) == pytest.approx(expected, abs=1e-12)


def test_folds_share_out_the_topics():
    parts = dealt(11, 3, seed=0)
    assert sorted(np.concatenate(parts).tolist()) == list(range(11))
    assert sorted(map(len, parts)) == [3, 4, 4]
    assert [part.tolist() for part in dealt(11, 3, seed=0)] == [part.tolist() for part in parts]
    assert [part.tolist() for part in dealt(11, 3, seed=1)] != [part.tolist() for part in parts]


def test_weights_cover_the_simplex():
    assert simplex(2, 4) == [(0.0, 1.0), (0.25, 0.75), (0.5, 0.5), (0.75, 0.25), (1.0, 0.0)]
    points = simplex(3, 4)
    assert len(points) == len(set(points)) == 15
    assert all(sum(point) == pytest.approx(1) for point in points)


def test_a_fold_does_not_see_its_own_judgements():
    runs, qrels = many(0)
    tuned = tune(runs, qrels, "AP", folds=3, seed=5)
    fold = tuned.folds[0]
    turned = {qid: {d: 1 - g if qid in fold.topics else g for d, g in qrels[qid].items()} for qid in qrels}
    again = tune(runs, Qrels.from_dict(turned), "AP", folds=3, seed=5)
    assert again.folds[0] == fold
    assert again.run.only(fold.topics).frame.equals(tuned.run.only(fold.topics).frame)
    assert again.folds[1:] != tuned.folds[1:]


def test_the_run_is_made_of_the_folds_and_the_rest_of_the_best():
    runs, qrels = many(1, topics=10)
    blind = Qrels.from_dict({qid: qrels[qid] for qid in qrels.topics[:8]})
    tuned = tune(runs, blind, "nDCG@10", "rrf", folds=4, hits=15)
    parts = [(fold.topics, fold.choice) for fold in tuned.folds] + [(qrels.topics[8:], tuned.best)]
    assert sorted(itertools.chain(*(topics for topics, _ in parts))) == sorted(qrels.topics)
    for topics, choice in parts:
        own = fuse([run.only(topics) for run in runs], "rrf", hits=15, **choice.options())
        for qid in topics:
            assert tuned.run[qid] == own[qid]
    assert tuned.run.topics == fuse(runs, "rrf").topics
    assert tuned.run.tag == "clir-rrf-tuned"


def test_the_better_run_gets_more_weight_and_the_bound_is_above():
    runs, qrels = many(2, topics=40, signal=(0.0, 3.0))
    tuned = tune(runs, qrels, "AP")
    assert all(fold.choice.weights[1] > 0.8 for fold in tuned.folds)
    means = tuned.means()
    assert means["untuned"] < means["out of fold"] <= means["in sample"]
    assert means["in sample"] == pytest.approx(
        evaluate(fuse(runs, "weighted", **tuned.best.options()), qrels, ["AP"]).average["AP"]
    )
    described = tuned.as_dict()
    assert described["folds"][0]["weights"] == tuned.folds[0].choice.weights
    assert described["measure"] == "AP" and described["means"] == means


def test_more_runs_than_a_grid_holds_and_a_measure_that_is_not_quick():
    runs, qrels = many(3, topics=10, runs=5, signal=(0.0, 0.0, 4.0, 0.0, 0.0))
    tuned = tune(runs, qrels, "AP", folds=2)
    assert max(tuned.best.weights) == tuned.best.weights[2] > 0.4
    assert sum(tuned.best.weights) == pytest.approx(1, abs=1e-4)
    slow = tune(runs[1:4], qrels, "Bpref", "rrf", folds=2, depth=10)
    assert slow.means()["in sample"] >= max(slow.means()["out of fold"], slow.means()["untuned"])


def test_what_counts_is_summed_as_in_other_scores():
    runs, qrels = many(5)
    tuned = tune(runs, qrels, "NumRelRet", "rrf", folds=2, hits=10)
    assert tuned.means()["out of fold"] == evaluate(tuned.run, qrels, ["NumRelRet"]).average[tuned.measure]
    assert tuned.means()["out of fold"] == tuned.values["out of fold"].sum() > 2


def test_what_is_given_is_not_tuned():
    runs, qrels = many(4, documents=60)
    tuned = tune(runs, qrels, "AP", weights=[0.9, 0.1], folds=2)
    assert {fold.choice.weights for fold in tuned.folds} == {(0.9, 0.1)}
    tuned = tune(runs, qrels, "AP", "rrf", depth=7, folds=2)
    assert {fold.choice.depth for fold in tuned.folds} == {7}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"folds": 1}, "1 folds for 12 judged topics: give from 2 to 12"),
        ({"folds": 13}, "13 folds for 12 judged topics: give from 2 to 12"),
        (
            {"method": "rrf", "rrf_k": 60, "depth": 5},
            "nothing to tune: every parameter of method rrf is given, or it has none",
        ),
        ({"method": "borda", "depth": 5}, "nothing to tune"),
        ({"method": "rff"}, "unknown fusion method 'rff'"),
        ({"seed": -1}, "seed must be at least 0, not -1"),
        ({"weights": [1]}, "1 weights for 2 runs"),
        ({"measure": "mapp"}, "unknown measure 'mapp'"),
    ],
)
def test_wrong_parameters(options, message):
    runs, qrels = many(0)
    with pytest.raises(UsageError) as error:
        tune(runs, qrels, **options)
    assert str(error.value).startswith(message)


def test_one_judged_topic_is_not_enough():
    runs, qrels = many(0)
    for judged, count in ((qrels.topics[:1], "1 of the qrels' 1"), ([], "none of the qrels' 2")):
        few = Qrels.from_dict({qid: qrels[qid] for qid in judged} or {"x": {"d": 1}, "y": {"d": 1}})
        with pytest.raises(UsageError) as error:
            tune(runs, few)
        assert str(error.value) == (
            "tuning needs two judged topics at least, one to choose on and one to use the choice on, and the runs have "
            f"{count}: fuse without tuning"
        )


def test_with_judgements_that_mean_nothing_the_out_of_fold_run_does_not_win():
    differences = {"out of fold": [], "in sample": []}
    for seed in range(60):
        runs, qrels = many(seed, documents=20)
        rng = np.random.default_rng(seed)
        # Within each topic, over the documents that any run has: no ranking of them is better than another.
        shuffled = {}
        for qid in qrels:
            found = sorted({hit.docid for run in runs for hit in run[qid]})
            shuffled[qid] = dict(
                zip(found, rng.permutation([qrels[qid][docid] for docid in found]).tolist(), strict=True)
            )
        tuned = tune(runs, Qrels.from_dict(shuffled), "AP", folds=4, seed=seed)
        for name, own in differences.items():
            own.append(tuned.means()[name] - tuned.means()["untuned"])
    means = {name: np.mean(own) / (np.std(own, ddof=1) / np.sqrt(len(own))) for name, own in differences.items()}
    # In units of the standard error: no gain out of fold, a large one in sample.
    assert means["out of fold"] < 1.7
    assert means["in sample"] > 6
