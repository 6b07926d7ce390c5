"""Watches a training step by step: reports it, measures the validation loss, keeps the best adapter and stops early.

What was measured stands in the trainer's own log, which every checkpoint holds: after a kill, everything here goes on
from there.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from pipeline.errors import TrainingError
from pipeline.finetuning.batches import RowOrder

if TYPE_CHECKING:
    import torch
    from transformers import TrainerCallback

_BEST = "best.safetensors"
"""In a checkpoint: the best adapter so far, if a validation loss was measured."""


class StepReport(BaseModel, frozen=True):
    """What is known after one optimizer step."""

    step: int
    """From 1."""
    steps: int
    more: int = 1
    """Steps since the last report: 1, except at first, if the training went on after a kill."""
    loss: float
    """Mean negative log-likelihood of the step's answer tokens, in nats."""
    seconds: float
    """Since this process began to train."""
    tokens_per_second: float = 0
    """Including prompts, without padding, on average since this process began to train."""
    seconds_left: float | None = None
    """By the steps of this process after its first, which is the longest (``RowOrder``) and prepares things; None while
    there is only that one."""
    validation_loss: float | None = None
    """The last one that was measured."""

    def __str__(self) -> str:
        """For a progress line."""
        measured = "" if self.validation_loss is None else f" (validation {self.validation_loss:.3f})"
        left = "" if self.seconds_left is None else f"{_duration(self.seconds_left)} left, "
        # On a narrow terminal the end is cut.
        return f"{left}loss {self.loss:.3f}{measured}, {self.tokens_per_second:,.0f} tokens/s"


