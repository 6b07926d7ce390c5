"""Answers in comparable form: free texts need only be similar; closed values must be equal in canonical form."""

from collections.abc import Mapping
from typing import Any

import orjson

from pipeline.text.normalize import match_key
from pipeline.text.words import words
from schemas.field import JsonValue, ValueType
from schemas.task import Task

FREE_TEXT_WORDS = 20
"""An answer with at least this many words is a free text, not a choice or a copy: a near-duplicate is as good."""
_BEGINNING = 200
"""Leading characters that decide whether a text in a script without spaces has that many words."""


class Answers:
    """Compares the answers to a task."""

    def __init__(self, task: type[Task]) -> None:
        """Take the task that the answers belong to."""
        self._texts = tuple(field.name for field in task.task_targets() if field.type is ValueType.TEXT)

    def key(self, targets: Mapping[str, JsonValue] | None) -> str | None:
        """The whole answer in canonical form, so that equal answers are equal; None if there is none.

        Texts are copied from inputs, so they are normalized in the same way; order in lists of texts is ignored.
        """
        if targets is None:
            return None
        folded = {name: _folded(targets[name]) for name in self._texts if name in targets}
        return orjson.dumps({**targets, **folded}, option=orjson.OPT_SORT_KEYS).decode()

    def free_text(self, targets: Mapping[str, JsonValue] | None) -> str:
        """The texts of an answer that are long enough to be free text; "" if there are none."""
        if not targets:
            return ""
        return "\n".join(str(targets[name]) for name in self._texts if self._is_free_text(name, targets.get(name)))

    def closed(self, targets: Mapping[str, Any]) -> dict[str, Any]:
        """The rest of an answer."""
        return {name: value for name, value in targets.items() if not self._is_free_text(name, value)}

    def closed_key(self, targets: Mapping[str, JsonValue] | None) -> str:
        """The part of a partly free-text answer that must be equal."""
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
