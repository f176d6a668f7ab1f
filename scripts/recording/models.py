"""Model folders of two layers with random weights, as sentence-transformers keeps them: the same bytes everywhere.

Weights are multiples of 1/256, so that no processor draws others, and tokenizers are written out, so that no release of
their library does.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789.,;:?!'-()"
POSITIONS = 128
SHAPE = {"num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48, "hidden_act": "gelu",
         "hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1}  # fmt: skip
ROLES = ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token")


def bert(folder: Path, words: Collection[str], *, hidden: int, seed: int) -> None:
    """A BERT that knows `words` and letters, in lower case."""
    specials = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
    known = sorted({*words, "query", "passage"})
    pieces = [*specials, *known, *(one for one in LETTERS if one not in known), *(f"##{one}" for one in LETTERS)]
    config = {"architectures": ["BertModel"], "model_type": "bert", "vocab_size": len(pieces), "hidden_size": hidden,
              "max_position_embeddings": POSITIONS, "type_vocab_size": 2, "layer_norm_eps": 1e-12,
              "pad_token_id": 0, **SHAPE}  # fmt: skip
    tokenizer = {
        "normalizer": {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True,
                       "strip_accents": None, "lowercase": True},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                  "max_input_chars_per_word": 100, "vocab": {piece: at for at, piece in enumerate(pieces)}},
    }  # fmt: skip
    _save(folder, config, _tokenizer(tokenizer, dict(enumerate(specials)), "[CLS]", "[SEP]"), seed)
    named = dict(zip(ROLES, specials, strict=True))
    _named(folder, {"tokenizer_class": "BertTokenizer", "do_lower_case": True, **named}, named)
    (folder / "vocab.txt").write_text("".join(piece + "\n" for piece in pieces), "utf-8")


def xlm_roberta(folder: Path, words: Collection[str], *, hidden: int, seed: int) -> None:
    """An XLM-R that knows `words` and letters."""
    known = sorted({*words, "query", "passage"})
    scored = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("\u2581", -2.0)]
    scored += [(f"\u2581{word}", -4.0) for word in known] + [(one, -6.0) for one in (*LETTERS, *LETTERS[:26].upper())]
    scored.append(("<mask>", 0.0))
    config = {"architectures": ["XLMRobertaModel"], "model_type": "xlm-roberta", "vocab_size": len(scored),
              "hidden_size": hidden, "max_position_embeddings": POSITIONS + 2, "type_vocab_size": 1,
              "layer_norm_eps": 1e-5, "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2, **SHAPE}  # fmt: skip
    space = {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "always", "split": True}
    tokenizer = {
        "normalizer": {"type": "Sequence", "normalizers": [{"type": "Nmt"}, {"type": "NFKC"}]},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, space]},
        "decoder": space,
        "model": {"type": "Unigram", "unk_id": 3, "vocab": scored, "byte_fallback": False},
    }
    specials = {0: "<s>", 1: "<pad>", 2: "</s>", 3: "<unk>", len(scored) - 1: "<mask>"}
    _save(folder, config, _tokenizer(tokenizer, specials, "<s>", "</s>"), seed)
    named = dict(zip((*ROLES, "bos_token", "eos_token"), ("<pad>", "<unk>", "<s>", "</s>", "<mask>", "<s>", "</s>"),
                     strict=True))  # fmt: skip
    _named(folder, {"tokenizer_class": "XLMRobertaTokenizer", **named}, named)


def _tokenizer(parts: Mapping[str, Any], specials: Mapping[int, str], begin: str, end: str) -> dict[str, Any]:
    """A whole tokenizer.json: `parts`, special tokens by their ids, and what stands around a text."""
    ids = {word: number for number, word in specials.items()}
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    around = {word: {"id": word, "ids": [ids[word]], "tokens": [word]} for word in (begin, end)}
    first, last = _special(begin), _special(end)
    text, other = ({"Sequence": {"id": one, "type_id": 0}} for one in "AB")
    template = {"single": [first, text, last], "pair": [first, text, last, other, last], "special_tokens": around}
    return {
        "version": "1.0", "truncation": None, "padding": None,
        "added_tokens": [{"id": at, "content": word, **flags, "special": True} for at, word in specials.items()],
        "post_processor": {"type": "TemplateProcessing", **template}, **parts,
    }  # fmt: skip


def _special(word: str) -> dict[str, Any]:
    return {"SpecialToken": {"id": word, "type_id": 0}}


def _save(folder: Path, config: Mapping[str, Any], tokenizer: Mapping[str, Any], seed: int) -> None:
    """The weights that `config` asks for, and everything but the tokenizer's settings."""
    import numpy as np
    from safetensors.numpy import save_file

    draw, hidden = np.random.default_rng(seed), config["hidden_size"]

    def weights(*shape: int, scale: float = 0.3) -> Any:
        return (np.round(draw.standard_normal(shape) * scale * 256) / 256).astype(np.float32)

    rows = {"word": config["vocab_size"], "position": config["max_position_embeddings"],
            "token_type": config["type_vocab_size"]}  # fmt: skip
    tensors = {f"embeddings.{name}_embeddings.weight": weights(count, hidden) for name, count in rows.items()}
    linear, norms = {"pooler.dense": (hidden, hidden)}, ["embeddings.LayerNorm"]
    for layer in ("encoder.layer.0", "encoder.layer.1"):
        linear |= {f"{layer}.attention.self.{name}": (hidden, hidden) for name in ("query", "key", "value")}
        linear |= {f"{layer}.attention.output.dense": (hidden, hidden), f"{layer}.intermediate.dense": (48, hidden),
                   f"{layer}.output.dense": (hidden, 48)}  # fmt: skip
        norms += [f"{layer}.attention.output.LayerNorm", f"{layer}.output.LayerNorm"]
    for name, shape in linear.items():
        tensors |= {f"{name}.weight": weights(*shape), f"{name}.bias": weights(shape[0], scale=0.1)}
    for name in norms:
        tensors |= {f"{name}.weight": np.ones(hidden, np.float32), f"{name}.bias": np.zeros(hidden, np.float32)}
    folder.mkdir(parents=True)
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    modules = [("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize")]
    listed = [
        {"idx": at, "name": str(at), "path": path, "type": f"sentence_transformers.models.{name}"}
        for at, (path, name) in enumerate(modules)
    ]
    for path in ("1_Pooling", "2_Normalize"):
        (folder / path).mkdir()
    _write(folder / "config.json", config)
    _write(folder / "tokenizer.json", tokenizer)
    _write(folder / "modules.json", listed)
    _write(folder / "sentence_bert_config.json", {"max_seq_length": POSITIONS, "do_lower_case": False})
    _write(folder / "1_Pooling/config.json", {"word_embedding_dimension": hidden, "pooling_mode_mean_tokens": True})
    prompts = {"prompts": {"query": "query: ", "document": "passage: "}}
    _write(folder / "config_sentence_transformers.json", prompts)


def _named(folder: Path, tokenizer: Mapping[str, Any], specials: Mapping[str, str]) -> None:
    _write(folder / "tokenizer_config.json", {"model_max_length": POSITIONS, **tokenizer})
    _write(folder / "special_tokens_map.json", specials)


def _write(path: Path, value: Mapping[str, Any] | Sequence[Any]) -> None:
    path.write_text(json.dumps(value, indent=1) + "\n", "utf-8")
