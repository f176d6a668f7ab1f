"""How token losses align a pair: cost, marginals and solver, shared by transport and token-wise losses."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import BeforeValidator, Field
from torch import Tensor

from clir.distillation.losses.options import LossOptions, full, named
from clir.distillation.targets import Targets
from clir.distillation.transport import AnySolver, Sinkhorn
from clir.distillation.transport.cost import centre, cosine_cost, squared_cost
from clir.distillation.transport.marginals import marginal
from clir.encoding.tower import States

SolverOption = Annotated[AnySolver, BeforeValidator(named)]


class AlignmentOptions(LossOptions):
    """Options of a loss that aligns a student's tokens with a teacher's.

    solver: how (a name, or its options). cost: cosine, or squared Euclidean. centred: take the mean
    teacher token of the batch from all tokens first. marginals: all tokens alike, by the norm of their
    states, or by inverse document frequency. Prompt, special and padding tokens have no mass.
    """

    solver: SolverOption = Field(default_factory=Sinkhorn)
    cost: Literal["cosine", "squared"] = "cosine"
    centred: bool = False
    marginals: Literal["uniform", "norm", "idf"] = "uniform"

    def asks(self) -> frozenset[str]:
        return self.needs | ({"student_idf", "teacher_idf"} if self.marginals == "idf" else set())

    def costs(self, student: States, teacher: Targets) -> Tensor:
        """The (b, m, n) costs between the tokens of each pair, in float32."""
        ours, theirs = full(student.tokens), full(teacher.tokens)
        if self.centred:
            ours, theirs = centre(ours, student.mask, theirs, teacher.mask)
        return cosine_cost(ours, theirs) if self.cost == "cosine" else squared_cost(ours, theirs)

    def plan(self, cost: Tensor, student: States, teacher: Targets) -> Tensor:
        """The (b, m, n) plans for `cost`."""
        return self.solver(
            cost, self._marginal(student, teacher, "student"), self._marginal(teacher, teacher, "teacher")
        )

    def products(self, texts: int, m: int, n: int, dimension: int) -> float:
        return 2.0 * texts * m * n * dimension

    def transport_operations(self, texts: int, m: int, n: int) -> float:
        return texts * self.solver.operations(m, n)

    def _marginal(self, states: States, teacher: Targets, side: str) -> Tensor:
        if self.marginals == "norm":
            weights = full(states.tokens.detach()).norm(dim=-1)
        elif self.marginals == "idf":
            weights = teacher.demand(f"{side}_idf").float()
        else:
            weights = torch.ones_like(states.mask, dtype=full(states.tokens).dtype)
        return marginal(weights.to(full(states.tokens).dtype), states.mask)
