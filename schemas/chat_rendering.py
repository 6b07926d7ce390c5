"""Renders a row as chat messages, and reads a model's answer back into values."""

import functools
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from schemas.field import JsonValue, TargetField, is_absent
from schemas.message import Message, Speaker


def render_prompt(system: str, inputs: Mapping[str, Any], names: Iterable[str]) -> list[Message]:
    """The system and the user message of a row.

    Args:
        system: text of the system message.
        inputs: values by field; absent ones are left out, since a model would take ``null`` for a text.
        names: the fields to show, in order; with more than one, each value is labeled with its field's name.
    """
    names = list(names)
    texts = {name: _as_text(value) for name in names if not is_absent(value := inputs.get(name))}
    user = "\n\n".join(f"{name}: {text}" if len(names) > 1 else text for name, text in texts.items())
    return [_system_message(system), Message(role=Speaker.USER, content=user)]


def render_answer(targets: Mapping[str, JsonValue], fields: Sequence[TargetField]) -> str:
    """The assistant's text: a single scalar as its value, anything else as compact JSON.

    Optional targets without a value are left out, so that a small model writes less; a single one is the empty text.
    """
    if is_single_value(fields):
        value = targets[fields[0].name]
        return "" if value is None else _as_text(value)
    present = {f.name: targets[f.name] for f in fields if targets[f.name] not in (None, [])}
    return json.dumps(present, ensure_ascii=False, separators=(",", ":"))


def read_answer(text: str, fields: Sequence[TargetField]) -> dict[str, Any] | None:
    """The values in a model's text, not validated yet; None if it should be a JSON object and is not."""
    if is_single_value(fields):
        return {fields[0].name: text.strip()}
    try:
        values = json.loads(_without_fence(text))
    except (ValueError, RecursionError):
        # A model that got stuck may write nothing but brackets.
        return None
    return values if isinstance(values, dict) else None


def is_single_value(fields: Sequence[TargetField]) -> bool:
    """Whether the answer is one bare value instead of JSON."""
    return len(fields) == 1 and not fields[0].many


def _as_text(value: Any) -> str:
    """A value as a model reads it: texts as they are, anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


@functools.lru_cache
def _system_message(text: str) -> Message:
    """One object for all rows of a task."""
    return Message(role=Speaker.SYSTEM, content=text)


def _without_fence(text: str) -> str:
    """The content of a Markdown code block, which chat models like to put around JSON."""
    inside = re.fullmatch(r"\s*```(?:json)?\s*\n(.*)\n\s*```\s*", text, re.DOTALL)
    return inside.group(1) if inside else text
