"""A conversation, as a task's field: what was asked, what the assistant answers, and how both read as text."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from schemas.message import Speaker

_ANSWERING = (Speaker.ASSISTANT, Speaker.TOOL)
_Turn = Mapping[str, Any]
"""A message as JSON, see ``Message.as_json``."""


def parted(turns: Sequence[_Turn]) -> tuple[list[_Turn], list[_Turn]]:
    """What was asked, and the answer: the assistant's turns at the end, with the results of the tools that it called.

    The answer is empty if the conversation ends with another turn.
    """
    start = len(turns)
    while start and turns[start - 1].get("role") in _ANSWERING:
        start -= 1
    while start < len(turns) and turns[start].get("role") != Speaker.ASSISTANT:
        start += 1
    return list(turns[:start]), list(turns[start:])


def turn_text(turn: _Turn) -> str:
    """What a turn says and does, as text: its content and its calls of tools."""
    calls = [
        f"{function.get('name')}({function.get('arguments')})"
        for call in turn.get("tool_calls") or []
        if (function := call.get("function"))
    ]
    return "\n".join(filter(None, [turn.get("content") or "", *calls]))


def turn_texts(turns: Iterable[_Turn], *, without_system: bool = False) -> list[str]:
    """Every turn with its role before it, as it is compared with others."""
    silent = (Speaker.SYSTEM, Speaker.DEVELOPER) if without_system else ()
    return [f"{turn.get('role')}: {turn_text(turn)}" for turn in turns if turn.get("role") not in silent]


def about_turn(turn: int, what: str) -> str:
    """What is said about a turn, counted from 0, with the number that readers count by."""
    return f"turn {turn + 1}: {what}"


def named_turn(text: str) -> int | None:
    """The turn, from 0, that a text by ``about_turn`` is about; None for any other text."""
    found = re.match(r"turn (\d{1,9}): ", text)
    return int(found[1]) - 1 if found else None


def transcript(turns: Iterable[_Turn]) -> str:
    """A conversation as one text."""
    return "\n\n".join(turn_texts(turns))
