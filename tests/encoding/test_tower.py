"""Towers give the vectors and token states that sentence-transformers gives, and mark what is content."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from clir.encoding.encoder import TowerEncoder, load_encoder
from clir.encoding.folder import read_folder
from clir.encoding.tower import Tower, load_tower, pool

Variant = Callable[..., Path]
TEXTS = [
    "How far is the clinic?",
    "",
    "Clean water, from the new well; 3,5 litres!",
    "Maji safi ya kunywa yanapatikana wapi kijijini?",
    "rain " * 400,
    "x",
]
PROMPTS = {"query": "ask: ", "document": "the passage is: "}


def assert_same_as_sentence_transformers(folder: Path) -> None:
    from sentence_transformers import SentenceTransformer

    theirs = SentenceTransformer(str(folder), device="cpu", local_files_only=True)
    ours = load_encoder(str(folder), batch_size=4)
    assert isinstance(ours, TowerEncoder)
    np.testing.assert_allclose(ours.encode_queries(TEXTS), theirs.encode_query(TEXTS), atol=1e-5)
    np.testing.assert_allclose(ours.encode_documents(TEXTS), theirs.encode_document(TEXTS), atol=1e-5)
    assert ours.dimension == theirs.get_embedding_dimension() == ours.encode_queries(["a"]).shape[1]


def save(folder: Path, modules: list[Any], **more: Any) -> Path:
    from sentence_transformers import SentenceTransformer

    SentenceTransformer(modules=modules, device="cpu", **more).save(str(folder), create_model_card=False)
    return folder


@pytest.fixture(scope="module")
def tower(minilm: Path) -> Tower:
    return load_tower(read_folder(minilm, "query"))


def test_minilm_gives_the_vectors_of_sentence_transformers(minilm: Path) -> None:
    assert_same_as_sentence_transformers(minilm)


@pytest.mark.parametrize(
    ("mode", "include_prompt"), [("mean", True), ("mean", False), ("cls", False), ("max", False), ("lasttoken", True)]
)
def test_every_pooling_with_prompts_gives_the_vectors_of_sentence_transformers(
    variant: Variant, mode: str, include_prompt: bool
) -> None:
    folder = variant(pooling={"pooling_mode": mode, "include_prompt": include_prompt}, prompts=PROMPTS)
    assert_same_as_sentence_transformers(folder)


def test_prompts_count_unless_the_folder_says_that_they_are_not_pooled(variant: Variant) -> None:
    texts = ["water"]
    bare = load_encoder(str(variant("bare"))).encode_queries(texts)
    pooled = load_encoder(str(variant("pooled", prompts=PROMPTS))).encode_queries(texts)
    left_out = variant("left_out", pooling={"include_prompt": False}, prompts=PROMPTS)
    unpooled = load_encoder(str(left_out)).encode_queries(texts)
    # The prompt is read by the other tokens even where its own states are left out.
    for one, other in [(bare, pooled), (bare, unpooled), (pooled, unpooled)]:
        assert np.abs(one - other).max() > 1e-3


@pytest.mark.parametrize("on_tokens", [False, True])
@pytest.mark.parametrize("normalize", [False, True])
def test_a_dense_head_gives_the_vectors_of_sentence_transformers(
    minilm: Path, tmp_path: Path, on_tokens: bool, normalize: bool
) -> None:
    from sentence_transformers.sentence_transformer.modules import Dense, Normalize, Pooling, Transformer

    torch.manual_seed(3)
    name = "token_embeddings" if on_tokens else "sentence_embedding"
    dense = Dense(384, 24, activation_function=None, module_input_name=name)
    modules = [dense, Pooling(24)] if on_tokens else [Pooling(384), dense]
    folder = save(tmp_path / "dense", [Transformer(str(minilm)), *modules, *([Normalize()] if normalize else [])])
    assert_same_as_sentence_transformers(folder)
    assert load_encoder(str(folder)).dimension == 24


def test_a_router_sends_queries_and_documents_through_their_own_towers(minilm: Path, tmp_path: Path) -> None:
    from sentence_transformers.base.modules import Router
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer

    query = Transformer(str(minilm))
    with torch.no_grad():
        query.auto_model.encoder.layer[5].output.dense.weight.mul_(0.5)
    router = Router.for_query_document(
        query_modules=[query, Pooling(384), Normalize()],
        document_modules=[Transformer(str(minilm)), Pooling(384), Normalize()],
    )
    folder = save(tmp_path / "router", [router], prompts=PROMPTS)
    assert_same_as_sentence_transformers(folder)
    encoder, plain = load_encoder(str(folder)), load_encoder(str(minilm))
    document = encoder.encode_documents(["the well"])
    np.testing.assert_allclose(document, plain.encode_queries(["the passage is: the well"]), atol=1e-6)
    assert np.abs(encoder.encode_queries(["the well"]) - plain.encode_queries(["ask: the well"])).max() > 1e-3


def test_a_plain_transformers_folder_is_mean_pooled_as_sentence_transformers_does(minilm: Path, tmp_path: Path) -> None:
    from transformers import AutoModel, AutoTokenizer

    AutoModel.from_pretrained(minilm).save_pretrained(tmp_path / "plain")
    AutoTokenizer.from_pretrained(minilm).save_pretrained(tmp_path / "plain")
    assert_same_as_sentence_transformers(tmp_path / "plain")


def test_a_distilbert_has_its_own_name_for_the_width(minilm: Path, tmp_path: Path) -> None:
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from transformers import AutoTokenizer, DistilBertConfig, DistilBertModel

    torch.manual_seed(5)
    small = DistilBertConfig(vocab_size=30522, dim=32, n_layers=1, n_heads=2, hidden_dim=64)
    DistilBertModel(small).save_pretrained(tmp_path / "plain")
    AutoTokenizer.from_pretrained(minilm, model_input_names=["input_ids", "attention_mask"]).save_pretrained(
        tmp_path / "plain"
    )
    folder = save(tmp_path / "distilbert", [Transformer(str(tmp_path / "plain")), Pooling(32)])
    assert_same_as_sentence_transformers(folder)


def test_token_states_are_those_of_sentence_transformers(minilm: Path, tower: Tower) -> None:
    from sentence_transformers import SentenceTransformer

    theirs = SentenceTransformer(str(minilm), device="cpu", local_files_only=True)
    expected = theirs.encode(TEXTS[:1], output_value="token_embeddings", convert_to_numpy=False)[0]
    with torch.inference_mode():
        states = tower(tower.tokenize(TEXTS[:4]))
    torch.testing.assert_close(states.tokens[0, : len(expected)], expected, atol=1e-5, rtol=0)
    # [CLS] how far is the clinic ? [SEP]
    assert states.mask[0].tolist() == [False] + [True] * 6 + [False] * (states.mask.shape[1] - 7)


def test_content_leaves_out_prompt_special_and_padding_tokens(tower: Tower) -> None:
    batch = tower.tokenize(["water", "clean water here", ""], "my query: ")
    bare = [tower.tokenizer.encode(text, add_special_tokens=False).ids for text in ("water", "clean water here", "")]
    assert [batch.ids[row][batch.content[row]].tolist() for row in range(3)] == bare
    # [CLS] my query : clean water here [SEP]
    assert batch.attention.sum(1).tolist() == [6, 8, 5]
    assert torch.equal(batch.pooled, batch.attention)


def test_a_text_that_repeats_the_prompt_keeps_its_words(tower: Tower) -> None:
    row = tower.rows(["query: water"], "query: ")[0]
    words = [tower.tokenizer.id_to_token(int(at)) for at, content in zip(row.ids, row.content, strict=True) if content]
    assert words == ["query", ":", "water"]


def test_spans_are_characters_of_the_bare_text(tower: Tower) -> None:
    text = "Élan Nyoka's  goat"
    for prompt in ("", "query: "):
        (spans,) = tower.spans([text], prompt)
        assert [text[begin:end] for begin, end in spans] == ["Él", "an", "Ny", "oka", "'", "s", "goat"]


def test_truncation_is_for_one_call_and_keeps_the_closing_token(tower: Tower) -> None:
    text = "one two three four five six seven eight nine ten"
    (short,) = tower.rows([text], max_tokens=6)
    assert tower.tokenizer.decode(short.ids.tolist(), skip_special_tokens=False) == "[CLS] one two three four [SEP]"
    assert len(tower.rows([text])[0].ids) == 12
    assert len(tower.token_ids(["rain " * 400])[0]) == 256


def test_max_tokens_above_the_models_own_limit_has_no_effect(tower: Tower) -> None:
    assert len(tower.rows(["rain " * 400], max_tokens=4000)[0].ids) == 256


def test_positions_that_roberta_reserves_are_not_used_for_tokens(minilm: Path, tmp_path: Path) -> None:
    from transformers import AutoTokenizer, XLMRobertaConfig, XLMRobertaModel

    config = XLMRobertaConfig(
        vocab_size=30522, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        max_position_embeddings=34, pad_token_id=1,
    )  # fmt: skip
    XLMRobertaModel(config).save_pretrained(tmp_path / "roberta")
    AutoTokenizer.from_pretrained(minilm, model_max_length=512).save_pretrained(tmp_path / "roberta")
    encoder = load_encoder(str(tmp_path / "roberta"))
    assert isinstance(encoder, TowerEncoder)
    assert encoder.spec("query").max_tokens == 32
    assert np.isfinite(encoder.encode_queries(["rain " * 400])).all()


def test_a_lone_surrogate_is_read_as_a_question_mark(minilm: Path) -> None:
    encoder = load_encoder(str(minilm))
    broken, replaced = encoder.encode_queries(["water \ud83d here", "water ? here"])
    np.testing.assert_allclose(broken, replaced, atol=1e-6)


def test_vectors_do_not_depend_on_the_other_texts_of_the_batch(minilm: Path) -> None:
    together = load_encoder(str(minilm), batch_size=8).encode_documents(TEXTS)
    alone = load_encoder(str(minilm), batch_size=1).encode_documents(TEXTS)
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_no_texts_give_no_vectors(minilm: Path) -> None:
    assert load_encoder(str(minilm)).encode_queries([]).shape == (0, 384)


def test_sides_that_share_weights_share_one_loaded_transformer(variant: Variant) -> None:
    encoder = load_encoder(str(variant(prompts=PROMPTS)))
    assert isinstance(encoder, TowerEncoder)
    assert encoder.tower("query") is encoder.tower("document")


def test_lower_case_models_read_lower_case(minilm: Path) -> None:
    tower = load_tower(dataclasses.replace(read_folder(minilm, "query"), lower_case=True))
    assert tower.token_ids(["MAJI"], "Ask: ") == tower.token_ids(["maji"], "ask: ")


def test_pooling_by_formula() -> None:
    states = torch.tensor([[[1.0, 5.0], [3.0, -1.0], [9.0, 9.0]]])
    mask = torch.tensor([[1, 1, 0]])
    assert pool(states, mask, "mean").tolist() == [[2.0, 2.0]]
    assert pool(states, mask, "cls").tolist() == [[1.0, 5.0]]
    assert pool(states, mask, "max").tolist() == [[3.0, 5.0]]
    assert pool(states, mask, "lasttoken").tolist() == [[3.0, -1.0]]
    assert pool(states, torch.tensor([[0, 1, 1]]), "cls").tolist() == [[3.0, -1.0]]
