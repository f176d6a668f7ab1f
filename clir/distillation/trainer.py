"""The training run: a recipe and pairs go in, a student folder comes out, also over kills."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from clir.corpora.bitext import Pair
from clir.distillation.lesson import check_batch, chosen_pairs, pairs_digest, prepare_lesson
from clir.distillation.processes import first_process_first, is_first, training_alone
from clir.distillation.recipe import Recipe
from clir.distillation.relevance import relevant_passages
from clir.distillation.start import check_late_interaction, starting_student, tower_encoder
from clir.distillation.student import check_savable, save_student
from clir.distillation.teacher import teacher_states
from clir.distillation.validation import BITEXT, Validate, bitext_accuracy, held_out_pairs
from clir.encoding.encoder import load_encoder
from clir.encoding.folder import SIDES
from clir.encoding.quiet import quiet_transformers
from clir.encoding.trimming import trim
from clir.support.errors import ClirError, UsageError
from clir.support.files import atomic_folder, wrapping_disk_errors
from clir.support.manifest import read_manifest, write_manifest
from clir.support.progress import say

CHECKPOINT_STEPS = 100


def distil(
    recipe: Recipe,
    pairs: Sequence[Pair],
    output: str | Path,
    *,
    device: str = "cpu",
    checkpoint_steps: int = CHECKPOINT_STEPS,
    validate: Validate | None = None,
    tensorboard: str | Path | None = None,
    about: dict[str, Any] | None = None,
) -> Path:
    """Train the student of `recipe` on `pairs` and save it at `output`; a killed run goes on from its checkpoint.

    A student that is there already, of the same recipe, models and pairs, is left as it is. `validate`
    scores the student where the recipe stops early by a collection; `tensorboard` is a folder for its
    event files; `about` goes into the manifest. Raises UsageError if something else stands at `output`,
    another process is at it, or the pairs do not fill a batch, ClirError if training diverges.
    """
    if recipe.precision == "fp16" and device == "cpu":
        raise UsageError("precision: fp16 is for GPUs: choose bf16 or fp32 on a CPU")
    # "." has no name of its own.
    output = Path(output) if Path(output).name else Path(output).absolute()
    with wrapping_disk_errors(output):
        output.parent.mkdir(parents=True, exist_ok=True)
    with training_alone(output):
        return _distil(recipe, pairs, output, device, checkpoint_steps, validate, tensorboard, about)


def _distil(
    recipe: Recipe,
    pairs: Sequence[Pair],
    output: Path,
    device: str,
    checkpoint_steps: int,
    validate: Validate | None,
    tensorboard: str | Path | None,
    about: dict[str, Any] | None,
) -> Path:
    started = time.monotonic()
    teacher, start = tower_encoder(recipe.teacher, device), tower_encoder(recipe.student, device)
    check_late_interaction(recipe, start, teacher)
    pairs = chosen_pairs(pairs, recipe)
    identity = {
        "pairs": pairs_digest(pairs),
        "teacher": teacher.fingerprint("query"),
        "student": start.fingerprint("query"),
    }
    key = recipe.fingerprint(identity)
    if _is_finished(output, key):
        return output
    stopping = recipe.early_stopping
    held: list[Pair] = []
    if stopping and stopping.by == BITEXT:
        pairs, held = held_out_pairs(pairs, stopping.pairs)
        check_batch(pairs, recipe)
    english = list(dict.fromkeys(pair.english for pair in pairs))
    prompt = start.spec("query").prompt
    with first_process_first(device):
        states = teacher_states(teacher, english, recipe.max_tokens)
        if held:
            sides = [pair.english for pair in held]
            held_states = teacher_states(teacher, sides, recipe.max_tokens)
            validate = bitext_accuracy(held, sides, held_states, prompt, recipe.max_tokens)
        passages = None
        if recipe.passages:
            passages = relevant_passages(recipe.passages, teacher, english, states, recipe.max_tokens)
    tower, warm_start_flops = starting_student(recipe, start, teacher, english, states.dimension)
    vocabulary: dict[str, Any] = {}
    if recipe.trim_vocabulary != "none":
        read = [pair.foreign for pair in pairs] + (english if recipe.english_replay else [])
        trimmed = trim(tower, read, [prompt], recipe.trim_vocabulary)
        tower, vocabulary = trimmed.tower, {"vocabulary": trimmed.report()}
    if is_first():
        check_savable(tower, start, teacher, output)
    lesson = prepare_lesson(recipe, pairs, english, tower, states, prompt, passages, warm_start_flops)
    work = output.with_name(f".{output.name}.training")
    quiet_transformers()
    from clir.distillation.loop import run

    with wrapping_disk_errors(output), _wrapping_writers(output):
        with first_process_first(device):
            if is_first():
                _drop_other_runs(work / key)
        outcome = run(
            recipe, lesson, work / key, device=device, checkpoint_steps=checkpoint_steps, validate=validate,
            tensorboard=tensorboard,
        )  # fmt: skip
        if not is_first():
            return output
        cost = lesson.cost(recipe, outcome.steps * recipe.accumulation) | {"warm start flops": warm_start_flops}
        with atomic_folder(output) as partial:
            save_student(tower, start, teacher, partial)
            saved = load_encoder(str(partial))
            write_manifest(
                partial,
                kind="student",
                recipe=recipe.model_dump(mode="json"),
                steps=outcome.steps,
                pairs=len(pairs),
                languages=sorted({pair.language for pair in pairs}),
                fingerprints={side: saved.fingerprint(side) for side in SIDES},
                losses=outcome.losses,
                validation={"scores": outcome.scores, "kept step": outcome.kept},
                cost=cost | {"training flops": total_flops(cost), "wall seconds": round(time.monotonic() - started, 1)},
                **{"recipe fingerprint": key, "pairs sha256": identity["pairs"]},
                **vocabulary,
                **(about or {}),
            )
    shutil.rmtree(work, ignore_errors=True)
    return output


def total_flops(cost: dict[str, float]) -> float:
    """All floating-point operations of a training: student, teacher, warm start, loss and transport."""
    return sum(value for name, value in cost.items() if name.endswith(" flops"))


@contextlib.contextmanager
def _wrapping_writers(output: Path) -> Iterator[None]:
    """Turn what safetensors and torch raise where they cannot write, which is no OSError, into one clear line."""
    try:
        yield
    except SafetensorError as error:
        if not str(error).startswith("Error while serializing"):
            raise
        raise ClirError(f"cannot write {output}: {' '.join(str(error).split())}") from error
    except RuntimeError as error:
        # torch's writer of archives loses the reason that the operating system gave.
        if "inline_container" not in str(error):
            raise
        raise ClirError(f"cannot write {output}: a checkpoint was not written whole (is the disk full?)") from error


def _is_finished(output: Path, key: str) -> bool:
    if not output.exists() or (output.is_dir() and not any(output.iterdir())):
        return False
    try:
        made = read_manifest(output) if output.is_dir() else {}
    except ClirError:
        made = {}
    if made.get("recipe fingerprint") == key:
        say(f"{output} is already trained by this recipe on these pairs")
        return True
    what = "a student of another recipe or other pairs" if made.get("kind") == "student" else "something else"
    raise UsageError(f"{output} holds {what}: choose another --output, or remove it")


def _drop_other_runs(work: Path) -> None:
    """Remove checkpoints of other recipes or pairs that were killed on their way to the same output."""
    work.mkdir(parents=True, exist_ok=True)
    for other in work.parent.glob("*"):
        if other != work:
            say(f"removing an unfinished training by another recipe or on other pairs: {other}")
            shutil.rmtree(other, ignore_errors=True)
