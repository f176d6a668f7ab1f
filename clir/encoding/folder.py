"""What a model folder says of each side: which transformer, prompt, pooling, head and normalisation.

Reads sentence-transformers folders (plain, and with a Router for queries and documents), models trained for
late interaction (`colbert`) and plain transformers folders, without importing any of the libraries.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any, Literal

from clir.encoding.colbert import (
    STANFORD,
    TokenReading,
    is_colbert,
    pylate_reading,
    sentence_transformers_reading,
    stanford_reading,
)
from clir.support.errors import ClirError, UsageError

Side = Literal["query", "document"]
SIDES: tuple[Side, Side] = ("query", "document")
POOLINGS = ("mean", "cls", "max", "lasttoken")
# Positions that RoBERTa-like models reserve before the first token (padding_idx + 1).
RESERVED_POSITIONS = {"roberta": 2, "xlm-roberta": 2, "camembert": 2, "xlm-roberta-xl": 2}
# More tokens than any transformer reads.
UNLIMITED = 1 << 40
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

    `heads` are folders with a sentence-transformers Dense (linear, on tokens or on the pooled vector;
    with mean pooling the two are the same map), applied one after another. `max_tokens` counts special
    tokens and the prompt. `reading` is there for a model trained for late interaction, which gives token
    vectors alone: `pooling` and `normalize` then say nothing about it.
    """

    transformer: Path
    pooling: str = "mean"
    pool_prompt: bool = True
    heads: tuple[Path, ...] = ()
    normalize: bool = True
    prompt: str = ""
    max_tokens: int = 512
    lower_case: bool = False
    reading: TokenReading | None = None


