"""Early stopping: the best student is kept, no held-out sentence is trained on, and a kill changes nothing."""

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from clir.corpora.bitext import Pair
from clir.distillation import trainer
from clir.distillation.recipe import Recipe
from clir.distillation.trainer import distil
from clir.distillation.validation import EarlyStopping, held_out_pairs
from clir.encoding.tower import Tower
from clir.support.errors import UsageError
from clir.support.files import sha256_of_file

WEIGHTS = "query_0_Transformer/model.safetensors"


def recipe(minilm: Path, **options: Any) -> Recipe:
    settings = {
        "teacher": str(minilm), "student": str(minilm), "steps": 12, "batch_size": 4, "learning_rate": 3e-4,
        "freeze_layers": 5, "precision": "fp32", "max_tokens": 24,
    }  # fmt: skip
    return Recipe(**{**settings, **options})


def test_held_out_pairs_are_drawn_alike_from_languages_and_share_no_english() -> None:
    pairs = [Pair(f"sentence {at}", f"{code} {at}", code) for at in range(40) for code in ("sw", "ha")]
    pairs += [Pair(f"other {at}", f"so {at}", "so") for at in range(3)]
    kept, held = held_out_pairs(pairs, 9)
    assert len(held) == 9 and held_out_pairs(pairs, 9) == (kept, held)
    assert [sum(pair.language == code for pair in held) for code in ("ha", "so", "sw")] == [3, 3, 3]
    assert not {pair.english for pair in kept} & {pair.english for pair in held}
    # The other language's translation of a held-out sentence is dropped with it.
    assert len(kept) == len(pairs) - 3 - 2 * 6


def test_holding_out_everything_is_refused() -> None:
    pairs = [Pair("one", "moja", "sw"), Pair("two", "mbili", "sw")]
    for count in (2, 5):
        with pytest.raises(UsageError, match=f"early stopping holds out {count} of 2 pairs"):
            held_out_pairs(pairs, count)


@pytest.mark.slow
def test_the_best_step_is_kept_and_training_stops(minilm: Path, pairs: list[Pair], tmp_path: Path) -> None:
    scores = iter([0.3, 0.5, 0.4, 0.45, 0.1, 0.9])
    seen: list[dict[str, Any]] = []

    def validate(tower: Tower) -> float:
        seen.append({name: values.clone() for name, values in tower.state_dict().items() if "layer.5" in name})
        return next(scores)

    stopping = EarlyStopping(by="demo/sw", every=2, patience=2)
    output = distil(recipe(minilm, early_stopping=stopping), pairs, tmp_path / "stopped", validate=validate)
    made = json.loads((output / "meta.json").read_text())
    assert made["validation"] == {"scores": [[2, 0.3], [4, 0.5], [6, 0.4], [8, 0.45]], "kept step": 4}
    assert made["steps"] == 8
    from safetensors.torch import load_file

    saved = load_file(output / WEIGHTS)
    name = "encoder.layer.5.output.dense.weight"
    assert (saved[name] == seen[1][f"transformer.{name}"]).all()
    assert not (saved[name] == seen[3][f"transformer.{name}"]).all()
    # Only what was seen is counted.
    whole = distil(recipe(minilm, steps=8), pairs, tmp_path / "whole")
    counted = [json.loads((folder / "meta.json").read_text())["cost"]["student flops"] for folder in (output, whole)]
    assert counted[0] == counted[1]


