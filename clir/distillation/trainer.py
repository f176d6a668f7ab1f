"""The training run: a recipe and pairs go in, a student folder comes out, also over kills."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from clir.corpora.bitext import Pair
from clir.distillation.head import warm_start
from clir.distillation.lesson import Lesson, chosen_pairs, pairs_digest, prepare_lesson
from clir.distillation.losses import Loss
from clir.distillation.recipe import Recipe
from clir.distillation.student import save_student
from clir.distillation.teacher import teacher_states
from clir.encoding.encoder import TowerEncoder, computes_bf16, load_encoder
from clir.encoding.folder import SIDES
from clir.encoding.quiet import quiet_transformers
from clir.encoding.tower import States, Tokens, Tower, load_tower
from clir.support.errors import ClirError, UsageError
from clir.support.files import atomic_folder, wrapping_disk_errors
from clir.support.manifest import read_manifest, write_manifest
from clir.support.progress import Progress, say

CHECKPOINT_STEPS = 100
LOGGED_LOSSES = 50


class Distiller(nn.Module):
    """The student with its loss, as the trainer wants it; its state is what is trained, nothing frozen."""

    # transformers' Trainer asks for it on resuming, when a checkpoint lacks keys (here, what is frozen).
    _keys_to_ignore_on_save: list[str] | None = None

    def __init__(self, student: Tower, loss: Loss, dropout: bool) -> None:
        super().__init__()
        self.student, self.loss, self.dropout = student, loss, dropout

    def forward(self, tokens: Tokens, teacher: States) -> dict[str, Tensor]:
        return {"loss": self.loss(self.student(tokens), teacher)}

    def train(self, mode: bool = True) -> Distiller:
        # The targets are fixed vectors: dropout would only add noise, unless it is asked for.
        super().train(mode and self.dropout)
        self.training = mode
        return self

    def state_dict(self, *args: Any, **kwargs: Any) -> dict[str, Any]:  # type: ignore[override]
        trained = {name for name, parameter in self.named_parameters() if parameter.requires_grad}
        state: dict[str, Any] = super().state_dict(*args, **kwargs)
        return {name: values for name, values in state.items() if name in trained}


def distil(
    recipe: Recipe,
    pairs: Sequence[Pair],
    output: str | Path,
    *,
    device: str = "cpu",
    checkpoint_steps: int = CHECKPOINT_STEPS,
    about: dict[str, Any] | None = None,
) -> Path:
    """Train the student of `recipe` on `pairs` and save it at `output`; a killed run goes on from its checkpoint.

    A student that is there already, of the same recipe, models and pairs, is left as it is. `about`
    goes into the manifest. Raises UsageError if something else stands at `output` or the pairs do not
    fill a batch, ClirError if training diverges.
    """
    started = time.monotonic()
    output = Path(output)
    teacher, start = tower_encoder(recipe.teacher, device), tower_encoder(recipe.student, device)
    pairs = chosen_pairs(pairs, recipe)
    identity = {
        "pairs": pairs_digest(pairs),
        "teacher": teacher.fingerprint("query"),
        "student": start.fingerprint("query"),
    }
    key = recipe.fingerprint(identity)
    if _is_finished(output, key):
        return output
    english = list(dict.fromkeys(pair.english for pair in pairs))
    states = teacher_states(teacher, english, recipe.max_tokens)
    tower = _student(recipe, start, teacher, english, states.dimension)
    lesson = prepare_lesson(recipe, pairs, english, tower, states, start.spec("query").prompt)
    work = output.with_name(f".{output.name}.training")
    with wrapping_disk_errors(output), _wrapping_writers(output):
        losses = _train(recipe, lesson, work / key, device, checkpoint_steps)
        with atomic_folder(output) as partial:
            save_student(tower, start, teacher, partial)
            saved = load_encoder(str(partial))
            write_manifest(
                partial,
                kind="student",
                recipe=recipe.model_dump(mode="json"),
                steps=len(lesson.order),
                pairs=len(pairs),
                languages=sorted({pair.language for pair in pairs}),
                fingerprints={side: saved.fingerprint(side) for side in SIDES},
                losses=losses,
                cost=lesson.cost(recipe) | {"wall seconds": round(time.monotonic() - started, 1)},
                **{"recipe fingerprint": key, "pairs sha256": identity["pairs"]},
                **(about or {}),
            )
    shutil.rmtree(work, ignore_errors=True)
    return output


def tower_encoder(name: str, device: str = "cpu") -> TowerEncoder:
    """The model `name`, which must be one whose towers can be trained or read token by token."""
    encoder = load_encoder(name, device=device)
    if not isinstance(encoder, TowerEncoder):
        raise UsageError(f"{name} cannot be a teacher or student: its modules are not transformer, pooling, dense")
    return encoder


def freeze(tower: Tower, embeddings: bool, layers: int) -> None:
    """Take the word embeddings, and the lowest `layers` with all that lies below, out of training."""
    transformer: Any = tower.transformer
    if embeddings:
        transformer.get_input_embeddings().weight.requires_grad_(False)
    if not layers:
        return
    stacks = [part for part in transformer.modules() if isinstance(part, nn.ModuleList)]
    stack = next((part for part in stacks if len(part) == transformer.config.num_hidden_layers), None)
    if stack is None or layers > len(stack):
        raise UsageError(f"freeze_layers: {layers} is more than the student's layers")
    kept = {id(parameter) for layer in stack[layers:] for parameter in layer.parameters()}
    for parameter in transformer.parameters():
        if id(parameter) not in kept:
            parameter.requires_grad_(False)


def _student(
    recipe: Recipe, start: TowerEncoder, teacher: TowerEncoder, english: Sequence[str], dimension: int
) -> Tower:
    """The student before its first step, with its head where teacher and start are of different spaces."""
    tower = load_tower(start.spec("query"), start.device)
    if recipe.head == "linear" or (recipe.head == "auto" and not _same_space(start, teacher)):
        sample = english[: recipe.warm_start_sentences]
        prompts = start.spec("query").prompt, teacher.spec("query").prompt
        head = warm_start(tower, teacher.tower("query"), sample, *prompts, recipe.max_tokens)
        tower.attach_head(head, normalize=teacher.spec("query").normalize)
    if tower.dimension != dimension:
        raise UsageError(
            f"teacher {recipe.teacher} has {dimension} dimensions and student {recipe.student} {tower.dimension}: "
            "set head to linear"
        )
    freeze(tower, recipe.freeze_embeddings, recipe.freeze_layers)
    return tower


def _same_space(start: TowerEncoder, teacher: TowerEncoder) -> bool:
    """Whether the student starts in the teacher's space: as its copy, or as an earlier student of it."""
    return any(start.fingerprint(side) == teacher.fingerprint(side) for side in SIDES)


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


