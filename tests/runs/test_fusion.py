"""Fusion against the formulas written out, and what must not matter to it."""

import os
import subprocess
import sys

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clir.runs import pairs
from clir.runs.fusion import METHODS, MISSING, NORMALIZATIONS, fuse, together
from clir.runs.run import Run
from clir.runs.trec import read_run, write_run
from clir.support.errors import ClirError, UsageError

A = Run.from_hits({"1": [("a", 9.0), ("b", 5.0), ("c", 1.0)], "2": [("a", 2.0)]})
B = Run.from_hits({"1": [("c", 0.9), ("d", 0.4), ("a", 0.1)], "3": [("x", 1.0), ("y", 0.0)]})


def ranking(run: Run, qid: str) -> list[tuple[str, float]]:
    return [(hit.docid, pytest.approx(hit.score, rel=1e-6)) for hit in run[qid]]


def test_reciprocal_ranks():
    fused = fuse([A, B], "rrf")
    assert ranking(fused, "1") == [("c", 1 / 63 + 1 / 61), ("a", 1 / 61 + 1 / 63), ("d", 1 / 62), ("b", 1 / 62)]
    assert ranking(fused, "2") == [("a", 1 / 61)]
    assert ranking(fused, "3") == [("x", 1 / 61), ("y", 1 / 62)]
    assert fused.topics == ["1", "2", "3"]
    assert fused.tag == "clir-rrf"
    assert ranking(fuse([A, B], "rrf", rrf_k=0), "2") == [("a", 1.0)]


def test_weighted_sum_with_minmax():
    fused = fuse([A, B], "weighted", weights=[0.3, 0.7], tag="w")
    assert ranking(fused, "1") == [
        ("c", 0.7),
        ("a", 0.3),
        ("d", pytest.approx(0.7 * 0.375)),
        ("b", 0.15),
    ]
    # One hit has the upper end of the scale; the run that lacks the topic gives nothing.
    assert ranking(fused, "2") == [("a", 0.3)]
    assert ranking(fused, "3") == [("x", 0.7), ("y", 0.0)]
    assert fused.tag == "w"


def test_weights_are_equal_and_sum_to_one_by_default():
    assert ranking(fuse([A, B], "weighted"), "2") == [("a", 0.5)]


def test_without_normalization_the_scores_are_summed_as_they_are():
    other = Run.from_hits({"1": [("c", 0.75), ("d", 0.5), ("a", -0.5)]})
    fused = fuse([A, other], "weighted", weights=[1, 10], normalization="none")
    assert ranking(fused, "1") == [("c", 8.5), ("d", 5.0), ("b", 5.0), ("a", 4.0)]


def test_equal_scores_are_the_upper_end_before_and_after_a_file(tmp_path):
    constant = Run.from_hits({"1": [("p", 4.0), ("q", 4.0), ("r", 4.0)]})
    other = Run.from_hits({"1": [("z", 2.0), ("q", 1.0)]})
    fused = fuse([constant, other], "weighted", weights=[1, 1])
    assert ranking(fused, "1") == [("z", 1.0), ("r", 1.0), ("q", 1.0), ("p", 1.0)]
    for name, run in (("c", constant), ("o", other)):
        write_run(run, tmp_path / name)
    again = fuse([read_run(tmp_path / "c"), read_run(tmp_path / "o")], "weighted", weights=[1, 1])
    assert again.frame.equals(fused.frame)


def test_ties_fall_by_docid():
    fused = fuse([Run.from_hits({"1": [("a", 2), ("b", 1)]}), Run.from_hits({"1": [("b", 2), ("a", 1)]})], "rrf")
    assert [hit.docid for hit in fused["1"]] == ["b", "a"]


def test_sums_closer_than_float32_keep_their_order():
    # 1 + 2e-9 and 1 + 1e-9 are one float32; docid alone would put z first.
    first = Run.from_hits({"1": [("a", 1.0), ("z", 1.0)]})
    second = Run.from_hits({"1": [("a", 2e-9), ("z", 1e-9)]})
    fused = fuse([first, second], "weighted", weights=[1, 1000], normalization="none")
    assert [hit.docid for hit in fused["1"]] == ["a", "z"]
    assert fused["1"][0].score > fused["1"][1].score


def test_depth_cuts_the_inputs_and_hits_the_output():
    assert [hit.docid for hit in fuse([A, B], "rrf", depth=1)["1"]] == ["c", "a"]
    assert [hit.docid for hit in fuse([A, B], "rrf", hits=1)["1"]] == ["c"]
    # With the third hit cut, the second is the lower end of the scale.
    assert ranking(fuse([A, B], "weighted", depth=2), "1")[1:] == [("a", 0.5), ("d", 0.0), ("b", 0.0)]


def test_a_thousand_hits_unless_told_otherwise():
    many = Run.of(["1"] * 1500, [f"d{i:04}" for i in range(1500)], np.arange(1500))
    assert len(fuse([many, A], "rrf")["1"]) == 1000
    assert len(fuse([many, A], "rrf", hits=None)["1"]) == 1503


