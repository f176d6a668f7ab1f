"""What a comparison compares: a YAML file checked like a recipe, and the cells that it spans."""

from __future__ import annotations

import dataclasses
import itertools
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from clir.corpora.registry import open_collection
from clir.distillation.losses import Loss
from clir.distillation.recipe import TAGS, Recipe, parse_recipe
from clir.encoding.encoder import Reader
from clir.support.errors import UsageError, unknown
from clir.support.settings import first_mistake, read_yaml

UNDISTILLED, ORACLE, BM25, BM25_ORACLE = "undistilled", "oracle", "BM25", "BM25, English topics"
REFERENCES = (UNDISTILLED, ORACLE, BM25, BM25_ORACLE)
Search = Literal["dense", "late"]


class Budget(BaseModel):
    """How much a student is trained: by optimiser steps, passes over the bitext, or floating-point operations, and
    on how many sentence pairs a language (None: all)."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    steps: int | None = Field(default=None, ge=1)
    epochs: float | None = Field(default=None, gt=0)
    flops: float | None = Field(default=None, gt=0)
    pairs: int | None = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _one_measure(self) -> Budget:
        if sum(value is not None for value in (self.steps, self.epochs, self.flops)) > 1:
            raise ValueError("a budget is steps, epochs or flops, not several of them")
        return self

    @property
    def label(self) -> str:
        """The budget in words."""
        amount = (
            f"{self.steps} steps" if self.steps
            else f"{self.flops:.6g} FLOPs" if self.flops
            else f"{self.epochs or 1:g} epochs"
        )  # fmt: skip
        return amount + (f", {self.pairs} pairs" if self.pairs else "")

    def recipe_keys(self) -> dict[str, Any]:
        """The budget as keys of a recipe."""
        keys = {"steps": self.steps, "epochs": self.epochs, "flops": self.flops, "pairs_per_language": self.pairs}
        return {name: value for name, value in keys.items() if value is not None}


@dataclasses.dataclass(frozen=True)
class Cell:
    """One student of a comparison."""

    loss: str
    budget: Budget
    seed: int
    recipe: Recipe

    @property
    def folder(self) -> str:
        """The cell's name on disk; parts that would not be a file name are replaced."""
        models = [Path(self.recipe.teacher).name]
        if self.recipe.student != self.recipe.teacher:
            models.append(Path(self.recipe.student).name)
        parts = [*models, self.loss, self.budget.label, f"seed {self.seed}"]
        return "--".join(re.sub(r"[^\w.+]+", "-", part).strip("-") for part in parts)


