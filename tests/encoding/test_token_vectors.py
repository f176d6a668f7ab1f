"""Token vectors are the tower's states of the content tokens: no prompt, no special token, no padding."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clir.encoding.encoder import SentenceTransformerEncoder, load_encoder, token_encoder
from clir.encoding.token_vectors import TokenVectors
from clir.support.errors import UsageError

Variant = Callable[..., Path]
TEXTS = ["How far is the clinic?", "", "Clean water, from the new well; 3,5 litres!", "rain " * 400, "x"]
PROMPTS = {"query": "ask: ", "document": "the passage is: "}


def theirs(folder: Path, texts: list[str], prompt: str) -> list[np.ndarray]:
    """sentence-transformers' token states of each text without what stands before and behind it, of unit length."""
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(folder), device="cpu", local_files_only=True)
    before = len(model.tokenizer(prompt)["input_ids"]) - 1
    found: list[Any] = model.encode(texts, prompt=prompt, output_value="token_embeddings")
    states = [one.numpy()[before:-1] for one in found]
    return [one / np.linalg.norm(one, axis=1, keepdims=True) for one in states]


def assert_ragged_equal(ours: TokenVectors, expected: list[np.ndarray]) -> None:
    assert list(ours.lengths) == [len(one) for one in expected]
    for at, one in enumerate(expected):
        np.testing.assert_allclose(ours[at], one, atol=1e-5)


def test_both_sides_give_the_states_of_sentence_transformers_without_the_prompt(variant: Variant) -> None:
    folder = variant(prompts=PROMPTS)
    encoder = token_encoder(load_encoder(str(folder), batch_size=2, query_tokens=999, document_tokens=999))
    assert_ragged_equal(encoder.encode_query_tokens(TEXTS), theirs(folder, TEXTS, PROMPTS["query"]))
    assert_ragged_equal(encoder.encode_document_tokens(TEXTS), theirs(folder, TEXTS, PROMPTS["document"]))
    assert (encoder.token_limit("query"), encoder.token_limit("document")) == (256, 256), "the model's own limit"


def test_vectors_are_of_unit_length_in_the_order_of_the_texts(minilm: Path) -> None:
    encoder = token_encoder(load_encoder(str(minilm), batch_size=2))
    together = encoder.encode_query_tokens(TEXTS)
    np.testing.assert_allclose(np.linalg.norm(together.values, axis=1), 1, atol=1e-6)
    for at, text in enumerate(TEXTS):
        np.testing.assert_allclose(together[at], encoder.encode_query_tokens([text])[0], atol=1e-5)
    assert len(encoder.encode_query_tokens([])) == 0


def test_limits_count_the_models_own_tokens(minilm: Path) -> None:
    default = token_encoder(load_encoder(str(minilm)))
    assert list(default.encode_query_tokens(["rain " * 400]).lengths) == [96 - 2]
    assert list(default.encode_document_tokens(["rain " * 400]).lengths) == [192 - 2]
    short = token_encoder(load_encoder(str(minilm), query_tokens=5, document_tokens=6))
    assert list(short.encode_query_tokens(TEXTS).lengths) == [3, 0, 3, 3, 1]
    assert list(short.encode_document_tokens(TEXTS).lengths) == [4, 0, 4, 4, 1]
    with pytest.raises(UsageError, match=r"2 tokens for a query are too few: .* adds 2 of its own"):
        token_encoder(load_encoder(str(minilm), query_tokens=2)).encode_query_tokens(["a"])


def test_a_folder_with_modules_of_its_own_gives_none(minilm: Path) -> None:
    with pytest.raises(
        UsageError, match="own cannot be used for token vectors: it has modules that clir does not know"
    ):
        token_encoder(SentenceTransformerEncoder("own", minilm))


def test_parts_and_texts_are_views_of_the_same_rows() -> None:
    texts = [np.full((count, 2), count, dtype=np.float32) for count in (2, 0, 3)]
    vectors = TokenVectors.of(texts, 2)
    assert (len(vectors), vectors.dimension, list(vectors.lengths)) == (3, 2, [2, 0, 3])
    part = vectors.part(1, 3)
    assert [len(part[at]) for at in range(len(part))] == [0, 3]
    part[1][:] = 7
    assert (vectors[2] == 7).all()
    with pytest.raises(IndexError):
        vectors[3]
    assert [len(text) for text in vectors] == [2, 0, 3]
