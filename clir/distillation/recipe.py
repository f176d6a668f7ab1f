"""A recipe: everything that decides a student, from a YAML file and from options that override it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from clir.distillation.losses import LOSS_NAMES, Loss, default_loss
from clir.distillation.relevance import PassageOptions
from clir.distillation.transport import SOLVER_NAMES, AnySolver
from clir.distillation.validation import EarlyStopping
from clir.support.errors import UsageError, unknown
from clir.support.settings import first_mistake, read_yaml

# The keys that say how long a training is.
LENGTHS = {"steps", "epochs", "flops"}
# Parts of pydantic's places that a recipe does not have.
TAGS = {*LOSS_NAMES, *SOLVER_NAMES, "sum", "terms", "loss"}


class Recipe(BaseModel):
    """How a student is trained. Unknown keys are refused; `student`, what it starts as, is the teacher if not said.

    steps and batch_size fix the number of pairs seen; else flops, what training may cost in floating-point
    operations, teacher included; else epochs, passes over the bitext. A batch is what a loss sees; a step
    adds up `accumulation` of them before it moves, and several processes share them out. english_replay:
    share of each batch whose English side the student reads as well, to be taught the same (1 is the
    second half of Reimers and Gurevych's loss). passages: what a loss on relevance compares over.
    freeze_layers: lowest transformer layers kept as they are; word embeddings are kept unless
    freeze_embeddings is false. head: `auto` adds a linear head on tokens when the teacher is another model
    than the student's start. trim_vocabulary: tokens that the student keeps besides those of the bitext
    (`encoding.trimming`), or none to keep its vocabulary. early_stopping: when to stop before the end.
    shuffle_targets pairs every English sentence with the foreign side of another: a control that must not
    teach anything.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    teacher: str
    student: str
    loss: Loss = Field(default_factory=default_loss)
    steps: int | None = Field(default=None, ge=1)
    epochs: float = Field(default=1.0, gt=0)
    flops: float | None = Field(default=None, gt=0)
    batch_size: int = Field(default=32, ge=1)
    accumulation: int = Field(default=1, ge=1)
    learning_rate: float = Field(default=1e-4, gt=0)
    warmup: float = Field(default=0.1, ge=0, lt=1)
    schedule: Literal["linear", "cosine", "constant_with_warmup"] = "linear"
    weight_decay: float = Field(default=0.01, ge=0)
    max_tokens: int = Field(default=96, ge=8)
    dropout: bool = False
    english_replay: float = Field(default=0.0, ge=0, le=1)
    passages: PassageOptions | None = None
    freeze_embeddings: bool = True
    freeze_layers: int = Field(default=0, ge=0)
    head: Literal["auto", "none", "linear"] = "auto"
    warm_start_sentences: int = Field(default=3000, ge=10)
    pairs_per_language: int | None = Field(default=None, ge=1)
    shuffle_targets: bool = False
    trim_vocabulary: Literal["none", "pieces", "characters", "script_characters"] = "none"
    early_stopping: EarlyStopping | None = None
    seed: int = Field(default=1, ge=0)
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"

    @model_validator(mode="before")
    @classmethod
    def _start_as_the_teacher(cls, values: Any) -> Any:
        if isinstance(values, Mapping) and "teacher" in values and values.get("student") is None:
            return {**values, "student": values["teacher"]}
        return values

    @model_validator(mode="after")
    def _one_length(self) -> Recipe:
        if self.steps is not None and self.flops is not None:
            raise ValueError("give steps or flops, not both: each alone says how long training takes")
        return self

    @model_validator(mode="after")
    def _passages_for_relevance(self) -> Recipe:
        if "passages" in self.loss.asks() and self.passages is None:
            raise ValueError("the relevance loss needs passages (corpus, count, scorer)")
        return self

    def batches(self, pairs: int) -> int:
        """How many batches a student of this recipe sees of `pairs` sentence pairs: a multiple of `accumulation`."""
        if self.steps is not None:
            return self.steps * self.accumulation
        whole = round(self.epochs * pairs / (self.batch_size * self.accumulation))
        return max(1, whole) * self.accumulation

    def fingerprint(self, data: Mapping[str, Any]) -> str:
        """16 hexadecimal digits of the recipe and of what it is applied to (bitext, models)."""
        text = json.dumps([self.model_dump(mode="json"), dict(data)], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def read_recipe(path: str | Path | None, overrides: Mapping[str, Any]) -> Recipe:
    """The recipe in the YAML file `path` (none: the defaults) with `overrides` put over it.

    `overrides["loss"]` may be the name of a loss, or names joined by `+`: options that the file gives
    for the same loss are kept. Raises UsageError naming the file and the key that is wrong.
    """
    values = read_yaml(Path(path)) if path else {}
    chosen = {key: value for key, value in overrides.items() if value is not None}
    if LENGTHS & chosen.keys():
        # How long the file's training is, by whatever key, is overridden as one.
        values = {key: value for key, value in values.items() if key not in LENGTHS}
    loss = chosen.pop("loss", None)
    if loss is not None:
        names = loss.split("+")
        for name in names:
            if name not in LOSS_NAMES:
                raise unknown("loss", name, LOSS_NAMES)
        given = values.get("loss")
        values["loss"] = given if _names(given) == names else loss
    for key, value in chosen.items():
        # Of what has keys of its own, only those that are given are overridden.
        both = isinstance(value, Mapping) and isinstance(values.get(key), Mapping)
        values[key] = {**values[key], **value} if both else value
    return parse_recipe(values, str(path) if path else "options")


def parse_recipe(values: Mapping[str, Any], where: str) -> Recipe:
    """`values` as a Recipe; UsageError with one line for the first thing that is wrong."""
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        key, message, unknown_key = first_mistake(error, TAGS)
        if unknown_key:
            raise _unknown_key(key, where) from error
        raise UsageError(f"{where}: {key or 'recipe'}: {message}") from error


def with_loss_options(recipe: Recipe, options: Mapping[str, Any], weights: Sequence[float] | None = None) -> Recipe:
    """`recipe` with options of its loss changed, and the weights of a sum's terms; checked anew.

    An option goes to every term that has it, itself or in its solver; `solver` is the name of another
    solver, with its defaults. Raises UsageError if no term has an option, or weights are not one a term.
    """
    changed = {key: value for key, value in options.items() if value is not None}
    loss = recipe.loss.model_dump(mode="json")
    terms = [term["loss"] for term in loss["terms"]] if loss["name"] == "sum" else [loss]
    if weights is not None:
        if loss["name"] != "sum" or len(weights) != len(terms):
            raise UsageError(f"weights: {len(weights)} given for {len(terms)} of loss")
        for term, weight in zip(loss["terms"], weights, strict=True):
            term["weight"] = weight
    # Another solver comes first: the other options may be its.
    for name in sorted(changed, key=lambda name: name != "solver"):
        if not any([_set(term, name, changed[name]) for term in terms]):
            raise UsageError(f"options: this loss has no option {name!r}")
    return parse_recipe(recipe.model_dump(mode="json") | {"loss": loss}, "options")


def _set(term: dict[str, Any], name: str, value: Any) -> bool:
    """Put one option into a loss's values or into its solver's; whether there was a place for it."""
    if name == "solver" and name in term:
        if value not in SOLVER_NAMES:
            raise unknown("solver", value, SOLVER_NAMES)
        term[name] = TypeAdapter(AnySolver).validate_python({"name": value}).model_dump(mode="json")
        return True
    for place in (term, term.get("solver", {})):
        if name in place:
            place[name] = value
            return True
    return False


def _names(loss: Any) -> list[str] | None:
    """The names in a loss as a recipe writes it."""
    if isinstance(loss, str):
        return loss.split("+")
    if isinstance(loss, Mapping):
        return [str(loss.get("name"))]
    if isinstance(loss, list):
        return [name for part in loss for name in _names(part) or []]
    return None


def _unknown_key(key: str, where: str) -> UsageError:
    known = list(Recipe.model_fields)
    if key.startswith("loss."):
        return UsageError(f"{where}: this loss has no option {key.removeprefix('loss.')!r}")
    return UsageError(f"{where}: {unknown('recipe key', key, known)}")
