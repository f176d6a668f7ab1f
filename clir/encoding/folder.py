"""What a model folder says of each side: which transformer, prompt, pooling, head and normalisation.

Reads sentence-transformers folders (plain, and with a Router for queries and documents), models trained for
late interaction (`colbert`) and plain transformers folders, without importing any of the libraries.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, Literal, NamedTuple

from clir.encoding.colbert import (
    STANFORD,
    TokenReading,
    is_colbert,
    pylate_reading,
    sentence_transformers_reading,
    stanford_reading,
)
from clir.encoding.lengths import max_tokens, table, transformer_settings
from clir.encoding.refusals import is_causal, refuse_chat, refuse_other_kinds, refuse_transformer
from clir.encoding.settings import class_name, inside, read_modules, read_settings
from clir.encoding.weights import weight_shape
from clir.support.errors import ClirError, UsageError

Side = Literal["query", "document"]
SIDES: tuple[Side, Side] = ("query", "document")
POOLINGS = ("mean", "cls", "max", "lasttoken")
# What architectures call the width of their token states (DistilBERT: dim; T5: d_model; GPT-2: n_embd).
WIDTH_KEYS = ("hidden_size", "dim", "d_model", "n_embd")
# The keys that folders saved before sentence-transformers 5 have in place of `pooling_mode`.
OLD_POOLING_KEYS = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_lasttoken": "lasttoken",
}
# Modules of a tower, and those that sentence-transformers computes for encoding and searching.
TOWER_MODULES = ("Transformer", "Pooling", "Dense", "Normalize", "Dropout")
OTHER_MODULES = (
    "LayerNorm", "WeightedLayerPooling", "StaticEmbedding", "BoW", "WordEmbeddings", "WordWeights", "CNN", "LSTM",
)  # fmt: skip
# How a transformer gives token states, where its settings say it at all.
TOKEN_STATES = {"method": "forward", "method_output_name": "last_hidden_state"}
# Settings of a transformer under which it reads texts in ways of its own.
OWN_WAYS = (
    "processing_kwargs", "tokenizer_name_or_path", "query_length", "document_length", "query_expansion",
    "tokenizer_args", "processor_kwargs", "config_args", "config_kwargs", "model_args", "model_kwargs",
)  # fmt: skip
# Of those, what says nothing about the vectors: clir computes in float32 and runs no code.
WITHOUT_EFFECT = {"trust_remote_code", "dtype", "torch_dtype", "attn_implementation", "use_safetensors"}


class UnsupportedModel(ClirError):
    """The folder holds a module that a Tower does not compute (sentence-transformers itself may)."""


class Module(NamedTuple):
    """A module that a text passes: its dotted class name and its folder."""

    type: str
    folder: Path

    @property
    def name(self) -> str:
        """The class's own name."""
        return class_name(self.type)


@dataclasses.dataclass(frozen=True)
class TowerSpec:
    """One side of a model: everything that decides the vectors it gives.

    `heads` are folders with a sentence-transformers Dense (linear, on tokens or on the pooled vector;
    with mean pooling the two are the same map), applied one after another. `max_tokens` counts special
    tokens and the prompt. `reading` is there for a model trained for late interaction, which gives token
    vectors alone: `pooling` and `normalize` then say nothing about it. `truncate_dim`: only so many numbers of
    the sentence vector are kept (None: all), and it is normalised without the others.
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
    truncate_dim: int | None = None


def read_folder(folder: str | Path, side: Side) -> TowerSpec:
    """The TowerSpec of one side of the model in `folder`.

    Raises UsageError if the folder is missing or holds no model, UnsupportedModel for modules other
    than Transformer, Pooling, Dense (without activation), Normalize and Router, ClirError for what is no encoder
    of texts (`refusals`) and a late-interaction model with anything else.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UsageError(f"no model folder at {folder}")
    settings = read_settings(folder / "config_sentence_transformers.json")
    if not is_modular(folder):
        refuse_other_kinds(folder, settings)
        return _with_width(_plain(folder, side))
    modules = side_modules(folder, side)
    refuse_other_kinds(folder, settings, [module.type for module in modules])
    for module in modules:
        _refuse(folder, module)
    prompt = str((settings.get("prompts") or {}).get(side, "") or "")
    if is_colbert(settings, [module.name for module in modules]):
        return _colbert_spec(folder, modules, settings, prompt, side)
    spec = _with_width(_spec(folder, modules, prompt))
    cut = settings.get("truncate_dim")
    return spec if cut is None or int(cut) >= width(spec) else dataclasses.replace(spec, truncate_dim=int(cut))


def _with_width(spec: TowerSpec) -> TowerSpec:
    """The spec, if its settings say how wide its vectors are; otherwise UnsupportedModel."""
    if not spec.heads:
        width(spec)
    return spec


