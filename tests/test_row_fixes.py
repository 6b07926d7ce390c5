"""Rows that are too long are shortened at their longest input, and nothing else of them changes."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from model_families import LLAMA, SMOLLM, model_of

from pipeline.finetuning.examples import Example
from pipeline.finetuning.loaded_model import LoadedModel
from pipeline.finetuning.row_fixes import Fixes, shortened
from pipeline.finetuning.row_tokens import RenderedRow
from schemas.message import Message, Speaker
from schemas.task import Input, Target, Task

WORDS = "The parcel with the red lamp did not arrive on Sunday, and nobody at the door could say why. "


class Ticket(Task):
    """Name the topic of this ticket: billing, delivery or returns."""

    subject: Input[str]
    text: Input[str]
    topic: Target[str]


INPUTS = ("subject", "text")


@pytest.fixture(scope="module")
def loaded() -> LoadedModel:
    return model_of(SMOLLM)


def ticket(subject: str, text: str, topic: str = "delivery", name: str = "t") -> Example:
    fields = {"subject": subject, "text": text, "topic": topic}
    return Example(name, tuple(Ticket.task_prompt(fields)), (Message(role=Speaker.ASSISTANT, content=topic),), fields)


def length(example: Example, loaded: LoadedModel) -> int:
    return len(RenderedRow(example, loaded))


def test_the_longest_input_is_cut_at_its_end_and_all_else_stays(loaded: LoadedModel) -> None:
    long = ticket("A lamp", WORDS * 20)
    cut = shortened(long, loaded, 150, INPUTS)
    assert cut is not None
    assert 140 <= length(cut, loaded) <= 150 < length(long, loaded)
    assert cut.prompt[0] == long.prompt[0] and cut.completion == long.completion and cut.fields == long.fields
    head, _, text = cut.prompt[1].content.partition("text: ")
    assert head == long.prompt[1].content.partition("text: ")[0] and "A lamp" in head
    assert (WORDS * 20).startswith(text) and len(text) > 100


@settings(max_examples=40, deadline=None)
@given(
    subject=st.text("ab é日👩\n", max_size=60),
    text=st.text("cd ü本.\n", min_size=1, max_size=400),
    limit=st.integers(60, 200),
)
def test_a_shortened_row_fits_and_what_is_left_of_it_was_there(
    loaded: LoadedModel, subject: str, text: str, limit: int
) -> None:
    row = ticket(subject, text)
    cut = shortened(row, loaded, limit, INPUTS)
    if length(row, loaded) <= limit:
        assert cut == row
    if cut is not None:
        assert length(cut, loaded) <= limit
        assert len(cut.prompt[1].content) <= len(row.prompt[1].content)
        assert cut.completion == row.completion


def test_if_one_input_is_not_enough_the_next_is_cut_too(loaded: LoadedModel) -> None:
    cut = shortened(ticket(WORDS * 9, WORDS * 10), loaded, 100, INPUTS)
    assert cut is not None and length(cut, loaded) <= 100
    subject, text = cut.prompt[1].content.removeprefix("subject: ").split("\n\ntext: ")
    assert WORDS.startswith(subject[:20]) and WORDS.startswith(text[:20])


def test_a_row_that_would_lose_all_of_its_input_is_not_shortened(loaded: LoadedModel) -> None:
    assert shortened(ticket("A lamp", "It broke.", WORDS * 20), loaded, 150, INPUTS) is None
    assert shortened(ticket("A lamp", WORDS * 20), loaded, 30, INPUTS) is None


def test_a_prompt_that_does_not_show_its_inputs_as_they_are_is_not_cut(loaded: LoadedModel) -> None:
    row = ticket("A lamp", WORDS * 20)
    shouted = [turn.model_copy(update={"content": turn.content.upper()}) for turn in row.prompt]
    assert shortened(Example("s", tuple(shouted), row.completion, row.fields), loaded, 150, INPUTS) is None
    assert shortened(row, loaded, 150, ()) is None


def test_of_a_chat_what_users_and_tools_say_is_cut_and_never_the_assistant(loaded: LoadedModel) -> None:
    said = [("user", WORDS * 5), ("assistant", WORDS * 8), ("tool", WORDS * 12), ("user", "Where is it?")]
    turns = tuple(Message(role=Speaker(role), content=text) for role, text in said)
    fields = {"messages": [{"role": role, "content": text} for role, text in said]}
    row = Example("c", turns, (Message(role=Speaker.ASSISTANT, content="There."),), fields)
    cut = shortened(row, loaded, 420, ())
    assert cut is not None and length(cut, loaded) <= 420
    assert [len(turn.content) < len(text) for turn, (_, text) in zip(cut.prompt, said, strict=True)] == [
        False, False, True, False,
    ]  # fmt: skip


def test_fixes_are_applied_to_the_rows_that_they_name(loaded: LoadedModel) -> None:
    rows = [ticket("A lamp", WORDS * 20, name=name) for name in ("drop", "cut", "keep")]
    fixes = Fixes(frozenset({"drop"}), frozenset({"cut"}), INPUTS, 150)
    fixed = fixes.applied(rows, loaded)
    assert len(fixed) == 2
    cut, kept = fixed
    assert (cut.id, kept) == ("cut", rows[2])
    assert cut == shortened(rows[1], loaded, 150, INPUTS)
    assert list(Fixes().applied(rows, loaded)) == rows


def test_the_end_of_a_text_is_cut_where_another_tokenizer_would_cut_it(loaded: LoadedModel) -> None:
    row = ticket("A lamp", WORDS * 20)
    other = model_of(LLAMA)
    cut = shortened(row, other, 150, INPUTS)
    assert cut is not None and 140 <= length(cut, other) <= 150
