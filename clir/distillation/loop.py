"""transformers' Trainer over a lesson: our order of pairs, our progress line, checkpoints that are whole."""

from __future__ import annotations

import dataclasses
import importlib.util
import os
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from transformers import (
    EarlyStoppingCallback,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)
from transformers.trainer_utils import rotate_checkpoints

from clir.distillation.checkpoints import STATE, UNFINISHED, checkpoint_path, newest_whole, seal
from clir.distillation.lesson import Lesson
from clir.distillation.losses import LossOptions
from clir.distillation.processes import first_process_first, processes
from clir.distillation.recipe import Recipe
from clir.distillation.targets import Targets
from clir.distillation.validation import Validate
from clir.encoding.precision import computes_bf16
from clir.encoding.tower import States, Tokens, Tower
from clir.support.errors import ClirError, UsageError
from clir.support.progress import Progress, say

LOGGED_LOSSES = 50
# Beside the best one. The older is there for when the newest is damaged.
KEPT_CHECKPOINTS = 2


class Distiller(nn.Module):
    """The student with its loss, as the trainer wants it; its state is what is trained, nothing frozen."""

    # transformers' Trainer asks for it on resuming, when a checkpoint lacks keys (here, what is frozen).
    _keys_to_ignore_on_save: list[str] | None = None

    def __init__(self, student: Tower, loss: LossOptions, dropout: bool) -> None:
        super().__init__()
        self.student, self.loss, self.dropout = student, loss, dropout

    def forward(self, tokens: Tokens, teacher: Targets) -> dict[str, Tensor]:
        states = self.student(tokens)
        # Losses compare in float32, whatever the student computes in: their sums and products would feel 8 bits.
        with torch.autocast(states.tokens.device.type, enabled=False):
            full = dataclasses.replace(states, tokens=states.tokens.float(), sentence=states.sentence.float())
            return {"loss": self.loss(full, teacher)}

    def train(self, mode: bool = True) -> Distiller:
        # The targets are fixed vectors: dropout would only add noise, unless it is asked for.
        super().train(mode and self.dropout)
        self.training = mode
        return self

    def state_dict(self, *args: Any, **kwargs: Any) -> dict[str, Any]:  # type: ignore[override]
        trained = {name for name, parameter in self.named_parameters() if parameter.requires_grad}
        state: dict[str, Any] = super().state_dict(*args, **kwargs)
        return {name: values for name, values in state.items() if name in trained}


class _Batches(torch.utils.data.Dataset[dict[str, Any]]):
    """The lesson, batch by batch: to the trainer a batch is one item, so that processes share out whole batches."""

    def __init__(self, lesson: Lesson) -> None:
        self._lesson = lesson

    def __len__(self) -> int:
        return len(self._lesson.order)

    def __getitem__(self, number: int) -> dict[str, Any]:
        return self._lesson.batch(number)


def _only(batches: list[dict[str, Any]]) -> dict[str, Any]:
    (batch,) = batches
    return batch


class DistillationTrainer(Trainer):  # type: ignore[misc]
    """Reads the lesson front to back; one pass over its order is the whole training."""

    def __init__(
        self,
        model: Distiller,
        arguments: TrainingArguments,
        lesson: Lesson,
        callbacks: list[TrainerCallback],
        validate: Validate | None,
    ) -> None:
        batches = _Batches(lesson)
        super().__init__(
            model=model, args=arguments, train_dataset=batches, eval_dataset=batches, data_collator=_only,
            callbacks=callbacks,
        )  # fmt: skip
        self._student, self._validate = model.student, validate
        # Its lines would go to stdout, among the results.
        self.remove_callback(PrinterCallback)

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        """Score the student by the validation of the run."""
        if self._validate is None:
            raise ValueError("this training has no validation")
        self._student.eval()
        metrics = {"eval_score": self._validate(self._student)}
        self.log(metrics)
        self.control: TrainerControl = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def keep_best(self, state: TrainerState) -> None:
        """End as a training of this state does: with the weights of its best checkpoint."""
        self.state = state
        self._load_best_model()

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        """Write the checkpoint apart; in its place it appears when all of it is there, from every process."""
        work = Path(self.args.output_dir)
        self.args.output_dir = str(work / UNFINISHED)
        try:
            super()._save_checkpoint(model, trial)
        finally:
            self.args.output_dir = str(work)
        self._name_best()
        self.accelerator.wait_for_everyone()
        if self.args.should_save:
            step = self.state.global_step
            self.state.save_to_json(str(checkpoint_path(work / UNFINISHED, step) / STATE))
            seal(work, step)
            rotate_checkpoints(str(work), KEPT_CHECKPOINTS, self.state.best_model_checkpoint)
        # Nobody goes on to read what the first process has not put there yet.
        self.accelerator.wait_for_everyone()

    def _load_best_model(self) -> None:
        self._name_best()
        super()._load_best_model()

    def _name_best(self) -> None:
        """Have the state name the best checkpoint where it lies now, whatever the folder was called before a kill."""
        if self.state.best_global_step:
            best = checkpoint_path(Path(self.args.output_dir), self.state.best_global_step)
            self.state.best_model_checkpoint = str(best)

    def _get_train_sampler(self, train_dataset: Any = None) -> torch.utils.data.Sampler[int]:
        return torch.utils.data.SequentialSampler(train_dataset or self.train_dataset)

    def _prepare_input(self, data: Any) -> Any:
        if isinstance(data, Tokens | States):
            moved = {name: part.to(self.args.device) for name, part in vars(data).items() if part is not None}
            return dataclasses.replace(data, **moved)
        return super()._prepare_input(data)


