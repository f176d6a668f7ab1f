"""Entropic optimal transport, batched and masked: Sinkhorn's iteration, stable for small epsilon and still fast.

Where no gradient is asked for, iterations scale a kernel that has the potentials absorbed in it (two
matrix-vector products each); a segment of them whose scalings grow too far is done again in the log domain.
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from clir.distillation.transport.cost import relative
from clir.distillation.transport.options import EntropicSolver
from clir.distillation.transport.threads import small_on_one_thread

# Iterations between absorptions of the scalings into the potentials.
SEGMENT = 10
# Scalings outside 1 / LARGEST_SCALING to LARGEST_SCALING may have met kernel entries that were rounded to zero.
LARGEST_SCALING = 1e12
# exp, add, subtract, compare and sum of each cell, for rows and for columns.
OPERATIONS_PER_CELL = 12


class Sinkhorn(EntropicSolver):
    """Cuturi 2013 (arXiv 1306.0895); stabilised after Schmitzer 2019 (arXiv 1610.06519), section 3.

    tolerance: stop when at most this share of the mass is out of its row (0: never before `iterations`).
    annealing: begin with epsilon times this and come down to epsilon over the first half of the
    iterations, geometrically; 1 keeps it.
    """

    name: Literal["sinkhorn"] = "sinkhorn"
    iterations: int = Field(default=50, ge=1)
    tolerance: float = Field(default=0.0, ge=0)
    annealing: float = Field(default=1.0, ge=1)

    def __call__(self, cost: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        epsilon = self.entropy(cost, rows, columns)
        return sinkhorn(cost, rows, columns, epsilon, self.iterations, self.tolerance, self.annealing)

    def operations(self, m: int, n: int) -> float:
        return float(OPERATIONS_PER_CELL * self.iterations * m * n)


@small_on_one_thread
def sinkhorn(
    cost: Tensor, rows: Tensor, columns: Tensor, epsilon: Tensor | float, iterations: int,
    tolerance: float = 0.0, annealing: float = 1.0,
) -> Tensor:  # fmt: skip
    """The (b, m, n) transport plans of b problems.

    cost: (b, m, n); rows: (b, m) and columns: (b, n) marginals, each summing to 1, zero for padding;
    epsilon: strength of the entropy, in the unit of the cost, one for all or (b,). Column sums are
    exact, row sums as near as `iterations` bring them, or within `tolerance` (share of the mass).
    Differentiable through every iteration if gradients are enabled and `cost` requires one.
    """
    if iterations < 1:
        raise ValueError("iterations must be at least 1")
    cost = relative(cost, rows, columns)
    target = torch.as_tensor(epsilon, dtype=cost.dtype, device=cost.device).reshape(-1, 1, 1)
    differentiated = torch.is_grad_enabled() and cost.requires_grad
    f, g = torch.zeros_like(rows), first_potential(columns)
    kernel, scale, done = -cost / target, 1.0, 0
    while done < iterations:
        # The first iteration from nothing moves potentials far: it is worth the log domain.
        count = 1 if done == 0 else min(SEGMENT, iterations - done)
        before, scale = scale, _annealed(done, iterations, annealing)
        if scale != before:
            kernel, f, g = -cost / (target * scale), f * (before / scale), g * (before / scale)
        steps = log_steps if done == 0 or differentiated else scaling_steps
        f, g = steps(kernel, rows, columns, f, g, count)
        done += count
        # Not while annealing: the plan of another epsilon is not the one that was asked for.
        if tolerance and scale == 1.0 and done < iterations and _within(kernel, rows, f, g, tolerance):
            break
    return (kernel + f.unsqueeze(2) + g.unsqueeze(1)).exp()


def first_potential(columns: Tensor) -> Tensor:
    """(b, n) zeros, and -inf for padding, which the first sums over columns must not see."""
    return torch.zeros_like(columns).masked_fill(columns == 0, -torch.inf)


def _annealed(done: int, iterations: int, annealing: float) -> float:
    """By how much epsilon is multiplied after `done` iterations: geometric, 1 from the half on."""
    if annealing == 1.0 or 2 * done >= iterations:
        return 1.0
    return float(annealing ** (1 - 2 * done / iterations))


def _within(kernel: Tensor, rows: Tensor, f: Tensor, g: Tensor, tolerance: float) -> bool:
    sums = (f + torch.logsumexp(kernel + g.unsqueeze(1), dim=2)).exp()
    return bool(((sums - rows).abs().sum(1) / 2).max() <= tolerance)


def log_steps(kernel: Tensor, rows: Tensor, columns: Tensor, f: Tensor, g: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The potentials f (b, m) and g (b, n), in units of epsilon, after `count` more iterations in the log domain.

    kernel: (b, m, n), minus the cost over epsilon. The plan is exp(kernel + f + g).
    """
    log_rows, log_columns = rows.log(), columns.log()
    for _ in range(count):
        f = log_rows - torch.logsumexp(kernel + g.unsqueeze(1), dim=2)
        g = log_columns - torch.logsumexp(kernel + f.unsqueeze(2), dim=1)
    return f, g


def scaling_steps(
    kernel: Tensor, rows: Tensor, columns: Tensor, f: Tensor, g: Tensor, count: int
) -> tuple[Tensor, Tensor]:
    """The same by scaling rows and columns of exp(kernel + f + g), and in the log domain where that is unsafe."""
    absorbed = (kernel + f.unsqueeze(2) + g.unsqueeze(1)).exp_()
    # Multiply and sum over the middle axis: for problems of sentences' size it is several times as fast as a
    # batched matrix-vector product, and for that the kernel lies in memory both ways.
    back = absorbed.transpose(1, 2).contiguous()
    onto_columns, onto_rows = torch.empty_like(absorbed), torch.empty_like(back)
    tiny = torch.finfo(kernel.dtype).tiny
    u, v = rows, torch.ones_like(columns)
    for _ in range(count):
        u = rows / torch.mul(back, v.unsqueeze(2), out=onto_rows).sum(1).clamp_(min=tiny)
        v = columns / torch.mul(absorbed, u.unsqueeze(2), out=onto_columns).sum(1).clamp_(min=tiny)
    if not (_safe(u, rows) and _safe(v, columns)):
        return log_steps(kernel, rows, columns, f, g, count)
    return f + u.log(), g + v.log()


def _safe(scaling: Tensor, wanted: Tensor) -> bool:
    """Whether scalings of tokens that have mass are within bounds; NaN is not."""
    kept = torch.where(wanted > 0, scaling, torch.ones_like(scaling))
    low, high = torch.aminmax(kept)
    return bool((low >= 1 / LARGEST_SCALING) & (high <= LARGEST_SCALING))
