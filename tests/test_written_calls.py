"""What a model writes is read as what it says and the calls that it makes, in the notations of several models."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.task import Conversation, Task
from schemas.written_calls import begins_call, read_turn, write_turn

ROME, OSLO = '{"city": "Rome"}', '{"city": "Oslo"}'


def calls(text: str) -> list[tuple[str, str]]:
    return [(call.function.name, call.function.arguments) for call in read_turn(text).tool_calls or ()]


@pytest.mark.parametrize(
    ("text", "content", "found"),
    [
        (f'<tool_call>\n{{"name": "weather", "arguments": {ROME}}}\n</tool_call>', "", [ROME]),
        (f'I look.\n<tool_call>{{"arguments": {ROME}, "name": "weather"}}', "I look.", [ROME]),
        (
            f'<tool_call>{{"name": "weather", "arguments": {ROME}}}</tool_call>\n'
            f'<tool_call>{{"name": "weather", "arguments": {OSLO}}}</tool_call>',
            "",
            [ROME, OSLO],
        ),
        (f'{{"name": "weather", "parameters": {ROME}}}', "", [ROME]),
        (f'<|python_tag|>{{"type": "function", "name": "weather", "parameters": {ROME}}}', "", [ROME]),
        (f'[TOOL_CALLS] [{{"name": "weather", "arguments": {ROME}, "id": "a1b2c3d4e"}}]', "", [ROME]),
        (f"Well.[TOOL_CALLS]weather[ARGS]{ROME}[TOOL_CALLS]weather[CALL_ID]x1[ARGS]{OSLO}", "Well.", [ROME, OSLO]),
        ('{"name": "weather", "arguments": "{\\"city\\": \\"Rome\\"}"}', "", [ROME]),
    ],
    ids=["hermes", "hermes, open", "hermes, two", "llama", "llama, tagged", "mistral", "mistral, newer", "text"],
)
def test_calls_are_read_in_the_notation_of(text: str, content: str, found: list[str]) -> None:
    assert read_turn(text).content == content
    assert calls(text) == [("weather", arguments) for arguments in found]


@pytest.mark.parametrize(
    "text",
    [
        "It is 12 degrees.",
        '{"name": "Rome", "degrees": 12}',
        '{"name": "Rome"}',
        '{"answer": {"name": "weather"}}',
        "{not JSON}",
        "weather(city=Rome)",
        '[{"name": "weather", "arguments": {}}]',
    ],
)
def test_what_is_no_call_stays_a_text(text: str) -> None:
    turn = read_turn(text)
    assert (turn.content, turn.tool_calls) == (text, None)
    assert not begins_call(turn.content)


@pytest.mark.parametrize(
    "text",
    [
        '<tool_call>{"name": "weather", "arguments": {"city": "Ro',
        "<tool_call>weather(Rome)</tool_call>",
        '<tool_call>{"name": "weather"}</tool_call>',
        "[TOOL_CALLS] []",
        "[TOOL_CALLS]weather",
        '<|python_tag|>weather.call(city="Rome")',
        "<tool_call>" + "[" * 100_000,
    ],
)
def test_a_call_that_is_not_written_well_is_left_where_everyone_sees_it(text: str) -> None:
    turn = read_turn(text)
    assert (turn.content, turn.tool_calls) == (text, None)
    assert begins_call(turn.content)


def test_what_a_model_thinks_is_not_what_it_says() -> None:
    turn = read_turn("<think>\nHm.\n</think>\n\nYes.")
    assert (turn.content, turn.reasoning_content) == ("Yes.", "Hm.")
    assert read_turn("Hm.</think>Yes.").reasoning_content == "Hm."
    assert read_turn("<think></think>Yes.").reasoning_content is None


@given(
    st.text("ab\n é{}", max_size=9).map(str.strip).filter(lambda text: not text.startswith("{")),
    st.lists(st.tuples(st.text(min_size=1), st.dictionaries(st.text(), st.integers())), min_size=1, max_size=3),
)
def test_a_turn_that_was_written_is_read_back(content: str, given: list[tuple[str, dict[str, int]]]) -> None:
    text = write_turn(content, given)
    if any("tool_call>" in json.dumps(call) for call in given):
        return
    turn = read_turn(text)
    assert turn.content == content
    assert [(name, json.loads(arguments)) for name, arguments in calls(text)] == given


def test_a_task_reads_the_calls_of_an_answer() -> None:
    class Help(Task):
        """Help."""

        messages: Conversation

    read = Help.task_read_answer(f'<tool_call>{{"name": "weather", "arguments": {ROME}}}</tool_call>')
    call = {"type": "function", "function": {"name": "weather", "arguments": ROME}}
    assert read == {"messages": [{"role": "assistant", "content": "", "tool_calls": [call]}]}
