"""The JSON schema of a task's answers, as endpoints take it, and what is validated of an answer that came back."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from schemas.field import JsonValue, TargetField, ValueType, is_absent
from schemas.row_problems import problem_in_words
from schemas.task import Task
from schemas.task_fields import conversation_target
from schemas.task_shape import value_form

_MOST = 6
"""Problems that a model is told."""
_BEFORE, _AFTER = " \t\r\n`json", " \t\r\n`"
"""What a model may put around its JSON: a Markdown fence."""


@dataclass(frozen=True)
class Checked:
    """What validation makes of a model's text: canonical targets, or what is wrong, in words."""

    targets: dict[str, JsonValue] | None = None
    problem: str = ""


def answer_schema(task: type[Task]) -> dict[str, Any] | None:
    """An object with every target by its name; None of a conversation, whose next turn is plain text.

    Strict schemas name every field as required: what may be absent may be null instead.
    """
    return None if conversation_target(task) else _object(task.task_targets())


def _object(fields: tuple[TargetField, ...]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {field.name: _value(field) for field in fields},
        "required": [field.name for field in fields],
        "additionalProperties": False,
    }


def _value(field: TargetField) -> dict[str, Any]:
    one = _one(field)
    if field.many:
        one = {"type": "array", "items": one}
    elif field.optional:
        one = {"anyOf": [one, {"type": "null"}]}
    about = "; ".join(filter(None, [field.description, "" if field.choices else value_form(field)]))
    return one | ({"description": about} if about else {})


def _one(field: TargetField) -> dict[str, Any]:
    match field.type:
        case ValueType.CHOICE:
            return {"type": "string", "enum": list(field.choices)}
        case ValueType.BOOLEAN:
            return {"type": "boolean"}
        case ValueType.INTEGER:
            return {"type": "integer"}
        case ValueType.NUMBER:
            return {"type": "number"}
        case ValueType.TEXT | ValueType.DECIMAL | ValueType.DATE | ValueType.DATETIME | ValueType.TIME:
            return {"type": "string"}
        case ValueType.OBJECT:
            return _object(field.fields)
        case ValueType.MESSAGES:
            raise AssertionError("a conversation is never within JSON")


def check_answer(task: type[Task], inputs: Mapping[str, Any], text: str) -> Checked:
    """Validate a model's text: by every validator of the task, those over several fields and the inputs included.

    It may be the JSON that the schema asks for, or an answer as the task writes it: some servers know no schemas.
    """
    if is_absent(text):
        return Checked(problem="the answer is empty")
    try:
        read = _from_json(task, text)
        if read is not None:
            targets = task.task_validate_targets(read)
        elif (plain := None if _looks_like_json(task, text) else task.task_read_answer(text)) is None:
            return Checked(problem="the answer is not a complete JSON object with the fields of the schema")
        else:
            targets = plain
        problems = [str(reason) for reason in task.task_problems(inputs, targets)]
    except ValidationError as error:
        problems = [_problem(item, task) for item in error.errors(include_url=False, include_context=False)]
    except ValueError as error:
        problems = [str(error)]
    if problems:
        return Checked(problem="; ".join(problems[:_MOST]))
    return Checked(targets=targets)


def _problem(item: Mapping[str, Any], task: type[Task]) -> str:
    field = ".".join(map(str, item["loc"]))
    said = "it is missing" if item["type"] == "missing" else problem_in_words(item, task)
    return f"{field}: {said}" if field else said


def _looks_like_json(task: type[Task], text: str) -> bool:
    """Whether a text begins as the schema asks for: half of an object must not pass for a free text."""
    return not conversation_target(task) and text.lstrip(_BEFORE).startswith("{")


def _from_json(task: type[Task], text: str) -> dict[str, Any] | None:
    """The fields of a JSON object, possibly in a Markdown fence; None if the text is none."""
    if not _looks_like_json(task, text):
        return None
    try:
        values = json.loads(text.lstrip(_BEFORE).rstrip(_AFTER))
    except (ValueError, RecursionError):
        return None
    names = {field.name for field in task.task_targets()}
    return values if isinstance(values, dict) and names & values.keys() else None
