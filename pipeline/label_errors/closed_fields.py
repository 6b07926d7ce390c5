"""Judges the fields of an answer that describe the text, like labels: choices, booleans, sets of choices.

A text field whose few values the texts mostly do not say is such a field, too. Of other optional fields that are not
copied from the text, it is judged whether a text like this one has a value at all.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from pipeline.label_errors.judged_labels import Judged
from pipeline.label_errors.kept_arrays import Arrays, Kept, as_json, from_arrays, from_json, named, of_name
from pipeline.label_errors.kept_labels import UNKNOWN, KeptLabels, learn_labels
from pipeline.label_errors.label_sets import LabelSetScores, judge_label_sets, learn_label_sets
from pipeline.label_errors.read_texts import LaterTexts, LearnedTexts
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
_FIELDS, _FIELD, _OPTIONS = "fields", "field.", "options"
"""The names of what is kept."""


@dataclass(frozen=True, slots=True)
class _Closed:
    """What is judged of one field, by row: its label, or whether it has a value."""

    field: TargetField
    path: str
    only_presence: bool = False

    @property
    def is_set(self) -> bool:
        """Whether a set of labels is judged."""
        return self.field.is_label_set and not self.only_presence


@dataclass(frozen=True, slots=True)
class _Verdict:
    """What is said about one field."""

    findings: Sequence[tuple[int, Finding]] = ()
    """With their rows."""
    note: str = ""
    kept: Arrays = field(default_factory=dict)


@dataclass(frozen=True)
class ClosedFindings:
    """What is known about the closed values of rows."""

    by_row: Mapping[int, Sequence[Finding]]
    """What speaks against the values of each; rows that nothing is known about are left out."""
    note: str = ""
    """What limits that, as text for the report."""
    kept: Arrays = field(default_factory=dict)
    """What judges later rows; nothing if no field can be judged."""
    limits: str = ""
    """What limits that."""
    any_judged: bool = False
    """Whether any field can be judged."""


def judge_closed_fields(
    rows: Sequence[Extracted], fields: Sequence[TargetField], copied: frozenset[str], seed: int
) -> ClosedFindings:
    """Judge the closed values of each row by those of the others, and keep what judges later rows.

    Args:
        rows: labeled ones, sorted by their texts.
        fields: of their values.
        copied: the paths of the text fields that are judged by where their values stand.
        seed: equal arguments give equal findings.
    """
    read, found = LearnedTexts([row.text for row in rows]), list[_Verdict]()
    judged: list[dict[str, JsonValue]] = []
    kept, limits = Arrays(), list[str]()
    for closed in _closed_fields(rows, fields, copied):
        judge = _judged_sets if closed.is_set else _judged_labels
        verdict = judge(rows, closed, read, seed)
        found.append(replace(verdict, note="") if closed.only_presence else verdict)
        if verdict.kept:
            kept |= named(f"{_FIELD}{len(judged)}", verdict.kept)
            judged.append({"path": closed.path, "only_presence": closed.only_presence})
        else:
            limits.append(found[-1].note)
    if judged:
        kept |= {_FIELDS: as_json(judged)} | read.kept_words() | read.kept_meanings()
    notes = [verdict.note for verdict in found]
    return ClosedFindings(_by_row(found), joined(notes), kept, joined(limits), bool(judged))


def judge_later_fields(rows: Sequence[Extracted], fields: Sequence[TargetField], kept: Kept) -> ClosedFindings:
    """Judge the closed values of labeled rows by what ``judge_closed_fields`` has kept of others."""
    if _FIELDS not in kept:
        return ClosedFindings({})
    read, found = LaterTexts([row.text for row in rows], kept), list[_Verdict]()
    for number, one in enumerate(from_json(kept[_FIELDS])):
        known = _field_at(fields, one["path"])
        if known is None:
            continue
        closed, arrays = _Closed(known, one["path"], one["only_presence"]), of_name(kept, f"{_FIELD}{number}")
        found.append((_later_sets if closed.is_set else _later_labels)(rows, closed, read, arrays))
    return ClosedFindings(_by_row(found), joined([verdict.note for verdict in found]), any_judged=bool(found))


def _by_row(found: Sequence[_Verdict]) -> dict[int, list[Finding]]:
    by_row: dict[int, list[Finding]] = {}
    for verdict in found:
        for number, finding in verdict.findings:
            by_row.setdefault(number, []).append(finding)
    return by_row


def joined(notes: Sequence[str]) -> str:
    """Some notes as one, each once."""
    return "; ".join(dict.fromkeys(filter(None, notes)))


def _field_at(fields: Sequence[TargetField], path: str) -> TargetField | None:
    found = None
    for name in path.split("."):
        found = next((one for one in fields if one.name == name), None)
        fields = found.fields if found else ()
    return found


def _closed_fields(
    rows: Sequence[Extracted], fields: Sequence[TargetField], copied: frozenset[str], above: str = ""
) -> Iterator[_Closed]:
    for one in fields:
        path = f"{above}{one.name}"
        if one.type is ValueType.MESSAGES or path in copied:
            continue
        if one.is_label_set or (one.type in (ValueType.CHOICE, ValueType.BOOLEAN) and not one.many):
            yield _Closed(one, path)
            continue
        values = [_value(row.values, path) for row in rows]
        if one.type is ValueType.TEXT and not (one.many or one.is_free) and _are_few(values):
            yield _Closed(one, path)
            continue
        there = sum(value not in (None, []) for value in values)
        if (one.optional or one.many) and min(there, len(values) - there) >= _LEAST_SEEN and not _holds(path, copied):
            yield _Closed(one, path, only_presence=True)
        if one.type is ValueType.OBJECT and not one.many:
            yield from _closed_fields(rows, one.fields, copied, f"{path}.")


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


def _judged_labels(rows: Sequence[Extracted], closed: _Closed, read: LearnedTexts, seed: int) -> _Verdict:
    """A single label, or whether there is a value."""
    values = [_value(row.values, closed.path) for row in rows]
    labels = [_label(value, closed.only_presence) for value in values]
    names, codes = np.unique(labels, return_inverse=True)
    groups, verified = [row.group for row in rows], np.array([row.verified for row in rows], dtype=np.bool_)
    judged, kept = learn_labels(read, codes, groups, verified, seed)
    known = np.flatnonzero(~np.isnan(judged.wrong))
    if not _tells(judged.own[known], [labels[number] for number in known.tolist()]):
        return _Verdict(note=judged.note)
    options = dict(zip(labels, values, strict=True))
    known_options = [(name, options[name]) for name in names.tolist()]
    if kept:
        kept[_OPTIONS] = as_json(known_options)
    return _Verdict(list(_label_findings(rows, closed, labels, known_options, judged)), judged.note, kept)


def _later_labels(rows: Sequence[Extracted], closed: _Closed, read: LaterTexts, kept: Kept) -> _Verdict:
    labels = [_label(_value(row.values, closed.path), closed.only_presence) for row in rows]
    options: list[tuple[str, JsonValue]] = [(name, value) for name, value in from_json(kept[_OPTIONS])]
    codes = {name: code for code, (name, _) in enumerate(options)}
    given = np.array([codes.get(label, UNKNOWN) for label in labels], dtype=np.int64)
    groups, verified = [row.group for row in rows], np.array([row.verified for row in rows], dtype=np.bool_)
    anything = np.zeros((len(rows), len(options)), dtype=np.bool_)
    judged = from_arrays(KeptLabels, kept).judge(read, given, groups, verified, anything)
    return _Verdict(list(_label_findings(rows, closed, labels, options, judged)))


def _label_findings(
    rows: Sequence[Extracted],
    closed: _Closed,
    labels: Sequence[str],
    options: Sequence[tuple[str, JsonValue]],
    judged: Judged,
) -> Iterator[tuple[int, Finding]]:
    """Where another label is likelier.

    Args:
        rows: all of them.
        closed: the field.
        labels: those of the rows.
        options: what labels there are, by their codes, and the values that they stand for.
        judged: what the models say.
    """
    for number in np.flatnonzero(~np.isnan(judged.wrong)).tolist():
        (likeliest, value), given = options[judged.suggested[number]], labels[number]
        if likeliest == given:
            continue
        better = None
        if closed.only_presence:
            detail = (
                "there is a value, but texts like this have none"
                if given
                else "it is empty, but texts like this have a value"
            )
        else:
            detail = f"'{likeliest or 'none'}', not '{given or 'none'}'"
            better = with_values(rows[number], {closed.path: value})
        reason = Reason(code=ReasonCode.LABEL_ERROR, field=closed.path, detail=detail)
        yield number, Finding(float(judged.wrong[number]), reason, better)


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


def _judged_sets(rows: Sequence[Extracted], closed: _Closed, read: LearnedTexts, seed: int) -> _Verdict:
    """A set of labels."""
    sets, groups = _sets(rows, closed), [row.group for row in rows]
    found, kept = learn_label_sets(read.texts, sets, closed.field.choices, groups, seed, read)
    return _Verdict(list(_set_findings(rows, closed, found)), found.note, kept)


def _later_sets(rows: Sequence[Extracted], closed: _Closed, read: LaterTexts, kept: Kept) -> _Verdict:
    groups = [row.group for row in rows]
    found = judge_label_sets(read.texts, _sets(rows, closed), closed.field.choices, groups, kept, read)
    return _Verdict(list(_set_findings(rows, closed, found)), found.note)


def _sets(rows: Sequence[Extracted], closed: _Closed) -> list[tuple[str, ...]]:
    values = [_value(row.values, closed.path) for row in rows]
    return [tuple(map(str, value)) if isinstance(value, list) else () for value in values]


def _set_findings(rows: Sequence[Extracted], closed: _Closed, found: LabelSetScores) -> Iterator[tuple[int, Finding]]:
    for number, score in enumerate(found.score):
        said = found.said_against(number)
        if score is not None and said:
            chosen = found.predicted[number] or ()
            better = with_values(rows[number], {closed.path: [one for one in closed.field.choices if one in chosen]})
            reason = Reason(code=ReasonCode.LABEL_ERROR, field=closed.path, detail=said)
            yield number, Finding(score, reason, better)
