"""Fingerprints are equal when the vectors are, and differ when anything that decides them does."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from clir.encoding.encoder import load_encoder
from clir.encoding.fingerprint import fingerprint
from clir.encoding.folder import read_folder

Variant = Callable[..., Path]


def of(folder: Path, side: Any = "query") -> str:
    return fingerprint(read_folder(folder, side))


def with_one_weight_changed(minilm: Path, folder: Path) -> Path:
    from safetensors.torch import load_file, save_file

    state = load_file(minilm / "model.safetensors")
    name = next(name for name in sorted(state) if name.endswith("layer.3.output.dense.weight"))
    state[name][0, 0] += 1e-3
    (folder / "model.safetensors").unlink()
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def test_saving_again_by_sentence_transformers_keeps_the_fingerprint(minilm: Path, tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer

    again = tmp_path / "again"
    model = SentenceTransformer(str(minilm), device="cpu", local_files_only=True)
    # The tokenizer's file remembers the padding of its last use.
    model.encode(["one text", "and another text"])
    model.save(str(again), create_model_card=False)
    assert of(again) == of(minilm)
    assert len(of(minilm)) == 16


def test_one_changed_weight_changes_the_fingerprint(minilm: Path, variant: Variant) -> None:
    folder = variant()
    assert of(folder) == of(minilm)
    with_one_weight_changed(minilm, folder)
    assert of(folder) != of(minilm)


@pytest.mark.parametrize(
    ("pooling", "settings"),
    [
        ({}, {"prompts": {"query": "ask: ", "document": ""}}),
        ({"pooling_mode": "cls"}, {}),
        ({"include_prompt": False}, {}),
    ],
)
def test_prompt_and_pooling_change_the_fingerprint(
    minilm: Path, variant: Variant, pooling: dict[str, Any], settings: dict[str, Any]
) -> None:
    assert of(variant(pooling=pooling, **settings)) != of(minilm)


def test_the_length_limit_changes_the_fingerprint(minilm: Path, variant: Variant) -> None:
    folder = variant()
    settings = folder / "tokenizer_config.json"
    settings.write_text(settings.read_text().replace('"model_max_length": 256', '"model_max_length": 128'))
    assert read_folder(folder, "query").max_tokens == 128
    assert of(folder) != of(minilm)


def test_a_changed_vocabulary_changes_the_fingerprint(minilm: Path, variant: Variant) -> None:
    folder = variant()
    tokenizer = folder / "tokenizer.json"
    tokenizer.write_text(tokenizer.read_text("utf-8").replace('"water":', '"waterr":'), "utf-8")
    assert of(folder) != of(minilm)


def test_sides_differ_by_their_prompts_alone(variant: Variant) -> None:
    alike = load_encoder(str(variant("alike", prompts={"query": "text: ", "document": "text: "})))
    assert alike.fingerprint("query") == alike.fingerprint("document")
    apart = load_encoder(str(variant("apart", prompts={"query": "text: ", "document": "passage: "})))
    assert apart.fingerprint("query") == alike.fingerprint("query")
    assert apart.fingerprint("query") != apart.fingerprint("document")


def test_weights_that_changed_in_place_are_read_again(minilm: Path, variant: Variant) -> None:
    folder = variant()
    before = of(folder)
    with_one_weight_changed(minilm, folder)
    changed = of(folder)
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors").symlink_to(minilm / "model.safetensors")
    assert (changed != before, of(folder) == before) == (True, True)


def test_a_cache_that_cannot_be_written_costs_only_time(
    minilm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = of(minilm)
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CLIR_CACHE", str(tmp_path / "file"))
    assert of(minilm) == known
