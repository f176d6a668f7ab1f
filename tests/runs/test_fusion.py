"""Fusion against the formulas written out, and what must not matter to it."""

import os
import subprocess
import sys
from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clir.runs.fusion import fuse
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
        (2, "rrff", {}, "unknown fusion method 'rrff'; did you mean 'rrf'? (known: rrf, weighted)"),
        (2, "weighted", {"normalization": "max"}, "unknown normalization 'max'; did you mean 'minmax'?"),
        (1, "rrf", {}, "fusion needs at least two runs, not 1"),
        (2, "rrf", {"rrf_k": -1}, "the k of rrf is a number from 0, not -1"),
        (2, "rrf", {"rrf_k": float("nan")}, "the k of rrf is a number from 0, not nan"),
        (2, "rrf", {"depth": 0}, "depth is at least 1, not 0"),
        (2, "rrf", {"hits": -3}, "hits is at least 1, not -3"),
        (2, "rrf", {"weights": [1, 1]}, "method rrf takes no weights"),
        (2, "weighted", {"weights": [1]}, "1 weights for 2 runs"),
        (2, "weighted", {"weights": [1, -1]}, "weights are numbers from 0, not all 0; these are 1 -1"),
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


@given(runs)
@settings(max_examples=100, deadline=None)
def test_rrf_is_the_formula(several):
    expected: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for run in several:
        for qid in run:
            for rank, hit in enumerate(run[qid], start=1):
                expected[qid][hit.docid] += 1 / (60 + rank)
    fused = fuse(several, "rrf")
    assert {qid: {hit.docid: pytest.approx(hit.score) for hit in fused[qid]} for qid in fused} == expected


@given(runs, st.data())
@settings(max_examples=100, deadline=None)
def test_the_order_of_runs_does_not_matter(several, data):
    weights = data.draw(st.lists(st.floats(0.1, 3), min_size=len(several), max_size=len(several)))
    order = data.draw(st.permutations(range(len(several))))
    shuffled = [several[i] for i in order]
    assert fuse(shuffled, "rrf").frame.equals(fuse(several, "rrf").frame)
    moved = fuse(shuffled, "weighted", weights=[weights[i] for i in order])
    assert moved.frame.equals(fuse(several, "weighted", weights=weights).frame)


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
