"""A conversation is read as it is from every usual layout, in which the row need not say which it has."""

import json
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import pytest
from chats import ALPACA, ANSWER, CALL, FIND, GPT, HUMAN, USER, chat, refused
from hypothesis import given
from hypothesis import strategies as st

from pipeline.ingest.chat_layouts import Layouts, layouts_found
from pipeline.ingest.chat_turns import ROLES, SPEAKERS
from schemas.dataset import Layout
from schemas.message import Speaker


def only(turn: dict[str, Any]) -> dict[str, Any]:
    """What a turn becomes."""
    [message] = chat({"messages": [turn]}).messages
    return message


# --- messages ---------------------------------------------------------------------------------------
def test_messages_are_read_as_they_are() -> None:
    turns = [{"role": "system", "content": "Be brief."}, USER, {**ANSWER, "weight": 0.0, "name": "Ann"}]
    assert chat({"messages": turns}).messages == turns
    assert chat({"messages": turns}).layout is Layout.MESSAGES


def test_every_speaker_has_its_role() -> None:
    assert set(ROLES.values()) == set(SPEAKERS.values()) == {speaker.value for speaker in Speaker}
    for role, speaker in ROLES.items():
        assert only({"role": role, "content": "x"})["role"] == speaker


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (None, ""),
        ("", ""),
        ([], ""),
        ([{"type": "text", "text": "a "}, {"type": "text", "text": "b"}], "a b"),
        ([{"type": "text", "value": "a"}, {"type": "output_text", "text": "b"}], "ab"),
        ([{"text": "as Bedrock writes it"}], "as Bedrock writes it"),
        (["a", {"type": "text", "text": "b", "image_url": None, "value": None}], "ab"),
    ],
)
def test_the_parts_of_a_text_are_joined(content: Any, text: str) -> None:
    assert only({"role": "user", "content": content}) == {"role": "user", "content": text}


def test_parts_of_reasoning_and_calls_find_their_places() -> None:
    call = '{"name": "find", "arguments": {"b":  2,"a":[1.50]}}'
    parts = [{"type": "reasoning", "value": "Hm."}, {"type": "tool_call", "value": call}]
    message = only({"role": "assistant", "content": [*parts, {"type": "text", "value": "Wait."}], "loss_weight": 1})
    assert message == {
        "role": "assistant",
        "content": "Wait.",
        "reasoning_content": "Hm.",
        "tool_calls": [{"type": "function", "function": {"name": "find", "arguments": '{"b":  2,"a":[1.50]}'}}],
        "weight": 1.0,
    }


def test_a_part_of_thinking_is_reasoning() -> None:
    parts = [{"type": "thinking", "thinking": "Hm."}, {"type": "text", "text": "Hello!"}]
    assert only({"role": "assistant", "content": parts}) == {**ANSWER, "reasoning_content": "Hm."}


def test_calls_are_read_in_every_form() -> None:
    turn = {"role": "assistant", "content": None}
    assert only({**turn, "tool_calls": [CALL]})["tool_calls"] == [CALL]
    legacy = only({**turn, "function_call": {"name": "find", "arguments": '{ "a":1.0}'}})
    assert legacy["tool_calls"] == [{"type": "function", "function": CALL["function"]}]
    bare = only({**turn, "tool_calls": [{"id": "c1", "name": "find", "arguments": '{ "a":1.0}'}]})
    assert bare["tool_calls"] == [CALL]
    assert only({**turn, "tool_calls": json.dumps([CALL])})["tool_calls"] == [CALL]
    assert "tool_calls" not in only({**turn, "tool_calls": []})


def test_arguments_that_are_an_object_are_written_compactly_in_their_order() -> None:
    call = {"function": {"name": "find", "arguments": {"z": "ü", "a": [1, {"y": None}]}}}
    message = only({"role": "assistant", "tool_calls": [call]})
    assert message["tool_calls"][0]["function"]["arguments"] == '{"z":"ü","a":[1,{"y":null}]}'


def test_numbers_in_arguments_that_are_an_object_are_written_anew_but_never_lose_digits() -> None:
    def read(arguments: str) -> dict[str, Any]:
        call = f'{{"name": "find", "arguments": {arguments}}}'
        row: dict[str, Any] = orjson.loads(f'{{"messages": [{{"role": "assistant", "tool_calls": [{call}]}}]}}')
        return row

    [message] = chat(read('{"a": 1.10, "b": 1E2, "c": 18446744073709551615, "d": -9223372036854775808}')).messages
    written = message["tool_calls"][0]["function"]["arguments"]
    assert written == '{"a":1.1,"b":100.0,"c":18446744073709551615,"d":-9223372036854775808}'
    assert refused(read('{"a": [{"id": 12345678901234567890123}]}')) == (
        "the arguments of a tool call of turn 1 are an object with a number of more than 64 bits or nearly "
        "0, which was read as '1.2345678901234568e+22'; write them as a JSON text, which keeps its digits"
    )


