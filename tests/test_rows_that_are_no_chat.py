"""A row whose conversation cannot be read whole is refused in one line that says what to do."""

import json
from typing import Any

import pytest
from chats import ALPACA, ANSWER, CALL, FIND, GPT, HUMAN, USER, chat, refused
from hypothesis import given
from hypothesis import strategies as st

from pipeline.ingest.chat_layouts import NotAChat
from schemas.dataset import Layout


@pytest.mark.parametrize(
    ("turns", "said"),
    [
        ([{"role": "User", "content": "Hi"}], "turn 1 has the `role` 'User'; write 'user'"),
        ([USER, {"role": "gpt", "content": "Hi"}], "turn 2 has the `role` 'gpt'; write 'assistant'"),
        ([{"role": 7, "content": "Hi"}], "turn 1 has the `role` '7'; known are system, developer, user, assistant"),
        ([{"from": "GPT", "value": "Hi"}], "turn 1 has the `from` 'GPT'; write 'gpt'"),
        ([HUMAN, {"from": "narrator", "value": "x"}], "turn 2 has the `from` 'narrator'; known are system, "),
        ([USER, {"content": "Hi"}], "turn 2 has no `role`, which turn 1 has"),
        ([{"speaker": "A", "text": "Hi"}], "turn 1 has no `role` and no `from`"),
        ([USER, HUMAN], "turn 2 has no `role`, which turn 1 has"),
        ([{"role": "user", "text": "Hi"}], "turn 1 has no `content`, but text; call its text `content`"),
        (["Hi"], "turn 1 is 'Hi'; write it as an object with `role` and `content`"),
        ([USER, None], "turn 2 is 'null'; write it as an object"),
        ([{"role": "user", "content": 5}], "`content` of turn 1 is '5'; write a text"),
        ([{"role": "user", "content": {"text": "Hi"}}], "`content` of turn 1 is "),
        ([{"role": "user", "content": [[]]}], "a part of turn 1 is '[]'; write it as "),
        ([{"role": "user", "content": [{"type": "text", "text": 5}]}], "a part of turn 1 holds '5' instead of a text"),
        ([{"role": "user", "content": [{"type": "thing", "text": "x"}]}], "a part of turn 1 is of type 'thing'; only "),
        ([{**ANSWER, "thinking": "a", "reasoning": "b"}], "turn 1 has its reasoning twice, 'a' and 'b'; keep one"),
        (
            [{"role": "assistant", "reasoning": "a", "content": [{"type": "thinking", "thinking": "b"}]}],
            "turn 1 has its reasoning twice; keep one of the part and the key",
        ),
        ([{**ANSWER, "weight": "1"}], "`weight` of turn 1 is '1'; write 1, or 0 to leave the turn out of the loss"),
        ([{**ANSWER, "weight": 2}], "`weight` of turn 1 is '2'; write 1, or 0 to leave the turn out of the loss"),
        ([{**ANSWER, "loss_weight": 0.5}], "`loss_weight` of turn 1 is '0.5'; write 1, or 0 "),
        (
            [{**ANSWER, "weight": 1, "loss_weight": 0}],
            "turn 1 has two weights, `weight`: '1' and `loss_weight`: '0'; keep one",
        ),
        (
            [{**ANSWER, "weight": 0, "train": True}],
            "turn 1 has two weights, `weight`: '0' and `train`: 'true'; keep one",
        ),
        ([{**ANSWER, "weight": float("nan")}], "`weight` of turn 1 is 'NaN'; write 1, or 0 "),
        ([{**ANSWER, "weight": float("inf")}], "`weight` of turn 1 is 'Infinity'; write 1, or 0 "),
        ([{**ANSWER, "weight": -1}], "`weight` of turn 1 is '-1'; write 1, or 0 "),
        ([{**ANSWER, "train": "no"}], "`train` of turn 1 is 'no'; write 1, or 0 "),
        ([USER, {**ANSWER, "mask": True}], "turn 2 has `mask`: 'true', which may mean either that it is learned or "),
        ([{**ANSWER, "loss_mask": 0}], "turn 1 has `loss_mask`: '0', which may mean either "),
        ([{**ANSWER, "train_detail": [{"begin_offset": 0, "end_offset": 1, "train": False}]}], "turn 1 has `train_det"),
        ([{**ANSWER, "name": 5}], "`name` of turn 1 is '5'; write a text"),
        ([{**USER, "tool_calls": [CALL]}], "turn 1 calls a tool, but its `role` is 'user'; only the assistant calls"),
        ([{**ANSWER, "tool_calls": [CALL], "function_call": CALL}], "turn 1 has its tool calls twice; keep one of "),
        ([{**ANSWER, "tool_calls": [{"id": "c1"}]}], "a tool call of turn 1 names no function: "),
        ([{**ANSWER, "tool_calls": ["find"]}], "a tool call of turn 1 is 'find'; write it as an object"),
        ([{**ANSWER, "tool_calls": [{**CALL, "id": 5}]}], "a tool call of turn 1 has the id '5'; write it as a text"),
        ([{**ANSWER, "tool_calls": [{**CALL, "type": "custom"}]}], "a tool call of turn 1 has the type 'custom'; only"),
        ([{"from": "function_call", "value": "find()"}], "the tool call of turn 1 is a text that is not JSON ("),
        ([{"from": "function_call", "value": "{'name': 'f'}"}], "the tool call of turn 1 is a text that is not JSON ("),
        ([], "'messages' is an empty list, so the row has no turns; leave such rows out"),
        (None, "'messages' is null, so the row has no turns; leave such rows out"),
        ("[]", "'messages' is an empty list, so the row has no turns; leave such rows out"),
        ("[{'role': 'user'}]", "'messages' is a text that is not JSON ("),
        ("Hi", "'messages' is 'Hi'; write a list of turns"),
        (5, "'messages' is '5'; write a list of turns"),
        ({"role": "user"}, "'messages' is "),
    ],
)
def test_what_cannot_be_read_is_named_with_what_to_do(turns: Any, said: str) -> None:
    assert refused({"messages": turns}).startswith(said)


