"""Fingerprints of models: equal when the vectors are, whatever the library that wrote the files.

Large files are read once; digests are remembered by path, size and time of change.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

from clir.encoding.folder import TowerSpec
from clir.encoding.weights import weight_files
from clir.support.errors import ClirError
from clir.support.files import READ_BLOCK, cache_root, write_json

LENGTH = 16
# Tensors that no pooling of ours reads, or that are constants of the architecture.
UNUSED_TENSORS = ("pooler.", "embeddings.position_ids")
# What an architecture's config says about the computation; the rest is bookkeeping of its writer.
COMPUTED = (
    "model_type", "hidden_act", "hidden_activation", "num_hidden_layers", "num_attention_heads",
    "layer_norm_eps", "position_embedding_type", "norm_eps", "rms_norm_eps", "rope_theta",
)  # fmt: skip


def fingerprint(spec: TowerSpec) -> str:
    """16 hexadecimal digits that depend on weights, tokenizer, pooling, head, prompt and length limit."""
    config = json.loads((spec.transformer / "config.json").read_text("utf-8"))
    parts: dict[str, Any] = {
        "weights": [_of_weights(path) for path in weight_files(spec.transformer)],
        "tokenizer": _of_tokenizer(spec.transformer),
        "head": [_of_weights(path) for head in spec.heads for path in weight_files(head)] or None,
        "config": {key: config.get(key) for key in COMPUTED},
        "spec": [spec.pooling, spec.pool_prompt, spec.normalize, spec.prompt, spec.max_tokens, spec.lower_case],
    }
    if spec.truncate_dim is not None:
        parts["truncate_dim"] = spec.truncate_dim
    if spec.reading is not None:
        # A marker is a prefix to one writer and the beginning of the prompt to another.
        reading = dataclasses.asdict(dataclasses.replace(spec.reading, prefix=spec.reading.prefix + spec.prompt))
        parts |= {"reading": reading, "tokenizer": _of_tokenizer(spec.transformer, marked=True)}
        parts["spec"] = [spec.max_tokens, spec.lower_case]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:LENGTH]


def fingerprint_of_files(folder: Path) -> str:
    """A digest of all weights and settings in `folder`, for models that are not towers."""
    kinds = {".json", ".safetensors", ".txt", ".model", ".spm"}
    files = sorted(path for path in folder.rglob("*") if path.suffix in kinds)
    parts = [
        (str(path.relative_to(folder)), _remembered(path, _of_bytes)) for path in files if path.name != "meta.json"
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:LENGTH]


def _of_weights(path: Path) -> str:
    return _remembered(path, _of_tensors)


def _of_tokenizer(folder: Path, marked: bool = False) -> str:
    """Digest of a tokenizer; `marked` leaves out how added tokens are looked for in texts, and which are its own."""
    path = folder / "tokenizer.json"
    if path.exists():
        return _remembered(path, _of_marked_tokenizer_json if marked else _of_tokenizer_json)
    return fingerprint_of_files(folder)


def _of_tensors(path: Path) -> str:
    """Digest of a safetensors file's used tensors by name, type, shape and bytes (not of its header's layout)."""
    digest = hashlib.sha256()
    try:
        with open(path, "rb") as handle:
            size = int.from_bytes(handle.read(8), "little")
            header: dict[str, Any] = json.loads(handle.read(size))
            for name, entry in sorted(header.items()):
                if name == "__metadata__" or any(part in name for part in UNUSED_TENSORS):
                    continue
                digest.update(json.dumps([_bare(name), entry["dtype"], entry["shape"]]).encode())
                begin, end = entry["data_offsets"]
                handle.seek(8 + size + begin)
                _update(digest, handle, end - begin)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ClirError(f"{path} is not a safetensors file: {error}") from error
    return digest.hexdigest()


def _bare(name: str) -> str:
    """A tensor's name without the prefix that a model with a task head puts before it."""
    for prefix in ("bert.", "roberta.", "distilbert.", "model."):
        name = name.removeprefix(prefix)
    return name


def _update(digest: Any, handle: Any, count: int) -> None:
    while count > 0:
        block = handle.read(min(READ_BLOCK, count))
        if not block:
            raise ValueError("shorter than its header says")
        digest.update(block)
        count -= len(block)


def _of_marked_tokenizer_json(path: Path) -> str:
    return _of_tokenizer_json(path, marked=True)


def _of_tokenizer_json(path: Path, marked: bool = False) -> str:
    """Digest of a tokenizer without the truncation and padding that its last user left in it."""
    settings = json.loads(path.read_text("utf-8"))
    if marked:
        vocabulary = settings.get("model", {}).get("vocab", {})
        known = set(vocabulary if isinstance(vocabulary, dict) else (piece for piece, _ in vocabulary))
        added = ([token["id"], token["content"]] for token in settings.get("added_tokens", []))
        settings["added_tokens"] = [[at, content] for at, content in added if content not in known]
    settings.pop("truncation", None)
    settings.pop("padding", None)
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()


def _of_bytes(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _remembered(path: Path, compute: Any) -> str:
    """`compute(path)`, kept in the cache under the file's identity, size and time of change."""
    status = path.stat()
    key = f"{compute.__name__} {path.resolve()} {status.st_size} {status.st_mtime_ns} {status.st_ino}"
    entry = cache_root() / "fingerprints" / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.json"
    try:
        return str(json.loads(entry.read_text("utf-8"))["digest"])
    except (OSError, ValueError, KeyError, TypeError):
        digest: str = compute(path)
    try:
        write_json(entry, {"path": str(path.resolve()), "digest": digest})
    except ClirError:
        # A read-only home only costs the time to compute the digest again.
        return digest
    return digest
