"""Finds likely wrong values among those that were read in texts: one score a row, and why.

Each field is judged by what its values are like in this set: where they stand in their texts, whether they stand there
at all, or, if they describe the text, which of them such a text has.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.label_errors.closed_fields import joined, judge_closed_fields, judge_later_fields
from pipeline.label_errors.group_folds import folds_by_group
from pipeline.label_errors.kept_arrays import Arrays, Kept, as_json, from_arrays, from_json, of_name, to_arrays
from pipeline.label_errors.kept_folds import KeptFolds, are_several, group_hashes
from pipeline.label_errors.kept_spans import KeptSpans
from pipeline.label_errors.label_odds import rarest_labels
from pipeline.label_errors.span_model import SpanLearner
from pipeline.label_errors.span_rows import SpanDoubts
from pipeline.label_errors.unsaid_values import UnsaidCounts, unsaid_shares
from pipeline.label_errors.value_findings import Finding, SpanFindings, unsaid
from pipeline.label_errors.value_places import Extracted, ValuePlaces, find_values, placed_fields
from pipeline.label_errors.value_words import is_misread
from schemas.fate import LEAST_DOUBT, Reason, ReasonCode
from schemas.field import JsonValue, TargetField, ValueType
from schemas.field_values import Leaf

__all__ = ["Extracted", "ValueScore", "ValueScores", "judge_values", "learn_values"]

Floats = npt.NDArray[np.float64]

MIN_ROWS = 200
"""With fewer labeled rows, a model knows too little of copied values: it doubted a quarter of the right ones
among 100."""
_NOTHING_LEARNED = "no answers were there to learn from, so those of new rows are not scored"
_OTHER_FIELDS = "fields were taken away since answers were learned from, so those of new rows are not scored"
_SURE = 0.5
"""From here on a correction is likelier right than the value."""
_CERTAIN = 0.9999
_ABOUT, _UNSAID, _SPANS = "about", "unsaid", "spans"
"""The names of what is kept."""
_MISREAD = 0.25
"""Of the doubt in a value that a text does not say, what is left if its signs were only misread there."""
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


def learn_values(
    rows: Sequence[Extracted], fields: Sequence[TargetField], seed: int, off: Collection[str] = ()
) -> tuple[ValueScores, Arrays]:
    """Score how likely the values of each row are wrong, and keep what judges later rows: nothing if none is labeled.

    The order of the rows does not matter.

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
        return ValueScores(scores), {}
    evidence, note, kept = _by_each_other(
        [rows[number] for number in order], fields, seed, ReasonCode.UNGROUNDED not in off
    )
    for place, number in enumerate(order):
        scores[number] = evidence.score(place)
    return ValueScores(scores, note), kept


def judge_values(
    rows: Sequence[Extracted], fields: Sequence[TargetField], kept: Kept, off: Collection[str] = ()
) -> ValueScores:
    """Score rows by what ``learn_values`` has kept of others.

    Args:
        rows, fields, off: as for ``learn_values``.
        kept: nothing if no labeled row was there to learn from.
    """
    scores = [ValueScore()] * len(rows)
    if not kept:
        return ValueScores(scores, _NOTHING_LEARNED)
    about = from_json(kept[_ABOUT])
    if not {field.path for field in placed_fields(fields)}.issuperset(about["copied"]):
        return ValueScores(scores, _OTHER_FIELDS)
    labeled = [number for number, row in enumerate(rows) if row.values is not None]
    some, grounds = [rows[number] for number in labeled], ReasonCode.UNGROUNDED not in off
    evidence, note = _later(some, fields, about["copied"], kept, grounds)
    for place, number in enumerate(labeled):
        scores[number] = evidence.score(place)
    return ValueScores(scores, joined([about["note"], note]))


def _by_each_other(
    rows: Sequence[Extracted], fields: Sequence[TargetField], seed: int, grounds: bool
) -> tuple["_Evidence", str, Arrays]:
    """What labeled rows, sorted by their texts, say of each other; what limits that, and what is kept."""
    places = find_values(rows, fields)
    unsaid = unsaid_shares(places.said, places.lacking if grounds else [[] for _ in rows])
    spans = _Spans(rows, places, unsaid, seed)
    copied = [one.path for one in places.fields if spans.doubts is not None or one.field.type is ValueType.TEXT]
    closed = judge_closed_fields(rows, fields, frozenset(copied), seed)
    evidence = _Evidence(rows, places, unsaid, spans.doubts, closed.by_row, bool(closed.by_row))
    limits = joined([closed.limits, spans.note if spans.doubts is None else ""])
    kept = {_ABOUT: as_json({"copied": copied, "note": limits}), **closed.kept, **spans.kept()}
    kept |= to_arrays(UnsaidCounts.of(places.said, places.lacking), _UNSAID)
    return evidence, joined([spans.note, closed.note]), kept


