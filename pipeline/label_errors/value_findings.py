"""What is said against a value, for annotators, and the answer with a better one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.label_errors.grounding import Source
from pipeline.label_errors.span_changes import Change
from pipeline.label_errors.span_rows import SpanDoubts
from pipeline.label_errors.span_tokens import written
from pipeline.label_errors.value_places import Extracted, PlacedField
from schemas.fate import Reason, ReasonCode
from schemas.field import JsonValue, TargetField, ValueType, canonical
from schemas.field_values import Leaf

Values = dict[str, JsonValue]
_LONGEST = 80


@dataclass(frozen=True, slots=True)
class Finding:
    """One reason to doubt the values of a row."""

    share: float
    """How likely it is right, from 0 to 1."""
    reason: Reason
    better: Values | None = None
    """All values of the row, corrected; None if it is not known how."""


def quoted(value: JsonValue) -> str:
    """A value as findings show it."""
    return f"'{str(value)[:_LONGEST]}'"


def unsaid(row: Extracted, leaf: Leaf, share: float, instead: str = "") -> Finding:
    """A value that the text does not say, and what is likely to be there instead."""
    detail = f"{quoted(leaf.value)}; {quoted(instead)} looks like it" if instead else quoted(leaf.value)
    read = _read(leaf.field, instead) if instead and not leaf.objects else None
    better = None if read is None else with_values(row, {leaf.path: read})
    return Finding(share, Reason(code=ReasonCode.UNGROUNDED, field=leaf.path, detail=detail), better)


class SpanFindings:
    """Says what is likely wrong with the spans of rows."""

    def __init__(self, rows: Sequence[Extracted], fields: Sequence[PlacedField], doubts: SpanDoubts) -> None:
        self._rows, self._fields, self._doubts = rows, fields, doubts

    def instead(self, number: int) -> tuple[str, str]:
        """For a row whose text lacks a value: the field, and what stands in the text and looks like it."""
        first, end, field = self._doubts.change[number, Change.REPLACED].tolist()
        return self._fields[field].path, written(self._rows[number].text, first, end)

    def of(self, number: int) -> Finding:
        """The likeliest finding about the spans of a row."""
        kind = Change(int(self._doubts.by_change[number].argmax()))
        change = self._doubts.change[number, kind].tolist()
        path, detail, better = self._described(number, kind, change)
        reason = Reason(code=ReasonCode.LABEL_ERROR, field=path, detail=detail)
        types = {one.path: one.field for one in self._fields}
        read = {path: None if text is None else _read(types[path], text) for path, text in better.items()}
        unread = any(read[path] is None and better[path] is not None for path in read)
        values = None if unread else with_values(self._rows[number], read)
        return Finding(float(self._doubts.by_change[number, kind]), reason, values)

    def _described(self, number: int, kind: Change, change: list[int]) -> tuple[str, str, Mapping[str, str | None]]:
        """The field, what is wrong with it, and which values would be better."""
        text = self._rows[number].text
        if kind == Change.DROPPED:
            value, field = written(text, change[0], change[1]), self._fields[change[2]]
            also = "also " if field.repeats else ""
            lacks = "" if field.repeats else ", but the field is empty"
            return field.path, f"the text {also}has {quoted(value)}{lacks}", {field.path: value}
        span = self._span(number, change[0])
        value, field = written(text, span[0], span[1]), self._fields[span[2]]
        if kind in (Change.TRUNCATED, Change.EXTENDED):
            right = written(text, change[1], change[2])
            return field.path, f"{quoted(right)}, not {quoted(value)}", {field.path: right}
        if kind == Change.MOVED:
            other = self._fields[change[1]]
            return (
                field.path,
                f"{quoted(value)} looks like `{other.path}`, not `{field.path}`",
                {field.path: None, other.path: value},
            )
        if kind == Change.SWAPPED:
            span = self._span(number, change[1])
            second, other = written(text, span[0], span[1]), self._fields[span[2]]
            detail = f"{quoted(value)} looks like `{other.path}`, and {quoted(second)} like `{field.path}`"
            return field.path, detail, {field.path: second, other.path: value}
        if kind == Change.EXTRA:
            return field.path, f"{quoted(value)} does not look like one", {field.path: None}
        raise AssertionError(f"no change of spans: {kind}")

    def _span(self, number: int, place: int) -> list[int]:
        found: list[int] = self._doubts.spans[self._doubts.span_starts[number] + place].tolist()
        return found


def _read(field: TargetField, text: str) -> JsonValue:
    """What a part of a text says as a value of a field; None if that is nothing, or one of several."""
    if field.type is ValueType.TEXT:
        return text
    said = Source(text).readings(field.type)
    return canonical(field, said[0]) if len(said) == 1 else None


def with_values(row: Extracted, better: Mapping[str, JsonValue]) -> Values | None:
    """The values of a row with others at some paths; a single text is added to a list. None where that cannot be."""
    values: dict[str, Any] = dict(row.values or {})
    for path, value in better.items():
        *above, name = path.split(".")
        inner = values
        for part in above:
            if not isinstance(inner.get(part), dict):
                return None
            inner[part] = dict(inner[part])
            inner = inner[part]
        now = inner.get(name)
        if isinstance(now, list) and not isinstance(value, list):
            if value is None or any(isinstance(part, dict) for part in now) or len(better) > 1:
                return None
            inner[name] = [*now, value]
        else:
            inner[name] = value
    return values
