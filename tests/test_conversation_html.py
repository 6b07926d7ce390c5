"""Conversations and tools as annotators see them."""

import re
from html import escape

import pytest

from pipeline.review.conversation_html import bubbles, tool_list


def text_of(html: str) -> str:
    """The words of HTML, with a space for each tag."""
    return " ".join(re.sub("<[^>]*>", " ", html).split())


def test_turns_have_the_numbers_that_reasons_name_and_nothing_in_them_is_markup() -> None:
    call = {"type": "function", "function": {"name": "find", "arguments": '{"city": "Rome"}'}}
    turns = [
        {"role": "user", "content": "<b>Hi</b>"},
        {"role": "assistant", "content": "", "reasoning_content": "Hm.", "tool_calls": [call]},
    ]
    html = bubbles(turns)
    assert "&lt;b&gt;Hi&lt;/b&gt;" in html and "<b>" not in html
    assert text_of(html).startswith("1 user") and "2 assistant Hm. find {" in text_of(html)


def test_no_part_of_a_turn_is_markup() -> None:
    evil = "<img src=x>&"
    call = {"type": "function", "function": {"name": evil, "arguments": evil}}
    turn = {"role": evil, "content": evil, "reasoning_content": evil, "tool_calls": [call, call]}
    html = bubbles([turn])
    assert "<img" not in html
    assert html.count("&lt;img src=x&gt;&amp;") == 3 + 2 * 2


def test_the_assistant_s_turns_look_different_and_calls_are_indented_where_they_are_json() -> None:
    call = {"type": "function", "function": {"name": "find", "arguments": '{"city":"Rome"}'}}
    assert "goldleaf-own" not in bubbles([{"role": "user", "content": "Hi"}])
    html = bubbles([{"role": "assistant", "content": "", "tool_calls": [call]}])
    assert "goldleaf-own" in html
    assert 'find {\n  "city": "Rome"\n}' in html.replace("&quot;", '"')
    broken = call | {"function": {"name": "find", "arguments": '{"city":'}}
    assert 'find {"city":<' in bubbles([{"role": "assistant", "tool_calls": [broken]}]).replace("&quot;", '"')
    assert bubbles([]) == ""


def test_a_tool_is_its_name_its_purpose_and_its_arguments() -> None:
    properties = {
        "city": {"type": "string", "description": "Where <it> is"},
        "unit": {"enum": ["C", "F"]},
        "when": True,
    }
    parameters = {"type": "object", "properties": properties, "required": ["city"]}
    tool = {"type": "function", "function": {"name": "weather", "description": "The weather", "parameters": parameters}}
    said = "weather : The weather city: string, Where &lt;it&gt; is unit (optional): C | F when (optional)"
    assert text_of(tool_list([tool])) == said


def test_a_tool_of_another_make_is_shown_as_it_is() -> None:
    assert text_of(tool_list([{"title": "x"}])) == "{ &quot;title&quot;: &quot;x&quot; }"
    assert text_of(tool_list([{"name": "now"}, {"name": "go", "parameters": {"to": "str"}}])) == (
        "now go { &quot;to&quot;: &quot;str&quot; }"
    )
    assert tool_list([]) == ""


@pytest.mark.parametrize("arguments", ['{"a": "\\ud800"}', '{"\\udfff": 1}', "[" * 5000, "not JSON", '{"a": 1, "a"'])
def test_arguments_that_cannot_be_laid_out_are_shown_as_they_are(arguments: str) -> None:
    call = {"type": "function", "function": {"name": "f", "arguments": arguments}}
    page = bubbles([{"role": "assistant", "content": "", "tool_calls": [call]}])
    assert escape(arguments) in page
    page.encode()