def test_turns_that_are_null_are_named_where_they_are_mapped_and_where_other_layouts_have_columns() -> None:
    null = "is null, so the row has no turns; leave such rows out"
    assert refused({"a": {"b": None}}, turns="a.b") == f"'a.b' {null}"
    assert refused({"id": 1, "conversations": None}) == f"'conversations' {null}"
    assert refused({"a": 1}, turns="a.b").startswith("the row has no 'a.b', where `fields:` says")
    assert chat({**ALPACA, "messages": None}).layout is Layout.ALPACA
    assert chat({"messages": None, "conversations": [HUMAN, GPT]}).layout is Layout.SHAREGPT


@pytest.mark.parametrize(
    "row",
    [
        {"messages": [USER], "images": ["a.png"]},
        {"conversations": [{"from": "human", "value": "<image>What is it?"}], "image": "a.png"},
        {**ALPACA, "videos": ["a.mp4"]},
        {"messages": [{**USER, "audios": ["a.wav"]}]},
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]},
        {"messages": [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "Hi"}]}]},
        {"messages": [{"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": ""}}]}]},
        {"messages": [{"role": "user", "content": [{"type": "video", "value": "a.mp4"}]}]},
    ],
)
def test_images_sound_and_video_are_refused(row: dict[str, Any]) -> None:
    assert "Goldleaf reads text only" in refused(row)


@pytest.mark.parametrize(
    "text", ["<image>\nWhat is it?", "What is it?\n <image>", "<audio>Who speaks?", "<video><video>Which is longer?"]
)
def test_a_text_in_which_a_token_stands_for_an_image_is_refused(text: str) -> None:
    medium = text.partition("<")[2].partition(">")[0]
    said = f"turn 1 has `<{medium}>` in the place of what is not there; Goldleaf reads text only"
    assert refused({"messages": [{"role": "user", "content": text}, ANSWER]}).startswith(said)
    assert refused({"messages": [{"role": "user", "content": [{"type": "text", "text": text}]}]}).startswith(said)
    assert refused({"conversations": [{"from": "human", "value": text}, GPT]}).startswith(said)
    assert refused({"instruction": text, "output": "A boat."}).startswith(said)


@pytest.mark.parametrize(
    "text", ["Does the <image> token count?", "<video>\n<source>\n</video>\nWhy is it silent?", "What is `<audio>`?"]
)
def test_a_text_about_elements_is_a_text(text: str) -> None:
    assert chat({"messages": [{"role": "user", "content": text}]}).messages[0]["content"] == text


def test_an_answer_may_write_any_element() -> None:
    answer = {"role": "assistant", "content": "<video>\nand its source"}
    assert chat({"messages": [USER, answer]}).messages == [USER, answer]


def test_empty_lists_of_images_are_none() -> None:
    assert chat({"messages": [{**USER, "images": []}], "images": [], "videos": None}).messages == [USER]


