"""Folders that are not whole, or no encoders, are refused in one line, before a library is asked or draws weights."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from layouts import (
    HIDDEN,
    NORMALIZE,
    bert,
    dense,
    distilbert,
    modernbert,
    modular,
    pooling,
    qwen3,
    rename_weights,
    t5,
    wordpiece,
    write,
    xlmr,
)
from safetensors.torch import load_file, save_file

from clir.encoding.encoder import load_encoder
from clir.encoding.transformer import check_cross_encoder
from clir.support.errors import ClirError

Layout = Callable[[Path], Path]


def with_config(folder: Path, **values: Any) -> Path:
    """`folder` with `values` over its config.json."""
    write(folder / "config.json", json.loads((folder / "config.json").read_text()) | values)
    return folder


def renamed(folder: Path, prefix: str = "", without: tuple[str, ...] = (), of: str = "") -> Path:
    rename_weights(folder / of, prefix, without=without)
    return folder


def pickled(folder: Path) -> Path:
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    return modular(folder, pooling("cls_token"), NORMALIZE)


def splade(folder: Path, name: str = "MLMTransformer") -> Path:
    modular(bert(folder, "BertForMaskedLM"), ("SpladePooling", {"pooling_strategy": "max"}))
    modules = json.loads((folder / "modules.json").read_text())
    for module, kind in zip(modules, (name, "SpladePooling"), strict=True):
        module["type"] = f"sentence_transformers.sparse_encoder.models.{kind}"
    write(folder / "modules.json", modules)
    return folder


def with_file(folder: Path, name: str, **values: Any) -> Path:
    path = folder / name
    write(path, (json.loads(path.read_text()) if path.exists() else {}) | values)
    return folder


def own_module(folder: Path, dotted: str) -> Path:
    modular(bert(folder), pooling())
    modules = json.loads((folder / "modules.json").read_text())
    modules[0]["type"] = dotted
    write(folder / "modules.json", modules)
    (folder / "custom_st.py").write_text("raise SystemExit('the code of the folder ran')\n")
    return folder


def adapter(folder: Path) -> Path:
    write(folder / "adapter_config.json", {"base_model_name_or_path": "Davlan/afro-xlmr-base", "peft_type": "LORA"})
    save_file({"base_model.model.lora_A.weight": torch.zeros(2, 2)}, folder / "adapter_model.safetensors")
    wordpiece(folder)
    return folder


def a_head(folder: Path, activation: str = "identity", **weights: torch.Tensor) -> Path:
    modular(bert(folder), pooling(), dense(24, activation), NORMALIZE)
    save_file(
        {name.replace("__", "."): values for name, values in weights.items()}, folder / "2_Dense/model.safetensors"
    )
    return folder


def routed(folder: Path) -> Path:
    """A Router: a head with an activation for queries, a class of the folder's own for documents."""
    own = {"query": ["T", "P", "D"], "document": ["T", "P", "N"]}
    types = {"T": "Transformer", "P": "Pooling", "D": "Dense"}
    dotted = {name: f"sentence_transformers.models.{kind}" for name, kind in types.items()} | {"N": "own.Normalize"}
    bert(folder / "T")
    write(folder / "P" / "config.json", {"pooling_mode_mean_tokens": True})
    write(folder / "D" / "config.json", dense(24, "tanh")[1])
    write(folder / "modules.json", [{"name": "0", "path": "", "type": "sentence_transformers.models.Router"}])
    write(folder / "router_config.json", {"types": dotted, "structure": own, "parameters": {}})
    return folder