def test_a_tool_s_answer_keeps_its_call_and_name() -> None:
    turn = {"role": "function", "name": "find", "content": "[]", "tool_call_id": "c1"}
    assert only(turn) == {"role": "tool", "content": "[]", "tool_call_id": "c1", "name": "find"}


def test_a_refusal_is_the_text_of_its_turn() -> None:
    assert only({"role": "assistant", "content": None, "refusal": "I can't."})["content"] == "I can't."


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning", "thinking"])
def test_reasoning_has_several_names(name: str) -> None:
    assert only({**ANSWER, name: "Hm."}) == {**ANSWER, "reasoning_content": "Hm."}
    assert chat({"messages": [{**ANSWER, "thinking": True}]}).ignored == {"thinking"}


@pytest.mark.parametrize("key", ["weight", "loss_weight", "train", "training", "trainable", "loss"])
def test_a_turn_that_is_not_to_be_learned_has_the_weight_0_under_any_name(key: str) -> None:
    for value in (False, 0, 0.0):
        assert only({**ANSWER, key: value}) == {**ANSWER, "weight": 0.0}
        [message] = chat({"conversations": [{**GPT, key: value}]}).messages
        assert message == {**ANSWER, "weight": 0.0}
    assert only({**ANSWER, key: True}) == {**ANSWER, "weight": 1.0}
    assert chat({"messages": [{**ANSWER, key: False}]}).ignored == frozenset()
    assert only({**ANSWER, key: None}) == ANSWER


def test_a_loss_that_was_measured_is_not_kept_and_named() -> None:
    found = chat({"messages": [{**ANSWER, "loss": 0.53}]})
    assert (found.messages, found.ignored) == ([ANSWER], {"loss"})
    assert only({"role": "assistant", "loss": False}) == {"role": "assistant", "content": "", "weight": 0.0}


def test_keys_that_are_not_kept_are_named() -> None:
    call = {**CALL, "index": 0}
    turn = {**ANSWER, "timestamp": 5, "audio": None, "name": None, "tool_calls": [call]}
    part = {"type": "text", "text": "Hi", "cache_control": "x"}
    assert chat({"messages": [{**USER, "content": [part]}, turn]}).ignored == {"timestamp", "cache_control", "index"}


def test_a_turn_without_content_or_calls_is_kept() -> None:
    assert only({"role": "assistant"}) == {"role": "assistant", "content": ""}


def test_a_long_conversation_is_one_chat() -> None:
    assert len(chat({"messages": [USER, ANSWER] * 250}).messages) == 500


def test_what_a_row_has_as_json_text_is_parsed() -> None:
    """In a CSV file there is nothing else."""
    row = {"messages": json.dumps([USER, ANSWER]), "tools": json.dumps([FIND])}
    assert chat(row).messages == [USER, ANSWER]
    assert chat(row).tools == [FIND]
    assert list((chat(row).tools or [{}])[0]) == ["name", "parameters", "description"]


def test_what_is_published_reads_back_from_parquet_as_it_was(tmp_path: Path) -> None:
    """Parquet fills in every key that some turn has."""
    turns = [
        {"role": "user", "content": "Find it"},
        {"role": "assistant", "content": "", "reasoning_content": "Hm.", "tool_calls": [CALL], "weight": 0.0},
        {"role": "tool", "content": "[]", "tool_call_id": "c1", "name": "find"},
        {"role": "assistant", "content": "There is none."},
    ]
    pl.DataFrame({"messages": [turns]}).write_parquet(tmp_path / "chats.parquet")
    [row] = pl.read_parquet(tmp_path / "chats.parquet").to_dicts()
    assert row["messages"] != turns
    assert chat(row).messages == turns


# --- ShareGPT ---------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", sorted(SPEAKERS))
def test_every_name_in_sharegpt_is_a_speaker(name: str) -> None:
    value = '{"name": "find", "arguments": {}}'
    [message] = chat({"conversations": [{"from": name, "value": value}]}).messages
    assert message["role"] == SPEAKERS[name]
    assert ("tool_calls" in message) == (name in ("function_call", "tool_call"))


