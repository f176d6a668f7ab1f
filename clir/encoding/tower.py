"""A tower: one side of a model as a torch module, from texts to token states and a sentence vector."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from clir.encoding.folder import TowerSpec
from clir.encoding.head import load_head
from clir.encoding.token_strings import TokenString, token_strings
from clir.encoding.tokenizer import cut_at, marker_id, read_tokenizer
from clir.encoding.transformer import load_transformer
from clir.support.errors import ClirError


class TokenRow(NamedTuple):
    """One text's tokens: ids (t,), content (t,), False for prompt and special tokens, the first pooled position,
    and how many at the end other tokens do not see."""

    ids: Sequence[int] | NDArray[np.int32]
    content: bool | NDArray[np.bool_] = True
    pooled_from: int = 0
    unseen: int = 0


class _Read(NamedTuple):
    """One text as the model reads it: ids (t,), content (t,), spans (t, 2) in characters of the bare text, unseen."""

    ids: NDArray[np.int32]
    content: NDArray[np.bool_]
    spans: NDArray[np.int64]
    unseen: int = 0


@dataclasses.dataclass
class Tokens:
    """A padded batch of `n` texts.

    ids, attention: (n, t) int64; content: (n, t) bool, False for padding, prompt and special tokens (a model
    trained for late interaction says itself which tokens count); pooled: (n, t) int64, 1 for tokens that make
    the sentence vector: all but padding, and but the prompt and what precedes it where the model says so.
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
        reading = spec.reading
        self._prefix_id = marker_id(tokenizer, reading.prefix) if reading else None
        self._filler_id = tokenizer.token_to_id(reading.filler) if reading and reading.filled_to else None
        skipped = [tokenizer.token_to_id(word) for word in reading.skipped] if reading else []
        self._skipped_ids = np.array([at for at in skipped if at is not None], dtype=np.int32)

    def read_as(self, spec: TowerSpec) -> Tower:
        """The same weights as another side of the same model."""
        return Tower(spec, self.transformer, _tokenizer(spec), self.head).train(self.training)

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
            TokenRow(read.ids, read.content, pooled_from, read.unseen) for read in self._read(texts, prompt, max_tokens)
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
        encoding = self.tokenizer.encode(self._prepared("", prompt))
        return len(encoding.ids) - int(bool(encoding.special_tokens_mask[-1]))

    def own_tokens(self, prompt: str) -> int:
        """How many tokens the model itself reads with any text: prompt and special tokens, without filling."""
        inserted = int(self._prefix_id is not None)
        return inserted + len(self.tokenizer.encode(self._prepared("", self._leading(prompt))).ids)

    def pad(self, rows: Sequence[TokenRow]) -> Tokens:
        """Unpadded rows as one batch, padded to the longest; ClirError for a token that the model has no vector of."""
        length = max((len(row.ids) for row in rows), default=1)
        ids = np.full((len(rows), length), self.pad_id, dtype=np.int64)
        attention = np.zeros((len(rows), length), dtype=np.int64)
        content = np.zeros((len(rows), length), dtype=bool)
        pooled = np.zeros((len(rows), length), dtype=np.int64)
        for at, row in enumerate(rows):
            count = len(row.ids)
            ids[at, :count] = row.ids
            attention[at, : count - row.unseen] = 1
            content[at, :count] = row.content
            pooled[at, row.pooled_from : count] = 1
        if ids.size and ids.max() >= self.vocabulary:
            raise ClirError(
                f"{self.spec.transformer}: its tokenizer gives token {ids.max()}, its model has {self.vocabulary} word "
                "vectors: the two do not belong together"
            )
        return Tokens(*(torch.from_numpy(part) for part in (ids, attention, content, pooled)))

    def forward(self, batch: Tokens) -> States:
        """States of a batch on the tower's device."""
        output = self.transformer(input_ids=batch.ids, attention_mask=batch.attention)
        states = output.last_hidden_state
        if self.head is not None:
            states = self.head(states)
        sentence = pool(states, batch.pooled, self.spec.pooling)[:, : self.spec.truncate_dim]
        if self.spec.normalize:
            sentence = nn.functional.normalize(sentence, dim=-1)
        return States(states, batch.content, batch.ids, sentence)

    def spans(self, texts: Sequence[str], prompt: str = "", max_tokens: int | None = None) -> list[NDArray[np.int64]]:
        """For each text the (m, 2) begin and end of its content tokens, in characters of the bare text."""
        return [read.spans[read.content] for read in self._read(texts, prompt, max_tokens)]

    def token_strings(
        self, texts: Sequence[str], prompt: str = "", max_tokens: int | None = None
    ) -> list[list[TokenString]]:
        """For each text its content tokens as a person reads them."""
        return [
            token_strings(_storable(text), read.spans[read.content], list(map(self._name, read.ids[read.content])))
            for text, read in zip(texts, self._read(texts, prompt, max_tokens), strict=True)
        ]

    def _name(self, at: int) -> str:
        """What a token of the model's own is called."""
        own = self.spec.reading
        return (own.prefix if own and at == self._prefix_id else self.tokenizer.id_to_token(int(at))).strip()

    def _read(self, texts: Sequence[str], prompt: str, max_tokens: int | None) -> list[_Read]:
        """The texts as rows of tokens, cut at `max_tokens`."""
        limit = self.spec.max_tokens if max_tokens is None else min(max_tokens, self.spec.max_tokens)
        reading, leading, inserted = self.spec.reading, self._leading(prompt), int(self._prefix_id is not None)
        cut_at(self.tokenizer, max(1, limit - inserted))
        encodings: list[Any] = self.tokenizer.encode_batch([self._prepared(text, leading) for text in texts])
        cut_at(self.tokenizer, self.spec.max_tokens)
        if reading is None:
            return [_plain(encoding, len(leading)) for encoding in encodings]
        filled_to = min(reading.filled_to, limit)
        return [self._every_token(encoding, len(leading), filled_to, reading.attended) for encoding in encodings]

    def _every_token(self, encoding: Any, prompt_length: int, filled_to: int, attended: bool) -> _Read:
        """A text as a model trained for late interaction reads it: with its marker, filled up, all tokens counting."""
        ids, content, spans, _ = _plain(encoding, prompt_length)
        spans[~content] = 0
        if self._prefix_id is not None:
            ids, spans = np.insert(ids, 1, self._prefix_id), np.insert(spans, 1, 0, axis=0)
        missing = max(0, filled_to - len(ids))
        counts = np.concatenate([~np.isin(ids, self._skipped_ids), np.ones(missing, dtype=bool)])
        filler = np.full(missing, self._filler_id or 0, dtype=np.int32)
        spans = np.concatenate([spans, np.zeros((missing, 2), dtype=np.int64)])
        return _Read(np.concatenate([ids, filler]), counts, spans, 0 if attended else missing)

    def _leading(self, prompt: str) -> str:
        """What stands before a text: the prompt, behind a marker that the tokenizer has no token for."""
        reading = self.spec.reading
        return reading.prefix + prompt if reading and self._prefix_id is None else prompt

    def _prepared(self, text: str, prompt: str) -> str:
        return _storable(prompt + text)


