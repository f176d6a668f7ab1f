"""Of a folder's files those are read that transformers reads; what is missing is named, not drawn at random."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from layouts import HIDDEN, NORMALIZE, bert, dense, modular, pooling, rename_weights, write, xlmr
from safetensors.torch import load_file, save_file

from clir.encoding.encoder import TowerEncoder, load_encoder
from clir.encoding.folder import read_folder
from clir.encoding.tower import load_tower
from clir.encoding.weights import weight_files
from clir.support.errors import ClirError

TEXTS = ["Where is the water?", "maji safi"]


def noise(path: Path) -> None:
    """Other weights of the same names and shapes as those in `model.safetensors` beside `path`."""
    weights = load_file(path.parent / "model.safetensors")
    save_file({name: torch.randn_like(values) for name, values in weights.items()}, path, metadata={"format": "pt"})


@pytest.mark.parametrize("stray", ["adapter_model.safetensors", "old.safetensors", "a.safetensors"])
def test_another_file_beside_the_weights_changes_nothing(stray: str, tmp_path: Path) -> None:
    folder = modular(bert(tmp_path / "model"), pooling(), NORMALIZE)
    before = load_encoder(str(folder))
    vectors, fingerprint = before.encode_queries(TEXTS), before.fingerprint("query")
    noise(folder / stray)
    after = load_encoder(str(folder))
    np.testing.assert_array_equal(after.encode_queries(TEXTS), vectors)
    assert after.fingerprint("query") == fingerprint
    trained = load_tower(read_folder(folder, "query"))
    np.testing.assert_allclose(trained(trained.tokenize(TEXTS)).sentence.detach(), vectors, atol=1e-5)


def test_another_file_beside_a_heads_weights_changes_nothing(tmp_path: Path) -> None:
    folder = modular(bert(tmp_path / "model"), pooling(), dense(24, "identity"))
    vectors = load_encoder(str(folder)).encode_queries(TEXTS)
    noise(folder / "2_Dense" / "old.safetensors")
    np.testing.assert_array_equal(load_encoder(str(folder)).encode_queries(TEXTS), vectors)


def test_one_file_wins_over_shards(tmp_path: Path) -> None:
    folder = bert(tmp_path / "model")
    vectors = load_encoder(str(folder)).encode_queries(TEXTS)
    noise(folder / "model-00001-of-00001.safetensors")
    names = load_file(folder / "model.safetensors")
    write(
        folder / "model.safetensors.index.json",
        {"weight_map": dict.fromkeys(names, "model-00001-of-00001.safetensors")},
    )
    assert [path.name for path in weight_files(folder)] == ["model.safetensors"]
    np.testing.assert_array_equal(load_encoder(str(folder)).encode_queries(TEXTS), vectors)
    (folder / "model.safetensors").unlink()
    assert np.abs(load_encoder(str(folder)).encode_queries(TEXTS) - vectors).max() > 0.1


def test_shards_and_one_file_give_the_same_vectors(tmp_path: Path) -> None:
    whole, shards = bert(tmp_path / "whole"), bert(tmp_path / "shards", shards="20KB")
    assert len(weight_files(shards)) > 2
    noise_in = shards / "old.safetensors"
    save_file({"embeddings.LayerNorm.weight": torch.zeros(HIDDEN)}, noise_in)
    assert noise_in not in weight_files(shards)
    np.testing.assert_array_equal(
        load_encoder(str(shards)).encode_queries(TEXTS), load_encoder(str(whole)).encode_queries(TEXTS)
    )


def index_of(folder: Path, weight_map: Any) -> Path:
    (folder / "model.safetensors").unlink()
    write(folder / "model.safetensors.index.json", {"weight_map": weight_map})
    return folder


@pytest.mark.parametrize(
    ("weight_map", "message"),
    [
        ({"a": "model-1.safetensors"}, r"index.json names model-1.safetensors, which is not in that folder"),
        ({"a": "../model.safetensors"}, r"index.json names model.safetensors, which is not in that folder"),
        ({}, r"index.json names no weights \(weight_map\)"),
        ("x", r"index.json names no weights \(weight_map\)"),
    ],
)
def test_an_index_of_shards_that_are_not_there_is_refused(weight_map: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(ClirError, match=message):
        weight_files(index_of(bert(tmp_path / "model"), weight_map))


def test_weights_under_another_name_are_told_and_not_read(tmp_path: Path) -> None:
    folder = bert(tmp_path / "model")
    (folder / "model.safetensors").rename(folder / "weights.safetensors")
    with pytest.raises(ClirError, match=r"has no model.safetensors \(but weights.safetensors\) \(pickled"):
        load_encoder(str(folder)).encode_queries(TEXTS)
    config = json.loads((folder / "config.json").read_text())
    write(folder / "config.json", config | {"transformers_weights": "weights.safetensors"})
    with pytest.raises(ClirError, match=r"names its weights 'weights.safetensors' \(transformers_weights\): rename"):
        load_encoder(str(folder)).encode_queries(TEXTS)


def stanford(folder: Path) -> Path:
    """A checkpoint of Stanford's: a BERT, and the matrix `linear` beside it, in one file."""
    rename_weights(bert(folder), "bert.")
    weights = load_file(folder / "model.safetensors")
    torch.manual_seed(11)
    save_file(weights | {"linear.weight": torch.randn(16, HIDDEN)}, folder / "model.safetensors")
    config = json.loads((folder / "config.json").read_text())
    write(folder / "config.json", config | {"architectures": ["HF_ColBERT"]})
    write(folder / "artifact.metadata", {"query_maxlen": 12, "doc_maxlen": 20})
    return folder


