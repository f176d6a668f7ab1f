"""Encoders: a model, named by folder, hub id or class, that gives vectors for queries and documents."""

from __future__ import annotations

import dataclasses
import functools
import importlib
import re
from collections.abc import Iterator, Sequence, Sized
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from clir.encoding.batches import batches_by_length, tokens_together
from clir.encoding.folder import SIDES, Side, TowerSpec, UnsupportedModel, read_folder, width
from clir.encoding.library_encoder import SentenceTransformerEncoder
from clir.encoding.notes import folder_notes, say_once
from clir.encoding.precision import Precision, autocast
from clir.encoding.token_strings import TokenString
from clir.encoding.token_vectors import TokenVectors
from clir.support.errors import ClirError, UsageError, unknown

if TYPE_CHECKING:
    from clir.encoding.tower import Tower

Vectors = NDArray[np.float32]
Reader = Literal["teacher", "student"]
READERS: tuple[Reader, Reader] = ("teacher", "student")
# Tokens of a text that token search reads, prompt and special tokens included; a model trained for it says so itself.
QUERY_TOKENS, DOCUMENT_TOKENS = 96, 192
HUB_ID = re.compile(r"^[\w.-]+/[\w.-]+$")
CLASS_NAME = re.compile(r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")
TOKEN_PARTS = ("encode_query_tokens", "encode_document_tokens", "token_limit")
# What a model on the hub may consist of: no code, no pickles.
HUB_PATTERNS = [
    "*.json", "*.safetensors", "*.txt", "*.model", "*.jinja", "artifact.metadata", "**/*.json", "**/*.safetensors",
]  # fmt: skip


class Encoder(Protocol):
    """What searching and indexing need of a model."""

    name: str

    @property
    def dimension(self) -> int:
        """Width d of the vectors."""

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """(n, d) float32 vectors of queries."""

    def encode_documents(self, texts: Sequence[str]) -> Vectors:
        """(n, d) float32 vectors of documents."""

    def fingerprint(self, side: Side) -> str:
        """A short digest of everything that decides the vectors of `side`."""


class TokenEncoder(Encoder, Protocol):
    """An encoder that gives token vectors too: what late interaction needs of a model.

    One that can say what the tokens are has `query_token_strings` and `document_token_strings` besides.
    """

    def encode_query_tokens(self, texts: Sequence[str]) -> TokenVectors:
        """Vectors of width d for the content tokens of queries: no prompt, no special tokens, no padding."""

    def encode_document_tokens(self, texts: Sequence[str]) -> TokenVectors:
        """Vectors of width d for the content tokens of documents."""

    def token_limit(self, side: Side) -> int:
        """How many tokens of a text are read, the model's own included (prompt, special tokens)."""


@dataclasses.dataclass
class TowerEncoder:
    """The encoder of a sentence-transformers or transformers folder; each tower is loaded when first used.

    batch_size: texts a forward pass (None: as many as `batches.tokens_together` says); precision: bf16 autocast
    or fp32 (`auto`: bf16 where the processor or GPU computes in it); query_tokens, document_tokens: how much of a
    text gives token vectors (None: what a model trained for late interaction says, otherwise QUERY_TOKENS and
    DOCUMENT_TOKENS);
    documents_by: `student` has the query side's weights read the documents too, behind the documents' prompt:
    for documents in the languages that a student has learned.
    """

    name: str
    folder: Path
    batch_size: int | None = None
    device: str = "cpu"
    precision: Precision = "fp32"
    query_tokens: int | None = None
    document_tokens: int | None = None
    documents_by: Reader = "teacher"
    _towers: dict[TowerSpec, Tower] = dataclasses.field(default_factory=dict, repr=False)

    @property
    def dimension(self) -> int:
        """Width d of the vectors."""
        return width(self.spec("query"))

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know of a folder that leaves its pooling or prompts unsaid."""
        return folder_notes(self.name, self.folder)

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """(n, d) float32 vectors of queries, behind the model's query prompt.

        Raises UsageError for a model trained for late interaction, which has no such vectors.
        """
        return self._encode(texts, "query")

    def encode_documents(self, texts: Sequence[str]) -> Vectors:
        """(n, d) float32 vectors of documents, behind the model's document prompt; errors as `encode_queries`."""
        return self._encode(texts, "document")

    def encode_query_tokens(self, texts: Sequence[str]) -> TokenVectors:
        """The states of the content tokens of queries, behind the model's query prompt, of unit length."""
        return self._encode_tokens(texts, "query")

    def encode_document_tokens(self, texts: Sequence[str]) -> TokenVectors:
        """The states of the content tokens of documents, behind the model's document prompt, of unit length."""
        return self._encode_tokens(texts, "document")

    def query_token_strings(self, texts: Sequence[str]) -> list[list[TokenString]]:
        """What the vectors of `encode_query_tokens` stand for, one to one."""
        return self._token_strings(texts, "query")

    def document_token_strings(self, texts: Sequence[str]) -> list[list[TokenString]]:
        """What the vectors of `encode_document_tokens` stand for, one to one."""
        return self._token_strings(texts, "document")

    def token_limit(self, side: Side) -> int:
        """Tokens of a text that give token vectors, prompt and special tokens counted: at most the model's own."""
        spec, wanted = self.spec(side), self.query_tokens if side == "query" else self.document_tokens
        if wanted is None:
            own = spec.reading is not None and spec.reading.max_tokens
            wanted = spec.max_tokens if own else QUERY_TOKENS if side == "query" else DOCUMENT_TOKENS
        return min(wanted, spec.max_tokens)

    def fingerprint(self, side: Side) -> str:
        """Digest of the side's weights, tokenizer, pooling, head, prompt and length limit."""
        from clir.encoding.fingerprint import fingerprint

        return fingerprint(self.spec(side))

    def spec(self, side: Side) -> TowerSpec:
        """What the folder says of `side`."""
        spec = read_folder(self.folder, side)
        if side == "document" and self.documents_by == "student":
            return _by_weights_of(read_folder(self.folder, "query"), spec)
        return spec

    def tower(self, side: Side) -> Tower:
        """The tower of `side`; sides that share weights share the loaded transformer."""
        from clir.encoding.tower import load_tower

        spec = dataclasses.replace(self.spec(side), prompt="")
        if spec not in self._towers:
            alike = (tower for known, tower in self._towers.items() if _weights(known) == _weights(spec))
            shared = next(alike, None)
            loaded = load_tower(spec, self.device, to_read=True) if shared is None else shared.read_as(spec)
            self._towers[spec] = loaded
        return self._towers[spec]

    def check(self) -> None:
        """Raise ClirError if a tower cannot be loaded: weights that are missing, or of other shapes; no tokenizer.

        Before long work, where the towers themselves are needed only later.
        """
        from clir.encoding.fingerprint import fingerprint

        for side in SIDES:
            spec = dataclasses.replace(self.spec(side), prompt="")
            _check_loading(spec, fingerprint(spec))

    def with_query_tower(self, tower: Tower) -> TowerEncoder:
        """The same, with `tower` (a student in training) reading the queries as this model's tower would."""
        spec = dataclasses.replace(self.spec("query"), prompt="")
        return dataclasses.replace(self, device=str(next(tower.parameters()).device), _towers={spec: tower})

    def reading_documents_by(self, reader: Reader) -> TowerEncoder:
        """The same, with documents read by the `reader`."""
        return dataclasses.replace(self, documents_by=reader)

    def _encode(self, texts: Sequence[str], side: Side) -> Vectors:
        import torch

        from clir.encoding.tower import TokenRow

        if self.spec(side).reading is not None:
            raise UsageError(
                f"{self.name} has no vector for a whole text: it was trained for late interaction "
                "(clir.encode --tokens, clir.search --method late)"
            )
        tower, prompt = self.tower(side), self.spec(side).prompt
        rows, pooled_from = tower.token_ids(texts, prompt), tower.pooled_from(prompt)
        vectors = np.empty((len(rows), width(tower.spec)), dtype=np.float32)
        with torch.inference_mode(), autocast(self.device, self.precision):
            for chosen in self.batches(rows):
                batch = tower.pad([TokenRow(rows[at], pooled_from=pooled_from) for at in chosen])
                vectors[chosen] = tower(batch.to(self.device)).sentence.float().cpu().numpy()
        return vectors

    def _encode_tokens(self, texts: Sequence[str], side: Side) -> TokenVectors:
        import torch

        tower, prompt, limit = self._reading_tokens(side)
        unit_length = tower.spec.reading is None or tower.spec.reading.normalize
        rows = tower.rows(texts, prompt, limit)
        vectors = TokenVectors.empty([int(np.count_nonzero(row.content)) for row in rows], tower.dimension)
        with torch.inference_mode(), autocast(self.device, self.precision):
            for chosen in self.batches([row.ids for row in rows]):
                states = tower(tower.pad([rows[at] for at in chosen]).to(self.device))
                tokens = states.tokens.float()
                values = (torch.nn.functional.normalize(tokens, dim=-1) if unit_length else tokens).cpu().numpy()
                mask = states.mask.cpu().numpy()
                for row, at in enumerate(chosen):
                    vectors[at][:] = values[row][mask[row]]
        return vectors

    def batches(self, rows: Sequence[Sized]) -> Iterator[list[int]]:
        """Positions of `rows` (token ids) in batches, as `batch_size` says."""
        if self.batch_size is not None:
            return batches_by_length(rows, texts=self.batch_size)
        return batches_by_length(rows, tokens=tokens_together(self.device))

    def _token_strings(self, texts: Sequence[str], side: Side) -> list[list[TokenString]]:
        tower, prompt, limit = self._reading_tokens(side)
        return tower.token_strings(texts, prompt, limit)

    def _reading_tokens(self, side: Side) -> tuple[Tower, str, int]:
        """Tower, prompt and limit of a side that is read token by token; UsageError if nothing of a text fits."""
        tower, prompt, limit = self.tower(side), self.spec(side).prompt, self.token_limit(side)
        own = tower.own_tokens(prompt)
        if limit <= own:
            raise UsageError(
                f"{limit} tokens for a {side} are too few: {self.name} adds {own} of its own (prompt, special tokens)"
            )
        return tower, prompt, limit


def load_encoder(
    name: str,
    *,
    batch_size: int | None = None,
    device: str = "cpu",
    precision: Precision = "fp32",
    query_tokens: int | None = None,
    document_tokens: int | None = None,
    documents_by: Reader = "teacher",
) -> Encoder:
    """The encoder named by a folder, a hub id (`org/model`) or `package.module:Class`.

    The options are those of TowerEncoder; a class has none. Raises UsageError if `name` is none of these,
    the folder holds no model, there is no such device, or `documents_by` asks for the student of a model that
    clir does not read tower by tower.
    """
    if documents_by not in READERS:
        raise unknown("reader of documents", documents_by, READERS)
    if CLASS_NAME.match(name) and not Path(name).exists():
        if documents_by == "student":
            raise UsageError(
                f"--documents-by does not apply to {name}: a class of your own decides itself how it encodes documents"
            )
        return _from_class(name)
    folder = model_folder(name)
    check_device(device)
    unsupported = _unsupported(folder)
    if unsupported is not None:
        if documents_by == "student":
            raise UsageError(f"the student in {name} cannot read documents: {unsupported}") from unsupported
        return SentenceTransformerEncoder(name, folder, batch_size, device, precision, because=str(unsupported))
    encoder = TowerEncoder(name, folder, batch_size, device, precision, query_tokens, document_tokens, documents_by)
    for note in encoder.notes:
        say_once(name, note)
    return encoder


def _unsupported(folder: Path) -> UnsupportedModel | None:
    """Why towers do not compute the model in `folder`, if they do not; what is refused on either side is raised."""
    found = None
    for side in SIDES:
        try:
            read_folder(folder, side)
        except UnsupportedModel as error:
            found = found or error
    return found


def token_encoder(encoder: Encoder) -> TokenEncoder:
    """`encoder` as one that gives token vectors; UsageError if it does not."""
    if isinstance(encoder, SentenceTransformerEncoder):
        raise UsageError(
            f"{encoder.name} cannot be used for token vectors: it has modules that clir does not know, whose "
            "token states cannot be "
            f"told from those of prompt and special tokens ({encoder.because})"
        )
    if isinstance(encoder, TowerEncoder) and encoder.spec("query").truncate_dim is not None:
        raise UsageError(
            f"{encoder.name} cuts its vectors to {encoder.dimension} dimensions (truncate_dim), and tokens have no "
            "such cut: take it out of config_sentence_transformers.json to search by tokens"
        )
    missing = [part for part in TOKEN_PARTS if not hasattr(encoder, part)]
    if missing:
        raise UsageError(f"{encoder.name} gives no token vectors: its class lacks {', '.join(missing)}")
    return encoder  # type: ignore[return-value]


def model_folder(name: str) -> Path:
    """The folder of a model: `name` itself, or the hub's snapshot of it (safetensors and JSON only)."""
    folder = Path(name)
    if folder.is_dir():
        return folder
    if folder.exists() or not HUB_ID.match(name):
        raise UsageError(
            f"no model {name!r}: it is neither a folder, nor a hub id (org/model), nor package.module:Class"
        )
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, allow_patterns=HUB_PATTERNS))
    # The hub's errors share no base class but Exception's (OSError, ValueError, its own).
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise UsageError(
            f"no model folder {name}, and it could not be downloaded from the model hub: {reason}"
        ) from error


