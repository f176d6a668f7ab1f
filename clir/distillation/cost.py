"""What a student costs: floating-point operations by formula, from the shapes that were computed.

A multiply and an add are two operations. Counters that trace a model miss elementwise transport and
(in some releases of torch) attention on the CPU; the shapes are known, so the sums are too.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

# Gradients with respect to the inputs and to the weights of every matrix product.
BACKWARD_OVER_FORWARD = 2


@dataclasses.dataclass(frozen=True)
class Shape:
    """The sizes of a BERT-like transformer, and of a linear head on its tokens (0: none), that decide its cost."""

    layers: int
    hidden: int
    inner: int
    head: int = 0

    @classmethod
    def of(cls, config: Any, head: int = 0) -> Shape:
        """From a transformers config."""
        inner = getattr(config, "intermediate_size", 4 * config.hidden_size)
        return cls(int(config.num_hidden_layers), int(config.hidden_size), int(inner), head)


def forward_flops(shape: Shape, texts: int, tokens: int, layers: int | None = None) -> float:
    """Operations of a forward pass over (texts, tokens) padded tokens, through `layers` (all if None) and the head.

    A layer: query, key, value and output projections 8 t h^2, scores and mixing 4 t^2 h, the two
    feed-forward products 4 t h i, for each text of t tokens.
    """
    layers = shape.layers if layers is None else layers
    hidden, inner = shape.hidden, shape.inner
    per_layer = 8 * tokens * hidden**2 + 4 * tokens**2 * hidden + 4 * tokens * hidden * inner
    return float(texts * (layers * per_layer + 2 * tokens * hidden * shape.head))


def training_flops(shape: Shape, batches: Iterable[tuple[int, int]], frozen_layers: int = 0) -> float:
    """Operations of forward and backward passes over batches of (texts, tokens).

    The backward pass ends at the lowest trained layer, whose inputs then need no gradient; with no frozen
    layer it reaches the embeddings' normalisation, which is trained even where word embeddings are not.
    """
    trained = shape.layers - frozen_layers
    total = 0.0
    for texts, tokens in batches:
        total += forward_flops(shape, texts, tokens)
        total += BACKWARD_OVER_FORWARD * forward_flops(shape, texts, tokens, trained)
        if frozen_layers:
            ended_at = 6 * shape.hidden**2 if trained else 2 * shape.hidden * shape.head
            total -= texts * tokens * ended_at
    return total
