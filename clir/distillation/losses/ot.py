"""OPTICAL-style loss: the cost of transporting the student's foreign tokens onto the teacher's English ones."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from clir.distillation.losses.contrastive import Contrastive
from clir.distillation.losses.mse import MeanSquaredError
from clir.distillation.losses.options import LossOptions
from clir.distillation.transport import cosine_cost, marginal, sinkhorn, spread
from clir.encoding.tower import States


class OptimalTransport(LossOptions):
    """mean over the batch of <T, C>, C = 1 - cosine of token states, T the entropic transport plan.

    After OPTICAL (Huang, Yu and Allan, WSDM 2023, arXiv 2301.12566). The plan is a constant of the
    gradient: at the optimum the envelope theorem makes its own derivative vanish from the entropic
    value. Prompt, special and padding tokens have no mass.

    epsilon: entropy, by default in units of each problem's cost spread (`spread`), since token
    cosines of some models crowd together: an absolute .05 then makes the plan almost uniform.
    marginals: uniform over tokens, or by the norm of their states. sentence_term: a second loss on
    the sentence vectors, weighed by sentence_weight.
    """

    name: Literal["ot"] = "ot"
    epsilon: float = Field(default=0.1, gt=0)
    epsilon_unit: Literal["spread", "absolute"] = "spread"
    iterations: int = Field(default=50, ge=1)
    marginals: Literal["uniform", "norm"] = "uniform"
    sentence_term: Literal["none", "mse", "contrastive"] = "none"
    sentence_weight: float = Field(default=1.0, ge=0)
    temperature: float = Field(default=0.02, gt=0)

    def __call__(self, student: States, teacher: States) -> Tensor:
        cost = cosine_cost(student.tokens.float(), teacher.tokens.float())
        plan = self.plan(cost.detach(), student, teacher)
        # A text of nothing but special tokens has nothing to transport.
        both = (student.mask.any(1) & teacher.mask.any(1)).to(cost.dtype)
        transported = ((plan * cost).sum((1, 2)) * both).sum() / both.sum().clamp(min=1)
        return transported + self._sentence_loss(student, teacher)

    @torch.no_grad()
    def plan(self, cost: Tensor, student: States, teacher: States) -> Tensor:
        """The (b, m, n) plans for the (b, m, n) costs between the tokens of `student` and `teacher`."""
        epsilon: Tensor | float = self.epsilon
        if self.epsilon_unit == "spread":
            epsilon = self.epsilon * spread(cost, student.mask, teacher.mask)
        return sinkhorn(cost, self._marginal(student), self._marginal(teacher), epsilon, self.iterations)

    def _marginal(self, states: States) -> Tensor:
        if self.marginals == "norm":
            return marginal(states.tokens.float().norm(dim=-1), states.mask)
        return marginal(torch.ones_like(states.mask, dtype=torch.float32), states.mask)

    def _sentence_loss(self, student: States, teacher: States) -> Tensor:
        if self.sentence_term == "mse":
            return self.sentence_weight * MeanSquaredError()(student, teacher)
        if self.sentence_term == "contrastive":
            return self.sentence_weight * Contrastive(temperature=self.temperature)(student, teacher)
        return student.sentence.new_zeros(())