@pytest.mark.parametrize(
    ("value", "calls"),
    [
        ('{"name": "f", "arguments": {"b":  2 , "a": 1.0}}', [("f", '{"b":  2 , "a": 1.0}')]),
        (' {"arguments":{"a":"}\\"{"},"name":"f"} ', [("f", '{"a":"}\\"{"}')]),
        ('{"name": "f", "arguments": "{\\"a\\": 1e2}"}', [("f", '{"a": 1e2}')]),
        ('{"name": "f", "arguments": {"n": 10000000000000000000000001}}', [("f", '{"n": 10000000000000000000000001}')]),
        ('{"name": "f", "arguments": {"\\u00fc": "\\u00fc"}}', [("f", '{"\\u00fc": "\\u00fc"}')]),
        ('{"name": "f", "parameters": {"a": 1 }}', [("f", '{"a": 1 }')]),
        ('{"name": "f", "arguments": null, "parameters": {"a":  1}}', [("f", '{"a":  1}')]),
        ('{"name": "f"}', [("f", "{}")]),
        ('{"name": "f", "arguments": null}', [("f", "{}")]),
        ('{"name": "f", "arguments": {"a": 1}, "arguments": {"a":2}}', [("f", '{"a":2}')]),
        ('[{"name": "f", "arguments": {"a" :1}}, {"name": "g", "arguments": [ ]}]', [("f", '{"a" :1}'), ("g", "[ ]")]),
        ('{"type": "function", "function": {"name": "f", "arguments": {"a" :1}}}', [("f", '{"a" :1}')]),
    ],
)
def test_a_call_in_a_text_keeps_its_very_bytes(value: str, calls: list[tuple[str, str]]) -> None:
    turns = [HUMAN, {"from": "function_call", "value": value}]
    found = [call["function"] for call in chat({"conversations": turns}).messages[1]["tool_calls"]]
    assert [(call["name"], call["arguments"]) for call in found] == calls


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=12,
)


@given(st.dictionaries(st.text(), _JSON), st.sampled_from([None, 0, 3]), st.booleans(), st.booleans())
def test_any_arguments_come_out_of_a_text_as_they_went_in(
    arguments: dict[str, Any], indent: int | None, ascii_only: bool, first: bool
) -> None:
    written = json.dumps(arguments, indent=indent, ensure_ascii=ascii_only)
    pair = [f'"arguments" : {written}', '"name":"f"']
    value = "{ " + ", ".join(pair if first else pair[::-1]) + "\n}"
    message = chat({"conversations": [{"from": "function_call", "value": value}]}).messages[0]
    assert message["tool_calls"][0]["function"]["arguments"] == written


def test_the_system_prompt_and_tools_of_a_row_come_first() -> None:
    row = {"system": "Be brief.", "tools": json.dumps([FIND]), "conversations": [HUMAN, GPT]}
    assert chat(row).messages == [{"role": "system", "content": "Be brief."}, USER, ANSWER]
    assert chat(row).tools == [FIND]
    assert chat({**row, "conversations": [{"from": "system", "value": "Be brief."}, HUMAN]}).messages[1] == USER
    assert chat({**row, "system": None, "tools": "[]"}).tools is None
    other = {**row, "conversations": [{"from": "system", "value": "Be long."}, HUMAN]}
    assert (
        refused(other)
        == "the row has two system prompts, `system`: 'Be brief.', and turn 1: 'Be long.'; keep one of them"
    )


def test_a_developer_s_turn_is_the_system_prompt_that_is_next_to_the_turns() -> None:
    turns = [{"role": "developer", "content": "Be brief."}, USER]
    assert chat({"system": "Be brief.", "messages": turns}).messages == turns
    assert "two system prompts" in refused({"system": "Be long.", "messages": turns})


def test_tools_of_a_turn_that_is_no_prompt_are_not_kept_and_named() -> None:
    found = chat({"messages": [{**USER, "tools": [FIND]}, ANSWER]})
    assert (found.tools, found.ignored) == (None, {"tools"})


def test_tools_may_be_in_the_system_turn() -> None:
    turns = [{"role": "system", "content": "", "tools": [FIND]}, USER]
    assert (chat({"messages": turns}).tools, chat({"messages": turns}).ignored) == ([FIND], frozenset())
    assert refused({"messages": turns, "tools": [FIND, FIND]}).startswith("the row has two lists of tools, ")


# --- Alpaca -----------------------------------------------------------------------------------------
def test_alpaca_is_a_question_and_its_answer() -> None:
    assert chat(ALPACA).messages == [{"role": "user", "content": "Add\n1, 2"}, {"role": "assistant", "content": "3"}]
    assert chat(ALPACA).layout is Layout.ALPACA
    assert chat({"instruction": "Add", "input": "", "response": "3"}).messages[0]["content"] == "Add"
    assert chat({"instruction": "Add", "context": "1", "response": "1"}).messages[0]["content"] == "Add\n1"