def read_folder(folder: str | Path, side: Side) -> TowerSpec:
    """The TowerSpec of one side of the model in `folder`.

    Raises UsageError if the folder is missing or holds no model, UnsupportedModel for modules other
    than Transformer, Pooling, Dense (without activation), Normalize and Router, ClirError for a late-interaction
    model with anything else.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UsageError(f"no model folder at {folder}")
    if not (folder / "modules.json").exists():
        if not (folder / "config.json").exists():
            raise UsageError(f"{folder} holds no model (neither modules.json nor config.json)")
        if STANFORD in (_json(folder / "config.json").get("architectures") or []):
            reading = stanford_reading(_json(folder / "artifact.metadata"), side)
            return _token_spec(folder, (folder,), reading, "")
        # A bare transformers folder does not say how to pool: sentence-transformers' own default.
        return TowerSpec(transformer=folder, normalize=False, max_tokens=_max_tokens(folder))
    modules = _modules(folder, side)
    settings = _json(folder / "config_sentence_transformers.json")
    prompt = str((settings.get("prompts") or {}).get(side, "") or "")
    if is_colbert(settings, [name for name, _ in modules]):
        return _colbert_spec(folder, modules, settings, prompt, side)
    return _spec(folder, modules, prompt)


def width(spec: TowerSpec) -> int:
    """The number of dimensions of the vectors, read from the settings without loading weights."""
    if spec.heads:
        return _head_width(spec.heads[-1])
    config = _json(spec.transformer / "config.json")
    said = next((config[key] for key in WIDTH_KEYS if key in config), None)
    if said is None:
        raise UnsupportedModel(f"{spec.transformer}/config.json does not say {WIDTH_KEYS[0]}")
    return int(said)


def adds_input(head: Path) -> bool:
    """Whether a Dense adds its input (itself, or through a matrix) to what it gives."""
    return bool(_json(head / "config.json").get("use_residual"))


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
    computing = [name for name in names if name != "Dropout"]
    if "Normalize" in computing[:-1]:
        raise UnsupportedModel(f"{folder}: modules after Normalize ({', '.join(names)}) are not supported")
    pooling = _json(pooling_folder / "config.json")
    mode = _pooling_mode(pooling_folder, pooling)
    if heads:
        _check_head(heads[0], _json(heads[0] / "config.json"), mode)
    return TowerSpec(
        transformer=transformer,
        pooling=mode,
        pool_prompt=bool(pooling.get("include_prompt", True)),
        heads=tuple(heads),
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


def _colbert_spec(
    folder: Path, modules: list[tuple[str, Path]], settings: dict[str, Any], prompt: str, side: Side
) -> TowerSpec:
    names = [name for name, _ in modules]
    if names[:1] != ["Transformer"] or set(names[1:]) - {"Dense", "MultiVectorMask", "Normalize", "Dropout"}:
        raise ClirError(f"{folder}: a late-interaction model of modules {', '.join(names)} is not supported")
    heads = tuple(path for name, path in modules if name == "Dense")
    for head in heads:
        config = _json(head / "config.json")
        if _class_name(str(config.get("activation_function", "Identity"))) != "Identity":
            raise ClirError(f"{head}: a Dense with an activation is not supported in a late-interaction model")
    transformer = modules[0][1]
    if "MultiVectorMask" not in names:
        return _token_spec(transformer, heads, pylate_reading(settings, side), prompt)
    mask = _json(next(path for name, path in modules if name == "MultiVectorMask") / "config.json")
    own = _json(transformer / "sentence_bert_config.json")
    try:
        reading = sentence_transformers_reading(own, mask, "Normalize" in names, side)
    except ClirError as error:
        raise ClirError(f"{folder}: {error}") from error
    return _token_spec(transformer, heads, reading, prompt)


def _token_spec(transformer: Path, heads: tuple[Path, ...], reading: TokenReading, prompt: str) -> TowerSpec:
    # Where the model says how much it reads, the transformer's own setting is what its last user left there.
    limit = _max_tokens(transformer) if reading.max_tokens is None else min(_positions(transformer), reading.max_tokens)
    if reading.filled_to and not reading.filler:
        reading = dataclasses.replace(reading, filler=_filler(transformer))
    return TowerSpec(
        transformer=transformer,
        heads=heads,
        normalize=False,
        prompt=prompt,
        max_tokens=limit,
        lower_case=bool(_json(transformer / "sentence_bert_config.json").get("do_lower_case", False)),
        reading=reading,
    )


def _filler(transformer: Path) -> str:
    """The token that fills queries up: the mask token, else the one that ends a text, as PyLate has it."""
    known = _json(transformer / "special_tokens_map.json") | _json(transformer / "tokenizer_config.json")
    token = known.get("mask_token") or known.get("eos_token")
    if token:
        return str(token["content"] if isinstance(token, dict) else token)
    raise ClirError(f"{transformer}: queries are to be filled up, but its tokenizer has no mask token")


def _head_width(folder: Path) -> int:
    said = _json(folder / "config.json").get("out_features")
    if said is None:
        # Stanford keeps the head among the transformer's weights.
        from safetensors import safe_open

        (path,) = weight_files(folder)
        with safe_open(path, framework="np") as weights:
            return int(weights.get_slice("linear.weight").get_shape()[0])
    return int(said)


def _check_head(folder: Path, config: dict[str, Any], pooling: str) -> None:
    if _class_name(str(config.get("activation_function", ""))) != "Identity":
        raise UnsupportedModel(f"{folder}: a Dense with an activation is not supported")
    if config.get("use_residual") or pooling == "max":
        raise UnsupportedModel(f"{folder}: a Dense with a residual or after max pooling is not supported")


def _max_tokens(folder: Path) -> int:
    limits = [
        _json(folder / "sentence_bert_config.json").get("max_seq_length"),
        _json(folder / "tokenizer_config.json").get("model_max_length"),
        _positions(folder),
    ]
    known = [int(limit) for limit in limits if limit and limit < UNLIMITED]
    return min(known, default=512)


def _positions(folder: Path) -> int:
    """How many tokens the transformer has positions for."""
    config = _json(folder / "config.json")
    if "max_position_embeddings" not in config:
        return UNLIMITED
    return int(config["max_position_embeddings"]) - RESERVED_POSITIONS.get(str(config.get("model_type")), 0)


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
