"""Marginals: how much each token has to give or to take."""

from __future__ import annotations

import torch
from torch import Tensor


def marginal(weights: Tensor, mask: Tensor) -> Tensor:
    """(b, m) non-negative token weights to a distribution over the valid tokens of each row.

    A row without a valid token (or with zero weight) gets the uniform distribution over all
    positions, so that a solver stays finite; its caller must leave that row out of the loss.
    """
    weights = torch.where(mask, weights, torch.zeros_like(weights))
    total = weights.sum(1, keepdim=True)
    uniform = torch.full_like(weights, 1 / weights.shape[1])
    return torch.where(total > 0, weights / total.clamp(min=torch.finfo(weights.dtype).tiny), uniform)


def marginal_error(plan: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """(b,) mass of each (b, m, n) plan that is not where the marginals want it: half the L1 distance, both sides."""
    return ((plan.sum(2) - rows).abs().sum(1) + (plan.sum(1) - columns).abs().sum(1)) / 2
