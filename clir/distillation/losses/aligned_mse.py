"""Align tokens one to one, then bring aligned tokens together: the distillation of DR.DECR."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import Tensor

from clir.distillation.losses.alignment import AlignmentOptions, SolverOption
from clir.distillation.losses.options import average, both_have_tokens, full, unit
from clir.distillation.targets import Targets
from clir.distillation.transport import Greedy
from clir.distillation.transport.cost import squared_cost
from clir.encoding.tower import States


class AlignedMSE(AlignmentOptions):
    """mean over the batch of sum_ij T_ij ||s_i - t_j||^2, T the alignment, states at length 1 if `normalize`.

    Li et al. 2022 (arXiv 2112.08185), section 3: greedy alignment by cosine, then mean squared error.
    With normalised states it is twice `ot` under the same plan: the difference is the alignment.
    """

    name: Literal["aligned-mse"] = "aligned-mse"
    solver: SolverOption = Field(default_factory=Greedy)
    normalize: bool = True

    def __call__(self, student: States, teacher: Targets) -> Tensor:
        plan = self.plan(self.costs(student, teacher).detach(), student, teacher)
        ours, theirs = (unit(part.tokens) if self.normalize else full(part.tokens) for part in (student, teacher))
        distance = 2 * squared_cost(ours, theirs)
        return average((plan * distance).sum((1, 2)), both_have_tokens(student, teacher))

    def products(self, texts: int, m: int, n: int, dimension: int) -> float:
        return 4.0 * texts * m * n * dimension
