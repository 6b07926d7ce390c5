"""Trains a LoRA adapter on the rows of a published version: supervised, on the answers only.

A row is never truncated: rows that do not fit are left out and counted. The same rows and settings give the same
adapter, byte for byte, on the same machine, also if the process is killed and started again.
"""

import contextlib
import json
import math
import resource
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from pipeline.errors import OutOfMemory, TrainingError
from pipeline.finetuning.adapted import keep_initial, save, with_new_adapter
from pipeline.finetuning.base_model import load_base
from pipeline.finetuning.checkpoints import Checkpoints
from pipeline.finetuning.dtypes import DType
from pipeline.finetuning.examples import Examples, SplitExamples, has_split
from pipeline.finetuning.loaded_model import LoadedModel
from pipeline.finetuning.lora_config import changes_base, lora_config
from pipeline.finetuning.train_table import TrainTable
from pipeline.finetuning.trainer import make_trainer, run
from pipeline.finetuning.training_libraries import lacks_memory, quiet
from pipeline.finetuning.training_rows import LeftOut, TrainingRows, check_examples, training_rows, validation_rows
from pipeline.finetuning.training_watch import (
    StepReport,
    ValidationLoss,
    Watch,
    best_of,
    losses_of,
    untuned_loss_of,
    validation_of,
)
from pipeline.state.atomic import replacing
from pipeline.state.staging import staged
from pipeline.text.wording import counted
from schemas.dataset import Finetune
from schemas.identity import stable_hash

OF_EVALUATION = {"eval_rows", "slow_rows", "form", "max_new_tokens", "seeds"}
"""Settings that are no reason to train again. Of them, ``eval_rows`` also bounds the validation rows."""
_TREND = 0.1
"""The last loss is the mean over this share of the steps."""
_CHECKPOINT_SECONDS = 60.0
"""Between two checkpoints: writing one takes a tenth of a CPU second with the bundled model."""


class TrainReport(BaseModel, frozen=True):
    """What a training run did, and what it used."""

    base_model: str
    base_revision: str
    device: str
    dtype: DType = "bfloat16"
    """Of the base model's weights; it was always this one at first."""
    rows: int
    """Rows trained on."""
    left_out: dict[LeftOut, int]
    """``rows`` and these sum to the rows that were given."""
    unrendered: str = ""
    """What the chat template said of the first row that it cannot render."""
    tokens: int
    """Of one epoch, including prompts, without padding."""
    answer_tokens: int
    """Of one epoch: those that the loss is computed on."""
    steps: int
    losses: tuple[float, ...]
    """One per step."""
    first_loss: float
    last_loss: float
    """Mean of the last tenth of the steps."""
    validation: tuple[ValidationLoss, ...] = ()
    """Every measurement on the validation split."""
    untuned_loss: float | None = None
    """The same before the first step; None if it was not measured, as at first."""
    kept_step: int | None = None
    """The step whose adapter is kept; it was always the last one at first."""
    notes: tuple[str, ...] = ()
    """What else happened, in sentences: where the training went on after a kill, why it stopped."""
    trainable_parameters: int
    parameters: int
    """Of the base model."""
    seconds: float
    """In all processes, if it was resumed."""
    cpu_seconds: float
    peak_bytes: int
    """Of the process's resident memory."""


# --- training ---------------------------------------------------------------------------------
def train(
    source: Path | Examples | TrainingRows,
    config: Finetune,
    output: Path,
    on_step: Callable[[StepReport], None] | None = None,
    base: LoadedModel | None = None,
    *,
    validation: Examples | TrainTable | None = None,
    checkpoints: Path | None = None,
    checkpoint_seconds: float = _CHECKPOINT_SECONDS,
    on_note: Callable[[str], None] | None = None,
    report: Path | None = None,
) -> TrainReport:
    """Train an adapter, and write it with its tokenizer to ``output``.

    Args:
        source: the folder of a published version, whose ``train`` split is used, or rows, tokenized or not.
        config: base model, rows and hyperparameters.
        output: an empty or absent folder; what is unfinished is next to it.
        on_step: called after every step.
        base: ``config.base_model``, if already loaded; it is restored afterwards.
        validation: rows to measure the loss on; of a published version by default its ``validation`` split.
        checkpoints: a folder of this training alone. If a process that trained the same rows with the same settings
            was killed, training goes on from there; the folder is removed in the end.
        checkpoint_seconds: between two checkpoints.
        on_note: called with what else happens, a sentence each.
        report: a file for what is returned. It is there before the checkpoints are gone, so that no kill repeats the
            training.

    Raises:
        TrainingError: there is nothing to train on, the batch is larger than the number of rows, the model's template
            gives an empty answer no tokens to learn, ``config.lora`` cannot be used, the memory does not suffice, or
            the loss is not a number.
    """
    lora_config(config)  # before a model is loaded for it
    examples = SplitExamples(source, "train") if isinstance(source, Path) else source
    if not isinstance(examples, TrainingRows):
        check_examples(examples, config)
    if isinstance(source, Path) and validation is None and has_split(source, "validation"):
        validation = SplitExamples(source, "validation")
    loaded = base or load_base(config.base_model, quantize=config.quantize)
    with quiet(), staged(output.parent) as work:
        found = examples if isinstance(examples, TrainingRows) else training_rows(examples, config, loaded, work)
        if validation is not None and not isinstance(validation, TrainTable):
            validation = validation_rows(validation, config, loaded, work)
        training = _Training(loaded, found, validation, config, _Notes(on_note), work)
        return training.run(output, on_step, checkpoints, checkpoint_seconds, report)


