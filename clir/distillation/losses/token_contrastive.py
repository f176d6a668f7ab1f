"""Token-level contrast: a student token must tell its aligned teacher tokens from all others in the batch."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from clir.distillation.losses.alignment import AlignmentOptions
from clir.distillation.losses.options import average, both_have_tokens, same_sentence, unit
from clir.distillation.targets import Targets
from clir.encoding.tower import States


class TokenContrastive(AlignmentOptions):
    """mean over pairs of -sum_ij T_ij log softmax_j'(cos(s_i, t_j') / temperature), j' over the batch's tokens.

    T is the transport plan of the pair. Contrastive representation distillation (Tian et al. 2020, arXiv
    1910.10699) on tokens, with soft positives where a word is several tokens on the other side. Tokens of
    another pair with the same English side are no negatives.
    """

    name: Literal["token-contrastive"] = "token-contrastive"
    temperature: float = Field(default=0.05, gt=0)

    def __call__(self, student: States, teacher: Targets) -> Tensor:
        plan = self.plan(self.costs(student, teacher).detach(), student, teacher)
        ours, theirs = unit(student.tokens), unit(teacher.tokens)
        count, m, _ = plan.shape
        scores = ours.reshape(count, 1, m, -1) @ theirs.transpose(1, 2) / self.temperature
        out = ~teacher.mask[None, :, None, :] | same_sentence(teacher.sentence)[:, :, None, None]
        scores = scores.masked_fill(out, float("-inf"))
        every = torch.logsumexp(scores, dim=(1, 3))
        each = torch.arange(count, device=plan.device)
        positive = scores[each, each].masked_fill(~teacher.mask[:, None, :], 0)
        losses = (plan.sum(2) * every.masked_fill(~student.mask, 0)).sum(1) - (plan * positive).sum((1, 2))
        # Without a content token there is nothing to tell apart, and no number; any other NaN must be seen.
        counted = both_have_tokens(student, teacher)
        return average(losses.masked_fill(counted == 0, 0), counted)

    def products(self, texts: int, m: int, n: int, dimension: int) -> float:
        return 2.0 * texts * (texts + 1) * m * n * dimension
