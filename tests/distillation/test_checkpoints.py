"""A damaged checkpoint is passed over for an older whole one, or for a new start, and the student is the same."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from clir.corpora.bitext import Pair
from clir.distillation import trainer
from clir.distillation.recipe import Recipe
from clir.distillation.trainer import distil
from clir.distillation.validation import EarlyStopping
from clir.support.errors import UsageError
from clir.support.files import sha256_of_file

pytestmark = pytest.mark.slow
WEIGHTS = Path("query_0_Transformer", "model.safetensors")


def recipe(minilm: Path, **options: Any) -> Recipe:
    # With dropout, so that the state of the random numbers matters too.
    given: dict[str, Any] = {
        "teacher": str(minilm), "steps": 6, "batch_size": 4, "learning_rate": 1e-3, "freeze_layers": 5,
        "precision": "fp32", "max_tokens": 24, "dropout": True,
    }  # fmt: skip
    return Recipe(**(given | options))


def interrupted(settings: Recipe, pairs: list[Pair], output: Path, **more: Any) -> Path:
    """Train up to where the student would be saved; the folder of the checkpoints."""

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(trainer, "save_student", interrupt)
        distil(settings, pairs, output, checkpoint_steps=2, **more)
    (work,) = output.with_name(f".{output.name}.training").iterdir()
    return work


@pytest.fixture(scope="module")
def halted(minilm: Path, pairs: list[Pair], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoints of a run that was interrupted at its end: after steps 4 and 6."""
    work = interrupted(recipe(minilm), pairs, tmp_path_factory.mktemp("halted") / "student")
    assert sorted(path.name for path in work.iterdir()) == ["checkpoint-4", "checkpoint-6"]
    return work


@pytest.fixture(scope="module")
def whole(minilm: Path, pairs: list[Pair], tmp_path_factory: pytest.TempPathFactory) -> str:
    """The digest of the weights of an unbroken run."""
    return sha256_of_file(distil(recipe(minilm), pairs, tmp_path_factory.mktemp("whole") / "student") / WEIGHTS)


def copy_of(work: Path, output: Path) -> Path:
    """The unfinished run `work` as one of `output`."""
    copied = output.with_name(f".{output.name}.training") / work.name
    shutil.copytree(work, copied)
    return copied


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


DAMAGES: dict[str, tuple[str, Callable[[Path], None], str]] = {
    "a truncated optimiser": ("optimizer.pt", cut, "its optimizer.pt has "),
    "no scheduler": ("scheduler.pt", Path.unlink, "its scheduler.pt is missing"),
    "no optimiser": ("optimizer.pt", Path.unlink, "its optimizer.pt is missing"),
    "no random numbers": ("rng_state.pth", Path.unlink, "its rng_state.pth is missing"),
    "a flipped bit in the weights": ("model.safetensors", flip, "the bytes of its model.safetensors have changed"),
    "a flipped bit in the optimiser": ("optimizer.pt", flip, "the bytes of its optimizer.pt have changed"),
    "half of the checksums": ("sums.json", cut, "its sums.json is damaged"),
    "no checksums": ("sums.json", Path.unlink, "it has no sums.json"),
    "no state": ("trainer_state.json", Path.unlink, "its trainer_state.json is missing"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_newest_checkpoint_is_passed_over_for_the_one_before(
    damage: str, halted: Path, whole: str, minilm: Path, pairs: list[Pair], tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    work = copy_of(halted, tmp_path / "student")
    name, spoil, fault = DAMAGES[damage]
    spoil(work / "checkpoint-6" / name)
    output = distil(recipe(minilm), pairs, tmp_path / "student", checkpoint_steps=2)
    said = capfd.readouterr().err
    assert f"{work / 'checkpoint-6'} is passed over: {fault}" in said
    assert "going on after step 4 of an earlier run" in said
    assert sha256_of_file(output / WEIGHTS) == whole
    assert [path.name for path in tmp_path.iterdir()] == ["student"]


def test_without_a_whole_checkpoint_training_starts_anew_and_says_so(
    halted: Path, whole: str, minilm: Path, pairs: list[Pair], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    work = copy_of(halted, tmp_path / "student")
    cut(work / "checkpoint-4" / "optimizer.pt")
    flip(work / "checkpoint-6" / "model.safetensors")
    (work / ".unfinished" / "checkpoint-8").mkdir(parents=True)
    output = distil(recipe(minilm), pairs, tmp_path / "student", checkpoint_steps=2)
    said = capfd.readouterr().err
    assert "checkpoint-4 is passed over" in said and "checkpoint-6 is passed over" in said
    assert "no checkpoint of the unfinished run is whole: training starts anew" in said and "going on" not in said
    assert sha256_of_file(output / WEIGHTS) == whole


def test_a_whole_checkpoint_is_used_without_a_word_of_faults(
    halted: Path, whole: str, minilm: Path, pairs: list[Pair], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    copy_of(halted, tmp_path / "student")
    output = distil(recipe(minilm), pairs, tmp_path / "student", checkpoint_steps=2)
    said = capfd.readouterr().err
    assert "going on after step 6 of an earlier run" in said and "passed over" not in said
    assert sha256_of_file(output / WEIGHTS) == whole


@pytest.mark.parametrize("damaged", [None, "checkpoint-2", "checkpoint-6"])
def test_the_best_checkpoint_of_early_stopping_is_checked_and_found_from_any_folder(
    damaged: str | None, minilm: Path, pairs: list[Pair], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    # Best after step 2; stopped after step 6, where the run is broken off.
    settings = recipe(minilm, steps=10, early_stopping=EarlyStopping(by="demo/sw", every=2, patience=2))
    scores = {"unbroken": iter([0.5, 0.4, 0.3]), "broken": iter([0.5, 0.4, 0.3])}
    kept = distil(settings, pairs, tmp_path / "whole", validate=lambda _: next(scores["unbroken"])) / WEIGHTS
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "here")
    output = Path("../student")
    work = interrupted(settings, pairs, output, validate=lambda _: next(scores["broken"]))
    assert sorted(path.name for path in work.iterdir()) == ["checkpoint-2", "checkpoint-6"]
    if damaged:
        flip(work / damaged / "model.safetensors")
    monkeypatch.chdir(tmp_path / "there" if damaged is None else tmp_path)
    output = tmp_path / "student"
    again = iter([0.5, 0.4, 0.3] if damaged == "checkpoint-2" else [0.4, 0.3])
    done = distil(settings, pairs, output, validate=lambda _: next(again))
    assert sha256_of_file(done / WEIGHTS) == sha256_of_file(kept)
    said = capfd.readouterr().err
    if damaged == "checkpoint-2":
        assert "the best one before it, checkpoint-2, is not whole" in said and "training starts anew" in said


def test_a_run_by_several_processes_is_not_gone_on_by_one(
    halted: Path, minilm: Path, pairs: list[Pair], tmp_path: Path
) -> None:
    work = copy_of(halted, tmp_path / "student")
    for path in work.glob("*/sums.json"):
        path.write_text(path.read_text().replace('"processes": 1', '"processes": 2'))
    with pytest.raises(UsageError, match="an unfinished training by 2 processes, this one has 1: start 2 again"):
        distil(recipe(minilm), pairs, tmp_path / "student", checkpoint_steps=2)
    assert len(list(work.glob("checkpoint-*"))) == 2
