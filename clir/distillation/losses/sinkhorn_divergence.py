"""Sinkhorn divergence: transport between the two sets of tokens, less what each costs to itself."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from clir.distillation.losses.options import LossOptions, average, both_have_tokens, full, unit
from clir.distillation.targets import Targets
from clir.distillation.transport.cost import squared_cost
from clir.distillation.transport.marginals import marginal
from clir.distillation.transport.sinkhorn import OPERATIONS_PER_CELL, sinkhorn
from clir.encoding.tower import States


class SinkhornDivergence(LossOptions):
    """mean of OT(s, t) - OT(s, s) / 2 - OT(t, t) / 2, OT = min_T <T, C> + epsilon KL(T | a b').

    C = ||x - y||^2 / 2 on token states (of length 1 if `normalize`), epsilon = blur^2, uniform
    marginals. Feydy et al. 2019 (arXiv 1810.08278), as a distillation loss Bhardwaj et al. 2021 (arXiv
    2112.03473), whose blur is .05. It is 0 only for equal sets, which entropic transport is not.
    """

    name: Literal["sinkhorn-divergence"] = "sinkhorn-divergence"
    blur: float = Field(default=0.05, gt=0)
    iterations: int = Field(default=50, ge=1)
    normalize: bool = True

    def __call__(self, student: States, teacher: Targets) -> Tensor:
        ours, theirs = (unit(part.tokens) if self.normalize else full(part.tokens) for part in (student, teacher))
        rows, columns = (
            marginal(torch.ones_like(part.mask, dtype=ours.dtype), part.mask) for part in (student, teacher)
        )
        across = self._value(ours, theirs, rows, columns)
        within = self._value(ours, ours, rows, rows) + self._value(theirs, theirs, columns, columns)
        return average(across - within / 2, both_have_tokens(student, teacher))

    def products(self, texts: int, m: int, n: int, dimension: int) -> float:
        return 2.0 * texts * (m * n + m * m + n * n) * dimension

    def transport_operations(self, texts: int, m: int, n: int) -> float:
        return float(texts * OPERATIONS_PER_CELL * self.iterations * (m * n + m * m + n * n))

    def _value(self, ours: Tensor, theirs: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        """(b,) entropic transport costs; the gradient is the plan's, by the envelope theorem."""
        cost, epsilon = squared_cost(ours, theirs), self.blur**2
        with torch.no_grad():
            plan = sinkhorn(cost.detach(), rows, columns, epsilon, self.iterations)
            independent = rows.unsqueeze(2) * columns.unsqueeze(1)
            entropy = (torch.xlogy(plan, plan) - torch.xlogy(plan, independent)).sum((1, 2))
        return (plan * cost).sum((1, 2)) + epsilon * entropy
