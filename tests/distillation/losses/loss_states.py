"""Random states and targets, and plain numpy of them, for the tests of losses."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from clir.distillation.targets import Targets
from clir.encoding.tower import States

Array = NDArray[np.float64]


def states(tokens: list[int], width: int = 5, seed: int = 0, longest: int | None = None) -> Targets:
    """Random states in float64: text i has tokens[i] content tokens, the rest of its row is noise.

    As `Targets`, so that they may stand on either side.
    """
    generator = torch.Generator().manual_seed(seed)
    texts, length = len(tokens), longest or max(tokens)
    values = torch.randn(texts, length, width, generator=generator, dtype=torch.float64)
    mask = torch.arange(length)[None, :] < torch.tensor(tokens)[:, None]
    sentence = torch.randn(texts, width, generator=generator, dtype=torch.float64)
    return Targets(values, mask, torch.zeros(texts, length, dtype=torch.int64), sentence)


def complete(student: States, teacher: Targets, passages: int = 4, queue: int = 3, seed: int = 99) -> Targets:
    """`teacher` with everything that a loss may ask for."""
    generator = torch.Generator().manual_seed(seed)
    width = teacher.sentence.shape[1]
    draw = lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64)  # noqa: E731
    return dataclasses.replace(
        teacher,
        queue=draw(queue, width),
        student_idf=draw(*student.mask.shape).abs() + 0.1,
        teacher_idf=draw(*teacher.mask.shape).abs() + 0.1,
        passages=draw(len(teacher.sentence), passages, width),
        relevance=draw(len(teacher.sentence), passages),
    )


def replaced(given: Targets, **parts: Any) -> Targets:
    """The same states but for some parts."""
    return dataclasses.replace(given, **parts)


def content(given: States, row: int) -> Array:
    """(t, d) the content tokens of one text."""
    return given.tokens[row][given.mask[row]].detach().numpy()


def unit(vectors: Tensor | Array) -> Array:
    """Vectors at length 1."""
    values = np.asarray(vectors, dtype=np.float64)
    return values / np.linalg.norm(values, axis=-1, keepdims=True)


def distances(ours: Array, theirs: Array) -> Array:
    """(m, n) squared distances."""
    return ((ours[:, None] - theirs[None]) ** 2).sum(-1)


def log_softmax(scores: Array) -> Array:
    """Of one row of scores."""
    return scores - np.log(np.exp(scores - scores.max()).sum()) - scores.max()