@pytest.mark.slow
def test_a_run_that_stopped_early_and_was_killed_before_it_was_saved_has_nothing_to_train(
    minilm: Path, pairs: list[Pair], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = recipe(minilm, early_stopping=EarlyStopping(by="demo/sw", every=2, patience=2))
    scores = [0.3, 0.5, 0.4, 0.45, 0.1, 0.9]
    taken = iter(scores)
    whole = distil(settings, pairs, tmp_path / "whole", validate=lambda tower: next(taken))
    taken = iter(scores)

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(trainer, "save_student", interrupt)
        distil(settings, pairs, tmp_path / "killed", validate=lambda tower: next(taken))
    killed = distil(settings, pairs, tmp_path / "killed", validate=lambda tower: next(taken))
    made = [json.loads((folder / "meta.json").read_text()) for folder in (whole, killed)]
    assert made[0]["validation"] == made[1]["validation"] and made[0]["steps"] == made[1]["steps"] == 8
    assert sha256_of_file(whole / WEIGHTS) == sha256_of_file(killed / WEIGHTS)


def test_too_few_pairs_beside_what_is_held_out_is_wrong_use(minilm: Path, pairs: list[Pair], tmp_path: Path) -> None:
    stopping = EarlyStopping(by="bitext", pairs=len(pairs) - 2)
    with pytest.raises(UsageError, match="sentence pairs do not fill a batch of 4"):
        distil(recipe(minilm, early_stopping=stopping), pairs, tmp_path / "student")


@pytest.mark.slow
def test_a_killed_run_with_early_stopping_ends_like_an_unbroken_one(
    minilm: Path, pairs: list[Pair], tmp_path: Path
) -> None:
    (tmp_path / "pairs.tsv").write_text("".join(f"{pair.english}\t{pair.foreign}\n" for pair in pairs), "utf-8")
    shutil.copy(tmp_path / "pairs.tsv", tmp_path / "again.tsv")
    (tmp_path / "r.yaml").write_text(
        f"teacher: {minilm}\nsteps: 40\nbatch_size: 4\nlearning_rate: 1.0e-3\nfreeze_layers: 5\nprecision: fp32\n"
        "max_tokens: 24\nearly_stopping: {every: 2, patience: 6, pairs: 12}\n"
    )

    def command(output: str) -> list[str]:
        options = f"--recipe r.yaml --bitext pairs.tsv --language sw --no-cleaning --threads 1 --output {output}"
        return [sys.executable, "-m", "clir.train", *options.split()]

    whole = subprocess.run(command("whole"), cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert whole.returncode == 0, whole.stderr
    running = subprocess.Popen(command("cut"), cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    for _ in range(20_000):
        if (
            len(list(tmp_path.glob(".cut.training/*/checkpoint-*/trainer_state.json"))) > 1
            or running.poll() is not None
        ):
            break
        time.sleep(0.01)
    running.send_signal(signal.SIGKILL)
    running.communicate()
    assert running.returncode == -signal.SIGKILL
    done = subprocess.run(command("cut"), cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0 and "going on after step" in done.stderr
    made, again = (json.loads((tmp_path / name / "meta.json").read_text()) for name in ("whole", "cut"))
    assert made["validation"] == again["validation"] and made["steps"] == again["steps"]
    assert len(made["validation"]["scores"]) == made["steps"] // 2
    assert sha256_of_file(tmp_path / "whole" / WEIGHTS) == sha256_of_file(tmp_path / "cut" / WEIGHTS)


@pytest.mark.slow
def test_event_files_hold_losses_and_scores(minilm: Path, pairs: list[Pair], tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    scores = iter([0.25, 0.5])
    stopping = EarlyStopping(by="demo/sw", every=2)
    output = distil(
        recipe(minilm, steps=4, early_stopping=stopping), pairs, tmp_path / "student",
        validate=lambda tower: next(scores), tensorboard=tmp_path / "events",
    )  # fmt: skip
    events = EventAccumulator(str(tmp_path / "events"))
    events.Reload()
    assert [(event.step, event.value) for event in events.Scalars("eval/score")] == [(2, 0.25), (4, 0.5)]
    logged = json.loads((output / "meta.json").read_text())["losses"]
    written = [(event.step, event.value) for event in events.Scalars("train/loss")]
    assert [step for step, _ in written] == [step for step, _ in logged] == [1, 2, 3, 4]
    assert [loss for _, loss in written] == pytest.approx([loss for _, loss in logged], abs=1e-4)
