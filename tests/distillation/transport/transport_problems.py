"""Random transport problems, for the tests of costs and solvers."""

from __future__ import annotations

import numpy as np
import ot
import torch
from hypothesis import strategies as st
from torch import Tensor

from clir.distillation.transport.cost import cosine_cost

SIZES = st.integers(1, 9)
SEEDS = st.integers(0, 2**31 - 1)
Problem = tuple[Tensor, Tensor, Tensor]


def problem(m: int, n: int, seed: int, width: int = 6) -> Problem:
    """A cost (1, m, n) between random directions, and two random marginals; float64."""
    generator = torch.Generator().manual_seed(seed)
    draw = lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64)  # noqa: E731
    cost = cosine_cost(draw(1, m, width), draw(1, n, width))
    rows, columns = (draw(1, size).abs() + 0.1 for size in (m, n))
    return cost, rows / rows.sum(), columns / columns.sum()


def padded(given: Problem, m: int, n: int, filler: float = 0.3) -> Problem:
    """The same problem with rows up to m and columns up to n that have no mass, and cost `filler`."""
    cost, rows, columns = given
    more_m, more_n = m - rows.shape[1], n - columns.shape[1]
    pad = torch.nn.functional.pad
    return pad(cost, (0, more_n, 0, more_m), value=filler), pad(rows, (0, more_m)), pad(columns, (0, more_n))


def batched(sizes: list[tuple[int, int]], seed: int = 0) -> tuple[Problem, list[Problem]]:
    """Problems of these sizes as one padded batch, and each of them alone."""
    alone = [problem(m, n, seed + at) for at, (m, n) in enumerate(sizes)]
    m, n = (max(size[side] for size in sizes) for side in (0, 1))
    # Padding of other costs than any valid cell's, cheaper and dearer.
    whole = [padded(one, m, n, filler=(-1.0, 7.0)[at % 2]) for at, one in enumerate(alone)]
    cost, rows, columns = (torch.cat(parts) for parts in zip(*whole, strict=True))
    return (cost, rows, columns), alone


def optimum(cost: Tensor, rows: Tensor, columns: Tensor) -> np.ndarray:
    """The optimal values of a batch of problems, by POT's network simplex."""
    return np.array([ot.emd2(*(part[at].numpy() for part in (rows, columns, cost))) for at in range(len(cost))])


def value(cost: Tensor, plan: Tensor) -> np.ndarray:
    """<T, C> of each problem."""
    return (cost * plan).sum((1, 2)).numpy()