def _by_weights_of(query: TowerSpec, document: TowerSpec) -> TowerSpec:
    """The query side's weights reading as documents are read: their prompt and, by tokens, their reading and length."""
    read = dataclasses.replace(query, prompt=document.prompt, reading=document.reading)
    return read if document.reading is None else dataclasses.replace(read, max_tokens=document.max_tokens)


def _weights(spec: TowerSpec) -> tuple[Path, tuple[Path, ...]]:
    return spec.transformer, spec.heads


@functools.cache
def _check_loading(spec: TowerSpec, fingerprint: str) -> None:
    """Load a tower and drop it; once in a process for the weights that `fingerprint` is of."""
    from clir.encoding.tower import load_tower

    load_tower(spec, to_read=True)


def check_device(device: str) -> None:
    """Raise UsageError if torch cannot use `device` here."""
    if device == "cpu":
        return
    import torch

    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise UsageError(f"device {device!r} cannot be used here: {reason}") from error


def _from_class(name: str) -> Encoder:
    module, _, attribute = name.partition(":")
    try:
        make = getattr(importlib.import_module(module), attribute)
    except ImportError as error:
        raise UsageError(f"cannot import the encoder {name}: {error}") from error
    except AttributeError as error:
        raise UsageError(f"module {module} has no class {attribute}") from error
    try:
        made: Encoder = make()
    except ClirError:
        raise
    except Exception as error:
        raise UsageError(f"cannot make the encoder {name}: {type(error).__name__}: {error}") from error
    parts = ("encode_queries", "encode_documents", "fingerprint", "dimension", "name")
    missing = [part for part in parts if not hasattr(made, part)]
    if missing:
        raise UsageError(f"{name} is no encoder: it lacks {', '.join(missing)}")
    return made