@pytest.mark.parametrize(
    ("runs", "method", "options", "message"),
    [
        (2, "rrff", {}, "unknown fusion method 'rrff'; did you mean 'rrf'? (known: rrf, weighted, combsum, "),
        (2, "combsum", {"missing": "min"}, "unknown rule for missing documents 'min'"),
        (2, "combsum", {"weights": [1, 1]}, "method combsum takes no weights (method weighted does)"),
        (2, "weighted", {"normalization": "max"}, "unknown normalization 'max'; did you mean 'minmax'?"),
        (1, "rrf", {}, "fusion needs at least two runs, not 1"),
        (2, "rrf", {"rrf_k": -1}, "the k of rrf must be 0 or more, not -1"),
        (2, "rrf", {"rrf_k": float("nan")}, "the k of rrf must be 0 or more, not nan"),
        (2, "rrf", {"depth": 0}, "depth must be at least 1, not 0"),
        (2, "rrf", {"hits": -3}, "hits must be at least 1, not -3"),
        (2, "rrf", {"weights": [1, 1]}, "method rrf takes no weights"),
        (2, "weighted", {"weights": [1]}, "1 weights for 2 runs"),
        (2, "weighted", {"weights": [1, -1]}, "weights must be 0 or more, and not all 0; these are 1 -1"),
        (2, "weighted", {"weights": [1, float("nan")]}, "these are 1 nan"),
        (2, "weighted", {"weights": [0, 0]}, "these are 0 0"),
    ],
)
def test_wrong_parameters(runs, method, options, message):
    with pytest.raises(UsageError) as error:
        fuse([A, B][:runs], method, **options)
    assert message in str(error.value)


def test_sums_beyond_float32_are_refused():
    with pytest.raises(ClirError, match="beyond float32"):
        fuse([A, B], "weighted", weights=[1e38, 1], normalization="none")


hits = st.dictionaries(
    st.sampled_from(["1", "2", "3"]),
    st.dictionaries(st.sampled_from("abcdefgh"), st.integers(0, 4).map(float), min_size=1),
    min_size=1,
)
runs = st.lists(hits.map(lambda h: Run.from_hits({q: list(r.items()) for q, r in h.items()})), min_size=2, max_size=4)


def by_formula(several, method, normalization, missing, weights):
    """Every document's fused score, written out for one topic and document at a time."""
    scores: dict[str, dict[str, float]] = {}
    for qid in {qid for run in several for qid in run}:
        rankings = [run.distinct()[qid] for run in several]
        if normalization == "over-topics":
            scaled = [z_scores(run.distinct(), qid) for run in several]
        else:
            scaled = [normalized([hit.score for hit in ranking], normalization) for ranking in rankings]
        documents = {hit.docid for ranking in rankings for hit in ranking}
        for docid in documents:
            given, ranks = [], []
            for ranking, values in zip(rankings, scaled, strict=True):
                at = next((i for i, hit in enumerate(ranking) if hit.docid == docid), None)
                ranks.append(None if at is None else at + 1)
                absent = values[-1] if missing == "minimum" and values else 0.0
                given.append(absent if at is None else values[at])
            found = [rank for rank in ranks if rank]
            squares = sum(1 / rank**2 for rank in found)
            points = [
                len(documents) - rank + 1 if rank else (len(documents) - len(ranking) + 1) / 2
                for rank, ranking in zip(ranks, rankings, strict=True)
                if ranking
            ]
            scores.setdefault(qid, {})[docid] = {
                "rrf": sum(1 / (60 + rank) for rank in found),
                "combsum": sum(given),
                "combmnz": sum(given) * len(found),
                "combanz": sum(given) / len(found),
                "weighted": sum(w * value for w, value in zip(weights, given, strict=True)),
                "borda": sum(points),
                "isr": squares * len(found),
                "logisr": squares * np.log(len(found) + 0.01),
            }[method]
    return scores


def z_scores(run: Run, qid: str) -> list[float]:
    everything = [hit.score for topic in run for hit in run[topic]]
    spread = max(everything) - min(everything)
    # As for `normalized`, scores are whole numbers.
    return [(hit.score - np.mean(everything)) / np.std(everything) if spread > 0.5 else 0.0 for hit in run[qid]]


def normalized(scores: list[float], normalization: str) -> list[float]:
    if not scores or normalization == "none":
        return scores
    if normalization == "rank":
        return [1 - at / len(scores) for at in range(len(scores))]
    low, high = min(scores), max(scores)
    # What is apart by the steps that separate ties only counts as equal. Scores of these tests are whole numbers.
    if high - low < 0.5:
        return [{"minmax": 1.0, "zscore": 0.0, "sum": 1 / len(scores)}[normalization]] * len(scores)
    if normalization == "zscore":
        return [(score - np.mean(scores)) / np.std(scores) for score in scores]
    over = high - low if normalization == "minmax" else sum(score - low for score in scores)
    return [(score - low) / over for score in scores]