def is_modular(folder: Path) -> bool:
    """Whether the folder has sentence-transformers' list of modules; otherwise it is a plain transformers folder."""
    return (folder / "modules.json").exists()


def width(spec: TowerSpec) -> int:
    """The number of dimensions of the vectors, read from the settings without loading weights."""
    if spec.truncate_dim is not None:
        return spec.truncate_dim
    if spec.heads:
        return _head_width(spec.heads[-1])
    config = read_settings(spec.transformer / "config.json")
    said = next((config[key] for key in WIDTH_KEYS if key in config), None)
    if said is None:
        raise UnsupportedModel(f"{spec.transformer}/config.json does not say {WIDTH_KEYS[0]}")
    return int(said)


def side_modules(folder: Path, side: Side) -> list[Module]:
    """The modules that a text of `side` passes, in order; UnsupportedModel if a Router does not say."""
    passed: list[Module] = []
    for entry in read_modules(folder / "modules.json"):
        module = Module(str(entry["type"]), inside(folder, str(entry.get("path", ""))))
        passed.extend(_routed(module.folder, side) if module.name == "Router" else [module])
    return passed


def _routed(router: Path, side: Side) -> list[Module]:
    config = read_settings(router / "router_config.json") or read_settings(router / "config.json")
    routes = config.get("structure", {})
    if side not in routes:
        raise UnsupportedModel(f"{router}: its Router has no route {side!r} (routes: {', '.join(routes)})")
    types = config.get("types", {})
    return [Module(str(types[name]), inside(router, str(name))) for name in routes[side]]


def _plain(folder: Path, side: Side) -> TowerSpec:
    """The spec of a transformers folder, which does not say how to pool: as sentence-transformers does by default."""
    if not (folder / "config.json").exists() and not (folder / "adapter_config.json").exists():
        raise UsageError(f"{folder} holds no model (neither modules.json nor config.json)")
    refuse_transformer(folder)
    config = read_settings(folder / "config.json")
    if STANFORD in (config.get("architectures") or []):
        reading = stanford_reading(read_settings(folder / "artifact.metadata"), side)
        return _token_spec(folder, (folder,), reading, "")
    refuse_chat(folder, config)
    pooling = "lasttoken" if is_causal(config) else "mean"
    return TowerSpec(transformer=folder, pooling=pooling, normalize=False, max_tokens=max_tokens(folder))


def _refuse(folder: Path, module: Module) -> None:
    """Raise ClirError for a module that neither clir nor sentence-transformers may compute."""
    if module.name == "Transformer":
        refuse_transformer(module.folder)
    elif module.name == "Dense":
        activation = str(read_settings(module.folder / "config.json").get("activation_function", "torch."))
        if not activation.startswith("torch."):
            raise ClirError(f"{module.folder}: its activation {activation} is code that clir does not run")
    elif module.name not in (*TOWER_MODULES, *OTHER_MODULES, "MultiVectorMask"):
        raise ClirError(f"{folder}: its module {module.name} is not supported")


def _spec(folder: Path, modules: list[Module], prompt: str) -> TowerSpec:
    computing = [module for module in modules if module.name != "Dropout"]
    names = [module.name for module in computing]
    if not {"Pooling", "StaticEmbedding", "BoW"}.intersection(names):
        raise ClirError(f"{folder}: none of its modules ({', '.join(names)}) makes one vector of a text")
    unsupported = _unsupported(names)
    if unsupported:
        raise UnsupportedModel(f"{folder}: {unsupported}")
    found = {module.name: module.folder for module in computing}
    transformer, pooling_folder = found["Transformer"], found["Pooling"]
    own = _own_settings(transformer)
    pooling = read_settings(pooling_folder / "config.json")
    mode = _pooling_mode(pooling_folder, pooling)
    if "Dense" in found:
        _check_head(found["Dense"], mode, before_pooling=names.index("Dense") < names.index("Pooling"))
    return TowerSpec(
        transformer=transformer,
        pooling=mode,
        pool_prompt=bool(pooling.get("include_prompt", True)),
        heads=(found["Dense"],) if "Dense" in found else (),
        normalize="Normalize" in found,
        prompt=prompt,
        max_tokens=max_tokens(transformer, own.get("max_seq_length")),
        lower_case=bool(own.get("do_lower_case", False)),
    )


def _unsupported(names: list[str]) -> str:
    """What about a list of modules a tower does not compute; nothing if it computes them all."""
    for name in names:
        if name not in TOWER_MODULES:
            return f"its module {name} is not one of {', '.join(TOWER_MODULES[:4])}"
    for name in ("Transformer", "Pooling"):
        if names.count(name) != 1:
            return f"it has {names.count(name) or 'no'} modules {name}, not one ({', '.join(names)})"
    if names[0] != "Transformer":
        return f"its first module is {names[0]}, not Transformer"
    if names.count("Dense") > 1:
        return f"it has {names.count('Dense')} modules Dense, and one at most is supported"
    if "Normalize" in names[:-1]:
        return f"{names[names.index('Normalize') + 1]} after Normalize is not supported"
    return ""


