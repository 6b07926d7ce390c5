"""Rewriting: the answer is a free text, such as a summary, a simpler wording or a translation."""

from collections.abc import Sequence
from typing import ClassVar

from pipeline.evaluation.scores import Credit, Outcome, Part, PartMetric, exact_credit, scores_by_field
from pipeline.kinds.interface import Breakdown, Kind, LabeledText, LabelScore, LabelScores, Targets
from schemas.field import TargetField, ValueType
from schemas.task import Task


class Rewriting(Kind):
    """A free text in new words."""

    name: ClassVar[str] = "rewriting"
    hub_categories: ClassVar[tuple[str, ...]] = ("text-generation",)
    answers_repeat: ClassVar[bool] = False
    digits_answer: ClassVar[bool] = False
    learns_labels: ClassVar[bool] = False
    breakdown: ClassVar[Breakdown] = Breakdown.FIELD
    part_metric: ClassVar[PartMetric] = PartMetric.F1
    metric: ClassVar[str] = "exact_match"
    metric_title: ClassVar[str] = "exact match"
    limits: ClassVar[str] = (
        "free texts get no label-error score, as they need not repeat what the inputs say; a model's answer counts "
        "as correct only if it equals the gold one, character by character"
    )

    def accepts(self, targets: Sequence[TargetField]) -> bool:
        """True for a single free text."""
        return len(targets) == 1 and targets[0].type is ValueType.TEXT and not targets[0].many

    def strata(self, task: type[Task], targets: Targets) -> tuple[str, ...]:
        """None: the text of nearly every row is unique."""
        return ()

    def score_labels(self, task: type[Task], rows: Sequence[LabeledText], seed: int) -> LabelScores:
        """None: see ``limits``."""
        return LabelScores([LabelScore()] * len(rows))

    def credit(self, answer: Targets | None, gold: Targets) -> Credit:
        """1 of 1 for the gold text."""
        return exact_credit(answer, gold)

    def parts(self, task: type[Task], outcomes: Sequence[Outcome]) -> tuple[Part, ...]:
        """Scores of the single field."""
        return scores_by_field([field.name for field in task.task_targets()], outcomes)
