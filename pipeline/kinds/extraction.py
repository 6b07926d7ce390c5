"""Structured extraction: several fields, or a single number, date, boolean or list, are read from the inputs."""

from collections.abc import Collection, Sequence
from typing import ClassVar

from pipeline.evaluation.scores import Credit, Outcome, Part, pair_credit, scores_by_field
from pipeline.kinds.copied_values import judge_copied, learn_copied
from pipeline.kinds.interface import Kept, Kind, LabeledText, LabelScores, Learned, Targets
from pipeline.text.answer_keys import Answers
from schemas.fate import ReasonCode
from schemas.field import TargetField
from schemas.field_values import leaf_paths
from schemas.task import Task


class Extraction(Kind):
    """Typed fields; a value that does not occur in the inputs, or stands where others would, is a likely error."""

    name: ClassVar[str] = "extraction"
    rules: ClassVar[Collection[str]] = (ReasonCode.UNGROUNDED.value,)
    metric: ClassVar[str] = "field_f1"
    metric_title: ClassVar[str] = "F1 over fields"
    exact_title: ClassVar[str] = "exact answers"

    def accepts(self, targets: Sequence[TargetField]) -> bool:
        """True for any targets, so this kind is asked last."""
        return True

    def strata(self, task: type[Task], targets: Targets) -> tuple[str, ...]:
        """None: the values of nearly every row are unique."""
        return ()

    def learn_labels(
        self, task: type[Task], rows: Sequence[LabeledText], seed: int, off: Collection[str] = ()
    ) -> Learned:
        """Judge each value by where such values stand in the texts of the other rows, or by whether it stands there.

        What was learned of where values stand is kept.
        """
        return learn_copied(task, rows, _copied(task, rows), task.task_targets(), seed, off)

    def judge_labels(
        self, task: type[Task], rows: Sequence[LabeledText], kept: Kept, off: Collection[str] = ()
    ) -> LabelScores:
        """Score by what was kept."""
        return judge_copied(task, rows, _copied(task, rows), task.task_targets(), kept, off)

    def credit(self, task: type[Task], answer: Targets | None, gold: Targets) -> Credit:
        """Pairs of field and value: the metric is their micro-averaged F1."""
        return pair_credit(answer, gold)

    def parts(self, task: type[Task], outcomes: Sequence[Outcome]) -> tuple[Part, ...]:
        """Scores by field."""
        return scores_by_field(leaf_paths(task.task_targets()), outcomes)


def _copied(task: type[Task], rows: Sequence[LabeledText]) -> list[Targets | None]:
    """The values that are judged: a free text is not copied from the inputs."""
    answers = Answers(task)
    return [None if row.targets is None else answers.closed(row.targets) for row in rows]
