"""transformers' Trainer over a lesson: our order of pairs, our progress line, checkpoints that are whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments

from clir.distillation.lesson import Lesson
from clir.encoding.tower import States, Tokens
from clir.support.progress import Progress, say


class _Positions(torch.utils.data.Dataset[int]):
    """The lesson's order, flat: item k is the k-th pair that the student sees."""

    def __init__(self, lesson: Lesson) -> None:
        self._order = lesson.order.reshape(-1)

    def __len__(self) -> int:
        return len(self._order)

    def __getitem__(self, at: int) -> int:
        return int(self._order[at])


class DistillationTrainer(Trainer):  # type: ignore[misc]
    """Reads the lesson front to back; one pass over its order is the whole training."""

    def __init__(
        self, model: torch.nn.Module, arguments: TrainingArguments, lesson: Lesson, callback: TrainerCallback
    ) -> None:
        super().__init__(
            model=model,
            args=arguments,
            train_dataset=_Positions(lesson),
            data_collator=lesson.batch,
            callbacks=[callback],
        )
        # Its lines would go to stdout, among the results.
        self.remove_callback(PrinterCallback)

    def _get_train_sampler(self, train_dataset: Any = None) -> torch.utils.data.Sampler[int]:
        return torch.utils.data.SequentialSampler(train_dataset or self.train_dataset)

    def _prepare_input(self, data: Any) -> Any:
        if isinstance(data, Tokens | States):
            return type(data)(**{name: value.to(self.args.device) for name, value in vars(data).items()})
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


def newest_checkpoint(work: Path) -> Path | None:
    """The newest checkpoint that was written to its end (`trainer_state.json` comes last), if any."""
    whole = [path for path in work.glob("checkpoint-*") if (path / "trainer_state.json").exists()]
    return max(whole, key=lambda path: int(path.name.rpartition("-")[2]), default=None)
