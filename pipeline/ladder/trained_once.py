"""Trains the adapter of a plan, unless it is there: finished, or left by a killed run."""

import shutil
from contextlib import suppress
from pathlib import Path

from pydantic import ValidationError

from pipeline.finetuning.adapters import read_record
from pipeline.finetuning.checkpoints import CHECKPOINTS
from pipeline.finetuning.examples import Examples, SplitExamples, has_split
from pipeline.finetuning.loaded_model import LoadedModel
from pipeline.finetuning.train import TrainReport, expected_steps, train
from pipeline.finetuning.training_rows import training_rows
from pipeline.ladder.kept_answers import UNFINISHED
from pipeline.ladder.plan import VALIDATION, Plan
from pipeline.state.atomic import replacing
from pipeline.steps import Progress
from schemas.dataset import Finetune


def trained_once(
    plan: Plan, found: Path | None, examples: Examples, base: LoadedModel, progress: Progress
) -> tuple[Path, TrainReport]:
    """The adapter's folder and what its training did; what is there already is not trained again.

    Args:
        plan: what to train.
        found: a finished adapter of this training; None if there is none.
        examples: the rows.
        base: the base model; it is as before afterwards.
        progress: shows the training.
    """
    if found is not None:
        return found, read_record(found).train
    folder = plan.models / UNFINISHED / plan.training_key
    output, written = folder / "adapter", folder / "report.json"
    with suppress(OSError, ValidationError):
        report = TrainReport.model_validate_json(written.read_bytes())
        if output.is_dir() and report.base_revision == base.revision:
            return output, report
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    report = train_on(plan, plan.config, examples, output, base, progress, plan.training_key)
    with replacing(written) as sink:
        sink.write(report.model_dump_json().encode())
    return output, report


def train_on(
    plan: Plan,
    config: Finetune,
    examples: Examples,
    output: Path,
    base: LoadedModel,
    progress: Progress,
    key: str,
    label: str = "training",
) -> TrainReport:
    """Train on some rows; a killed training of the same key goes on where it was.

    Raises:
        TrainingError: as of ``train``.
    """
    validation = SplitExamples(plan.version, VALIDATION) if has_split(plan.version, VALIDATION) else None
    learned = training_rows(examples, config, base, plan.work)
    with progress.step(label, expected_steps(learned, config)) as advance:
        return train(
            learned,
            config,
            output,
            lambda step: advance(step.more, str(step)),
            base,
            validation=validation,
            checkpoints=plan.models / CHECKPOINTS / key,
            on_note=progress.say,
        )
