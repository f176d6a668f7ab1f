"""What all transport solvers share: frozen options that, called on a problem, give its plan."""

from __future__ import annotations

import abc
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from clir.distillation.transport.cost import spread

Unit = Literal["spread", "absolute"]


class Solver(BaseModel, abc.ABC):
    """Called on costs (b, m, n) and marginals (b, m) and (b, n), zero for padding, gives plans (b, m, n).

    The plan is a differentiable function of the cost if gradients are enabled and the solver is smooth.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @abc.abstractmethod
    def __call__(self, cost: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        """The plans."""

    @abc.abstractmethod
    def operations(self, m: int, n: int) -> float:
        """Floating-point operations on a problem of m by n tokens (early stopping left out)."""


class EntropicSolver(Solver):
    """A solver with an entropy of strength epsilon, in the given unit (`strength`)."""

    epsilon: float = Field(default=0.1, gt=0)
    epsilon_unit: Unit = "spread"

    def entropy(self, cost: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        """(b,) epsilon of each problem in the unit of its costs."""
        return strength(self.epsilon, self.epsilon_unit, cost, rows, columns)


def strength(value: float, unit: Unit, cost: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """(b,) `value` in the unit of each problem's costs: as it is, or times the spread of its costs.

    Token cosines of some models crowd together, so that an absolute epsilon of .05 gives an almost
    uniform plan; in units of the spread (`cost.spread`) it means the same for all models.
    """
    if unit == "absolute":
        return cost.new_full((len(cost),), value)
    return value * spread(cost.detach(), rows, columns)
