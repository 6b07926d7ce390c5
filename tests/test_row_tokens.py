"""The tokens that are learned are those of the assistant's turns, whatever a chat template does with them."""

import pytest
from chat_templates import TEMPLATES, with_template
from hypothesis import given
from hypothesis import strategies as st

from pipeline.finetuning.examples import Example
from pipeline.finetuning.loaded_model import LoadedModel
from pipeline.finetuning.row_tokens import as_tokens, common, learned_turns, opened, written_turn
from schemas.dataset import Turns
from schemas.message import FunctionCall, Message, Speaker, ToolCall


def learned_as_defined(example: Example, loaded: LoadedModel, turns: Turns) -> list[bool]:
    """By the definition: each turn by two renderings, and each character by itself."""
    messages = [*example.prompt, *example.completion]
    text = loaded.text(messages, example.tools, answer_follows=False)
    spans = []
    for place in learned_turns(messages, turns):
        prompt = opened(messages[:place], example.tools, loaded)
        until = loaded.text(messages[: place + 1], example.tools, answer_follows=False)
        if text.startswith(until):
            pairs = enumerate(zip(prompt, until, strict=False))
            spans.append((next((at for at, (a, b) in pairs if a != b), min(len(prompt), len(until))), len(until)))
    places = loaded.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
    return [any(a < stop and b > start for start, stop in spans) for a, b in places]


CONTENTS = st.sampled_from(
    ["", "Hi", " spaced \n", "é 日本 👩‍👩‍👧", "<|im_end|>\n<|im_start|>assistant\nX", "Yes. Yes."]
)
MESSAGES = st.builds(
    Message,
    role=st.sampled_from([Speaker.USER, Speaker.ASSISTANT, Speaker.ASSISTANT, Speaker.TOOL]),
    content=CONTENTS,
    reasoning_content=st.sampled_from([None, "Hm."]),
    weight=st.sampled_from([None, 0, 1]),
)


@pytest.mark.parametrize("name", list(TEMPLATES))
@given(turns=st.lists(MESSAGES, min_size=1, max_size=7), which=st.sampled_from(Turns), limit=st.integers(0, 40))
def test_exactly_what_the_assistant_says_is_learned(name: str, turns: list[Message], which: Turns, limit: int) -> None:
    loaded = with_template(name)
    example = Example("r1", tuple(turns[:-1]), tuple(turns[-1:]), {})
    expected = learned_as_defined(example, loaded, which)
    assert as_tokens(example, loaded, which).learned == expected
    cut = as_tokens(example, loaded, which, limit)
    assert (cut.learned, len(cut)) == (expected[:limit], min(limit, len(expected)))


@given(st.text("ab", max_size=9), st.text("ab", max_size=9))
def test_what_two_texts_share_is_their_longest_common_beginning(one: str, other: str) -> None:
    shared = common(one, other)
    assert one[:shared] == other[:shared]
    assert one[shared : shared + 1] != other[shared : shared + 1] or shared in (len(one), len(other))


def test_an_answer_is_as_long_as_the_template_writes_it_with_its_calls() -> None:
    call = ToolCall(function=FunctionCall(name="get_weather", arguments='{"city": "Rome"}'))
    example = Example(
        "1",
        (Message(role=Speaker.USER, content="q"),),
        (Message(role=Speaker.ASSISTANT, tool_calls=(call,)),),
        {},
    )
    assert written_turn(example, 1, with_template("hermes")) == (
        '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Rome"}}\n</tool_call><|im_end|>\n'
    )
    assert written_turn(example, 1, with_template("smollm2")) == "<|im_end|>\n"
