"""Transport of one set of tokens onto another: costs, marginals, and solvers, one file each."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from clir.distillation.transport.exact import Exact
from clir.distillation.transport.hard import Greedy, MaxSim
from clir.distillation.transport.options import Solver
from clir.distillation.transport.partial import Partial
from clir.distillation.transport.proximal import Proximal
from clir.distillation.transport.sinkhorn import Sinkhorn
from clir.distillation.transport.unbalanced import Unbalanced

AnySolver = Annotated[Sinkhorn | Proximal | Unbalanced | Partial | Exact | Greedy | MaxSim, Field(discriminator="name")]
SOLVER_NAMES = ("sinkhorn", "ipot", "unbalanced", "partial", "exact", "greedy", "maxsim")

__all__ = [
    "SOLVER_NAMES", "AnySolver", "Exact", "Greedy", "MaxSim", "Partial", "Proximal", "Sinkhorn", "Solver", "Unbalanced",
]  # fmt: skip
