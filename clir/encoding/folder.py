"""What a model folder says of each side: which transformer, prompt, pooling, head and normalisation.

Reads sentence-transformers folders (plain, and with a Router for queries and documents) and plain
transformers folders, without importing either library.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any, Literal

from clir.support.errors import ClirError, UsageError

Side = Literal["query", "document"]
SIDES: tuple[Side, Side] = ("query", "document")
POOLINGS = ("mean", "cls", "max", "lasttoken")
# Positions that RoBERTa-like models reserve before the first token (padding_idx + 1).
RESERVED_POSITIONS = {"roberta": 2, "xlm-roberta": 2, "camembert": 2, "xlm-roberta-xl": 2}
# What architectures call the width of their token states (DistilBERT: dim; T5: d_model; GPT-2: n_embd).
WIDTH_KEYS = ("hidden_size", "dim", "d_model", "n_embd")
# The keys that folders saved before sentence-transformers 5 have in place of `pooling_mode`.
OLD_POOLING_KEYS = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_lasttoken": "lasttoken",
}


class UnsupportedModel(ClirError):
    """The folder holds a module that a Tower does not compute (sentence-transformers itself may)."""


@dataclasses.dataclass(frozen=True)
class TowerSpec:
    """One side of a model: everything that decides the vectors it gives.

    `head` is a folder with a sentence-transformers Dense (linear, on tokens or on the pooled vector;
    with mean pooling the two are the same map). `max_tokens` counts special tokens and the prompt.
    """

    transformer: Path
    pooling: str = "mean"
    pool_prompt: bool = True
    head: Path | None = None
    normalize: bool = True
    prompt: str = ""
    max_tokens: int = 512
    lower_case: bool = False


def read_folder(folder: str | Path, side: Side) -> TowerSpec:
    """The TowerSpec of one side of the model in `folder`.

    Raises UsageError if the folder is missing or holds no model, UnsupportedModel for modules other
    than Transformer, Pooling, Dense (without activation), Normalize and Router.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UsageError(f"no model folder at {folder}")
    if not (folder / "modules.json").exists():
        if not (folder / "config.json").exists():
            raise UsageError(f"{folder} holds no model (neither modules.json nor config.json)")
        # A bare transformers folder does not say how to pool: sentence-transformers' own default.
        return TowerSpec(transformer=folder, normalize=False, max_tokens=_max_tokens(folder))
    modules = _modules(folder, side)
    prompts = _json(folder / "config_sentence_transformers.json").get("prompts") or {}
    return _spec(folder, modules, str(prompts.get(side, "") or ""))


def width(spec: TowerSpec) -> int:
    """The number of dimensions of the vectors, read from the settings without loading weights."""
    if spec.head is not None:
        return int(_json(spec.head / "config.json")["out_features"])
    config = _json(spec.transformer / "config.json")
    said = next((config[key] for key in WIDTH_KEYS if key in config), None)
    if said is None:
        raise UnsupportedModel(f"{spec.transformer}/config.json does not say {WIDTH_KEYS[0]}")
    return int(said)


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a module's folder; ClirError if there are none: pickled weights are never read."""
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise ClirError(f"{folder} has no safetensors weights (pickled weights are not loaded)")
    return files


def _modules(folder: Path, side: Side) -> list[tuple[str, Path]]:
    """(class name, folder) of the modules that a text of `side` passes, in order."""
    passed: list[tuple[str, Path]] = []
    for entry in _json_list(folder / "modules.json"):
        name, path = _class_name(str(entry["type"])), _inside(folder, str(entry.get("path", "")))
        if name == "Router":
            passed.extend(_routed(path, side))
        else:
            passed.append((name, path))
    return passed


def _routed(router: Path, side: Side) -> list[tuple[str, Path]]:
    config = _json(router / "router_config.json")
    routes = config.get("structure", {})
    if side not in routes:
        raise UnsupportedModel(f"{router}: its Router has no route {side!r} (routes: {', '.join(routes)})")
    types = config.get("types", {})
    return [(_class_name(str(types[name])), _inside(router, str(name))) for name in routes[side]]


