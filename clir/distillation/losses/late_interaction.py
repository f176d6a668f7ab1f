"""InfoNCE over MaxSim: token by token, each foreign sentence must find its English side in the batch."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from clir.distillation.losses.options import LossOptions, average, both_have_tokens, same_sentence, unit
from clir.distillation.targets import Targets
from clir.encoding.tower import States


class LateInteraction(LossOptions):
    """mean over i of -log softmax_j(MaxSim(s_i, t_j) / temperature) at j = i.

    MaxSim(s, t) is the mean over the student's content tokens of their greatest cosine to a teacher's
    (Khattab and Zaharia 2020, arXiv 2004.12832, as a mean, so that long sentences weigh no more).
    """

    name: Literal["late-interaction"] = "late-interaction"
    temperature: float = Field(default=0.02, gt=0)

    def __call__(self, student: States, teacher: Targets) -> Tensor:
        scores = mean_maxsim(student, teacher) / self.temperature
        absent = ~teacher.mask.any(1) | same_sentence(teacher.sentence)
        counted = both_have_tokens(student, teacher)
        scores = scores.masked_fill(
            absent & ~torch.eye(len(scores), dtype=torch.bool, device=scores.device), -torch.inf
        )
        itself = torch.arange(len(scores), device=scores.device)
        return average(torch.nn.functional.cross_entropy(scores, itself, reduction="none"), counted)

    def products(self, texts: int, m: int, n: int, dimension: int) -> float:
        return 2.0 * texts * texts * m * n * dimension


def mean_maxsim(student: States, teacher: States) -> Tensor:
    """(b, c) mean over each student's content tokens of the greatest cosine to a content token of each teacher."""
    ours, theirs = unit(student.tokens), unit(teacher.tokens)
    similarities = ours.unsqueeze(1) @ theirs.transpose(1, 2)
    best = similarities.masked_fill(~teacher.mask[None, :, None, :], -2).amax(-1)
    weights = student.mask.to(best.dtype).unsqueeze(1)
    return (best * weights).sum(-1) / weights.sum(-1).clamp(min=1)
