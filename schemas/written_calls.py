"""Reads the turn that a model wrote as text: what it says, what it thinks before, and its calls of tools.

Calls are read in the notations that most models are trained on: Hermes' and Qwen's tags, Llama 3's bare object, and
Mistral's list. A call that is not written well stays in the text, where everyone sees it.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

from schemas.message import FunctionCall, Message, Speaker, ToolCall

_THOUGHT = re.compile(r"\s*(?:<think>)?(.*?)</think>", re.DOTALL)
_HERMES = re.compile(r"<tool_call>\s*(.*?)\s*(?:</tool_call>|\Z)", re.DOTALL)
_MISTRAL = "[TOOL_CALLS]"
_MISTRAL_CALL = re.compile(r"\s*([\w.-]+)(?:\[CALL_ID\]\w+)?\[ARGS\]\s*")
_LLAMA = "<|python_tag|>"
_CALL_KEYS = {"id", "type", "name", "arguments", "parameters"}


class _NoCall(ValueError):
    """What should be a call is none."""


def read_turn(text: str) -> Message:
    """A model's text as a turn of the assistant."""
    thought = _THOUGHT.match(text)
    said = text[thought.end() :] if thought else text
    try:
        content, calls = _parted(said)
    # Python's parser refuses what is nested too deeply.
    except (ValueError, RecursionError):
        content, calls = said, []
    return Message(
        role=Speaker.ASSISTANT,
        content=content.strip(),
        reasoning_content=(thought and thought[1].strip()) or None,
        tool_calls=tuple(calls) or None,
    )


def begins_call(text: str) -> bool:
    """Whether a text has what calls begin with; in what ``read_turn`` leaves, no call follows it."""
    return any(mark in text for mark in ("<tool_call>", _MISTRAL, _LLAMA))


def write_turn(content: str, calls: list[tuple[str, Any]]) -> str:
    """A turn as ``read_turn`` reads it, with calls given by name and arguments."""
    written = [json.dumps({"name": name, "arguments": given}, ensure_ascii=False) for name, given in calls]
    return "\n".join(filter(None, [content, *(f"<tool_call>\n{call}\n</tool_call>" for call in written)]))


def _parted(text: str) -> tuple[str, list[ToolCall]]:
    """What is said, and the calls.

    Raises:
        ValueError: something begins like a call and is none.
    """
    if _HERMES.search(text):
        return _HERMES.sub("", text), [_call(json.loads(inside)) for inside in _HERMES.findall(text)]
    before, tag, after = text.partition(_MISTRAL)
    if tag:
        return before, list(_mistral(after))
    before, tag, after = text.partition(_LLAMA)
    if tag:
        return before, [_call(json.loads(after))]
    bare = text.strip()
    # JSON is an answer, too; what has the keys of a call and no others is one.
    if bare.startswith("{") and bare.endswith("}"):
        return "", [_call(json.loads(bare))]
    return text, []


def _mistral(text: str) -> Iterator[ToolCall]:
    """A list of calls, or each as its name and its arguments, as newer models write them."""
    if text.lstrip().startswith("["):
        calls = json.loads(text)
        if not calls:
            raise _NoCall(text)
        yield from map(_call, calls)
        return
    for one in text.split(_MISTRAL):
        if not (head := _MISTRAL_CALL.match(one)):
            raise _NoCall(one)
        yield _call({"name": head[1], "arguments": json.loads(one[head.end() :])})


def _call(value: Any) -> ToolCall:
    if not isinstance(value, dict) or not value.keys() <= _CALL_KEYS:
        raise _NoCall(value)
    name = value.get("name")
    given = value["arguments"] if "arguments" in value else value.get("parameters")
    if not isinstance(name, str) or not name or not isinstance(given, dict | str):
        raise _NoCall(value)
    arguments = given if isinstance(given, str) else json.dumps(given, ensure_ascii=False)
    return ToolCall(function=FunctionCall(name=name, arguments=arguments))
