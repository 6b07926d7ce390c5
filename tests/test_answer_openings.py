"""Models are asked by the very tokens that come before an answer in training, and answer by the likeliest token."""

import json
import math

import pytest
from chat_templates import TEMPLATES
from model_families import LLAMA, MISTRAL, SOUND, Family, model_of
from pydantic import create_model
from test_training_variants import CHATS

from pipeline.finetuning import predict as predicting
from pipeline.finetuning.answer_opening import Opening
from pipeline.finetuning.answer_room import longest_answer
from pipeline.finetuning.examples import Example
from pipeline.finetuning.held_to_form import FormKeeper
from pipeline.finetuning.loaded_model import LoadedModel
from pipeline.finetuning.predict import predict
from pipeline.finetuning.row_tokens import as_tokens
from schemas.dataset import Turns
from schemas.message import Message, Speaker
from schemas.task import Input, Target, Task

PROMPT = (
    Message(role=Speaker.SYSTEM, content="Answer in a word."),
    Message(role=Speaker.USER, content="Is it 3 > 2?"),
)
REASONS = Family(CHATS["qwen3"])
"""It shows the reasoning of an answer even if there is none, but does not open it."""
BARE = Family(TEMPLATES["the last two"].replace("[-2:]", ""))
"""Without special tokens: a blank opens an answer."""
FAMILIES = {**SOUND, "reasons": REASONS, "bare": BARE}


# --- what is asked ----------------------------------------------------------------------------
@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("answer", ["yes", "Yes, of course", '{"a":1}', '["x","y"]', "12.5"])
def test_a_prompt_is_asked_by_the_tokens_that_its_answer_is_trained_after(name: str, answer: str) -> None:
    loaded = model_of(FAMILIES[name])
    said = (Message(role=Speaker.ASSISTANT, content=answer),)
    whole = as_tokens(Example("r", PROMPT, said, {}), loaded, Turns.EVERY).ids
    opening = Opening.after(PROMPT, None, loaded)
    asked = opening.token_ids(PROMPT, None, loaded)
    assert whole[: len(asked)] == asked
    assert loaded.tokenizer.decode(whole[len(asked) :]).startswith(opening.left + answer)


@pytest.mark.parametrize(
    ("family", "lead", "left"),
    [(REASONS, "<think>\n\n</think>\n\n", ""), (MISTRAL, " ", " "), (LLAMA, "", ""), (SOUND["smollm"], "", "")],
)
def test_what_stands_before_an_answer_is_told_from_what_the_model_has_to_write(
    family: Family, lead: str, left: str
) -> None:
    assert Opening.after(PROMPT, None, model_of(family)) == Opening(lead, left)


def test_a_template_that_writes_a_prompt_differently_once_it_is_answered_opens_nothing() -> None:
    for name in ("reasoning of the last turn", "counts the turns"):
        loaded = model_of(Family(TEMPLATES[name]))
        opening = Opening.after(PROMPT, None, loaded)
        assert (opening.lead, opening.token_ids(PROMPT, None, loaded)) == (
            "",
            loaded.token_ids(PROMPT, answer_follows=True),
        )


@pytest.mark.parametrize(("is_turn", "end"), [(False, "</think>\n\n"), (True, "assistant\n")])
def test_only_a_turn_of_a_conversation_may_begin_with_reasoning(
    is_turn: bool, end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def generate(loaded: LoadedModel, prompts: list[list[int]], most: int, keeper: None) -> list[list[int]]:
        asked.extend(prompts)
        return [[] for _ in prompts]

    monkeypatch.setattr(predicting, "_generate", generate)
    loaded = model_of(REASONS)
    predict(loaded, [PROMPT], max_new_tokens=4, with_marks=is_turn)
    assert loaded.tokenizer.decode(asked[0]).endswith(end)


def test_a_held_answer_begins_with_the_token_that_it_is_trained_with() -> None:
    loaded = model_of(MISTRAL)
    [matcher] = FormKeeper(loaded, 'start: "yes" | T_0\nT_0: "no"', " ").matchers(1)
    [trained], [alone] = (loaded.tokenizer(text, add_special_tokens=False)["input_ids"] for text in (" no", "no"))
    assert not matcher.deep_copy().consume_token(alone)
    assert matcher.consume_token(trained)
    assert predict(loaded, [PROMPT], max_new_tokens=4, grammar='start: "yes" | "no"')[0] in ("yes", "no")


def test_an_answer_has_room_for_what_comes_before_it_and_half_as_much_as_the_longest_known_one() -> None:
    """In batches: of any number of rows, a few are held."""
    task = create_model("Toy", __base__=Task, __doc__="Say it.", text=(Input[str], ...), answer=(Target[str], ...))
    said = ["yes", "no, by no means", *(f"number {number}" for number in range(1_500)), "no"]
    rows = [Example(one, PROMPT, (Message(role=Speaker.ASSISTANT, content=one),), {}) for one in said]
    lengths = {name: longest_answer(iter(rows), task, model_of(FAMILIES[name])) for name in ("smollm", "reasons")}
    tokenizer = model_of(REASONS).tokenizer
    longest = math.ceil(1.5 * (max(len(tokenizer.encode(one)) for one in said) + 1))
    assert lengths == {"smollm": longest, "reasons": longest + len(tokenizer.encode("<think>\n\n</think>\n\n"))}
    assert longest_answer([], task, model_of(REASONS)) == 1


# --- how it is answered -----------------------------------------------------------------------
@pytest.fixture(scope="module")
def small() -> LoadedModel:
    return model_of(SOUND["smollm"], initializer_range=0.5)


@pytest.mark.parametrize(
    "settings",
    [{"repetition_penalty": 1.3}, {"num_beams": 2}, {"no_repeat_ngram_size": 1}, {"min_new_tokens": 5}],
    ids=str,
)
def test_settings_of_the_model_s_author_change_no_answer(small: LoadedModel, settings: dict[str, float]) -> None:
    prompts = [[Message(role=Speaker.USER, content=f"Number {number}" * number)] for number in range(1, 7)]
    free = predict(small, prompts, max_new_tokens=12)
    held = predict(small, prompts, max_new_tokens=12, grammar='start: "yes" | "no"')
    kept = small.model.generation_config
    before = json.dumps(kept.to_dict(), sort_keys=True)
    try:
        for name, value in settings.items():
            setattr(kept, name, value)
        assert predict(small, prompts, max_new_tokens=12) == free
        assert predict(small, prompts, max_new_tokens=12, grammar='start: "yes" | "no"') == held
        assert small.model.generation_config is kept
    finally:
        for name in settings:
            setattr(kept, name, None)
    assert json.dumps(kept.to_dict(), sort_keys=True) == before
