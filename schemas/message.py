"""A chat message, the unit that a task renders to and that trainers read."""

from enum import StrEnum

from pydantic import BaseModel, ConfigDict


class Speaker(StrEnum):
    """The author of a message, as in chat templates."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"


class Message(BaseModel):
    """One turn of a conversation."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    role: Speaker
    content: str
