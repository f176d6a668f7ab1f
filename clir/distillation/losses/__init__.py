"""The distillation losses, one file each: an options object that, called on States, gives a scalar."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from clir.distillation.losses.contrastive import Contrastive
from clir.distillation.losses.mse import MeanSquaredError
from clir.distillation.losses.ot import OptimalTransport

Loss = Annotated[OptimalTransport | MeanSquaredError | Contrastive, Field(discriminator="name")]
LOSS_NAMES = ("ot", "mse", "contrastive")

__all__ = ["LOSS_NAMES", "Contrastive", "Loss", "MeanSquaredError", "OptimalTransport"]
