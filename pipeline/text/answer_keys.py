"""Answers in comparable form: free texts need only be similar; closed values must be equal in canonical form."""

from collections.abc import Mapping
from typing import Any

import orjson

from pipeline.text.normalize import match_key
from pipeline.text.words import words
from schemas.field import JsonValue, TargetField, ValueType
from schemas.moments import in_utc
from schemas.task import Task

FREE_TEXT_WORDS = 20
"""An answer with at least this many words is a free text, not a choice or a copy: a near-duplicate is as good."""
_BEGINNING = 200
"""Leading characters that decide whether a text in a script without spaces has that many words."""


class Answers:
    """Compares the answers to a task."""

    def __init__(self, task: type[Task]) -> None:
        """Take the task that the answers belong to."""
        self._fields = {field.name: field for field in task.task_targets()}

    def key(self, targets: Mapping[str, JsonValue] | None) -> str | None:
        """The whole answer in canonical form, so that equal answers are equal; None if there is none.

        Texts are copied from inputs, so they are normalized in the same way. The order of a list is ignored, and so is
        the offset of a date-time or time from UTC.
        """
        if targets is None:
            return None
        folded = {name: _folded(self._fields.get(name), value) for name, value in targets.items()}
        return _written(folded).decode()

    def free_text(self, targets: Mapping[str, JsonValue] | None) -> str:
        """The texts of an answer that are long enough to be free text; "" if there are none."""
        if not targets:
            return ""
        texts = (self._text(name, targets.get(name)) for name in self._fields)
        return "\n".join(text for text in texts if _is_free(text))

    def closed(self, targets: Mapping[str, Any]) -> dict[str, Any]:
        """The rest of an answer; of turns that are free text, who speaks and which tools are called."""
        closed: dict[str, Any] = {}
        for name, value in targets.items():
            if not _is_free(self._text(name, value)):
                closed[name] = value
            elif isinstance(value, list):
                closed[name] = [{part: turn[part] for part in turn if part != "content"} for turn in value]
        return closed

    def closed_key(self, targets: Mapping[str, JsonValue] | None) -> str:
        """The part of a partly free-text answer that must be equal."""
        return self.key(self.closed(targets)) or "" if targets else ""

    def _text(self, name: str, value: JsonValue) -> str:
        """What may be free text in a field's value; "" if it is closed."""
        field = self._fields.get(name)
        if field is None or field.many:
            return ""
        if field.type is ValueType.MESSAGES:
            turns = value if isinstance(value, list) else []
            return "\n".join(str(turn.get("content", "")) for turn in turns if isinstance(turn, dict))
        return value if field.type is ValueType.TEXT and isinstance(value, str) else ""


def _is_free(text: str) -> bool:
    # In scripts without spaces, every character is a word.
    return len(text.split(None, FREE_TEXT_WORDS - 1)) == FREE_TEXT_WORDS or (
        not text.isascii() and len(words(text[:_BEGINNING])) >= FREE_TEXT_WORDS
    )


def _folded(field: TargetField | None, value: JsonValue) -> JsonValue:
    """A value in the form in which equal ones are equal."""
    if field is None or not (isinstance(value, list) and field.many):
        return value if field is None else _folded_one(field, value)
    return sorted((_folded_one(field, part) for part in value), key=_written)


def _written(value: JsonValue) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def _folded_one(field: TargetField, value: JsonValue) -> JsonValue:
    if isinstance(value, str):
        is_moment = field.type in (ValueType.DATETIME, ValueType.TIME)
        return match_key(value) if field.type is ValueType.TEXT else in_utc(value) if is_moment else value
    if isinstance(value, dict):
        inner = {one.name: one for one in field.fields}
        return {name: _folded(inner.get(name), part) for name, part in value.items()}
    if isinstance(value, list):
        return [_folded_turn(turn) for turn in value]
    return value


def _folded_turn(turn: JsonValue) -> JsonValue:
    return turn | {"content": match_key(str(turn.get("content", "")))} if isinstance(turn, dict) else turn
