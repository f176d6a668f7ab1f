"""Whether a student in training still gets better: scores on what it is not trained on, and when to stop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from clir.corpora.bitext import Pair
from clir.support.errors import UsageError

if TYPE_CHECKING:
    from clir.distillation.teacher import TeacherStates
    from clir.encoding.tower import Tower

# Scores a student in training; more is better.
Validate = Callable[["Tower"], float]
BITEXT = "bitext"
BATCH = 64


class EarlyStopping(BaseModel):
    """Score the student every so many steps, stop when `patience` scores in a row are no better, keep the best.

    by: `bitext`, the accuracy of finding each of `pairs` held-out foreign sentences' English side among
    all of them (`pairs` are taken from the training pairs, alike from every language), or the id of a
    collection, whose topics are searched and scored by `measure`: a dev split, never what is reported.
    search: `dense`, by sentence vectors, or `late`, by tokens over every document.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    by: str = BITEXT
    every: int = Field(default=50, ge=1)
    patience: int = Field(default=3, ge=1)
    pairs: int = Field(default=500, ge=2)
    measure: str = "AP"
    search: Literal["dense", "late"] = "dense"

    @model_validator(mode="after")
    def _searched(self) -> EarlyStopping:
        if self.by == BITEXT and self.search != "dense":
            raise ValueError("search: late needs a collection to search (by: its id)")
        return self


def held_out_pairs(pairs: Sequence[Pair], count: int) -> tuple[list[Pair], list[Pair]]:
    """`pairs` without, and the, `count` that are held out, drawn alike from every language.

    No English sentence stands on both sides. The draw depends on nothing but the pairs. Raises UsageError if nothing
    would be left to train on.
    """
    if count >= len(pairs):
        raise UsageError(
            f"early stopping holds out {count:,} of {len(pairs):,} pairs: set `pairs` of early_stopping to fewer"
        )
    groups: dict[str, list[int]] = {}
    for at in np.random.default_rng(0).permutation(len(pairs)):
        groups.setdefault(pairs[at].language, []).append(int(at))
    taken: dict[str, int] = {}
    while groups and len(taken) < count:
        for language in sorted(groups):
            if len(taken) < count:
                at = groups[language].pop()
                taken.setdefault(pairs[at].english, at)
            if not groups[language]:
                del groups[language]
    held = [pairs[at] for at in sorted(taken.values())]
    return [pair for pair in pairs if pair.english not in taken], held


def bitext_accuracy(
    pairs: Sequence[Pair], english: Sequence[str], states: TeacherStates, prompt: str, max_tokens: int
) -> Validate:
    """A score: the share of `pairs` whose English side is the nearest, by cosine, to the student's foreign side.

    `states` are the teacher's of the distinct `english` sides.
    """
    import torch

    position = {text: at for at, text in enumerate(english)}
    wanted = torch.tensor([position[pair.english] for pair in pairs])
    targets = torch.nn.functional.normalize(states.sentences(range(len(english))), dim=-1)

    @torch.inference_mode()
    def validate(tower: Tower) -> float:
        device = next(tower.parameters()).device
        found = []
        for start in range(0, len(pairs), BATCH):
            texts = [pair.foreign for pair in pairs[start : start + BATCH]]
            vectors = tower(tower.tokenize(texts, prompt, max_tokens).to(device)).sentence.float().cpu()
            found.append((vectors @ targets.T).argmax(1))
        return float((torch.cat(found) == wanted).float().mean())

    return validate
