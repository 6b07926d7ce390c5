"""A chat message, the unit that a task renders to and that trainers read."""

import json
import math
import re
import unicodedata
from enum import StrEnum
from typing import Any, Literal

from pydantic import BaseModel, field_validator

from schemas.json_numbers import is_kept

_MOST_LEVELS = 100
"""Of arguments as an object; chat templates are written in Jinja, which fails at some hundreds."""

_PLACEHOLDER = re.compile("#?n/?a|none|null|nan|nil|notavailable|undefined|todo|tb[da]|#value!|#ref!")
_SIGNS_ONLY = re.compile(r"[\s.…·,;:!?*_`\u2013\u2014-]*")
_BLANK = re.compile("[\u034f\u115f\u1160\u2800\u3164\uffa0\ufe00-\ufe0f]")
"""Letters and marks of which nothing is seen."""
_WORD = re.compile(r"\w")


def is_placeholder(text: str) -> bool:
    """Whether a text stands for an answer that is not there, such as N/A, None or #REF!."""
    return _PLACEHOLDER.fullmatch("".join(text.casefold().split()).replace(".", "")) is not None


class Speaker(StrEnum):
    """The author of a message, as in chat templates."""

    SYSTEM = "system"
    DEVELOPER = "developer"
    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"


class FunctionCall(BaseModel, extra="forbid", frozen=True):
    """Which function the assistant calls, with which arguments."""

    name: str
    arguments: str
    """A JSON text, byte for byte as the source or an annotator wrote it; of an object in the source, compact JSON."""


class ToolCall(BaseModel, extra="forbid", frozen=True):
    """One call in a message of the assistant, as in OpenAI's format."""

    id: str | None = None
    type: Literal["function"] = "function"
    function: FunctionCall


class Message(BaseModel, extra="forbid", frozen=True):
    """One turn of a conversation."""

    role: Speaker
    content: str = ""
    """Empty for a turn that only calls tools."""
    reasoning_content: str | None = None
    """What the assistant thought before it answered, under the name that chat templates use."""
    tool_calls: tuple[ToolCall, ...] | None = None
    tool_call_id: str | None = None
    """In a tool's message: the call that it answers."""
    name: str | None = None
    weight: float | None = None
    """0 keeps the turn out of the training's loss."""

    @field_validator("content", mode="before")
    @classmethod
    def _is_a_text(cls, content: Any) -> Any:
        return "" if content is None else content

    @property
    def says_nothing(self) -> bool:
        """Whether it has neither calls nor visible text; of the assistant, "." and "N/A" are none either."""
        longest = 16
        if self.tool_calls or (len(self.content.strip()) > longest and _WORD.search(self.content)):
            return False
        text = _BLANK.sub("", self.content)
        seen = "".join(sign for sign in text if unicodedata.category(sign) not in ("Cf", "Cc")).strip()
        is_odd = is_placeholder(seen) or _SIGNS_ONLY.fullmatch(seen) is not None
        return not seen or (self.role is Speaker.ASSISTANT and is_odd)

    def as_json(self) -> dict[str, Any]:
        """The message without what it does not have."""
        return self.model_dump(mode="json", exclude_none=True)

    def for_template(self) -> dict[str, Any]:
        """The same as chat templates take it: with the arguments of calls as objects, which they write out themselves.

        A template that is given a text writes it in quotes. Arguments stay a text if they are no JSON object, or one
        that templates and JSON parsers would change or refuse: with a key twice, a number that neither 64 bits nor a
        float can hold or that is nearly 0, NaN, a lone surrogate, or more than 100 levels.
        """
        message = self.as_json()
        for call in message.get("tool_calls", []):
            call["function"]["arguments"] = _object_or_text(call["function"]["arguments"])
        return message


def _object_or_text(text: str) -> Any:
    try:
        value = json.loads(
            text, parse_int=_whole, parse_float=_finite, parse_constant=_refuse, object_pairs_hook=_distinct
        )
        json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return text
    return value if isinstance(value, dict) and not _is_deeper(value, _MOST_LEVELS) else text


def _whole(digits: str) -> int:
    if is_kept(number := int(digits)):
        return number
    raise ValueError("more than 64 bits")


def _finite(text: str) -> float:
    number = float(text)
    # A whole number in a float's form, such as 1e30, is one to all parsers.
    if math.isfinite(number) and (number.is_integer() or is_kept(number)):
        return number
    raise ValueError("too large, or too near to 0")


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(value := dict(pairs)) == len(pairs):
        return value
    raise ValueError("a key twice")


def _is_deeper(value: Any, levels: int) -> bool:
    if not isinstance(value, dict | list):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return not levels or any(_is_deeper(one, levels - 1) for one in inner)
