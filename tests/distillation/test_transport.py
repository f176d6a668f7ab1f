"""Transport plans: near the exact optimum, with the right marginals, whatever the padding, scale and order."""

import math

import numpy as np
import ot
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from clir.distillation.transport import cosine_cost, marginal, sinkhorn, spread

SIZES = st.integers(1, 9)
SEEDS = st.integers(0, 2**31 - 1)


def problem(m: int, n: int, seed: int, width: int = 6) -> tuple[Tensor, Tensor, Tensor]:
    """A cost (1, m, n) between random directions, and two random marginals; float64."""
    generator = torch.Generator().manual_seed(seed)
    draw = lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64)  # noqa: E731
    cost = cosine_cost(draw(1, m, width), draw(1, n, width))
    rows, columns = (draw(1, size).abs() + 0.1 for size in (m, n))
    return cost, rows / rows.sum(), columns / columns.sum()


def exact(cost: Tensor, rows: Tensor, columns: Tensor) -> np.ndarray:
    """The optimal values of a batch of problems, by POT's network simplex."""
    return np.array([ot.emd2(*(part[at].numpy() for part in (rows, columns, cost))) for at in range(len(cost))])


@pytest.mark.parametrize(("m", "n"), [(3, 3), (6, 3), (2, 8), (1, 5)])
def test_the_cost_of_the_plan_approaches_the_exact_optimum_as_epsilon_falls(m: int, n: int) -> None:
    cost = torch.cat([problem(m, n, seed)[0] for seed in range(8)])
    rows, columns = (torch.full((8, size), 1 / size, dtype=torch.float64) for size in (m, n))
    best = exact(cost, rows, columns)
    above = []
    for epsilon, iterations in ((0.5, 100), (0.05, 1000), (3e-4, 10_000)):
        plans = sinkhorn(cost, rows, columns, epsilon, iterations)
        above.append((cost * plans).sum((1, 2)).numpy() - best)
    assert np.abs(above[2]).max() <= 1e-4
    assert (above[0] >= above[1] - 1e-6).all() and (above[1] >= -1e-6).all()
    assert above[0].max() > 0.05 or min(m, n) == 1


@settings(max_examples=30, deadline=None)
@given(SIZES, SIZES, SEEDS, st.sampled_from([0.02, 0.1, 1.0]))
def test_the_cost_of_the_plan_is_within_its_bound_of_the_optimum(m: int, n: int, seed: int, epsilon: float) -> None:
    cost, rows, columns = problem(m, n, seed)
    plan = sinkhorn(cost, rows, columns, epsilon, 300)
    unmoved = float((plan.sum(2) - rows).abs().sum())
    # The entropy of a plan is at most log(m n); mass that is not where it should be costs at most the largest cost.
    bound = epsilon * math.log(m * n) + 2 * unmoved * float(cost.max())
    assert abs(float((cost * plan).sum()) - exact(cost, rows, columns)[0]) <= bound + 1e-9


def test_the_plan_is_the_one_of_pot() -> None:
    cost, rows, columns = problem(5, 7, 1)
    expected = ot.sinkhorn(rows[0].numpy(), columns[0].numpy(), cost[0].numpy(), reg=0.1, stopThr=1e-12)
    np.testing.assert_allclose(sinkhorn(cost, rows, columns, 0.1, 2000)[0].numpy(), expected, atol=1e-9)


def test_a_large_epsilon_gives_the_independent_plan_and_a_small_one_does_not() -> None:
    cost, rows, columns = problem(5, 7, 2)
    independent = rows[0][:, None] * columns[0][None, :]
    torch.testing.assert_close(sinkhorn(cost, rows, columns, 1e6, 10)[0], independent)
    assert (sinkhorn(cost, rows, columns, 0.01, 500)[0] - independent).abs().max() > 0.02


@settings(max_examples=30, deadline=None)
@given(SIZES, SIZES, st.integers(0, 4), st.integers(0, 4), SEEDS)
def test_marginals_are_right_and_padding_has_no_mass(m: int, n: int, more_m: int, more_n: int, seed: int) -> None:
    cost, rows, columns = problem(m, n, seed)
    padded = torch.nn.functional.pad(cost, (0, more_n, 0, more_m), value=0.3)
    rows, columns = torch.nn.functional.pad(rows, (0, more_m)), torch.nn.functional.pad(columns, (0, more_n))
    plan = sinkhorn(padded, rows, columns, 0.2, 500)
    torch.testing.assert_close(plan.sum(1), columns, atol=1e-12, rtol=0)
    torch.testing.assert_close(plan.sum(2), rows, atol=1e-6, rtol=0)
    assert plan[:, m:].abs().sum() == plan[:, :, n:].abs().sum() == 0
    bare = sinkhorn(cost, rows[:, :m], columns[:, :n], 0.2, 500)
    torch.testing.assert_close(plan[:, :m, :n], bare, atol=1e-12, rtol=0)


