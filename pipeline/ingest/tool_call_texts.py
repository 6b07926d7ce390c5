"""Reads tool calls from JSON; a call's arguments keep the very bytes that the source's JSON text has."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from pipeline.ingest.json_rows import is_too_deep
from schemas.json_numbers import unkept_numbers

# Numbers stay text: only the places of values matter here, and Python refuses to parse thousands of digits.
_DECODER = json.JSONDecoder(parse_int=str, parse_float=str)
_SPACE = re.compile(r"[ \t\n\r]*")
_ARGUMENTS = ("arguments", "parameters")
"""Llama's calls have ``parameters``."""
_CALL_KEYS = frozenset({"id", "type", "function", "name", *_ARGUMENTS})
_SHOWN = 60


class NotAChat(ValueError):
    """A row holds no conversation that can be read; the text says what is wrong, which value, and what to do."""

    def __init__(self, text: str, field: str = "") -> None:
        super().__init__(text)
        self.field = field
        """Of the task."""
        self.fits_layout: bool | None = None
        """Whether the row is in the layout that dataset.yaml names, or in one of those that are looked for; None if
        nobody can say.
        """


def shown(value: Any) -> str:
    """A value as errors quote it, on one line."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    text = " ".join(text[: 4 * _SHOWN].split())
    return f"'{text[:_SHOWN]}…'" if len(text) > _SHOWN else f"'{text}'"


def from_json(text: str, what: str, remedy: str) -> Any:
    """The value of a JSON text."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise NotAChat(f"{what} is a text that is not JSON ({error.msg}): {shown(text)}; {remedy}") from error
    # What a text holds is written one level deeper than the text was.
    if is_too_deep([[value]]):
        raise NotAChat(f"{what} is nested too deeply to be written: {shown(text)}; flatten it")
    return value


def read_calls(value: Any, where: str, ignored: set[str]) -> list[dict[str, Any]]:
    """The calls of a turn, as a message writes them.

    Args:
        value: one call or a list of them, in OpenAI's form or as bare name and arguments, or a JSON text of either.
        where: the turn, for errors.
        ignored: receives the keys that a call does not keep.
    """
    texts: list[str | None] = []
    if isinstance(value, str):
        what = f"the tool call of {where}"
        text, value = value, from_json(value, what, 'write it as {"name": …, "arguments": {…}}')
        try:
            texts = list(_argument_texts(text))
        except RecursionError as error:
            raise NotAChat(f"{what} is nested too deeply to be read: {shown(text)}; flatten it") from error
    calls = value if isinstance(value, list) else [value]
    texts = texts or [None] * len(calls)
    return [_call(call, text, where, ignored) for call, text in zip(calls, texts, strict=True)]


def _call(call: Any, text: str | None, where: str, ignored: set[str]) -> dict[str, Any]:
    """One call, given the text of its arguments if the call was cut out of a JSON text."""
    if not isinstance(call, dict):
        raise NotAChat(f"a tool call of {where} is {shown(call)}; write it as an object with name and arguments")
    if (kind := call.get("type")) not in (None, "function"):
        raise NotAChat(f"a tool call of {where} has the type {shown(kind)}; only calls of functions can be read")
    function = call.get("function")
    if isinstance(function, str):
        raise NotAChat(f"`function` in a tool call of {where} is {shown(function)}; write an object with its name")
    function = call if function is None else function
    if not isinstance(function, dict) or not isinstance(name := function.get("name"), str) or not name:
        raise NotAChat(f"a tool call of {where} names no function: {shown(call)}; give it a `name`")
    if not isinstance(call_id := call.get("id"), str | None):
        raise NotAChat(f"a tool call of {where} has the id {shown(call_id)}; write it as a text")
    ignored.update(key for key, kept in (call | function).items() if kept is not None and key not in _CALL_KEYS)
    arguments = _written(_given(function), text, where)
    named = {} if call_id is None else {"id": call_id}
    return {**named, "type": "function", "function": {"name": name, "arguments": arguments}}


def _given(function: Mapping[str, Any]) -> Any:
    """The arguments of a call; the second name counts if the first has nothing."""
    return next((function[key] for key in _ARGUMENTS if function.get(key) is not None), None)


def _written(arguments: Any, text: str | None, where: str) -> str:
    """The arguments as JSON text: the source's own, if it has one."""
    if isinstance(arguments, str):
        return arguments
    if arguments is None:
        return "{}"
    if text is not None:
        return text
    if (number := next(unkept_numbers(arguments), None)) is not None:
        raise NotAChat(
            f"the arguments of a tool call of {where} are an object with a number of more than 64 bits or nearly 0, "
            f"which was read as {shown(number)}; write them as a JSON text, which keeps its digits"
        )
    try:
        return orjson.dumps(arguments).decode()
    except (orjson.JSONEncodeError, UnicodeDecodeError) as error:
        raise NotAChat(f"the arguments of a tool call of {where} cannot be written as JSON ({error})") from error


def _argument_texts(text: str) -> Iterator[str | None]:
    """For each call in a valid JSON text, the part that holds its arguments."""
    start = _after_space(text, 0)
    for at in _items(text, start) if text[start] == "[" else [start]:
        members = _members(text, at) if text[at] == "{" else {}
        if (inner := members.get("function")) and text[inner[0]] == "{":
            members = _members(text, inner[0])
        spans = [members[key] for key in _ARGUMENTS if key in members]
        yield next((cut for first, end in spans if (cut := text[first:end]) != "null"), None)


def _members(text: str, at: int) -> dict[str, tuple[int, int]]:
    """Where the values of an object in a valid JSON text begin and end; the last of two equal keys counts."""
    found = {}
    at = _after_space(text, at + 1)
    while text[at] != "}":
        key, at = _DECODER.raw_decode(text, at)
        start = _after_space(text, _after_space(text, at) + 1)
        _, end = _DECODER.raw_decode(text, start)
        found[key] = (start, end)
        at = _next(text, end)
    return found


def _items(text: str, at: int) -> Iterator[int]:
    """Where the items of the list at a place of a valid JSON text begin."""
    at = _after_space(text, at + 1)
    while text[at] != "]":
        yield at
        _, end = _DECODER.raw_decode(text, at)
        at = _next(text, end)


def _next(text: str, at: int) -> int:
    """The next member, or the bracket that ends them."""
    at = _after_space(text, at)
    return _after_space(text, at + 1) if text[at] == "," else at


def _after_space(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at
