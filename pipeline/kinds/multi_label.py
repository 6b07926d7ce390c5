"""Multi-label classification: the answer is a set of an enum's or Literal's values, possibly an empty one."""

from collections.abc import Collection, Sequence
from typing import ClassVar

from pipeline.evaluation.scores import Credit, Outcome, Part, pair_credit, scores_by_member
from pipeline.kinds.interface import Breakdown, Kept, Kind, LabeledText, LabelScore, LabelScores, Learned, Targets
from pipeline.kinds.judged_parts import judged_in_parts
from pipeline.label_errors.judged_labels import MIN_LABELED
from pipeline.label_errors.label_sets import LabelSetScores, judge_label_sets, learn_label_sets
from schemas.fate import Reason, ReasonCode
from schemas.field import JsonValue, TargetField
from schemas.task import Task


class MultiLabel(Kind):
    """A set of labels; a model of each, trained on the other rows, finds what is missing or does not belong."""

    name: ClassVar[str] = "multi-label"
    hub_categories: ClassVar[tuple[str, ...]] = ("text-classification", "text-generation")
    answers_repeat: ClassVar[bool] = True
    digits_answer: ClassVar[bool] = True
    least_labeled: ClassVar[int] = MIN_LABELED
    breakdown: ClassVar[Breakdown] = Breakdown.LABEL
    metric: ClassVar[str] = "micro_f1"
    metric_title: ClassVar[str] = "micro F1"
    exact_title: ClassVar[str] = "exact sets"

    def accepts(self, targets: Sequence[TargetField]) -> bool:
        """True for a single list or set of an enum or Literal."""
        return len(targets) == 1 and targets[0].is_label_set

    def strata(self, task: type[Task], targets: Targets) -> tuple[str, ...]:
        """The labels; of an empty set ``""``."""
        return _labels(targets.get(_field(task).name)) or ("",)

    def labels(self, task: type[Task]) -> tuple[str, ...]:
        """The choices of the target."""
        return _field(task).choices

    def learn_labels(
        self, task: type[Task], rows: Sequence[LabeledText], seed: int, off: Collection[str] = ()
    ) -> Learned:
        """Score by linear models, one for each label, trained on the rows of other groups; keep those of all rows."""
        field, sets, texts, groups = _columns(task, rows)
        found, kept = learn_label_sets(texts, sets, field.choices, groups, seed)
        return Learned(_scores(field, found), kept)

    def judge_labels(
        self, task: type[Task], rows: Sequence[LabeledText], kept: Kept, off: Collection[str] = ()
    ) -> LabelScores:
        """Score by the kept models."""
        return judged_in_parts(len(rows), lambda part: _later(task, rows[part], kept))

    def credit(self, task: type[Task], answer: Targets | None, gold: Targets) -> Credit:
        """Labels in both sets: the metric is their micro-averaged F1."""
        return pair_credit(answer, gold)

    def parts(self, task: type[Task], outcomes: Sequence[Outcome]) -> tuple[Part, ...]:
        """Scores by label."""
        return scores_by_member(_field(task).name, outcomes)


def _field(task: type[Task]) -> TargetField:
    return task.task_targets()[0]


def _labels(value: JsonValue) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, list) else ()


def _columns(
    task: type[Task], rows: Sequence[LabeledText]
) -> tuple[TargetField, list[tuple[str, ...] | None], list[str], list[str]]:
    """The target, and the labels, the text and the group of each row."""
    field = _field(task)
    sets = [None if row.targets is None else _labels(row.targets.get(field.name)) for row in rows]
    return field, sets, [row.text for row in rows], [row.group for row in rows]


def _later(task: type[Task], rows: Sequence[LabeledText], kept: Kept) -> LabelScores:
    field, sets, texts, groups = _columns(task, rows)
    return _scores(field, judge_label_sets(texts, sets, field.choices, groups, kept))


def _scores(field: TargetField, found: LabelSetScores) -> LabelScores:
    return LabelScores([_scored(field.name, found, row) for row in range(len(found.score))], found.note)


def _scored(field: str, found: LabelSetScores, row: int) -> LabelScore:
    score, predicted, said = found.score[row], found.predicted[row], found.said_against(row)
    if score is None:
        return LabelScore()
    reasons = (Reason(code=ReasonCode.LABEL_ERROR, field=field, detail=said),) if said else ()
    suggestion: dict[str, JsonValue] | None = None if predicted is None else {field: list(predicted)}
    return LabelScore(score, suggestion, reasons)
