"""Scores of values that are copied from the inputs, for the kinds that have such fields."""

from collections.abc import Collection, Sequence

from pipeline.kinds.interface import LabeledText, LabelScore, LabelScores, Targets
from pipeline.label_errors.extractions import Extracted, ValueScore, score_values
from schemas.field import TargetField


def score_copied(
    rows: Sequence[LabeledText],
    copied: Sequence[Targets | None],
    fields: Sequence[TargetField],
    seed: int,
    off: Collection[str],
) -> LabelScores:
    """Score the values of some fields.

    Args:
        rows: texts with all their values.
        copied: those of each row's values that are judged; None for an unlabeled row.
        fields: what they are of.
        seed: of what is random.
        off: codes of reasons that are not looked for.
    """
    given = [Extracted(row.text, some, row.group, row.verified) for row, some in zip(rows, copied, strict=True)]
    found = score_values(given, fields, seed, off)
    return LabelScores([_scored(*one) for one in zip(rows, found.rows, strict=True)], found.note)


def _scored(row: LabeledText, found: ValueScore) -> LabelScore:
    better = None if found.suggestion is None else {**(row.targets or {}), **found.suggestion}
    return LabelScore(found.score, better, found.reasons)