def _spec(folder: Path, modules: list[tuple[str, Path]], prompt: str) -> TowerSpec:
    names = [name for name, _ in modules]
    transformer = next((path for name, path in modules if name == "Transformer"), None)
    pooling_folder = next((path for name, path in modules if name == "Pooling"), None)
    heads = [path for name, path in modules if name == "Dense"]
    unknown = set(names) - {"Transformer", "Pooling", "Dense", "Normalize", "Dropout"}
    if unknown or transformer is None or pooling_folder is None or names[0] != "Transformer" or len(heads) > 1:
        raise UnsupportedModel(f"{folder}: a tower of modules {', '.join(names)} is not supported")
    pooling = _json(pooling_folder / "config.json")
    mode = _pooling_mode(pooling_folder, pooling)
    if heads:
        _check_head(heads[0], _json(heads[0] / "config.json"), mode)
    return TowerSpec(
        transformer=transformer,
        pooling=mode,
        pool_prompt=bool(pooling.get("include_prompt", True)),
        head=heads[0] if heads else None,
        normalize="Normalize" in names,
        prompt=prompt,
        max_tokens=_max_tokens(transformer),
        lower_case=bool(_json(transformer / "sentence_bert_config.json").get("do_lower_case", False)),
    )


def _pooling_mode(folder: Path, config: dict[str, Any]) -> str:
    mode = config.get("pooling_mode")
    if mode is None:
        chosen = [name for key, name in OLD_POOLING_KEYS.items() if config.get(key)]
        others = [key for key, on in config.items() if key.startswith("pooling_mode_") and on is True]
        mode = chosen[0] if len(chosen) == len(others) == 1 else "+".join(others)
    if isinstance(mode, list | tuple) and len(mode) == 1:
        mode = mode[0]
    if mode not in POOLINGS:
        raise UnsupportedModel(f"{folder}: pooling {mode!r} is not supported")
    return str(mode)


def _check_head(folder: Path, config: dict[str, Any], pooling: str) -> None:
    if _class_name(str(config.get("activation_function", ""))) != "Identity":
        raise UnsupportedModel(f"{folder}: a Dense with an activation is not supported")
    if config.get("use_residual") or pooling == "max":
        raise UnsupportedModel(f"{folder}: a Dense with a residual or after max pooling is not supported")


def _max_tokens(folder: Path) -> int:
    config = _json(folder / "config.json")
    limits = [
        _json(folder / "sentence_bert_config.json").get("max_seq_length"),
        _json(folder / "tokenizer_config.json").get("model_max_length"),
    ]
    if "max_position_embeddings" in config:
        reserved = RESERVED_POSITIONS.get(str(config.get("model_type")), 0)
        limits.append(int(config["max_position_embeddings"]) - reserved)
    return min((int(limit) for limit in limits if limit), default=512)


def _class_name(dotted: str) -> str:
    return dotted.rpartition(".")[2]


def _inside(folder: Path, name: str) -> Path:
    """`folder/name`, refusing a name that leads out of the model's folder."""
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()):
        raise ClirError(f"{folder}: the module path {name!r} leads out of the model folder")
    return path


def _json(path: Path) -> dict[str, Any]:
    value = _json_any(path) if path.exists() else {}
    if not isinstance(value, dict):
        raise ClirError(f"{path} is not a JSON object")
    return value


def _json_list(path: Path) -> list[dict[str, Any]]:
    value = _json_any(path)
    if not isinstance(value, list) or not all(isinstance(entry, dict) and "type" in entry for entry in value):
        raise ClirError(f"{path} is not a list of modules")
    return value


def _json_any(path: Path) -> Any:
    try:
        return json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise ClirError(f"{path} is not JSON: {error}") from error
