"""Pooled vectors are the regression that they say, and come nearer to MaxSim than the mean."""

import tracemalloc
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from test_fixed_dimensional import drawn, maxsim
from test_reduced import index_of

from clir.encoding.token_vectors import TokenVectors
from clir.indexing.pooled_vectors import RIDGE, PooledVectors, sample_tokens


def fitted_by_hand(anchors: np.ndarray, tokens: np.ndarray) -> np.ndarray:
    """(d + 1,) w and b of one document in float64, as least squares with the ridge's rows beneath."""
    anchors, tokens = anchors.astype(np.float64), tokens.astype(np.float64)
    guess = tokens.mean(axis=0) / np.linalg.norm(tokens.mean(axis=0))
    left = (anchors @ tokens.T).max(axis=1) - anchors @ guess
    dimension = anchors.shape[1]
    centred = anchors - anchors.mean(axis=0)
    ridge = np.sqrt(RIDGE * (centred**2).sum()) * np.eye(dimension)
    rows = np.block([[centred, np.ones((len(anchors), 1))], [ridge, np.zeros((dimension, 1))]])
    slope = np.linalg.lstsq(rows, np.concatenate([left, np.zeros(dimension)]), rcond=None)[0]
    return np.concatenate([guess + slope[:-1], [slope[-1] - anchors.mean(axis=0) @ slope[:-1]]])


@settings(max_examples=25)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.integers(2, 30), st.integers(0, 99))
def test_documents_are_the_regression(lengths: Sequence[int], anchors: int, seed: int) -> None:
    documents, sample = drawn(lengths, 5, seed), drawn([anchors], 5, seed + 1).values
    found = PooledVectors(5, sample).documents(documents)
    expected = np.array([fitted_by_hand(sample, documents[at]) for at in range(len(lengths))])
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_queries_are_sums_and_counts() -> None:
    queries = TokenVectors(np.array([[1, 2], [3, 4], [5, 6]], dtype=np.float32), np.array([0, 2, 2, 3]))
    found = PooledVectors(2, np.empty((0, 2), np.float32)).queries(queries)
    np.testing.assert_array_equal(found, [[4, 6, 2], [0, 0, 0], [5, 6, 1]])


def test_documents_of_one_token_give_maxsim_itself() -> None:
    documents, queries = drawn([1] * 20, 6, 1), drawn([5] * 8, 6, 2)
    pooled = PooledVectors(6, drawn([50], 6, 3).values)
    products = pooled.queries(queries) @ pooled.documents(documents).T
    exact = [[maxsim(queries[row], documents[at]) for at in range(20)] for row in range(8)]
    np.testing.assert_allclose(products, exact, atol=1e-4)


def test_the_fit_is_nearer_to_maxsim_and_finds_more_of_its_best_than_the_mean() -> None:
    # Documents on topics of their own and of different variety, which the mean's length does not tell.
    draw = np.random.default_rng(5)
    topics = drawn([300], 16, 4).values
    spread = draw.uniform(0.3, 1.5, size=300)
    tokens = [topics[at] + spread[at] * draw.normal(size=(12, 16)) / 4 for at in range(300)]
    documents = TokenVectors.of([one / np.linalg.norm(one, axis=1, keepdims=True) for one in tokens], 16)
    queries = drawn([6] * 40, 16, 6)
    exact = np.array([[maxsim(queries[row], documents[at]) for at in range(300)] for row in range(40)])
    right, errors = [], []
    for anchors in (np.empty((0, 16), np.float32), documents.values[::4]):
        pooled = PooledVectors(16, anchors)
        products = pooled.queries(queries) @ pooled.documents(documents).T
        best, found = np.argsort(-exact)[:, :20], np.argsort(-products)[:, :40]
        right.append(np.mean([np.isin(best[row], found[row]).mean() for row in range(40)]))
        errors.append(np.abs(products - exact).mean())
    assert errors[1] < errors[0] / 2
    assert right[1] > right[0] + 0.05


def test_texts_without_tokens_are_zeros() -> None:
    documents = TokenVectors(drawn([3], 4, 0).values, np.array([0, 0, 3, 3]))
    found = PooledVectors(4, drawn([9], 4, 1).values).documents(documents)
    assert not found[[0, 2]].any() and found[1].any()
    assert PooledVectors(4, drawn([9], 4, 1).values).documents(TokenVectors.empty([0], 4)).shape == (1, 5)


def test_a_sample_takes_no_memory_for_tokens_that_are_not_in_it() -> None:
    class Large:
        tokens, dimension = 10**9, 2
        offsets = np.arange(0, 10**9 + 1, 10**6)

        def take(self, documents: np.ndarray) -> TokenVectors:
            return TokenVectors.of([np.ones((10**6, 2), dtype=np.float32) for _ in documents], 2)

    tracemalloc.start()
    sample_tokens(Large(), 3)  # type: ignore[arg-type]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 200e6


def test_sampled_tokens_are_the_indexs_and_reach_all_of_it(tmp_path: Path) -> None:
    vectors = drawn([5, 0, 200, 1, 0, 94], 4, 2)
    index = index_of(vectors, tmp_path)
    sample = sample_tokens(index, 120)
    rows = [int(np.flatnonzero((vectors.values == one).all(axis=1))[0]) for one in sample]
    assert len(set(rows)) == 120 and rows == sorted(rows)
    # A document has its part of the sample, within three standard deviations.
    assert abs(sum(5 <= row < 205 for row in rows) - 80) < 13
    np.testing.assert_array_equal(sample_tokens(index, 300), vectors.values)
    assert not np.array_equal(sample_tokens(index, 120, seed=1), sample)
