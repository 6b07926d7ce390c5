"""Trains an adapter, unless it is there: finished, or left by a killed run."""

import shutil
from contextlib import suppress
from pathlib import Path

from pydantic import ValidationError

from pipeline.finetuning.checkpoints import CHECKPOINTS
from pipeline.finetuning.examples import Examples, SplitExamples, has_split
from pipeline.finetuning.loaded_model import LoadedModel
from pipeline.finetuning.train import TrainReport, expected_steps, train
from pipeline.finetuning.training_rows import training_rows
from pipeline.ladder.kept_answers import UNFINISHED
from pipeline.ladder.plan import VALIDATION, Plan
from pipeline.steps import Progress
from schemas.dataset import Finetune


def trained_once(
    plan: Plan,
    config: Finetune,
    examples: Examples,
    base: LoadedModel,
    progress: Progress,
    key: str,
    label: str = "training",
) -> tuple[Path, TrainReport]:
    """The adapter's folder, until ``forget_training``, and what its training did; a killed training goes on.

    Args:
        plan: where things are.
        config: of the training.
        examples: the rows.
        base: the base model; it is as before afterwards.
        progress: shows the training.
        key: equal keys, equal trainings.
        label: of the step that is shown.

    Raises:
        TooFewRows, TrainingError: as of ``train``.
    """
    folder, checkpoints = plan.models / UNFINISHED / key, plan.models / CHECKPOINTS / key
    output, written = folder / "adapter", folder / "report.json"
    with suppress(OSError, ValidationError):
        report = TrainReport.model_validate_json(written.read_bytes())
        if output.is_dir() and report.base_revision == base.revision:
            # The run may have been killed before it could do that.
            shutil.rmtree(checkpoints, ignore_errors=True)
            return output, report
    shutil.rmtree(folder, ignore_errors=True)
    validation = SplitExamples(plan.version, VALIDATION) if has_split(plan.version, VALIDATION) else None
    learned = training_rows(examples, config, base, plan.work)
    folder.mkdir(parents=True)
    with progress.step(label, expected_steps(learned, config)) as advance:
        report = train(
            learned,
            config,
            output,
            lambda step: advance(step.more, str(step)),
            base,
            validation=validation,
            checkpoints=checkpoints,
            on_note=progress.say,
            report=written,
        )
    return output, report


def forget_training(plan: Plan, key: str) -> None:
    """Remove an adapter that is stored, or that has answered all it is asked, with what is left of its training."""
    for left in (UNFINISHED, CHECKPOINTS):
        shutil.rmtree(plan.models / left / key, ignore_errors=True)
