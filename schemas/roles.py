"""What a task's fields are to the model being trained, as annotations of the fields."""

from enum import StrEnum
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, JsonValue

from schemas.json_numbers import unkept_numbers
from schemas.message import Message


class Role(StrEnum):
    """What a field is to the model being trained."""

    INPUT = "input"
    TARGET = "target"
    CONTEXT = "context"
    """Nothing: annotators see it, and versions keep it."""


class Meaning(StrEnum):
    """What an input is, beyond its type."""

    TOOLS = "tools"
    ORIGINAL = "original"


def _are_kept(tools: Any) -> Any:
    if (number := next(unkept_numbers(tools), None)) is not None:
        kind = "which is so near to 0" if abs(number) < 1 else "which is whole and beyond 64 bits, or not finite"
        raise ValueError(f"versions cannot hold the number {number!r}, {kind}; leave it out")
    return tools


T = TypeVar("T")
Input = Annotated[T, Role.INPUT]
Target = Annotated[T, Role.TARGET]
Context = Annotated[T, Role.CONTEXT]
Original = Annotated[T, Role.INPUT, Meaning.ORIGINAL]
"""The input that is rewritten, in a task with several texts; without one it is the first text."""
Conversation = Annotated[list[Message], Role.INPUT, Role.TARGET]
"""A whole conversation: the turns up to the last one of the user are the question, what follows is the answer."""
Tools = Annotated[list[dict[str, JsonValue]], Role.INPUT, Meaning.TOOLS, AfterValidator(_are_kept)]
"""Definitions of the tools that the assistant may call, as chat templates take them."""
