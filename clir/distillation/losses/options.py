"""What every loss shares: frozen options that, called on a batch, give a scalar, and know their own cost."""

from __future__ import annotations

import abc
from typing import Any, ClassVar

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from clir.distillation.targets import Targets
from clir.encoding.tower import States


class LossOptions(BaseModel, abc.ABC):
    """Base of the losses. `needs` names the parts of `Targets` that a loss reads besides the states; `sentences`
    says whether it compares sentence vectors, which a model trained for late interaction does not have.

    Of the cost, `products` counts matrix products between states and `transport_operations` what solvers
    do; both for one forward pass over `texts` pairs of m student and n teacher tokens.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    needs: ClassVar[frozenset[str]] = frozenset()
    sentences: ClassVar[bool] = False

    @abc.abstractmethod
    def __call__(self, student: States, teacher: Targets) -> Tensor:
        """The loss of a batch, a scalar."""

    def asks(self) -> frozenset[str]:
        """The parts of `Targets` that this loss reads with the options it has."""
        return self.needs

    def by_sentence(self) -> bool:
        """Whether it compares sentence vectors."""
        return self.sentences

    def queued(self) -> int:
        """How many earlier English sides it wants as negatives."""
        return 0

    def products(self, texts: int, m: int, n: int, dimension: int) -> float:
        """Operations of forward matrix products between states."""
        return 0.0

    def transport_operations(self, texts: int, m: int, n: int) -> float:
        """Operations of transport solvers."""
        return 0.0


def named(value: Any) -> Any:
    """A bare name as the options of that name."""
    return {"name": value} if isinstance(value, str) else value


def full(states: Tensor) -> Tensor:
    """States in float32 where they come in half precision: sums over cosines and exponents want it."""
    return states.float() if states.dtype in (torch.float16, torch.bfloat16) else states


def unit(states: Tensor) -> Tensor:
    """(..., d) states at length 1, in full precision."""
    return torch.nn.functional.normalize(full(states), dim=-1)


def both_have_tokens(student: States, teacher: States) -> Tensor:
    """(n,) 1 for pairs with a content token on both sides; a text of special tokens alone has nothing to align."""
    return (student.mask.any(1) & teacher.mask.any(1)).to(full(student.tokens).dtype)


def average(values: Tensor, counted: Tensor) -> Tensor:
    """The mean of (n,) values over the pairs that count, 0 if none does."""
    return (values * counted).sum() / counted.sum().clamp(min=1)


def same_sentence(sentences: Tensor) -> Tensor:
    """(n, n) which teacher sentences are another's equal: an English sentence may stand twice in a batch."""
    unit_vectors = unit(sentences)
    itself = torch.eye(len(sentences), dtype=torch.bool, device=sentences.device)
    return (unit_vectors @ unit_vectors.T > 1 - 1e-6) & ~itself
