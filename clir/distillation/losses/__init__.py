"""The distillation losses, one file each: an options object that, called on a batch, gives a scalar."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from torch import Tensor

from clir.distillation.losses.aligned_mse import AlignedMSE
from clir.distillation.losses.contrastive import Contrastive
from clir.distillation.losses.cosine import Cosine
from clir.distillation.losses.late_interaction import LateInteraction
from clir.distillation.losses.mse import MeanSquaredError
from clir.distillation.losses.norm import Norm
from clir.distillation.losses.options import LossOptions, named
from clir.distillation.losses.ot import OptimalTransport
from clir.distillation.losses.relevance import Relevance
from clir.distillation.losses.sinkhorn_divergence import SinkhornDivergence
from clir.distillation.losses.token_contrastive import TokenContrastive
from clir.distillation.targets import Targets
from clir.encoding.tower import States

LOSS_NAMES = (
    "ot", "sinkhorn-divergence", "mse", "cosine", "contrastive", "token-contrastive", "late-interaction",
    "aligned-mse", "relevance", "norm",
)  # fmt: skip
SingleLoss = Annotated[
    OptimalTransport | SinkhornDivergence | MeanSquaredError | Cosine | Contrastive | TokenContrastive
    | LateInteraction | AlignedMSE | Relevance | Norm,
    Field(discriminator="name"),
]  # fmt: skip


class Term(BaseModel):
    """One loss of a sum, with its weight."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    weight: float = Field(default=1.0, gt=0)
    loss: SingleLoss


class WeightedSum(LossOptions):
    """The weighted sum of losses on the same batch. In a recipe: a list of losses, each with a `weight`."""

    name: Literal["sum"] = "sum"
    terms: tuple[Term, ...] = Field(min_length=1)

    def __call__(self, student: States, teacher: Targets) -> Tensor:
        total = self.terms[0].weight * self.terms[0].loss(student, teacher)
        for term in self.terms[1:]:
            total = total + term.weight * term.loss(student, teacher)
        return total

    def asks(self) -> frozenset[str]:
        return frozenset().union(*(term.loss.asks() for term in self.terms))

    def by_sentence(self) -> bool:
        return any(term.loss.by_sentence() for term in self.terms)

    def queued(self) -> int:
        return max(term.loss.queued() for term in self.terms)

    def products(self, texts: int, m: int, n: int, dimension: int) -> float:
        return sum(term.loss.products(texts, m, n, dimension) for term in self.terms)

    def transport_operations(self, texts: int, m: int, n: int) -> float:
        return sum(term.loss.transport_operations(texts, m, n) for term in self.terms)


def as_written(value: Any) -> Any:
    """A loss as recipes write it, as its options: a name, `a+b`, options, or a list of these with weights."""
    if isinstance(value, str) and "+" in value:
        return as_written(value.split("+"))
    if isinstance(value, list | tuple):
        return {"name": "sum", "terms": [_term(part) for part in value]}
    return named(value)


def _term(value: Any) -> Any:
    value = named(value)
    if not isinstance(value, Mapping) or "name" not in value:
        return value
    options = {key: given for key, given in value.items() if key != "weight"}
    return {"loss": options} | ({"weight": value["weight"]} if "weight" in value else {})


AnyLoss = Annotated[
    OptimalTransport | SinkhornDivergence | MeanSquaredError | Cosine | Contrastive | TokenContrastive
    | LateInteraction | AlignedMSE | Relevance | Norm | WeightedSum,
    Field(discriminator="name"),
]  # fmt: skip
Loss = Annotated[AnyLoss, BeforeValidator(as_written)]


def default_loss() -> WeightedSum:
    """What was best on dev topics (docs/results.md): transport, and a tenth of the aligned tokens' contrast."""
    return WeightedSum(terms=(Term(loss=OptimalTransport()), Term(weight=0.1, loss=TokenContrastive())))


__all__ = [
    "LOSS_NAMES", "AlignedMSE", "Contrastive", "Cosine", "LateInteraction", "Loss", "LossOptions", "MeanSquaredError",
    "Norm", "OptimalTransport", "Relevance", "SinkhornDivergence", "Term", "TokenContrastive", "WeightedSum",
    "as_written", "default_loss",
]  # fmt: skip