class Plan(BaseModel):
    """Every loss is trained under every budget with every seed, for every teacher and start, on the same pairs in the
    same order, and every student searches every collection.

    losses: names and, for each, a loss as in a recipe. students: what students start as (default: each
    its teacher). bitext: as for `clir.train`, $NAME from the environment. languages: of the bitext, those
    that are used. training: other keys of a recipe, for all alike. search: by single vectors, by tokens
    (`late`), or both. documents_by: which side of a student reads the documents (`encoding.encoder`).
    baseline: what the others are tested against, a loss or `undistilled`. bm25: two more lines, with the
    topics and with their English.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    teachers: tuple[str, ...] = Field(min_length=1)
    students: tuple[str, ...] | None = None
    losses: dict[str, Loss] = Field(min_length=1)
    bitext: tuple[str, ...] = Field(min_length=1)
    languages: tuple[str, ...] | None = None
    cleaning: bool = True
    collections: tuple[str, ...] = Field(min_length=1)
    seeds: tuple[int, ...] = Field(default=(1,), min_length=1)
    budgets: tuple[Budget, ...] = Field(default=(Budget(),), min_length=1)
    training: dict[str, Any] = Field(default_factory=dict)
    search: tuple[Search, ...] = Field(default=("dense",), min_length=1)
    documents_by: Reader = "teacher"
    measures: tuple[str, ...] = Field(default=("AP", "nDCG@10", "R@100"), min_length=1)
    baseline: str = UNDISTILLED
    hits: int = Field(default=1000, ge=1)
    bm25: bool = True

    @field_validator("teachers", "students", "bitext", "languages", "collections", "seeds", "budgets", "search",
                     "measures", mode="before")  # fmt: skip
    @classmethod
    def _one_is_a_list(cls, value: Any) -> Any:
        return value if value is None or isinstance(value, list | tuple) else [value]

    @field_validator("losses", mode="before")
    @classmethod
    def _names_are_losses(cls, value: Any) -> Any:
        """A name, or a list of names, stands for losses of these names."""
        names = [value] if isinstance(value, str) else value
        if not isinstance(names, list):
            return value
        if other := next((name for name in names if not isinstance(name, str)), None):
            raise ValueError(f"{other} needs a name of its own: NAME: {other}")
        if len(set(names)) < len(names):
            raise ValueError("a loss is there twice")
        return {name: name for name in names}

    @field_validator("bitext")
    @classmethod
    def _from_the_environment(cls, specs: tuple[str, ...]) -> tuple[str, ...]:
        expanded = tuple(os.path.expandvars(spec) for spec in specs)
        if left := next((spec for spec in expanded if re.search(r"\$\w|\$\{", spec)), None):
            raise ValueError(f"{left} names a variable that is not set in the environment")
        return expanded

    @field_validator("collections")
    @classmethod
    def _by_their_own_ids(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(open_collection(name).id for name in names)

    @field_validator("measures")
    @classmethod
    def _by_their_own_names(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        from clir.evaluation.measures import parse

        return tuple(dict.fromkeys(str(measure) for name in names for measure in parse([name])))

    @model_validator(mode="after")
    def _sensible(self) -> Plan:
        taken = {"teacher", "student", "loss", "seed", "steps", "epochs", "flops", "pairs_per_language"}
        if wrong := sorted(taken & self.training.keys()):
            raise ValueError(f"training: {wrong[0]} is set by the comparison itself: remove it there")
        if self.baseline not in (*self.losses, UNDISTILLED, ORACLE):
            raise ValueError(f"baseline: {self.baseline} is no loss of this comparison, nor {UNDISTILLED} or {ORACLE}")
        if wrong := sorted(set(REFERENCES) & self.losses.keys()):
            raise ValueError(f"losses: {wrong[0]} is the name of a line that every comparison has: choose another name")
        for name, values in (("seeds", self.seeds), ("budgets", self.budgets), ("collections", self.collections)):
            if len(set(values)) < len(values):
                raise ValueError(f"{name}: the same value is there twice")
        return self

    def part(self, losses: Sequence[str] | None = None, seeds: Sequence[int] | None = None) -> Plan:
        """The plan with these of its losses, the baseline always among them, and these of its seeds (None: all).

        Raises UsageError for one that the plan has not.
        """
        for kind, chosen, known in (("loss", losses or (), list(self.losses)), ("seed", seeds or (), self.seeds)):
            if wrong := next((one for one in chosen if one not in known), None):
                raise unknown(f"{kind} of this plan", str(wrong), [str(one) for one in known])
        kept = {
            name: loss for name, loss in self.losses.items() if not losses or name in losses or name == self.baseline
        }
        return self.model_copy(
            update={"losses": kept, "seeds": tuple(seed for seed in self.seeds if not seeds or seed in seeds)}
        )

    def cells(self) -> list[Cell]:
        """The students, one seed after the other: the first is a whole comparison, later ones show the spread.

        Raises UsageError for a key of `training` that recipes do not have.
        """
        cells = []
        for seed, budget, teacher in itertools.product(self.seeds, self.budgets, self.teachers):
            for student, (name, loss) in itertools.product(self.students or (teacher,), self.losses.items()):
                values = {
                    **self.training, **budget.recipe_keys(), "teacher": teacher, "student": student, "seed": seed,
                    "loss": loss.model_dump(mode="json"),
                }  # fmt: skip
                cells.append(Cell(name, budget, seed, parse_recipe(values, "training")))
        folders: dict[str, Cell] = {}
        for cell in cells:
            if (other := folders.setdefault(cell.folder, cell)) is not cell:
                raise UsageError(f"{_said(other)} and {_said(cell)} would lie in one folder, {cell.folder}: rename one")
        return cells


def _said(cell: Cell) -> str:
    """What tells a cell from the others of its seed."""
    return f"{cell.loss!r} ({cell.budget.label}; {cell.recipe.teacher}, {cell.recipe.student})"


def read_plan(path: str | Path) -> Plan:
    """The comparison in the YAML file `path`; UsageError naming the file and the key that is wrong."""
    return parse_plan(read_yaml(path, "comparison"), str(path))


def parse_plan(values: Mapping[str, Any], where: str) -> Plan:
    """`values` as a Plan; UsageError with one line for the first thing that is wrong."""
    try:
        return Plan.model_validate(dict(values))
    except ValidationError as error:
        place, message, unknown_key = first_mistake(error, TAGS)
        if unknown_key:
            raise UsageError(
                f"{where}: unknown key {place!r}; a comparison has {', '.join(Plan.model_fields)}"
            ) from error
        raise UsageError(f"{where}: {place + ': ' if place else ''}{message}") from error