class _Spans:
    """What is known about where the values of labeled rows stand."""

    doubts: SpanDoubts | None = None
    note: str = ""

    def __init__(
        self, rows: Sequence[Extracted], places: ValuePlaces, unsaid: Sequence[Sequence[float]], seed: int
    ) -> None:
        if not len(places.spans.spans):
            return
        if len(rows) < MIN_ROWS:
            count = "1 labeled row" if len(rows) == 1 else f"{len(rows):,} labeled rows"
            self.note = f"{count}: too few to judge copied values by those of other rows, which takes {MIN_ROWS}"
            return
        there = np.zeros((len(rows), len(places.fields)), dtype=np.bool_)
        there[np.repeat(np.arange(len(rows)), np.diff(places.spans.span_starts)), places.spans.spans[:, 2]] = True
        self._groups = [row.group for row in rows]
        self._folds, self.note = folds_by_group(rarest_labels(np.hstack([there, ~there])), self._groups, seed)
        settled = np.array([row.verified for row in rows], dtype=np.bool_)
        trust = np.array([np.prod(1 - np.array(shares)) for shares in unsaid])
        self._learner = SpanLearner(places.spans, len(places.fields), self._folds, settled, seed)
        self.doubts = self._learner.judge(trust)

    def kept(self) -> Arrays:
        """What judges later rows; nothing if spans are not judged."""
        if self.doubts is None:
            return {}
        groups = group_hashes(self._groups)
        study, folds = self._learner.study(are_several(groups)), KeptFolds.of(groups, self._folds)
        return to_arrays(KeptSpans.of(study, folds), _SPANS)


def _later(
    rows: Sequence[Extracted], fields: Sequence[TargetField], copied: Sequence[str], kept: Kept, grounds: bool
) -> tuple["_Evidence", str]:
    """What is known about later labeled rows, and what limits that."""
    places = find_values(rows, fields, copied)
    unsaid = from_arrays(UnsaidCounts, kept, _UNSAID).shares(places.lacking if grounds else [[] for _ in rows])
    doubts = None
    if of_name(kept, _SPANS):
        doubts = from_arrays(KeptSpans, kept, _SPANS).judge(places.spans, [row.group for row in rows])
    closed = judge_later_fields(rows, fields, kept)
    return _Evidence(rows, places, unsaid, doubts, closed.by_row, closed.any_judged), closed.note


@dataclass(frozen=True)
class _Evidence:
    """All that is known about the values of labeled rows."""

    rows: Sequence[Extracted]
    places: ValuePlaces
    unsaid: Sequence[Sequence[float]]
    """Of every row: how likely each value is wrong that its text does not say."""
    doubts: SpanDoubts | None
    closed: Mapping[int, Sequence[Finding]]
    """By row, what speaks against its closed values."""
    closed_is_judged: bool

    def score(self, place: int) -> ValueScore:
        """The score of a row: it is wrong unless everything about it is right."""
        doubts = self.doubts
        if self.rows[place].verified:
            return ValueScore()
        if doubts is None and not self.unsaid[place] and not self.closed_is_judged:
            return ValueScore()
        lacking = zip(self.places.lacking[place], self.unsaid[place], strict=False)
        found = [*(self._of_unsaid(place, leaf, share) for leaf, share in lacking), *self.closed.get(place, ())]
        of_spans = 0.0 if doubts is None else float(doubts.wrong[place])
        wrong = 1 - (1 - of_spans) * math.prod(1 - finding.share for finding in found)
        if wrong < LEAST_DOUBT:
            return ValueScore(wrong)
        named = [finding for finding in found if finding.share >= LEAST_DOUBT]
        if doubts is not None and (of_spans >= LEAST_DOUBT or (of_spans > 0 and not named)):
            spans = SpanFindings(self.rows, self.places.fields, doubts).of(place)
            (named if of_spans >= LEAST_DOUBT else found).append(spans)
        # Where many small doubts add up to one, the likeliest is named.
        named = named or [max(found, key=lambda finding: finding.share)]
        named.sort(key=lambda finding: -finding.share)
        better = named[0].better if named[0].share >= _SURE else None
        return ValueScore(min(wrong, _CERTAIN), tuple(finding.reason for finding in named), better)

    def _of_unsaid(self, place: int, leaf: Leaf, share: float) -> Finding:
        """A value that the text does not say is the likelier wrong if something else in the text looks like it."""
        row, doubts = self.rows[place], self.doubts
        if doubts is None or doubts.replaced[place] <= 0:
            return unsaid(row, leaf, share)
        path, instead = SpanFindings(self.rows, self.places.fields, doubts).instead(place)
        if path != leaf.path:
            return unsaid(row, leaf, share)
        if is_misread(instead, leaf):
            return unsaid(row, leaf, share * _MISREAD, instead)
        odds = share / (1 - share) * math.exp(min(float(doubts.replaced[place]), _MOST_EVIDENCE))
        share = odds / (1 + odds)
        return unsaid(row, leaf, share, instead if share >= _SURE else "")