AUTO_MAP = {"AutoConfig": "configuration.Own", "AutoModel": "modeling.Own"}
LACKING = r"its weights lack .*; they have, under names that its config.json has no use for, module\."
WEIGHT, BIAS = torch.zeros(24, HIDDEN), torch.zeros(24)
REFUSED: dict[str, tuple[str, Layout]] = {
    "bge-m3 as on the hub": ("no safetensors weights", lambda to: pickled(xlmr(to))),
    "SPLADE": ("is a sparse model .*its module MLMTransformer", splade),
    "SPLADE of version 6": ("is a sparse model .*its module SpladePooling", lambda to: splade(to, "Transformer")),
    "a sparse encoder": (
        "is a sparse model",
        lambda to: with_file(splade(to), "config_sentence_transformers.json", model_type="SparseEncoder")),
    "a cross-encoder": (
        "is a cross-encoder",
        lambda to: with_file(bert(to), "config_sentence_transformers.json", model_type="CrossEncoder")),
    "a chat model": (
        "a language model for chats .Qwen3ForCausalLM",
        lambda to: qwen3(to, "Qwen3ForCausalLM", chat_template="{{ messages[0].content }}")),
    "an adapter": (r"is an adapter \(PEFT\) of Davlan/afro-xlmr-base", adapter),
    "an adapter with modules": (r"is an adapter \(PEFT\)", lambda to: modular(adapter(to), pooling())),
    "an adapter beside weights": (r"is an adapter \(PEFT\)", lambda to: adapter(bert(to))),
    "code for the model": (
        r"needs code .*AutoModel in its config.json",
        lambda to: with_config(bert(to), auto_map=AUTO_MAP)),
    "code for an unknown type": (
        "needs code", lambda to: with_config(bert(to), auto_map=AUTO_MAP, model_type="new")),
    "code for the tokenizer": (
        r"needs code .*tokenizer_config.json",
        lambda to: with_file(bert(to), "tokenizer_config.json", auto_map={"AutoTokenizer": ["own.T", None]})),
    "code for a module": (
        "needs code .*its module custom_st.Transformer",
        lambda to: own_module(to, "custom_st.Transformer")),
    "an installed module of others": ("needs code .*its module os.path", lambda to: own_module(to, "os.path")),
    "an unknown type": (
        "of type 'new', which the installed transformers .* does not have",
        lambda to: with_config(bert(to), model_type="new")),
    "no type": ("does not say its model_type", lambda to: with_config(bert(to), model_type=None)),
    "quantised weights": ("quantised", lambda to: with_config(bert(to), quantization_config={"quant_method": "gptq"})),
    "a translation model": (
        "an encoder with a decoder", lambda to: with_config(bert(to), model_type="m2m_100", is_encoder_decoder=True)),
    "a model of pictures too": (
        r"that reads other things than text \(vision_config\)",
        lambda to: with_config(bert(to), model_type="clip", vision_config={"hidden_size": 8}),
    ),
    "no pooling": (
        "none of its modules .Transformer, Normalize. makes one vector",
        lambda to: modular(bert(to), NORMALIZE),
    ),
    "code on the documents' side alone": ("needs code .*its module own.Normalize", routed),
    "BERT behind a prefix": (LACKING, lambda to: renamed(bert(to), "module.")),
    "XLM-R behind a prefix": (LACKING, lambda to: renamed(xlmr(to), "module.")),
    "DistilBERT behind a prefix": (LACKING, lambda to: renamed(distilbert(to), "module.")),
    "ModernBERT behind a prefix": (LACKING, lambda to: renamed(modernbert(to), "module.")),
    "Qwen3 behind a prefix": (LACKING, lambda to: renamed(qwen3(to), "module.")),
    "T5 behind a prefix": (LACKING, lambda to: renamed(t5(to, "T5", "T5EncoderModel"), "module.")),
    "LaBSE behind a prefix": (
        LACKING, lambda to: renamed(modular(bert(to), pooling(), dense(HIDDEN, "tanh")), "module.")),
    "a layer less": (
        "its weights lack encoder.layer.1.attention.*13 more$", lambda to: renamed(bert(to), without=("layer.1.",))),
    "a layer less, in LaBSE": (
        "its weights lack encoder.layer.1.attention.*13 more$",
        lambda to: renamed(modular(bert(to), pooling(), dense(HIDDEN, "tanh")), without=("layer.1.",))),
    "word vectors less": (
        "its weights lack embeddings.word_embeddings.weight", lambda to: renamed(xlmr(to), without=("word_emb",))),
    "another type in its settings": (
        "its weights lack",
        lambda to: with_config(bert(to), model_type="distilbert", n_layers=2)),
    "another width": (
        r"do not fit its config.json: embeddings.LayerNorm.bias is 32, not 64",
        lambda to: with_config(bert(to), hidden_size=64)),
    "another vocabulary": (
        r"do not fit its config.json: embeddings.word_embeddings.weight is \d+x32, not 9x32",
        lambda to: with_config(bert(to), vocab_size=9)),
    "a head under another name": (
        "2_Dense: its weights lack linear.bias, linear.weight; they have, .*weight$",
        lambda to: a_head(to, weight=WEIGHT)),
    "a head without its bias": ("2_Dense: its weights lack linear.bias", lambda to: a_head(to, linear__weight=WEIGHT)),
    "a head of another shape": (
        "2_Dense: its weights do not fit .*linear.weight is 32x24, not 24x32",
        lambda to: a_head(to, linear__weight=WEIGHT.T.contiguous(), linear__bias=BIAS)),
    "a tanh head without its bias": (
        "2_Dense: its weights lack linear.bias",
        lambda to: a_head(to, "tanh", linear__weight=WEIGHT)),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_a_folder_that_is_not_read_is_refused_in_one_line(name: str, tmp_path: Path, capfd: Any) -> None:
    message, make = REFUSED[name]
    folder = make(tmp_path / "model")
    capfd.readouterr()
    for side in ("queries", "documents"):
        with pytest.raises(ClirError, match=message) as caught:
            getattr(load_encoder(str(folder)), f"encode_{side}")(["Where is the well?"])
        assert "\n" not in str(caught.value) and len(str(caught.value)) < 500
        assert str(folder) in str(caught.value)
    assert all(line.startswith("note: ") for line in capfd.readouterr().err.splitlines())


@pytest.mark.parametrize("activation", ["identity", "tanh"])
def test_a_tokenizer_of_another_model_is_told_when_it_gives_a_token_too_many(activation: str, tmp_path: Path) -> None:
    folder = modular(bert(tmp_path / "model"), pooling(), dense(24, activation))
    words = json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"]
    small = 2 + words["z"]
    weights = load_file(folder / "model.safetensors")
    cut = {name: w[:small].clone() if "word_embeddings" in name else w for name, w in weights.items()}
    save_file(cut, folder / "model.safetensors", metadata={"format": "pt"})
    with_config(folder, vocab_size=small)
    encoder = load_encoder(str(folder))
    assert encoder.encode_queries(["a b c"]).shape == (1, 24)
    with pytest.raises(
        ClirError, match=r"tokenizer gives token \d+, its model has \d+ word|index out of range"
    ) as caught:
        encoder.encode_queries(["a b c", "the well \ud83d"])
    assert "\n" not in str(caught.value)


def test_a_cross_encoder_without_its_last_layer_is_no_scorer(tmp_path: Path) -> None:
    check_cross_encoder(bert(tmp_path / "whole", "BertForSequenceClassification", num_labels=1))
    with pytest.raises(ClirError, match=r"encoder: its weights lack classifier.bias, classifier.weight$"):
        check_cross_encoder(bert(tmp_path / "encoder"))
    with pytest.raises(ClirError, match=r"its weights lack bert.pooler.dense.bias, bert.pooler.dense.weight"):
        check_cross_encoder(
            renamed(bert(tmp_path / "pooler", "BertForSequenceClassification", num_labels=1), without=("pooler",))
        )
