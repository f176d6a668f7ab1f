"""Teaching a student more languages without losing the earlier ones: their sentence pairs come along.

After the grouped distillation of arXiv 2405.09820, in which earlier tasks are distilled with the new one.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from clir.corpora.bitext import Pair, parse_specs
from clir.corpora.languages import language
from clir.support.errors import ClirError, UsageError
from clir.support.manifest import read_manifest

if TYPE_CHECKING:
    from clir.distillation.recipe import Recipe


class Earlier(NamedTuple):
    """What an earlier student was made of: its teacher, its bitext as specs that name their language, and the
    collections whose sentences it was not taught."""

    teacher: str
    bitext: list[str]
    held_out: list[str]


def earlier_training(student: str | Path) -> Earlier:
    """What the manifest of `student` says of its training; UsageError if it is no student that clir trained."""
    try:
        made = read_manifest(student)
        teacher, bitext = made["recipe"]["teacher"], made["data"]["bitext"]
        held_out = list(made["data"].get("held out", ()))
    except (ClirError, KeyError, TypeError) as error:
        raise UsageError(f"{student} cannot be continued: it has no manifest of a training by clir.train") from error
    if isinstance(bitext, str):
        raise UsageError(f"{student} cannot be continued: its bitext ({bitext}) is not in files that can be read again")
    return Earlier(teacher, list(bitext), held_out)


def check_space(recipe: Recipe) -> None:
    """Refuse (UsageError) to continue a student that would be given a new head without a word.

    Such a one is not in its teacher's space: the teacher's folder has changed, or another teacher was named.
    """
    from clir.distillation.start import same_space, tower_encoder

    if recipe.head != "auto":
        return
    if not same_space(tower_encoder(recipe.student), tower_encoder(recipe.teacher)):
        raise UsageError(
            f"{recipe.student} cannot be continued: its document side is not that of {recipe.teacher} (another teacher "
            "than its own, or one that has changed); to have it learn another space, behind a new head: --head linear"
        )


def with_languages(specs: Sequence[str], codes: Sequence[str]) -> list[str]:
    """`specs` each as `language=spec`, so that a manifest says all that is needed to read them again."""
    named = []
    for spec, source in zip(specs, parse_specs(specs, codes), strict=True):
        bare = spec.partition("=")[2] if _is_prefixed(spec, source.language) else spec
        named.append(f"{source.language}={bare}")
    return named


def with_earlier(pairs: Sequence[Pair], earlier: Sequence[Pair], share: float) -> list[Pair]:
    """`pairs`, and of the `earlier` ones `share` times as many, alike from every language (or all there are).

    The draw depends on nothing but the pairs.
    """
    groups: dict[str, list[Pair]] = {}
    for at in np.random.default_rng(0).permutation(len(earlier)):
        groups.setdefault(earlier[at].language, []).append(earlier[at])
    drawn: list[Pair] = []
    wanted = round(share * len(pairs))
    while groups and len(drawn) < wanted:
        for code in sorted(groups):
            if len(drawn) < wanted:
                drawn.append(groups[code].pop())
            if not groups[code]:
                del groups[code]
    return [*pairs, *drawn]


def _is_prefixed(spec: str, code: str) -> bool:
    """Whether `spec` names its language itself."""
    prefix, mark, _ = spec.partition("=")
    if not mark or os.path.exists(spec) or "/" in prefix:
        return False
    try:
        return language(prefix) == code
    except UsageError:
        return False
