"""Puts values that were found in a text into an answer, beside the values of other fields."""

from collections.abc import Collection, Iterator, Mapping, Sequence

from pipeline.ladder.slot_values import Found
from schemas.field import JsonValue, TargetField, ValueType

Targets = Mapping[str, JsonValue]


def filled(
    fields: Sequence[TargetField], paths: Collection[str], found: Sequence[Found], others: Targets, above: str = ""
) -> dict[str, JsonValue]:
    """Targets with the values that were found.

    Args:
        fields: of the task, or of an object.
        paths: the fields that were looked for.
        found: what was found.
        others: the values of the other fields.
        above: the path of the object, with a dot.
    """
    targets: dict[str, JsonValue] = {}
    for field in fields:
        path = f"{above}{field.name}"
        other = others.get(field.name)
        if not any(one == path or one.startswith(f"{path}.") for one in paths):
            targets[field.name] = other
        elif field.type is not ValueType.OBJECT:
            values = [one.value for one in found if one.path == path]
            targets[field.name] = values if field.many else next(iter(values), None)
        elif field.many:
            mine = [one for one in found if one.path.startswith(f"{path}.")]
            objects = [filled(field.fields, paths, some, {}, f"{path}.") for some in _by_object(mine)]
            targets[field.name] = [one for one in objects if _is_whole(field, one)]
        else:
            inner = filled(field.fields, paths, found, other if isinstance(other, dict) else {}, f"{path}.")
            is_absent = field.optional and all(part in (None, []) for part in inner.values())
            targets[field.name] = None if is_absent else inner
    return targets


def _by_object(found: Sequence[Found]) -> Iterator[list[Found]]:
    """Values of the objects of a list: where a field comes again, the next object begins."""
    now: dict[str, Found] = {}
    for one in found:
        if one.path in now:
            yield list(now.values())
            now = {}
        now[one.path] = one
    if now:
        yield list(now.values())


def _is_whole(field: TargetField, value: Targets) -> bool:
    return all(inner.optional or value[inner.name] is not None for inner in field.fields)
