"""Cost matrices, their spread, and marginals, against numpy."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from transport_problems import SEEDS, SIZES, problem

from clir.distillation.transport.cost import centre, cosine_cost, relative, spread, squared_cost
from clir.distillation.transport.marginals import marginal, marginal_error
from clir.distillation.transport.options import strength


def tokens(m: int, n: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    student, teacher = (torch.randn(2, size, 5, generator=generator, dtype=torch.float64) for size in (m, n))
    return student, teacher


def test_cosine_cost_by_formula() -> None:
    student, teacher = torch.tensor([[[3.0, 0.0], [1.0, 1.0]]]), torch.tensor([[[0.0, 2.0], [-5.0, 0.0]]])
    expected = [[1.0, 2.0], [1 - 2**-0.5, 1 + 2**-0.5]]
    torch.testing.assert_close(cosine_cost(student, teacher)[0], torch.tensor(expected))


@given(SIZES, SIZES, SEEDS)
def test_squared_cost_is_half_the_squared_distance(m: int, n: int, seed: int) -> None:
    student, teacher = tokens(m, n, seed)
    expected = ((student.numpy()[:, :, None] - teacher.numpy()[:, None]) ** 2).sum(-1) / 2
    np.testing.assert_allclose(squared_cost(student, teacher).numpy(), expected, atol=1e-12)
    unit = [torch.nn.functional.normalize(part, dim=-1) for part in (student, teacher)]
    torch.testing.assert_close(squared_cost(*unit), cosine_cost(student, teacher), atol=1e-12, rtol=0)


def test_squared_cost_is_never_negative() -> None:
    states = 100 * torch.randn(8, 30, 64, generator=torch.Generator().manual_seed(0))
    assert squared_cost(states, states).min() == 0


def test_centring_takes_the_mean_valid_teacher_token_from_all() -> None:
    student, teacher = tokens(3, 4, 0)
    teacher_mask = torch.tensor([[True, False, True, True], [False, True, False, False]])
    mean = np.concatenate([teacher[0, [0, 2, 3]].numpy(), teacher[1, [1]].numpy()]).mean(0)
    ours, theirs = centre(student, torch.ones(2, 3, dtype=torch.bool), teacher, teacher_mask)
    np.testing.assert_allclose(ours.numpy(), student.numpy() - mean, atol=1e-12)
    np.testing.assert_allclose(theirs.numpy(), teacher.numpy() - mean, atol=1e-12)


def test_centring_on_no_token_at_all_changes_nothing() -> None:
    student, teacher = tokens(3, 4, 1)
    ours, theirs = centre(student, torch.ones(2, 3) > 0, teacher, torch.zeros(2, 4) > 0)
    assert torch.equal(ours, student) and torch.equal(theirs, teacher)


def test_relative_costs_differ_by_a_constant_of_each_problem_and_are_zero_at_a_valid_cell() -> None:
    cost = torch.stack([problem(4, 5, seed)[0][0] for seed in range(2)])
    rows, columns = torch.tensor([[0.0, 0.2, 0.8, 0.0], [1.0, 0, 0, 0]]), torch.tensor([[0, 1.0, 0, 0, 0]] * 2)
    shifts = (cost - relative(cost, rows, columns)).reshape(2, -1).numpy()
    np.testing.assert_allclose(shifts, shifts[:, :1].repeat(20, 1), atol=1e-12)
    np.testing.assert_allclose(shifts[:, 0], [cost[0, 2, 1], cost[1, 0, 1]], atol=1e-12)


def test_spread_is_the_standard_deviation_of_the_valid_cells() -> None:
    cost, _, _ = problem(4, 5, 3)
    rows, columns = torch.tensor([[True, True, False, True]]), torch.tensor([[True, False, True, True, False]])
    valid = cost[0].numpy()[np.ix_([0, 1, 3], [0, 2, 3])]
    assert float(spread(cost, rows, columns)) == pytest.approx(valid.std(), rel=1e-9)
    assert float(spread(cost, rows * 0.3, columns * 0.2)) == pytest.approx(valid.std(), rel=1e-9)
    assert float(spread(torch.ones(1, 2, 2), torch.ones(1, 2).bool(), torch.ones(1, 2).bool())) > 0


def test_strength_is_absolute_or_in_units_of_the_spread() -> None:
    cost = torch.cat([problem(4, 5, seed)[0] for seed in range(3)]).requires_grad_(True)
    everything = torch.ones(3, 4), torch.ones(3, 5)
    assert strength(0.3, "absolute", cost, *everything).tolist() == pytest.approx([0.3] * 3)
    found = strength(0.3, "spread", cost, *everything)
    assert not found.requires_grad
    np.testing.assert_allclose(found.numpy(), 0.3 * cost.detach().numpy().reshape(3, -1).std(1), rtol=1e-12)


def test_marginals_share_the_weight_of_valid_tokens() -> None:
    weights = torch.tensor([[1.0, 3.0, 9.0], [2.0, 2.0, 2.0], [0.0, 0.0, 4.0]])
    mask = torch.tensor([[True, True, False], [False, False, False], [True, True, False]])
    assert marginal(weights, mask).tolist() == [
        [0.25, 0.75, 0.0],
        pytest.approx([1 / 3] * 3),
        pytest.approx([1 / 3] * 3),
    ]


@given(st.lists(st.tuples(st.floats(0, 1e6, width=32), st.booleans()), min_size=1, max_size=12))
def test_marginals_are_distributions(row: list[tuple[float, bool]]) -> None:
    weights, mask = (np.array(part) for part in zip(*row, strict=True))
    found: NDArray[np.float64] = marginal(torch.from_numpy(weights)[None], torch.from_numpy(mask)[None])[0].numpy()
    assert found.sum() == pytest.approx(1) and (found >= 0).all()
    if weights[mask].sum() > 0:
        np.testing.assert_allclose(found, np.where(mask, weights / weights[mask].sum(), 0), rtol=1e-6)
    else:
        np.testing.assert_allclose(found, np.full(len(row), 1 / len(row)))


def test_weights_of_nan_are_seen_only_where_they_count() -> None:
    weights, mask = torch.tensor([[1.0, float("nan")]]), torch.tensor([[True, False]])
    assert marginal(weights, mask).tolist() == [[1.0, 0.0]]


def test_marginal_error_is_the_mass_out_of_place() -> None:
    plan = torch.tensor([[[0.5, 0.0], [0.0, 0.5]], [[1.0, 0.0], [0.0, 0.0]]])
    rows, columns = torch.tensor([[0.5, 0.5]] * 2), torch.tensor([[0.3, 0.7], [1.0, 0.0]])
    # First: .2 of a column; second: half of the mass in the wrong row. L1 counts what is missing and what is too much.
    assert marginal_error(plan, rows, columns).tolist() == pytest.approx([0.2, 0.5])
