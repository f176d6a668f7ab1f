"""Folders in the layouts that people use give the vectors of sentence-transformers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from layouts import (
    HIDDEN,
    NORMALIZE,
    bert,
    dense,
    distilbert,
    gemma3,
    modernbert,
    modular,
    pooling,
    qwen3,
    t5,
    write,
    xlmr,
)

from clir.corpora.collection import Document, Topic
from clir.encoding.encoder import Encoder, SentenceTransformerEncoder, TowerEncoder, load_encoder
from clir.indexing.dense import build_dense_index
from clir.retrieval.dense import DenseSearcher

Layout = Callable[[Path], Path]
E5_PROMPTS = {"query": "query: ", "document": "passage: "}
INSTRUCT = {"query": "Instruct: Given a question, find where it is answered.\nQuery: ", "document": ""}
TEXTS = [
    "Where is the water?",
    "Maji safi ya kunywa ni wapi, na kisima kiko wapi kijijini? (3,5 kg)",
    "WELL Well well: the rain...",
    "rain water " * 300,
    "x",
]

LIKE_THE_LIBRARY: dict[str, tuple[type, Layout]] = {
    "multilingual-e5 as BERT": (
        TowerEncoder, lambda to: modular(bert(to), pooling(), NORMALIZE, prompts=E5_PROMPTS)),
    "multilingual-e5 as XLM-R": (
        TowerEncoder, lambda to: modular(xlmr(to), pooling(), NORMALIZE, prompts=E5_PROMPTS)),
    "e5-instruct": (TowerEncoder, lambda to: modular(xlmr(to), pooling(), NORMALIZE, prompts=INSTRUCT)),
    "bge-m3 saved again": (TowerEncoder, lambda to: modular(xlmr(to), pooling("cls_token"), NORMALIZE)),
    "arctic-l-v2": (
        TowerEncoder,
        lambda to: modular(xlmr(to), pooling("cls_token"), NORMALIZE, prompts={"query": "query: "})),
    "LaBSE": (
        SentenceTransformerEncoder,
        lambda to: modular(bert(to), pooling("cls_token"), dense(HIDDEN, "tanh"), NORMALIZE)),
    "paraphrase-MiniLM": (TowerEncoder, lambda to: modular(bert(to), pooling())),
    "distiluse": (SentenceTransformerEncoder, lambda to: modular(distilbert(to), pooling(), dense(24, "tanh"))),
    "granite as ModernBERT": (TowerEncoder, lambda to: modular(modernbert(to), pooling("cls_token"), NORMALIZE)),
    "sentence-T5": (
        TowerEncoder,
        lambda to: modular(t5(to, "T5", "T5EncoderModel", model_max_length=512), pooling(),
                           dense(24, "identity", bias=False), NORMALIZE)),
    "mT5": (TowerEncoder, lambda to: t5(to, "MT5", "MT5ForConditionalGeneration")),
    "T5": (TowerEncoder, lambda to: t5(to, "T5", "T5ForConditionalGeneration", model_max_length=512)),
    "UMT5": (TowerEncoder, lambda to: t5(to, "UMT5", "UMT5ForConditionalGeneration")),
    "mContriever": (TowerEncoder, bert),
    "mBERT": (TowerEncoder, lambda to: bert(to, "BertForMaskedLM")),
    "AfroXLMR": (TowerEncoder, lambda to: xlmr(to, "XLMRobertaForMaskedLM")),
    "Qwen3-Embedding": (
        TowerEncoder,
        lambda to: modular(qwen3(to), pooling("lasttoken", include_prompt=True), NORMALIZE, prompts=INSTRUCT)),
    "EmbeddingGemma": (
        SentenceTransformerEncoder,
        lambda to: modular(gemma3(to), pooling(), dense(48, "identity", bias=False),
                           dense(HIDDEN, "identity", into=48, bias=False), NORMALIZE,
                           prompts={"query": "task: search result | query: ", "document": "title: none | text: "})),
    "a causal model": (TowerEncoder, lambda to: qwen3(to, "Qwen3ForCausalLM")),
    "weights in half precision": (
        TowerEncoder, lambda to: modular(bert(to, dtype=torch.float16), pooling(), NORMALIZE)),
    "weights in bfloat16, two heads": (
        SentenceTransformerEncoder,
        lambda to: modular(bert(to, dtype=torch.bfloat16), pooling(), dense(24, "tanh"))),
    "weights in shards": (TowerEncoder, lambda to: modular(bert(to, shards="20KB"), pooling(), NORMALIZE)),
    "matryoshka, cut": (TowerEncoder, lambda to: modular(bert(to), pooling(), NORMALIZE, truncate_dim=8)),
    "matryoshka, cut, of modules of its own": (
        SentenceTransformerEncoder,
        lambda to: modular(bert(to), pooling(), dense(24, "tanh"), NORMALIZE, truncate_dim=8)),
    "pooled by the weighted mean": (
        SentenceTransformerEncoder,
        lambda to: modular(bert(to), ("Pooling", {"embedding_dimension": HIDDEN, "pooling_mode": "weightedmean"}))),
}  # fmt: skip


def assert_same_as_the_library(folder: Path) -> Encoder:
    from sentence_transformers import SentenceTransformer

    theirs = SentenceTransformer(
        str(folder), device="cpu", local_files_only=True, model_kwargs={"dtype": torch.float32}
    )
    ours = load_encoder(str(folder))
    sides = ((ours.encode_queries, theirs.encode_query), (ours.encode_documents, theirs.encode_document))
    for encode, expected in sides:
        # A folder that normalises does so with what is left of a vector that is cut.
        vectors = expected(TEXTS, show_progress_bar=False, normalize_embeddings=theirs.truncate_dim is not None)
        # They must tell the texts apart, or equal vectors would mean nothing.
        assert np.corrcoef(vectors)[0, 1] < 0.999
        np.testing.assert_allclose(encode(TEXTS), vectors, atol=3e-4)
        alone = np.concatenate([encode([text]) for text in TEXTS])
        np.testing.assert_allclose(alone, vectors, atol=3e-4)
    assert ours.dimension == theirs.get_embedding_dimension() == len(vectors[0])
    if isinstance(ours, TowerEncoder):
        limit = theirs.max_seq_length
        assert ours.spec("query").max_tokens == min(limit, 1 << 40) or ours.spec("query").max_tokens < limit
    return ours


@pytest.mark.parametrize("name", LIKE_THE_LIBRARY)
def test_a_layout_gives_the_vectors_of_sentence_transformers(name: str, tmp_path: Path) -> None:
    kind, make = LIKE_THE_LIBRARY[name]
    assert type(assert_same_as_the_library(make(tmp_path / "model"))) is kind


def with_limits(
    folder: Path, settings: dict[str, dict[str, Any]], make: Callable[..., Path] = xlmr, **tokenizer: Any
) -> Path:
    """A folder with the given files of sentence-transformers' beside its transformer."""
    make(folder, **tokenizer)
    for name, values in settings.items():
        write(folder / f"sentence_{name}_config.json", values)
    return modular(folder, pooling())


