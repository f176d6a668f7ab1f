"""Transport by proximal points (IPOT): nearly exact plans, by entropic steps that each start from the last plan."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from clir.distillation.transport.cost import relative
from clir.distillation.transport.options import Solver, Unit, strength
from clir.distillation.transport.sinkhorn import OPERATIONS_PER_CELL, first_potential, log_steps, scaling_steps
from clir.distillation.transport.threads import small_on_one_thread


class Proximal(Solver):
    """T_{k+1} = argmin_T <T, C> + beta KL(T | T_k), in the log domain: Xie et al. 2019 (arXiv 1802.04307).

    iterations: outer steps; inner: Sinkhorn iterations in each. After k outer steps the plan is close to
    the entropic one of epsilon = beta / k.
    """

    name: Literal["ipot"] = "ipot"
    beta: float = Field(default=1.0, gt=0)
    beta_unit: Unit = "spread"
    iterations: int = Field(default=25, ge=1)
    inner: int = Field(default=1, ge=1)

    def __call__(self, cost: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        beta = strength(self.beta, self.beta_unit, cost, rows, columns)
        return proximal_plan(cost, rows, columns, beta, self.iterations, self.inner)

    def operations(self, m: int, n: int) -> float:
        return float((OPERATIONS_PER_CELL * self.inner + 2) * self.iterations * m * n)


@small_on_one_thread
def proximal_plan(
    cost: Tensor, rows: Tensor, columns: Tensor, beta: Tensor | float, iterations: int, inner: int = 1
) -> Tensor:
    """The (b, m, n) plans after `iterations` proximal steps of `inner` Sinkhorn iterations each.

    Shapes and marginals as for `sinkhorn`; beta in the unit of the cost, one for all or (b,). Column
    sums are exact. Differentiable if gradients are enabled and `cost` requires one.
    """
    step = -relative(cost, rows, columns) / torch.as_tensor(beta, dtype=cost.dtype, device=cost.device).reshape(
        -1, 1, 1
    )
    differentiated = torch.is_grad_enabled() and cost.requires_grad
    f, g = torch.zeros_like(rows), first_potential(columns)
    f_moved, g_moved = torch.zeros_like(rows), torch.zeros_like(columns)
    # T_k is exp(k step) with scaled rows and columns, so that the next step only continues the scaling of
    # exp((k + 1) step). It begins with the last step's scalings once more, as the paper's algorithm 1 does:
    # near the optimum all steps scale alike, and from ones a few inner iterations would forever lag behind.
    for outer in range(1, iterations + 1):
        steps = log_steps if differentiated or outer == 1 else scaling_steps
        before_f, before_g = f, g
        f, g = steps(outer * step, rows, columns, f + f_moved, g + g_moved, inner)
        f_moved, g_moved = (f - before_f).masked_fill(rows == 0, 0), (g - before_g).masked_fill(columns == 0, 0)
    return (iterations * step + f.unsqueeze(2) + g.unsqueeze(1)).exp()
