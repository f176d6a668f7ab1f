"""Transport plans of 64 problems of 32 x 32 tokens, 50 iterations: clir's solver beside POT's and GeomLoss's."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import torch

from clir.distillation.transport.cost import cosine_cost
from clir.distillation.transport.sinkhorn import sinkhorn
from clir.support.errors import ClirError

PROBLEMS, TOKENS, DIMENSION, ITERATIONS, EPSILON = 64, 32, 384, 50, 0.05
# Runs of each side per measured round, so that a round is long enough to be timed.
REPEATS = 20


class Contest(NamedTuple):
    """One peer: its name, how often its work is done in a round, and both sides' work."""

    peer: str
    repeats: int
    ours: Callable[[], object]
    theirs: Callable[[], object]


def contests() -> Iterator[Contest]:
    """Every peer that is installed, after a check that it finds the same transport costs.

    POT iterates as often (its tolerance is off); GeomLoss anneals epsilon by its own schedule, with its
    finest scaling step set so that it takes about as many iterations.
    """
    import ot

    generator = torch.Generator().manual_seed(0)
    student, teacher = (torch.randn(PROBLEMS, TOKENS, DIMENSION, generator=generator) for _ in range(2))
    # Token states share a direction, as those of real encoders do.
    student, teacher = student + 2, teacher + 2
    cost = cosine_cost(student, teacher)
    share = torch.full((PROBLEMS, TOKENS), 1 / TOKENS)
    arrays = cost.double().numpy()
    even = np.full(TOKENS, 1 / TOKENS)
    ours = lambda: sinkhorn(cost, share, share, EPSILON, ITERATIONS)  # noqa: E731
    options = {"numItermax": ITERATIONS, "stopThr": 0.0, "warn": False}

    def loop(solve: Callable[..., object]) -> Callable[[], object]:
        return lambda: [solve(even, even, problem, EPSILON, **options) for problem in arrays]

    found = (ours() * cost).sum((1, 2)).numpy()
    exact = np.array([ot.emd2(even, even, problem) for problem in arrays])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = np.array([(plan * problem).sum() for plan, problem in zip(loop(ot.sinkhorn)(), arrays, strict=True)])
        if np.abs(found - theirs).max() > 1e-4 or (found < exact - 1e-4).any():
            raise ClirError("not the same work: clir's plans cost other than POT's")
        yield Contest("loop over ot.bregman.sinkhorn_log", 1, ours, loop(ot.bregman.sinkhorn_log))
        yield Contest("loop over ot.sinkhorn", 2, ours, loop(ot.sinkhorn))
        batch = lambda: ot.batch.solve_batch(  # noqa: E731
            cost, reg=EPSILON, a=share, b=share, max_iter=ITERATIONS, tol=0.0, method="log_sinkhorn", grad="detach"
        )
        yield Contest("ot.batch.solve_batch, log domain", REPEATS, ours, batch)
        yield from _geomloss(student, teacher, share, ours)


def _geomloss(
    student: torch.Tensor, teacher: torch.Tensor, share: torch.Tensor, ours: Callable[[], object]
) -> Iterator[Contest]:
    try:
        from geomloss import SamplesLoss
    except ImportError:
        return
    ours_, theirs = (torch.nn.functional.normalize(part, dim=-1) for part in (student, teacher))
    # epsilon falls from diameter^2 to blur^2 by scaling^2 a step.
    diameter, blur = 1.0, EPSILON**0.5
    loss = SamplesLoss(
        "sinkhorn", p=2, blur=blur, scaling=(blur / diameter) ** (1 / (ITERATIONS - 1)), diameter=diameter,
        debias=False, potentials=True, backend="tensorized",
    )  # fmt: skip
    yield Contest("geomloss, tensorized", REPEATS, ours, lambda: loss(share, ours_, share, theirs))
