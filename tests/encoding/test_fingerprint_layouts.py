"""Fingerprints over people's layouts: one model keeps its own whoever wrote it and how; what differs, differs."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hub_folders
import pytest
from safetensors.torch import load_file, save_file

from clir.encoding.fingerprint import fingerprint
from clir.encoding.folder import SIDES, read_folder
from clir.encoding.former import former_fingerprint


def of(folder: Path) -> list[str]:
    return [fingerprint(read_folder(folder, side)) for side in SIDES]


def change(path: Path, **values: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | values), "utf-8")


def edit(path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    settings = json.loads(path.read_text("utf-8"))
    change(settings)
    path.write_text(json.dumps(settings, ensure_ascii=False), "utf-8")


@pytest.mark.parametrize(
    ("kind", "dtype"),
    # Of a late-interaction model in half precision the writer rounds the projection: other vectors.
    [(kind, "float32") for kind in (*hub_folders.SENTENCE_KINDS, *hub_folders.TOKEN_KINDS)]
    + [(kind, "bfloat16") for kind in hub_folders.SENTENCE_KINDS],
)
def test_saving_by_sentence_transformers_keeps_it(kind: str, dtype: str, tmp_path: Path) -> None:
    from sentence_transformers import MultiVectorEncoder, SentenceTransformer

    folder = hub_folders.make(kind, tmp_path / kind, dtype)
    opened = MultiVectorEncoder if kind in hub_folders.TOKEN_KINDS else SentenceTransformer
    # Lower case is not kept by its writer.
    saved = tmp_path / "saved"
    opened(str(folder), device="cpu", local_files_only=True).save(str(saved), create_model_card=False)
    if kind == "cased-bert-lowered":
        change(saved / "sentence_bert_config.json", do_lower_case=True)
    if kind == "plain":
        (saved / "modules.json").unlink()
    assert of(saved) == of(folder)


def test_weights_are_the_same_in_half_precision_and_in_several_files(tmp_path: Path) -> None:
    half, other = (hub_folders.make("e5", tmp_path / name, "float16") for name in ("half", "other"))
    path = other / "model.safetensors"
    weights = {name: values.float() for name, values in load_file(path).items()}
    save_file(weights, path, metadata={"format": "pt"})
    assert of(other) == of(half)
    names = sorted(weights)
    shards = {"model-00001-of-00002.safetensors": names[:9], "model-00002-of-00002.safetensors": names[9:]}
    for shard, held in shards.items():
        save_file({name: weights[name] for name in held}, other / shard, metadata={"format": "pt"})
    index = {"metadata": {}, "weight_map": {name: shard for shard, held in shards.items() for name in held}}
    (other / "model.safetensors.index.json").write_text(json.dumps(index))
    path.unlink()
    assert of(other) == of(half)
    first = other / "model-00001-of-00002.safetensors"
    save_file(load_file(first) | {names[0]: weights[names[0]] + 1e-3}, first, metadata={"format": "pt"})
    assert of(other) != of(half)


def test_what_a_task_has_put_on_top_is_nothing(tmp_path: Path) -> None:
    """AfroXLMR and its like are kept as masked language models."""
    import torch
    from transformers import AutoModelForMaskedLM

    folder = hub_folders.make("plain", tmp_path / "bare")
    before = of(folder)
    torch.manual_seed(1)
    masked = AutoModelForMaskedLM.from_pretrained(folder)
    masked.save_pretrained(folder)
    assert any(name.startswith("lm_head.") for name in load_file(folder / "model.safetensors"))
    assert of(folder) == before


REWRITTEN: dict[str, Callable[[dict[str, Any]], Any]] = {
    "padding and truncation of the last use": lambda file: file.update(
        padding={"strategy": "BatchLongest", "direction": "Right", "pad_to_multiple_of": None, "pad_id": 1,
                 "pad_type_id": 0, "pad_token": "<pad>"}, truncation=None),
    "how a later release writes a Metaspace": lambda file: file["pre_tokenizer"]["pretokenizers"].__setitem__(
        1, {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}),
    "a step in a sequence": lambda file: file.update(
        normalizer={"type": "Sequence", "normalizers": [file["normalizer"]]}),
    "the last digit of scores": lambda file: file["model"].update(
        vocab=[[piece, score * (1 + 2e-16)] for piece, score in file["model"]["vocab"]]),
    "pairs, order, decoder": lambda file: (
        file.update(added_tokens=file["added_tokens"][::-1], decoder=None), file["post_processor"].update(pair=[
            {"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}])),
}  # fmt: skip


@pytest.mark.parametrize("how", REWRITTEN)
@pytest.mark.parametrize("named", ["XLMRobertaTokenizer", "PreTrainedTokenizerFast"])
def test_a_tokenizer_that_does_the_same_is_the_same(how: str, named: str, tmp_path: Path) -> None:
    folder = hub_folders.make("e5", tmp_path / "e5")
    change(folder / "tokenizer_config.json", tokenizer_class=named)
    before = of(folder)
    edit(folder / "tokenizer.json", REWRITTEN[how])
    assert of(folder) == before


def swap_pieces(file: dict[str, Any]) -> None:
    vocabulary = file["model"]["vocab"]
    vocabulary[20], vocabulary[21] = vocabulary[21], vocabulary[20]


OTHERWISE: dict[str, Callable[[dict[str, Any]], Any]] = {
    "two pieces in each other's place": swap_pieces,
    "another score": lambda file: file["model"]["vocab"][30].__setitem__(1, -1.25),
    "a piece less": lambda file: file["model"]["vocab"][40].__setitem__(0, "▁nothing"),
    "another unknown token": lambda file: file["model"].update(unk_id=5),
    "one more step": lambda file: file.update(normalizer={"type": "Sequence", "normalizers": [
        file["normalizer"], {"type": "Replace", "pattern": {"String": "foo"}, "content": "bar"}]}),
    "no normalizer": lambda file: file.update(normalizer=None),
    "no prefix": lambda file: file["pre_tokenizer"]["pretokenizers"].__setitem__(
        1, {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "never", "split": True}),
    "no closing token": lambda file: file["post_processor"]["single"].pop(),
    "a mask without the space before it": lambda file: file["added_tokens"][-1].update(lstrip=False),
    "an added token": lambda file: file["added_tokens"].append(hub_folders.added("maji safi", 7)),
}  # fmt: skip


@pytest.mark.parametrize("how", OTHERWISE)
def test_a_tokenizer_that_does_otherwise_is_another(how: str, tmp_path: Path) -> None:
    folder = hub_folders.make("e5", tmp_path / "e5")
    # The class that reads its file as it is.
    change(folder / "tokenizer_config.json", tokenizer_class="PreTrainedTokenizerFast", mask_token="<mask>")
    before = of(folder)
    edit(folder / "tokenizer.json", OTHERWISE[how])
    assert of(folder) != before


def test_merges_and_lower_case_count(tmp_path: Path) -> None:
    folder = hub_folders.make("modernbert", tmp_path / "bpe")
    before = of(folder)
    edit(folder / "tokenizer.json", lambda file: file["model"]["merges"].reverse())
    assert of(folder) != before
    folder = hub_folders.make("cased-bert-lowered", tmp_path / "bert")
    before = of(folder)
    change(folder / "sentence_bert_config.json", do_lower_case=False)
    assert of(folder) != before


CONFIGURED = {
    "modernbert": ({"local_attention": 16}, {"global_attn_every_n_layers": 1}, {"global_rope_theta": 10000.0},
                   {"local_rope_theta": 500.0}, {"hidden_activation": "silu"}, {"norm_eps": 1e-3}),
    "bert": ({"hidden_act": "relu"}, {"layer_norm_eps": 1e-3}, {"num_attention_heads": 4}),
    "e5": ({"hidden_act": "gelu_new"}, {"layer_norm_eps": 1e-12}, {"pad_token_id": 0}),
}  # fmt: skip


@pytest.mark.parametrize(("kind", "setting"), [(kind, each) for kind, all in CONFIGURED.items() for each in all])
def test_every_setting_that_changes_a_vector_counts(kind: str, setting: dict[str, Any], tmp_path: Path) -> None:
    folder = hub_folders.make(kind, tmp_path / kind)
    before = of(folder)
    for renamed in ("rope_parameters", "layer_types") if kind == "modernbert" else ():
        # As releases before the fifth wrote them.
        edit(folder / "config.json", lambda config, name=renamed: config.pop(name, None))
    assert of(folder) == before
    change(folder / "config.json", **setting)
    assert of(folder) != before


GEMMA = ({"use_bidirectional_attention": True}, {"sliding_window": 16}, {"rope_theta": 5000.0},
         {"attn_logit_softcapping": 30.0}, {"layer_types": ["full_attention", "full_attention"]},
         {"query_pre_attn_scalar": 64}, {"rope_scaling": {"rope_type": "linear", "factor": 8.0}})  # fmt: skip


@pytest.mark.parametrize("setting", GEMMA, ids=lambda setting: next(iter(setting)))
def test_gemmas_settings_count(setting: dict[str, Any], tmp_path: Path) -> None:
    from transformers import Gemma3TextConfig

    def config(size: int, **more: Any) -> Any:
        return Gemma3TextConfig(vocab_size=size, head_dim=16, num_key_value_heads=1, max_position_embeddings=64,
                                layer_types=["sliding_attention", "full_attention"], **hub_folders.SMALL)  # fmt: skip

    folder = hub_folders.transformer(tmp_path / "gemma", hub_folders.xlm_r_tokenizer, config)
    before = of(folder)
    # As releases before the fifth wrote it.
    edit(folder / "config.json", lambda config: config.pop("rope_parameters", None))
    assert of(folder) == before
    change(folder / "config.json", **setting)
    assert of(folder) != before


def test_what_another_release_writes_of_itself_is_nothing(tmp_path: Path) -> None:
    folder = hub_folders.make("bert", tmp_path / "bert")
    before = of(folder)
    change(folder / "config.json", transformers_version="4.28.0", torch_dtype="float16", _name_or_path="/some/where",
           position_embedding_type="absolute", use_cache=True, gradient_checkpointing=False, is_decoder=False,
           architectures=["BertForMaskedLM"], initializer_range=0.05, attention_probs_dropout_prob=0.0,
           id2label={"0": "A"}, label2id={"A": 0}, add_cross_attention=False, pooler_type="first")  # fmt: skip
    assert of(folder) == before
    edit(folder / "config.json", lambda config: [config.pop(name, None) for name in (
        "layer_norm_eps", "hidden_act", "type_vocab_size", "dtype", "hidden_dropout_prob")])  # fmt: skip
    assert of(folder) == before


def test_an_index_of_an_earlier_release_is_known(tmp_path: Path) -> None:
    from clir.corpora.collection import Document
    from clir.encoding.encoder import load_encoder
    from clir.indexing.dense import build_dense_index, open_dense_index
    from clir.indexing.encoded import check_encoder
    from clir.support.errors import ClirError

    folder = hub_folders.make("e5", tmp_path / "e5")
    encoder = load_encoder(str(folder))
    build_dense_index(lambda: iter([Document("d", "maji safi")]), encoder, tmp_path / "index")
    former = former_fingerprint(read_folder(folder, "document"))
    assert former != encoder.fingerprint("document")
    manifest = tmp_path / "index" / "meta.json"
    assert json.loads(manifest.read_text())["encoder fingerprint"] == encoder.fingerprint("document")
    change(manifest, **{"encoder fingerprint": former})
    check_encoder(open_dense_index(tmp_path / "index"), encoder)
    other = load_encoder(str(hub_folders.make("bge-m3", tmp_path / "other")))
    with pytest.raises(ClirError, match=r"was made by another model .* encode the collection again with this model"):
        check_encoder(open_dense_index(tmp_path / "index"), other)


def test_the_former_fingerprint_is_what_it_was(tmp_path: Path) -> None:
    """Of a folder that depends on no library, in the digits that releases up to November 2026 gave."""
    import numpy as np
    from safetensors.numpy import save_file

    save_file({"embeddings.word_embeddings.weight": np.arange(8, dtype=np.float32).reshape(4, 2),
               "pooler.dense.weight": np.ones((2, 2), dtype=np.float32)}, tmp_path / "model.safetensors")  # fmt: skip
    (tmp_path / "config.json").write_text('{"model_type": "bert", "hidden_size": 2, "max_position_embeddings": 64}')
    vocabulary = {"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3}
    (tmp_path / "tokenizer.json").write_text(json.dumps({"padding": None, "model": {"vocab": vocabulary}}))
    found = former_fingerprint(read_folder(tmp_path, "query"))
    assert re.fullmatch("[0-9a-f]{16}", found) and found == "b43a895e6a40e38f"