def _storable(text: str) -> str:
    # A lone surrogate (broken JSON escapes) cannot be tokenised.
    return text.encode("utf-8", "replace").decode("utf-8")


def _plain(encoding: Any, prompt_length: int) -> _Read:
    """A tokenizer's encoding; content are the tokens that are neither special nor part of the prompt's characters."""
    offsets = np.array(encoding.offsets, dtype=np.int64).reshape(-1, 2)
    content = (np.array(encoding.special_tokens_mask) == 0) & (offsets[:, 1] > prompt_length)
    return _Read(np.array(encoding.ids, dtype=np.int32), content, np.clip(offsets - prompt_length, 0, None))


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
    from clir.encoding.bert import load_bert

    transformer: Any = (load_bert(spec.transformer) if to_read else None) or load_transformer(spec.transformer)
    if not hasattr(transformer.config, "vocab_size"):
        raise ClirError(f"{spec.transformer}: a transformer without a vocabulary of tokens is not supported")
    head = load_head(spec.heads, int(transformer.config.hidden_size))
    return Tower(spec, transformer, _tokenizer(spec), head).to(device).eval()


def _tokenizer(spec: TowerSpec) -> Any:
    """The folder's tokenizer, truncating at the spec's `max_tokens`, not padding."""
    tokenizer = read_tokenizer(spec.transformer, spec.lower_case)
    cut_at(tokenizer, spec.max_tokens)
    return tokenizer
