"""What a student is shown: tokenised foreign sentences, the teacher's states of their English, and the order."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clir.corpora.bitext import Pair
from clir.distillation.cost import Shape, training_flops, transport_flops
from clir.distillation.losses import OptimalTransport
from clir.distillation.order import deranged, training_order
from clir.distillation.recipe import Recipe
from clir.distillation.teacher import TeacherStates
from clir.encoding.tower import TokenRow, Tower
from clir.support.errors import UsageError


@dataclasses.dataclass(frozen=True)
class Lesson:
    """rows: the foreign sides' tokens; targets: (pairs,) which teacher state each pair is taught;
    order: (steps, batch_size) positions of pairs."""

    tower: Tower
    rows: list[TokenRow]
    targets: NDArray[np.int64]
    order: NDArray[np.int64]
    states: TeacherStates

    def batch(self, positions: Sequence[int]) -> dict[str, Any]:
        """The padded student tokens and teacher states of the pairs at `positions`."""
        tokens = self.tower.pad([self.rows[at] for at in positions])
        return {"tokens": tokens, "teacher": self.states.batch([int(self.targets[at]) for at in positions])}

    def cost(self, recipe: Recipe) -> dict[str, float]:
        """Floating-point operations of the training, and the tokens behind them."""
        ours = np.array([len(row.ids) for row in self.rows])
        theirs = self.states.lengths()[self.targets]
        shapes = [(len(chosen), int(ours[chosen].max()), max(1, int(theirs[chosen].max()))) for chosen in self.order]
        shape = Shape.of(self.tower.transformer.config)
        parts = {
            "student flops": training_flops(shape, [(texts, m) for texts, m, _ in shapes], recipe.freeze_layers),
            "teacher flops": self.states.flops,
            "padded tokens": float(sum(texts * m for texts, m, _ in shapes)),
            "tokens": float(ours[self.order].sum()),
        }
        if isinstance(recipe.loss, OptimalTransport):
            parts["transport flops"] = transport_flops(shapes, recipe.loss.iterations)
        return parts


def prepare_lesson(
    recipe: Recipe, pairs: Sequence[Pair], english: Sequence[str], tower: Tower, states: TeacherStates, prompt: str
) -> Lesson:
    """The lesson of `recipe` on `pairs`; `states` are those of the distinct `english` sides."""
    position = {text: at for at, text in enumerate(english)}
    targets = np.array([position[pair.english] for pair in pairs], dtype=np.int64)
    if recipe.shuffle_targets:
        targets = targets[deranged(len(pairs), recipe.seed)]
    rows = tower.rows([pair.foreign for pair in pairs], prompt, recipe.max_tokens)
    steps = recipe.steps or max(1, round(recipe.epochs * len(pairs) / recipe.batch_size))
    order = training_order([len(row.ids) for row in rows], steps, recipe.batch_size, recipe.seed)
    return Lesson(tower, rows, targets, order, states)


def chosen_pairs(pairs: Sequence[Pair], recipe: Recipe) -> list[Pair]:
    """The pairs that the recipe trains on: at most `pairs_per_language` of each language.

    The draw does not depend on the recipe's seed: students of several seeds differ in order, not in data.
    Raises UsageError if they do not fill a batch.
    """
    chosen = list(pairs)
    if recipe.pairs_per_language is not None:
        groups: dict[str, list[Pair]] = {}
        for pair in pairs:
            groups.setdefault(pair.language, []).append(pair)
        chosen = [pair for language in sorted(groups) for pair in _drawn(groups[language], recipe.pairs_per_language)]
    if len(chosen) < recipe.batch_size:
        raise UsageError(f"{len(chosen)} sentence pairs do not fill a batch of {recipe.batch_size}")
    return chosen


def pairs_digest(pairs: Sequence[Pair]) -> str:
    """SHA-256 of the pairs in their order."""
    digest = hashlib.sha256()
    for pair in pairs:
        digest.update(json.dumps(list(pair)).encode("ascii") + b"\n")
    return digest.hexdigest()


def _drawn(group: Sequence[Pair], count: int) -> list[Pair]:
    drawn = np.random.default_rng(0).permutation(len(group))[:count]
    return [group[at] for at in sorted(drawn)]
