"""Unbalanced transport: a token may give or take less than its share, for a price."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from clir.distillation.transport.cost import cheapest
from clir.distillation.transport.options import EntropicSolver, strength
from clir.distillation.transport.sinkhorn import OPERATIONS_PER_CELL
from clir.distillation.transport.threads import small_on_one_thread


class Unbalanced(EntropicSolver):
    """min_T <T, C> + epsilon KL(T | a b') + rho KL(T 1 | a) + rho KL(T' 1 | b): Chizat et al. 2018 (arXiv 1607.05816).

    rho, in the unit of epsilon: what mass that is not moved costs; a large one makes it balanced. With the
    unit `spread`, costs count from each problem's cheapest cell: else the level of the costs, which says
    nothing of tokens where all states share a direction, would decide how much is moved.
    """

    name: Literal["unbalanced"] = "unbalanced"
    rho: float = Field(default=2.0, gt=0)
    iterations: int = Field(default=50, ge=1)

    def __call__(self, cost: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        epsilon = self.entropy(cost, rows, columns)
        rho = strength(self.rho, self.epsilon_unit, cost, rows, columns)
        if self.epsilon_unit == "spread":
            cost = cost - cheapest(cost.detach(), rows, columns)[:, None, None]
        return unbalanced_plan(cost, rows, columns, epsilon, rho, self.iterations)

    def operations(self, m: int, n: int) -> float:
        return float(OPERATIONS_PER_CELL * self.iterations * m * n)


@small_on_one_thread
def unbalanced_plan(
    cost: Tensor, rows: Tensor, columns: Tensor, epsilon: Tensor | float, rho: Tensor | float, iterations: int
) -> Tensor:
    """The (b, m, n) plans; shapes as for `sinkhorn`, rho one for all or (b,). Sums need not be the marginals."""
    epsilon, rho = (
        torch.as_tensor(value, dtype=cost.dtype, device=cost.device).reshape(-1, 1) for value in (epsilon, rho)
    )
    damping = rho / (rho + epsilon)
    kernel = -cost / epsilon.unsqueeze(2)
    log_rows, log_columns = rows.log(), columns.log()
    f, g = torch.zeros_like(rows), torch.zeros_like(columns)
    # The reference measure a b' holds each side's own marginal, which cancels from its potential.
    for _ in range(iterations):
        f = -damping * torch.logsumexp(kernel + (g + log_columns).unsqueeze(1), dim=2)
        g = -damping * torch.logsumexp(kernel + (f + log_rows).unsqueeze(2), dim=1)
    return (kernel + (f + log_rows).unsqueeze(2) + (g + log_columns).unsqueeze(1)).exp()
