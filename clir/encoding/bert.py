"""The forward pass of BERT, RoBERTa and XLM-R models in plain torch, for reading with a trained model.

The transformers library, which trains them, takes longer to import than a search takes; what it gives for
these models is computed here from the same weights, and held against it by tests.
"""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from clir.encoding.weights import read_weights

ROBERTA_LIKE = ("roberta", "xlm-roberta", "camembert")
MODEL_TYPES = ("bert", *ROBERTA_LIKE)
# Settings with which the computation below would not be the model's; absent, they are these.
REQUIRED = {"hidden_act": "gelu", "position_embedding_type": "absolute", "is_decoder": False,
            "add_cross_attention": False}  # fmt: skip


class Output(NamedTuple):
    """The (n, t, d) states of the last layer."""

    last_hidden_state: Tensor


class Bert(nn.Module):
    """Embeddings and layers, without dropout; parameters are named as in the transformers library."""

    def __init__(self, config: SimpleNamespace) -> None:
        super().__init__()
        self.config = config
        self.embeddings = _Embeddings(config)
        self.encoder = nn.ModuleDict({"layer": nn.ModuleList(_Layer(config) for _ in range(config.num_hidden_layers))})

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Output:
        """States of (n, t) token ids; attention_mask (n, t) is 0 for padding."""
        states = self.embeddings(input_ids)
        # Every row of keys has a token that is read: no row of the softmax is empty.
        seen = None if bool(attention_mask.all()) else attention_mask.bool()[:, None, None, :]
        layers: Any = self.encoder["layer"]
        for layer in layers:
            states = layer(states, seen)
        return Output(states)


class _Embeddings(nn.Module):
    def __init__(self, config: SimpleNamespace) -> None:
        super().__init__()
        width = config.hidden_size
        self.word_embeddings = _embedding(config.vocab_size, width)
        self.position_embeddings = _embedding(config.max_position_embeddings, width)
        self.token_type_embeddings = _embedding(config.type_vocab_size, width)
        self.LayerNorm = nn.LayerNorm(width, eps=config.layer_norm_eps)
        self._padding = config.pad_token_id if config.model_type in ROBERTA_LIKE else None

    def forward(self, ids: Tensor) -> Tensor:
        if self._padding is None:
            positions = torch.arange(ids.shape[1], device=ids.device)[None]
        else:
            # RoBERTa counts what is no padding, from the padding's own id on.
            there = (ids != self._padding).long()
            positions = there.cumsum(1) * there + self._padding
        first_type = self.token_type_embeddings.weight[0]
        states: Tensor = self.LayerNorm(self.word_embeddings(ids) + first_type + self.position_embeddings(positions))
        return states


class _Layer(nn.Module):
    def __init__(self, config: SimpleNamespace) -> None:
        super().__init__()
        width, inner, eps = config.hidden_size, config.intermediate_size, config.layer_norm_eps
        self.heads = config.num_attention_heads
        own = nn.ModuleDict({name: nn.Linear(width, width) for name in ("query", "key", "value")})
        self.attention = nn.ModuleDict({"self": own, "output": _output(width, width, eps)})
        self.intermediate = nn.ModuleDict({"dense": nn.Linear(width, inner)})
        self.output = _output(inner, width, eps)

    def forward(self, states: Tensor, seen: Tensor | None) -> Tensor:
        own: Any = self.attention["self"]
        query, key, value = (self._by_head(own[name](states)) for name in ("query", "key", "value"))
        mixed = nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=seen)
        states = _added(self.attention["output"], mixed.transpose(1, 2).flatten(2), states)
        inner = nn.functional.gelu(self.intermediate["dense"](states))
        return _added(self.output, inner, states)

    def _by_head(self, states: Tensor) -> Tensor:
        return states.view(*states.shape[:2], self.heads, -1).transpose(1, 2)


def _embedding(count: int, width: int) -> nn.Embedding:
    # With a weight given torch draws none: on the device "meta" drawing imports its compiler, for two seconds.
    return nn.Embedding(count, width, _weight=torch.empty(count, width))


def _output(inner: int, width: int, eps: float) -> nn.ModuleDict:
    return nn.ModuleDict({"dense": nn.Linear(inner, width), "LayerNorm": nn.LayerNorm(width, eps=eps)})


def _added(output: Any, inner: Tensor, states: Tensor) -> Tensor:
    normalized: Tensor = output["LayerNorm"](output["dense"](inner) + states)
    return normalized


def load_bert(folder: Path) -> Bert | None:
    """The model in a transformers folder, in float32, or None if it is not one that is computed here.

    That includes one with weights that are missing, of another shape or no floating-point numbers: the library says
    what is wrong with it, or knows them by another name. Raises ClirError if there are no safetensors, or they cannot
    be read.
    """
    config = json.loads((folder / "config.json").read_text("utf-8"))
    if config.get("model_type") not in MODEL_TYPES or any(
        config.get(name, value) != value for name, value in REQUIRED.items()
    ):
        return None
    try:
        with torch.device("meta"):
            model = Bert(SimpleNamespace(**config))
    except (AttributeError, TypeError):
        # A setting that is not written: the library knows its default.
        return None
    weights = _bare(read_weights(folder), "bert." if config["model_type"] == "bert" else "roberta.")
    wanted = model.state_dict()
    if not all(
        name in weights and weights[name].shape == wanted[name].shape and weights[name].is_floating_point()
        for name in wanted
    ):
        return None
    model.load_state_dict({name: weights[name].float() for name in wanted}, assign=True)
    return model.requires_grad_(False)


def _bare(weights: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The weights named as in the bare model: one saved with something on top has its own behind `prefix`."""
    return {name.removeprefix(prefix): values for name, values in weights.items()}
