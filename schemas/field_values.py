"""The single values within a canonical answer, with the paths to them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from schemas.field import JsonValue, TargetField, ValueType


@dataclass(frozen=True, slots=True)
class Leaf:
    """One value that is neither a list nor an object."""

    path: str
    """The field's name; within objects with dots, such as ``items.price``."""
    field: TargetField
    value: str | int | float | bool
    objects: tuple[int, ...] = ()
    """For each list of objects on the path: the place of the object that the value is in."""


def leaves(fields: Sequence[TargetField], targets: Mapping[str, JsonValue]) -> Iterator[Leaf]:
    """All values of an answer, in the order of its fields; absent ones and the turns of conversations are left out."""
    yield from _within(fields, targets, "", ())


def _within(
    fields: Sequence[TargetField], values: Mapping[str, JsonValue], above: str, objects: tuple[int, ...]
) -> Iterator[Leaf]:
    for field in fields:
        value = values.get(field.name)
        parts = value if isinstance(value, list) else [] if value is None else [value]
        for place, part in enumerate(parts):
            if field.type is ValueType.MESSAGES or part is None:
                continue
            if isinstance(part, dict):
                at = (*objects, place) if field.many else objects
                yield from _within(field.fields, part, f"{above}{field.name}.", at)
            elif not isinstance(part, list):
                yield Leaf(f"{above}{field.name}", field, part, objects)


def leaf_paths(fields: Sequence[TargetField]) -> list[str]:
    """The paths that ``leaves`` can give."""
    return [
        path
        for field in fields
        for path in (
            [f"{field.name}.{inner}" for inner in leaf_paths(field.fields)]
            if field.type is ValueType.OBJECT
            else [field.name]
        )
    ]


def completed(field: TargetField, value: Any) -> Any:
    """A value whose objects have None or an empty list where an optional field was left out."""
    if field.type is not ValueType.OBJECT:
        return value
    if isinstance(value, list):
        return [completed(field, part) for part in value]
    if not isinstance(value, Mapping):
        return value
    found = dict(value)
    for inner in field.fields:
        if inner.name in found:
            found[inner.name] = completed(inner, found[inner.name])
        elif inner.optional or inner.many:
            found[inner.name] = [] if inner.many else None
    return found
