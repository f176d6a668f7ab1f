"""Model folders made from MiniLM, each with another way to come from tokens to a vector."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Variant = Callable[..., Path]


@pytest.fixture
def variant(minilm: Path, tmp_path: Path) -> Variant:
    """`variant(pooling={...}, prompts={...})`: MiniLM's folder with changed settings; the weights are a link."""

    def make(name: str = "variant", pooling: dict[str, Any] | None = None, **settings: Any) -> Path:
        folder = tmp_path / name
        shutil.copytree(minilm, folder, ignore=shutil.ignore_patterns("*.safetensors", "meta.json"))
        (folder / "model.safetensors").symlink_to(minilm / "model.safetensors")
        change(folder / "1_Pooling" / "config.json", **(pooling or {}))
        change(folder / "config_sentence_transformers.json", **settings)
        return folder

    return make


def change(path: Path, **values: Any) -> None:
    """Put `values` over the JSON object in `path`."""
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | values), "utf-8")
