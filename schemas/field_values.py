"""The single values within a canonical answer, with the paths to them."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from schemas.field import JsonValue, TargetField, ValueType, admits_none, comparable, is_blank


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


def has_sets(field: TargetField) -> bool:
    """Whether a field is a set of choices or has one at any depth."""
    return field.is_label_set or any(map(has_sets, field.fields))


def repeated_label(field: TargetField, value: Any, path: tuple[str, ...] = ()) -> str:
    """Which set names a label twice, such as ``'1.tags' names 'a' more than once`` in the second object of a list."""
    if field.is_label_set and isinstance(value, list):
        named = f"'{'.'.join(path)}'" if path else "it"
        repeated = (label for label, times in Counter(map(str, value)).items() if times > 1)
        return next((f"{named} names '{label}' more than once" for label in repeated), "")
    is_list = field.many and isinstance(value, list)
    objects = [((*path, str(place)), part) for place, part in enumerate(value)] if is_list else [(path, value)]
    found = (
        repeated_label(inner, part.get(inner.name), (*at, inner.name))
        for at, part in objects
        if isinstance(part, Mapping)
        for inner in field.fields
    )
    return next(filter(None, found), "")


def blank_within(value: Any) -> str:
    """Where an object has a blank text that it needs, such as ``0.title`` in the first of a list; empty if nowhere."""
    match value:
        case BaseModel():
            parts = [(name, getattr(value, name), info) for name, info in type(value).model_fields.items()]
            needed = (name for name, part, info in parts if is_blank(part) and _needs_text(info))
            return next(needed, "") or _first_within((name, part) for name, part, _ in parts)
        case list() | tuple():
            return _first_within((str(place), part) for place, part in enumerate(value))
        case _:
            return ""


def _needs_text(info: FieldInfo) -> bool:
    return info.is_required() and not admits_none(info.annotation)


def _first_within(parts: Iterable[tuple[str, Any]]) -> str:
    return next((f"{name}.{inner}" for name, part in parts if (inner := blank_within(part))), "")


def value_in_words(value: JsonValue) -> str:
    """A value as people read it: a text as it is, a list with commas, what is absent as nothing."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list) and not any(isinstance(part, list | dict) for part in value):
        return ", ".join(map(value_in_words, value))
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False)
    return "" if value is None else str(value)


def differences(
    before: Mapping[str, JsonValue], after: Mapping[str, JsonValue]
) -> Iterator[tuple[str, JsonValue, JsonValue]]:
    """Where two canonical answers differ: the path, and both values; None for one that is not there.

    Objects are compared value by value, those of a list in their places, unless only their order differs.
    """
    for name, new in after.items():
        old = before.get(name)
        if comparable(old) == comparable(new):
            continue
        if _has_objects(old) or _has_objects(new):
            ones, others = dict(_flat(old, name)), dict(_flat(new, name))
            yield from (
                (path, ones.get(path), others.get(path))
                for path in {**ones, **others}
                if comparable(ones.get(path)) != comparable(others.get(path))
            )
        else:
            yield name, old, new


def _has_objects(value: JsonValue) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and any(isinstance(part, dict) for part in value))


def _flat(value: JsonValue, path: str) -> Iterator[tuple[str, JsonValue]]:
    """The values of an object, or of a list of objects, by paths; objects of a list are counted from 1."""
    if isinstance(value, dict):
        for name, part in value.items():
            yield from _flat(part, f"{path}.{name}")
    elif isinstance(value, list) and _has_objects(value):
        for number, part in enumerate(value, 1):
            yield from _flat(part, f"{path}.{number}")
    elif value not in (None, []):
        yield path, value
