"""Gathers the report's content about fine-tuning: the newest adapter and the rows that it gets wrong."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pyarrow.parquet as pq

from pipeline.evaluation.scores import PartMetric
from pipeline.finetuning.adapters import PREDICTIONS, FinetuneRecord, find_adapter, read_record
from pipeline.kinds.interface import Breakdown
from pipeline.kinds.registry import kind_of
from pipeline.reporting.report_page import FieldAnswer, FineTuning, Mistake, PartComparison, ShownRecord
from pipeline.text.wording import shown_label
from schemas.dataset import public_place
from schemas.field import JsonValue
from schemas.field_values import value_in_words
from schemas.task import Task

_MISTAKES = 12

Targets = dict[str, JsonValue]


def latest_finetuning(models: Path, task: type[Task], examples: Mapping[str, ShownRecord]) -> FineTuning | None:
    """Untuned against tuned of the newest adapter; None if there is none.

    Args:
        models: the folder of the adapters.
        task: the dataset's task.
        examples: the records as shown, by id; mistakes about other records are not shown.
    """
    folder = find_adapter(models)
    if folder is None:
        return None
    record = read_record(folder)
    kind = kind_of(task)
    return FineTuning(
        run=record.run,
        version=record.lineage.reference,
        base_model=public_place(record.config.base_model),
        metric=record.tuned.metric_title,
        untuned=record.untuned.score,
        tuned=record.tuned.score,
        copied=record.copied,
        train_rows=record.train.rows,
        test_rows=record.tuned.questions,
        seconds=record.train.seconds,
        verdict=record.verdict + _unreadable(record),
        part_metric=kind.part_metric,
        parts=list(_parts(record, kind.part_metric)),
        mistakes=list(_mistakes(folder, task, examples)),
        loss=dict(enumerate(record.train.losses, 1)),
    )


def _unreadable(record: FinetuneRecord) -> str:
    """A sentence about the answers that count as wrong because of their format."""
    untuned, tuned = record.untuned.unreadable, record.tuned.unreadable
    if untuned and tuned:
        return f" {untuned} of the untuned and {tuned} of the tuned model's answers do not have the format of the task."
    if untuned or tuned:
        whose = "untuned" if untuned else "tuned"
        return f" Of the {whose} model's answers, {untuned or tuned} do not have the format of the task."
    return ""


def _parts(record: FinetuneRecord, metric: PartMetric) -> Iterator[PartComparison]:
    before = {part.name: part for part in record.untuned.parts}
    for part in record.tuned.parts:
        old = before.get(part.name)
        untuned = 0.0 if old is None else metric.of(old)
        yield PartComparison(name=shown_label(part.name), records=part.support, untuned=untuned, tuned=metric.of(part))


def _mistakes(folder: Path, task: type[Task], examples: Mapping[str, ShownRecord]) -> Iterator[Mistake]:
    shown = 0
    for row in pq.read_table(folder / PREDICTIONS).to_pylist():
        if row["id"] not in examples or _is_right(task, row["tuned"], row["gold"]):
            continue
        yield Mistake(
            record=examples[row["id"]],
            expected=" or ".join(row["gold"]),
            untuned=row["untuned"],
            tuned=row["tuned"],
            fields=list(_fields(task, row["gold"], row["untuned"], row["tuned"])),
        )
        shown += 1
        if shown == _MISTAKES:
            return


def _is_right(task: type[Task], answer: str, golds: list[str]) -> bool:
    """As scored: another formatting of the same JSON is not a mistake."""
    read = task.task_read_answer(answer)
    right = [gold for gold in map(task.task_read_answer, golds) if gold is not None]
    return bool(right) and kind_of(task).nearest(task, read, right)[1].worth == 1


def _fields(task: type[Task], golds: list[str], untuned: str, tuned: str) -> Iterator[FieldAnswer]:
    """The answers field by field, against the gold answer nearest to the tuned model's; none for labels."""
    right = [gold for gold in map(task.task_read_answer, golds) if gold is not None]
    if kind_of(task).breakdown is not Breakdown.FIELD or not right:
        return
    before, after = task.task_read_answer(untuned), task.task_read_answer(tuned)
    expected = right[kind_of(task).nearest(task, after, right)[0]]
    for name, value in expected.items():
        yield FieldAnswer(
            name=name,
            expected=value_in_words(value),
            untuned=None if before is None else value_in_words(before[name]),
            tuned=None if after is None else value_in_words(after[name]),
        )
