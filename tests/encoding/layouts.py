"""Small random model folders in the layouts of the models that people use: settings as on the hub, tiny weights."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

HIDDEN = 32
LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,;:?!'-()éèọẹńṣ"
PIECES = ("maji", "water", "well", "the", "is", "ya", "ni", "wa", "clean", "where", "rain", "query", "passage", "pass")
SPECIALS = {"bos_token": "<s>", "eos_token": "</s>", "sep_token": "</s>", "cls_token": "<s>", "unk_token": "<unk>",
            "pad_token": "<pad>", "mask_token": "<mask>"}  # fmt: skip


def write(path: Path, value: Any) -> None:
    """`value` as JSON at `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), "utf-8")


def wordpiece(folder: Path, *, lower: bool = False, **config: Any) -> int:
    """A BERT tokenizer as the hub keeps it; returns the size of its vocabulary."""
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[unused0]", "[unused1]"]
    words = [*specials, *LETTERS, *PIECES, *(f"##{letter}" for letter in LETTERS)]
    tokenizer = Tokenizer(models.WordPiece({word: at for at, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lower)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.add_special_tokens([AddedToken(word, normalized=False) for word in specials[:5]])
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "vocab.txt").write_text("\n".join(words) + "\n", "utf-8")
    named = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"), specials[:5], strict=True))
    write(folder / "special_tokens_map.json", named)
    write(
        folder / "tokenizer_config.json",
        {"do_lower_case": lower, "model_max_length": 512, "tokenizer_class": "BertTokenizer", **named} | config,
    )
    return len(words)


def unigram(folder: Path, **config: Any) -> int:
    """An XLM-R tokenizer as the hub keeps it; returns the size of its vocabulary."""
    pieces = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("\u2581", -2.0)]
    pieces += [("\u2581" + piece, -4.0) for piece in PIECES] + [(letter, -6.0) for letter in LETTERS]
    tokenizer = Tokenizer(models.Unigram([*pieces, ("<mask>", 0.0)], unk_id=3, byte_fallback=False))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Nmt(), normalizers.NFKC()])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(prepend_scheme="always")]
    )
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    tokenizer.add_special_tokens([AddedToken(word, normalized=False) for word in ("<s>", "<pad>", "</s>", "<unk>")])
    tokenizer.add_special_tokens([AddedToken("<mask>", lstrip=True, normalized=False)])
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    write(folder / "special_tokens_map.json", SPECIALS)
    write(
        folder / "tokenizer_config.json",
        {"tokenizer_class": "XLMRobertaTokenizer", "model_max_length": 512, **SPECIALS} | config,
    )
    return len(pieces) + 1


def t5_unigram(folder: Path, **config: Any) -> int:
    """A T5 tokenizer; returns the size of its vocabulary."""
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("\u2581", -2.0)]
    pieces += [("\u2581" + piece, -4.0) for piece in PIECES] + [(letter, -6.0) for letter in LETTERS]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=2, byte_fallback=False))
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(prepend_scheme="always")]
    )
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 1)]
    )
    tokenizer.add_special_tokens([AddedToken(word, normalized=False) for word in ("<pad>", "</s>", "<unk>")])
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    named = {"eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
    write(folder / "tokenizer_config.json", {"tokenizer_class": "T5Tokenizer", "extra_ids": 0, **named} | config)
    return len(pieces)


def byte_level(folder: Path, before: str, after: str, **config: Any) -> int:
    """A byte-level tokenizer (Qwen, ModernBERT) that puts `before` and `after` around a text."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    specials = list(
        dict.fromkeys(["<|endoftext|>", "<|im_end|>", "[MASK]", *(word for word in (before, after) if word)])
    )
    tokenizer = Tokenizer(models.BPE({piece: at for at, piece in enumerate(alphabet)}, []))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(word, normalized=False) for word in specials])
    around = [word for word in (before, after) if word]
    if around:
        tokenizer.post_processor = processors.TemplateProcessing(
            single=" ".join([before, "$A", after]).split(),
            pair=" ".join([before, "$A", after, "$B", after]).split(),
            special_tokens=[(word, tokenizer.token_to_id(word)) for word in dict.fromkeys(around)],
        )
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    write(
        folder / "tokenizer_config.json",
        {"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "<|endoftext|>", "eos_token": "<|im_end|>",
         "mask_token": "[MASK]"} | config,
    )  # fmt: skip
    return len(alphabet) + len(specials)


def save_model(folder: Path, model: Any, dtype: torch.dtype = torch.float32, **more: Any) -> None:
    """A transformers model with weights that tell texts apart, as its library saves it."""
    torch.manual_seed(5)
    with torch.no_grad():
        for name, values in model.named_parameters():
            if values.ndim > 1:
                values.normal_(std=0.3)
            elif "norm" not in name.lower():
                values.normal_(std=0.1)
    model.to(dtype).save_pretrained(folder, **more)


def modular(folder: Path, *modules: tuple[str, dict[str, Any]], **settings: Any) -> Path:
    """sentence-transformers' own files: the named modules behind a transformer in `folder`, and their settings."""
    listed = [{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"}]
    for at, (name, config) in enumerate(modules, 1):
        listed.append(
            {"idx": at, "name": str(at), "path": f"{at}_{name}", "type": f"sentence_transformers.models.{name}"}
        )
        (folder / f"{at}_{name}").mkdir(parents=True, exist_ok=True)
        if name != "Normalize":
            write(folder / f"{at}_{name}" / "config.json", config)
        if name == "Dense":
            torch.manual_seed(at)
            shape = config["out_features"], config["in_features"]
            weights = {"linear.weight": torch.randn(*shape) / 4}
            weights |= {"linear.bias": torch.randn(shape[0])} if config["bias"] else {}
            save_file(weights, folder / f"{at}_{name}" / "model.safetensors")
    write(folder / "modules.json", listed)
    if settings:
        write(folder / "config_sentence_transformers.json", settings)
    return folder


def pooling(mode: str = "mean_tokens", **more: Any) -> tuple[str, dict[str, Any]]:
    """A Pooling's settings as they were written before sentence-transformers 5."""
    kinds = ("cls_token", "mean_tokens", "max_tokens", "mean_sqrt_len_tokens", "lasttoken")
    return "Pooling", {"word_embedding_dimension": HIDDEN, **{f"pooling_mode_{k}": k == mode for k in kinds}} | more


def dense(out: int, activation: str, into: int = HIDDEN, *, bias: bool = True) -> tuple[str, dict[str, Any]]:
    """A Dense's settings."""
    kinds = {"tanh": "torch.nn.modules.activation.Tanh", "identity": "torch.nn.modules.linear.Identity"}
    return "Dense", {"in_features": into, "out_features": out, "bias": bias, "activation_function": kinds[activation]}


NORMALIZE: tuple[str, dict[str, Any]] = ("Normalize", {})


def bert(folder: Path, kind: str = "BertModel", dtype: torch.dtype = torch.float32, **more: Any) -> Path:
    """A BERT with its tokenizer; `kind` is its class in transformers, `more` settings of its tokenizer and model."""
    import transformers

    lower, shards = bool(more.pop("lower", False)), more.pop("shards", None)
    tokenizer = {key: more.pop(key) for key in ("model_max_length", "do_lower_case") if key in more}
    vocabulary = wordpiece(folder, lower=lower, **tokenizer)
    config = transformers.BertConfig(
        vocab_size=vocabulary, hidden_size=HIDDEN, num_hidden_layers=2, num_attention_heads=2, intermediate_size=48,
        **({"max_position_embeddings": 512} | more),
    )  # fmt: skip
    save_model(folder, getattr(transformers, kind)(config), dtype, **({"max_shard_size": shards} if shards else {}))
    return folder


def xlmr(folder: Path, kind: str = "XLMRobertaModel", **more: Any) -> Path:
    """An XLM-R with its tokenizer."""
    import transformers

    tokenizer = {key: more.pop(key) for key in ("model_max_length",) if key in more}
    config = transformers.XLMRobertaConfig(
        vocab_size=unigram(folder, **tokenizer), hidden_size=HIDDEN, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=48, max_position_embeddings=514, type_vocab_size=1, pad_token_id=1, bos_token_id=0,
        eos_token_id=2, layer_norm_eps=1e-5, **more,
    )  # fmt: skip
    save_model(folder, getattr(transformers, kind)(config))
    return folder


def distilbert(folder: Path) -> Path:
    """A DistilBERT with its tokenizer."""
    import transformers

    config = transformers.DistilBertConfig(
        vocab_size=wordpiece(folder), dim=HIDDEN, n_layers=2, n_heads=2, hidden_dim=48, max_position_embeddings=512
    )
    save_model(folder, transformers.DistilBertModel(config))
    return folder


def modernbert(folder: Path) -> Path:
    """A ModernBERT with a byte-level tokenizer."""
    import transformers

    vocabulary = byte_level(folder, "[CLS]", "[SEP]", model_max_length=8192, pad_token="[MASK]")
    config = transformers.ModernBertConfig(
        vocab_size=vocabulary, hidden_size=HIDDEN, num_hidden_layers=3, num_attention_heads=2, intermediate_size=48,
        max_position_embeddings=8192, local_attention=16, global_attn_every_n_layers=3, pad_token_id=0,
        bos_token_id=1, eos_token_id=1, cls_token_id=1, sep_token_id=1,
    )  # fmt: skip
    save_model(folder, transformers.ModernBertModel(config))
    return folder


def t5(folder: Path, name: str, kind: str, **tokenizer: Any) -> Path:
    """A T5, mT5 or UMT5 (`name` as its classes begin) with its tokenizer."""
    import transformers

    config = getattr(transformers, f"{name}Config")(
        vocab_size=t5_unigram(folder, **tokenizer), d_model=HIDDEN, d_kv=16, d_ff=48, num_layers=2, num_heads=2,
        decoder_start_token_id=0, feed_forward_proj="gated-gelu", relative_attention_num_buckets=8,
    )  # fmt: skip
    save_model(folder, getattr(transformers, kind)(config))
    return folder


def qwen3(folder: Path, kind: str = "Qwen3Model", **tokenizer: Any) -> Path:
    """A Qwen3 with a tokenizer that closes texts."""
    import transformers

    vocabulary = byte_level(
        folder, "", "<|endoftext|>", **({"padding_side": "left", "model_max_length": 2048} | tokenizer)
    )
    config = transformers.Qwen3Config(
        vocab_size=vocabulary, hidden_size=HIDDEN, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1,
        head_dim=16, intermediate_size=48, max_position_embeddings=4096,
    )  # fmt: skip
    save_model(folder, getattr(transformers, kind)(config))
    return folder


def gemma3(folder: Path) -> Path:
    """A Gemma 3 that reads both ways, as EmbeddingGemma."""
    import transformers

    vocabulary = byte_level(folder, "[CLS]", "[SEP]", model_max_length=2048, padding_side="right")
    config = transformers.Gemma3TextConfig(
        vocab_size=vocabulary, hidden_size=HIDDEN, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1,
        head_dim=16, intermediate_size=48, max_position_embeddings=2048, sliding_window=16,
        use_bidirectional_attention=True, layer_types=["sliding_attention", "full_attention"], pad_token_id=0,
    )  # fmt: skip
    save_model(folder, transformers.Gemma3TextModel(config))
    return folder


def rename_weights(folder: Path, prefix: str = "", *, without: Sequence[str] = ()) -> None:
    """Put `prefix` before the names of the weights in `folder`, and leave out those with a part of `without`."""
    from safetensors.torch import load_file

    path = folder / "model.safetensors"
    kept = {prefix + name: w for name, w in load_file(path).items() if not any(part in name for part in without)}
    save_file(kept, path, metadata={"format": "pt"})
