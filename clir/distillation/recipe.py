"""A recipe: everything that decides a student, from a YAML file and from options that override it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from clir.distillation.losses import LOSS_NAMES, Loss, OptimalTransport
from clir.support.errors import UsageError, unknown
from clir.support.files import open_text


class Recipe(BaseModel):
    """How a student is trained. Unknown keys are refused; `student`, what it starts as, is the teacher if not said.

    steps and batch_size fix the number of pairs seen; epochs (if steps is not given) passes over the
    bitext. freeze_layers: lowest transformer layers kept as they are; word embeddings are kept unless
    freeze_embeddings is false. head: `auto` adds a linear head on tokens when the teacher is another
    model than the student's start. shuffle_targets pairs every English sentence with the foreign side
    of another: a control that must not teach anything.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    teacher: str
    student: str
    loss: Loss = Field(default_factory=OptimalTransport)
    steps: int | None = Field(default=None, ge=1)
    epochs: float = Field(default=1.0, gt=0)
    batch_size: int = Field(default=32, ge=1)
    learning_rate: float = Field(default=1e-4, gt=0)
    warmup: float = Field(default=0.1, ge=0, lt=1)
    schedule: Literal["linear", "cosine", "constant_with_warmup"] = "linear"
    weight_decay: float = Field(default=0.01, ge=0)
    max_tokens: int = Field(default=96, ge=8)
    dropout: bool = False
    freeze_embeddings: bool = True
    freeze_layers: int = Field(default=0, ge=0)
    head: Literal["auto", "none", "linear"] = "auto"
    warm_start_sentences: int = Field(default=3000, ge=10)
    pairs_per_language: int | None = Field(default=None, ge=1)
    shuffle_targets: bool = False
    seed: int = 1
    precision: Literal["auto", "fp32", "bf16"] = "auto"

    @model_validator(mode="before")
    @classmethod
    def _start_as_the_teacher(cls, values: Any) -> Any:
        if isinstance(values, Mapping) and "teacher" in values and values.get("student") is None:
            return {**values, "student": values["teacher"]}
        return values

    def fingerprint(self, data: Mapping[str, Any]) -> str:
        """16 hexadecimal digits of the recipe and of what it is applied to (bitext, models)."""
        text = json.dumps([self.model_dump(mode="json"), dict(data)], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def read_recipe(path: str | Path | None, overrides: Mapping[str, Any]) -> Recipe:
    """The recipe in the YAML file `path` (none: the defaults) with `overrides` put over it.

    `overrides["loss"]` may be a loss's name: options that the file gives for the same loss are kept.
    Raises UsageError naming the file and the key that is wrong.
    """
    values = _read_yaml(Path(path)) if path else {}
    chosen = {key: value for key, value in overrides.items() if value is not None}
    loss = chosen.pop("loss", None)
    if loss is not None:
        if loss not in LOSS_NAMES:
            raise unknown("loss", loss, LOSS_NAMES)
        given = _loss_options(values.get("loss"))
        values["loss"] = given if given.get("name") == loss else {"name": loss}
    elif "loss" in values:
        values["loss"] = _loss_options(values["loss"])
    return parse_recipe(values | chosen, str(path) if path else "options")


def parse_recipe(values: Mapping[str, Any], where: str) -> Recipe:
    """`values` as a Recipe; UsageError with one line for the first thing that is wrong."""
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        # A key that is misspelt is often also one that is missing: the spelling is the better news.
        first = min(error.errors(), key=lambda found: found["type"] != "extra_forbidden")
        key = ".".join(str(part) for part in first["loc"] if part not in LOSS_NAMES)
        if first["type"] == "extra_forbidden":
            raise _unknown_key(key, where) from error
        raise UsageError(f"{where}: {key or 'recipe'}: {first['msg'][0].lower()}{first['msg'][1:]}") from error


def with_loss_options(recipe: Recipe, options: Mapping[str, Any]) -> Recipe:
    """`recipe` with its loss's options changed, checked anew."""
    values = recipe.model_dump(mode="json")
    values["loss"].update({key: value for key, value in options.items() if value is not None})
    return parse_recipe(values, "options")


def _unknown_key(key: str, where: str) -> UsageError:
    known = list(Recipe.model_fields)
    if key.startswith("loss."):
        return UsageError(f"{where}: this loss has no option {key.removeprefix('loss.')!r}")
    return UsageError(f"{where}: {unknown('recipe key', key, known)}")


def _loss_options(value: Any) -> dict[str, Any]:
    if isinstance(value, str):
        return {"name": value}
    return dict(value) if isinstance(value, Mapping) else {}


def _read_yaml(path: Path) -> dict[str, Any]:
    import yaml

    with open_text(path, "recipe") as handle:
        try:
            values = yaml.safe_load(handle)
        except yaml.YAMLError as error:
            raise UsageError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(values, dict):
        raise UsageError(f"{path} is not a recipe: it must be keys and values")
    return values
