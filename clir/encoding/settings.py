"""The JSON files in which a model folder keeps its settings, read without trusting them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from clir.support.errors import ClirError


def read_settings(path: Path) -> dict[str, Any]:
    """The JSON object in `path`, empty if there is no such file; ClirError if it holds something else."""
    value = _read(path) if path.exists() else {}
    if not isinstance(value, dict):
        raise ClirError(f"{path} is not a JSON object")
    return value


def read_modules(path: Path) -> list[dict[str, Any]]:
    """The list of modules in a `modules.json`; ClirError if it is none."""
    value = _read(path)
    if not isinstance(value, list) or not all(isinstance(entry, dict) and "type" in entry for entry in value):
        raise ClirError(f"{path} is not a list of modules")
    return value


def class_name(dotted: str) -> str:
    """`Pooling` of `sentence_transformers.models.Pooling`."""
    return dotted.rpartition(".")[2]


def inside(folder: Path, name: str) -> Path:
    """`folder/name`, refusing (ClirError) a name that leads out of the model's folder."""
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()):
        raise ClirError(f"{folder}: the module path {name!r} leads out of the model folder")
    return path


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise ClirError(f"{path} is not JSON: {error}") from error
