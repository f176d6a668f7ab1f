"""What a student is shown: tokenised foreign sentences, the teacher's states of their English, and the order."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from clir.corpora.bitext import Pair
from clir.distillation.cost import Shape, training_flops
from clir.distillation.order import deranged, training_order, with_replay
from clir.distillation.recipe import Recipe
from clir.distillation.relevance import RelevantPassages
from clir.distillation.targets import Targets
from clir.distillation.teacher import TeacherStates
from clir.encoding.tower import States, TokenRow, Tower
from clir.support.errors import UsageError

Positions = NDArray[np.int64]


@dataclasses.dataclass(frozen=True)
class Lesson:
    """rows: the foreign sides' tokens, then (for `english_replay`) those of the English sides; targets: for
    each row which teacher state it is taught; order: (batches, rows) positions of rows, the first `pairs`
    columns foreign. The rest is what some losses ask for: tables of inverse document frequency by token id of
    student and teacher, a queue of so many earlier English sides, passages."""

    tower: Tower
    rows: list[TokenRow]
    targets: Positions
    order: Positions
    states: TeacherStates
    pairs: int
    idf: tuple[torch.Tensor, torch.Tensor] | None = None
    queue: int = 0
    passages: RelevantPassages | None = None

    def batch(self, number: int) -> dict[str, Any]:
        """Batch `number` of the order: the padded student tokens and what they are taught."""
        positions = self.order[number]
        tokens = self.tower.pad([self.rows[at] for at in positions])
        taught = self.states.batch([int(self.targets[at]) for at in positions])
        return {"tokens": tokens, "teacher": Targets(**vars(taught), **self._besides(number, tokens.ids, taught))}

    def cost(self, recipe: Recipe, batches: int | None = None) -> dict[str, float]:
        """Floating-point operations of the first `batches` (default: all), and the tokens behind them."""
        order = self.order[:batches]
        lengths = np.array([len(row.ids) for row in self.rows])
        parts = self._flops(recipe)[:, : len(order)].sum(axis=1).tolist()
        return {
            **dict(zip(("student flops", "loss flops", "transport flops"), parts, strict=True)),
            "teacher flops": self.states.flops,
            "padded tokens": float(order.shape[1] * lengths[order].max(axis=1).sum()),
            "tokens": float(lengths[order].sum()),
        }

    def within(self, recipe: Recipe, before: float = 0.0) -> Lesson:
        """The lesson cut at the last whole step that `recipe.flops` allows.

        `before`: operations that are spent already. Raises UsageError if it allows none.
        """
        if recipe.flops is None:
            return self
        spent = before + self.states.flops + self._flops(recipe).sum(axis=0).cumsum()
        allowed = int((spent[recipe.accumulation - 1 :: recipe.accumulation] <= recipe.flops).sum())
        if not allowed:
            least = float(spent[min(recipe.accumulation, len(spent)) - 1])
            raise UsageError(
                f"flops: {recipe.flops:.3g} pay for no step; with the teacher's work one takes {least:.3g}"
            )
        return dataclasses.replace(self, order=self.order[: allowed * recipe.accumulation])

    def _flops(self, recipe: Recipe) -> NDArray[np.float64]:
        """(3, batches) operations of student, loss and transport in each batch."""
        ours = np.array([len(row.ids) for row in self.rows])
        theirs = self.states.lengths()[self.targets]
        shape = Shape.of(self.tower.transformer.config, self.tower.dimension if self.tower.head is not None else 0)
        found = np.empty((3, len(self.order)))
        for at, chosen in enumerate(self.order):
            texts, m, n = len(chosen), int(ours[chosen].max()), max(1, int(theirs[chosen].max()))
            # A loss's products have one backward pass, to the student's side: the teacher's is a constant.
            found[:, at] = (
                training_flops(shape, [(texts, m)], recipe.freeze_layers),
                2 * recipe.loss.products(texts, m, n, self.states.dimension),
                recipe.loss.transport_operations(texts, m, n),
            )
        return found

    def _besides(self, number: int, ids: torch.Tensor, taught: States) -> dict[str, torch.Tensor]:
        """What the loss needs besides the teacher's states."""
        found = {}
        if self.idf is not None:
            found["student_idf"], found["teacher_idf"] = self.idf[0][ids], self.idf[1][taught.ids]
        if self.queue:
            found["queue"] = self.states.sentences(self.targets[self._before(number)])
        if self.passages is not None:
            found["passages"], found["relevance"] = self.passages.batch(self.targets[self.order[number]])
        return found

    def _before(self, number: int) -> Positions:
        """The last `queue` positions of the batches before `number`: a function of the order, so that a resumed
        run sees the same."""
        first = max(0, number - -(-self.queue // self.pairs))
        return self.order[first:number, : self.pairs].reshape(-1)[-self.queue :]


def prepare_lesson(
    recipe: Recipe,
    pairs: Sequence[Pair],
    english: Sequence[str],
    tower: Tower,
    states: TeacherStates,
    prompt: str,
    passages: RelevantPassages | None = None,
    warm_start_flops: float = 0.0,
) -> Lesson:
    """The lesson of `recipe` on `pairs`; `states` are those of the distinct `english` sides, `passages` what a loss
    on relevance compares over, and `warm_start_flops` what the student's start has cost."""
    position = {text: at for at, text in enumerate(english)}
    targets = np.array([position[pair.english] for pair in pairs], dtype=np.int64)
    if recipe.shuffle_targets:
        targets = targets[deranged(len(pairs), recipe.seed)]
    rows = tower.rows([pair.foreign for pair in pairs], prompt, recipe.max_tokens)
    lengths = [len(row.ids) for row in rows]
    batches = recipe.batches(len(pairs)) if recipe.flops is None else _enough_batches(recipe, tower, lengths)
    order = training_order(lengths, batches, recipe.batch_size, recipe.seed)
    idf = None
    if recipe.loss.asks() & {"student_idf", "teacher_idf"}:
        foreign = inverse_frequencies((np.asarray(row.ids)[row.content] for row in rows), tower.vocabulary)
        idf = foreign, inverse_frequencies(states.token_ids(), states.vocabulary)
    if recipe.english_replay:
        rows = rows + tower.rows([pair.english for pair in pairs], prompt, recipe.max_tokens)
        # Taught as the foreign sides are, wrongly too where targets are shuffled.
        targets = np.concatenate([targets, targets])
        order = with_replay(order, len(pairs), recipe.english_replay, recipe.seed)
    lesson = Lesson(tower, rows, targets, order, states, recipe.batch_size, idf, recipe.loss.queued(), passages)
    return lesson.within(recipe, warm_start_flops)


def _enough_batches(recipe: Recipe, tower: Tower, lengths: Sequence[int]) -> int:
    """More batches than `recipe.flops` can pay for: a power of two, so that losses of like cost share their order."""
    shape = Shape.of(tower.transformer.config)
    cheapest = training_flops(shape, [(recipe.batch_size, max(1, round(np.mean(lengths))))], recipe.freeze_layers)
    steps = max(1, math.ceil((recipe.flops or 0) / (cheapest * recipe.accumulation)))
    return int(2 ** math.ceil(math.log2(steps))) * recipe.accumulation


def inverse_frequencies(texts: Iterable[NDArray[np.integer[Any]]], vocabulary: int) -> torch.Tensor:
    """(vocabulary,) float32 log(1 + N / df) of token ids over N texts; an id in none of them counts as in one."""
    frequency, count = np.zeros(vocabulary, dtype=np.int64), 0
    for ids in texts:
        frequency[np.unique(ids)] += 1
        count += 1
    return torch.from_numpy(np.log1p(count / frequency.clip(min=1)).astype(np.float32))


def chosen_pairs(pairs: Sequence[Pair], recipe: Recipe) -> list[Pair]:
    """The pairs that the recipe trains on: at most `pairs_per_language` of each language.

    The draw does not depend on the recipe's seed: students of several seeds differ in order, not in data.
    Raises UsageError if they do not fill a batch.
    """
    chosen = limited(pairs, recipe.pairs_per_language)
    check_batch(chosen, recipe)
    return chosen


def limited(pairs: Sequence[Pair], per_language: int | None) -> list[Pair]:
    """At most so many pairs of each language (None: all), languages in order; the draw depends on the pairs alone."""
    if per_language is None:
        return list(pairs)
    groups: dict[str, list[Pair]] = {}
    for pair in pairs:
        groups.setdefault(pair.language, []).append(pair)
    return [pair for language in sorted(groups) for pair in _drawn(groups[language], per_language)]


def check_batch(pairs: Sequence[Pair], recipe: Recipe) -> None:
    """Raise UsageError if the pairs that are trained on do not fill a batch."""
    if len(pairs) < recipe.batch_size:
        raise UsageError(
            f"{len(pairs)} sentence pairs do not fill a batch of {recipe.batch_size}: give more, or lower batch_size"
        )


def pairs_digest(pairs: Sequence[Pair]) -> str:
    """SHA-256 of the pairs in their order."""
    digest = hashlib.sha256()
    for pair in pairs:
        digest.update(json.dumps(list(pair)).encode("ascii") + b"\n")
    return digest.hexdigest()


def _drawn(group: Sequence[Pair], count: int) -> list[Pair]:
    drawn = np.random.default_rng(0).permutation(len(group))[:count]
    return [group[at] for at in sorted(drawn)]
