"""Fingerprints of models: equal when the vectors are, whatever the library that wrote the files.

Weights are digested as float32, in which they are computed, by their names in the bare model and over all files of a
module; the tokenizer by what it does; the configuration by all that differs from its class's defaults, except what is
known to change no vector. Large files are read once; digests are remembered by path, size and time of change.
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.metadata
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from clir.encoding.folder import TowerSpec
from clir.encoding.quiet import quiet_transformers
from clir.encoding.tokenizer import marker_id, normal_form, read_tokenizer, tokenizer_key
from clir.encoding.weights import weight_files
from clir.support.errors import ClirError
from clir.support.files import READ_BLOCK, cache_root, write_json

LENGTH = 16
# Names that a model with a task's head puts before those of the bare model; what stands outside is the head's.
PREFIXES = ("bert.", "roberta.", "distilbert.", "mpnet.", "electra.", "albert.", "deberta.", "new.", "transformer.",
            "model.")  # fmt: skip
# Tensors that no pooling of ours reads, or that are constants of the architecture.
UNUSED_TENSORS = ("pooler.", "position_ids", "rotary_emb.inv_freq")
# What a configuration says that changes no vector in reading: who wrote it and how, training, generation, tasks.
BOOKKEEPING = frozenset((
    "_name_or_path", "name_or_path", "_commit_hash", "transformers_version", "architectures", "auto_map", "dtype",
    "torch_dtype", "tokenizer_class", "task_specific_params", "problem_type", "finetuning_task", "id2label", "label2id",
    "num_labels", "return_dict", "output_hidden_states", "output_attentions", "torchscript", "use_bfloat16",
    "gradient_checkpointing", "use_cache", "cache_implementation", "_attn_implementation", "attn_implementation",
    "attn_implementation_autoset", "_attn_implementation_autoset", "chunk_size_feed_forward", "reference_compile",
    "repad_logits_with_grad", "sparse_prediction", "sparse_pred_ignore_index", "deterministic_flash_attn",
    "initializer_range", "initializer_factor", "initializer_cutoff_factor", "prefix",
    "tie_word_embeddings", "tie_encoder_decoder", "is_encoder_decoder", "num_decoder_layers", "bos_token_id",
    "eos_token_id", "cls_token_id", "sep_token_id", "mask_token_id", "decoder_start_token_id", "vocab_size",
    "directionality", "pooler_fc_size", "pooler_num_attention_heads", "pooler_num_fc_layers",
    "pooler_size_per_head", "pooler_type", "classifier_activation", "classifier_bias", "classifier_pooling",
    "decoder_bias", "_num_labels", "summary_type", "summary_use_proj", "transformers.js_config",
))  # fmt: skip
# What earlier releases of the library wrote for what it does anyway.
ONCE_WRITTEN = {"position_embedding_type": "absolute"}


def fingerprint(spec: TowerSpec) -> str:
    """16 hexadecimal digits that depend on weights, tokenizer, pooling, head, prompt and length limit."""
    parts: dict[str, Any] = {
        "weights": _encoders(_tensors(spec.transformer)),
        "tokenizer": _of_tokenizer(spec),
        "heads": [_of_head(head) for head in spec.heads],
        "config": remembered(spec.transformer / "config.json", _configured, importlib.metadata.version("transformers")),
        "spec": _of_spec(spec),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:LENGTH]


def fingerprint_of_files(folder: Path) -> str:
    """A digest of all weights and settings in `folder`, for models that are not towers."""
    kinds = {".json", ".safetensors", ".txt", ".model", ".spm"}
    files = sorted(path for path in folder.rglob("*") if path.suffix in kinds)
    parts = [(str(path.relative_to(folder)), remembered(path, _of_bytes)) for path in files if path.name != "meta.json"]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:LENGTH]


def _of_spec(spec: TowerSpec) -> dict[str, Any]:
    """What a spec says besides folders, as far as it is not as usual."""
    # Lower case is a step of the tokenizer.
    left_out = {"transformer", "heads", "lower_case"}
    said = {
        field.name: getattr(spec, field.name)
        for field in dataclasses.fields(spec)
        if field.name not in left_out and getattr(spec, field.name) != field.default
    }
    if spec.reading is not None:
        # Of what stands before a text `_of_tokenizer` says what is read; there is no sentence vector.
        said["reading"] = dataclasses.asdict(dataclasses.replace(spec.reading, prefix=""))
        said = {name: value for name, value in said.items() if name in ("reading", "max_tokens")}
    return said


def _of_tokenizer(spec: TowerSpec) -> str:
    """Digest of what a side's tokenizer does.

    Of a model trained for late interaction it holds how a text is read behind marker and prompt, since a marker is a
    token to one writer and the beginning of the prompt to another; and not how added tokens are looked for in texts
    and which of them are the tokenizer's own, since these writers add the marker.
    """
    marked = spec.reading is not None
    leading = [spec.reading.prefix, spec.prompt] if spec.reading else None
    key = json.dumps([tokenizer_key(spec.transformer), spec.lower_case, leading])

    def compute() -> str:
        tokenizer = read_tokenizer(spec.transformer, spec.lower_case)
        settings: dict[str, Any] = normal_form(tokenizer)
        if marked:
            vocabulary = settings["model"]["vocab"]
            known = set(vocabulary if isinstance(vocabulary, dict) else (piece for piece, _ in vocabulary))
            added = ([token["id"], token["content"]] for token in settings["added_tokens"])
            settings["added_tokens"] = [[at, content] for at, content in added if content not in known]
        told = [settings, tokenizer.encode_special_tokens, (tokenizer.truncation or {}).get("direction")]
        if leading:
            told.append(_behind(tokenizer, *leading))
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()

    return str(_kept(key, str(spec.transformer), compute))


def _behind(tokenizer: Any, marker: str, prompt: str) -> list[int]:
    """The ids of a text behind marker and prompt."""
    at = marker_id(tokenizer, marker)
    if at is None:
        return list(tokenizer.encode(marker + prompt + "a").ids)
    first, *others = tokenizer.encode(prompt + "a").ids
    return [first, at, *others]


def _of_head(folder: Path) -> dict[str, Any]:
    """Weights and settings of a Dense; of Stanford's, which lies among the transformer's weights, the weights."""
    config = _json(folder / "config.json")
    activation = str(config.get("activation_function") or "Identity").rpartition(".")[2]
    said: dict[str, Any] = {
        name: digest for name, digest in _tensors(folder).items() if name.startswith(("linear.", "residual."))
    }
    if activation != "Identity" and "in_features" in config:
        said |= {"activation": activation, "of": config.get("module_input_name")}
    return said | ({"adds input": True} if config.get("use_residual") else {})


def _configured(path: Path) -> dict[str, Any]:
    """The settings of a config.json that are not its class's defaults, as the library reads them, or as written."""
    quiet_transformers()
    from transformers import AutoConfig

    written = _json(path)
    try:
        config = AutoConfig.from_pretrained(str(path.parent), trust_remote_code=False, local_files_only=True)
        read, usual = config.to_dict(), type(config)().to_dict()
    # A kind that this release does not know, or a class that has no defaults.
    except (ValueError, KeyError, TypeError, AttributeError, OSError):
        read, usual = written, {}
    return {"model_type": written.get("model_type")} | _unusual(read, usual)


