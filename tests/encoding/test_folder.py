"""What is read from a model folder, and which folders are refused with one clear line."""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from clir.encoding.encoder import SentenceTransformerEncoder, TowerEncoder, load_encoder
from clir.encoding.folder import UnsupportedModel, read_folder, width
from clir.encoding.tower import load_tower
from clir.support.errors import ClirError, UsageError

Variant = Callable[..., Path]


def rewrite(path: Path, text: str) -> None:
    path.unlink()
    path.write_text(text, "utf-8")


def test_settings_of_a_folder_decide_the_tower(variant: Variant) -> None:
    folder = variant(
        pooling={"pooling_mode": "cls", "include_prompt": False}, prompts={"query": "ask: ", "document": ""}
    )
    query, document = read_folder(folder, "query"), read_folder(folder, "document")
    assert (query.pooling, query.pool_prompt, query.normalize, query.prompt) == ("cls", False, True, "ask: ")
    assert (document.prompt, document.max_tokens, document.heads) == ("", 256, ())
    assert width(query) == 384


def test_pooling_as_folders_before_version_5_say_it_is_understood(variant: Variant) -> None:
    folder = variant()
    old = {"word_embedding_dimension": 384, "pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}
    rewrite(folder / "1_Pooling" / "config.json", json.dumps(old))
    assert read_folder(folder, "query").pooling == "cls"
    rewrite(folder / "1_Pooling" / "config.json", json.dumps(old | {"pooling_mode_mean_tokens": True}))
    with pytest.raises(UnsupportedModel, match=r"pooling 'pooling_mode_cls_token\+pooling_mode_mean_tokens'"):
        read_folder(folder, "query")


def test_a_missing_folder_and_a_folder_without_a_model_are_wrong_use(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no model folder at .*nowhere"):
        read_folder(tmp_path / "nowhere", "query")
    with pytest.raises(UsageError, match=r"holds no model \(neither modules.json nor config.json\)"):
        load_encoder(str(tmp_path))


def test_a_module_path_that_leads_out_of_the_folder_is_refused(variant: Variant) -> None:
    folder = variant()
    modules = json.loads((folder / "modules.json").read_text())
    modules[1]["path"] = "../elsewhere"
    rewrite(folder / "modules.json", json.dumps(modules))
    with pytest.raises(ClirError, match=r"the module path '../elsewhere' leads out of the model folder"):
        load_encoder(str(folder))


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("modules.json", "[{", "modules.json is not JSON"),
        ("modules.json", '{"type": "Transformer"}', "modules.json is not a list of modules"),
        ("1_Pooling/config.json", "[]", "config.json is not a JSON object"),
    ],
)
def test_broken_settings_are_named(variant: Variant, name: str, text: str, message: str) -> None:
    folder = variant()
    rewrite(folder / name, text)
    with pytest.raises(ClirError, match=message):
        load_encoder(str(folder))


def test_pickled_weights_are_not_loaded(variant: Variant) -> None:
    folder = variant()
    (folder / "model.safetensors").unlink()
    torch.save({}, folder / "pytorch_model.bin")
    encoder = load_encoder(str(folder))
    with pytest.raises(ClirError, match=r"has no safetensors weights \(pickled weights are not loaded\)"):
        encoder.encode_queries(["water"])
    with pytest.raises(ClirError, match=r"has no safetensors weights \(pickled weights are not loaded\)"):
        encoder.fingerprint("query")


def with_head(minilm: Path, folder: Path, activation: torch.nn.Module | None, *, of_unit_vectors: bool = False) -> Path:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Dense, Normalize, Pooling, Transformer

    dense = Dense(384, 16, activation_function=activation)
    between = [Normalize()] if of_unit_vectors else []
    model = SentenceTransformer(modules=[Transformer(str(minilm)), Pooling(384), *between, dense], device="cpu")
    model.save(str(folder), create_model_card=False)
    return folder


@pytest.mark.parametrize("activation", [None, torch.nn.Tanh()])
def test_a_pickled_head_is_not_loaded(minilm: Path, tmp_path: Path, activation: torch.nn.Module | None) -> None:
    folder = with_head(minilm, tmp_path / "dense", activation)
    (folder / "2_Dense" / "model.safetensors").unlink()
    torch.save({"linear.weight": torch.zeros(16, 384)}, folder / "2_Dense" / "pytorch_model.bin")
    encoder = load_encoder(str(folder))
    for use in (lambda: encoder.encode_queries(["water"]), lambda: encoder.fingerprint("query")):
        with pytest.raises(ClirError, match=r"2_Dense has no safetensors weights"):
            use()


