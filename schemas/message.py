"""A chat message, the unit that a task renders to and that trainers read."""

import json
from enum import StrEnum
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, field_validator


class Speaker(StrEnum):
    """The author of a message, as in chat templates."""

    SYSTEM = "system"
    DEVELOPER = "developer"
    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"


class FunctionCall(BaseModel):
    """Which function the assistant calls, with which arguments."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    arguments: str
    """A JSON text, byte for byte as the source has it."""


class ToolCall(BaseModel):
    """One call in a message of the assistant, as in OpenAI's format."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str | None = None
    type: Literal["function"] = "function"
    function: FunctionCall


class Message(BaseModel):
    """One turn of a conversation."""

    model_config = ConfigDict(extra="forbid", frozen=True)

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

    def as_json(self) -> dict[str, Any]:
        """The message without what it does not have."""
        return self.model_dump(mode="json", exclude_none=True)

    def for_template(self) -> dict[str, Any]:
        """The same as chat templates take it: with the arguments of calls as objects, which they write out themselves.

        A template that is given a text writes it in quotes. What is no JSON object stays a text.
        """
        message = self.as_json()
        for call in message.get("tool_calls", []):
            call["function"]["arguments"] = _object_or_text(call["function"]["arguments"])
        return message


def _object_or_text(text: str) -> Any:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return value if isinstance(value, dict) else text
