"""A task's schema: its names, roles and types without the texts, and how a model must write a value."""

from typing import Any

from schemas.field import TargetField, ValueType


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


def value_form(field: TargetField) -> str:
    """How a model must write a value; empty for texts, which are written as they are."""
    if field.many:
        return "a list of texts"
    # A comma within a choice would look like its end.
    comma = "; " if any("," in choice for choice in field.choices) else ", "
    match field.type:
        case ValueType.CHOICE:
            return f"one of: {comma.join(field.choices)}"
        case ValueType.BOOLEAN:
            return "true or false"
        case ValueType.INTEGER:
            return "a whole number"
        case ValueType.NUMBER:
            return "a number"
        case ValueType.DATE:
            return "a date as YYYY-MM-DD"
        case ValueType.TEXT:
            return ""
