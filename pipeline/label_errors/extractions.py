"""Finds likely wrong values among those that were read in texts: one score a row, and why.

Each field is judged by what its values are like in this set: where they stand in their texts, whether they stand there
at all, or, if they describe the text, which of them such a text has.
"""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.label_errors.closed_fields import judge_closed_fields
from pipeline.label_errors.group_folds import folds_by_group
from pipeline.label_errors.label_odds import rarest_labels
from pipeline.label_errors.span_model import SpanDoubts, judge_spans
from pipeline.label_errors.unsaid_values import unsaid_shares
from pipeline.label_errors.value_findings import Finding, SpanFindings, unsaid
from pipeline.label_errors.value_places import Extracted, find_values
from schemas.fate import LEAST_DOUBT, Reason, ReasonCode
from schemas.field import JsonValue, TargetField
from schemas.field_values import Leaf

__all__ = ["Extracted", "ValueScore", "ValueScores", "score_values"]

Floats = npt.NDArray[np.float64]

MIN_ROWS = 200
"""With fewer labeled rows, a model knows too little of copied values: it doubted a quarter of the right ones
among 100."""
_SURE = 0.5
"""From here on a correction is likelier right than the value."""
_CERTAIN = 0.9999
_MOST_EVIDENCE = 4.0
"""In log odds: what else stands in the text says no more than this about a value that does not."""


@dataclass(frozen=True, slots=True)
class ValueScore:
    """What speaks against the values of one row."""

    score: float | None = None
    """How likely an annotator would correct any of them, from 0 to 1; None if unknown, or if one gave them."""
    reasons: tuple[Reason, ...] = ()
    """The likeliest first."""
    suggestion: dict[str, JsonValue] | None = None
    """All values with the likeliest correction; None if none is likely right."""


@dataclass(frozen=True)
class ValueScores:
    """The scores of some rows, in their order."""

    rows: list[ValueScore]
    note: str = ""
    """What limits them, as text for the report; empty if nothing does."""


def score_values(
    rows: Sequence[Extracted], fields: Sequence[TargetField], seed: int = 17, off: Collection[str] = ()
) -> ValueScores:
    """Score how likely the values of each row are wrong. The order of the rows does not matter.

    Args:
        rows: texts and what was read in them.
        fields: what is read in them; free texts are not judged.
        seed: the same rows and seed give the same scores.
        off: codes of reasons that are not looked for.
    """
    order = sorted(
        (number for number, row in enumerate(rows) if row.values is not None),
        key=lambda number: (rows[number].text, rows[number].group, repr(rows[number].values)),
    )
    scores = [ValueScore()] * len(rows)
    if not order:
        return ValueScores(scores)
    judged = _Judged([rows[number] for number in order], fields, seed, ReasonCode.UNGROUNDED not in off)
    for place, number in enumerate(order):
        scores[number] = judged.score(place)
    return ValueScores(scores, judged.note)


class _Judged:
    """All that is known about the values of labeled rows."""

    def __init__(self, rows: Sequence[Extracted], fields: Sequence[TargetField], seed: int, grounds: bool) -> None:
        self._rows = rows
        self._places = find_values(rows, fields)
        lacking = self._places.lacking if grounds else [[] for _ in rows]
        self._unsaid = unsaid_shares(self._places.said, lacking)
        self._doubts, of_spans = self._judge_spans(seed)
        copied = frozenset(field.path for field in self._places.fields)
        self._closed, of_closed = judge_closed_fields(rows, fields, copied, seed)
        self.note = "; ".join(dict.fromkeys(filter(None, (of_spans, of_closed))))

    def _judge_spans(self, seed: int) -> tuple[SpanDoubts | None, str]:
        places, rows = self._places, self._rows
        if not len(places.spans.spans):
            return None, ""
        if len(rows) < MIN_ROWS:
            count = "1 labeled row" if len(rows) == 1 else f"{len(rows):,} labeled rows"
            return None, f"{count}: too few to judge copied values by those of other rows, which takes {MIN_ROWS}"
        there = np.zeros((len(rows), len(places.fields)), dtype=np.bool_)
        there[np.repeat(np.arange(len(rows)), np.diff(places.spans.span_starts)), places.spans.spans[:, 2]] = True
        folds, note = folds_by_group(rarest_labels(there), [row.group for row in rows], seed)
        settled = np.array([row.verified for row in rows], dtype=np.bool_)
        trust = np.array([np.prod(1 - np.array(shares)) for shares in self._unsaid])
        return judge_spans(places.spans, len(places.fields), folds, trust, settled, seed), note

    def score(self, place: int) -> ValueScore:
        """The score of a row: it is wrong unless everything about it is right."""
        doubts = self._doubts
        if self._rows[place].verified:
            return ValueScore()
        if doubts is None and not self._unsaid[place] and not self._closed:
            return ValueScore()
        lacking = zip(self._places.lacking[place], self._unsaid[place], strict=False)
        found = [*(self._of_unsaid(place, leaf, share) for leaf, share in lacking), *self._closed.get(place, ())]
        of_spans = 0.0 if doubts is None else float(doubts.wrong[place])
        wrong = 1 - (1 - of_spans) * math.prod(1 - finding.share for finding in found)
        if wrong < LEAST_DOUBT:
            return ValueScore(wrong)
        named = [finding for finding in found if finding.share >= LEAST_DOUBT]
        if doubts is not None and (of_spans >= LEAST_DOUBT or (of_spans > 0 and not named)):
            spans = SpanFindings(self._rows, self._places.fields, doubts).of(place)
            (named if of_spans >= LEAST_DOUBT else found).append(spans)
        # Where many small doubts add up to one, the likeliest is named.
        named = named or [max(found, key=lambda finding: finding.share)]
        named.sort(key=lambda finding: -finding.share)
        better = named[0].better if named[0].share >= _SURE else None
        return ValueScore(min(wrong, _CERTAIN), tuple(finding.reason for finding in named), better)

    def _of_unsaid(self, place: int, leaf: Leaf, share: float) -> Finding:
        """A value that the text does not say is the likelier wrong if something else in the text looks like it."""
        row, doubts = self._rows[place], self._doubts
        if doubts is None or doubts.replaced[place] <= 0:
            return unsaid(row, leaf, share)
        path, instead = SpanFindings(self._rows, self._places.fields, doubts).instead(place)
        if path != leaf.path:
            return unsaid(row, leaf, share)
        odds = share / (1 - share) * math.exp(min(float(doubts.replaced[place]), _MOST_EVIDENCE))
        share = odds / (1 + odds)
        return unsaid(row, leaf, share, instead if share >= _SURE else "")
