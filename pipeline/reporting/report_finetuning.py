"""Gathers the report's content about fine-tuning: an adapter and the rows that it gets wrong."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pyarrow.parquet as pq

from pipeline.evaluation.scores import PartMetric
from pipeline.finetuning.adapters import read_record
from pipeline.finetuning.evaluate import Evaluation
from pipeline.kinds.interface import Breakdown
from pipeline.kinds.registry import kind_of
from pipeline.ladder.assessment import PREDICTIONS, read_assessment
from pipeline.reporting.report_page import FieldAnswer, FineTuning, Mistake, PartComparison, Rival, ShownRecord
from pipeline.reporting.tuned_arm import tuned_arm
from pipeline.reporting.verdict_content import verdict_content
from pipeline.text.wording import shown_label
from schemas.arms_section import Family
from schemas.dataset import public_place
from schemas.field import JsonValue
from schemas.field_values import value_in_words
from schemas.task import Task

_MISTAKES = 12

Targets = dict[str, JsonValue]


def shown_finetuning(folder: Path, task: type[Task], examples: Mapping[str, ShownRecord]) -> FineTuning:
    """An adapter beside everything else that could be done.

    Args:
        folder: of the adapter, which was judged.
        task: the dataset's task.
        examples: the records as shown, by id; mistakes about other records are not shown.

    Raises:
        TrainingError: it is not there.
    """
    record, found = read_record(folder), read_assessment(folder)
    kind, arm = kind_of(task), tuned_arm(found)
    tuned = arm.evaluation
    rival = found.ladder.best([Family.CLASSICAL, Family.PROMPT])
    metric = kind.part_metric
    return FineTuning(
        run=record.run,
        version=found.version,
        base_model=public_place(record.config.base_model),
        metric=tuned.metric_title,
        tuned=tuned.score,
        rival=None if rival is None else Rival(title=rival.title, score=rival.score),
        train_rows=record.train.rows,
        test_rows=tuned.questions,
        seconds=record.train.seconds,
        verdict=verdict_content(record, found),
        part_metric=metric,
        parts=list(_parts(tuned, None if rival is None else rival.evaluation, metric)),
        mistakes=list(_mistakes(folder, task, examples, arm.name, "" if rival is None else rival.name)),
        loss=dict(enumerate(record.train.losses, 1)),
    )


def _parts(tuned: Evaluation, rival: Evaluation | None, metric: PartMetric) -> Iterator[PartComparison]:
    others = {part.name: part for part in rival.parts} if rival else {}
    for part in tuned.parts:
        other = others.get(part.name)
        worth = 0.0 if other is None else metric.of(other)
        yield PartComparison(name=shown_label(part.name), records=part.support, rival=worth, tuned=metric.of(part))


def _mistakes(
    folder: Path, task: type[Task], examples: Mapping[str, ShownRecord], arm: str, rival: str
) -> Iterator[Mistake]:
    shown = 0
    for row in pq.read_table(folder / PREDICTIONS).to_pylist():
        tuned = row[arm]
        if row["id"] not in examples or tuned is None or _is_right(task, tuned, row["gold"]):
            continue
        other = row.get(rival)
        yield Mistake(
            record=examples[row["id"]],
            expected=" or ".join(row["gold"]),
            rival=other or "",
            tuned=tuned,
            fields=list(_fields(task, row["gold"], other or "", tuned)),
        )
        shown += 1
        if shown == _MISTAKES:
            return


def _is_right(task: type[Task], answer: str, golds: list[str]) -> bool:
    """As scored: another formatting of the same JSON is not a mistake."""
    read = task.task_read_answer(answer)
    right = [gold for gold in map(task.task_read_answer, golds) if gold is not None]
    return bool(right) and kind_of(task).nearest(task, read, right)[1].worth == 1


def _fields(task: type[Task], golds: list[str], rival: str, tuned: str) -> Iterator[FieldAnswer]:
    """The answers field by field, against the gold answer nearest to the tuned model's; none for labels."""
    right = [gold for gold in map(task.task_read_answer, golds) if gold is not None]
    if kind_of(task).breakdown is not Breakdown.FIELD or not right:
        return
    before, after = task.task_read_answer(rival), task.task_read_answer(tuned)
    expected = right[kind_of(task).nearest(task, after, right)[0]]
    for name, value in expected.items():
        yield FieldAnswer(
            name=name,
            expected=value_in_words(value),
            rival=None if before is None else value_in_words(before[name]),
            tuned=None if after is None else value_in_words(after[name]),
        )
