"""The form of a task's answers as a grammar: what a model may write, token by token.

A model that is held to the form cannot answer in words of its own, so that an untuned one is judged by what it
knows rather than by whether it guesses the format. The grammar is llguidance's, in its dialect of Lark.
"""

import json
from collections.abc import Sequence
from typing import Any

from schemas.chat_rendering import is_single_value
from schemas.field import TargetField, ValueType
from schemas.task import Task

_YEAR = "(000[1-9]|00[1-9][0-9]|0[1-9][0-9]{2}|[1-9][0-9]{3})"
_LEAP_YEAR = (
    "([0-9]{2}(0[48]|[2468][048]|[13579][26])|(0[48]|[2468][048]|[13579][26])00)"  # 0000 is no year of Python's
)
_MONTH_AND_DAY = (
    "((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8]))"
)
_DATE = f"({_YEAR}-{_MONTH_AND_DAY}|{_LEAP_YEAR}-02-29)"
_CLOCK = "([01][0-9]|2[0-3]):[0-5][0-9]"
_TIME = rf"{_CLOCK}:[0-5][0-9](\.[0-9]{{1,6}})?([+-]{_CLOCK})?"
_WHOLE = "-?(0|[1-9][0-9]{0,17})"
_PATTERNS = {
    ValueType.INTEGER: _WHOLE,
    ValueType.NUMBER: rf"{_WHOLE}(\.[0-9]{{1,9}})?",
    ValueType.DECIMAL: rf"{_WHOLE}(\.[0-9]{{1,9}})?",
    ValueType.BOOLEAN: "true|false",
    ValueType.DATE: _DATE,
    ValueType.DATETIME: f"{_DATE}T{_TIME}",
    ValueType.TIME: _TIME,
}
_MOST = 10**18
"""Bounds of numbers within JSON: without them a model that got stuck writes digits until it is stopped."""


def grammar_of(task: type[Task]) -> str | None:
    """The grammar of the task's answers, as ``task_answer`` writes them; None if any text may be one."""
    if task.task_answer.__func__ is not Task.task_answer.__func__:  # type: ignore[attr-defined]
        # Only its author knows what it writes.
        return None
    fields = task.task_targets()
    if not is_single_value(fields):
        return _as_json(_object(fields))
    [field] = fields
    if field.is_label_set:
        return _label_set(field.choices)
    if field.many or field.type is ValueType.OBJECT:
        return _as_json(_schema(field))
    return _single(field)


def _single(field: TargetField) -> str | None:
    """A value that stands by itself."""
    if field.type is ValueType.CHOICE:
        values = [_literal(choice) for choice in field.choices]
    elif pattern := _PATTERNS.get(field.type):
        values = [f"/{pattern}/"]
    else:
        return None
    nothing = ['""'] if field.optional else []
    return f"start: {' | '.join([*values, *nothing])}"


def _label_set(choices: Sequence[str]) -> str:
    """A list of choices, each at most once, in the order of their definition, as canonical sets have them."""
    rules = ['start: "[" from_0? "]"']
    for number, choice in enumerate(choices):
        written = _literal(_text(choice))
        is_last = number == len(choices) - 1
        here = written if is_last else f'{written} ("," from_{number + 1})?'
        rules.append(f"from_{number}: {here}" if is_last else f"from_{number}: {here} | from_{number + 1}")
    return "\n".join(rules)


def _as_json(schema: dict[str, Any]) -> str:
    compact = {"whitespace_flexible": False, "item_separator": ",", "key_separator": ":"}
    return f"start: %json {json.dumps(schema | {'x-guidance': compact})}"


def _object(fields: Sequence[TargetField]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {field.name: _schema(field) for field in fields},
        "required": [field.name for field in fields if not (field.optional or field.many)],
        "additionalProperties": False,
    }


def _schema(field: TargetField) -> dict[str, Any]:
    """A value within JSON, as JSON schema."""
    one = _schema_of_one(field)
    return {"type": "array", "items": one} if field.many else one


def _schema_of_one(field: TargetField) -> dict[str, Any]:
    match field.type:
        case ValueType.CHOICE:
            return {"enum": list(field.choices)}
        case ValueType.TEXT:
            return {"type": "string"}
        case ValueType.BOOLEAN:
            return {"type": "boolean"}
        case ValueType.INTEGER:
            return {"type": "integer", "minimum": -_MOST, "maximum": _MOST}
        case ValueType.NUMBER:
            return {"type": "number", "minimum": -_MOST, "maximum": _MOST}
        case ValueType.DECIMAL | ValueType.DATE | ValueType.DATETIME | ValueType.TIME:
            return {"type": "string", "pattern": f"^({_PATTERNS[field.type]})$"}
        case ValueType.OBJECT:
            return _object(field.fields)
        case ValueType.MESSAGES:
            raise AssertionError("a conversation is never within JSON")


def _literal(text: str) -> str:
    """A text as the grammar quotes it."""
    return json.dumps(text)


def _text(value: str) -> str:
    """A text as it is in JSON."""
    return json.dumps(value, ensure_ascii=False)
