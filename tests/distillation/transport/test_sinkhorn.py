"""Sinkhorn's plans: near the exact optimum, with the right marginals, whatever the padding, scale and order."""

import math

import numpy as np
import ot
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transport_problems import SEEDS, SIZES, batched, optimum, padded, problem, value

from clir.distillation.transport import Sinkhorn
from clir.distillation.transport.cost import cosine_cost, spread
from clir.distillation.transport.marginals import marginal_error
from clir.distillation.transport.sinkhorn import sinkhorn


@pytest.mark.parametrize(("m", "n"), [(3, 3), (6, 3), (2, 8), (1, 5)])
def test_the_cost_of_the_plan_approaches_the_exact_optimum_as_epsilon_falls(m: int, n: int) -> None:
    cost = torch.cat([problem(m, n, seed)[0] for seed in range(8)])
    rows, columns = (torch.full((8, size), 1 / size, dtype=torch.float64) for size in (m, n))
    best = optimum(cost, rows, columns)
    above = [
        value(cost, sinkhorn(cost, rows, columns, epsilon, iterations)) - best
        for epsilon, iterations in ((0.5, 100), (0.05, 1000), (3e-4, 10_000))
    ]
    assert np.abs(above[2]).max() <= 1e-4
    assert (above[0] >= above[1] - 1e-6).all() and (above[1] >= -1e-6).all()
    assert above[0].max() > 0.05 or min(m, n) == 1


@settings(max_examples=30)
@given(SIZES, SIZES, SEEDS, st.sampled_from([0.02, 0.1, 1.0]))
def test_the_cost_of_the_plan_is_within_its_bound_of_the_optimum(m: int, n: int, seed: int, epsilon: float) -> None:
    cost, rows, columns = problem(m, n, seed)
    plan = sinkhorn(cost, rows, columns, epsilon, 300)
    unmoved = float((plan.sum(2) - rows).abs().sum())
    # The entropy of a plan is at most log(m n); mass that is not where it should be costs at most the largest cost.
    bound = epsilon * math.log(m * n) + 2 * unmoved * float(cost.max())
    assert abs(value(cost, plan)[0] - optimum(cost, rows, columns)[0]) <= bound + 1e-9


def test_the_plan_is_the_one_of_pot() -> None:
    cost, rows, columns = problem(5, 7, 1)
    expected = ot.sinkhorn(rows[0].numpy(), columns[0].numpy(), cost[0].numpy(), reg=0.1, stopThr=1e-12)
    np.testing.assert_allclose(sinkhorn(cost, rows, columns, 0.1, 2000)[0].numpy(), expected, atol=1e-9)


def test_a_large_epsilon_gives_the_independent_plan_and_a_small_one_does_not() -> None:
    cost, rows, columns = problem(5, 7, 2)
    independent = rows[0][:, None] * columns[0][None, :]
    torch.testing.assert_close(sinkhorn(cost, rows, columns, 1e6, 10)[0], independent)
    assert (sinkhorn(cost, rows, columns, 0.01, 500)[0] - independent).abs().max() > 0.02


@settings(max_examples=30)
@given(SIZES, SIZES, st.integers(0, 4), st.integers(0, 4), SEEDS)
def test_marginals_are_right_and_padding_has_no_mass(m: int, n: int, more_m: int, more_n: int, seed: int) -> None:
    bare = problem(m, n, seed)
    cost, rows, columns = padded(bare, m + more_m, n + more_n)
    plan = sinkhorn(cost, rows, columns, 0.2, 500)
    torch.testing.assert_close(plan.sum(1), columns, atol=1e-12, rtol=0)
    torch.testing.assert_close(plan.sum(2), rows, atol=1e-6, rtol=0)
    assert plan[:, m:].abs().sum() == plan[:, :, n:].abs().sum() == 0
    torch.testing.assert_close(plan[:, :m, :n], sinkhorn(*bare, 0.2, 500), atol=1e-12, rtol=0)


@pytest.mark.parametrize("iterations", [1, 2, 12])
@pytest.mark.parametrize("filler", [-9.0, 9.0])
def test_padding_has_no_say_however_few_the_iterations(iterations: int, filler: float) -> None:
    bare = problem(4, 5, 8)
    plan = sinkhorn(*padded(bare, 6, 8, filler), 0.1, iterations, annealing=3.0)
    torch.testing.assert_close(plan[:, :4, :5], sinkhorn(*bare, 0.1, iterations, annealing=3.0), atol=1e-12, rtol=0)


def test_each_problem_of_a_batch_has_its_own_epsilon() -> None:
    (cost, rows, columns), alone = batched([(3, 8), (8, 2), (1, 1), (6, 6)])
    epsilons = torch.tensor([0.05, 0.1, 0.2, 0.4], dtype=torch.float64)
    together = sinkhorn(cost, rows, columns, epsilons, 40)
    for at, one in enumerate(alone):
        found = together[at, : one[0].shape[1], : one[0].shape[2]]
        torch.testing.assert_close(found, sinkhorn(*one, float(epsilons[at]), 40)[0], atol=1e-12, rtol=1e-9)


