"""Finetune: turn a published version into a LoRA adapter, evaluated against the untuned model."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict

from flows.context import Context
from flows.engines.engine import Engine
from flows.settings import prepare_training
from pipeline.evaluation.estimates import Estimate
from pipeline.finetuning.adapters import CARD, find_adapter, read_record
from pipeline.finetuning.experiment import Training, finetune_version
from pipeline.releases.versions import find_version, verify
from pipeline.reporting.write_report import write_report
from schemas.run_summary import FinetuneSummary, Verb


class Compared(BaseModel):
    """A measure beside the metric, of both models."""

    model_config = ConfigDict(frozen=True)

    name: str
    untuned: Estimate
    tuned: Estimate


class Finetuned(BaseModel):
    """An adapter, new or found."""

    model_config = ConfigDict(frozen=True)

    dataset: str
    version: str
    path: str
    reused: bool
    """The same rows and settings were trained before."""
    base_model: str
    metric: str
    """The name that the manifest has for it."""
    metric_title: str
    """The same for readers."""
    train_rows: int
    left_out: dict[str, int]
    """Rows of the train split that were not trained on, by reason."""
    test_rows: int
    not_judged: str
    """Which test rows count nowhere, in words; empty if all count."""
    seconds: float
    """Of training."""
    untuned: Estimate
    untuned_unreadable: int
    """Answers that do not have the format of the task; they count as wrong."""
    tuned: Estimate
    tuned_unreadable: int
    measures: tuple[Compared, ...]
    """What else is said of the answers."""
    copied: Estimate | None
    """The score of answers that only copy the inputs, where that is an answer at all."""
    difference: Estimate
    """Tuned minus untuned, on the same rows."""
    verdict: str
    """The difference as a sentence."""


def finetune(context: Context, engine: Engine, *, version: str = "latest", again: bool = False) -> Finetuned:
    """Train an adapter on a published version, unless the same training was done before.

    Args:
        context: the dataset.
        engine: runs the steps.
        version: ``X.Y.Z`` or ``latest``.
        again: train even if there is an adapter for this version and these settings.

    Raises:
        ConfigError: the home holds the dataset of another file.
        ReleaseError, Damaged: there is no such version, or its bytes have changed.
        TrainingError: the model or the rows cannot be used.
    """
    store, config = context.store, context.dataset.config
    context.require_owner()
    folder = find_version(store.releases, f"{config.name}@{version}")
    with store.lock(Verb.FINETUNE):
        # Never train on bytes that were not published.
        engine.run(verify, folder).require_sound()
        run = context.new_run(Verb.FINETUNE)
        with store.scratch(run.id) as work:
            training = Training(folder, config.finetune, run.id, run.goldleaf, work, store.models)
            found = None if again else find_adapter(store.models, training.key)
            prepare_training()
            path = found or engine.run(finetune_version, training, context.dataset.task, engine.progress.step)
        result = _result(path, config.name, reused=found is not None)
        # A run that was killed after storing its adapter still owes its commit.
        is_new = path.name not in _committed(context)
        if is_new:
            summary = FinetuneSummary(version=result.version, path=str(path), tuned=result.tuned.value)
            store.commit(run, inputs={}, funnel=None, summary=summary)
    if is_new:
        write_report(context)
        engine.emit("dataset.finetuned", context.event(version=result.version, run=run.id, score=result.tuned.value))
        engine.artifact(f"goldleaf-{config.name}-finetune", (path / CARD).read_text(encoding="utf-8"))
    return result


def _committed(context: Context) -> set[str]:
    """The folders of the adapters whose run is committed."""
    return {Path(run.summary.path).name for run in context.store.snapshot().committed_runs(FinetuneSummary)}


def _result(path: Path, dataset: str, *, reused: bool) -> Finetuned:
    record = read_record(path)
    return Finetuned(
        dataset=dataset,
        version=record.lineage.version,
        path=str(path),
        reused=reused,
        base_model=record.config.base_model,
        metric=record.tuned.metric,
        metric_title=record.tuned.metric_title,
        train_rows=record.train.rows,
        left_out={reason.value: count for reason, count in record.train.left_out.items()},
        test_rows=record.tuned.questions,
        not_judged=record.not_judged,
        seconds=record.train.seconds,
        untuned=record.untuned.score,
        untuned_unreadable=record.untuned.unreadable,
        tuned=record.tuned.score,
        tuned_unreadable=record.tuned.unreadable,
        measures=tuple(
            Compared(name=old.name, untuned=old.value, tuned=new.value)
            for old, new in zip(record.untuned.measures, record.tuned.measures, strict=True)
        ),
        copied=record.copied,
        difference=record.comparison.difference,
        verdict=record.verdict,
    )