def _train(recipe: Recipe, lesson: Lesson, work: Path, device: str, checkpoint_steps: int) -> list[list[float]]:
    """Run the steps, from the newest whole checkpoint in `work` if there is one; (step, loss) pairs as logged."""
    quiet_transformers()
    from transformers import TrainingArguments

    from clir.distillation.loop import DistillationTrainer, StepProgress, newest_checkpoint

    _drop_other_runs(work)
    steps = len(lesson.order)
    arguments = TrainingArguments(
        output_dir=str(work), max_steps=steps, per_device_train_batch_size=recipe.batch_size,
        learning_rate=recipe.learning_rate, warmup_steps=round(recipe.warmup * steps),
        lr_scheduler_type=recipe.schedule, weight_decay=recipe.weight_decay, seed=recipe.seed,
        bf16=recipe.precision == "bf16" or (recipe.precision == "auto" and computes_bf16(device)),
        use_cpu=device == "cpu", save_steps=checkpoint_steps, save_total_limit=2, report_to=[], disable_tqdm=True,
        logging_steps=max(1, steps // LOGGED_LOSSES), logging_nan_inf_filter=False, remove_unused_columns=False,
        dataloader_pin_memory=False, label_names=[],
    )  # fmt: skip
    distiller = Distiller(lesson.tower, recipe.loss, recipe.dropout)
    checkpoint = newest_checkpoint(work)
    with Progress("training", steps, "steps") as progress:
        trainer = DistillationTrainer(distiller, arguments, lesson, StepProgress(progress))
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    if not all(bool(torch.isfinite(parameter).all()) for parameter in distiller.parameters()):
        raise ClirError("training diverged (weights are not finite): lower the learning rate")
    return [[entry["step"], round(entry["loss"], 5)] for entry in trainer.state.log_history if "loss" in entry]


def _drop_other_runs(work: Path) -> None:
    """Remove checkpoints of other recipes or pairs that were killed on their way to the same output."""
    for other in work.parent.glob("*"):
        if other != work:
            say(f"an unfinished run of another recipe or other pairs is dropped: {other}")
            shutil.rmtree(other, ignore_errors=True)
