"""Small random models in the layouts that people's models have: tokenizer files as the hub has them, not as any
library of today writes them."""

from __future__ import annotations

import base64
import functools
import io
import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

SENTENCES = (
    "The nurse drinks clean water before the rain comes.", "Where does the bus to the market stop?",
    "Our neighbour repairs the old roof and sells ripe mangoes.", "She asks about the law and pays for the ticket.",
    "Muuguzi anakunywa maji safi kabla ya mvua.", "Basi la sokoni linasimama wapi?",
    "Jirani yetu anauza maembe mabivu.", "Likita yana shan ruwa mai tsabta.",
    "Ina motar kasuwa take tsayawa?", "Ó ń mu omi tó mọ́ kí òjò tó dé.",
    "नर्स बारिश से पहले साफ पानी पीती है।", "看護師は雨の前にきれいな水を飲む。", "护士在下雨前喝干净的水。",
    "Медсестра пьёт чистую воду перед дождём.", "الممرضة تشرب ماء نظيفا قبل المطر", "Ο γιατρός πίνει νερό.",
    "İstanbul'da yağmur yağıyor, ÇOK!", "3,5 kg (about 7.7 lb) cost 12 % more in 2024: #deal @home",
)  # fmt: skip
"""Invented text in several scripts: what the small tokenizers are trained on."""

TEXTS = (
    "maji safi", "The BUS", " leading", "trailing ", "  a  b ", "a ", "\ta\n", "", " ", "\n", "\u3000全角 ",
    "ｆｕｌｌ　ｗｉｄｔｈ", "\u00a0nbsp\u00a0",
    "zero\u200bwidth\u200d", "\ufeffmark", "a\u0301 e\u0301", "\u00e1 \u00e9",
    "नर्स पानी", "Ó ń mu", "ΣΊΣΥΦΟΣ ὈΔΥΣΣΕΎΣ", "İI ı", "ﬁne ﬂat ①", "\x00nul\x07bell", "line\u2028end\r\nnext",
    "\U0001f642\U0001f469\u200d\U0001f692 fire", "x" * 120, "<mask> [MASK] <s> </s> [CLS] <pad>", "say <mask>",
    "say<mask>", "a▁b ▁", "don't  stop!!", "1,000.50 €", "\ue000",
)  # fmt: skip
"""Texts whose reading tells tokenizers apart."""


def added(content: str, at: int, **more: Any) -> dict[str, Any]:
    return {"id": at, "content": content, "single_word": False, "lstrip": False, "rstrip": False,
            "normalized": False, "special": True} | more  # fmt: skip


@functools.cache
def sentencepiece_model(size: int = 400) -> bytes:
    """A sentencepiece model of the kind and normalisation of XLM-R's and T5's."""
    import sentencepiece

    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=itertools.chain.from_iterable(itertools.repeat(SENTENCES, 4)), model_writer=model,
        vocab_size=size, model_type="unigram", character_coverage=1.0, hard_vocab_limit=False,
        bos_id=1, eos_id=2, unk_id=0, pad_id=-1, minloglevel=2, num_threads=1,
    )  # fmt: skip
    return model.getvalue()


def _proto(model: bytes) -> Any:
    from sentencepiece import sentencepiece_model_pb2

    proto = sentencepiece_model_pb2.ModelProto()
    proto.ParseFromString(model)
    return proto


def template(begin: str | None, end: str, ids: dict[str, int]) -> dict[str, Any]:
    """A TemplateProcessing post-processor."""

    def special(name: str) -> dict[str, Any]:
        return {"SpecialToken": {"id": name, "type_id": 0}}

    text, second = ({"Sequence": {"id": name, "type_id": 0}} for name in "AB")
    head = [special(begin)] if begin else []
    names = [name for name in (begin, end) if name]
    return {
        "type": "TemplateProcessing", "single": [*head, text, special(end)],
        "pair": [*head, text, special(end), *([special(end)] if begin else []), second, special(end)],
        "special_tokens": {name: {"id": name, "ids": [ids[name]], "tokens": [name]} for name in names},
    }  # fmt: skip


