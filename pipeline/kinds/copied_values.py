"""Scores of values that are copied from the inputs, for the kinds that have such fields."""

from collections.abc import Collection, Sequence

from pipeline.kinds.interface import Kept, LabeledText, LabelScore, LabelScores, Learned, Targets
from pipeline.kinds.judged_parts import judged_in_parts
from pipeline.label_errors.extractions import (
    Extracted,
    ValueScore,
    ValueScores,
    judge_values,
    learn_values,
)
from schemas.field import TargetField
from schemas.task import Task


def learn_copied(
    task: type[Task],
    rows: Sequence[LabeledText],
    copied: Sequence[Targets | None],
    fields: Sequence[TargetField],
    seed: int,
    off: Collection[str],
) -> Learned:
    """Score the values of some fields, and keep what judges later rows.

    Args:
        task: what it does not take as an answer is not suggested.
        rows: texts with all their values.
        copied: those of each row's values that are judged; None for an unlabeled row.
        fields: what they are of.
        seed: of what is random.
        off: codes of reasons that are not looked for.
    """
    found, kept = learn_values(_extracted(rows, copied), fields, seed, off)
    return Learned(_scores(task, rows, found), kept)


def judge_copied(
    task: type[Task],
    rows: Sequence[LabeledText],
    copied: Sequence[Targets | None],
    fields: Sequence[TargetField],
    kept: Kept,
    off: Collection[str],
) -> LabelScores:
    """Score later rows by what ``learn_copied`` has kept; the other arguments are as there."""

    def judge(part: slice) -> LabelScores:
        found = judge_values(_extracted(rows[part], copied[part]), fields, kept, off)
        return _scores(task, rows[part], found)

    return judged_in_parts(len(rows), judge)


def _extracted(rows: Sequence[LabeledText], copied: Sequence[Targets | None]) -> list[Extracted]:
    return [Extracted(row.text, some, row.group, row.verified) for row, some in zip(rows, copied, strict=True)]


def _scores(task: type[Task], rows: Sequence[LabeledText], found: ValueScores) -> LabelScores:
    return LabelScores([_scored(task, *one) for one in zip(rows, found.rows, strict=True)], found.note)


def _scored(task: type[Task], row: LabeledText, found: ValueScore) -> LabelScore:
    better = None if found.suggestion is None else {**(row.targets or {}), **found.suggestion}
    if better is not None and not _is_valid(task, row, better):
        better = None
    return LabelScore(found.score, better, found.reasons)


def _is_valid(task: type[Task], row: LabeledText, answer: Targets) -> bool:
    """Whether an annotator could give the answer: one without a required value could not."""
    try:
        return not task.task_problems(row.inputs, task.task_validate_targets(answer))
    except ValueError:
        return False
