"""A task's schema: its names, roles and types without the texts, and how a model must write a value."""

import functools
import hashlib
import json
from typing import TYPE_CHECKING, Any

from schemas.field import TargetField, ValueType
from schemas.partial_model import partial_model
from schemas.roles import Role

if TYPE_CHECKING:
    # Tasks need this module.
    from schemas.task import Task


def class_digest(task: "type[Task]") -> str:
    """16 hex digits over a task's class: its name, and the names, roles and types of its fields."""
    return _digest(task.__name__, *_shape(task))


@functools.cache
def shape_digest(task: "type[Task]") -> str:
    """The same, whatever the class is called."""
    return _digest(*_shape(task))


def _shape(task: "type[Task]") -> tuple[Any, dict[Role, list[str]]]:
    context = task.task_names(Role.CONTEXT)
    names = [name for name in task.model_fields if name not in context]
    model = partial_model(task, names, task.__name__) if context else task
    schema = shape_of(model.model_json_schema())
    return schema, {role: sorted(task.task_names(role)) for role in (Role.INPUT, Role.TARGET)}


def _digest(*parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def shape_of(schema: Any) -> Any:
    """A JSON schema without its texts, and with sets in a fixed order."""
    if isinstance(schema, list):
        return [shape_of(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    shape = {}
    for key, value in schema.items():
        # A property may itself be called "title" or "required": then its value is a schema.
        if key in ("title", "description") and isinstance(value, str):
            continue
        shape[key] = (
            sorted(value, key=repr) if key in ("enum", "required") and isinstance(value, list) else shape_of(value)
        )
    return shape


_FORMS = {
    ValueType.TEXT: ("", "texts"),
    ValueType.BOOLEAN: ("true or false", "booleans"),
    ValueType.INTEGER: ("a whole number", "whole numbers"),
    ValueType.NUMBER: ("a number", "numbers"),
    ValueType.DECIMAL: ('an amount as text, such as "4841.4"', 'amounts as texts, such as "4841.4"'),
    ValueType.DATE: ("a date as YYYY-MM-DD", "dates as YYYY-MM-DD"),
    ValueType.DATETIME: ("a date and time as YYYY-MM-DDThh:mm:ss", "dates and times as YYYY-MM-DDThh:mm:ss"),
    ValueType.TIME: ("a time as hh:mm:ss", "times as hh:mm:ss"),
    ValueType.MESSAGES: ("", "conversations"),
}
"""How a value of a type is written, and several."""


def value_form(field: TargetField, *, alone: bool = False) -> str:
    """How a model must write a value; empty for texts, which are written as they are.

    Args:
        field: has the value.
        alone: it is the whole answer, and not a part of JSON, in which a decimal is a text so that no digit is lost.
    """
    if field.is_label_set:
        return f"a {'JSON ' if alone else ''}list of all that apply: {_choices(field)}"
    if field.many and field.type is not ValueType.MESSAGES:
        return f"a list of {_plural(field)}"
    match field.type:
        case ValueType.CHOICE:
            return f"one of: {_choices(field)}"
        case ValueType.OBJECT:
            return f"an object with {_parts(field)}"
        case ValueType.DECIMAL if alone:
            return "a number"
        case _:
            return _FORMS[field.type][0]


def _plural(field: TargetField) -> str:
    return f"objects with {_parts(field)}" if field.type is ValueType.OBJECT else _FORMS[field.type][1]


def _choices(field: TargetField) -> str:
    # A comma within a choice would look like its end.
    return ("; " if any("," in choice for choice in field.choices) else ", ").join(field.choices)


def _parts(field: TargetField) -> str:
    return ", ".join(field_form(inner) for inner in field.fields)


def field_form(field: TargetField) -> str:
    """A field's name, with how its value is written and what it means in parentheses."""
    note = "; ".join(filter(None, [value_form(field), field.description]))
    return f"{field.name} ({note})" if note else field.name
