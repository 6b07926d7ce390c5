"""How long an answer can be that is valid, where the task's fields have choices only."""

import json

from pipeline.text.tokens import count_tokens
from schemas.field import JsonValue, TargetField, ValueType
from schemas.task import Task


def longest_valid(task: type[Task], encoding: str) -> int | None:
    """The tokens of the longest answer as a JSON object, by our own count; None if a field is not closed.

    A model may write more: reasoning, or something else than it was asked for.
    """
    values = {field.name: _longest(field) for field in task.task_targets()}
    if not values or any(value is None for value in values.values()):
        return None
    return count_tokens([json.dumps(values, ensure_ascii=False)], encoding)[0]


def _longest(field: TargetField) -> JsonValue:
    """The value with most characters; None if they are not listed."""
    if field.is_label_set:
        return list(field.choices)
    if field.many:
        return None
    match field.type:
        case ValueType.CHOICE:
            return max(field.choices, key=len)
        case ValueType.BOOLEAN:
            return False
        case _:
            return None
