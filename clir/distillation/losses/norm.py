"""How long token states are: what losses on cosines leave free, and what decides a mean-pooled vector."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from clir.distillation.losses.options import LossOptions, average, both_have_tokens, full
from clir.distillation.targets import Targets
from clir.encoding.tower import States


class Norm(LossOptions):
    """mean over pairs of (mean log ||s_i|| - mean log ||t_j||)^2 over content tokens.

    A term beside a loss on directions: logarithms make it the same for any scale of the states.
    """

    name: Literal["norm"] = "norm"

    def __call__(self, student: States, teacher: Targets) -> Tensor:
        gap = _mean_log_norm(student) - _mean_log_norm(teacher)
        return average(gap.square(), both_have_tokens(student, teacher))


def _mean_log_norm(states: States) -> Tensor:
    """(n,) mean over content tokens of the logarithm of their states' norm."""
    logs = full(states.tokens).norm(dim=-1).clamp(min=1e-6).log()
    return (logs * states.mask).sum(1) / states.mask.sum(1).clamp(min=1)
