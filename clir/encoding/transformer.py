"""The transformer of a model folder, as the transformers library loads it: whole, in float32, without code of its own.

Where weights are missing the library draws them at random; here that is an error.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from clir.encoding.quiet import quiet_transformers
from clir.encoding.refusals import ENCODERS_OF, refuse_transformer
from clir.encoding.settings import read_settings
from clir.encoding.weights import refuse_incomplete, weight_files
from clir.support.errors import ClirError

# Characters of a library's message that are told; the rest is advice for programmers.
TOLD = 200


def load_transformer(folder: Path) -> Any:
    """The transformer in `folder`, in float32 on the processor; of T5 and its like the encoder alone.

    Raises ClirError if it is no encoder (`refusals`), weights are missing, do not fit the settings or are not
    safetensors, or this release of the library does not know its kind.
    """
    refuse_transformer(folder)
    kind = str(read_settings(folder / "config.json")["model_type"])
    model, report = _load(folder, ENCODERS_OF.get(kind, "AutoModel"))
    refuse_incomplete(folder, report["missing_keys"], report["unexpected_keys"], report["mismatched_keys"])
    state = model.state_dict()
    for name in report["missing_keys"]:
        # A pooler that nothing reads: numbers drawn at random would be saved with a student.
        state[name].zero_()
    return model


def check_cross_encoder(folder: Path) -> None:
    """Raise ClirError unless the plain folder holds a whole cross-encoder, with the layers that make the score."""
    refuse_transformer(folder)
    _, report = _load(folder, "AutoModelForSequenceClassification")
    refuse_incomplete(
        folder, report["missing_keys"], report["unexpected_keys"], report["mismatched_keys"], pooled_by_itself=True
    )


def _load(folder: Path, loader: str) -> tuple[Any, dict[str, Any]]:
    """What a class of transformers makes of a folder, and its report of names."""
    weight_files(folder)
    quiet_transformers()
    import torch
    import transformers
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    kind = read_settings(folder / "config.json")["model_type"]
    if kind not in CONFIG_MAPPING:
        raise ClirError(
            f"{folder} is a model of type {kind!r}, which the installed transformers "
            f"{transformers.__version__} does not have"
        )
    try:
        model, report = getattr(transformers, loader).from_pretrained(
            str(folder), use_safetensors=True, dtype=torch.float32, trust_remote_code=False, local_files_only=True,
            output_loading_info=True, ignore_mismatched_sizes=True,
        )  # fmt: skip
    # The library raises many kinds of errors for folders that are not what it expects.
    except Exception as error:
        raise ClirError(f"cannot load the model in {folder}: {reason(error)}") from error
    return model, report


def reason(error: Exception) -> str:
    """A library's error as part of one line."""
    told = " ".join(str(error).split()) or type(error).__name__
    return told if len(told) <= TOLD else told[:TOLD].rsplit(" ", 1)[0] + " ..."