def xlm_r_tokenizer(folder: Path, written: str = "split") -> int:
    """XLM-R's tokenizer files; how many ids it has.

    `written`: "split" as xlm-roberta-base and its early children have them (WhitespaceSplit, then a Metaspace with
    `add_prefix_space`), "folded" as later conversions do (runs of spaces replaced, one Metaspace, `prepend_scheme`).
    """
    proto = _proto(sentencepiece_model())
    pieces = [[piece.piece, piece.score] for piece in proto.pieces[3:]]
    vocabulary = [["<s>", 0.0], ["<pad>", 0.0], ["</s>", 0.0], ["<unk>", 0.0], *pieces, ["<mask>", 0.0]]
    charsmap = base64.b64encode(proto.normalizer_spec.precompiled_charsmap).decode("ascii")
    precompiled = {"type": "Precompiled", "precompiled_charsmap": charsmap}
    metaspace = {"type": "Metaspace", "replacement": "▁", "add_prefix_space": True}
    if written == "split":
        normalizer: Any = precompiled
        splitter: Any = {
            "type": "Sequence",
            "pretokenizers": [{"type": "WhitespaceSplit"}, metaspace | {"str_rep": "▁"}],
        }
    else:
        folded = {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}
        normalizer = {"type": "Sequence", "normalizers": [precompiled, folded]}
        splitter = metaspace | {"prepend_scheme": "always"}
    ids = {name: at for at, name in enumerate(("<s>", "<pad>", "</s>", "<unk>"))} | {"<mask>": len(vocabulary) - 1}
    _write(folder / "tokenizer.json", {
        "version": "1.0", "truncation": {"max_length": 64, "strategy": "LongestFirst", "stride": 0}, "padding": None,
        "added_tokens": [added(name, at, lstrip=name == "<mask>") for name, at in ids.items()],
        "normalizer": normalizer, "pre_tokenizer": splitter, "post_processor": template("<s>", "</s>", ids),
        "decoder": metaspace, "model": {"type": "Unigram", "unk_id": 3, "vocab": vocabulary},
    })  # fmt: skip
    names = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "sep_token": "</s>", "pad_token": "<pad>",
             "cls_token": "<s>"}  # fmt: skip
    mask = {"content": "<mask>", "single_word": False, "lstrip": True, "rstrip": False, "normalized": False}
    _write(folder / "special_tokens_map.json", names | {"mask_token": mask})
    _write(folder / "tokenizer_config.json", names | {
        "tokenizer_class": "XLMRobertaTokenizer", "model_max_length": 64, "mask_token": mask | {"__type": "AddedToken"},
    })  # fmt: skip
    (folder / "sentencepiece.bpe.model").write_bytes(sentencepiece_model())
    return len(vocabulary)


def t5_tokenizer(folder: Path) -> int:
    """T5's tokenizer files; how many ids it has."""
    proto = _proto(sentencepiece_model())
    pieces = [[piece.piece, piece.score] for piece in proto.pieces[3:]]
    extra = [f"<extra_id_{at}>" for at in reversed(range(10))]
    vocabulary = [["<pad>", 0.0], ["</s>", 0.0], ["<unk>", 0.0], *pieces, *([name, 0.0] for name in extra)]
    ids = {"<pad>": 0, "</s>": 1, "<unk>": 2} | {name: len(pieces) + 3 + at for at, name in enumerate(extra)}
    charsmap = base64.b64encode(proto.normalizer_spec.precompiled_charsmap).decode("ascii")
    metaspace = {"type": "Metaspace", "replacement": "▁", "add_prefix_space": True}
    _write(folder / "tokenizer.json", {
        "version": "1.0", "truncation": None, "padding": None,
        "added_tokens": [added(name, at) for name, at in ids.items()],
        "normalizer": {"type": "Precompiled", "precompiled_charsmap": charsmap},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, metaspace]},
        "post_processor": template(None, "</s>", ids), "decoder": metaspace,
        "model": {"type": "Unigram", "unk_id": 2, "vocab": vocabulary},
    })  # fmt: skip
    names = {"eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
    _write(folder / "special_tokens_map.json", names | {"additional_special_tokens": extra})
    _write(folder / "tokenizer_config.json", names | {
        "tokenizer_class": "T5Tokenizer", "model_max_length": 64, "extra_ids": 10, "additional_special_tokens": extra,
    })  # fmt: skip
    return len(vocabulary)


def bert_tokenizer(folder: Path, lower_case: bool = True) -> int:
    """A BERT's tokenizer files; how many ids it has."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lower_case)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[unused0]", "[unused1]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer.train_from_iterator(
        [*SENTENCES, '! " # $ % & ( ) * + , - . / : ;'],
        trainers.WordPieceTrainer(vocab_size=400, special_tokens=special),
    )
    made = json.loads(tokenizer.to_str())
    ids = {name: at for at, name in enumerate(special)}
    made["added_tokens"] = [added(name, at) for name, at in ids.items() if "unused" not in name]
    made["post_processor"] = template("[CLS]", "[SEP]", ids)
    made["post_processor"]["pair"] = made["post_processor"]["pair"][:3] + made["post_processor"]["pair"][4:]
    made["decoder"] = {"type": "WordPiece", "prefix": "##", "cleanup": True}
    _write(folder / "tokenizer.json", made)
    pieces = sorted(made["model"]["vocab"], key=made["model"]["vocab"].get)
    (folder / "vocab.txt").write_text("".join(f"{piece}\n" for piece in pieces), "utf-8")
    names = {f"{name.strip('[]').lower()}_token": name for name in special if "unused" not in name}
    _write(folder / "special_tokens_map.json", names)
    _write(folder / "tokenizer_config.json", names | {
        "tokenizer_class": "BertTokenizer", "do_lower_case": lower_case, "strip_accents": None,
        "tokenize_chinese_chars": True, "model_max_length": 64,
    })  # fmt: skip
    return len(pieces)


def byte_level_tokenizer(folder: Path) -> int:
    """ModernBERT's tokenizer files: byte-level BPE; how many ids it has."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    special = ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        SENTENCES, trainers.BpeTrainer(vocab_size=500, special_tokens=special, initial_alphabet=alphabet)
    )
    made = json.loads(tokenizer.to_str())
    ids = {name: at for at, name in enumerate(special)}
    size = len(made["model"]["vocab"])
    spaces = [added("  ", size, normalized=True, special=False), added("   ", size + 1, normalized=True, special=False)]
    made["added_tokens"] = [added(name, at, lstrip=name == "[MASK]") for name, at in ids.items()] + spaces
    made["post_processor"] = template("[CLS]", "[SEP]", ids)
    _write(folder / "tokenizer.json", made)
    names = {f"{name.strip('[]').lower()}_token": name for name in special}
    _write(folder / "special_tokens_map.json", names)
    kept = {
        str(token["id"]): {key: value for key, value in token.items() if key != "id"} for token in made["added_tokens"]
    }
    _write(folder / "tokenizer_config.json", names | {
        "tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 64, "added_tokens_decoder": kept,
        "model_input_names": ["input_ids", "attention_mask"],
    })  # fmt: skip
    return size + 2


SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48}


def bert_config(size: int, **more: Any) -> Any:
    from transformers import BertConfig

    return BertConfig(vocab_size=size, max_position_embeddings=64, pad_token_id=0, **SMALL, **more)


def xlm_r_config(size: int, **more: Any) -> Any:
    from transformers import XLMRobertaConfig

    return XLMRobertaConfig(vocab_size=size, max_position_embeddings=66, type_vocab_size=1, layer_norm_eps=1e-5,
                            pad_token_id=1, bos_token_id=0, eos_token_id=2, **SMALL, **more)  # fmt: skip


def modern_bert_config(size: int, **more: Any) -> Any:
    from transformers import ModernBertConfig

    wanted = {"local_attention": 8, "global_attn_every_n_layers": 2, "pad_token_id": 3, "cls_token_id": 1,
              "bos_token_id": 1, "sep_token_id": 2, "eos_token_id": 2}  # fmt: skip
    return ModernBertConfig(vocab_size=size, max_position_embeddings=64, **SMALL, **(wanted | more))


def t5_config(size: int, **more: Any) -> Any:
    from transformers import T5Config

    return T5Config(vocab_size=size, d_model=32, d_kv=16, d_ff=48, num_layers=2, num_heads=2, **more)


def transformer(folder: Path, tokenizer: Callable[[Path], int], config: Callable[..., Any], dtype: str = "float32",
                **more: Any) -> Path:  # fmt: skip
    """A transformers folder of random weights; the tokenizer's files are those of `tokenizer`."""
    import torch
    from transformers import AutoModel, T5Config, T5EncoderModel

    folder.mkdir(parents=True)
    torch.manual_seed(0)
    settings = config(tokenizer(folder), **more)
    model = T5EncoderModel(settings) if isinstance(settings, T5Config) else AutoModel.from_config(settings)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    model.to(getattr(torch, dtype)).save_pretrained(folder)
    return folder


