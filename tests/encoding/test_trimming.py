"""A trimmed tower reads the texts that it was trimmed to as before, in fewer rows; others it can still read."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from torch import nn
from transformers import AutoModel, AutoTokenizer, BertConfig, BertModel, XLMRobertaConfig, XLMRobertaModel

from clir.encoding.folder import TowerSpec, read_folder
from clir.encoding.tower import Tower, load_tower
from clir.encoding.trimming import UNSEEN, Unseen, changes, transformers_tokenizer, trim
from clir.support.errors import UsageError

TEXTS = [
    "The nurse walks to the clinic; 3,5 km!",
    "Muuguzi anatembea kwenda kliniki asubuhi.",
    "Ma'aikaciyar jinya tana tafiya zuwa asibiti da ƙafa.",
    "परिचारिका सकाळी दवाखान्यात चालत जाते.",
]
FOREIGN = "Zebra Quixote, жираф και ελέφαντας 象"
PLAIN = TowerSpec(transformer=Path("nowhere"))


@pytest.fixture(scope="module")
def tower(minilm: Path) -> Tower:
    return load_tower(dataclasses.replace(read_folder(minilm, "query"), prompt="ask: "))


def vectors(tower: Tower, texts: Sequence[str], prompt: str = "") -> torch.Tensor:
    with torch.inference_mode():
        return tower(tower.tokenize(texts, prompt)).sentence


def largest(difference: torch.Tensor) -> float:
    return float(difference.abs().max())


def assert_same_vectors_from_folder(trimmed: Tower, whole: Tower, folder: Path, like: Any, prompt: str) -> None:
    """Save as plain transformers, load with both libraries, compare with the tower before the trimming."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer

    trimmed.transformer.save_pretrained(folder)  # type: ignore[operator]
    transformers_tokenizer(trimmed, like).save_pretrained(folder)
    model, tokenizer = AutoModel.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    assert len(tokenizer) == model.config.vocab_size == len(model.get_input_embeddings().weight) == trimmed.vocabulary
    with torch.inference_mode():
        for text in TEXTS:
            batch = tokenizer(prompt + text, return_tensors="pt")
            expected = whole(whole.tokenize([text], prompt)).tokens
            assert largest(model(**batch).last_hidden_state - expected) < 1e-6
    modules = [Transformer(str(folder)), Pooling(trimmed.dimension), Normalize()]
    theirs = SentenceTransformer(modules=modules, device="cpu")
    expected = vectors(whole, TEXTS, prompt)
    assert largest(theirs.encode(TEXTS, prompt=prompt, convert_to_tensor=True) - expected) < 1e-6
    # Padded or cut, the tokenizer puts the new padding and closing tokens.
    cut = tokenizer([TEXTS[0], "a"], padding=True, truncation=True, max_length=8)["input_ids"]
    assert [cut[0][0], cut[0][-1], cut[1][-1]] == [tokenizer.cls_token_id, tokenizer.sep_token_id, trimmed.pad_id]
    assert tokenizer.pad_token_id == whole.tokenizer.token_to_id(tokenizer.pad_token)


def test_a_wordpiece_model_gives_the_same_vectors_from_every_library(
    tower: Tower, minilm: Path, tmp_path: Path
) -> None:
    trimmed = trim(tower, TEXTS)
    assert trimmed.tower.vocabulary == len(trimmed.kept) < 3000 < tower.vocabulary == trimmed.rows_before == 30522
    for prompt in ("", "ask: "):
        assert largest(vectors(trimmed.tower, TEXTS, prompt) - vectors(tower, TEXTS, prompt)) < 1e-6
    like = AutoTokenizer.from_pretrained(minilm)
    assert_same_vectors_from_folder(trimmed.tower, tower, tmp_path / "trimmed", like, "ask: ")


