"""The order of pairs: a function of sizes and seed, every pair once a pass, shuffles without a fixed point."""

import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clir.distillation.order import POOL, deranged, training_order, with_replay


@st.composite
def sizes(draw: st.DrawFn) -> tuple[list[int], int, int, int]:
    batch = draw(st.integers(1, 9))
    lengths = draw(st.lists(st.integers(1, 40), min_size=batch, max_size=90))
    return lengths, draw(st.integers(1, 60)), batch, draw(st.integers(0, 5))


@settings(max_examples=150, deadline=None)
@given(sizes())
def test_no_pair_comes_again_before_every_other_came_and_none_twice_in_a_batch(
    case: tuple[list[int], int, int, int],
) -> None:
    lengths, steps, batch, seed = case
    order = training_order(lengths, steps, batch, seed)
    assert order.shape == (steps, batch)
    assert all(len(set(chosen)) == batch for chosen in order.tolist())
    for step in range(1, steps + 1):
        seen = np.bincount(order[:step].reshape(-1), minlength=len(lengths))
        assert seen.max() - seen.min() <= 1


def test_one_pass_sees_every_pair_once() -> None:
    order = training_order(list(range(60)), 15, 4, seed=1)
    assert sorted(order.reshape(-1).tolist()) == list(range(60))


def test_the_same_seed_gives_the_same_order_and_another_another() -> None:
    lengths = [at % 17 for at in range(100)]
    first = training_order(lengths, 40, 8, seed=1)
    np.testing.assert_array_equal(first, training_order(lengths, 40, 8, seed=1))
    assert (first != training_order(lengths, 40, 8, seed=2)).any()


def test_a_longer_training_of_less_than_a_pass_begins_as_a_shorter_one() -> None:
    lengths = [at % 17 for at in range(4 * POOL * 8)]
    first = training_order(lengths, 2 * POOL, 8, seed=1)
    np.testing.assert_array_equal(first[:POOL], training_order(lengths, POOL, 8, seed=1))


def test_texts_of_like_length_share_a_batch() -> None:
    lengths = np.random.default_rng(0).integers(1, 100, size=640)
    order = training_order(lengths.tolist(), 40, 16, seed=1)
    within = np.mean([np.ptp(lengths[chosen]) for chosen in order])
    assert within < 0.25 * np.ptp(lengths)
    # Not the longest first: steps early and late are alike.
    assert abs(lengths[order[:20]].mean() - lengths[order[20:]].mean()) < 10


def test_the_hash_seed_of_python_has_no_part_in_it() -> None:
    code = (
        "from clir.distillation.order import *; order = training_order(range(30), 5, 4, 3);"
        "print(with_replay(order, 30, 0.5, 3).tolist(), deranged(9, 3))"
    )
    printed = {
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout
        for seed in ("1", "2")
    }
    assert len(printed) == 1 and printed != {""}


def test_too_few_pairs_for_a_batch_are_refused() -> None:
    with pytest.raises(ValueError, match="3 pairs do not fill a batch of 4"):
        training_order([1, 2, 3], 1, 4, seed=1)


@given(st.integers(2, 200), st.integers(0, 100))
def test_a_derangement_leaves_nothing_in_its_place(count: int, seed: int) -> None:
    order = deranged(count, seed)
    assert sorted(order.tolist()) == list(range(count))
    assert not (order == np.arange(count)).any()


@settings(max_examples=60)
@given(sizes(), st.floats(0.01, 1))
def test_replay_adds_a_share_of_every_batch_again(case: tuple[list[int], int, int, int], share: float) -> None:
    lengths, steps, batch, seed = case
    order = training_order(lengths, steps, batch, seed)
    found = with_replay(order, len(lengths), share, seed)
    more = math.ceil(share * batch)
    assert found.shape == (steps, batch + more)
    np.testing.assert_array_equal(found[:, :batch], order)
    for row in found:
        # English sides of this batch's own pairs, none twice.
        again = row[batch:] - len(lengths)
        assert len(set(again)) == more and set(again) <= set(row[:batch])


def test_replay_is_drawn_anew_for_every_batch_and_by_the_seed() -> None:
    order = np.tile(np.arange(16), (200, 1))
    first = with_replay(order, 16, 0.25, seed=1)
    np.testing.assert_array_equal(first, with_replay(order, 16, 0.25, seed=1))
    assert (first != with_replay(order, 16, 0.25, seed=2)).any()
    counts = np.bincount(first[:, 16:].reshape(-1) - 16, minlength=16)
    # 50 each on average: no column of a batch is preferred.
    assert counts.sum() == 800 and counts.min() > 25 and counts.max() < 80
    # A run of fewer batches begins as the longer one.
    np.testing.assert_array_equal(with_replay(order[:50], 16, 0.25, seed=1), first[:50])
