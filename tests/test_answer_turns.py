"""The answer of a chat goes through three editors, and what nobody edited comes back as it was."""

import json
from typing import Any

import pytest

from pipeline.review.answer_turns import CALLS, TURN, editor_texts, read_turns


def call(name: str, arguments: str, call_id: str | None = None) -> dict[str, Any]:
    named = {} if call_id is None else {"id": call_id}
    return {**named, "type": "function", "function": {"name": name, "arguments": arguments}}


CALLING = {"role": "assistant", "content": "", "tool_calls": [call("find", '{"a":  1.50}', "c1"), call("go", "{}")]}
RESULT = {"role": "tool", "content": "[]", "tool_call_id": "c1"}
LAST = {"role": "assistant", "content": "There is none.\nSorry!", "reasoning_content": "Hm.", "weight": 1.0}


def edited(turns: list[dict[str, Any]], **texts: str) -> list[dict[str, Any]] | None:
    return read_turns(editor_texts(turns) | texts)


def test_an_answer_that_nobody_edits_is_the_same_with_all_that_no_editor_shows() -> None:
    for turns in ([LAST], [CALLING], [CALLING, RESULT, LAST]):
        assert edited(turns) == turns


def test_what_a_browser_does_to_line_ends_changes_nothing() -> None:
    for end in ("\r\n", "\r"):
        assert edited([LAST], turn=LAST["content"].replace("\n", end) + end) == [LAST]
        assert edited([CALLING], calls=editor_texts([CALLING])[CALLS].replace("\n", end)) == [CALLING]


def test_edited_texts_that_differ_in_space_around_them_are_one_answer() -> None:
    texts = ["New answer.", "New answer.\n", "  New\x00 answer.\r\n"]
    assert [edited([LAST], turn=text) for text in texts] == [[{**LAST, "content": "New answer."}]] * 3


def test_calls_that_no_editor_could_read_stay_as_they_are_unless_they_are_edited() -> None:
    broken = {"role": "assistant", "content": "", "tool_calls": [call("find", '{"a": '), call("two words", "x")]}
    assert edited([broken]) == [broken]
    assert edited([broken], turn="Wait.") == [broken | {"content": "Wait."}]


def test_only_the_last_turn_is_edited() -> None:
    assert edited([CALLING, RESULT, LAST], turn="Gladly.") == [CALLING, RESULT, LAST | {"content": "Gladly."}]
    [turn] = edited([LAST], turn="Gladly.") or []
    assert (turn["reasoning_content"], turn["weight"]) == ("Hm.", 1.0)


def test_a_call_that_is_edited_keeps_the_id_that_its_result_names_and_a_new_one_has_none() -> None:
    [turn, *_] = edited([CALLING], calls='find {"a": 2}\n\ngo {}\nstop {"now": true}') or []
    assert turn["tool_calls"] == [call("find", '{"a": 2}', "c1"), call("go", "{}"), call("stop", '{"now": true}')]


def test_calls_that_are_deleted_are_gone() -> None:
    turns = edited([CALLING], calls=" ", turn="I cannot look.")
    assert turns == [{"role": "assistant", "content": "I cannot look."}]


def test_a_row_without_an_answer_gets_one_and_empty_editors_give_none() -> None:
    assert read_turns({}) is None
    assert read_turns({TURN: " \n", CALLS: ""}) is None
    assert edited([LAST], turn="") is None
    assert read_turns({TURN: "Hello!"}) == [{"role": "assistant", "content": "Hello!"}]
    assert read_turns({CALLS: "now {}"}) == [{"role": "assistant", "content": "", "tool_calls": [call("now", "{}")]}]


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        ({CALLS: '{"a": 1}'}, "call 1 has no name, got '{\"a\": 1}'; write: name"),
        ({CALLS: "find {}\n({})"}, "call 2 has no name, got"),
        ({CALLS: "find " + "[" * 100_000}, "the arguments of call 1, find, nest too deeply"),
        ({CALLS: "find {city: Rome}"}, "the arguments of call 1, find, are not JSON, got '{city: Rome}'"),
        ({"": "[{]", TURN: "x"}, "the hidden field with the other turns was changed, so delete the annotation"),
        ({"": json.dumps([{"role": "nobody"}]), TURN: "x"}, "the hidden field with the other turns was changed"),
        ({"": "7", TURN: "x"}, "the hidden field with the other turns was changed"),
    ],
)
def test_what_cannot_be_read_is_refused_with_what_to_write(texts: dict[str, str], said: str) -> None:
    with pytest.raises(ValueError) as error:
        read_turns(texts)
    assert str(error.value).startswith(said)


def test_after_a_tool_s_turn_the_answer_is_a_new_turn_and_without_one_all_stays_as_it_is() -> None:
    assert editor_texts([CALLING, RESULT]) == {"": json.dumps([CALLING, RESULT]), TURN: "", CALLS: ""}
    assert edited([CALLING, RESULT]) == [CALLING, RESULT]
    said = {"role": "assistant", "content": "There is none."}
    assert edited([CALLING, RESULT], turn="There is none.") == [CALLING, RESULT, said]
