"""Templates that write today's date write the same one every day, so that rows stay what they are."""

import pytest
from chat_templates import TEMPLATES
from model_families import SOUND, Family, model_of

from pipeline.finetuning.examples import Example
from pipeline.finetuning.row_batches import batch_rows
from pipeline.finetuning.row_tokens import as_tokens
from pipeline.finetuning.template_clock import on_one_day
from schemas.dataset import Turns
from schemas.message import Message, Speaker

ROW = Example("r", (Message(role=Speaker.USER, content="Hi"),), (Message(role=Speaker.ASSISTANT, content="Ho"),), {})


@pytest.mark.parametrize(
    ("code", "shown"),
    [
        ("%d %b %Y", "26 Jul 2024"),
        ("%Y-%m-%d", "2024-07-26"),
        ("%A, %B %d, %y %H:%M:%S", "Friday, July 26, 24 00:00:00"),
    ],
)
def test_a_template_s_today_is_always_the_same_day(code: str, shown: str) -> None:
    # As templates do it: in a function of theirs, too.
    date = (
        "\n{% macro date() %}{{ strftime_now('" + code + "') }}{% endmacro %}"
        "{% set today = date() %}Today: {{ today }}, {{ strftime_now('" + code + "') }}\n"
    )
    loaded = model_of(Family(date + TEMPLATES["hermes"]))
    assert loaded.text(ROW.prompt, answer_follows=True).startswith(f"\nToday: {shown}, {shown}\n<|im_start|>user")
    [found] = batch_rows([ROW], loaded, Turns.EVERY, 99)
    assert not isinstance(found, Exception)
    assert found.tokens() == as_tokens(ROW, loaded, Turns.EVERY)
    assert shown in found.text


@pytest.mark.parametrize("name", SOUND)
def test_templates_without_a_date_are_taken_as_they_are(name: str) -> None:
    assert on_one_day(SOUND[name].template) is SOUND[name].template
