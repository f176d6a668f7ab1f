"""A tower: one side of a model as a torch module, from texts to token states and a sentence vector."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from clir.encoding.folder import TowerSpec, weight_files
from clir.encoding.quiet import quiet_transformers
from clir.support.errors import ClirError


class TokenRow(NamedTuple):
    """One text's tokens: ids (t,), content (t,), False for prompt and special tokens, and the first pooled position."""

    ids: Sequence[int] | NDArray[np.int32]
    content: bool | NDArray[np.bool_] = True
    pooled_from: int = 0


@dataclasses.dataclass
class Tokens:
    """A padded batch of `n` texts.

    ids, attention: (n, t) int64; content: (n, t) bool, False for padding, prompt and special tokens;
    pooled: (n, t) int64, 1 for tokens that make the sentence vector: all but padding, and but the
    prompt and what precedes it where the model says so.
    """

    ids: Tensor
    attention: Tensor
    content: Tensor
    pooled: Tensor

    def to(self, device: torch.device | str) -> Tokens:
        """The same batch on `device`."""
        return Tokens(*(getattr(self, field.name).to(device) for field in dataclasses.fields(self)))


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
        self.vocabulary = int(config.vocab_size)
        self.pad_id = int(config.pad_token_id or 0)

    def attach_head(self, head: nn.Linear, normalize: bool) -> None:
        """Send token states through `head` from now on, and normalise sentence vectors or not."""
        self.head = head
        self.dimension = head.out_features
        self.spec = dataclasses.replace(self.spec, normalize=normalize)

    def tokenize(self, texts: Sequence[str], prompt: str = "", max_tokens: int | None = None) -> Tokens:
        """A padded batch of `texts` behind `prompt`, cut at `max_tokens` (the model's limit if None)."""
        return self.pad(self.rows(texts, prompt, max_tokens))

    def rows(self, texts: Sequence[str], prompt: str = "", max_tokens: int | None = None) -> list[TokenRow]:
        """The tokens of each text, unpadded, with the content tokens marked."""
        pooled_from = self.pooled_from(prompt)
        return [
            TokenRow(np.array(encoding.ids, dtype=np.int32), _content(encoding, len(prompt)), pooled_from)
            for encoding in self._encodings(texts, prompt, max_tokens)
        ]

    def token_ids(self, texts: Sequence[str], prompt: str = "") -> list[list[int]]:
        """The token ids of `texts` behind `prompt`, unpadded: the fast way when only the vector is wanted."""
        encodings = self.tokenizer.encode_batch_fast([self._prepared(text, prompt) for text in texts])
        return [encoding.ids for encoding in encodings]

    def pooled_from(self, prompt: str) -> int:
        """How many leading tokens the sentence vector leaves out: none, or those of `prompt` tokenised alone.

        The rule is sentence-transformers' own for `include_prompt: false`.
        """
        if self.spec.pool_prompt or not prompt:
            return 0
        (encoding,) = self._encodings([""], prompt, None)
        return len(encoding.ids) - int(bool(encoding.special_tokens_mask[-1]))

    def pad(self, rows: Sequence[TokenRow]) -> Tokens:
        """Unpadded rows as one batch, padded to the longest."""
        length = max((len(row.ids) for row in rows), default=1)
        ids = np.full((len(rows), length), self.pad_id, dtype=np.int64)
        attention = np.zeros((len(rows), length), dtype=np.int64)
        content = np.zeros((len(rows), length), dtype=bool)
        pooled = np.zeros((len(rows), length), dtype=np.int64)
        for at, row in enumerate(rows):
            count = len(row.ids)
            ids[at, :count] = row.ids
            attention[at, :count] = 1
            content[at, :count] = row.content
            pooled[at, row.pooled_from : count] = 1
        return Tokens(*(torch.from_numpy(part) for part in (ids, attention, content, pooled)))

    def forward(self, batch: Tokens) -> States:
        """States of a batch on the tower's device."""
        output = self.transformer(input_ids=batch.ids, attention_mask=batch.attention)
        states = output.last_hidden_state
        if self.head is not None:
            states = self.head(states)
        sentence = pool(states, batch.pooled, self.spec.pooling)
        if self.spec.normalize:
            sentence = nn.functional.normalize(sentence, dim=-1)
        return States(states, batch.content, batch.ids, sentence)

    def spans(self, texts: Sequence[str], prompt: str = "", max_tokens: int | None = None) -> list[NDArray[np.int64]]:
        """For each text the (m, 2) begin and end of its content tokens, in characters of the bare text."""
        found = []
        for encoding in self._encodings(texts, prompt, max_tokens):
            spans = np.array(encoding.offsets, dtype=np.int64)[_content(encoding, len(prompt))]
            found.append(np.clip(spans - len(prompt), 0, None))
        return found

    def _encodings(self, texts: Sequence[str], prompt: str, max_tokens: int | None) -> list[Any]:
        if max_tokens is not None:
            self.tokenizer.enable_truncation(min(max_tokens, self.spec.max_tokens))
        encodings: list[Any] = self.tokenizer.encode_batch([self._prepared(text, prompt) for text in texts])
        self.tokenizer.enable_truncation(self.spec.max_tokens)
        return encodings

    def _prepared(self, text: str, prompt: str) -> str:
        # A lone surrogate (broken JSON escapes) cannot be tokenised.
        text = (prompt + text).encode("utf-8", "replace").decode("utf-8")
        return text.lower() if self.spec.lower_case else text