def test_a_unigram_model_gives_the_same_vectors_from_every_library(e5: Path, tmp_path: Path) -> None:
    whole = load_tower(read_folder(e5, "query"))
    trimmed = trim(whole, TEXTS, unseen="script_characters")
    assert trimmed.tower.vocabulary == len(trimmed.kept) < 4000 < whole.vocabulary == 250037
    assert trimmed.report() == {
        "tokens kept": len(trimmed.kept),
        "tokens before": 250037,
        "fp32 bytes": trimmed.bytes_before - 4 * 384 * (250037 - len(trimmed.kept)),
        "fp32 bytes before": 4 * sum(values.numel() for values in whole.parameters()),
    }
    tokenizer = trimmed.tower.tokenizer
    names = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    assert [tokenizer.token_to_id(name) for name in names] == [0, 1, 2, 3, trimmed.tower.vocabulary - 1]
    assert tokenizer.encode("Muuguzi <mask>").ids[-2] == trimmed.tower.vocabulary - 1
    like = AutoTokenizer.from_pretrained(e5)
    assert_same_vectors_from_folder(trimmed.tower, whole, tmp_path / "trimmed", like, whole.spec.prompt)
    again = AutoTokenizer.from_pretrained(tmp_path / "trimmed")
    assert (again.special_tokens_map, again.model_max_length) == (like.special_tokens_map, like.model_max_length)
    # Cyrillic, Greek and Chinese are no scripts of the texts: only with every character are they still read.
    unknown = tokenizer.token_to_id("<unk>")
    assert whole.tokenizer.token_to_id("<unk>") not in whole.tokenizer.encode(FOREIGN).ids
    assert unknown in tokenizer.encode(FOREIGN).ids
    assert unknown not in trim(whole, TEXTS).tower.tokenizer.encode(FOREIGN).ids


def test_unseen_words_are_read_in_smaller_pieces_and_counted(tower: Tower) -> None:
    trimmed = trim(tower, TEXTS)
    assert trimmed.tower.tokenizer.encode("nurse zebra").tokens == [
        "[CLS]", "nurse", "z", "##e", "##b", "##r", "##a", "[SEP]",
    ]  # fmt: skip
    found = changes(tower, trimmed, ["nurse", "the zebra walks", "the clinic"], "ask: ")
    assert (found.tokens, found.tokens_changed, found.texts, found.texts_changed) == (6, 1, 3, 1)
    assert (found.token_share, found.text_share) == (1 / 6, 1 / 3)
    same = changes(tower, trimmed, TEXTS)
    assert (same.tokens_changed, same.texts, same.texts_changed) == (0, 4, 0)
    assert same.tokens > 40
    assert changes(tower, trimmed, []).token_share == 0


def test_what_stays_for_unseen_words_is_one_of_three(tower: Tower) -> None:
    with pytest.raises(UsageError, match="way to keep pieces"):
        trim(tower, TEXTS, unseen="piece")  # type: ignore[arg-type]


def test_texts_are_kept_whole_and_behind_prompts(tower: Tower) -> None:
    long = trim(tower, iter(["rain " * 300 + "zebra"]), prompts=["camel "])
    pieces = long.tower.tokenizer.get_vocab()
    assert {"rain", "zebra", "camel", "ask", ":"} <= set(pieces)
    assert "clinic" not in pieces
    assert len(long.tower.rows(["rain " * 300])[0].ids) == len(tower.rows(["rain " * 300])[0].ids) == 256


def test_the_tower_that_is_trimmed_stays_as_it_was(tower: Tower, minilm: Path) -> None:
    tower.transformer.get_input_embeddings().weight.requires_grad_(False)  # type: ignore[operator]
    trimmed = trim(tower, TEXTS).tower
    weight = trimmed.transformer.get_input_embeddings().weight  # type: ignore[operator]
    assert not weight.requires_grad
    assert sum(values.requires_grad for values in trimmed.parameters()) == len(list(trimmed.parameters())) - 1
    assert trimmed.training is tower.training is False
    with torch.no_grad():
        for values in trimmed.parameters():
            values.zero_()
    fresh = load_tower(read_folder(minilm, "query"))
    torch.testing.assert_close(vectors(tower, TEXTS), vectors(fresh, TEXTS), atol=0, rtol=0)
    assert tower.vocabulary == tower.transformer.config.vocab_size == 30522
    assert tower.tokenizer.to_str() == fresh.tokenizer.to_str()


def test_a_trimmed_tower_can_be_trimmed_again(tower: Tower) -> None:
    once = trim(tower, TEXTS, unseen="script_characters").tower
    twice = trim(once, TEXTS[:1], unseen="script_characters").tower
    assert twice.vocabulary < once.vocabulary
    assert largest(vectors(twice, TEXTS[:1]) - vectors(tower, TEXTS[:1])) < 1e-6


def test_a_head_is_carried_over(minilm: Path) -> None:
    whole = load_tower(read_folder(minilm, "query"))
    whole.attach_head(nn.Linear(384, 8), normalize=False)
    trimmed = trim(whole, TEXTS).tower
    assert (trimmed.dimension, trimmed.spec.normalize) == (8, False)
    assert largest(vectors(trimmed, TEXTS) - vectors(whole, TEXTS)) < 1e-6
    assert trimmed.head is not whole.head


SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]
WORDS = st.lists(st.text("abcde", min_size=1, max_size=8), min_size=1, max_size=4).map(" ".join)
SETS = st.sets(st.text("abcd", min_size=1, max_size=4), min_size=1, max_size=25).map(sorted)


def small_tower(model: Any, kind: str = "bert") -> Tower:
    """A transformer of one layer with random weights behind a tokenizer of `model`."""
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.add_special_tokens(list(SPECIAL))
    begin, end = ((name, tokenizer.token_to_id(name)) for name in ("<s>", "</s>"))
    if kind == "roberta":
        tokenizer.post_processor = processors.Sequence([processors.RobertaProcessing(end, begin)])
    else:
        tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=[begin, end])
    sizes = {
        "vocab_size": tokenizer.get_vocab_size() + 3, "hidden_size": 8, "num_hidden_layers": 1,
        "num_attention_heads": 2, "intermediate_size": 8, "max_position_embeddings": 90,
        "pad_token_id": tokenizer.token_to_id("<pad>"), "eos_token_id": end[1],
    }  # fmt: skip
    torch.manual_seed(3)
    transformer: nn.Module
    transformer = XLMRobertaModel(XLMRobertaConfig(**sizes)) if kind == "roberta" else BertModel(BertConfig(**sizes))
    tower = Tower(dataclasses.replace(PLAIN, max_tokens=80), transformer, tokenizer, None).eval()
    tokenizer.enable_truncation(80)
    return tower


def assert_exact(whole: Tower, texts: list[str], unseen: Unseen) -> None:
    trimmed = trim(whole, texts, unseen=unseen)
    ours = [trimmed.kept[row.ids].tolist() for row in trimmed.tower.rows(texts)]
    assert ours == [row.ids.tolist() for row in whole.rows(texts)]  # type: ignore[union-attr]
    assert largest(vectors(trimmed.tower, texts) - vectors(whole, texts)) < 1e-6


@settings(max_examples=40)
@given(SETS, st.lists(st.floats(-20, -1), min_size=25, max_size=25), st.lists(WORDS, min_size=1, max_size=4))
def test_unigram_is_exact_for_any_pieces_and_scores(pieces: list[str], scores: list[float], texts: list[str]) -> None:
    # Some of the characters are no piece, so some are unknown.
    vocabulary = [(name, 0.0) for name in SPECIAL] + list(zip(pieces, scores, strict=False))
    for unseen in UNSEEN:
        assert_exact(small_tower(models.Unigram(vocabulary, unk_id=3)), texts, unseen)


@settings(max_examples=40)
@given(SETS, SETS, st.lists(WORDS, min_size=1, max_size=4))
def test_wordpiece_is_exact_for_any_pieces(first: list[str], later: list[str], texts: list[str]) -> None:
    names = [*SPECIAL, *first, *(f"##{piece}" for piece in later)]
    vocabulary = {name: at for at, name in enumerate(names)}
    for unseen in UNSEEN:
        model = models.WordPiece(vocabulary, unk_token="<unk>", max_input_chars_per_word=6)
        assert_exact(small_tower(model), texts, unseen)


def test_a_word_that_was_unknown_stays_unknown() -> None:
    # Longest match takes abc and has nothing for d; with abc gone it would take ab and ##cd.
    names = [*SPECIAL, "a", "ab", "abc", "##cd", "x"]
    whole = small_tower(models.WordPiece({name: at for at, name in enumerate(names)}, unk_token="<unk>"))
    assert whole.tokenizer.encode("abcd").tokens == ["<s>", "<unk>", "</s>"]
    trimmed = trim(whole, ["ab xcd abcd"]).tower
    assert trimmed.tokenizer.encode("abcd").tokens == ["<s>", "<unk>", "</s>"]


