"""Judges the fields of an answer that describe the text, like labels: choices, booleans, sets of choices.

A text field whose few values the texts mostly do not say is such a field, too. Of other optional fields that are not
copied from the text, it is judged whether a text like this one has a value at all.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.label_errors.judged_labels import Judged, judge_labels
from pipeline.label_errors.label_sets import LabelSetScores, label_set_scores
from pipeline.label_errors.value_findings import Finding, with_values
from pipeline.label_errors.value_places import Extracted
from schemas.fate import Reason, ReasonCode
from schemas.field import JsonValue, TargetField, ValueType

Floats = npt.NDArray[np.float64]

_FEW_VALUES, _ROWS_OF_VALUE = 50, 10
"""A text field with at most so many values, and that many rows for each, is like a choice."""
_LEAST_SEEN = 5
"""So many rows must have a value, and so many none, before its absence is judged."""
_LEAST_GAIN = 0.1
_SHARES = np.linspace(0, 1, 21)
"""Of labels that do not follow the text: as many are tried."""
_NONE, _THERE = "", "some"


@dataclass(frozen=True, slots=True)
class _Closed:
    """What is judged of one field, by row: its label, or whether it has a value."""

    field: TargetField
    path: str
    only_presence: bool = False


def judge_closed_fields(
    rows: Sequence[Extracted], fields: Sequence[TargetField], copied: frozenset[str], seed: int
) -> tuple[dict[int, list[Finding]], str]:
    """What speaks against the closed values of each row, and what limits that, as text for the report.

    Rows that nothing is known about are left out.

    Args:
        rows: labeled ones.
        fields: of their values.
        copied: the paths of the text fields that are judged by where their values stand.
        seed: equal arguments give equal findings.
    """
    found: dict[int, list[Finding]] = {}
    notes: list[str] = []
    for closed in _closed_fields(rows, fields, copied):
        judge = _judged_sets if closed.field.is_label_set and not closed.only_presence else _judged_labels
        note, findings = judge(rows, closed, seed)
        notes += [note] if note and not closed.only_presence else []
        for number, finding in findings:
            found.setdefault(number, []).append(finding)
    return found, "; ".join(dict.fromkeys(notes))


def _closed_fields(
    rows: Sequence[Extracted], fields: Sequence[TargetField], copied: frozenset[str], above: str = ""
) -> Iterator[_Closed]:
    for field in fields:
        path = f"{above}{field.name}"
        if field.type is ValueType.MESSAGES or path in copied:
            continue
        if field.is_label_set or (field.type in (ValueType.CHOICE, ValueType.BOOLEAN) and not field.many):
            yield _Closed(field, path)
            continue
        values = [_value(row.values, path) for row in rows]
        if field.type is ValueType.TEXT and not (field.many or field.is_free) and _are_few(values):
            yield _Closed(field, path)
            continue
        there = sum(value not in (None, []) for value in values)
        if (
            (field.optional or field.many)
            and min(there, len(values) - there) >= _LEAST_SEEN
            and not _holds(path, copied)
        ):
            yield _Closed(field, path, only_presence=True)
        if field.type is ValueType.OBJECT and not field.many:
            yield from _closed_fields(rows, field.fields, copied, f"{path}.")


def _are_few(values: Sequence[JsonValue]) -> bool:
    counts = Counter(str(value) for value in values if value is not None)
    return 0 < len(counts) <= min(_FEW_VALUES, counts.total() // _ROWS_OF_VALUE)


def _holds(path: str, copied: frozenset[str]) -> bool:
    """Whether an object holds values whose absence is judged by where they would stand."""
    return any(one.startswith(f"{path}.") for one in copied)


def _value(values: Mapping[str, JsonValue] | None, path: str) -> JsonValue:
    found: JsonValue = dict(values or {})
    for name in path.split("."):
        found = found.get(name) if isinstance(found, dict) else None
    return found


def _judged_labels(rows: Sequence[Extracted], closed: _Closed, seed: int) -> tuple[str, Iterator[tuple[int, Finding]]]:
    """A single label, or whether there is a value: what limits the judgment, and the findings by row."""
    values = [_value(row.values, closed.path) for row in rows]
    labels = [_label(value, closed.only_presence) for value in values]
    codes = np.unique(labels, return_inverse=True)[1]
    verified = np.array([row.verified for row in rows], dtype=np.bool_)
    judged = judge_labels([row.text for row in rows], codes, [row.group for row in rows], verified, seed)
    known = np.flatnonzero(~np.isnan(judged.wrong))
    if not _tells(judged.own[known], [labels[number] for number in known.tolist()]):
        return judged.note, iter(())
    return judged.note, _label_findings(rows, closed, values, labels, judged)


def _label_findings(
    rows: Sequence[Extracted], closed: _Closed, values: Sequence[JsonValue], labels: Sequence[str], judged: Judged
) -> Iterator[tuple[int, Finding]]:
    names, codes = np.unique(labels, return_inverse=True)
    known = np.flatnonzero(~np.isnan(judged.wrong))
    options = dict(zip(labels, values, strict=True))
    for number in known[judged.suggested[known] != codes[known]].tolist():
        likeliest, given = str(names[judged.suggested[number]]), labels[number]
        better = None
        if closed.only_presence:
            detail = (
                "there is a value, but texts like this have none"
                if given
                else "it is empty, but texts like this have a value"
            )
        else:
            detail = f"'{likeliest or 'none'}', not '{given or 'none'}'"
            better = with_values(rows[number], {closed.path: options[likeliest]})
        yield (
            number,
            Finding(
                float(judged.wrong[number]),
                Reason(code=ReasonCode.LABEL_ERROR, field=closed.path, detail=detail),
                better,
            ),
        )


def _tells(own: Floats, labels: Sequence[str]) -> bool:
    """Whether the texts say anything about the labels: the models must beat their frequencies by a tenth.

    Wrong labels are no proof against that, and the better the models, the less they expect them. So a share of the
    labels may be as frequent as they are whatever the text is: the share that makes the given ones likeliest.

    Args:
        own: how likely each given label is by the text.
        labels: the given ones.
    """
    if not len(labels):
        return False
    counts = Counter(labels)
    frequent = np.array([counts[label] for label in labels]) / len(labels)
    following = np.maximum(own, 1e-9)
    best = max(float(np.log(share * frequent + (1 - share) * following).mean()) for share in _SHARES)
    return best > (1 - _LEAST_GAIN) * float(np.log(frequent).mean())


def _label(value: JsonValue, only_presence: bool) -> str:
    if value is None or value == []:
        return _NONE
    if only_presence:
        return _THERE
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)


def _judged_sets(rows: Sequence[Extracted], closed: _Closed, seed: int) -> tuple[str, Iterator[tuple[int, Finding]]]:
    """A set of labels: what limits the judgment, and the findings by row."""
    values = [_value(row.values, closed.path) for row in rows]
    sets = [tuple(map(str, value)) if isinstance(value, list) else () for value in values]
    texts, groups = [row.text for row in rows], [row.group for row in rows]
    found = label_set_scores(texts, sets, closed.field.choices, groups, seed)
    return found.note, _set_findings(rows, closed, found)


def _set_findings(rows: Sequence[Extracted], closed: _Closed, found: LabelSetScores) -> Iterator[tuple[int, Finding]]:
    for number, score in enumerate(found.score):
        said = found.said_against(number)
        if score is not None and said:
            chosen = found.predicted[number] or ()
            better = with_values(rows[number], {closed.path: [one for one in closed.field.choices if one in chosen]})
            reason = Reason(code=ReasonCode.LABEL_ERROR, field=closed.path, detail=said)
            yield number, Finding(score, reason, better)
