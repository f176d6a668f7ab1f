"""Hard alignments, the baselines of transport: one to one by the best pair first, and one-sided as MaxSim does it."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from clir.distillation.transport.options import Solver


class Greedy(Solver):
    """One to one, the cheapest pair first, until one side is used up; every pair has the same mass.

    After the token alignment of DR.DECR (Li et al. 2022, arXiv 2112.08185). Marginals only say which
    tokens are there.
    """

    name: Literal["greedy"] = "greedy"

    def __call__(self, cost: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        return greedy_plan(cost, rows, columns)

    def operations(self, m: int, n: int) -> float:
        return float(min(m, n) * m * n)


class MaxSim(Solver):
    """Every student token gives all its mass to its nearest teacher token: the alignment that MaxSim scores.

    Khattab and Zaharia 2020 (arXiv 2004.12832). Row sums are the marginal, column sums are not.
    """

    name: Literal["maxsim"] = "maxsim"

    def __call__(self, cost: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        return nearest_plan(cost, rows, columns)

    def operations(self, m: int, n: int) -> float:
        return float(m * n)


@torch.no_grad()
def greedy_plan(cost: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """(b, m, n) plans of one-to-one pairs, each 1 / min(valid rows, valid columns); ties to the lower position."""
    open_cells = _masked(cost.detach(), rows, columns)
    count, m, n = cost.shape
    each = torch.arange(count, device=cost.device)
    plan = torch.zeros_like(open_cells)
    for _ in range(min(m, n)):
        best = open_cells.reshape(count, -1).argmin(1)
        row, column = best // n, best % n
        plan[each, row, column] += torch.isfinite(open_cells[each, row, column]).to(plan.dtype)
        open_cells[each, row, :] = torch.inf
        open_cells[each, :, column] = torch.inf
    return plan / plan.sum((1, 2), keepdim=True).clamp(min=1)


@torch.no_grad()
def nearest_plan(cost: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """(b, m, n) plans with all of row i's mass at its cheapest valid column."""
    nearest = _masked(cost.detach(), torch.ones_like(rows), columns).argmin(2, keepdim=True)
    return torch.zeros_like(cost).scatter_(2, nearest, rows.unsqueeze(2).to(cost.dtype))


def _masked(cost: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """A copy of the cost with padding out of reach."""
    valid = (rows > 0).unsqueeze(2) & (columns > 0).unsqueeze(1)
    return torch.where(valid, cost, torch.full_like(cost, torch.inf))
