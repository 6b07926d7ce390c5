"""Labels that a task calls otherwise now, and those that it has divided into several: ``Task.renamed``.

``{"old": "new"}`` holds for all targets that have the new label, ``{"field": {"old": "new"}}`` for one; of an object's
fields it is the path, such as ``items.kind``. ``{"old": ["new", "other"]}`` divides a label: nobody but an annotator
can say which of them it is.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from schemas.field import JsonValue, TargetField, ValueType

Renamed = Mapping[str, "str | Sequence[str] | Mapping[str, str | Sequence[str]]"]
_Names = dict[str, tuple[str, ...]]


def with_new_names(renamed: Renamed, field: TargetField, value: Any, above: str = "") -> Any:
    """A value of a target whose labels have the names that they have now; divided ones stay as they are."""
    path = above + field.name
    if isinstance(value, list | tuple):
        found: list[Any] = []
        for part in value:
            new = _of_one(renamed, field, part, path)
            # Two labels may have become one.
            if not (field.is_label_set and new != part and new in found):
                found.append(new)
        return found
    return _of_one(renamed, field, value, path)


def _of_one(renamed: Renamed, field: TargetField, value: Any, path: str) -> Any:
    if field.type is ValueType.OBJECT and isinstance(value, Mapping):
        inner = {one.name: one for one in field.fields}
        return {
            name: with_new_names(renamed, inner[name], part, f"{path}.") if name in inner else part
            for name, part in value.items()
        }
    if field.type is ValueType.CHOICE and isinstance(value, str):
        names = becomes(renamed, field, path, value)
        return names[0] if len(names) == 1 else value
    return value


def becomes(renamed: Renamed, field: TargetField, path: str, label: str) -> tuple[str, ...]:
    """The labels that one is now: several if it was divided, none if nothing is said of it."""
    names, seen = _names(renamed, path), set()
    while label in names and label not in field.choices and label not in seen:
        seen.add(label)
        if len(names[label]) > 1:
            return tuple(one for one in names[label] if one in field.choices)
        label = names[label][0]
    return (label,) if seen and label in field.choices else ()


def divided(renamed: Renamed, fields: Sequence[TargetField], targets: Mapping[str, JsonValue]) -> list[dict[str, Any]]:
    """The answers that one can have meant whose label was divided; none if none of its own labels was."""
    for field in fields:
        value = targets.get(field.name)
        for place, part in enumerate(value if isinstance(value, list) else [value]):
            if field.type is not ValueType.CHOICE or not isinstance(part, str):
                continue
            if len(names := becomes(renamed, field, field.name, part)) > 1:
                of_each = [
                    [*value[:place], one, *value[place + 1 :]] if isinstance(value, list) else one for one in names
                ]
                meant = [{**targets, field.name: one} for one in of_each]
                return [one for each in meant for one in divided(renamed, fields, each) or [each]]
    return []


def fault_of(renamed: Any, fields: Sequence[TargetField]) -> str:
    """What is wrong with ``Task.renamed``; empty if nothing is."""
    choices = dict(_choices(fields, ""))
    if not isinstance(renamed, Mapping):
        return f"renamed is {renamed!r}; write it as {{'old label': 'new label'}}"
    for old, new in renamed.items():
        if isinstance(new, Mapping):
            if old not in choices:
                return f"renamed has the field '{old}', which has no choices; name one of {', '.join(choices)}"
            found = [_fault(one, said, new, choices[old]) for one, said in new.items()]
        else:
            everywhere = {choice for some in choices.values() for choice in some}
            found = [_fault(old, new, renamed, everywhere)]
        if said := next(filter(None, found), ""):
            return said
    return ""


def _fault(old: Any, new: Any, names: Mapping[Any, Any], choices: Any) -> str:
    several = [new] if isinstance(new, str) else list(new) if isinstance(new, list | tuple | set | frozenset) else []
    if not isinstance(old, str) or not several or not all(isinstance(one, str) for one in several):
        return f"renamed has {old!r}: {new!r}; write a label's new name, or a list of those that it was divided into"
    if old in choices:
        return (
            f"renamed has '{old}', which is still a choice; remove one of them, or, if another label has got the name, "
            "give that one a name of its own: answers do not say which of the two they mean"
        )
    if odd := [one for one in several if one not in choices and (one not in names or len(several) > 1)]:
        return f"renamed has '{old}': '{odd[0]}', which is not a choice; correct it"
    label, seen = new, {old}
    while isinstance(label, str) and label not in choices and label not in seen:
        seen.add(label)
        label = names.get(label, label)
    if isinstance(label, str) and label in seen and label not in choices:
        return f"renamed leads from '{old}' in a circle, to no choice; correct it"
    return ""


def _names(renamed: Renamed, path: str) -> _Names:
    """What is said of the labels of a field, by its path."""
    everywhere = {old: new for old, new in renamed.items() if not isinstance(new, Mapping)}
    own = renamed.get(path)
    both = everywhere | (dict(own) if isinstance(own, Mapping) else {})
    return {old: (new,) if isinstance(new, str) else tuple(new) for old, new in both.items()}


def _choices(fields: Sequence[TargetField], above: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    for field in fields:
        if field.choices:
            yield above + field.name, field.choices
        yield from _choices(field.fields, f"{above}{field.name}.")