@settings(max_examples=20)
@given(SIZES, SIZES, SEEDS, st.sampled_from([1e-3, 0.1, 7.0, 1e3]))
def test_in_units_of_the_spread_the_scale_of_the_costs_has_no_effect(m: int, n: int, seed: int, scale: float) -> None:
    cost, rows, columns = problem(m + 1, n + 1, seed)
    solver = Sinkhorn(epsilon=0.1, epsilon_unit="spread")
    torch.testing.assert_close(solver(cost, rows, columns), solver(scale * cost + 5, rows, columns), atol=1e-7, rtol=0)
    absolute = Sinkhorn(epsilon=0.1 * float(spread(cost, rows, columns)), epsilon_unit="absolute")
    torch.testing.assert_close(solver(cost, rows, columns), absolute(cost, rows, columns), atol=1e-12, rtol=0)


@pytest.mark.parametrize("level", [0.1, 0.5, 1.7])
@pytest.mark.parametrize("annealing", [1.0, 10.0])
def test_costs_that_are_all_the_same_keep_the_marginals_in_float32(level: float, annealing: float) -> None:
    # Their spread is next to nothing, so that level / epsilon has no digits left for the marginals.
    _, rows, columns = (part.float() for part in problem(17, 23, 3))
    plan = Sinkhorn(annealing=annealing)(torch.full((1, 17, 23), level), rows, columns)
    torch.testing.assert_close(plan[0], rows[0][:, None] * columns[0][None, :], atol=1e-6, rtol=1e-4)


@settings(max_examples=20)
@given(SIZES, SIZES, SEEDS)
def test_tokens_in_another_order_are_transported_alike(m: int, n: int, seed: int) -> None:
    cost, rows, columns = problem(m, n, seed)
    generator = torch.Generator().manual_seed(seed)
    p, q = torch.randperm(m, generator=generator), torch.randperm(n, generator=generator)
    plan = sinkhorn(cost, rows, columns, 0.1, 30)
    permuted = sinkhorn(cost[:, p][:, :, q], rows[:, p], columns[:, q], 0.1, 30)
    torch.testing.assert_close(permuted, plan[:, p][:, :, q], atol=1e-12, rtol=1e-9)


@pytest.mark.parametrize("tolerance", [1e-3, 1e-6])
def test_it_stops_once_the_marginal_error_is_within_the_tolerance(tolerance: float) -> None:
    (cost, rows, columns), _ = batched([(9, 9), (8, 6), (5, 9)], seed=5)
    stopped = sinkhorn(cost, rows, columns, 0.1, 10_000, tolerance)
    assert float(marginal_error(stopped, rows, columns).max()) <= tolerance
    # It is the plan after the first segment of iterations that is good enough, and that is not the first.
    for count in range(11, 3000, 10):
        plan = sinkhorn(cost, rows, columns, 0.1, count)
        if float(marginal_error(plan, rows, columns).max()) <= tolerance:
            break
    assert torch.equal(plan, stopped) and 11 < count < 2991


def test_a_tolerance_that_is_never_reached_changes_nothing() -> None:
    given = problem(6, 6, 4)
    assert torch.equal(sinkhorn(*given, 0.05, 37, tolerance=1e-300), sinkhorn(*given, 0.05, 37))


@pytest.mark.parametrize("tolerance", [0.0, 0.5])
def test_annealing_ends_at_the_epsilon_asked_for(tolerance: float) -> None:
    cost, rows, columns = problem(7, 9, 6)
    plain = sinkhorn(cost, rows, columns, 0.05, 4000)
    annealed = sinkhorn(cost, rows, columns, 0.05, 4000, annealing=50.0)
    torch.testing.assert_close(annealed, plain, atol=1e-9, rtol=0)
    # A lenient tolerance is reached at once, but not while epsilon is still another.
    early = sinkhorn(cost, rows, columns, 0.05, 400, tolerance, annealing=50.0)
    torch.testing.assert_close(early, plain, atol=1e-2, rtol=0)
    torch.testing.assert_close(early.sum(1), columns, atol=1e-12, rtol=0)


def test_annealing_brings_small_epsilons_nearer_in_as_many_iterations() -> None:
    (cost, rows, columns), _ = batched([(9, 9)] * 16, seed=7)
    errors = [
        float(marginal_error(sinkhorn(cost, rows, columns, 2e-3, 60, annealing=factor), rows, columns).mean())
        for factor in (1.0, 100.0)
    ]
    assert errors[1] < 0.7 * errors[0]


@pytest.mark.parametrize("scale", [1e-3, 5e-3])
def test_float32_stays_finite_at_a_very_small_epsilon(scale: float) -> None:
    generator = torch.Generator().manual_seed(0)
    student, teacher = torch.randn(16, 32, 128, generator=generator), torch.randn(16, 24, 128, generator=generator)
    rows, columns = torch.full((16, 32), 1 / 32), torch.full((16, 24), 1 / 24)
    plan = sinkhorn(cosine_cost(student, teacher), rows, columns, scale, 100)
    assert torch.isfinite(plan).all()
    torch.testing.assert_close(plan.sum(1), columns, atol=1e-5, rtol=0)


def test_no_iterations_are_refused() -> None:
    with pytest.raises(ValueError, match="iterations must be at least 1"):
        sinkhorn(*problem(2, 2, 0), 0.1, 0)
