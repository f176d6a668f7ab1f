"""Exact transport by POT's network simplex, a problem a thread."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from clir.distillation.transport.options import Solver


class Exact(Solver):
    """min_T <T, C>, no entropy; the plan has at most m + n - 1 cells and is a constant of any gradient.

    Bonneel et al. 2011's network simplex as the POT library has it. On the processor, whatever the device.
    """

    name: Literal["exact"] = "exact"

    def __call__(self, cost: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        return exact_plan(cost, rows, columns)

    def operations(self, m: int, n: int) -> float:
        """An estimate: pivots grow about linearly with the cells, and each looks at the square root of them."""
        return float(m * n * (m * n) ** 0.5)


@torch.no_grad()
def exact_plan(cost: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """The (b, m, n) optimal plans; shapes and marginals as for `sinkhorn`."""
    parts = [values.detach().cpu().double().numpy() for values in (cost, rows, columns)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        plans = list(pool.map(_solve, *parts))
    return torch.from_numpy(np.stack(plans)).to(cost)


def _solve(cost: NDArray[np.float64], rows: NDArray[np.float64], columns: NDArray[np.float64]) -> NDArray[np.float64]:
    from ot.lp.emd_wrap import emd_c

    # Float32 marginals do not sum to the same total in float64, which the simplex wants.
    given, taken = np.flatnonzero(rows), np.flatnonzero(columns)
    supply, demand = rows[given] / rows.sum(), columns[taken] / columns.sum()
    plan = np.zeros_like(cost)
    flow, *_ = emd_c(supply, demand, np.ascontiguousarray(cost[np.ix_(given, taken)]), 100_000, 1)
    plan[np.ix_(given, taken)] = flow
    return plan
