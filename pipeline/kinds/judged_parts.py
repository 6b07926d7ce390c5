"""Judges any number of later rows, some at a time."""

from collections.abc import Callable

from pipeline.kinds.interface import LabelScores

_AT_ONCE = 500
"""Rows; what is known about them by feature, label and token has to fit into memory."""


def judged_in_parts(rows: int, judge: Callable[[slice], LabelScores]) -> LabelScores:
    """The scores of so many rows, given what scores some of them, each by itself."""
    parts = [judge(slice(first, first + _AT_ONCE)) for first in range(0, max(rows, 1), _AT_ONCE)]
    notes = dict.fromkeys(part.note for part in parts if part.note)
    return LabelScores([row for part in parts for row in part.rows], "; ".join(notes))
