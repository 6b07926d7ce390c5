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
    change = record.comparison.difference
    sure = change.low > 0 or change.high < 0
    how = "better" if change.value > 0 else "worse"
    if not sure:
        return "On these test rows the tuned model cannot be told from the untuned one."
    return (
        f"Tuning made it {how} by {abs(change.value):.1%} (95% interval {change.low:+.1%} to {change.high:+.1%}); "
        f"{record.comparison.better} rows got better, {record.comparison.worse} worse."
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