def sentence_model(folder: Path, *, pooling: str = "mean", normalize: bool = True,
                   prompts: dict[str, str] | None = None, lower_case: bool = False) -> Path:  # fmt: skip
    """Make the transformers folder a sentence-transformers one as releases before the fifth wrote it."""
    modules = ["", "1_Pooling", *(["2_Normalize"] if normalize else [])]
    kinds = ["Transformer", "Pooling", "Normalize"]
    _write(folder / "modules.json", [
        {"idx": at, "name": str(at), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for at, (path, kind) in enumerate(zip(modules, kinds, strict=False))
    ])  # fmt: skip
    _write(folder / "sentence_bert_config.json", {"max_seq_length": 64, "do_lower_case": lower_case})
    modes = {"cls": "cls_token", "mean": "mean_tokens", "max": "max_tokens"}
    (folder / "1_Pooling").mkdir()
    _write(folder / "1_Pooling" / "config.json", {"word_embedding_dimension": 32} | {
        f"pooling_mode_{key}": mode == pooling for mode, key in modes.items()
    })  # fmt: skip
    settings = {"__version__": {"sentence_transformers": "2.2.2", "transformers": "4.28.0", "pytorch": "2.0.0"}}
    _write(folder / "config_sentence_transformers.json", settings | ({"prompts": prompts} if prompts else {}))
    return folder


def pylate(folder: Path) -> Path:
    """Make the transformers folder a late-interaction model as PyLate keeps it."""
    import torch
    from safetensors.torch import save_file

    (folder / "1_Dense").mkdir()
    projection = torch.randn(16, 32, generator=torch.Generator().manual_seed(1)) / 5
    save_file({"linear.weight": projection}, folder / "1_Dense" / "model.safetensors")
    _write(folder / "1_Dense" / "config.json", {
        "in_features": 32, "out_features": 16, "bias": False, "activation_function": "torch.nn.modules.linear.Identity",
    })  # fmt: skip
    _write(folder / "modules.json", [
        {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
        {"idx": 1, "name": "1", "path": "1_Dense", "type": "pylate.models.Dense.Dense"},
    ])  # fmt: skip
    _write(folder / "sentence_bert_config.json", {"max_seq_length": 63, "do_lower_case": False})
    _write(folder / "config_sentence_transformers.json", {
        "query_prefix": "[unused0]", "document_prefix": "[unused1]", "query_length": 16, "document_length": 32,
        "do_query_expansion": True, "skiplist_words": [",", "."],
    })  # fmt: skip
    return folder


def stanford(folder: Path) -> Path:
    """A late-interaction model as Stanford's ColBERT keeps it: transformer and projection in one file."""
    import torch
    from safetensors.torch import load_file, save_file

    transformer(folder, bert_tokenizer, bert_config)
    weights = {f"bert.{name}": values for name, values in load_file(folder / "model.safetensors").items()}
    weights["linear.weight"] = torch.randn(16, 32, generator=torch.Generator().manual_seed(1)) / 5
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((folder / "config.json").read_text("utf-8"))
    _write(folder / "config.json", config | {"architectures": ["HF_ColBERT"]})
    _write(folder / "artifact.metadata", {
        "query_token_id": "[unused0]", "doc_token_id": "[unused1]", "query_maxlen": 16, "doc_maxlen": 32,
        "mask_punctuation": True, "attend_to_mask_tokens": False, "dim": 16,
    })  # fmt: skip
    return folder


PROMPTS = {"query": "query: ", "document": "passage: "}


def make(kind: str, folder: Path, dtype: str = "float32") -> Path:
    """A model of one of the KINDS in `folder`."""
    if kind == "e5":
        return sentence_model(transformer(folder, xlm_r_tokenizer, xlm_r_config, dtype), prompts=PROMPTS)
    if kind == "bge-m3":
        folded = functools.partial(xlm_r_tokenizer, written="folded")
        return sentence_model(transformer(folder, folded, xlm_r_config, dtype), pooling="cls")
    if kind == "minilm-multi":
        return sentence_model(transformer(folder, xlm_r_tokenizer, bert_config, dtype), normalize=False)
    if kind == "bert":
        return sentence_model(transformer(folder, bert_tokenizer, bert_config, dtype))
    if kind == "cased-bert-lowered":
        cased = functools.partial(bert_tokenizer, lower_case=False)
        return sentence_model(transformer(folder, cased, bert_config, dtype), lower_case=True)
    if kind == "modernbert":
        return sentence_model(transformer(folder, byte_level_tokenizer, modern_bert_config, dtype), pooling="cls")
    if kind == "t5":
        return sentence_model(transformer(folder, t5_tokenizer, t5_config, dtype))
    if kind == "pylate":
        return pylate(transformer(folder, bert_tokenizer, bert_config, dtype))
    if kind == "plain":
        return transformer(folder, xlm_r_tokenizer, xlm_r_config, dtype)
    return stanford(folder)


SENTENCE_KINDS = ("e5", "bge-m3", "minilm-multi", "bert", "cased-bert-lowered", "modernbert", "plain")
TOKEN_KINDS = ("pylate", "stanford")


def _write(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False), "utf-8")
