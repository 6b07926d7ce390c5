"""The answer of a chat in a form: its last turn in an open editor, the whole of it in a hidden one.

The hidden one carries what annotators do not edit, so that an answer comes back as it was, and an annotation can be
read without the row that it is about.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from schemas.field import is_blank, plain_text
from schemas.message import FunctionCall, Message, Speaker, ToolCall

TURN, CALLS = "turn", "calls"
"""The editors beside the hidden one: the words of the last turn, and the tools that it calls."""
_NAME = re.compile(r"\s*([^\s({]+)\s*")


def last_turn(turns: Sequence[Mapping[str, Any]]) -> int:
    """The place of the turn to edit: the assistant's that ends the conversation, or a new one after all others."""
    is_there = bool(turns) and turns[-1].get("role") == Speaker.ASSISTANT
    return len(turns) - is_there


def editor_texts(turns: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """What the editors show of an answer, by the end of their names; the hidden one has none."""
    turn = turns[last_turn(turns)] if last_turn(turns) < len(turns) else {}
    return {
        "": json.dumps(list(turns), ensure_ascii=False),
        TURN: turn.get("content", ""),
        CALLS: _calls_text(Message.model_validate(turn).tool_calls if turn else None),
    }


def read_turns(texts: Mapping[str, str]) -> list[dict[str, Any]] | None:
    """The answer in the editors; None if nothing was entered.

    Raises:
        ValueError: the calls cannot be read; the text says why.
    """
    turns = _hidden(texts.get("", ""))
    place = last_turn(turns)
    known = Message.model_validate(turns[place]) if place < len(turns) else Message(role=Speaker.ASSISTANT)
    content = texts.get(TURN, "")
    calls = _read_calls(texts.get(CALLS, ""), known.tool_calls)
    if not content.strip() and not calls:
        # A conversation that ends with a tool's turn is confirmed as it is.
        return turns if place == len(turns) and turns else None
    # A browser changes line ends: what nobody edited stays as it is, and an edited text is kept as those of fields are.
    changed = {} if _same(content, known.content) else {"content": plain_text(content)}
    turns[place : place + 1] = [known.model_copy(update={**changed, "tool_calls": calls}).as_json()]
    return turns


def _hidden(text: str) -> list[dict[str, Any]]:
    try:
        turns = json.loads(text) if text else []
        return [Message.model_validate(turn).as_json() for turn in turns]
    except (ValueError, RecursionError, TypeError) as error:
        raise ValueError(
            "the hidden field with the other turns was changed, so delete the annotation and answer the task again"
        ) from error


def _same(one: str, other: str) -> bool:
    """Whether two texts are equal but for what a browser changes: line ends, and space around the text."""
    return _with_plain_ends(one) == _with_plain_ends(other) or (is_blank(one) and is_blank(other))


def _with_plain_ends(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n").replace("\x00", "").strip()


def _calls_text(calls: Sequence[ToolCall] | None) -> str:
    return "\n\n".join(f"{call.function.name} {call.function.arguments}" for call in calls or ())


def _read_calls(text: str, known: tuple[ToolCall, ...] | None) -> tuple[ToolCall, ...] | None:
    if _same(text, _calls_text(known)):
        return known
    calls: list[ToolCall] = []
    at = 0
    while at < len(text) and text[at:].strip():
        named = _NAME.match(text, at)
        if named is None:
            raise ValueError(f'call {len(calls) + 1} has no name, got {text[at : at + 40]!r}; write: name {{"key": 1}}')
        try:
            _, end = json.JSONDecoder().raw_decode(text, named.end())
        except RecursionError as error:
            raise ValueError(f"the arguments of call {len(calls) + 1}, {named.group(1)}, nest too deeply") from error
        except ValueError as error:
            raise ValueError(
                f"the arguments of call {len(calls) + 1}, {named.group(1)}, are not JSON, got "
                f"{text[named.end() : named.end() + 40]!r}"
            ) from error
        before = known[len(calls)] if known and len(calls) < len(known) else None
        function = FunctionCall(name=named.group(1), arguments=text[named.end() : end])
        calls.append(ToolCall(id=before.id if before else None, function=function))
        at = end
    return tuple(calls) or None
