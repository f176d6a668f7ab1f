"""The fingerprints of earlier releases, of tokenizer.json and weights as written: what indexes made then say."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

from clir.encoding.fingerprint import LENGTH, fingerprint_of_files, remembered, tensor_bytes
from clir.encoding.folder import TowerSpec
from clir.encoding.weights import weight_files

UNUSED_TENSORS = ("pooler.", "embeddings.position_ids")
PREFIXES = ("bert.", "roberta.", "distilbert.", "model.")
COMPUTED = (
    "model_type", "hidden_act", "hidden_activation", "num_hidden_layers", "num_attention_heads",
    "layer_norm_eps", "position_embedding_type", "norm_eps", "rms_norm_eps", "rope_theta",
)  # fmt: skip


def former_fingerprint(spec: TowerSpec) -> str:
    """What `fingerprint` gave for the same folder before it read what a tokenizer does, and in float32."""
    config = json.loads((spec.transformer / "config.json").read_text("utf-8"))
    parts: dict[str, Any] = {
        "weights": [_of_weights(path) for path in weight_files(spec.transformer)],
        "tokenizer": _of_tokenizer(spec.transformer, spec.reading is not None),
        "head": [_of_weights(path) for head in spec.heads for path in weight_files(head)] or None,
        "config": {key: config.get(key) for key in COMPUTED},
        "spec": [spec.pooling, spec.pool_prompt, spec.normalize, spec.prompt, spec.max_tokens, spec.lower_case],
    }
    if spec.reading is not None:
        reading = dataclasses.asdict(dataclasses.replace(spec.reading, prefix=spec.reading.prefix + spec.prompt))
        parts |= {"reading": reading, "spec": [spec.max_tokens, spec.lower_case]}
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:LENGTH]


def _of_weights(path: Path) -> str:
    return str(remembered(path, _of_tensors))


def _of_tensors(path: Path) -> str:
    digest = hashlib.sha256()
    for name, entry, blocks in tensor_bytes(path):
        if any(part in name for part in UNUSED_TENSORS):
            continue
        for prefix in PREFIXES:
            name = name.removeprefix(prefix)
        digest.update(json.dumps([name, entry["dtype"], entry["shape"]]).encode())
        for block in blocks:
            digest.update(block)
    return digest.hexdigest()


def _of_tokenizer(folder: Path, marked: bool) -> str:
    path = folder / "tokenizer.json"
    if path.exists():
        return str(remembered(path, _of_marked_tokenizer_json if marked else _of_tokenizer_json))
    return fingerprint_of_files(folder)


def _of_marked_tokenizer_json(path: Path) -> str:
    return _of_tokenizer_json(path, marked=True)


def _of_tokenizer_json(path: Path, marked: bool = False) -> str:
    settings = json.loads(path.read_text("utf-8"))
    if marked:
        vocabulary = settings.get("model", {}).get("vocab", {})
        known = set(vocabulary if isinstance(vocabulary, dict) else (piece for piece, _ in vocabulary))
        added = ([token["id"], token["content"]] for token in settings.get("added_tokens", []))
        settings["added_tokens"] = [[at, content] for at, content in added if content not in known]
    settings.pop("truncation", None)
    settings.pop("padding", None)
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
