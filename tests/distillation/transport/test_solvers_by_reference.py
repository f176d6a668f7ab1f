"""Each solver against another's answer: POT's, a loop, or plain numpy."""

import numpy as np
import ot
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from transport_problems import SEEDS, SIZES, batched, optimum, padded, problem, value

from clir.distillation.transport import Exact, Greedy, MaxSim, Partial, Proximal, Unbalanced
from clir.distillation.transport.partial import partial_plan
from clir.distillation.transport.proximal import proximal_plan
from clir.distillation.transport.unbalanced import unbalanced_plan

Array = NDArray[np.float64]


@pytest.mark.parametrize("inner", [1, 3])
def test_ipot_comes_to_the_exact_optimum(inner: int) -> None:
    (cost, rows, columns), _ = batched([(3, 3), (6, 3), (2, 8), (1, 5), (9, 9)])
    best = optimum(cost, rows, columns)
    above = [
        np.abs(value(cost, proximal_plan(cost, rows, columns, 0.1, iterations, inner)) - best).max()
        for iterations in (3, 300, 3000)
    ]
    assert above[2] <= 1e-4 < 0.01 < above[0]


def test_ipot_in_the_limit_of_inner_steps_is_pot_s_entropic_plan_of_a_smaller_epsilon() -> None:
    cost, rows, columns = problem(5, 6, 1)
    expected = ot.sinkhorn(rows[0].numpy(), columns[0].numpy(), cost[0].numpy(), reg=0.6 / 4, stopThr=1e-12)
    plan = proximal_plan(cost, rows, columns, 0.6, iterations=4, inner=500)
    np.testing.assert_allclose(plan[0].numpy(), expected, atol=1e-8)


@pytest.mark.parametrize("inner", [1, 2])
def test_ipot_is_the_algorithm_of_its_paper(inner: int) -> None:
    cost, rows, columns = problem(4, 6, 2)
    # Xie et al., algorithm 1: the scalings of the columns go on from step to step.
    plan, a, b, taken = np.ones((4, 6)), rows[0].numpy(), columns[0].numpy(), np.ones(6)
    for _ in range(7):
        kernel = np.exp(-cost[0].numpy() / 0.4) * plan
        for _ in range(inner):
            given = a / (kernel @ taken)
            taken = b / (kernel.T @ given)
        plan = given[:, None] * kernel * taken[None, :]
    found = Proximal(beta=0.4, beta_unit="absolute", iterations=7, inner=inner)(cost, rows, columns)
    np.testing.assert_allclose(found[0].numpy(), plan, atol=1e-10)


@settings(max_examples=8)
@given(SIZES, SIZES, SEEDS, st.sampled_from([0.1, 1.0]), st.sampled_from([0.05, 0.5, 5.0]))
def test_unbalanced_is_pot_s(m: int, n: int, seed: int, epsilon: float, rho: float) -> None:
    cost, rows, columns = problem(m, n, seed)
    expected = ot.unbalanced.sinkhorn_unbalanced(
        rows[0].numpy(), columns[0].numpy(), cost[0].numpy(), epsilon, rho,
        reg_type="kl", numItermax=5000, stopThr=1e-13,
    )  # fmt: skip
    plan = unbalanced_plan(*padded((cost, rows, columns), m + 2, n + 1), epsilon, rho, 1000)
    np.testing.assert_allclose(plan[0, :m, :n].numpy(), expected, atol=1e-8)
    options = Unbalanced(epsilon=epsilon, epsilon_unit="absolute", rho=rho, iterations=1000)
    torch.testing.assert_close(options(cost, rows, columns), plan[:, :m, :n], atol=1e-12, rtol=0)


@settings(max_examples=8)
@given(SIZES, SIZES, SEEDS, st.sampled_from([0.1, 1.0]), st.sampled_from([0.2, 0.8, 1.0]))
def test_partial_is_pot_s(m: int, n: int, seed: int, epsilon: float, mass: float) -> None:
    cost, rows, columns = problem(m, n, seed)
    expected = ot.partial.entropic_partial_wasserstein(
        rows[0].numpy(), columns[0].numpy(), cost[0].numpy(), epsilon, m=mass * (1 - 1e-12), numItermax=2000
    )
    plan = partial_plan(*padded((cost, rows, columns), m + 2, n + 1), epsilon, mass, 1000)
    np.testing.assert_allclose(plan[0, :m, :n].numpy(), expected, atol=1e-5)
    options = Partial(epsilon=epsilon, epsilon_unit="absolute", mass=mass, iterations=1000)
    torch.testing.assert_close(options(cost, rows, columns), plan[:, :m, :n], atol=1e-12, rtol=0)


