"""Small problems are solved on one thread, large ones on all, and the setting comes back."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from clir.distillation.transport.sinkhorn import sinkhorn
from clir.distillation.transport.threads import ONE_THREAD_CELLS, small_on_one_thread


@pytest.fixture(autouse=True)
def three_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(("cells", "threads"), [(ONE_THREAD_CELLS, 1), (ONE_THREAD_CELLS + 1, 3)])
def test_threads_by_size(cells: int, threads: int) -> None:
    found = []

    @small_on_one_thread
    def solve(cost: Tensor) -> Tensor:
        found.append(torch.get_num_threads())
        return cost

    solve(torch.zeros(1, 1, cells))
    assert (found, torch.get_num_threads()) == ([threads], 3)


def test_the_setting_comes_back_after_an_error() -> None:
    with pytest.raises(ValueError, match="iterations"):
        sinkhorn(torch.zeros(1, 2, 2), torch.full((1, 2), 0.5), torch.full((1, 2), 0.5), 0.1, 0)
    assert torch.get_num_threads() == 3
