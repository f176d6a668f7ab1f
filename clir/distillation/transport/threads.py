"""Small problems on one thread: their operations are shorter than threads wait for each other."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Concatenate, ParamSpec

import torch
from torch import Tensor

# Up to so many cells (b m n) a second thread saves a millisecond at best, where the cores are free. Where another
# process has one of them, each of the hundreds of operations may wait for its share of time: seconds.
ONE_THREAD_CELLS = 1 << 17

Others = ParamSpec("Others")
Solve = Callable[Concatenate[Tensor, Others], Tensor]


def small_on_one_thread(solve: Solve[Others]) -> Solve[Others]:
    """`solve`, whose first argument is a (b, m, n) cost, with torch on one thread while a small cost is solved."""

    @functools.wraps(solve)
    def solved(cost: Tensor, /, *others: Others.args, **named: Others.kwargs) -> Tensor:
        threads = torch.get_num_threads()
        if threads == 1 or cost.device.type != "cpu" or cost.numel() > ONE_THREAD_CELLS:
            return solve(cost, *others, **named)
        torch.set_num_threads(1)
        try:
            return solve(cost, *others, **named)
        finally:
            torch.set_num_threads(threads)

    return solved
