"""Which files hold a module's weights, what is in them, and what to say where something is missing.

The files are those that the transformers library reads: `model.safetensors`, else the shards that
`model.safetensors.index.json` names. What else lies in the folder (an adapter, older weights) is not looked at.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from clir.encoding.settings import read_settings
from clir.support.errors import ClirError

if TYPE_CHECKING:
    from torch import Tensor

WEIGHTS = "model.safetensors"
SHARDS = "model.safetensors.index.json"
# Of many names that are wrong, how many are told.
NAMED = 3
# Pooled by clir itself, a model's own pooler is read by nothing.
UNREAD = re.compile(r"(^|\.)pooler\.")


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a module's folder, in the order of their names.

    Raises ClirError if there are none (pickled weights are never read) or a shard is not there.
    """
    explicit = read_settings(folder / "config.json").get("transformers_weights")
    if explicit:
        raise ClirError(
            f"{folder}/config.json names its weights {explicit!r} (transformers_weights): rename them {WEIGHTS} "
            "and take the name out of it"
        )
    if (folder / WEIGHTS).exists():
        return [folder / WEIGHTS]
    if not (folder / SHARDS).exists():
        others = sorted(path.name for path in folder.glob("*.safetensors"))
        found = f"no {WEIGHTS} (but {_listed(others)})" if others else "no safetensors weights"
        raise ClirError(f"{folder} has {found} (pickled weights are not loaded)")
    names = read_settings(folder / SHARDS).get("weight_map")
    if not isinstance(names, dict) or not names:
        raise ClirError(f"{folder / SHARDS} names no weights (weight_map)")
    files = [folder / name for name in sorted(set(map(str, names.values())))]
    for path in files:
        if path.parent != folder or not path.exists():
            raise ClirError(f"{folder / SHARDS} names {path.name}, which is not in that folder")
    return files


def read_weights(folder: Path) -> dict[str, Tensor]:
    """All weights of a module's folder by name; ClirError if there are none or they cannot be read."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    found: dict[str, Tensor] = {}
    for path in weight_files(folder):
        try:
            found |= load_file(path)
        except (OSError, SafetensorError) as error:
            raise _unreadable(path, error) from error
    return found


def weight_shape(folder: Path, name: str) -> tuple[int, ...]:
    """The shape of one weight, without reading it; ClirError if the folder has no such weight."""
    from safetensors import SafetensorError, safe_open

    for path in weight_files(folder):
        try:
            with safe_open(path, framework="np") as weights:
                if name in weights.keys():  # noqa: SIM118 (it is no dict)
                    return tuple(weights.get_slice(name).get_shape())
        except (OSError, SafetensorError) as error:
            raise _unreadable(path, error) from error
    raise ClirError(f"{folder}: its weights lack {name}")


def refuse_incomplete(
    folder: Path,
    missing: Collection[str],
    unexpected: Iterable[str] = (),
    mismatched: Iterable[tuple[str, Iterable[int], Iterable[int]]] = (),
    *,
    pooled_by_itself: bool = False,
) -> None:
    """Raise ClirError if weights are `missing`, or `mismatched` (name, shape in the files, shape that is needed).

    Without them a library would draw numbers at random. A pooler may be missing, since nothing reads it, unless the
    model is `pooled_by_itself`. What is `unexpected` is told beside what is missing: it may be the same under another
    name.
    """

    def matters(name: str) -> bool:
        return pooled_by_itself or not UNREAD.search(name)

    wrong = [
        f"{name} is {_shape(found)}, not {_shape(needed)}"
        for name, found, needed in sorted(mismatched, key=lambda entry: entry[0])
        if matters(name)
    ]
    if wrong:
        raise ClirError(f"{folder}: its weights do not fit its config.json: {_listed(wrong)}")
    lacking = sorted(filter(matters, missing))
    if not lacking:
        return
    message = f"{folder}: its weights lack {_listed(lacking)}"
    spare = sorted(unexpected)
    if spare:
        message += f"; they have, under names that its config.json has no use for, {_listed(spare)}"
    raise ClirError(message)


def _unreadable(path: Path, error: Exception) -> ClirError:
    reason = " ".join(str(error).split())
    return ClirError(f"cannot load the model in {path.parent}: {path.name} is no whole safetensors file: {reason}")


def _listed(names: list[str]) -> str:
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {more:,} more" if more > 0 else "")


def _shape(sizes: Iterable[int]) -> str:
    return "x".join(map(str, sizes))
