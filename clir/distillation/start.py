"""The student before its first step: a copy of its model, with a head where it needs one, and what is frozen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from torch import nn

from clir.distillation.head import warm_start
from clir.distillation.recipe import Recipe
from clir.encoding.encoder import TowerEncoder, load_encoder
from clir.encoding.folder import SIDES
from clir.encoding.library_encoder import SentenceTransformerEncoder
from clir.encoding.tower import Tower, load_tower
from clir.support.errors import UsageError
from clir.support.progress import say


def tower_encoder(name: str, device: str = "cpu") -> TowerEncoder:
    """The model `name`, which must be one whose towers can be trained or read token by token.

    Raises UsageError if it is not, ClirError if its weights are not whole: before hours of work.
    """
    encoder = load_encoder(name, device=device)
    if not isinstance(encoder, TowerEncoder):
        because = encoder.because if isinstance(encoder, SentenceTransformerEncoder) else "it is a class"
        raise UsageError(f"{name} cannot be a teacher or student: {because}")
    if encoder.spec("query").truncate_dim is not None:
        raise UsageError(
            f"{name} cannot be a teacher or student while it cuts its vectors to {encoder.dimension} dimensions: "
            "take truncate_dim out of its config_sentence_transformers.json"
        )
    encoder.check()
    return encoder


def freeze(tower: Tower, embeddings: bool, layers: int) -> None:
    """Take the word embeddings, and the lowest `layers` with all that lies below, out of training."""
    transformer: Any = tower.transformer
    if embeddings:
        transformer.get_input_embeddings().weight.requires_grad_(False)
    if not layers:
        return
    stacks = [part for part in transformer.modules() if isinstance(part, nn.ModuleList)]
    stack = next((part for part in stacks if len(part) == transformer.config.num_hidden_layers), None)
    if stack is None or layers > len(stack):
        raise UsageError(f"freeze_layers: {layers} is more than the student's layers")
    if layers == len(stack) and tower.head is None:
        raise UsageError(
            f"freeze_layers: {layers} are all layers of the student, which has no head: nothing would be trained"
        )
    kept = {id(parameter) for layer in stack[layers:] for parameter in layer.parameters()}
    for parameter in transformer.parameters():
        if id(parameter) not in kept:
            parameter.requires_grad_(False)


def check_late_interaction(recipe: Recipe, start: TowerEncoder, teacher: TowerEncoder) -> None:
    """Refuse (UsageError) what cannot be done with a model trained for late interaction: it has no sentence vectors."""
    late = [encoder for encoder in (teacher, start) if encoder.spec("query").reading is not None]
    if not late:
        return
    named = f"{late[0].name} was trained for late interaction"
    if len(late) == 1 or not same_space(start, teacher) or recipe.head == "linear":
        raise UsageError(
            f"{named}: its student must start as its copy or as an earlier student of it, and without --head linear"
        )
    if recipe.loss.by_sentence():
        raise UsageError(f"{named} and has no sentence vectors: choose losses on tokens (late-interaction, ot, ...)")
    if recipe.early_stopping is not None and recipe.early_stopping.search != "late":
        raise UsageError(f"{named} and has no sentence vectors: stop early by a collection, with --stop-search late")
    if recipe.trim_vocabulary != "none":
        raise UsageError(f"{named}: its vocabulary cannot be trimmed, so leave out trim_vocabulary")


class Start(NamedTuple):
    """The student before its first step, and the operations that its warm start took."""

    tower: Tower
    warm_start_flops: float


def starting_student(
    recipe: Recipe, start: TowerEncoder, teacher: TowerEncoder, english: Sequence[str], dimension: int
) -> Start:
    """The student before its first step, with its head where teacher and start are of different spaces.

    `english` are the sentences of the warm start, `dimension` that of the teacher's states. Raises
    UsageError if the recipe does not fit the models.
    """
    tower, flops = load_tower(start.spec("query"), start.device), 0.0
    foreign = not same_space(start, teacher)
    if recipe.head == "linear" or (recipe.head == "auto" and foreign):
        if foreign:
            say(f"{start.name} is not in the space of {teacher.name}: it gets a linear head, fitted before training")
        sample = english[: recipe.warm_start_sentences]
        prompts = start.spec("query").prompt, teacher.spec("query").prompt
        head, flops = warm_start(tower, teacher.tower("query"), sample, *prompts, recipe.max_tokens)
        tower.attach_head(head, normalize=teacher.spec("query").normalize)
    if tower.dimension != dimension:
        raise UsageError(
            f"teacher {recipe.teacher} has {dimension} dimensions and student {recipe.student} {tower.dimension}: "
            "set head to linear"
        )
    freeze(tower, recipe.freeze_embeddings, recipe.freeze_layers)
    return Start(tower, flops)


def same_space(start: TowerEncoder, teacher: TowerEncoder) -> bool:
    """Whether the student starts in the teacher's space: as its copy, or as an earlier student of it."""
    return any(start.fingerprint(side) == teacher.fingerprint(side) for side in SIDES)
