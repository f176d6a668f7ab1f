"""Models trained for late interaction give the token vectors of the libraries that wrote their folders."""

import json
import shutil
import string
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from clir.encoding.encoder import TowerEncoder, load_encoder, token_encoder
from clir.encoding.folder import read_folder
from clir.support.errors import ClirError, UsageError

WORDS = [
    *("how", "far", "is", "the", "well", "water", "clean", "from", "village", "bus", "goat", "maji", "safi", "wa"),
    *("##ter", "##s", "##ni", "3", "5", ",", ".", "?", "!", "'", "-", "(", ")"),
]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[unused0]", "[unused1]"]
TEXTS = ["How far is the well?", "", "water, clean water! (wells)", "goats " * 60, "zebra ' maji-safi"]
Save = Callable[..., Path]


def tokenizer(markers: tuple[str, ...] = ("[Q] ", "[D] ")) -> Any:
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    made = Tokenizer(models.WordPiece({word: at for at, word in enumerate(SPECIAL + WORDS)}, unk_token="[UNK]"))
    made.normalizer, made.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    made.decoder = decoders.WordPiece()
    made.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", None, [("[CLS]", 2), ("[SEP]", 3)])
    fast = PreTrainedTokenizerFast(
        tokenizer_object=made, unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]", pad_token="[PAD]",
        mask_token="[MASK]", model_max_length=512,
    )  # fmt: skip
    # PyLate's way: as ordinary added tokens, which a lowercasing tokenizer would not find in a text.
    fast.add_tokens(list(markers))
    return fast


def backbone(size: int) -> Any:
    from transformers import BertConfig, BertModel

    torch.manual_seed(4)
    config = BertConfig(
        vocab_size=size, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=48,
        max_position_embeddings=64,
    )  # fmt: skip
    model = BertModel(config).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return model


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny BERT with random weights and a tokenizer of some thirty words."""
    folder, known = tmp_path_factory.mktemp("colbert") / "plain", tokenizer()
    backbone(len(known)).save_pretrained(folder)
    known.save_pretrained(folder)
    return folder


@pytest.fixture
def native(plain: Path, tmp_path: Path) -> Save:
    """`native(query_expansion=..., skipped=...)`: a folder of sentence-transformers' MultiVectorEncoder."""

    def save(skipped: str = string.punctuation, normalize: bool = True, **settings: Any) -> Path:
        from sentence_transformers import MultiVectorEncoder
        from sentence_transformers.base.modules import Dense, Normalize, Transformer
        from sentence_transformers.multi_vector_encoder.modules import MultiVectorMask

        torch.manual_seed(5)
        dense = Dense(32, 12, bias=False, activation_function=torch.nn.Identity(), module_input_name="token_embeddings")
        modules = [Transformer(str(plain), **settings), dense, MultiVectorMask(skiplist_words=list(skipped))]
        if normalize:
            modules.append(Normalize(module_input_name="token_embeddings"))
        prompts = {"query": "how ", "document": "the "}
        MultiVectorEncoder(modules=modules, prompts=prompts, device="cpu").save(
            str(tmp_path / "native"), create_model_card=False
        )
        return tmp_path / "native"

    return save


def pylate(
    plain: Path, folder: Path, heads: tuple[tuple[int, int, bool], ...] = ((32, 12, False),), **more: Any
) -> Path:
    """A folder as PyLate 1 writes it: Transformer and Dense, the rest in its own keys."""
    from safetensors.torch import save_file

    shutil.copytree(plain, folder)
    modules = [{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"}]
    for number, (wide, narrow, residual) in enumerate(heads, 1):
        generator = torch.Generator().manual_seed(number)
        weights = {"linear.weight": torch.randn(narrow, wide, generator=generator)}
        if residual and wide != narrow:
            weights["residual.weight"] = torch.randn(narrow, wide, generator=generator)
        path = folder / f"{number}_Dense"
        path.mkdir()
        save_file(weights, path / "model.safetensors")
        config = {"in_features": wide, "out_features": narrow, "bias": False, "use_residual": residual,
                  "activation_function": "torch.nn.modules.linear.Identity"}  # fmt: skip
        (path / "config.json").write_text(json.dumps(config))
        modules.append({"idx": number, "name": str(number), "path": path.name, "type": "pylate.models.Dense.Dense"})
    (folder / "modules.json").write_text(json.dumps(modules))
    # The length that PyLate read last stays in this file and means nothing.
    (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 15, "do_lower_case": False}))
    settings = {"prompts": {}, "similarity_fn_name": "MaxSim", "query_prefix": "[Q] ", "document_prefix": "[D] ",
                "query_length": 16, "document_length": 30, "attend_to_expansion_tokens": False,
                "skiplist_words": list(string.punctuation), "do_query_expansion": True,
                "model_type": "ColBERT"}  # fmt: skip
    (folder / "config_sentence_transformers.json").write_text(json.dumps(settings | more))
    return folder


