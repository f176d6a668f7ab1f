"""What a batch of students is compared with: the teacher's states, and what some losses ask for besides."""

from __future__ import annotations

import dataclasses

from torch import Tensor

from clir.encoding.tower import States


@dataclasses.dataclass
class Targets(States):
    """The teacher's states of the English sides; the rest is there only if the loss `needs` it.

    queue: (q, d) teacher's sentence vectors of the English sides that came before this batch.
    student_idf, teacher_idf: (n, m) and (n, n') inverse document frequencies of the tokens in the bitext.
    passages: (n, k, d) document vectors of passages for each English side, and relevance: (n, k) what
    the teacher of relevance scores them.
    """

    queue: Tensor | None = None
    student_idf: Tensor | None = None
    teacher_idf: Tensor | None = None
    passages: Tensor | None = None
    relevance: Tensor | None = None

    def demand(self, name: str) -> Tensor:
        """The part `name`, which the loss said it needs."""
        value: Tensor | None = getattr(self, name)
        if value is None:
            raise ValueError(f"these targets have no {name}")
        return value
