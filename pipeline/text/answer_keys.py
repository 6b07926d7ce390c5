"""Answers as they are compared: free texts need only be similar, closed values have a form in which they are equal."""

from collections.abc import Mapping
from typing import Any

import orjson

from pipeline.text.normalize import match_key
from pipeline.text.words import words
from schemas.field import JsonValue, ValueType
from schemas.task import Task

FREE_TEXT_WORDS = 20
"""An answer of so many words is a free text, not a choice or a copy: another that is nearly the same is as good."""
_BEGINNING = 200
"""Characters that tell whether a text has so many words, where they are not parted by spaces."""


class Answers:
    """The answers to a task."""

    def __init__(self, task: type[Task]) -> None:
        """Take the task that they belong to."""
        self._texts = tuple(field.name for field in task.task_targets() if field.type is ValueType.TEXT)

    def key(self, targets: Mapping[str, JsonValue] | None) -> str | None:
        """The whole answer in the form in which equal ones are equal; None for none.

        Texts are copied from inputs, so they are compared like these; lists of them have no order.
        """
        if targets is None:
            return None
        folded = {name: _folded(targets[name]) for name in self._texts if name in targets}
        return orjson.dumps({**targets, **folded}, option=orjson.OPT_SORT_KEYS).decode()

    def free_text(self, targets: Mapping[str, JsonValue] | None) -> str:
        """The texts of an answer that are long enough to be free ones; "" where there are none."""
        if not targets:
            return ""
        return "\n".join(str(targets[name]) for name in self._texts if self._is_free_text(name, targets.get(name)))

    def closed(self, targets: Mapping[str, Any]) -> dict[str, Any]:
        """The rest of an answer."""
        return {name: value for name, value in targets.items() if not self._is_free_text(name, value)}

    def closed_key(self, targets: Mapping[str, JsonValue] | None) -> str:
        """What must be equal of an answer that is free text in part."""
        return self.key(self.closed(targets)) or "" if targets else ""

    def _is_free_text(self, name: str, value: JsonValue) -> bool:
        if name not in self._texts or not isinstance(value, str):
            return False
        # In scripts without spaces, every character is a word.
        return len(value.split(None, FREE_TEXT_WORDS - 1)) == FREE_TEXT_WORDS or (
            not value.isascii() and len(words(value[:_BEGINNING])) >= FREE_TEXT_WORDS
        )


def _folded(value: JsonValue) -> JsonValue:
    if isinstance(value, list):
        return sorted(match_key(text) for text in value)
    return match_key(value) if isinstance(value, str) else value
