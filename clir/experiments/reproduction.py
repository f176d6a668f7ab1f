"""Results that anybody can check: commands with the scores that they gave, run again and compared."""

from __future__ import annotations

import os
import shlex
import string
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from clir.corpora.given import given_qrels
from clir.evaluation.measures import evaluate, parse
from clir.runs.forms import read_run
from clir.support.errors import ClirError, UsageError
from clir.support.progress import say
from clir.support.settings import first_mistake, read_yaml

REPRODUCED, NEAR, OFF = "reproduced", "near", "off"
# In units of the tolerance: up to this a score is near.
NEARNESS = 5


class Expected(BaseModel):
    """A run that the commands leave, the qrels that judge it, and the scores that it had."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    run: str
    qrels: str
    scores: dict[str, float] = Field(min_length=1)
    tolerance: float = Field(default=0.0001, ge=0)


class Step(BaseModel):
    """Commands that belong together, and what they are expected to give."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1)
    commands: list[str] = Field(default_factory=list)
    expected: list[Expected] = Field(default_factory=list)
    minutes: float | None = None


class Reproduction(BaseModel):
    """A file of results: what it is about, and its steps in order."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    about: str
    steps: list[Step] = Field(min_length=1)


@dataclass(frozen=True)
class Outcome:
    """One score, as it was and as it is now."""

    step: str
    run: str
    measure: str
    expected: float
    found: float
    tolerance: float

    @property
    def verdict(self) -> str:
        """`reproduced` within the tolerance, `near` within five times it, else `off`."""
        # Expected scores are written to a few decimals; what is equal at these is equal.
        distance = abs(self.found - self.expected) - 1e-9
        return REPRODUCED if distance <= self.tolerance else NEAR if distance <= NEARNESS * self.tolerance else OFF


def read_reproduction(path: str | Path) -> Reproduction:
    """The file's steps; UsageError naming the file and the key that is wrong."""
    try:
        made = Reproduction.model_validate(read_yaml(path, "reproduction"))
    except ValidationError as error:
        place, message, unknown_key = first_mistake(error)
        raise UsageError(f"{path}: {'unknown key ' if unknown_key else ''}{place}: {message}") from error
    for step in made.steps:
        for command in step.commands:
            _words(command, path)
        for expected in step.expected:
            _check_measures(expected.scores, path)
            _variables(expected.run, path)
            _variables(expected.qrels, path)
    return made


def reproduce(path: str | Path, only: Sequence[str] = ()) -> Iterator[Outcome]:
    """Run the file's commands in order, in this folder, and give each score as it comes.

    `only`: names of steps, all if empty. `$NAME` in a command or path is taken from the environment, and stays in
    one word. Raises UsageError for an unknown step or a name that is not set, before anything is run, and ClirError
    for a command that fails.
    """
    steps = read_reproduction(path).steps
    names = [step.name for step in steps]
    if wrong := [name for name in only if name not in names]:
        raise UsageError(f"{path} has no step {wrong[0]!r} (it has {', '.join(names)})")
    chosen = [step for step in steps if not only or step.name in only]
    for step in chosen:
        for command in step.commands:
            _arguments(command, path)
        for name in (name for one in step.expected for name in (one.run, one.qrels)):
            _filled(name, path)
    for step in chosen:
        yield from _reproduced(step, path)


def _reproduced(step: Step, path: str | Path) -> Iterator[Outcome]:
    for command in step.commands:
        say(f"{step.name}: {command}")
        # What the commands print is their own; stdout stays free for the verdicts.
        status = subprocess.run(_arguments(command, path), stdout=sys.stderr, check=False).returncode
        if status:
            raise ClirError(f"{path}: {step.name}: exit status {status} of: {command}")
    for expected in step.expected:
        run = read_run(_filled(expected.run, path))
        average = evaluate(run, given_qrels(_filled(expected.qrels, path)), parse(expected.scores)).average
        for (name, score), found in zip(expected.scores.items(), average.values(), strict=True):
            yield Outcome(step.name, expected.run, name, score, found, expected.tolerance)


def _arguments(command: str, path: str | Path) -> list[str]:
    """What is run for a command: by this python, with the environment's values in its words."""
    return [sys.executable, *(_filled(word, path) for word in _words(command, path)[1:])]


def _words(command: str, path: str | Path) -> list[str]:
    """The words of a command, as they stand in the file; only python programs are run."""
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise UsageError(f"{path}: not a command: {command} ({error})") from error
    if not words or words[0] != "python":
        raise UsageError(f"{path}: a command must begin with python, not as: {command}")
    for word in words:
        _variables(word, path)
    return words


def _check_measures(scores: Iterable[str], path: str | Path) -> None:
    """UsageError for a key that is not one measure, or that names the measure of another one."""
    seen: dict[str, str] = {}
    for name in scores:
        found = [str(measure) for measure in parse([name])]
        if len(found) != 1:
            raise UsageError(f"{path}: {name!r} is {len(found)} measures: give each its own score")
        if earlier := seen.get(found[0]):
            raise UsageError(f"{path}: {earlier} and {name} are one measure: leave one out")
        seen[found[0]] = name


def _variables(text: str, path: str | Path) -> None:
    """UsageError where a `$` begins no name."""
    if not string.Template(text).is_valid():
        raise UsageError(f"{path}: {text}: a $ without a name behind it (a dollar sign itself is $$)")


def _filled(text: str, path: str | Path) -> str:
    try:
        return string.Template(text).substitute(os.environ)
    except KeyError as error:
        raise UsageError(f"{path}: ${error.args[0]} is not set in the environment") from error
