"""The foreign-space shape: a linear head that brings the student's tokens into another model's space.

Its closed-form warm start reads English under both models; tokens meet by the characters they cover.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from clir.distillation.cost import Shape, forward_flops
from clir.encoding.tower import Tower, pool
from clir.support.errors import ClirError
from clir.support.progress import track

Matrix = NDArray[np.float64]
# Ridge strength relative to the mean variance of the student's states.
RIDGE = 1e-2
BATCH = 64


def warm_start(
    student: Tower, teacher: Tower, texts: Sequence[str], student_prompt: str, teacher_prompt: str, max_tokens: int
) -> tuple[nn.Linear, float]:
    """The head W x + b that best gives the teacher's states of `texts` (English) from the student's.

    Ridge regression on two kinds of samples, each with half of the weight: token states whose
    characters overlap (a student token is taught the mean of the teacher tokens it overlaps), and
    unnormalised sentence vectors. A head that the student has already is passed over: the new one takes
    its place. Also gives the floating-point operations that it took. Raises ClirError if no tokens overlap.
    """
    tokens, sentences = _Normal(student.hidden, teacher.dimension), _Normal(student.hidden, teacher.dimension)
    starts, flops = range(0, len(texts), BATCH), 0.0
    for start in track(starts, "warm start", len(starts), "batches"):
        batch = list(texts[start : start + BATCH])
        ours, our_spans, our_vectors, our_flops = _states(student, None, batch, student_prompt, max_tokens)
        theirs, their_spans, their_vectors, their_flops = _states(
            teacher, teacher.head, batch, teacher_prompt, max_tokens
        )
        for row in range(len(batch)):
            overlap = _overlap(our_spans[row], their_spans[row])
            met = overlap.sum(1) > 0
            targets = overlap[met] / overlap[met].sum(1, keepdims=True) @ theirs[row]
            tokens.add(ours[row][met], targets)
        sentences.add(our_vectors, their_vectors)
        flops += our_flops + their_flops
    if tokens.count == 0:
        raise ClirError(
            "the head cannot be fitted: no token of the student covers the same characters as one of the teacher"
        )
    return _solve(tokens, sentences), flops + tokens.flops + sentences.flops + _solving_flops(tokens)


class _Normal:
    """The sums of a least-squares problem with intercept, gathered batch by batch."""

    def __init__(self, inputs: int, outputs: int) -> None:
        self.count = 0
        self.gram = np.zeros((inputs + 1, inputs + 1))
        self.cross = np.zeros((inputs + 1, outputs))

    def add(self, inputs: Matrix, targets: Matrix) -> None:
        if len(inputs) == 0:
            return
        extended = np.concatenate([inputs, np.ones((len(inputs), 1))], axis=1)
        self.gram += extended.T @ extended
        self.cross += extended.T @ targets
        self.count += len(inputs)

    @property
    def flops(self) -> float:
        """Operations of the sums so far."""
        inputs, outputs = self.cross.shape
        return 2.0 * self.count * inputs * (inputs + outputs)


def _solving_flops(problem: _Normal) -> float:
    inputs, outputs = problem.cross.shape
    return 2 / 3 * inputs**3 + 2.0 * inputs**2 * outputs


def _solve(tokens: _Normal, sentences: _Normal) -> nn.Linear:
    gram = tokens.gram / tokens.count + sentences.gram / sentences.count
    cross = tokens.cross / tokens.count + sentences.cross / sentences.count
    width = len(gram) - 1
    penalty = np.zeros(width + 1)
    # The intercept is not penalised.
    penalty[:width] = RIDGE * np.trace(gram[:width, :width]) / width
    solution = np.linalg.solve(gram + np.diag(penalty), cross)
    head = nn.Linear(width, cross.shape[1])
    with torch.no_grad():
        head.weight.copy_(torch.from_numpy(solution[:width].T))
        head.bias.copy_(torch.from_numpy(solution[width]))
    return head


@torch.inference_mode()
def _states(
    tower: Tower, head: nn.Module | None, texts: Sequence[str], prompt: str, max_tokens: int
) -> tuple[list[Matrix], list[NDArray[np.int64]], Matrix, float]:
    """Content token states behind `head`, their character spans in the bare texts, unnormalised pooled vectors,
    and the operations of the forward pass."""
    batch = tower.tokenize(texts, prompt, max_tokens).to(next(tower.parameters()).device)
    output: Any = tower.transformer(input_ids=batch.ids, attention_mask=batch.attention)
    states = output.last_hidden_state if head is None else head(output.last_hidden_state)
    vectors = pool(states, batch.pooled, tower.spec.pooling).double().cpu().numpy()
    spans = tower.spans(texts, prompt, max_tokens)
    rows = [states[row][batch.content[row]].double().cpu().numpy() for row in range(len(texts))]
    shape = Shape.of(tower.transformer.config, 0 if head is None else tower.dimension)
    return rows, spans, vectors, forward_flops(shape, *batch.ids.shape)


def _overlap(ours: NDArray[np.int64], theirs: NDArray[np.int64]) -> Matrix:
    """(m, n) number of characters that span i of `ours` shares with span j of `theirs`."""
    begin = np.maximum(ours[:, None, 0], theirs[None, :, 0])
    end = np.minimum(ours[:, None, 1], theirs[None, :, 1])
    return np.clip(end - begin, 0, None).astype(np.float64)
