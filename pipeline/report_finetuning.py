"""Gathers what the report shows of a fine-tuning: the newest adapter and the rows that it gets wrong."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pyarrow.parquet as pq

from pipeline.adapter import PREDICTIONS, FinetuneRecord, find_adapter, read_record
from pipeline.report import ClassScore, Estimate, Example, FineTuning, Mistake
from schemas.task import Kind, Task

_MISTAKES = 12


def latest_finetuning(models: Path, task: type[Task], examples: Mapping[str, Example]) -> FineTuning | None:
    """Untuned against tuned of the newest adapter; None where there is none.

    Args:
        models: the folder of the adapters.
        task: the dataset's task.
        examples: the current records as people see them, by id.
    """
    folder = find_adapter(models)
    if folder is None:
        return None
    record = read_record(folder)
    classification = task.task_kind() is Kind.CLASSIFICATION
    return FineTuning(
        run=record.run,
        base_model=record.config.base_model,
        metric=record.tuned.metric.value.replace("_", " "),
        untuned=_estimate(record.untuned.score),
        tuned=_estimate(record.tuned.score),
        train_rows=record.train.rows,
        test_rows=record.tuned.questions,
        seconds=record.train.seconds,
        verdict=_verdict(record),
        class_metric="recall" if classification else "F1",
        classes=list(_classes(record, classification)),
        mistakes=list(_mistakes(folder, examples)),
        loss=dict(enumerate(record.train.losses, 1)),
    )


def _estimate(score: object) -> Estimate:
    return Estimate.model_validate(score, from_attributes=True)


def _verdict(record: FinetuneRecord) -> str:
    change, unreadable = record.comparison.difference, record.untuned.unreadable
    note = f" Of the untuned model's answers, {unreadable} are in no form that the task knows." if unreadable else ""
    if change.low <= 0 <= change.high:
        return "On these test rows the tuned model cannot be told from the untuned one." + note
    low, high = 100 * change.low, 100 * change.high
    return (
        f"Tuning made it {'better' if change.value > 0 else 'worse'} by {100 * abs(change.value):.1f} points (95% "
        f"interval {low:+.1f} to {high:+.1f}); {record.comparison.better} rows got better, "
        f"{record.comparison.worse} worse.{note}"
    )


def _classes(record: FinetuneRecord, classification: bool) -> Iterator[ClassScore]:
    before = {part.name: part for part in record.untuned.parts}
    for part in record.tuned.parts:
        old = before.get(part.name)
        untuned = 0.0 if old is None else (old.recall if classification else old.f1)
        tuned = part.recall if classification else part.f1
        yield ClassScore(name=part.name, records=part.support, untuned=untuned, tuned=tuned)


def _mistakes(folder: Path, examples: Mapping[str, Example]) -> Iterator[Mistake]:
    shown = 0
    for row in pq.read_table(folder / PREDICTIONS).to_pylist():
        if row["tuned"].strip() in row["gold"] or row["id"] not in examples:
            continue
        yield Mistake(
            record=examples[row["id"]], expected=" or ".join(row["gold"]), untuned=row["untuned"], tuned=row["tuned"]
        )
        shown += 1
        if shown == _MISTAKES:
            return