def test_a_batch_gives_what_a_loop_gives() -> None:
    sizes = [(3, 8), (8, 2), (1, 1), (6, 6)]
    cost, rows, columns = torch.zeros(4, 8, 8), torch.zeros(4, 8), torch.zeros(4, 8)
    epsilons = torch.tensor([0.05, 0.1, 0.2, 0.4])
    alone = []
    for at, (m, n) in enumerate(sizes):
        one, left, right = (part.float() for part in problem(m, n, at))
        cost[at, :m, :n], rows[at, :m], columns[at, :n] = one[0], left[0], right[0]
        alone.append(sinkhorn(one, left, right, float(epsilons[at]), 40)[0])
    together = sinkhorn(cost, rows, columns, epsilons, 40)
    for at, (m, n) in enumerate(sizes):
        torch.testing.assert_close(together[at, :m, :n], alone[at], atol=1e-6, rtol=1e-4)


def test_float32_stays_finite_at_a_very_small_epsilon() -> None:
    generator = torch.Generator().manual_seed(0)
    student, teacher = torch.randn(16, 32, 128, generator=generator), torch.randn(16, 24, 128, generator=generator)
    rows, columns = torch.full((16, 32), 1 / 32), torch.full((16, 24), 1 / 24)
    plan = sinkhorn(cosine_cost(student, teacher), rows, columns, 1e-3, 100)
    assert torch.isfinite(plan).all()
    torch.testing.assert_close(plan.sum(1), columns, atol=1e-5, rtol=0)


@settings(max_examples=20, deadline=None)
@given(SIZES, SIZES, SEEDS, st.sampled_from([1e-3, 0.1, 7.0, 1e3]))
def test_in_units_of_the_spread_the_scale_of_the_costs_has_no_effect(m: int, n: int, seed: int, scale: float) -> None:
    cost, rows, columns = problem(m + 1, n + 1, seed)
    plans = []
    for scaled in (cost, scale * cost + 5):
        epsilon = 0.1 * spread(scaled, rows > 0, columns > 0)
        plans.append(sinkhorn(scaled, rows, columns, epsilon, 50))
    torch.testing.assert_close(plans[0], plans[1], atol=1e-7, rtol=0)


def test_spread_is_the_standard_deviation_of_the_valid_cells() -> None:
    cost, _, _ = problem(4, 5, 3)
    rows, columns = torch.tensor([[True, True, False, True]]), torch.tensor([[True, False, True, True, False]])
    valid = cost[0].numpy()[np.ix_([0, 1, 3], [0, 2, 3])]
    assert float(spread(cost, rows, columns)) == pytest.approx(valid.std(), rel=1e-9)
    assert float(spread(torch.ones(1, 2, 2), torch.ones(1, 2).bool(), torch.ones(1, 2).bool())) > 0


@settings(max_examples=20, deadline=None)
@given(SIZES, SIZES, SEEDS)
def test_tokens_in_another_order_are_transported_alike(m: int, n: int, seed: int) -> None:
    cost, rows, columns = problem(m, n, seed)
    generator = torch.Generator().manual_seed(seed)
    p, q = torch.randperm(m, generator=generator), torch.randperm(n, generator=generator)
    plan = sinkhorn(cost, rows, columns, 0.1, 30)
    permuted = sinkhorn(cost[:, p][:, :, q], rows[:, p], columns[:, q], 0.1, 30)
    torch.testing.assert_close(permuted, plan[:, p][:, :, q], atol=1e-12, rtol=1e-9)


def test_marginals_share_the_weight_of_valid_tokens() -> None:
    weights = torch.tensor([[1.0, 3.0, 9.0], [2.0, 2.0, 2.0], [0.0, 0.0, 4.0]])
    mask = torch.tensor([[True, True, False], [False, False, False], [True, True, False]])
    assert marginal(weights, mask).tolist() == [
        [0.25, 0.75, 0.0],
        pytest.approx([1 / 3] * 3),
        pytest.approx([1 / 3] * 3),
    ]


def test_cosine_cost_by_formula() -> None:
    student, teacher = torch.tensor([[[3.0, 0.0], [1.0, 1.0]]]), torch.tensor([[[0.0, 2.0], [-5.0, 0.0]]])
    expected = [[1.0, 2.0], [1 - 2**-0.5, 1 + 2**-0.5]]
    torch.testing.assert_close(cosine_cost(student, teacher)[0], torch.tensor(expected))


def test_no_iterations_are_refused() -> None:
    with pytest.raises(ValueError, match="iterations must be at least 1"):
        sinkhorn(*problem(2, 2, 0), 0.1, 0)
