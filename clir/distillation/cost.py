"""What a student costs: floating-point operations by formula, from the shapes that were computed.

A multiply and an add are two operations. Counters that trace a model miss elementwise transport and
(in some releases of torch) attention on the CPU; the shapes are known, so the sums are too.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

# exp, subtract, add, compare and the reductions of one cell in one half-step of log-domain Sinkhorn.
OPERATIONS_PER_CELL = 6
# Gradients with respect to the inputs and to the weights of every matrix product.
BACKWARD_OVER_FORWARD = 2


@dataclasses.dataclass(frozen=True)
class Shape:
    """The sizes of a BERT-like transformer that decide its cost."""

    layers: int
    hidden: int
    inner: int

    @classmethod
    def of(cls, config: Any) -> Shape:
        """From a transformers config."""
        inner = getattr(config, "intermediate_size", 4 * config.hidden_size)
        return cls(int(config.num_hidden_layers), int(config.hidden_size), int(inner))


def forward_flops(shape: Shape, texts: int, tokens: int, layers: int | None = None) -> float:
    """Operations of a forward pass over (texts, tokens) padded tokens, through `layers` (all if None).

    A layer: query, key, value and output projections 8 t h^2, scores and mixing 4 t^2 h, the two
    feed-forward products 4 t h i, for each text of t tokens.
    """
    layers = shape.layers if layers is None else layers
    hidden, inner = shape.hidden, shape.inner
    per_text = 8 * tokens * hidden**2 + 4 * tokens**2 * hidden + 4 * tokens * hidden * inner
    return float(layers * texts * per_text)


def training_flops(shape: Shape, batches: Iterable[tuple[int, int]], frozen_layers: int = 0) -> float:
    """Operations of forward and backward passes over batches of (texts, tokens)."""
    trained = shape.layers - frozen_layers
    return sum(
        forward_flops(shape, texts, tokens) + BACKWARD_OVER_FORWARD * forward_flops(shape, texts, tokens, trained)
        for texts, tokens in batches
    )


def transport_flops(problems: Iterable[tuple[int, int, int]], iterations: int) -> float:
    """Operations of Sinkhorn's iterations on batches of (texts, student tokens, teacher tokens)."""
    return float(sum(2 * iterations * OPERATIONS_PER_CELL * b * m * n for b, m, n in problems))
