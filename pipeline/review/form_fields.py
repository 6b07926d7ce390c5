"""The targets of a task as the controls of a form: an object is a control for each of its fields, a list of objects is
a table in text.
"""

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from schemas.field import JsonValue, TargetField, ValueType
from schemas.task import Task

_BETWEEN = "-"
"""Between the names of a control; no field has it in its name."""


@dataclass(frozen=True, slots=True)
class FormField:
    """A target, or a field within an object, that annotators fill in as one."""

    path: tuple[str, ...]
    """The names of the target and of the fields within it."""
    field: TargetField

    @property
    def control(self) -> str:
        """The name of its control."""
        return _BETWEEN.join(self.path)

    @property
    def shown(self) -> str:
        """Its name as in messages."""
        return ".".join(self.path)

    def value_in(self, targets: Mapping[str, Any]) -> Any:
        """Its value in an answer; None where an object around it is absent."""
        value: Any = targets
        for name in self.path:
            value = value.get(name) if isinstance(value, Mapping) else None
        return value


def form_fields(task: type[Task]) -> tuple[FormField, ...]:
    """What a form asks, in the order of the task's fields."""
    return _fields_of(tuple(task.task_targets()))


@functools.lru_cache(maxsize=32)
def _fields_of(targets: tuple[TargetField, ...]) -> tuple[FormField, ...]:
    return tuple(found for field in targets for found in _within(field, ()))


def _within(field: TargetField, above: tuple[str, ...]) -> Iterator[FormField]:
    path = (*above, field.name)
    if field.type is ValueType.OBJECT and not field.many:
        for inner in field.fields:
            yield from _within(inner, path)
    else:
        yield FormField(path, field)


def has_its_fields(task: type[Task], targets: Mapping[str, JsonValue]) -> bool:
    """Whether an answer has all the fields that the task asks for now; of an absent object nobody knows."""
    return _are_fields_of(task.task_targets(), targets)


def _are_fields_of(fields: Sequence[TargetField], values: JsonValue | Mapping[str, JsonValue]) -> bool:
    if isinstance(values, list):
        return all(_are_fields_of(fields, one) for one in values)
    if not isinstance(values, Mapping):
        return True
    if not all(field.name in values and _takes(field, values[field.name]) for field in fields):
        return False
    return all(_are_fields_of(field.fields, values[field.name]) for field in fields if field.type is ValueType.OBJECT)


def _takes(field: TargetField, value: JsonValue) -> bool:
    """Whether a value is one, or are several, as the field has it: one label does not say that no other applies."""
    return value is None or isinstance(value, list) == (field.many or field.type is ValueType.MESSAGES)


def assembled(task: type[Task], values: Mapping[tuple[str, ...], JsonValue]) -> dict[str, Any]:
    """An answer out of the values of its form fields by path; an optional object without any value is absent."""
    return {field.name: _assembled(field, (field.name,), values) for field in task.task_targets()}


def _assembled(field: TargetField, path: tuple[str, ...], values: Mapping[tuple[str, ...], JsonValue]) -> Any:
    if field.type is not ValueType.OBJECT or field.many:
        return values.get(path)
    found = {inner: _assembled(inner, (*path, inner.name), values) for inner in field.fields}
    # Of what is missing and must not be, validation says so.
    parts = {inner.name: value for inner, value in found.items() if value is not None or inner.optional}
    return None if field.optional and all(part in (None, []) for part in found.values()) else parts
