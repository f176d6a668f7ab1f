"""What holds for every solver: batches, padding, order, no NaN in float32, and what each promises of its marginals."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from torch import Tensor
from transport_problems import SEEDS, SIZES, batched, padded, problem

from clir.distillation.transport import (
    SOLVER_NAMES,
    AnySolver,
    Exact,
    Greedy,
    MaxSim,
    Partial,
    Proximal,
    Sinkhorn,
    Unbalanced,
)
from clir.distillation.transport.cost import cosine_cost, squared_cost
from clir.distillation.transport.marginals import marginal_error

ALL = [Sinkhorn(), Proximal(), Unbalanced(), Partial(), Exact(), Greedy(), MaxSim()]
ADAPTER: TypeAdapter[AnySolver] = TypeAdapter(AnySolver)
# Small absolute entropies, annealing, a tolerance: what strains float32 most.
STRAINED = [
    Sinkhorn(epsilon=1e-3, epsilon_unit="absolute"),
    Sinkhorn(epsilon=1e-3, epsilon_unit="absolute", iterations=60, annealing=1000.0),
    Sinkhorn(epsilon=1e-3, epsilon_unit="absolute", iterations=200, tolerance=1e-3),
    Sinkhorn(epsilon=1e-3, epsilon_unit="spread"),
    Proximal(beta=1e-3, beta_unit="absolute", iterations=10),
    Proximal(beta=0.05, iterations=60, inner=3),
    Unbalanced(epsilon=1e-3, epsilon_unit="absolute", rho=1e-3),
    Unbalanced(epsilon=1e-3, epsilon_unit="absolute", rho=100.0),
    Partial(epsilon=1e-3, epsilon_unit="absolute", mass=0.05),
    Partial(epsilon=1e-3, epsilon_unit="absolute", mass=1.0),
    *ALL,
]


def by_name(solver: AnySolver) -> str:
    return solver.name


every_solver = pytest.mark.parametrize("solver", ALL, ids=by_name)


def promised(solver: AnySolver, plan: Tensor, rows: Tensor, columns: Tensor, within: float) -> None:
    """Check what the solver says of sums; (m,) and (n,) marginals without padding."""
    taken, given = plan.sum(0), plan.sum(1)
    assert plan.min() >= 0
    if solver.name in ("sinkhorn", "ipot"):
        torch.testing.assert_close(taken, columns, atol=within, rtol=0)
    elif solver.name == "exact":
        torch.testing.assert_close(taken, columns, atol=within, rtol=0)
        torch.testing.assert_close(given, rows, atol=within, rtol=0)
        assert int((plan > 0).sum()) <= sum(plan.shape) - 1
    elif solver.name == "partial":
        assert float(plan.sum()) == pytest.approx(solver.mass, abs=within)
    elif solver.name == "maxsim":
        torch.testing.assert_close(given, rows, atol=within, rtol=0)
        assert ((plan > 0).sum(1) == 1).all()
    elif solver.name == "greedy":
        pairs = min(plan.shape)
        assert plan.count_nonzero() == pairs and (plan[plan > 0] - 1 / pairs).abs().max() <= within
        assert ((plan > 0).sum(0) <= 1).all() and ((plan > 0).sum(1) <= 1).all()


@every_solver
@settings(max_examples=15)
@given(SIZES, SIZES, st.integers(0, 4), st.integers(0, 4), SEEDS, st.sampled_from([-3.0, 0.3, 5.0]))
def test_sums_are_as_promised_and_padding_has_neither_mass_nor_influence(
    solver: AnySolver, m: int, n: int, more_m: int, more_n: int, seed: int, filler: float
) -> None:
    bare = problem(m, n, seed)
    plan = solver(*padded(bare, m + more_m, n + more_n, filler))
    assert plan[:, m:].abs().sum() == plan[:, :, n:].abs().sum() == 0
    torch.testing.assert_close(plan[:, :m, :n], solver(*bare), atol=1e-11, rtol=0)
    promised(solver, plan[0, :m, :n], bare[1][0], bare[2][0], 1e-11)


@pytest.mark.parametrize(
    "solver",
    [Sinkhorn(epsilon=0.5, iterations=2000), Proximal(beta=2.0, iterations=20, inner=200), Exact()],
    ids=by_name,
)
def test_balanced_solvers_bring_both_sums_to_the_marginals(solver: AnySolver) -> None:
    (cost, rows, columns), _ = batched([(9, 3), (4, 4), (1, 7), (6, 1)])
    assert marginal_error(solver(cost, rows, columns), rows, columns).max() <= 1e-7


def test_partial_sums_stay_below_the_marginals() -> None:
    (cost, rows, columns), _ = batched([(9, 3), (4, 4), (6, 8)])
    plan = Partial(epsilon=0.5, mass=0.7, iterations=1000)(cost, rows, columns)
    assert (plan.sum(2) - rows).max() <= 1e-6 and (plan.sum(1) - columns).max() <= 1e-6
    torch.testing.assert_close(plan.sum((1, 2)), torch.full((3,), 0.7, dtype=torch.float64), atol=1e-12, rtol=0)
    # Some tokens give all they have, others do not.
    assert ((plan.sum(2) - rows).abs() < 1e-6).any() and (rows - plan.sum(2) > 0.01).any()


def test_unbalanced_sums_come_to_the_marginals_as_rho_grows() -> None:
    (cost, rows, columns), _ = batched([(9, 3), (4, 4), (6, 8)])
    errors = [
        float(marginal_error(Unbalanced(rho=rho, iterations=3000)(cost, rows, columns), rows, columns).max())
        for rho in (1.0, 30.0, 1000.0)
    ]
    assert errors[0] > 0.05 > errors[1] > 5 * errors[2] > 0


@every_solver
def test_a_batch_gives_what_a_loop_gives(solver: AnySolver) -> None:
    given, alone = batched([(3, 8), (8, 2), (1, 1), (6, 6), (1, 9), (7, 1)])
    together = solver(*given)
    for at, one in enumerate(alone):
        m, n = one[0].shape[1:]
        torch.testing.assert_close(together[at, :m, :n], solver(*one)[0], atol=1e-11, rtol=0)
        assert together[at, m:].abs().sum() == together[at, :, n:].abs().sum() == 0


@every_solver
@settings(max_examples=10)
@given(SIZES, SIZES, SEEDS)
def test_tokens_in_another_order_are_transported_alike(solver: AnySolver, m: int, n: int, seed: int) -> None:
    cost, rows, columns = problem(m, n, seed)
    generator = torch.Generator().manual_seed(seed)
    p, q = torch.randperm(m, generator=generator), torch.randperm(n, generator=generator)
    plan = solver(cost, rows, columns)
    permuted = solver(cost[:, p][:, :, q], rows[:, p], columns[:, q])
    torch.testing.assert_close(permuted, plan[:, p][:, :, q], atol=1e-10, rtol=1e-8)


@pytest.mark.parametrize("solver", STRAINED, ids=repr)
@settings(max_examples=25)
@given(st.integers(1, 64), st.integers(1, 64), SEEDS, st.sampled_from(["cosine", "squared"]))
def test_float32_gives_no_nan_on_random_unit_vectors(solver: AnySolver, m: int, n: int, seed: int, kind: str) -> None:
    generator = torch.Generator().manual_seed(seed)
    unit = lambda size: torch.nn.functional.normalize(torch.randn(1, size, 16, generator=generator), dim=-1)  # noqa: E731
    cost = (cosine_cost if kind == "cosine" else squared_cost)(unit(m), unit(n))
    rows, columns = (torch.rand(1, size, generator=generator) + 0.05 for size in (m, n))
    rows, columns = rows / rows.sum(), columns / columns.sum()
    plan = solver(cost, rows, columns)
    assert plan.dtype == torch.float32 and torch.isfinite(plan).all()
    promised(solver, plan[0], rows[0], columns[0], 2e-3)


@pytest.mark.parametrize("solver", STRAINED, ids=repr)
@pytest.mark.parametrize("case", ["all tokens the same", "both sides the same", "twice every token", "a constant cost"])
@pytest.mark.parametrize("size", [1, 2, 17, 64])
def test_float32_gives_no_nan_where_costs_are_alike(solver: AnySolver, case: str, size: int) -> None:
    generator = torch.Generator().manual_seed(size)
    student, teacher = (torch.randn(1, size, 16, generator=generator) for _ in range(2))
    if case == "all tokens the same":
        student, teacher = student[:, :1].expand(1, size, 16), teacher[:, :1].expand(1, size, 16)
    elif case == "both sides the same":
        teacher = student
    elif case == "twice every token":
        student, teacher = student.repeat(1, 2, 1), teacher.repeat(1, 2, 1)
    cost = cosine_cost(student, teacher)
    cost = torch.full_like(cost, 0.7) if case == "a constant cost" else cost
    rows, columns = (torch.rand(1, length, generator=generator) + 0.05 for length in cost.shape[1:])
    rows, columns = rows / rows.sum(), columns / columns.sum()
    plan = solver(cost, rows, columns)
    assert torch.isfinite(plan).all()
    promised(solver, plan[0], rows[0], columns[0], 2e-3)


@every_solver
def test_a_smooth_gradient_is_finite_in_float32(solver: AnySolver) -> None:
    strained = solver.model_copy(update={"epsilon": 1e-3, "epsilon_unit": "absolute"})
    cost, rows, columns = padded(problem(20, 30, 0, width=16), 32, 32)
    moving = cost.float().requires_grad_(True)
    value = (strained(moving, rows.float(), columns.float()) * moving).sum()
    (gradient,) = torch.autograd.grad(value, moving)
    assert torch.isfinite(gradient).all() and gradient[:, 20:].abs().sum() == gradient[:, :, 30:].abs().sum() == 0


def test_solvers_are_known_by_their_names() -> None:
    assert tuple(solver.name for solver in ALL) == SOLVER_NAMES
    for solver in ALL:
        assert ADAPTER.validate_python(solver.model_dump(mode="json")) == solver


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "sinkhorn", "epsilon": 0}, {"name": "sinkhorn", "iterations": 0},
        {"name": "sinkhorn", "annealing": 0.5}, {"name": "sinkhorn", "tolerance": -1},
        {"name": "sinkhorn", "epsilon_unit": "mean"}, {"name": "ipot", "beta": 0}, {"name": "ipot", "inner": 0},
        {"name": "ipot", "epsilon": 1}, {"name": "unbalanced", "rho": 0}, {"name": "partial", "mass": 1.1},
        {"name": "partial", "mass": 0}, {"name": "exact", "epsilon": 1}, {"name": "emd"},
    ],
)  # fmt: skip
def test_wrong_options_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        ADAPTER.validate_python(wrong)


@pytest.mark.parametrize("solver", [Sinkhorn(), Proximal(), Unbalanced(), Partial()], ids=by_name)
def test_operations_grow_with_iterations_and_cells(solver: AnySolver) -> None:
    four = solver.model_copy(update={"iterations": 4 * solver.iterations})
    assert four.operations(20, 24) == 4 * solver.operations(20, 24)
    assert solver.operations(20, 24) == 480 * solver.operations(1, 1) > 0


def test_operations_are_about_what_elementwise_work_comes_to() -> None:
    assert Sinkhorn(iterations=50).operations(32, 32) == pytest.approx(0.6e6, rel=0.05)
    assert Proximal(iterations=50, inner=1).operations(32, 32) == pytest.approx(0.7e6, rel=0.05)
    # Finding the best of all cells, once for each token.
    assert MaxSim().operations(20, 24) == 480 and Greedy().operations(20, 24) == 20 * 480 < Exact().operations(20, 24)
