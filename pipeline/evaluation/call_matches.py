"""Compares the calls of an answer with those of a gold one: the functions, and with which arguments."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence

from schemas.message import Message


def called(turns: Iterable[Message]) -> Counter[str]:
    """The functions that are called; calls in parallel have no order."""
    return Counter(call.function.name for turn in turns for call in turn.tool_calls or ())


def same_functions(answer: Sequence[Message], gold: Sequence[Message]) -> bool:
    """Whether both call the same functions, equally often."""
    return called(answer) == called(gold)


def same_calls(answer: Sequence[Message], gold: Sequence[Message]) -> bool:
    """Whether both call the same functions with equal arguments, whatever the order of their keys."""
    return _with_arguments(answer) == _with_arguments(gold)


def _with_arguments(turns: Iterable[Message]) -> Counter[tuple[str, str]]:
    calls = (call.function for turn in turns for call in turn.tool_calls or ())
    return Counter((function.name, _canonical(function.arguments)) for function in calls)


def _canonical(arguments: str) -> str:
    """Equal for equal arguments: 2 and 2.0 are one number, as in JSON schemas."""
    try:
        return json.dumps(json.loads(arguments, parse_float=_number), sort_keys=True)
    except (ValueError, RecursionError):
        return arguments


def _number(text: str) -> float:
    number = float(text)
    return int(number) if number.is_integer() else number