class StepProgress(TrainerCallback):  # type: ignore[misc]
    """Shows steps and the last logged loss on our progress line."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Say where a resumed run goes on."""
        if state.global_step:
            say(f"going on after step {state.global_step:,} of an earlier run")
            self._progress.resume_at(state.global_step)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Count a step."""
        self._progress.advance()

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **kwargs: Any) -> None:
        """Show the loss."""
        if logs and "loss" in logs:
            self._progress.note(f"training (loss {logs['loss']:.4f})")
        if logs and "eval_score" in logs:
            say(f"step {state.global_step:,}: {logs['eval_score']:.4f} on the held-out pairs or topics")


class Outcome(NamedTuple):
    """What a training did: its steps, (step, loss) as logged, (step, score) of validation, the step it kept."""

    steps: int
    losses: list[list[float]]
    scores: list[list[float]]
    kept: int


def run(
    recipe: Recipe,
    lesson: Lesson,
    work: Path,
    *,
    device: str,
    checkpoint_steps: int,
    validate: Validate | None = None,
    tensorboard: str | Path | None = None,
) -> Outcome:
    """Train the lesson's tower in place, from the newest whole checkpoint in `work` if there is one.

    Raises ClirError if the weights are not finite in the end, UsageError if another number of processes wrote the
    checkpoint.
    """
    distiller = Distiller(lesson.tower, recipe.loss, recipe.dropout)
    # The first process removes what is damaged; the others then find the same checkpoint.
    with first_process_first(device):
        checkpoint = newest_whole(work)
    steps = len(lesson.order) // recipe.accumulation
    with Progress("training", steps, "steps") as progress:
        callbacks: list[TrainerCallback] = [StepProgress(progress)]
        if recipe.early_stopping:
            callbacks.append(EarlyStoppingCallback(recipe.early_stopping.patience))
        arguments = _arguments(recipe, steps, work, device, checkpoint_steps, tensorboard)
        trainer = DistillationTrainer(distiller, arguments, lesson, callbacks, validate)
        stopped = _stopped_early(recipe, checkpoint)
        if stopped is not None:
            trainer.keep_best(stopped)
        else:
            trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    if not all(bool(torch.isfinite(parameter).all()) for parameter in distiller.parameters()):
        raise ClirError("training diverged (weights are no longer finite numbers): lower the learning rate")
    history = trainer.state.log_history
    done = int(trainer.state.global_step)
    return Outcome(
        done,
        [[entry["step"], round(entry["loss"], 5)] for entry in history if "loss" in entry],
        [[entry["step"], round(entry["eval_score"], 5)] for entry in history if "eval_score" in entry],
        int(trainer.state.best_global_step or done) if validate else done,
    )


def _stopped_early(recipe: Recipe, checkpoint: Path | None) -> TrainerState | None:
    """The state of a training that had stopped early when it was killed, with nothing left but to save the student."""
    if checkpoint is None or recipe.early_stopping is None:
        return None
    state = TrainerState.load_from_json(str(checkpoint / "trainer_state.json"))
    kept = state.stateful_callbacks.get(EarlyStoppingCallback.__name__, {}).get("attributes", {})
    stopped: bool = kept.get("early_stopping_patience_counter", 0) >= recipe.early_stopping.patience
    return state if stopped else None


def _arguments(
    recipe: Recipe, steps: int, work: Path, device: str, checkpoint_steps: int, tensorboard: str | Path | None
) -> TrainingArguments:
    share = processes()
    if recipe.accumulation % share:
        raise UsageError(
            f"{share} processes cannot share {recipe.accumulation} batches a step: set accumulation to a "
            "multiple of the processes"
        )
    if tensorboard is not None:
        if importlib.util.find_spec("tensorboard") is None:
            raise UsageError("tensorboard is not installed: pip install tensorboard")
        os.environ["TENSORBOARD_LOGGING_DIR"] = str(tensorboard)
    stopping = recipe.early_stopping
    validation: dict[str, Any] = {} if stopping is None else {
        "eval_strategy": "steps", "eval_steps": stopping.every, "load_best_model_at_end": True,
        "metric_for_best_model": "score", "greater_is_better": True, "restore_callback_states_from_checkpoint": True,
    }  # fmt: skip
    arguments = TrainingArguments(
        output_dir=str(work), max_steps=steps, per_device_train_batch_size=1,
        gradient_accumulation_steps=recipe.accumulation // share,
        learning_rate=recipe.learning_rate, warmup_steps=round(recipe.warmup * steps),
        lr_scheduler_type=recipe.schedule, weight_decay=recipe.weight_decay, seed=recipe.seed,
        bf16=recipe.precision == "bf16" or (recipe.precision == "auto" and computes_bf16(device)),
        fp16=recipe.precision == "fp16", use_cpu=device == "cpu", disable_tqdm=True,
        # The best step is kept from its checkpoint, so that there must be one at each validation.
        save_steps=stopping.every if stopping else checkpoint_steps,
        report_to=[] if tensorboard is None else ["tensorboard"],
        logging_steps=max(1, steps // LOGGED_LOSSES), logging_nan_inf_filter=False, remove_unused_columns=False,
        dataloader_pin_memory=False, label_names=[], **validation,
    )  # fmt: skip
    # Several GPUs are for several processes (accelerate); transformers would cut each batch in parts for them.
    arguments._n_gpu = min(arguments.n_gpu, 1)
    return arguments