def test_a_checkpoint_of_stanfords_in_shards_gives_the_same_tokens(tmp_path: Path) -> None:
    whole, shards = stanford(tmp_path / "whole"), stanford(tmp_path / "shards")
    weights = load_file(shards / "model.safetensors")
    names = sorted(weights)
    halves = {"model-1.safetensors": names[::2], "model-2.safetensors": names[1::2]}
    for file, part in halves.items():
        save_file({name: weights[name] for name in part}, shards / file)
    index_of(shards, {name: file for file, part in halves.items() for name in part})
    one, other = load_encoder(str(whole)), load_encoder(str(shards))
    assert isinstance(one, TowerEncoder) and isinstance(other, TowerEncoder)
    assert one.dimension == other.dimension == 16
    np.testing.assert_array_equal(one.encode_query_tokens(TEXTS).values, other.encode_query_tokens(TEXTS).values)


def test_a_checkpoint_of_stanfords_without_its_matrix_is_refused(tmp_path: Path) -> None:
    folder = stanford(tmp_path / "colbert")
    rename_weights(folder, without=("linear",))
    encoder = load_encoder(str(folder))
    assert isinstance(encoder, TowerEncoder)
    with pytest.raises(ClirError, match=r"colbert: its weights lack linear.weight"):
        encoder.encode_query_tokens(TEXTS)


def test_a_pooler_that_nothing_reads_may_be_missing_and_is_the_same_in_every_process(tmp_path: Path) -> None:
    folder = xlmr(tmp_path / "model")
    vectors = load_encoder(str(folder)).encode_queries(TEXTS)
    rename_weights(folder, without=("pooler",))
    np.testing.assert_array_equal(load_encoder(str(folder)).encode_queries(TEXTS), vectors)
    trained: Any = load_tower(read_folder(folder, "query")).transformer
    assert not trained.pooler.dense.weight.any()


def test_a_model_saved_with_a_head_on_top_has_its_weights_behind_a_name(tmp_path: Path) -> None:
    bare, headed = bert(tmp_path / "bare"), bert(tmp_path / "headed")
    rename_weights(headed, "bert.", without=("pooler",))
    np.testing.assert_array_equal(
        load_encoder(str(headed)).encode_queries(TEXTS), load_encoder(str(bare)).encode_queries(TEXTS)
    )