LENGTHS: dict[str, Layout] = {
    **{
        f"limit in sentence_{kind}_config.json": lambda to, kind=kind: with_limits(  # type: ignore[misc]
            to, {kind: {"max_seq_length": 12, "do_lower_case": False}})
        for kind in ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
    },
    "an empty file before the one that says it": lambda to: with_limits(
        to, {"bert": {}, "roberta": {"max_seq_length": 12}, "xlnet": {"max_seq_length": 20}}),
    "a limit above the tokenizer's": lambda to: with_limits(to, {"bert": {"max_seq_length": 70}}, model_max_length=20),
    "a limit below the tokenizer's": lambda to: with_limits(to, {"bert": {"max_seq_length": 20}}, model_max_length=70),
    "null, so the tokenizer's": lambda to: with_limits(to, {"bert": {"max_seq_length": None}}, model_max_length=20),
    "no limit but the positions'": lambda to: with_limits(to, {}, bert, model_max_length=10**30),
    "lower case, as an old file says": lambda to: with_limits(to, {"roberta": {"do_lower_case": True}}, bert),
    "a plain folder, where no such file is read": lambda to: (
        write(bert(to, model_max_length=40) / "sentence_bert_config.json", {"max_seq_length": 12}), to)[1],
}  # fmt: skip


@pytest.mark.parametrize("name", LENGTHS)
def test_texts_are_cut_where_sentence_transformers_cuts_them(name: str, tmp_path: Path) -> None:
    assert_same_as_the_library(LENGTHS[name](tmp_path / "model"))


def test_a_limit_beyond_the_positions_is_cut_to_them(tmp_path: Path) -> None:
    folder = with_limits(tmp_path / "model", {"bert": {"max_seq_length": 600}})
    encoder = load_encoder(str(folder))
    assert isinstance(encoder, TowerEncoder)
    assert encoder.spec("query").max_tokens == 512
    # sentence-transformers itself ends with an index error here.
    assert np.isfinite(encoder.encode_queries(["rain water " * 400])).all()


def test_a_tokenizers_limit_under_its_old_name_counts(tmp_path: Path) -> None:
    folder = bert(tmp_path / "model")
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    del settings["model_max_length"]
    write(folder / "tokenizer_config.json", settings | {"max_len": 16})
    assert_same_as_the_library(folder)


def test_a_cut_is_part_of_the_fingerprint_where_it_cuts(tmp_path: Path) -> None:
    folder = modular(bert(tmp_path / "model"), pooling(), NORMALIZE)
    found = []
    for cut in (None, HIDDEN, 8, 4):
        write(folder / "config_sentence_transformers.json", {"truncate_dim": cut})
        encoder = load_encoder(str(folder))
        found.append((encoder.dimension, encoder.fingerprint("document")))
    assert [dimension for dimension, _ in found] == [HIDDEN, HIDDEN, 8, 4]
    assert found[0] == found[1] and len({fingerprint for _, fingerprint in found}) == 3


def test_a_model_with_its_documents_side_cut_is_searched_as_cut(tmp_path: Path) -> None:
    folder = modular(bert(tmp_path / "model"), pooling(), NORMALIZE, truncate_dim=8)
    documents = [Document("a", TEXTS[0]), Document("b", TEXTS[1])]
    encoder = load_encoder(str(folder))
    index = build_dense_index(lambda: documents, encoder, tmp_path / "index")
    assert index.dimension == 8
    run = DenseSearcher(index, encoder).search([Topic("1", TEXTS[1])], 2)
    assert run.frame["docid"][0] == "b"
