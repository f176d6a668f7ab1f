"""The teacher's states of English sentences: computed once, kept on disk, read by every loss and seed."""

from __future__ import annotations

import bisect
import dataclasses
import functools
import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from clir.distillation.cost import Shape, forward_flops
from clir.encoding.encoder import TowerEncoder
from clir.encoding.precision import autocast
from clir.encoding.tower import States
from clir.support.files import atomic_folder, cache_root
from clir.support.locks import alone
from clir.support.progress import Progress

SHARD = 1024
OPEN_SHARDS = 100
"""Shards that are mapped at a time: each holds five file descriptors, and a process may be given 1,024."""


@dataclasses.dataclass(frozen=True)
class _Shard:
    """States of up to SHARD texts: content tokens in a row, text i from offsets[i] to offsets[i + 1]."""

    offsets: NDArray[np.int64]
    tokens: NDArray[np.float16]
    ids: NDArray[np.int32]
    sentence: NDArray[np.float32]
    flops: NDArray[np.float64]


class TeacherStates:
    """Memory-mapped teacher states of a list of texts; `batch` gives any of them padded."""

    def __init__(self, shards: Sequence[Path]) -> None:
        self._paths = list(shards)
        self._opened = functools.lru_cache(OPEN_SHARDS)(_read_shard)
        self._starts = [0]
        for shard in self._shards():
            self._starts.append(self._starts[-1] + len(shard.sentence))

    def _shards(self) -> Iterator[_Shard]:
        return map(self._opened, self._paths)

    def __len__(self) -> int:
        return self._starts[-1]

    @property
    def dimension(self) -> int:
        """Width d of the states."""
        return int(self._opened(self._paths[0]).sentence.shape[1])

    @property
    def flops(self) -> float:
        """Floating-point operations that computing the states took."""
        return float(sum(shard.flops.sum() for shard in self._shards()))

    def lengths(self) -> NDArray[np.int64]:
        """Content tokens of each text."""
        return np.concatenate([np.diff(shard.offsets) for shard in self._shards()])

    @property
    def vocabulary(self) -> int:
        """One more than the largest token id."""
        return 1 + max((int(shard.ids.max()) for shard in self._shards() if len(shard.ids)), default=0)

    def token_ids(self) -> Iterator[NDArray[np.int32]]:
        """The content tokens of each text."""
        for shard in self._shards():
            for begin, end in pairwise(shard.offsets):
                yield shard.ids[begin:end]

    def sentences(self, positions: Sequence[int] | NDArray[np.int64]) -> torch.Tensor:
        """(n, d) sentence vectors of the texts at `positions`."""
        rows = [self._row(int(position))[2] for position in positions]
        return torch.from_numpy(np.stack(rows) if rows else np.empty((0, self.dimension), dtype=np.float32))

    def batch(self, positions: Sequence[int]) -> States:
        """The states of the texts at `positions`, padded to the longest of them (at least one token)."""
        rows = [self._row(position) for position in positions]
        length = max(1, *(len(tokens) for tokens, _, _ in rows))
        tokens = np.zeros((len(rows), length, self.dimension), dtype=np.float32)
        mask = np.zeros((len(rows), length), dtype=bool)
        ids = np.zeros((len(rows), length), dtype=np.int64)
        for at, (values, names, _) in enumerate(rows):
            tokens[at, : len(values)] = values
            mask[at, : len(values)] = True
            ids[at, : len(values)] = names
        sentence = np.stack([vector for _, _, vector in rows])
        return States(*(torch.from_numpy(part) for part in (tokens, mask, ids, sentence)))

    def _row(self, position: int) -> tuple[NDArray[np.float16], NDArray[np.int32], NDArray[np.float32]]:
        which = bisect.bisect_right(self._starts, position) - 1
        shard, at = self._opened(self._paths[which]), position - self._starts[which]
        begin, end = shard.offsets[at], shard.offsets[at + 1]
        return shard.tokens[begin:end], shard.ids[begin:end], shard.sentence[at]


def teacher_states(
    teacher: TowerEncoder, texts: Sequence[str], max_tokens: int, root: Path | None = None
) -> TeacherStates:
    """The teacher's query-side states of `texts`, from the cache where they are there already.

    Kept in half precision under a key of teacher, texts and `max_tokens`; a killed run goes on after
    its last whole shard of 1,024 texts. The teacher is loaded only if a shard is missing.
    """
    folder = (root or cache_root() / "teacher-states") / states_key(teacher, texts, max_tokens)
    with Progress("teacher states", len(texts), "sentences") as progress:
        for start in range(0, len(texts), SHARD):
            path = folder / f"{start:08d}"
            if not path.is_dir():
                # Another training may be at the same: its states do as well.
                with alone(path, "computing", wait=True):
                    if not path.is_dir():
                        _write_shard(path, teacher, texts[start : start + SHARD], max_tokens)
            progress.advance(min(SHARD, len(texts) - start))
    return TeacherStates([folder / f"{start:08d}" for start in range(0, len(texts), SHARD)])


def states_key(teacher: TowerEncoder, texts: Sequence[str], max_tokens: int) -> str:
    """What the states depend on, as 24 hexadecimal digits."""
    digest = hashlib.sha256(json.dumps([teacher.fingerprint("query"), max_tokens, SHARD]).encode())
    for text in texts:
        digest.update(json.dumps(text).encode("ascii") + b"\n")
    return digest.hexdigest()[:24]


def _write_shard(path: Path, teacher: TowerEncoder, texts: Sequence[str], max_tokens: int) -> None:
    tower, prompt = teacher.tower("query"), teacher.spec("query").prompt
    rows: list[tuple[NDArray[np.float16], NDArray[np.int32]]] = [None] * len(texts)  # type: ignore[list-item]
    sentence = np.empty((len(texts), tower.dimension), dtype=np.float32)
    lengths = tower.token_ids(texts, prompt)
    shape, flops = Shape.of(tower.transformer.config), 0.0
    with torch.inference_mode(), autocast(teacher.device, teacher.precision):
        for chosen in teacher.batches(lengths):
            batch = tower.tokenize([texts[at] for at in chosen], prompt, max_tokens)
            states = tower(batch.to(teacher.device))
            flops += forward_flops(shape, *batch.ids.shape)
            sentence[chosen] = states.sentence.float().cpu().numpy()
            for row, at in enumerate(chosen):
                content = states.mask[row]
                rows[at] = (
                    states.tokens[row][content].half().cpu().numpy(),
                    states.ids[row][content].int().cpu().numpy(),
                )
    with atomic_folder(path) as partial:
        offsets = np.cumsum([0, *(len(ids) for _, ids in rows)], dtype=np.int64)
        parts = {
            "offsets": offsets,
            "tokens": np.concatenate([tokens for tokens, _ in rows]),
            "ids": np.concatenate([ids for _, ids in rows]),
            "sentence": sentence,
            "flops": np.array([flops]),
        }
        for name, values in parts.items():
            with open(partial / f"{name}.npy", "wb") as handle:
                np.save(handle, values, allow_pickle=False)
                handle.flush()
                os.fsync(handle.fileno())


def _read_shard(path: Path) -> _Shard:
    parts = {
        field.name: np.load(path / f"{field.name}.npy", mmap_mode="r", allow_pickle=False)
        for field in dataclasses.fields(_Shard)
    }
    return _Shard(**parts)