def stanford(folder: Path) -> Path:
    """A folder as Stanford's ColBERT writes it: the head among the backbone's weights."""
    from safetensors.torch import save_file

    known = tokenizer(())
    model = backbone(len(known))
    weights = {f"bert.{name}": values for name, values in model.state_dict().items()}
    weights["linear.weight"] = torch.randn(12, 32, generator=torch.Generator().manual_seed(6))
    folder.mkdir()
    save_file({name: values.contiguous() for name, values in weights.items()}, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(model.config.to_dict() | {"architectures": ["HF_ColBERT"]}))
    metadata = {"query_token_id": "[unused0]", "doc_token_id": "[unused1]", "query_maxlen": 14, "doc_maxlen": 25,
                "attend_to_mask_tokens": False, "mask_punctuation": True}  # fmt: skip
    (folder / "artifact.metadata").write_text(json.dumps(metadata))
    known.save_pretrained(folder)
    return folder


def assert_same_as_sentence_transformers(folder: Path) -> TowerEncoder:
    from sentence_transformers import MultiVectorEncoder

    theirs = MultiVectorEncoder(str(folder), device="cpu", local_files_only=True)
    ours = load_encoder(str(folder), batch_size=2)
    assert isinstance(ours, TowerEncoder)
    for side in ("query", "document"):
        expected = getattr(theirs, f"encode_{side}")(TEXTS, batch_size=5)
        found = getattr(ours, f"encode_{side}_tokens")(TEXTS)
        assert found.lengths.tolist() == [len(vectors) for vectors in expected]
        for at, vectors in enumerate(expected):
            np.testing.assert_allclose(found[at], vectors.numpy(), atol=1e-5)
        strings = getattr(ours, f"{side}_token_strings")(TEXTS)
        assert [len(tokens) for tokens in strings] == found.lengths.tolist()
    assert ours.dimension == theirs.get_embedding_dimension() == found.dimension
    return ours


@pytest.mark.parametrize(
    "settings",
    [
        {"query_expansion": {"strategy": "fixed", "length": 16}, "document_length": 30},
        {"query_expansion": {"strategy": "fixed", "length": 16, "attend": True}},
        {"query_expansion": {"strategy": "min", "length": 10, "token": "water"}, "query_length": 20, "skipped": ",."},
        {"query_length": 9, "document_length": 12, "skipped": "", "normalize": False},
        {},
    ],
    ids=["fixed", "attended", "at least", "not filled", "defaults"],
)
def test_a_multi_vector_encoder_gives_the_same_token_vectors(native: Save, settings: dict[str, Any]) -> None:
    assert_same_as_sentence_transformers(native(**settings))


@pytest.mark.parametrize(
    "more", [{}, {"attend_to_expansion_tokens": True}, {"do_query_expansion": False}, {"skiplist_words": ["water"]}]
)
def test_a_folder_of_pylate_gives_the_same_token_vectors(plain: Path, tmp_path: Path, more: dict[str, Any]) -> None:
    ours = assert_same_as_sentence_transformers(pylate(plain, tmp_path / "pylate", **more))
    assert (ours.dimension, ours.token_limit("query"), ours.token_limit("document")) == (12, 16, 30)


def test_several_heads_with_residuals_are_one_map(plain: Path, tmp_path: Path) -> None:
    folder = pylate(plain, tmp_path / "pylate", ((32, 48, True), (48, 48, True), (48, 12, False)))
    ours = assert_same_as_sentence_transformers(folder)
    assert len(ours.spec("query").heads) == 3 and ours.tower("query").head is not None


def test_a_checkpoint_of_stanfords_gives_the_same_token_vectors(tmp_path: Path) -> None:
    ours = assert_same_as_sentence_transformers(stanford(tmp_path / "stanford"))
    assert (ours.dimension, ours.token_limit("query"), ours.token_limit("document")) == (12, 14, 25)


def test_the_marker_stands_behind_the_first_token_and_queries_are_filled_up(plain: Path, tmp_path: Path) -> None:
    encoder = load_encoder(str(pylate(plain, tmp_path / "pylate")))
    assert isinstance(encoder, TowerEncoder)
    (query,) = encoder.query_token_strings(["How far, 3?"])
    assert [token.text for token in query] == ["[CLS]", "[Q]", "How", "far", ",", "3", "?", "[SEP]", *["[MASK]"] * 8]
    (document,) = encoder.document_token_strings(["How far, 3?"])
    assert [token.text for token in document] == ["[CLS]", "[D]", "How", "far", "3", "[SEP]"]
    assert [token.word for token in document] == [-1, -1, 0, 1, 2, -1]