@pytest.mark.parametrize("head", [{"activation": torch.nn.Tanh()}, {"activation": None, "of_unit_vectors": True}])
def test_modules_that_a_tower_does_not_compute_are_left_to_sentence_transformers(
    minilm: Path, tmp_path: Path, head: dict[str, Any]
) -> None:
    from sentence_transformers import SentenceTransformer

    folder = with_head(minilm, tmp_path / "head", **head)
    encoder = load_encoder(str(folder))
    assert isinstance(encoder, SentenceTransformerEncoder)
    theirs = SentenceTransformer(str(folder), device="cpu", local_files_only=True)
    texts = ["Where is the well?", "A goat"]
    np.testing.assert_allclose(encoder.encode_queries(texts), theirs.encode_query(texts), atol=1e-6)
    np.testing.assert_allclose(encoder.encode_documents(texts), theirs.encode_document(texts), atol=1e-6)
    assert (encoder.dimension, encoder.encode_queries(texts).dtype) == (16, np.float32)
    before = encoder.fingerprint("query")
    dense = next(folder.glob("*_Dense")) / "config.json"
    rewrite(dense, json.dumps(json.loads(dense.read_text()) | {"bias": False}))
    assert encoder.fingerprint("query") != before


def test_broken_weights_give_one_line(variant: Variant) -> None:
    folder = variant()
    rewrite(folder / "model.safetensors", "not weights")
    with pytest.raises(ClirError) as caught:
        load_tower(read_folder(folder, "query"))
    assert f"cannot load the model in {folder}" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_broken_tokenizer_gives_one_line(variant: Variant) -> None:
    folder = variant()
    rewrite(folder / "tokenizer.json", "{}")
    with pytest.raises(ClirError, match=f"cannot load the tokenizer in {folder}") as caught:
        load_tower(read_folder(folder, "query"))
    assert "\n" not in str(caught.value)


def test_a_hub_id_without_network_is_one_clear_line() -> None:
    with pytest.raises(UsageError) as caught:
        load_encoder("nobody-here/no-such-model")
    assert str(caught.value).startswith(
        "no model folder nobody-here/no-such-model, and it could not be downloaded from the model hub:"
    )
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["", "one two", "a/b/c", "model.bin"])
def test_a_name_of_no_kind_is_wrong_use(name: str) -> None:
    with pytest.raises(UsageError, match="no model"):
        load_encoder(name)


@pytest.fixture
def own_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "village_encoders.py").write_text(
        "import numpy as np\n"
        "class Constant:\n"
        "    name, dimension = 'constant', 2\n"
        "    def encode_queries(self, texts): return np.ones((len(texts), 2), np.float32)\n"
        "    encode_documents = encode_queries\n"
        "    def fingerprint(self, side): return 'one'\n"
        "class Silent:\n"
        "    dimension = 2\n"
        "class Failing(Constant):\n"
        "    def __init__(self): self.gone\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "village_encoders", raising=False)
    return "village_encoders"


def test_an_encoder_can_be_a_class_of_ones_own(own_module: str) -> None:
    encoder = load_encoder(f"{own_module}:Constant")
    assert encoder.encode_queries(["a", "b"]).tolist() == [[1, 1], [1, 1]]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("village_encoders:Silent", "is no encoder: it lacks encode_queries, encode_documents, fingerprint, name"),
        ("village_encoders:Missing", "module village_encoders has no class Missing"),
        ("village_decoders:Constant", "cannot import the encoder village_decoders:Constant: No module named"),
        ("village_encoders:Failing", "cannot make the encoder village_encoders:Failing: AttributeError: 'Failing'"),
    ],
)
def test_a_class_that_is_no_encoder_is_refused(own_module: str, name: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load_encoder(name)


def test_a_folder_wins_over_a_class_of_the_same_name(
    minilm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(minilm, tmp_path / "a:b", ignore=shutil.ignore_patterns("*.safetensors"))
    monkeypatch.chdir(tmp_path)
    assert isinstance(load_encoder("a:b"), TowerEncoder)