def _unusual(read: dict[str, Any], usual: dict[str, Any]) -> dict[str, Any]:
    """What in `read` differs from `usual` and can change a vector."""
    found: dict[str, Any] = {}
    for name, value in read.items():
        if name in BOOKKEEPING or "dropout" in name or ONCE_WRITTEN.get(name) == value:
            continue
        default = usual.get(name)
        if isinstance(value, dict):
            value = _unusual(value, default if isinstance(default, dict) else {})
        # A key that its class does not know is nothing where it is off.
        if value != default and (value not in (None, False, {}, []) or name in usual):
            found[name] = value
    return found


def _encoders(tensors: dict[str, str]) -> dict[str, str]:
    """The tensors of the bare encoder, by their names there."""
    for prefix in PREFIXES:
        inside = {name.removeprefix(prefix): digest for name, digest in tensors.items() if name.startswith(prefix)}
        if any("embed" in name or name.startswith("wte.") for name in inside):
            tensors = inside
            break
    if any(name.startswith("encoder.block.") for name in tensors):
        # Of T5 and its like there is a decoder too, and the embeddings may stand there several times.
        shared = tensors.get("shared.weight", tensors.get("encoder.embed_tokens.weight", ""))
        tensors = {name: digest for name, digest in tensors.items() if name.startswith("encoder.")}
        tensors |= {"encoder.embed_tokens.weight": shared}
    return {
        name.replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias"): digest
        for name, digest in tensors.items()
        if not name.startswith("linear.") and not any(part in name for part in UNUSED_TENSORS)
    }


