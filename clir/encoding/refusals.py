"""Model folders that hold no encoder of texts, or one that cannot be read without running its own code.

They are told by their settings, before a library is asked: some libraries would pool them all the same, and some
would ask on the terminal whether to run code.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from clir.encoding.settings import class_name, read_settings
from clir.support.errors import ClirError

# Where a module's class may come from: libraries that were installed on purpose, not the model's folder.
LIBRARIES = ("sentence_transformers.", "pylate.")
SPARSE = ("SpladePooling", "MLMTransformer", "SparseAutoEncoder", "SparseStaticEmbedding", "IDF")
# What `config_sentence_transformers.json` calls its kind of model, and what that is.
OTHER_KINDS = {
    "SparseEncoder": "a sparse model (SPLADE or the like): it weighs the words of a text and gives no dense vector",
    "CrossEncoder": "a cross-encoder: it scores a query with a document and gives no vectors",
}
# Encoders and decoders of which the encoder is read alone, as sentence-transformers does.
ENCODERS_OF = {"t5": "T5EncoderModel", "mt5": "MT5EncoderModel", "umt5": "UMT5EncoderModel"}
CODE_IN = ("config.json", "tokenizer_config.json", "processor_config.json", "preprocessor_config.json")


def refuse_other_kinds(folder: Path, settings: dict[str, Any], types: Iterable[str] = ()) -> None:
    """Raise ClirError for a sparse model, a cross-encoder or module `types` that are code in the folder.

    `settings` are those of `config_sentence_transformers.json`, `types` the dotted names in `modules.json`.
    """
    kind = str(settings.get("model_type"))
    if kind in OTHER_KINDS:
        raise ClirError(f"{folder} is {OTHER_KINDS[kind]}")
    for dotted in types:
        if class_name(dotted) in SPARSE and dotted.startswith(LIBRARIES):
            raise ClirError(f"{folder} is {OTHER_KINDS['SparseEncoder']} (its module {class_name(dotted)})")
        if not dotted.startswith(LIBRARIES):
            raise _needs_code(folder, f"its module {dotted}")


def refuse_code(folder: Path) -> None:
    """Raise ClirError if a transformer's folder asks for code of its own, whatever a library would ask first."""
    for name in CODE_IN:
        asked = read_settings(folder / name).get("auto_map")
        if asked:
            named = ", ".join(sorted(asked)) if isinstance(asked, dict) else str(asked)
            raise _needs_code(folder, f"{named} in its {name} (auto_map)")


def refuse_transformer(folder: Path) -> None:
    """Raise ClirError for a transformer's folder that is no whole encoder: code of its own, an adapter, a decoder."""
    refuse_code(folder)
    if (folder / "adapter_config.json").exists():
        base = read_settings(folder / "adapter_config.json").get("base_model_name_or_path")
        raise ClirError(
            f"{folder} is an adapter (PEFT) of {base or 'another model'}, no whole model: "
            "merge the two (merge_and_unload) and save what comes out"
        )
    config = read_settings(folder / "config.json")
    kind = config.get("model_type")
    if not kind:
        there = (folder / "config.json").exists()
        raise ClirError(f"{folder}/config.json " + ("does not say its model_type" if there else "is not there"))
    if config.get("quantization_config"):
        raise ClirError(f"{folder} has quantised weights (quantization_config), which are not read: take the full ones")
    others = [part for part in ("vision_config", "audio_config") if config.get(part)]
    if others:
        raise ClirError(
            f"{folder} is a model ({kind}) that reads other things than text ({', '.join(others)}), no text encoder"
        )
    if config.get("is_encoder_decoder") and kind not in ENCODERS_OF:
        raise ClirError(
            f"{folder} is an encoder with a decoder ({kind}), such as one for translation: it is no text encoder"
        )


def is_causal(config: dict[str, Any]) -> bool:
    """Whether `config.json` is of a decoder that was trained to continue texts, by sentence-transformers' own rule."""
    architectures = config.get("architectures") or [""]
    return str(architectures[0]).endswith("ForCausalLM") and bool(config.get("is_causal", True))


def refuse_chat(folder: Path, config: dict[str, Any]) -> None:
    """Raise ClirError for a plain folder with a chat template: what its vector of a text would be, nobody has said."""
    templates = [name for name in ("chat_template.jinja", "chat_template.json") if (folder / name).exists()]
    if templates or read_settings(folder / "tokenizer_config.json").get("chat_template"):
        kind = (config.get("architectures") or [config.get("model_type")])[0]
        raise ClirError(f"{folder} is a language model for chats ({kind} with a chat template), no text encoder")


def _needs_code(folder: Path, what: str) -> ClirError:
    return ClirError(f"{folder} needs code from its own repository ({what}), which clir never runs")
