"""Renders a row as chat messages, and reads a model's answer back into values."""

import functools
import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from pydantic import JsonValue

from schemas.conversation import transcript, turn_text
from schemas.field import TargetField, ValueType, is_absent
from schemas.message import Message, Speaker
from schemas.written_calls import read_turn


def render_prompt(
    system: str, inputs: Mapping[str, Any], names: Sequence[str], turns: Collection[str] = ()
) -> list[Message]:
    """The system and the user message of a row.

    Args:
        system: text of the system message.
        inputs: values by field; absent ones are left out, since a model would take ``null`` for a text.
        names: the fields to show, in order; with more than one, each value is labeled with its field's name.
        turns: those of them that are conversations.
    """
    return [_system_message(system), Message(role=Speaker.USER, content=user_text(inputs, names, turns))]


def user_text(inputs: Mapping[str, Any], names: Sequence[str], turns: Collection[str] = ()) -> str:
    """The text of that user message."""
    texts = {
        name: transcript(inputs[name]) if name in turns else _as_text(inputs[name])
        for name in names
        if not is_absent(inputs.get(name))
    }
    return "\n\n".join(f"{name}: {text}" if len(names) > 1 else text for name, text in texts.items())


def render_conversation(inputs: Mapping[str, Any], name: str, others: Iterable[str]) -> list[Message]:
    """A conversation to be continued, as it is; the other inputs begin its system message."""
    messages = [Message.model_validate(turn) for turn in inputs.get(name) or []]
    texts = [f"{other}: {_as_text(value)}" for other in others if not is_absent(value := inputs.get(other))]
    if not texts:
        return messages
    own = messages.pop(0).content if messages and messages[0].role is Speaker.SYSTEM else ""
    return [Message(role=Speaker.SYSTEM, content="\n\n".join(filter(None, [*texts, own]))), *messages]


def render_answer(targets: Mapping[str, JsonValue], fields: Sequence[TargetField]) -> str:
    """The assistant's text: a single text, number or choice as its value, anything else as compact JSON.

    Optional targets without a value are left out, so that a small model writes less; a single one is the empty text.
    """
    if not is_single_value(fields):
        return _compact({f.name: _present(f, targets[f.name]) for f in fields if targets[f.name] not in (None, [])})
    [field] = fields
    value = targets[field.name]
    if field.type is ValueType.MESSAGES:
        turns = value if isinstance(value, list) else []
        return turn_text(turns[-1]) if turns and isinstance(turns[-1], dict) else ""
    if value is None or isinstance(value, str):
        return value or ""
    return _compact(_present(field, value))


def _present(field: TargetField, value: JsonValue) -> JsonValue:
    """A value without the parts that objects in it do not have."""
    if field.type is not ValueType.OBJECT:
        return value
    objects = value if isinstance(value, list) else [value]
    present: list[JsonValue] = [
        {f.name: _present(f, one[f.name]) for f in field.fields if one[f.name] not in (None, [])}
        for one in objects
        if isinstance(one, dict)
    ]
    return present if field.many else present[0]


def read_answer(text: str, fields: Sequence[TargetField]) -> dict[str, Any] | None:
    """The values in a model's text, not validated yet; None if it should be JSON and is not."""
    only = fields[0] if is_single_value(fields) else None
    if only and only.type is ValueType.MESSAGES:
        return {only.name: [read_turn(text).as_json()]}
    # Of an object, nothing means that there is none.
    if only and not only.many and (only.type is not ValueType.OBJECT or not text.strip()):
        return {only.name: text.strip()}
    try:
        values = json.loads(_without_fence(text))
    except (ValueError, RecursionError):
        # A model that got stuck may write nothing but brackets.
        return None
    if only:
        return {only.name: values} if isinstance(values, list if only.many else dict) else None
    # An empty set was left out, too, though a form would not let an annotator do so.
    return {field.name: [] for field in fields if field.is_label_set} | values if isinstance(values, dict) else None


def is_single_value(fields: Sequence[TargetField]) -> bool:
    """Whether the answer is one value instead of an object with the fields' names."""
    return len(fields) == 1


def _as_text(value: Any) -> str:
    """A value as a model reads it: texts as they are, anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _compact(value: JsonValue) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


@functools.lru_cache
def _system_message(text: str) -> Message:
    """One object for all rows of a task."""
    return Message(role=Speaker.SYSTEM, content=text)


def _without_fence(text: str) -> str:
    """The content of a Markdown code block, which chat models like to put around JSON."""
    inside = re.fullmatch(r"\s*```(?:json)?\s*\n(.*)\n\s*```\s*", text, re.DOTALL)
    return inside.group(1) if inside else text