def test_preference_data_is_refused_and_says_how_to_use_it() -> None:
    turn_only = {"conversations": [HUMAN], "chosen": GPT, "rejected": GPT}
    assert refused(turn_only) == (
        "the row is preference data: it has 'chosen' and 'rejected', a better and a worse answer, where a "
        "conversation has one; to keep the better answers, map the turns to `chosen` under `fields:`"
    )
    assert refused({"text": "Hi", "chosen": "a", "rejected": "b"}).endswith(
        "write the turns with the better answer as a conversation of their own"
    )
    whole = {"chosen_messages": [USER, ANSWER], "rejected_messages": [USER]}
    assert refused(whole).endswith("to keep the better answers, map the turns to `chosen_messages` under `fields:`")
    assert chat(whole, turns="chosen_messages").messages == [USER, ANSWER]
    assert chat({"messages": [USER, ANSWER], **whole}, turns="messages").messages == [USER, ANSWER]
    assert "preference data" in refused(turn_only, turns="conversations"), "the turns lack the answer"
    assert "preference data" in refused({**ALPACA, "chosen": "a", "rejected": "b"})


def test_an_answer_that_is_marked_as_bad_is_refused_and_one_that_is_marked_as_good_is_read() -> None:
    for label, said in ((False, "false"), ("False", "False"), (0, "0"), ("0", "0"), (0.0, "0.0")):
        for key in ("label", "kto_tag"):
            why = refused({"messages": [USER, ANSWER], key: label})
            assert why.startswith(f"the row is preference data (KTO): `{key}` is '{said}', which marks its answer")
            assert f"`{key}` is '{said}'" in refused({**ALPACA, key: label})
    for label in (True, "true", 1, 2, "spam", None, ""):
        assert chat({"messages": [USER, ANSWER], "label": label}).messages == [USER, ANSWER]


@pytest.mark.parametrize("history", [1, True, "x", [["a"]], [["a", "b", "c"]], ["ab"], [["a", 1]], {"a": "b"}, "[1]"])
def test_a_history_that_is_no_list_of_pairs_is_refused(history: Any) -> None:
    assert refused({**ALPACA, "history": history}).startswith("'history'")


def test_a_system_prompt_that_is_no_text_is_refused() -> None:
    assert refused({"messages": [USER], "system": 5}) == "`content` of `system` is '5'; write a text"
    assert refused({"messages": [USER], "system": {"os": "x"}}).startswith("`content` of `system` is ")


def test_two_names_for_one_field_of_alpaca_must_agree() -> None:
    assert (
        refused({**ALPACA, "response": "4"}) == "the row has 'output' and 'response', and they differ; keep one of them"
    )
    assert chat({**ALPACA, "response": "3", "context": None}).messages[-1]["content"] == "3"
    assert refused({**ALPACA, "output": 3}) == "the answer is '3'; write a text"


def test_tools_that_are_no_definitions_are_refused() -> None:
    for tools in ({"name": "f"}, ["find"], "find", [5], '["x"]', '{"name": "f"}'):
        assert "'tools'" in refused({"messages": [USER], "tools": tools}), tools
    for nameless in ({"type": "function", "function": {"description": "Find"}}, {"parameters": {}}, {"name": ""}):
        said = refused({"messages": [USER], "tools": [FIND, nameless]})
        assert said.startswith("'tools' defines a function without a name: ")
        assert said.endswith("; give it the `name` of its calls")
    assert chat({"messages": [USER], "tools": [json.dumps(FIND)]}).tools == [FIND]
    assert chat({"messages": [USER], "functions": [FIND]}).tools == [FIND]
    for nothing in (None, "", " ", [], "[]", "null"):
        assert chat({"messages": [USER], "tools": nothing}).tools is None, nothing


@pytest.mark.parametrize("levels", [300, 900, 1_000, 5_000])
def test_nesting_without_end_is_refused(levels: int) -> None:
    deep = "[" * levels + "]" * levels
    call = f'{{"name": "f", "arguments": {{"a": {deep}}}}}'
    assert refused({"conversations": [{"from": "function_call", "value": call}]})
    assert refused({"messages": deep})
    assert refused({"messages": [USER], "tools": f'[{{"name": "f", "parameters": {deep}}}]'})
    assert chat({"messages": [{**ANSWER, "tool_calls": [{"name": "f", "arguments": deep}]}]})


_KEYS = [
    *("role", "content", "from", "value", "type", "text", "tool_calls", "function", "name", "arguments", "weight"),
    *("messages", "conversations", "instruction", "output", "history", "tools", "system", "images"),
]
_PLAIN = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False)
_VALUES = st.recursive(
    _PLAIN | st.sampled_from(["", "user", "assistant", "human", "gpt", "function_call", "text", "[{}]", "{}", "x"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_KEYS), inner, max_size=4),
    max_leaves=25,
)


@given(st.dictionaries(st.sampled_from(_KEYS), _VALUES))
def test_any_row_is_a_chat_or_refused_in_one_line(row: dict[str, Any]) -> None:
    for layout in Layout:
        try:
            chat(row, layout)
        except NotAChat as error:
            assert str(error) and "\n" not in str(error)
