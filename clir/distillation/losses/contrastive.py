"""InfoNCE over sentence vectors: each foreign sentence must find its English side in the batch."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from clir.distillation.losses.options import LossOptions
from clir.encoding.tower import States


class Contrastive(LossOptions):
    """mean over i of -log softmax_j(cos(s_i, t_j) / temperature) at j = i, in-batch negatives.

    s: (n, d) student's foreign sentences, t: (n, d) teacher's English ones. van den Oord et al. 2018
    (arXiv 1807.03748). A negative with the same vector as the positive (an English sentence that
    stands twice in the batch) is left out.
    """

    name: Literal["contrastive"] = "contrastive"
    temperature: float = Field(default=0.02, gt=0)

    def __call__(self, student: States, teacher: States) -> Tensor:
        targets = torch.nn.functional.normalize(teacher.sentence, dim=-1)
        scores = torch.nn.functional.normalize(student.sentence, dim=-1) @ targets.T / self.temperature
        itself = torch.eye(len(targets), dtype=torch.bool, device=scores.device)
        same = (targets @ targets.T > 1 - 1e-6) & ~itself
        positions = torch.arange(len(targets), device=scores.device)
        return torch.nn.functional.cross_entropy(scores.masked_fill(same, float("-inf")), positions)