def expected_steps(found: TrainingRows, config: Finetune) -> int:
    """How many steps the training will take, unless it stops early."""
    batches = math.ceil(len(found.rows) / config.batch_size)
    return math.ceil(math.ceil(batches / config.accumulate) * config.epochs)


class _Notes:
    """Sentences for the user and for the report."""

    def __init__(self, on_note: Callable[[str], None] | None) -> None:
        self.said: list[str] = []
        self._on_note = on_note

    def __call__(self, note: str) -> None:
        self.said.append(note)
        if self._on_note is not None:
            self._on_note(note)


@dataclass(frozen=True)
class _Training:
    """One training, ready to run."""

    loaded: LoadedModel
    found: TrainingRows
    validation: TrainTable | None
    config: Finetune
    say: _Notes
    work: Path

    def run(
        self,
        output: Path,
        on_step: Callable[[StepReport], None] | None,
        folder: Path | None,
        checkpoint_seconds: float,
        written: Path | None,
    ) -> TrainReport:
        """Train, save the adapter with its report, and forget the checkpoints."""
        config = self.config
        watch = Watch(
            tokens=self.found.rows.tokens / len(self.found.rows) * config.batch_size * config.accumulate,
            evaluate=config.evaluate if self.validation else 0,
            patience=config.patience,
            checkpoint_seconds=checkpoint_seconds,
            on_step=on_step,
        )
        if config.evaluate and not self.validation:
            self.say("There are no validation rows to measure the loss on: the last step is kept")
        checkpoints = Checkpoints(folder, self._identity(), self.say) if folder else None
        try:
            report = self._fit(watch, checkpoints, output)
        except OutOfMemory as error:
            left = "; if another program took it, the same command goes on where it was" if checkpoints else ""
            raise OutOfMemory(f"{error}{left}") from error
        except TrainingError:
            # Other settings are needed: nothing will resume from here.
            if checkpoints:
                checkpoints.remove()
            raise
        if written:
            with replacing(written) as sink:
                sink.write(report.model_dump_json().encode())
        if checkpoints:
            checkpoints.remove()
        return report

    def _identity(self) -> str:
        """Equal identities, equal trainings."""
        loaded, validation = self.loaded, self.validation
        # The validation rows that were drawn count by themselves.
        config = json.dumps(self.config.model_dump(mode="json", exclude=OF_EVALUATION), sort_keys=True)
        rows = f"{self.found.rows.digest} {validation.digest if validation else ''}"
        return stable_hash(loaded.name, loaded.revision, loaded.dtype, loaded.model.device.type, config, rows)

    def _fit(self, watch: Watch, checkpoints: Checkpoints | None, output: Path) -> TrainReport:
        loaded, lora = self.loaded, lora_config(self.config, self.loaded.revision)
        with memory_explained(self.config), with_new_adapter(loaded, lora, self.config.seed) as adapted:
            trainable, total = adapted.get_nb_trainable_parameters()
            initial = keep_initial(adapted, self.work / "initial") if changes_base(lora) else None
            tables = (self.found.rows, self.validation)
            with make_trainer(loaded, adapted, *tables, self.config, watch, self.work) as trainer:
                seconds, cpu_seconds = run(trainer, checkpoints, watch)
            if trainer.is_world_process_zero():
                save(adapted, watch.best, initial, output)
                loaded.tokenizer.save_pretrained(output)
        return self._report(trainer.state, (trainable, total - trainable), seconds, cpu_seconds)

    def _report(self, state: Any, parameters: tuple[int, int], seconds: float, cpu_seconds: float) -> TrainReport:
        losses, measured = losses_of(state.log_history), validation_of(state.log_history)
        best = best_of(measured)
        if state.global_step < state.max_steps:
            self.say(
                f"The training stopped after step {state.global_step} of {state.max_steps}: the last "
                f"{self.config.patience} validation losses were not below that of step {best.step if best else 0}"
            )
        tail = losses[-max(1, round(len(losses) * _TREND)) :]
        loaded, found = self.loaded, self.found
        return TrainReport(
            base_model=loaded.name,
            base_revision=loaded.revision,
            device=str(loaded.model.device),
            dtype=loaded.dtype,
            rows=len(found.rows),
            left_out=found.left_out,
            unrendered=found.unrendered,
            tokens=found.rows.tokens,
            answer_tokens=found.rows.answer_tokens,
            steps=len(losses),
            losses=tuple(losses),
            first_loss=losses[0],
            last_loss=sum(tail) / len(tail),
            validation=tuple(measured),
            untuned_loss=untuned_loss_of(state.log_history),
            kept_step=best.step if best else len(losses),
            notes=tuple(self.say.said),
            trainable_parameters=parameters[0],
            parameters=parameters[1],
            seconds=seconds,
            cpu_seconds=cpu_seconds,
            peak_bytes=_peak_bytes(),
        )


@contextlib.contextmanager
def memory_explained(config: Finetune) -> Iterator[None]:
    """Say which setting to lower if the memory does not suffice.

    Raises:
        OutOfMemory: it does not.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not lacks_memory(error):
            raise
        raise OutOfMemory(f"The memory does not suffice for {_size(config)}; {_smaller(config)}") from error


def _size(config: Finetune) -> str:
    return f"batches of {counted(config.batch_size, 'row')} of up to {config.max_length} tokens"


def _smaller(config: Finetune) -> str:
    if config.batch_size > 1:
        half, odd = divmod(config.batch_size, 2)
        same = "" if odd else f" (with finetune.accumulate: {config.accumulate * 2} the steps stay the same)"
        return (
            f"lower finetune.batch_size to {half}{same}, then finetune.max_length to {max(1, config.max_length // 2)}"
        )
    return f"lower finetune.max_length to {max(1, config.max_length // 2)}, or choose a smaller finetune.base_model"


def _peak_bytes() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