def pool(states: Tensor, mask: Tensor, mode: str) -> Tensor:
    """(n, t, d) token states to (n, d) by `mode`: mean, cls, max or lasttoken, over `mask` (n, t)."""
    each = torch.arange(len(states), device=states.device)
    if mode == "cls":
        return states[each, mask.argmax(1)]
    if mode == "lasttoken":
        return states[each, mask.shape[1] - 1 - mask.flip(1).argmax(1)]
    weights = mask.unsqueeze(-1).to(states.dtype)
    if mode == "max":
        return states.masked_fill(weights == 0, float("-inf")).amax(1)
    return (states * weights).sum(1) / weights.sum(1).clamp(min=1e-9)


def load_tower(spec: TowerSpec, device: str = "cpu", *, to_read: bool = False) -> Tower:
    """The tower that `spec` describes, in evaluation mode, float32, on `device`.

    Its transformer is the transformers library's, to be trained and saved; with `to_read`, where `bert` can
    compute it, one that gives the same states and spares the library's import. Raises ClirError if weights
    are missing or are not safetensors, or a tokenizer cannot be read.
    """
    from safetensors import SafetensorError

    from clir.encoding.bert import load_bert

    weight_files(spec.transformer)
    try:
        transformer = (load_bert(spec.transformer) if to_read else None) or _transformer(spec)
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise ClirError(f"cannot load the model in {spec.transformer}: {' '.join(str(error).split())}") from error
    tower = Tower(spec, transformer, _tokenizer(spec), _head(spec.head))
    return tower.to(device).eval()


def _transformer(spec: TowerSpec) -> Any:
    quiet_transformers()
    from transformers import AutoModel

    return AutoModel.from_pretrained(str(spec.transformer), use_safetensors=True, dtype=torch.float32)


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
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    (path,) = weight_files(folder)
    try:
        state = load_file(path)
    except SafetensorError as error:
        raise ClirError(f"cannot load the head in {folder}: {error}") from error
    weight, bias = state["linear.weight"], state.get("linear.bias")
    head = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None)
    head.load_state_dict({"weight": weight} | ({"bias": bias} if bias is not None else {}))
    return head.float()


def _content(encoding: Any, prompt_length: int) -> NDArray[np.bool_]:
    """Tokens that are neither special nor part of the prompt's characters."""
    ends = np.array([end for _, end in encoding.offsets])
    return (np.array(encoding.special_tokens_mask) == 0) & (ends > prompt_length)