def _tensors(folder: Path) -> dict[str, str]:
    """The digest of every tensor in a module's folder, by its name."""
    found: dict[str, str] = {}
    for path in weight_files(folder):
        found |= remembered(path, _each_tensor)
    return found


def _each_tensor(path: Path) -> dict[str, str]:
    found = {}
    for name, entry, blocks in tensor_bytes(path):
        kind = entry["dtype"]
        convert = AS_FLOAT32.get(kind)
        digest = hashlib.sha256(json.dumps(["F32" if convert else kind, entry["shape"]]).encode())
        for block in blocks:
            digest.update(convert(block) if convert else block)
        found[name] = digest.hexdigest()
    return found


def _bfloat16(block: bytes) -> bytes:
    """Bfloat16 is the upper half of float32."""
    return (np.frombuffer(block, dtype="<u2").astype("<u4") << 16).tobytes()


AS_FLOAT32: dict[str, Callable[[bytes], bytes]] = {
    "F32": lambda block: block,
    "F16": lambda block: np.frombuffer(block, dtype="<f2").astype("<f4").tobytes(),
    "F64": lambda block: np.frombuffer(block, dtype="<f8").astype("<f4").tobytes(),
    "BF16": _bfloat16,
}


def tensor_bytes(path: Path) -> Iterator[tuple[str, dict[str, Any], Iterator[bytes]]]:
    """Name, header entry and bytes (in blocks, to be read before the next) of a safetensors file's tensors, by name.

    Raises ClirError if it is no such file.
    """
    try:
        with open(path, "rb") as handle:
            size = int.from_bytes(handle.read(8), "little")
            header: dict[str, Any] = json.loads(handle.read(size))
            for name, entry in sorted(header.items()):
                if name != "__metadata__":
                    begin, end = entry["data_offsets"]
                    handle.seek(8 + size + begin)
                    yield name, entry, _blocks(handle, end - begin)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ClirError(f"{path} is not a safetensors file: {error}") from error


def _blocks(handle: Any, count: int) -> Iterator[bytes]:
    while count > 0:
        block = handle.read(min(READ_BLOCK, count))
        if not block:
            raise ValueError("shorter than its header says")
        yield block
        count -= len(block)


def _of_bytes(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def remembered(path: Path, compute: Callable[[Path], Any], more: str = "") -> Any:
    """`compute(path)`, kept in the cache under the file's identity, size and time of change, and `more`."""
    status = path.stat()
    key = f"{compute.__name__} {path.resolve()} {status.st_size} {status.st_mtime_ns} {status.st_ino}"
    return _kept(f"{key} {more}" if more else key, str(path.resolve()), lambda: compute(path))


def _kept(key: str, path: str, compute: Callable[[], Any]) -> Any:
    entry = cache_root() / "fingerprints" / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.json"
    try:
        return json.loads(entry.read_text("utf-8"))["digest"]
    except (OSError, ValueError, KeyError, TypeError):
        # As it will be read again: lists and strings.
        digest = json.loads(json.dumps(compute()))
    try:
        write_json(entry, {"path": path, "digest": digest})
    except ClirError:
        # A read-only home only costs the time to compute the digest again.
        return digest
    return digest


def _json(path: Path) -> dict[str, Any]:
    value = json.loads(path.read_text("utf-8")) if path.exists() else {}
    return value if isinstance(value, dict) else {}
