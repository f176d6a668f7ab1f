"""Where no gradient is asked for, iterations scale a kernel: the same plans as in the log domain, or they go there."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from transport_problems import SEEDS, SIZES, Problem, batched, padded, problem

from clir.distillation.transport import proximal
from clir.distillation.transport import sinkhorn as module
from clir.distillation.transport.proximal import proximal_plan
from clir.distillation.transport.sinkhorn import log_steps, scaling_steps, sinkhorn


class Counting:
    """log_steps, with the iterations it was asked for."""

    def __init__(self) -> None:
        self.iterations = 0

    def __call__(self, *given: Tensor) -> tuple[Tensor, Tensor]:
        self.iterations += int(given[-1])
        return log_steps(*given)


@pytest.fixture
def in_log_domain(monkeypatch: pytest.MonkeyPatch) -> Counting:
    counting = Counting()
    monkeypatch.setattr(module, "log_steps", counting)
    monkeypatch.setattr(proximal, "log_steps", counting)
    return counting


def oracle(cost: Tensor, rows: Tensor, columns: Tensor, epsilon: float, iterations: int) -> Tensor:
    """Sinkhorn with every iteration in the log domain, in float64, from potentials of 0, and -inf for padding."""
    cost, rows, columns = (part.double() for part in (cost, rows, columns))
    kernel, f, g = -cost / epsilon, torch.zeros_like(rows), torch.where(columns > 0, 0.0, -torch.inf).double()
    for _ in range(iterations):
        f = rows.log() - torch.logsumexp(kernel + g.unsqueeze(1), 2)
        g = columns.log() - torch.logsumexp(kernel + f.unsqueeze(2), 1)
    return (kernel + f.unsqueeze(2) + g.unsqueeze(1)).exp()


@settings(max_examples=60)
@given(SIZES, SIZES, st.integers(0, 3), SEEDS, st.sampled_from([1e-3, 0.01, 0.1, 1.0]), st.integers(1, 45))
def test_it_is_the_log_domains_plan(m: int, n: int, more: int, seed: int, epsilon: float, iterations: int) -> None:
    given = padded(problem(m, n, seed), m + more, n + more, filler=-2.0)
    expected = oracle(*given, epsilon, iterations)
    torch.testing.assert_close(sinkhorn(*given, epsilon, iterations), expected, atol=1e-10, rtol=0)
    single: Problem = tuple(part.float() for part in given)  # type: ignore[assignment]
    found = sinkhorn(*single, epsilon, iterations)
    # Float32 costs have an error of 1e-7, which a small epsilon makes larger.
    torch.testing.assert_close(found.double(), expected, atol=1e-5 + 2e-6 / epsilon, rtol=0)


def test_only_the_first_iteration_is_in_the_log_domain_where_scaling_is_safe(in_log_domain: Counting) -> None:
    given, _ = batched([(9, 8), (4, 9), (1, 1)])
    plan = sinkhorn(*given, 0.1, 50)
    assert in_log_domain.iterations == 1
    torch.testing.assert_close(plan, oracle(*given, 0.1, 50), atol=1e-12, rtol=0)


def far() -> Problem:
    """A chain of tokens with the mass at its one end, and wanted at the other: potentials move far, for long."""
    place = torch.arange(12, dtype=torch.float64)[None, :]
    rows = torch.full((1, 12), 1e-3, dtype=torch.float64)
    rows[0, :2] = 1
    rows /= rows.sum()
    return (place.unsqueeze(2) - place.unsqueeze(1)).abs(), rows, rows.flip(1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_segment_whose_scalings_grow_too_far_goes_to_the_log_domain(
    in_log_domain: Counting, dtype: torch.dtype
) -> None:
    given: Problem = tuple(part.to(dtype) for part in far())  # type: ignore[assignment]
    plan = sinkhorn(*given, 0.03, 60)
    # Three segments of ten, and the first iteration; later ones are safe again.
    assert in_log_domain.iterations == 31
    within = 1e-3 if dtype == torch.float32 else 1e-10
    torch.testing.assert_close(plan.double(), oracle(*given, 0.03, 60), atol=within, rtol=0)


def test_without_the_log_domain_such_a_segment_would_be_wrong(
    in_log_domain: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Two islands, and nearly all mass on the wrong one: entries that float32 rounds to 0 come to count.
    rows = torch.tensor([[0.999, 0.001]])
    islands = 1 - torch.eye(2)[None], rows, rows.flip(1)
    expected = oracle(*islands, 0.008, 11)
    torch.testing.assert_close(sinkhorn(*islands, 0.008, 11).double(), expected, atol=2e-6, rtol=0)
    assert in_log_domain.iterations == 11
    monkeypatch.setattr(module, "_safe", lambda *_: True)
    assert (sinkhorn(*islands, 0.008, 11) - expected).abs().max() > 1


def test_one_unsafe_problem_does_not_spoil_its_batch(in_log_domain: Counting) -> None:
    hard, easy = far(), padded(problem(5, 7, 1), 12, 12)
    cost, rows, columns = (torch.cat(parts) for parts in zip(hard, easy, strict=True))
    plan = sinkhorn(cost, rows, columns, 0.03, 60)
    assert in_log_domain.iterations > 1
    torch.testing.assert_close(plan, oracle(cost, rows, columns, 0.03, 60), atol=1e-10, rtol=0)


def test_what_scaling_cannot_say_is_asked_in_the_log_domain(in_log_domain: Counting) -> None:
    # From no potentials at all, exp(-cost / epsilon) is 0 everywhere: sums of 0, scalings without bounds.
    cost, rows, columns = (part.float() for part in problem(5, 6, 2))
    kernel = -(cost + 5) / 1e-3
    nothing = torch.zeros_like(rows), torch.zeros_like(columns)
    f, g = scaling_steps(kernel, rows, columns, *nothing, 3)
    assert in_log_domain.iterations == 3
    expected = log_steps(kernel, rows, columns, *nothing, 3)
    assert torch.equal(f, expected[0]) and torch.equal(g, expected[1])
    # Positive exponents overflow: infinite sums, and NaN from them, are unsafe too.
    scaling_steps(-kernel, rows, columns, *nothing, 3)
    assert in_log_domain.iterations == 6


def test_padding_has_no_say_in_what_is_safe(in_log_domain: Counting) -> None:
    cost, rows, columns = padded(problem(5, 6, 2), 9, 9, filler=-50.0)
    sinkhorn(cost, rows, columns, 0.1, 50)
    assert in_log_domain.iterations == 1


def test_ipot_scales_after_its_first_step(in_log_domain: Counting) -> None:
    given = problem(6, 7, 3)
    plan = proximal_plan(*given, 0.5, iterations=8, inner=2)
    assert in_log_domain.iterations == 2
    # The same with a gradient, where every step is in the log domain.
    moving = given[0].clone().requires_grad_(True)
    again = proximal_plan(moving, *given[1:], 0.5, iterations=8, inner=2)
    assert in_log_domain.iterations == 2 + 16
    torch.testing.assert_close(plan, again.detach(), atol=1e-12, rtol=0)
