"""Rows of conversations in each layout, read and checked."""

from collections.abc import Mapping
from typing import Any

import pytest

from pipeline.ingest.chat_layouts import Chat, NotAChat, read_chat
from pipeline.ingest.chat_turns import NO_ROLES
from schemas.dataset import Layout
from schemas.message import Message

USER, ANSWER = {"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello!"}
HUMAN, GPT = {"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello!"}
CALL = {"id": "c1", "type": "function", "function": {"name": "find", "arguments": '{ "a":1.0}'}}
FIND = {"name": "find", "parameters": {"type": "object", "properties": {}}, "description": "Finds"}
ALPACA = {"instruction": "Add", "input": "1, 2", "output": "3"}


def chat(
    raw: dict[str, Any],
    layout: Layout = Layout.AUTO,
    turns: str | None = None,
    tools: str | None = None,
    roles: Mapping[str, str] = NO_ROLES,
) -> Chat:
    """The row's conversation, whose messages are those of the model."""
    found = read_chat(raw, layout, turns, tools, roles)
    as_models = [Message.model_validate(message).as_json() for message in found.messages]
    assert as_models == found.messages
    assert [list(message) for message in as_models] == [list(message) for message in found.messages]
    again = read_chat({"messages": found.messages, "tools": found.tools}, Layout.AUTO, None, None)
    assert (again.messages, again.tools, again.ignored) == (found.messages, found.tools, frozenset())
    return found


def refused(raw: dict[str, Any], layout: Layout = Layout.AUTO, turns: str | None = None) -> str:
    with pytest.raises(NotAChat) as error:
        read_chat(raw, layout, turns, None)
    assert "\n" not in str(error.value)
    return str(error.value)
