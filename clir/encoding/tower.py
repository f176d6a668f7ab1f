"""A tower: one side of a model as a torch module, from texts to token states and a sentence vector."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from clir.encoding.folder import TowerSpec
from clir.encoding.quiet import quiet_transformers
from clir.support.errors import ClirError


@dataclasses.dataclass
class Tokens:
    """A padded batch of `n` texts.

    ids, attention: (n, t) int64; content: (n, t) bool, False for padding, prompt and special tokens.
    """

    ids: Tensor
    attention: Tensor
    content: Tensor

    def to(self, device: torch.device | str) -> Tokens:
        """The same batch on `device`."""
        return Tokens(self.ids.to(device), self.attention.to(device), self.content.to(device))


@dataclasses.dataclass
class States:
    """What a tower says of `n` texts: the quantity that distillation compares.

    tokens: (n, t, d), last layer (after the head, if any), not normalised; mask: (n, t) bool, True for
    content tokens; ids: (n, t) int64; sentence: (n, d), pooled, normalised if the model does so.
    """

    tokens: Tensor
    mask: Tensor
    ids: Tensor
    sentence: Tensor


class Tower(nn.Module):
    """A transformer with its tokenizer, pooling, optional linear head on tokens, and normalisation."""

    def __init__(self, spec: TowerSpec, transformer: nn.Module, tokenizer: Any, head: nn.Linear | None) -> None:
        super().__init__()
        self.spec = spec
        self.transformer = transformer
        self.tokenizer = tokenizer
        self.head = head
        config: Any = transformer.config
        self.hidden = int(config.hidden_size)
        self.dimension = head.out_features if head is not None else self.hidden
        self.pad_id = int(config.pad_token_id or 0)

    def tokenize(self, texts: Sequence[str], prompt: str | None = None) -> Tokens:
        """Tokens of `texts` behind `prompt` (the folder's own prompt if None), truncated, padded to the longest."""
        prompt = self.spec.prompt if prompt is None else prompt
        encodings = self.tokenizer.encode_batch([self._prepared(text, prompt) for text in texts])
        length = max((len(encoding.ids) for encoding in encodings), default=1)
        ids = np.full((len(encodings), length), self.pad_id, dtype=np.int64)
        attention = np.zeros((len(encodings), length), dtype=np.int64)
        content = np.zeros((len(encodings), length), dtype=bool)
        for row, encoding in enumerate(encodings):
            count = len(encoding.ids)
            ids[row, :count] = encoding.ids
            attention[row, :count] = 1
            content[row, :count] = _content(encoding, len(prompt))
        return Tokens(torch.from_numpy(ids), torch.from_numpy(attention), torch.from_numpy(content))

    def token_ids(self, texts: Sequence[str], prompt: str | None = None) -> list[list[int]]:
        """The token ids of `texts`, unpadded: the fast way when nothing but the vector is wanted."""
        prompt = self.spec.prompt if prompt is None else prompt
        encodings = self.tokenizer.encode_batch_fast([self._prepared(text, prompt) for text in texts])
        return [encoding.ids for encoding in encodings]

    def pad(self, rows: Sequence[Sequence[int]]) -> Tokens:
        """A batch from unpadded token ids; every token counts as content."""
        length = max(len(row) for row in rows)
        ids = np.full((len(rows), length), self.pad_id, dtype=np.int64)
        attention = np.zeros((len(rows), length), dtype=np.int64)
        for at, row in enumerate(rows):
            ids[at, : len(row)] = row
            attention[at, : len(row)] = 1
        mask = torch.from_numpy(attention)
        return Tokens(torch.from_numpy(ids), mask, mask.bool())

    def forward(self, batch: Tokens) -> States:
        """States of a batch on the tower's device."""
        output = self.transformer(input_ids=batch.ids, attention_mask=batch.attention)
        states = output.last_hidden_state
        if self.head is not None:
            states = self.head(states)
        pooled_over = batch.attention if self.spec.pool_prompt else batch.content.to(batch.attention.dtype)
        sentence = pool(states, pooled_over, self.spec.pooling)
        if self.spec.normalize:
            sentence = nn.functional.normalize(sentence, dim=-1)
        return States(states, batch.content, batch.ids, sentence)

    def _prepared(self, text: str, prompt: str) -> str:
        # A lone surrogate (broken JSON escapes) cannot be tokenised.
        text = (prompt + text).encode("utf-8", "replace").decode("utf-8")
        return text.lower() if self.spec.lower_case else text


def pool(states: Tensor, mask: Tensor, mode: str) -> Tensor:
    """(n, t, d) token states to (n, d) by `mode`: mean, cls, max or lasttoken, over `mask` (n, t)."""
    if mode == "cls":
        return states[:, 0]
    if mode == "lasttoken":
        last = mask.shape[1] - 1 - mask.flip(1).argmax(1)
        return states[torch.arange(len(states), device=states.device), last]
    weights = mask.unsqueeze(-1).to(states.dtype)
    if mode == "max":
        return states.masked_fill(weights == 0, float("-inf")).amax(1)
    return (states * weights).sum(1) / weights.sum(1).clamp(min=1e-9)


def load_tower(spec: TowerSpec, device: str = "cpu") -> Tower:
    """The tower that `spec` describes, in evaluation mode, float32, on `device`.

    Raises ClirError if weights are missing or are not safetensors, or a tokenizer cannot be read.
    """
    quiet_transformers()
    from transformers import AutoModel

    if not any(spec.transformer.glob("*.safetensors")):
        raise ClirError(f"{spec.transformer} has no safetensors weights (pickled weights are not loaded)")
    try:
        transformer = AutoModel.from_pretrained(str(spec.transformer), use_safetensors=True, dtype=torch.float32)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise ClirError(f"cannot load the model in {spec.transformer}: {' '.join(str(error).split())}") from error
    tower = Tower(spec, transformer, _tokenizer(spec), _head(spec.head))
    return tower.to(device).eval()


def _tokenizer(spec: TowerSpec) -> Any:
    """The folder's fast tokenizer, truncating at the spec's `max_tokens`, not padding."""
    from tokenizers import Tokenizer

    path = spec.transformer / "tokenizer.json"
    try:
        if path.exists():
            tokenizer = Tokenizer.from_file(str(path))
        else:
            from transformers import AutoTokenizer

            tokenizer = AutoTokenizer.from_pretrained(str(spec.transformer)).backend_tokenizer
    # The tokenizers library raises bare Exception for a file it cannot parse.
    except Exception as error:
        raise ClirError(f"cannot load the tokenizer in {spec.transformer}: {error}") from error
    tokenizer.no_padding()
    tokenizer.enable_truncation(spec.max_tokens)
    return tokenizer


def _head(folder: Path | None) -> nn.Linear | None:
    if folder is None:
        return None
    from safetensors.torch import load_file

    state = load_file(folder / "model.safetensors")
    weight, bias = state["linear.weight"], state.get("linear.bias")
    head = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None)
    head.load_state_dict({"weight": weight} | ({"bias": bias} if bias is not None else {}))
    return head.float()


def _content(encoding: Any, prompt_length: int) -> NDArray[np.bool_]:
    """Tokens that are neither special nor part of the prompt's characters."""
    ends = np.array([end for _, end in encoding.offsets])
    return (np.array(encoding.special_tokens_mask) == 0) & (ends > prompt_length)