def test_alpaca_s_history_and_system_prompt_come_first() -> None:
    for history in ([["Hi", "Hello!"]], '[["Hi", "Hello!"]]'):
        messages = chat({**ALPACA, "system": "Be brief.", "history": history}).messages
        assert messages[:3] == [{"role": "system", "content": "Be brief."}, USER, ANSWER]
        assert len(messages) == 5
    assert len(chat({**ALPACA, "history": None}).messages) == len(chat({**ALPACA, "history": ""}).messages) == 2


def test_a_row_without_an_answer_yet_ends_with_the_question() -> None:
    assert [message["role"] for message in chat({**ALPACA, "output": None}).messages] == ["user"]
    assert chat({**ALPACA, "output": ""}).messages[1] == {"role": "assistant", "content": ""}


# --- which layout -----------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["messages", "conversations", "conversation", "dialog", "turns"])
def test_turns_are_found_under_every_usual_name(name: str) -> None:
    assert chat({name: [USER, ANSWER]}).messages == chat({name: [HUMAN, GPT]}).messages == [USER, ANSWER]
    assert (chat({name: [USER]}).layout, chat({name: [HUMAN]}).layout) == (Layout.MESSAGES, Layout.SHAREGPT)


def test_the_field_map_says_where_turns_and_tools_are() -> None:
    row = {"a": {"b": [[USER, ANSWER]], "t": [FIND]}, "messages": [USER]}
    found = chat(row, turns="a.b.0", tools="a.t")
    assert (found.messages, found.tools) == ([USER, ANSWER], [FIND])
    beside = chat({"a": {"b": [HUMAN], "system": "Be brief.", "tools": [FIND]}}, turns="a.b")
    assert (beside.messages[0]["content"], beside.tools) == ("Be brief.", [FIND])
    assert refused(row, turns="talk") == (
        "the row has no 'talk', where `fields:` says that its turns are; its fields are 'a', 'messages'"
    )


def test_a_row_that_fits_two_layouts_says_which() -> None:
    both = {**ALPACA, "conversations": [HUMAN]}
    assert refused(both) == (
        "the row fits sharegpt (turns of `from` and `value`) and alpaca (`instruction`, and `output` or `response`); "
        "say which with `layout:`"
    )
    assert chat(both, Layout.ALPACA).messages[-1]["content"] == "3"
    assert chat(both, Layout.SHAREGPT).messages == [USER]
    twice = {"messages": [{**USER, **HUMAN}]}
    assert "fits messages (" in refused(twice)
    assert chat(twice, Layout.MESSAGES).ignored == {"from", "value"}
    assert refused({"messages": [USER], "dialog": [USER]}) == (
        "the row has turns in 'messages' and 'dialog'; map the turns to one of them under `fields:`"
    )


def test_a_row_that_fits_no_layout_lists_them_and_its_fields() -> None:
    said = refused({"prompt": "Hi", "ending": "Hello!"})
    assert all(name in said for name in ("messages (", "sharegpt (", "alpaca (", "`layout:`", "'prompt', 'ending'"))
    assert "prompt_completion (" in said
    assert refused({}).endswith("it is empty")


def test_a_named_layout_must_be_the_row_s() -> None:
    assert refused({"messages": [USER]}, Layout.SHAREGPT) == (
        "the row is not in the layout sharegpt (turns of `from` and `value`), which `layout:` names; "
        "it fits messages (turns of `role` and `content`)"
    )
    assert refused({"messages": [USER]}, Layout.ALPACA).endswith("which `layout:` names; its fields are 'messages'")
    assert refused(ALPACA, Layout.MESSAGES).startswith("the row is not in the layout messages (")


def test_what_was_guessed_is_counted_over_shards() -> None:
    parts = [{"messages": [{**USER, "n": 1}]}, {"messages": [USER]}, {"conversations": [{**HUMAN, "id": 2}]}]
    [one, two] = [layouts_found(chat(row) for row in some) for some in (parts[:1], parts[1:])]
    assert one | two == two | one == Layouts({Layout.MESSAGES: 2, Layout.SHAREGPT: 1}, frozenset({"n", "id"}))
    assert str(one | two) == "2 rows of messages, 1 row of sharegpt; not kept of its turns: 'id', 'n'"
    assert str(Layouts() | layouts_found([chat(ALPACA)])) == "1 row of alpaca"
