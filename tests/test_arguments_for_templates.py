"""Chat templates get a call's arguments as an object where they would write the same, and else as the text they are."""

import json
from typing import Any

import pytest

from schemas.message import FunctionCall, Message, Speaker, ToolCall


def given(arguments: str) -> Any:
    call = ToolCall(id="c1", function=FunctionCall(name="find", arguments=arguments))
    message = Message(role=Speaker.ASSISTANT, tool_calls=(call,))
    [found] = message.for_template()["tool_calls"]
    assert message.tool_calls == (call,)
    return found["function"]["arguments"]


def nested(levels: int) -> str:
    return '{"a":' * levels + "1" + "}" * levels


@pytest.mark.parametrize(
    "arguments",
    ["{}", '{"a":  1.50, "b": [true, null, "\\u00e9"]}', '{"n": 18446744073709551615}', '{"n": -9223372036854775808}'],
)
def test_an_object_is_given_as_one(arguments: str) -> None:
    assert given(arguments) == json.loads(arguments)
    assert isinstance(given(nested(100)), dict)


@pytest.mark.parametrize(
    "arguments",
    [
        "",
        "find it",
        "[1]",
        '"{}"',
        "null",
        '{"a": 1, "a": 2}',
        '{"in": {"a": 1, "a": 2}}',
        '{"n": 18446744073709551616}',
        '{"n": -9223372036854775809}',
        '{"n": 1e400}',
        '{"n": NaN}',
        '{"n": -Infinity}',
        '{"t": "\\ud800"}',
        nested(101),
        nested(100_000),
    ],
)
def test_what_templates_or_parsers_would_change_or_refuse_stays_a_text(arguments: str) -> None:
    assert given(arguments) == arguments