def _own_settings(transformer: Path) -> dict[str, Any]:
    """What sentence-transformers keeps beside a transformer; UnsupportedModel if it reads texts in a way of its own."""
    own = transformer_settings(transformer)
    states = own.get("modality_config", {"text": TOKEN_STATES})
    named = own.get("transformer_task", "feature-extraction"), own.get("module_output_name", "token_embeddings")
    if named != ("feature-extraction", "token_embeddings") or states.get("text") != TOKEN_STATES:
        raise UnsupportedModel(f"{transformer}: a transformer that gives other than token states is not supported")
    if "message" in states:
        raise UnsupportedModel(f"{transformer}: texts that go through a chat template are not supported")
    for key in OWN_WAYS:
        value = own.get(key)
        if value and not (isinstance(value, dict) and set(value) <= WITHOUT_EFFECT):
            raise UnsupportedModel(f"{transformer}: its setting {key} is not supported")
    return own


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


def _colbert_spec(folder: Path, modules: list[Module], settings: dict[str, Any], prompt: str, side: Side) -> TowerSpec:
    names = [module.name for module in modules]
    if names[:1] != ["Transformer"] or set(names[1:]) - {"Dense", "MultiVectorMask", "Normalize", "Dropout"}:
        raise ClirError(f"{folder}: a late-interaction model of modules {', '.join(names)} is not supported")
    heads = tuple(module.folder for module in modules if module.name == "Dense")
    for head in heads:
        config = read_settings(head / "config.json")
        if class_name(str(config.get("activation_function", "Identity"))) != "Identity":
            raise ClirError(f"{head}: a Dense with an activation is not supported in a late-interaction model")
    transformer = modules[0].folder
    if "MultiVectorMask" not in names:
        return _token_spec(transformer, heads, pylate_reading(settings, side), prompt)
    mask = read_settings(modules[names.index("MultiVectorMask")].folder / "config.json")
    own = transformer_settings(transformer)
    try:
        reading = sentence_transformers_reading(own, mask, "Normalize" in names, side)
    except ClirError as error:
        raise ClirError(f"{folder}: {error}") from error
    return _token_spec(transformer, heads, reading, prompt)


def _token_spec(transformer: Path, heads: tuple[Path, ...], reading: TokenReading, prompt: str) -> TowerSpec:
    # Where the model says how much it reads, the transformer's own setting is what its last user left there.
    own, positions = transformer_settings(transformer), table(read_settings(transformer / "config.json"))
    length = reading.max_tokens
    limit = max_tokens(transformer, own.get("max_seq_length")) if length is None else min(positions, length)
    if reading.filled_to and not reading.filler:
        reading = dataclasses.replace(reading, filler=_filler(transformer))
    return TowerSpec(
        transformer=transformer,
        heads=heads,
        normalize=False,
        prompt=prompt,
        max_tokens=limit,
        lower_case=bool(own.get("do_lower_case", False)),
        reading=reading,
    )


def _filler(transformer: Path) -> str:
    """The token that fills queries up: the mask token, else the one that ends a text, as PyLate has it."""
    names = "special_tokens_map.json", "tokenizer_config.json"
    special, tokenizer = (read_settings(transformer / name) for name in names)
    known = special | tokenizer
    token = known.get("mask_token") or known.get("eos_token")
    if token:
        return str(token["content"] if isinstance(token, dict) else token)
    raise ClirError(f"{transformer}: its queries are filled up with mask tokens, but its tokenizer has none")


def _head_width(folder: Path) -> int:
    said = read_settings(folder / "config.json").get("out_features")
    # Stanford keeps the head among the transformer's weights.
    return int(weight_shape(folder, "linear.weight")[0] if said is None else said)


def _check_head(folder: Path, pooling: str, *, before_pooling: bool) -> None:
    config = read_settings(folder / "config.json")
    activation = class_name(str(config.get("activation_function", "Tanh")))
    if activation != "Identity":
        raise UnsupportedModel(f"{folder}: a Dense with an activation ({activation}) is not supported")
    if config.get("use_residual") or pooling == "max":
        raise UnsupportedModel(f"{folder}: a Dense with a residual or after max pooling is not supported")
    read = str(config.get("module_input_name", "sentence_embedding"))
    needed = "token_embeddings" if before_pooling else "sentence_embedding"
    if read != needed or config.get("module_output_name", read) != read:
        raise UnsupportedModel(f"{folder}: a Dense of {read} here, not of {needed}, is not supported")