def test_with_the_pieces_of_the_texts_scripts_other_words_of_these_are_read_as_before() -> None:
    names = [*SPECIAL, "maji", "barua", "ba", "b", "\u02bcy", "\u02bc", "вода", "в", "о", "д", "а", "ж", "1987"]
    whole = small_tower(models.Unigram([(name, -2.0) for name in names], unk_id=3))
    texts = ["maji"] * 1000

    def kept(unseen: Unseen, *more: str) -> list[str]:
        trimmed = trim(whole, [*texts, *more], unseen=unseen)
        return [names[at] for at in trimmed.kept[len(SPECIAL) :]]

    assert kept("pieces") == [name for name in names[len(SPECIAL) :] if name != "вода"]
    assert kept("characters") == ["maji", "b", "\u02bc", "в", "о", "д", "а", "ж"]
    assert kept("script_characters") == ["maji", "b", "\u02bc"]
    # A word that is quoted once is kept, with its letters; its script is not yet one of the texts'.
    assert kept("script_characters", "вода") == ["maji", "b", "\u02bc", "вода", "в", "о", "д", "а"]
    assert kept("script_characters", *["вода"] * 10) == ["maji", "b", "\u02bc", "вода", "в", "о", "д", "а", "ж"]
    trimmed = trim(whole, texts, unseen="pieces")
    assert changes(whole, trimmed, ["barua 1987", "\u02bcy"]).tokens_changed == 0
    assert changes(whole, trimmed, ["вода"]).tokens_changed == 1


def test_unknown_characters_score_as_before() -> None:
    # e is no piece; what it scores hangs on the lowest score there is. With that gone, <unk> abc would win over ea bc.
    scores = {"ea": -15.0, "bc": -15.0, "abc": -1.0, "zz": -100.0}
    whole = small_tower(models.Unigram([*((name, 0.0) for name in SPECIAL), *scores.items()], unk_id=3))
    assert whole.tokenizer.encode("eabc").tokens == ["<s>", "ea", "bc", "</s>"]
    assert trim(whole, ["eabc abc"]).tower.tokenizer.encode("eabc").tokens == ["<s>", "ea", "bc", "</s>"]


@pytest.mark.parametrize(("kind", "pad"), [("bert", 0), ("bert", 1), ("bert", 24), ("roberta", 0), ("roberta", 1)])
def test_ids_are_renumbered_wherever_they_stand(kind: str, pad: int) -> None:
    # Words stand between the special tokens, so that these change their ids, all but the padding where it is among
    # the first: RoBERTa's positions begin there.
    names = ["water", "<s>", "rain", "<unk>", "goat", "</s>", "well", *(f"hill{at}" for at in range(20)), "w", "e", "l"]
    names.insert(pad, "<pad>")
    vocabulary = [(name, -2 - 0.1 * at) for at, name in enumerate(names)]
    whole = small_tower(models.Unigram(vocabulary, unk_id=names.index("<unk>")), kind)
    texts = ["well well", "well", "well well well"]
    trimmed = trim(whole, texts, unseen="script_characters")
    pieces = trimmed.tower.tokenizer.get_vocab()
    assert "rain" not in pieces
    assert "goat" not in pieces
    assert pieces["</s>"] == trimmed.tower.transformer.config.eos_token_id < whole.transformer.config.eos_token_id
    assert pieces["<pad>"] == trimmed.tower.pad_id == (pad if pad < 24 else 4)
    embeddings = trimmed.tower.transformer.get_input_embeddings()  # type: ignore[operator]
    assert (embeddings.padding_idx, embeddings.num_embeddings) == (pieces["<pad>"], len(trimmed.kept))
    assert trimmed.tower.tokenizer.encode("well?").tokens == ["<s>", "well", "?", "</s>"]
    assert trimmed.tower.tokenizer.encode("well?").ids[2] == pieces["<unk>"]
    assert largest(vectors(trimmed.tower, texts) - vectors(whole, texts)) < 1e-6
    assert np.all(np.diff(trimmed.kept) > 0)


def test_other_tokenizers_are_refused_in_one_line() -> None:
    vocabulary = {name: at for at, name in enumerate([*SPECIAL, "a", "b", "ab"])}
    whole = small_tower(models.BPE(vocabulary, [("a", "b")]))
    with pytest.raises(UsageError) as raised:
        trim(whole, ["ab"])
    assert str(raised.value) == ("cannot trim the vocabulary of a BPE tokenizer, only of Unigram and WordPiece")


def test_an_output_layer_over_the_vocabulary_is_refused() -> None:
    from transformers import BertForMaskedLM

    whole = small_tower(models.Unigram([(name, 0.0) for name in [*SPECIAL, "a"]], unk_id=3))
    whole.transformer = BertForMaskedLM(whole.transformer.config)
    with pytest.raises(UsageError, match="output layer over its vocabulary"):
        trim(whole, ["a"])
