"""Classification: the answer is a single enum or Literal."""

from collections.abc import Collection, Sequence
from typing import ClassVar

from pipeline.evaluation.scores import (
    ACCURACY,
    Confusion,
    Credit,
    Outcome,
    Part,
    PartMetric,
    exact_credit,
    label_confusions,
    label_text,
    scores_by_label,
)
from pipeline.kinds.interface import Breakdown, Kept, Kind, LabeledText, LabelScore, LabelScores, Learned, Targets
from pipeline.kinds.judged_parts import judged_in_parts
from pipeline.label_errors.classifier import (
    LabeledTexts,
    LabelErrors,
    judge_label_errors,
    learn_label_errors,
)
from pipeline.label_errors.judged_labels import MIN_LABELED
from schemas.fate import LEAST_DOUBT, Reason, ReasonCode
from schemas.field import JsonValue, TargetField, ValueType, choices_of
from schemas.task import Task


class Classification(Kind):
    """A single label; a model trained on the other rows finds label errors."""

    name: ClassVar[str] = "classification"
    hub_categories: ClassVar[tuple[str, ...]] = ("text-classification", "text-generation")
    answers_repeat: ClassVar[bool] = True
    digits_answer: ClassVar[bool] = True
    least_labeled: ClassVar[int] = MIN_LABELED
    breakdown: ClassVar[Breakdown] = Breakdown.LABEL
    part_metric: ClassVar[PartMetric] = PartMetric.RECALL
    metric: ClassVar[str] = ACCURACY
    metric_title: ClassVar[str] = "accuracy"

    def accepts(self, targets: Sequence[TargetField]) -> bool:
        """True for a single enum or Literal."""
        return len(targets) == 1 and targets[0].type is ValueType.CHOICE and not targets[0].many

    def strata(self, task: type[Task], targets: Targets) -> tuple[str, ...]:
        """The label."""
        return (label_text(targets.get(_field(task))),)

    def labels(self, task: type[Task]) -> tuple[str, ...]:
        """The choices of the target."""
        return choices_of(task.model_fields[_field(task)].annotation)

    def learn_labels(
        self, task: type[Task], rows: Sequence[LabeledText], seed: int, off: Collection[str] = ()
    ) -> Learned:
        """Score by models trained on the rows of other groups, and keep models trained on all rows."""
        given = _labeled(task, rows)
        found, kept = learn_label_errors(given, seed)
        return Learned(_scores(task, given, found), kept)

    def judge_labels(
        self, task: type[Task], rows: Sequence[LabeledText], kept: Kept, off: Collection[str] = ()
    ) -> LabelScores:
        """Score by the kept models."""
        return judged_in_parts(len(rows), lambda part: _later(task, rows[part], kept))

    def credit(self, task: type[Task], answer: Targets | None, gold: Targets) -> Credit:
        """1 of 1 for the right label."""
        return exact_credit(answer, gold)

    def parts(self, task: type[Task], outcomes: Sequence[Outcome]) -> tuple[Part, ...]:
        """Scores by label."""
        return scores_by_label(_field(task), outcomes)

    def confusions(self, task: type[Task], outcomes: Sequence[Outcome]) -> tuple[Confusion, ...]:
        """The most frequent confusions."""
        return label_confusions(_field(task), outcomes)


def _field(task: type[Task]) -> str:
    return task.task_targets()[0].name


def _labeled(task: type[Task], rows: Sequence[LabeledText]) -> LabeledTexts:
    name = _field(task)
    return LabeledTexts(
        texts=[row.text for row in rows],
        labels=[None if row.targets is None else label_text(row.targets.get(name)) for row in rows],
        groups=[row.group for row in rows],
        verified=[row.verified for row in rows],
        also=[{label_text(targets.get(name)) for targets in row.also} for row in rows],
    )


def _later(task: type[Task], rows: Sequence[LabeledText], kept: Kept) -> LabelScores:
    given = _labeled(task, rows)
    return _scores(task, given, judge_label_errors(given, kept))


def _scores(task: type[Task], rows: LabeledTexts, found: LabelErrors) -> LabelScores:
    judged = zip(found.score, found.predicted, found.other, rows.labels, strict=True)
    return LabelScores([_scored(_field(task), *one) for one in judged], found.note)


def _scored(field: str, score: float | None, predicted: str | None, other: str | None, given: str | None) -> LabelScore:
    if score is None:
        return LabelScore()
    suggestion: dict[str, JsonValue] | None = {field: predicted or None} if predicted is not None else None
    if given is None or score < LEAST_DOUBT:
        return LabelScore(score, suggestion)
    detail = f"'{other}', not '{given}'" if predicted == other else f"'{given}' or '{other}'"
    return LabelScore(score, suggestion, (Reason(code=ReasonCode.LABEL_ERROR, field=field, detail=detail),))