def test_exact_plans_are_optimal_over_threads() -> None:
    generator = np.random.default_rng(0)
    given, _ = batched([tuple(map(int, generator.integers(1, 33, 2))) for _ in range(40)])  # type: ignore[misc]
    plan = Exact()(*given)
    np.testing.assert_allclose(value(given[0], plan), optimum(*given), atol=1e-10)
    assert all(torch.equal(Exact()(*given), plan) for _ in range(3))


def test_exact_plans_of_float32_problems() -> None:
    (cost, rows, columns), _ = batched([(33, 40), (7, 64), (64, 64)])
    single = [part.float() for part in (cost, rows, columns)]
    plan = Exact()(*single)
    assert plan.dtype == torch.float32
    np.testing.assert_allclose(value(cost, plan.double()), optimum(cost, rows, columns), atol=1e-6)


def greedy(cost: Array, rows: Array, columns: Array) -> Array:
    """All pairs from the cheapest on, each taken if both its tokens are free."""
    pairs = sorted((cost[i, j], i, j) for i in range(len(rows)) for j in range(len(columns)) if rows[i] and columns[j])
    taken: list[tuple[int, int]] = []
    for _, i, j in pairs:
        if all(i != row and j != column for row, column in taken):
            taken.append((i, j))
    plan = np.zeros_like(cost)
    for i, j in taken:
        plan[i, j] = 1 / len(taken)
    return plan


@settings(max_examples=40)
@given(SIZES, SIZES, st.integers(0, 3), st.integers(0, 3), SEEDS, st.booleans())
def test_greedy_takes_the_cheapest_pair_first(m: int, n: int, more_m: int, more_n: int, seed: int, ties: bool) -> None:
    cost, rows, columns = padded(problem(m, n, seed), m + more_m, n + more_n, filler=-1.0)
    cost = (2 * cost).round() if ties else cost
    expected = greedy(*(part[0].numpy() for part in (cost, rows, columns)))
    np.testing.assert_allclose(Greedy()(cost, rows, columns)[0].numpy(), expected, atol=1e-12)


@settings(max_examples=40)
@given(SIZES, SIZES, st.integers(0, 3), st.integers(0, 3), SEEDS)
def test_maxsim_gives_each_token_to_its_nearest(m: int, n: int, more_m: int, more_n: int, seed: int) -> None:
    cost, rows, columns = padded(problem(m, n, seed), m + more_m, n + more_n, filler=-1.0)
    expected = np.zeros((m + more_m, n + more_n))
    expected[np.arange(m), cost[0, :m, :n].numpy().argmin(1)] = rows[0, :m].numpy()
    np.testing.assert_array_equal(MaxSim()(cost, rows, columns)[0].numpy(), expected)
    # Its cost is what MaxSim scores: the mean of the greatest cosines.
    best = (1 - cost[0, :m, :n]).max(1).values
    uniform = (rows > 0).double() / m
    assert float((MaxSim()(cost, uniform, columns) * (1 - cost)).sum()) == pytest.approx(float(best.mean()))


def test_unbalanced_transport_in_units_of_the_spread_depends_on_differences_of_costs_alone() -> None:
    cost, rows, columns = problem(5, 7, 4)
    solver = Unbalanced()
    plan = solver(cost, rows, columns)
    torch.testing.assert_close(solver(3 * cost + 11, rows, columns), plan)
    absolute = Unbalanced(epsilon_unit="absolute")
    assert absolute(cost + 1, rows, columns).sum() < 0.9 * absolute(cost, rows, columns).sum()
    # Padding, however cheap, is no cell to count from.
    padded = torch.nn.functional.pad(cost, (0, 2, 0, 1), value=-5.0)
    more = solver(padded, torch.nn.functional.pad(rows, (0, 1)), torch.nn.functional.pad(columns, (0, 2)))
    torch.testing.assert_close(more[:, :5, :7], plan)
