"""What every loss's options share: they are frozen, and an unknown key is refused."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class LossOptions(BaseModel):
    """Base of the losses' options."""

    model_config = ConfigDict(extra="forbid", frozen=True)
