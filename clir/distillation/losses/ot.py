"""OPTICAL-style loss: the cost of transporting the student's foreign tokens onto the teacher's English ones."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from clir.distillation.losses.alignment import AlignmentOptions
from clir.distillation.losses.options import average, both_have_tokens
from clir.distillation.targets import Targets
from clir.encoding.tower import States


class OptimalTransport(AlignmentOptions):
    """mean over the batch of <T, C>, C the costs between token states and T the transport plan.

    After OPTICAL (Huang, Yu and Allan, WSDM 2023, arXiv 2301.12566). By default the plan is a constant
    of the gradient: at the optimum the envelope theorem makes its own derivative vanish from the
    entropic value. `differentiate_plan` sends the gradient through the solver's iterations as well
    (exact and hard plans have none).
    """

    name: Literal["ot"] = "ot"
    # Not in OPTICAL; without it transport teaches little where states point in one direction (docs/results.md).
    centred: bool = True
    differentiate_plan: bool = False

    def __call__(self, student: States, teacher: Targets) -> Tensor:
        cost = self.costs(student, teacher)
        plan = self.plan(cost if self.differentiate_plan else cost.detach(), student, teacher)
        return average((plan * cost).sum((1, 2)), both_have_tokens(student, teacher))
