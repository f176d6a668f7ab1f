"""Cost matrices between the student's and the teacher's tokens, and how far their costs spread."""

from __future__ import annotations

import torch
from torch import Tensor

# Below this spread all costs of a problem are the same and any plan is as good.
SMALLEST_SPREAD = 1e-6


def cosine_cost(student: Tensor, teacher: Tensor) -> Tensor:
    """(b, m, d) and (b, n, d) token states to the (b, m, n) cost matrix 1 - cosine, from 0 to 2."""
    normalized = torch.nn.functional.normalize
    return 1 - normalized(student, dim=-1) @ normalized(teacher, dim=-1).transpose(1, 2)


def squared_cost(student: Tensor, teacher: Tensor) -> Tensor:
    """(b, m, d) and (b, n, d) token states to the (b, m, n) cost matrix ||s - t||^2 / 2.

    On unit vectors it equals `cosine_cost`; on others it also compares lengths.
    """
    ours, theirs = (states.square().sum(-1) for states in (student, teacher))
    product = student @ teacher.transpose(1, 2)
    # Rounding may leave a tiny negative distance between equal states.
    return ((ours.unsqueeze(2) + theirs.unsqueeze(1)) / 2 - product).clamp(min=0)


def centre(student: Tensor, student_mask: Tensor, teacher: Tensor, teacher_mask: Tensor) -> tuple[Tensor, Tensor]:
    """Both (b, m, d) and (b, n, d) states less the mean of the batch's valid teacher tokens.

    Token states of many encoders share one large direction, so that all their cosines are near 1; what
    is left without it tells tokens apart.
    """
    kept = teacher_mask.unsqueeze(-1).to(teacher.dtype)
    mean = (teacher * kept).sum((0, 1)) / kept.sum().clamp(min=1)
    return student - mean, teacher - mean


def relative(cost: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """(b, m, n) costs less one valid cell's of each problem: balanced plans are the same, and float32 keeps digits.

    Divided by a small epsilon, large costs that hardly differ would leave differences to rounding.
    """
    each = torch.arange(len(cost), device=cost.device)
    return cost - cost[each, rows.argmax(1), columns.argmax(1)].reshape(-1, 1, 1)


def spread(cost: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """(b,) standard deviation of each problem's costs over its valid cells.

    cost: (b, m, n); rows: (b, m) and columns: (b, n), true or positive where valid. Entropic transport
    depends on epsilon only through epsilon / spread: scaling all costs scales both.
    """
    valid = ((rows > 0).unsqueeze(2) & (columns > 0).unsqueeze(1)).to(cost.dtype)
    count = valid.sum((1, 2)).clamp(min=1)
    mean = (cost * valid).sum((1, 2)) / count
    variance = ((cost - mean[:, None, None]) ** 2 * valid).sum((1, 2)) / count
    return variance.sqrt().clamp(min=SMALLEST_SPREAD)


def cheapest(cost: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """(b,) the lowest cost of each problem's valid cells; shapes as for `spread`."""
    valid = (rows > 0).unsqueeze(2) & (columns > 0).unsqueeze(1)
    return cost.masked_fill(~valid, torch.inf).amin((1, 2))