def _duration(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"


class ValidationLoss(BaseModel, frozen=True):
    """A loss on the validation split."""

    step: int
    loss: float
    """Mean negative log-likelihood of the answer tokens, in nats."""


def losses_of(log: Sequence[Mapping[str, Any]]) -> list[float]:
    """The loss of each step, from a trainer's log."""
    return [float(entry["loss"]) for entry in log if "loss" in entry]


def validation_of(log: Sequence[Mapping[str, Any]]) -> list[ValidationLoss]:
    """The validation losses of the adapter, from a trainer's log."""
    return [one for one in _measured(log) if one.step]


def untuned_loss_of(log: Sequence[Mapping[str, Any]]) -> float | None:
    """The validation loss before the first step, which is the untuned model's; None if it was not measured."""
    return next((one.loss for one in _measured(log) if not one.step), None)


def _measured(log: Sequence[Mapping[str, Any]]) -> Iterator[ValidationLoss]:
    return (ValidationLoss(step=entry["step"], loss=entry["eval_loss"]) for entry in log if "eval_loss" in entry)


def best_of(measured: Sequence[ValidationLoss]) -> ValidationLoss | None:
    """The lowest loss; of equal ones the first."""
    return min(measured, key=lambda one: one.loss, default=None)


@dataclass
class Watch:
    """What is watched, and how; what it needs to go on after a kill is in the trainer's state."""

    tokens: float
    """Of a step, on average."""
    evaluate: int
    """Measurements in an epoch; 0: none."""
    patience: int | None
    checkpoint_seconds: float
    """Between two checkpoints."""
    on_step: Callable[[StepReport], None] | None
    validate: Callable[[], float] = lambda: math.nan
    """Measures the loss on the validation rows; the trainer sets it."""
    best: "dict[str, torch.Tensor]" = field(default_factory=dict)
    """The weights of the best adapter; empty if nothing was measured."""
    _first: int = 0
    """Steps that were done before this process."""
    _reported: int = 0
    _began: float = 0
    _after_first: float = 0
    """Seconds that the first step of this process took."""
    _saved: float = 0
    """When the last checkpoint was written."""
    _validation: float | None = None
    """The last validation loss."""

    def begin(self, step: int, measured: Sequence[ValidationLoss]) -> None:
        """Training begins after a step, until which this was measured."""
        self._began = self._saved = time.monotonic()
        self._first = step
        self._validation = measured[-1].loss if measured else None

    def is_evaluation_due(self, step: int, steps: int, steps_in_epoch: int) -> bool:
        """Whether the loss is measured after a step: at equal distances, and in the end."""
        before, after = ((number * self.evaluate) // steps_in_epoch for number in (step - 1, step))
        return bool(self.evaluate) and (after > before or step == steps)

    def is_checkpoint_due(self) -> bool:
        """Whether the last checkpoint is old."""
        return time.monotonic() - self._saved >= self.checkpoint_seconds

    def checkpoint_written(self) -> None:
        """A checkpoint was written, or could not be."""
        self._saved = time.monotonic()

    def is_over(self, measured: Sequence[ValidationLoss]) -> bool:
        """Whether too many measurements in a row were no better than the best before them."""
        best = best_of(measured)
        worse = sum(one.step > best.step for one in measured) if best else 0
        return self.patience is not None and worse >= self.patience

    def report(self, state: Any, loss: float) -> None:
        """Report a step.

        Raises:
            TrainingError: its loss is not a number.
        """
        _require_number("loss", loss, state.global_step)
        if self.on_step is None or not state.is_world_process_zero:
            return
        seconds, done = time.monotonic() - self._began, state.global_step - self._first
        if done == 1:
            self._after_first = seconds
        usual = (seconds - self._after_first) / (done - 1) if done > 1 else None
        self.on_step(
            StepReport(
                step=state.global_step,
                steps=state.max_steps,
                more=state.global_step - self._reported,
                loss=loss,
                seconds=seconds,
                tokens_per_second=self.tokens * done / seconds,
                seconds_left=None if usual is None else (state.max_steps - state.global_step) * usual,
                validation_loss=self._validation,
            )
        )
        self._reported = state.global_step

    def evaluated(self, measured: Sequence[ValidationLoss], adapted: Any) -> None:
        """Note the last measurement, and keep the adapter's weights if it is the best.

        Raises:
            TrainingError: the loss is not a number.
        """
        from peft import get_peft_model_state_dict

        _require_number("validation loss", measured[-1].loss, measured[-1].step)
        self._validation = measured[-1].loss
        if best_of(measured) != measured[-1]:
            return
        weights = get_peft_model_state_dict(adapted, save_embedding_layers=False)
        self.best = {name: weight.detach().cpu().clone().contiguous() for name, weight in weights.items()}

    def load_best(self, folder: Path) -> None:
        """Take the best adapter from a checkpoint."""
        from safetensors.torch import load_file

        self.best = load_file(folder / _BEST) if (folder / _BEST).exists() else {}

    def save_best(self, folder: Path) -> None:
        """Write the best adapter into a checkpoint."""
        from safetensors.torch import save_file

        if self.best:
            save_file(self.best, folder / _BEST)


def _require_number(name: str, loss: float, step: int) -> None:
    if not math.isfinite(loss):
        raise TrainingError(f"The {name} is {loss} at step {step}; lower finetune.learning_rate")


def watching(watch: Watch, order: RowOrder) -> "TrainerCallback":
    """The callback that watches a trainer, whose rows come in an order."""
    from transformers import TrainerCallback

    class Watching(TrainerCallback):
        def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if watch.evaluate and not state.global_step:
                state.log_history.append({"step": 0, "eval_loss": watch.validate()})
            watch.begin(state.global_step, validation_of(state.log_history))

        def on_epoch_begin(self, args: Any, state: Any, control: Any, train_dataloader: Any = None, **_: Any) -> None:
            self.in_epoch = math.ceil(len(train_dataloader) / args.gradient_accumulation_steps)
            # The trainer does so itself, but not if it resumes within an epoch in several processes.
            order.set_epoch(int(state.epoch))

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            control.should_evaluate = watch.is_evaluation_due(state.global_step, state.max_steps, self.in_epoch)
            # Resumed after its last step, a training that ends within an epoch would take another one.
            is_resumable = state.global_step < state.max_steps or state.max_steps % self.in_epoch == 0
            control.should_save = is_resumable and watch.is_checkpoint_due()

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
            if logs and "loss" in logs:
                watch.report(state, float(logs["loss"]))

        def on_evaluate(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
            measured = validation_of(state.log_history)
            watch.evaluated(measured, model)
            if watch.is_over(measured):
                control.should_training_stop = True
                # Resumed from here, another step would be taken before the end.
                control.should_save = False

        def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            watch.checkpoint_written()

    return Watching()