def test_fewer_tokens_than_the_models_own_may_be_asked_for(plain: Path, tmp_path: Path) -> None:
    encoder = load_encoder(str(pylate(plain, tmp_path / "pylate")), query_tokens=6, document_tokens=5)
    tokens = token_encoder(encoder)
    assert tokens.encode_query_tokens(["how", "how far is the well"]).lengths.tolist() == [6, 6]
    assert tokens.encode_document_tokens(["how far is the well"]).lengths.tolist() == [5]
    with pytest.raises(UsageError, match=r"3 tokens for a query are too few: .* adds 3 of its own"):
        token_encoder(load_encoder(str(tmp_path / "pylate"), query_tokens=3)).encode_query_tokens(["how"])


def test_there_is_no_vector_for_a_whole_text(plain: Path, tmp_path: Path) -> None:
    encoder = load_encoder(str(pylate(plain, tmp_path / "pylate")))
    for encode in (encoder.encode_queries, encoder.encode_documents):
        with pytest.raises(UsageError, match=r"has no vector for a whole text: it was trained for late interaction"):
            encode(["how far"])


def test_sides_share_the_weights_in_memory(plain: Path, tmp_path: Path) -> None:
    encoder = load_encoder(str(pylate(plain, tmp_path / "pylate")))
    assert isinstance(encoder, TowerEncoder)
    query, document = encoder.tower("query"), encoder.tower("document")
    assert query is not document and query.transformer is document.transformer and query.head is document.head


def test_head_and_every_setting_change_the_fingerprint(plain: Path, tmp_path: Path) -> None:
    of = {
        "as it is": pylate(plain, tmp_path / "a"),
        "head": pylate(plain, tmp_path / "b", ((32, 12, True),)),
        "length": pylate(plain, tmp_path / "c", query_length=17, document_length=31),
        "attended": pylate(plain, tmp_path / "d", attend_to_expansion_tokens=True),
        "not filled": pylate(plain, tmp_path / "e", do_query_expansion=False),
        "skipped": pylate(plain, tmp_path / "f", skiplist_words=[]),
        "marker": pylate(plain, tmp_path / "g", query_prefix="[D] ", document_prefix="[Q] "),
    }
    query = {name: load_encoder(str(folder)).fingerprint("query") for name, folder in of.items()}
    document = {name: load_encoder(str(folder)).fingerprint("document") for name, folder in of.items()}
    # What only queries or only documents know leaves the other side as it is.
    assert [name for name in of if query[name] == query["as it is"]] == ["as it is", "skipped"]
    assert [name for name in of if document[name] == document["as it is"]] == ["as it is", "attended", "not filled"]
    assert not set(query.values()) & set(document.values())


def test_saving_by_sentence_transformers_keeps_the_fingerprints(plain: Path, tmp_path: Path) -> None:
    from sentence_transformers import MultiVectorEncoder

    folder = pylate(plain, tmp_path / "pylate")
    MultiVectorEncoder(str(folder), device="cpu").save(str(tmp_path / "again"), create_model_card=False)
    before, after = token_encoder(load_encoder(str(folder))), token_encoder(load_encoder(str(tmp_path / "again")))
    assert before.fingerprint("query") == after.fingerprint("query")
    assert before.fingerprint("document") == after.fingerprint("document") != after.fingerprint("query")
    np.testing.assert_allclose(
        before.encode_document_tokens(TEXTS).values, after.encode_document_tokens(TEXTS).values, atol=1e-6
    )


def test_what_is_not_computed_here_is_refused_and_not_computed_otherwise(plain: Path, tmp_path: Path) -> None:
    folder = pylate(plain, tmp_path / "pylate")
    config = json.loads((folder / "1_Dense" / "config.json").read_text())
    activation = {"activation_function": "torch.nn.modules.activation.Tanh"}
    (folder / "1_Dense" / "config.json").write_text(json.dumps(config | activation))
    with pytest.raises(ClirError, match="1_Dense: a Dense with an activation is not supported in a late-interaction"):
        load_encoder(str(folder))
    modules = json.loads((folder / "modules.json").read_text())
    modules.append(
        {"idx": 2, "name": "2", "path": "2_HierarchicalTokenPooling", "type": "pylate.models.HierarchicalTokenPooling"}
    )
    (folder / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(ClirError, match="its module HierarchicalTokenPooling is not supported"):
        load_encoder(str(folder))


def test_a_backbone_without_a_mask_token_is_refused(plain: Path, tmp_path: Path) -> None:
    folder = pylate(plain, tmp_path / "pylate")
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps(settings | {"mask_token": None}))
    with pytest.raises(ClirError, match="its queries are filled up with mask tokens, but its tokenizer has none"):
        read_folder(folder, "query")
