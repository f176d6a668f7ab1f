"""What the relevance loss compares over: passages for each English side, and a teacher's scores of them.

Computed once and kept, as the teacher's states are.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from clir.corpora.given import given_documents
from clir.distillation.teacher import TeacherStates
from clir.encoding.encoder import TowerEncoder, model_folder
from clir.encoding.fingerprint import fingerprint_of_files
from clir.encoding.folder import is_modular
from clir.encoding.transformer import check_cross_encoder
from clir.indexing.dense import DenseIndex, build_dense_index, open_dense_index
from clir.indexing.documents import documents_fingerprint
from clir.support.errors import UsageError
from clir.support.files import atomic_folder, cache_root
from clir.support.locks import alone
from clir.support.progress import Progress

BATCH = 256
ITSELF = "teacher"


class PassageOptions(BaseModel):
    """Which passages: half of `count` the teacher's nearest to the English side, half drawn at random.

    corpus: English documents, a file or a collection's id. scorer: whose scores are taught, the teacher's
    own (`teacher`, cosines) or a cross-encoder's (folder or hub id; its scores want a teacher_temperature of
    about 1).
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    corpus: str
    count: int = Field(default=16, ge=2)
    scorer: str = ITSELF


@dataclasses.dataclass(frozen=True)
class RelevantPassages:
    """vectors: (P, d) float32 of all passages; chosen: (texts, k) which of them belong to each English side, and
    scores: (texts, k) what the scorer says."""

    vectors: NDArray[np.float32]
    chosen: NDArray[np.int64]
    scores: NDArray[np.float32]

    def batch(self, texts: NDArray[np.int64]) -> tuple[torch.Tensor, torch.Tensor]:
        """(n, k, d) vectors and (n, k) scores for the English sides at `texts`."""
        return torch.from_numpy(self.vectors[self.chosen[texts]]), torch.from_numpy(self.scores[texts])


def relevant_passages(
    options: PassageOptions,
    teacher: TowerEncoder,
    english: Sequence[str],
    states: TeacherStates,
    max_tokens: int,
    root: Path | None = None,
) -> RelevantPassages:
    """The passages of `options` for the distinct `english` sides, whose teacher states are `states`, of texts cut at
    `max_tokens`.

    Raises UsageError if there are fewer passages than `count`.
    """
    given = given_documents(options.corpus)
    scorer = options.scorer if options.scorer == ITSELF else fingerprint_of_files(model_folder(options.scorer))
    told = [teacher.fingerprint("document"), documents_fingerprint(given.read()), options.count, scorer, max_tokens]
    folder = (root or cache_root() / "relevance") / _digest([*told[:2]])
    if not (folder / "meta.json").exists():
        with alone(folder, "encoding into", wait=True):
            if not (folder / "meta.json").exists():
                build_dense_index(given.read, teacher, folder, total=given.total)
    index = open_dense_index(folder)
    if index.documents < options.count:
        raise UsageError(f"{options.corpus} has {index.documents} passages, fewer than the {options.count} asked for")
    vectors = _vectors(index)
    choices = folder.with_name(f"{folder.name}-{_digest([*told, teacher.fingerprint('query'), *english])}")
    if not choices.is_dir():
        chosen, scores = _choose(states, vectors, options.count)
        if options.scorer != ITSELF:
            texts = [document.contents for document in given.read()]
            scores = _cross_encoded(options.scorer, english, texts, chosen)
        with atomic_folder(choices) as partial:
            np.save(partial / "chosen.npy", chosen, allow_pickle=False)
            np.save(partial / "scores.npy", scores, allow_pickle=False)
    parts = (np.load(choices / f"{name}.npy", allow_pickle=False) for name in ("chosen", "scores"))
    return RelevantPassages(vectors, *parts)


def _choose(
    states: TeacherStates, vectors: NDArray[np.float32], count: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """(texts, count) nearest and random passages, none twice, and the teacher's cosines of them."""
    generator = np.random.default_rng(0)
    chosen = np.empty((len(states), count), dtype=np.int64)
    scores = np.empty((len(states), count), dtype=np.float32)
    near = count // 2
    with Progress("passages", len(states), "sentences") as progress:
        for start in range(0, len(states), BATCH):
            block = np.arange(start, min(start + BATCH, len(states)))
            similarity = _unit(states.sentences(block).numpy()) @ vectors.T
            nearest = np.argpartition(-similarity, near - 1, axis=1)[:, :near]
            # What is near must not be drawn again.
            order = generator.random(similarity.shape, dtype=np.float32)
            np.put_along_axis(order, nearest, 2.0, axis=1)
            drawn = np.argpartition(order, count - near - 1, axis=1)[:, : count - near]
            chosen[block] = np.concatenate([nearest, drawn], axis=1)
            scores[block] = np.take_along_axis(similarity, chosen[block], axis=1)
            progress.advance(len(block))
    return chosen, scores


def _cross_encoded(
    scorer: str, english: Sequence[str], passages: Sequence[str], chosen: NDArray[np.int64]
) -> NDArray[np.float32]:
    """(texts, k) a cross-encoder's scores of each English side with its passages."""
    from sentence_transformers import CrossEncoder

    folder = model_folder(scorer)
    if not is_modular(folder):
        check_cross_encoder(folder)
    model = CrossEncoder(
        str(folder), local_files_only=True, trust_remote_code=False, model_kwargs={"use_safetensors": True}
    )
    scores = np.empty(chosen.shape, dtype=np.float32)
    with Progress("relevance", len(english), "sentences") as progress:
        for at, text in enumerate(english):
            scores[at] = model.predict([(text, passages[which]) for which in chosen[at]], show_progress_bar=False)
            progress.advance()
    return scores


def _vectors(index: DenseIndex) -> NDArray[np.float32]:
    import faiss

    flat = faiss.read_index(str(index.path / "index"))
    return _unit(flat.reconstruct_n(0, index.documents))


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    scaled: NDArray[np.float32] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True).clip(min=1e-12)
    return scaled


def _digest(parts: Sequence[Any]) -> str:
    return hashlib.sha256(json.dumps(list(parts)).encode("ascii")).hexdigest()[:24]
