"""Gradients through the solvers: those of finite differences, none for padding, and none where none is asked for."""

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck
from transport_problems import batched, padded, problem

from clir.distillation.transport import (
    AnySolver,
    Exact,
    Greedy,
    MaxSim,
    Partial,
    Proximal,
    Sinkhorn,
    Unbalanced,
)
from clir.distillation.transport.partial import partial_plan
from clir.distillation.transport.proximal import proximal_plan
from clir.distillation.transport.sinkhorn import sinkhorn
from clir.distillation.transport.unbalanced import unbalanced_plan

SMOOTH = {
    "sinkhorn": lambda *given: sinkhorn(*given, 0.3, 4),
    "sinkhorn past a segment": lambda *given: sinkhorn(*given, 0.3, 13),
    "annealed sinkhorn": lambda *given: sinkhorn(*given, 0.2, 5, annealing=4.0),
    "ipot": lambda *given: proximal_plan(*given, 0.7, 4, inner=2),
    "unbalanced": lambda *given: unbalanced_plan(*given, 0.3, 0.8, 5),
    "partial": lambda *given: partial_plan(*given, 0.3, 0.6, 5),
}
SOLVERS = [Sinkhorn(epsilon=0.5, iterations=6), Proximal(iterations=4), Unbalanced(iterations=5), Partial(iterations=5)]
HARD = [Exact(), Greedy(), MaxSim()]


@pytest.mark.parametrize("name", SMOOTH)
def test_gradients_are_those_of_finite_differences(name: str) -> None:
    # Of both problems the first is padded on the one side, the second on the other.
    (cost, rows, columns), _ = batched([(2, 4), (3, 2)])
    assert gradcheck(lambda cost: SMOOTH[name](cost, rows, columns), cost.clone().requires_grad_(True), atol=1e-6)


@pytest.mark.parametrize("name", SMOOTH)
def test_padding_has_no_gradient(name: str) -> None:
    cost, rows, columns = padded(problem(3, 2, 1), 5, 4)
    cost.requires_grad_(True)
    (SMOOTH[name](cost, rows, columns) * torch.rand(5, 4)).sum().backward()
    assert cost.grad is not None and torch.isfinite(cost.grad).all()
    assert cost.grad[:, 3:].abs().sum() == cost.grad[:, :, 2:].abs().sum() == 0
    assert cost.grad[:, :3, :2].abs().sum() > 0


@pytest.mark.parametrize("solver", SOLVERS, ids=lambda solver: solver.name)
def test_plans_with_and_without_a_gradient_are_the_same(solver: AnySolver) -> None:
    (cost, rows, columns), _ = batched([(6, 9), (8, 3), (1, 1)])
    plain = solver(cost, rows, columns)
    moving = solver(cost.clone().requires_grad_(True), rows, columns)
    assert moving.requires_grad and not plain.requires_grad
    torch.testing.assert_close(moving.detach(), plain, atol=1e-12, rtol=0)
    with torch.no_grad():
        assert torch.equal(solver(cost.clone().requires_grad_(True), rows, columns), plain)


@pytest.mark.parametrize("solver", SOLVERS, ids=lambda solver: solver.name)
def test_epsilon_in_units_of_the_spread_is_a_constant_of_the_gradient(solver: AnySolver) -> None:
    given = problem(3, 4, 2)
    # In this unit the unbalanced solver counts costs from the cheapest: here that is 0.
    given = (given[0] - given[0].min(), *given[1:])
    moving = given[0].clone().requires_grad_(True)
    spread_free = solver.model_copy(update={"epsilon_unit": "absolute", "beta_unit": "absolute"})
    standard = float(given[0].std(correction=0))
    strengths = {name: standard * getattr(solver, name) for name in ("epsilon", "beta", "rho") if hasattr(solver, name)}
    gradients: list[Tensor] = []
    for one in (solver, spread_free.model_copy(update=strengths)):
        (gradient,) = torch.autograd.grad((one(moving, *given[1:]) * given[0]).sum(), moving)
        gradients.append(gradient)
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("solver", HARD, ids=lambda solver: solver.name)
def test_hard_and_exact_plans_are_constants(solver: AnySolver) -> None:
    cost, rows, columns = problem(4, 5, 3)
    assert not solver(cost.requires_grad_(True), rows, columns).requires_grad