@pytest.mark.parametrize("method", METHODS)
@given(runs, st.sampled_from(list(NORMALIZATIONS)), st.sampled_from(MISSING), st.data())
@settings(max_examples=30)
def test_every_method_is_its_formula(method, several, normalization, missing, data):
    weights = data.draw(st.lists(st.floats(0.1, 3), min_size=len(several), max_size=len(several)))
    options = {"weights": weights} if method == "weighted" else {}
    fused = fuse(several, method, normalization=normalization, missing=missing, **options)
    found = {qid: {hit.docid: pytest.approx(hit.score, rel=1e-5, abs=1e-5) for hit in fused[qid]} for qid in fused}
    assert by_formula(several, method, normalization, missing, weights) == found


@given(runs, st.sampled_from(list(METHODS)), st.data())
@settings(max_examples=60)
def test_the_order_of_runs_does_not_matter(several, method, data):
    weights = data.draw(st.lists(st.floats(0.1, 3), min_size=len(several), max_size=len(several)))
    order = data.draw(st.permutations(range(len(several))))
    of_each, moved = {}, {}
    if method == "weighted":
        of_each, moved = {"weights": weights}, {"weights": [weights[i] for i in order]}
    shuffled = [several[i] for i in order]
    assert fuse(shuffled, method, **moved).frame.equals(fuse(several, method, **of_each).frame)


def test_a_run_without_the_topic_says_nothing_under_any_rule():
    for missing in MISSING:
        fused = fuse([A, B], "combsum", normalization="none", missing=missing)
        assert ranking(fused, "2") == [("a", 2.0)]
        assert ranking(fuse([A, B], "borda"), "2") == [("a", 1.0)]


def test_a_document_that_a_run_lacks_gets_its_least_score_if_so_asked():
    fused = fuse([A, B], "combsum", normalization="none", missing="minimum")
    # a 9 + .1, b 5 + .1 (the least of B), c 1 + .9, d 1 (the least of A) + .4
    assert ranking(fused, "1") == [("a", 9.1), ("b", 5.1), ("c", 1.9), ("d", 1.4)]
    cut = fuse([A, B], "combsum", normalization="none", missing="minimum", depth=2)
    assert ranking(cut, "1") == [("a", 9.4), ("c", 5.9), ("d", 5.4), ("b", 5.4)]


def test_borda_points_by_hand():
    # Four documents: A gives a 4, b 3, c 2 and d the 1 that is left; B gives c 4, d 3, a 2, b 1.
    assert ranking(fuse([A, B], "borda"), "1") == [("c", 6.0), ("a", 6.0), ("d", 4.0), ("b", 4.0)]


@pytest.mark.parametrize("method", ["rrf", "combsum"])
def test_topics_in_blocks_of_any_size_give_the_same(monkeypatch, method):
    rng = np.random.default_rng(0)
    several = [
        Run.of(rng.permutation([f"q{i % 23}" for i in range(900)]).tolist(), [f"d{i}" for i in rng.permutation(900)],
               rng.integers(0, 9, 900))
        for _ in range(3)
    ]  # fmt: skip
    whole = fuse(several, method, hits=20)
    for size in (1, 60, 500):
        monkeypatch.setattr(pairs, "BLOCK", size)
        assert fuse(several, method, hits=20).frame.equals(whole.frame)


def test_documents_whose_hashes_are_equal_are_told_apart(monkeypatch):
    expected = fuse([A, B], "rrf")
    monkeypatch.setattr(together, "topic_keys", lambda topic, docids: topic.astype(np.uint64))
    assert fuse([A, B], "rrf").frame.equals(expected.frame)


@given(
    st.lists(st.tuples(st.integers(0, 3), st.text("ab", min_size=1, max_size=4)), max_size=40, unique_by=lambda x: x[1])
)
def test_ties_of_any_size_are_settled_by_docid(lines):
    lines.sort(key=lambda line: line[0])
    tied = np.array([at > 0 and lines[at - 1][0] == line[0] for at, line in enumerate(lines)], dtype=bool)
    docids = pl.Series([docid for _, docid in lines], dtype=pl.String)
    order = pairs.falling_docids(np.arange(len(lines)), tied, docids)
    assert [lines[at] for at in order] == sorted(sorted(lines, reverse=True), key=lambda line: line[0])


SCRIPT = """
from clir.runs.fusion import fuse
from clir.runs.run import Run
run = [Run.of([str(i % 5) for i in range(300)], [f"d{i * k % 301}" for i in range(300)],
              [float(i * k % 7) for i in range(300)]) for k in (1, 2, 3)]
for method in ("rrf", "weighted"):
    print(fuse(run, method).frame.rows())
"""


def test_the_hash_seed_does_not_matter():
    outputs = {
        subprocess.run(
            [sys.executable, "-c", SCRIPT],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
            timeout=60,
        ).stdout
        for seed in ("0", "1")
    }
    assert len(outputs) == 1 and next(iter(outputs))
