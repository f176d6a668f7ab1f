"""Entropic optimal transport between two sets of tokens, batched and masked, in the log domain."""

from __future__ import annotations

import torch
from torch import Tensor

# Below this spread all costs of a problem are the same and any plan is as good.
SMALLEST_SPREAD = 1e-6


def cosine_cost(student: Tensor, teacher: Tensor) -> Tensor:
    """(b, m, d) and (b, n, d) token states to the (b, m, n) cost matrix 1 - cosine."""
    normalized = torch.nn.functional.normalize
    return 1 - normalized(student, dim=-1) @ normalized(teacher, dim=-1).transpose(1, 2)


def marginal(weights: Tensor, mask: Tensor) -> Tensor:
    """(b, m) non-negative token weights to a distribution over the valid tokens of each row.

    A row without a valid token (or with zero weight) gets the uniform distribution over all
    positions, so that the solver stays finite; its caller must leave that row out of the loss.
    """
    weights = torch.where(mask, weights, torch.zeros_like(weights))
    total = weights.sum(1, keepdim=True)
    uniform = torch.full_like(weights, 1 / weights.shape[1])
    return torch.where(total > 0, weights / total.clamp(min=torch.finfo(weights.dtype).tiny), uniform)


def spread(cost: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """(b,) standard deviation of each problem's costs over its valid cells.

    cost: (b, m, n); rows: (b, m) and columns: (b, n) bool. Entropic transport depends on epsilon
    only through epsilon / spread: scaling all costs scales both.
    """
    valid = (rows.unsqueeze(2) & columns.unsqueeze(1)).to(cost.dtype)
    count = valid.sum((1, 2)).clamp(min=1)
    mean = (cost * valid).sum((1, 2)) / count
    variance = ((cost - mean[:, None, None]) ** 2 * valid).sum((1, 2)) / count
    return variance.sqrt().clamp(min=SMALLEST_SPREAD)


def sinkhorn(cost: Tensor, rows: Tensor, columns: Tensor, epsilon: Tensor | float, iterations: int) -> Tensor:
    """The (b, m, n) transport plans of b problems by Sinkhorn's iteration in the log domain.

    cost: (b, m, n); rows: (b, m) and columns: (b, n) marginals, each summing to 1, zero for padding;
    epsilon: strength of the entropy, in the unit of the cost, one for all or (b,). Column sums are
    exact, row sums as near as `iterations` bring them. Cuturi 2013 (arXiv 1306.0895); log domain
    after Peyre and Cuturi 2019 (arXiv 1803.00567), section 4.4.
    """
    if iterations < 1:
        raise ValueError("iterations must be at least 1")
    scale = torch.as_tensor(epsilon, dtype=cost.dtype, device=cost.device).reshape(-1, 1, 1)
    kernel = -cost / scale
    log_rows, log_columns = rows.log(), columns.log()
    g = torch.zeros_like(columns)
    f = torch.zeros_like(rows)
    for _ in range(iterations):
        f = log_rows - torch.logsumexp(kernel + g.unsqueeze(1), dim=2)
        g = log_columns - torch.logsumexp(kernel + f.unsqueeze(2), dim=1)
    return (kernel + f.unsqueeze(2) + g.unsqueeze(1)).exp()
