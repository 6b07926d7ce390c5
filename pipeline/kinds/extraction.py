"""Structured extraction: several fields, or a single number, date, boolean or list, are read from the inputs."""

from collections.abc import Collection, Sequence
from typing import ClassVar

from pipeline.evaluation.scores import Credit, Outcome, Part, PartMetric, pair_credit, scores_by_field
from pipeline.kinds.interface import Breakdown, Kind, LabeledText, LabelScore, LabelScores, Targets
from pipeline.label_errors.grounding import ungrounded
from pipeline.text.answer_keys import Answers
from schemas.dataset import OnConflict
from schemas.fate import ReasonCode
from schemas.field import TargetField
from schemas.field_values import leaf_paths
from schemas.task import Task


class Extraction(Kind):
    """Typed fields; a value that does not occur in the inputs is a likely error."""

    name: ClassVar[str] = "extraction"
    hub_categories: ClassVar[tuple[str, ...]] = ("text-generation",)
    answers_repeat: ClassVar[bool] = False
    digits_answer: ClassVar[bool] = False
    rules: ClassVar[Collection[str]] = (ReasonCode.UNGROUNDED.value,)
    learns_labels: ClassVar[bool] = False
    on_conflict: ClassVar[OnConflict] = OnConflict.REVIEW
    breakdown: ClassVar[Breakdown] = Breakdown.FIELD
    part_metric: ClassVar[PartMetric] = PartMetric.F1
    metric: ClassVar[str] = "field_f1"
    metric_title: ClassVar[str] = "F1 over fields"
    exact_title: ClassVar[str] = "exact answers"

    def accepts(self, targets: Sequence[TargetField]) -> bool:
        """True for any targets, so this kind is asked last."""
        return True

    def strata(self, task: type[Task], targets: Targets) -> tuple[str, ...]:
        """None: the values of nearly every row are unique."""
        return ()

    def score_labels(
        self, task: type[Task], rows: Sequence[LabeledText], seed: int, off: Collection[str] = ()
    ) -> LabelScores:
        """Flag values that do not occur in the inputs; free texts are not copied from them, so they are not checked."""
        if ReasonCode.UNGROUNDED in off:
            return LabelScores([LabelScore()] * len(rows))
        fields, answers = task.task_targets(), Answers(task)
        return LabelScores([_scored(row, fields, answers) for row in rows])

    def credit(self, task: type[Task], answer: Targets | None, gold: Targets) -> Credit:
        """Pairs of field and value: the metric is their micro-averaged F1."""
        return pair_credit(answer, gold)

    def parts(self, task: type[Task], outcomes: Sequence[Outcome]) -> tuple[Part, ...]:
        """Scores by field."""
        return scores_by_field(leaf_paths(task.task_targets()), outcomes)


def _scored(row: LabeledText, fields: Sequence[TargetField], answers: Answers) -> LabelScore:
    copied = answers.closed(row.targets) if row.targets is not None else None
    return LabelScore(reasons=tuple(ungrounded(row.text, copied, fields))) if copied else LabelScore()
