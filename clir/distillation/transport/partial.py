"""Partial transport: only the given share of the mass moves, and the cheapest does."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from clir.distillation.transport.cost import relative
from clir.distillation.transport.options import EntropicSolver
from clir.distillation.transport.threads import small_on_one_thread

# As Sinkhorn's, and one more sum over all cells.
OPERATIONS_PER_CELL = 16


class Partial(EntropicSolver):
    """min <T, C> - epsilon H(T) with T 1 <= a, T' 1 <= b and total `mass`: Benamou et al. 2015 (arXiv 1412.5154), 4.1.

    By ascent on the dual, one block after the other: its two potentials of inequalities are never positive.
    """

    name: Literal["partial"] = "partial"
    mass: float = Field(default=0.8, gt=0, le=1)
    iterations: int = Field(default=50, ge=1)

    def __call__(self, cost: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        epsilon = self.entropy(cost, rows, columns)
        return partial_plan(cost, rows, columns, epsilon, self.mass, self.iterations)

    def operations(self, m: int, n: int) -> float:
        return float(OPERATIONS_PER_CELL * self.iterations * m * n)


@small_on_one_thread
def partial_plan(
    cost: Tensor, rows: Tensor, columns: Tensor, epsilon: Tensor | float, mass: float, iterations: int
) -> Tensor:
    """The (b, m, n) plans of total `mass`; shapes as for `sinkhorn`. The total is exact, row and column
    sums are at most the marginals as near as `iterations` bring them."""
    kernel = -relative(cost, rows, columns) / torch.as_tensor(epsilon, dtype=cost.dtype, device=cost.device).reshape(
        -1, 1, 1
    )
    log_rows, log_columns = rows.log(), columns.log()
    total = torch.zeros(len(cost), 1, dtype=cost.dtype, device=cost.device)
    f, g = log_rows.clamp(max=0), log_columns.clamp(max=0)
    for _ in range(iterations):
        f = (log_rows - total - torch.logsumexp(kernel + g.unsqueeze(1), dim=2)).clamp(max=0)
        g = (log_columns - total - torch.logsumexp(kernel + f.unsqueeze(2), dim=1)).clamp(max=0)
        moved = torch.logsumexp(kernel + f.unsqueeze(2) + g.unsqueeze(1), dim=(1, 2))
        total = torch.log(torch.as_tensor(mass, dtype=cost.dtype)) - moved.unsqueeze(1)
    return (kernel + f.unsqueeze(2) + g.unsqueeze(1) + total.unsqueeze(2)).exp()
