"""Teacher states are what the teacher says, kept on disk, and computed once, also over kills."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from clir.corpora.bitext import Pair
from clir.distillation import teacher as module
from clir.distillation.teacher import TeacherStates, states_key, teacher_states
from clir.encoding import tower as tower_module
from clir.encoding.encoder import TowerEncoder, load_encoder


def encoder(folder: Path, **options: Any) -> TowerEncoder:
    made = load_encoder(str(folder), **options)
    assert isinstance(made, TowerEncoder)
    return made


@pytest.fixture
def texts(pairs: list[Pair]) -> list[str]:
    return [pair.english for pair in pairs[:10]] + ["", "rain and " * 40]


def test_states_are_the_teachers_own_within_half_precision(minilm: Path, texts: list[str], tmp_path: Path) -> None:
    teacher = encoder(minilm, batch_size=4)
    kept = teacher_states(teacher, texts, max_tokens=16, root=tmp_path)
    tower = teacher.tower("query")
    with torch.inference_mode():
        direct = tower(tower.tokenize(texts, max_tokens=16))
    assert (len(kept), kept.dimension) == (12, 384)
    chosen = [11, 3, 10, 3]
    batch = kept.batch(chosen)
    for row, at in enumerate(chosen):
        content = direct.mask[at]
        count = int(content.sum())
        assert batch.mask[row].tolist() == [True] * count + [False] * (batch.mask.shape[1] - count)
        assert batch.ids[row, :count].tolist() == direct.ids[at][content].tolist()
        torch.testing.assert_close(batch.tokens[row, :count], direct.tokens[at][content], atol=2e-3, rtol=2e-3)
        assert batch.tokens[row, count:].abs().sum() == 0
    torch.testing.assert_close(batch.sentence, direct.sentence[chosen], atol=1e-5, rtol=0)
    assert kept.lengths().tolist() == direct.mask.sum(1).tolist()
    assert (kept.lengths()[10], kept.lengths()[11]) == (0, 14)
    assert batch.tokens.dtype == batch.sentence.dtype == torch.float32
    assert kept.flops > 0


def test_a_batch_without_any_content_has_one_masked_position(minilm: Path, tmp_path: Path) -> None:
    batch = teacher_states(encoder(minilm), ["", "well"], 16, root=tmp_path).batch([0, 0])
    assert batch.tokens.shape == (2, 1, 384)
    assert not batch.mask.any()


def test_a_second_call_loads_no_model(minilm: Path, texts: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    first = teacher_states(encoder(minilm), texts, 16)

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("the teacher was loaded again")

    monkeypatch.setattr(tower_module, "load_tower", refuse)
    second = teacher_states(encoder(minilm), texts, 16)
    torch.testing.assert_close(second.batch([1, 2]).tokens, first.batch([1, 2]).tokens)
    with pytest.raises(AssertionError, match="loaded again"):
        teacher_states(encoder(minilm), [*texts, "one more"], 16)


def test_a_killed_computation_goes_on_after_its_last_whole_shard(
    minilm: Path, texts: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SHARD", 5)
    write, written = module._write_shard, []

    def interrupted(path: Path, *rest: Any) -> None:
        if len(written) == 2:
            raise KeyboardInterrupt
        written.append(path.name)
        write(path, *rest)

    monkeypatch.setattr(module, "_write_shard", interrupted)
    with pytest.raises(KeyboardInterrupt):
        teacher_states(encoder(minilm), texts, 16, root=tmp_path)
    written.clear()
    resumed = teacher_states(encoder(minilm), texts, 16, root=tmp_path)
    assert written == ["00000010"]
    monkeypatch.setattr(module, "_write_shard", write)
    whole = teacher_states(encoder(minilm), texts, 16, root=tmp_path / "whole")
    everything = range(len(texts))
    for name in ("tokens", "mask", "ids", "sentence"):
        assert torch.equal(getattr(resumed.batch(everything), name), getattr(whole.batch(everything), name))
    np.testing.assert_array_equal(resumed.lengths(), whole.lengths())


def test_teacher_texts_and_length_decide_the_key(minilm: Path, turned: Path) -> None:
    texts = ["one", "two"]
    keys = {
        states_key(encoder(minilm), texts, 16),
        states_key(encoder(turned), texts, 16),
        states_key(encoder(minilm), texts, 17),
        states_key(encoder(minilm), ["two", "one"], 16),
        states_key(encoder(minilm), ["one\ntwo"], 16),
    }
    assert len(keys) == 5
    assert states_key(encoder(minilm), texts, 16) in keys


def test_few_shards_are_open_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "OPEN_SHARDS", 3)
    paths = [tmp_path / f"{number:08d}" for number in range(12)]
    for number, path in enumerate(paths):
        path.mkdir()
        parts = {
            "offsets": np.array([0, 1, 3]), "tokens": np.full((3, 4), number, np.float16),
            "ids": np.full(3, number, np.int32), "sentence": np.full((2, 4), number, np.float32), "flops": np.ones(1),
        }  # fmt: skip
        for name, values in parts.items():
            np.save(path / f"{name}.npy", values)
    before = len(os.listdir("/proc/self/fd"))
    states = TeacherStates(paths)
    assert len(states) == 24 and states.flops == 12 and states.vocabulary == 12
    batch = states.batch(range(24))
    assert batch.tokens[:, 0, 0].tolist() == [at // 2 for at in range(24)]
    # Those that are open, the one that was closed last, and what the batch still holds.
    assert len(os.listdir("/proc/self/fd")) - before <= 5 * 4
