"""Conversations as tokens of a real chat template: what it refuses is left out and counted, all else is learned."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from transformers import AutoTokenizer

from pipeline.errors import TrainingError
from pipeline.finetuning import model_sources
from pipeline.finetuning.examples import Example
from pipeline.finetuning.loaded_model import LoadedModel
from pipeline.finetuning.row_tokens import as_tokens
from pipeline.finetuning.train import expected_steps
from pipeline.finetuning.training_rows import LeftOut, training_rows
from schemas.dataset import Finetune, Turns
from schemas.message import FunctionCall, Message, Speaker, ToolCall


@pytest.fixture(scope="module")
def loaded() -> LoadedModel:
    """SmolLM2's tokenizer and template; its weights are not needed."""
    file = model_sources.bundled_file()
    tokenizer = AutoTokenizer.from_pretrained(str(file.parent), gguf_file=file.name)
    return LoadedModel(SimpleNamespace(config=SimpleNamespace()), tokenizer, "smollm2", "r")


def said(role: Speaker, content: str = "", *, call: str | None = None) -> Message:
    calls = (ToolCall(function=FunctionCall(name="search", arguments=call)),) if call is not None else None
    return Message(role=role, content=content, tool_calls=calls)


def row(*turns: Message, name: str = "r1") -> Example:
    return Example(name, turns[:-1], turns[-1:], {})


ONE = Finetune(batch_size=1)
HELLO, ASK, ANSWER = said(Speaker.ASSISTANT, "Hello there."), said(Speaker.USER, "Hi"), said(Speaker.ASSISTANT, "Yes.")


def learned(example: Example, loaded: LoadedModel, turns: Turns = Turns.EVERY) -> str:
    tokens = as_tokens(example, loaded, turns)
    return loaded.tokenizer.decode(
        [one for one, is_learned in zip(tokens.ids, tokens.learned, strict=True) if is_learned]
    )


def test_a_chat_that_the_assistant_begins_is_learned_from_its_first_turn(loaded: LoadedModel) -> None:
    end = "<|im_end|>\n"
    assert learned(row(HELLO, ASK, ANSWER), loaded) == f"Hello there.{end}Yes.{end}"
    assert learned(row(HELLO), loaded) == f"Hello there.{end}"
    assert learned(row(HELLO, ASK, ANSWER), loaded, Turns.LAST) == f"Yes.{end}"


def test_a_row_that_the_template_cannot_render_is_left_out_with_what_it_said(
    loaded: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Templates of other models insist on turns that alternate.
    strict = "{% if messages[0].role == 'assistant' %}{{ raise_exception('roles must alternate') }}{% endif %}"
    monkeypatch.setattr(loaded.tokenizer, "chat_template", strict + loaded.tokenizer.chat_template)
    found = training_rows(
        [row(HELLO, ASK, ANSWER), row(ASK, ANSWER, name="r2")], Finetune(batch_size=1), loaded, tmp_path
    )
    assert len(found.rows) == 1
    assert found.left_out == {LeftOut.UNRENDERED: 1}
    assert (
        found.unrendered == "row r1: the chat template of smollm2 cannot render a conversation (roles must alternate)"
    )
    with pytest.raises(TrainingError, match=r"No row can be trained on: row r1: .*alternate\); set another"):
        training_rows([row(HELLO, ASK, ANSWER)], Finetune(batch_size=1), loaded, tmp_path)


def test_a_call_that_is_nested_too_deeply_for_the_template_is_no_traceback(
    loaded: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shows = (
        "{% for m in messages %}{{ m.role }}:{{ m.content }}{{ m.tool_calls | tojson if m.tool_calls }}\n{% endfor %}"
    )
    monkeypatch.setattr(loaded.tokenizer, "chat_template", shows)
    arguments = '{"a":' * 600 + "1" + "}" * 600
    deep = row(ASK, said(Speaker.ASSISTANT, call=arguments), name="deep")
    shallow = row(ASK, said(Speaker.ASSISTANT, call=json.dumps({"a": 1})))
    # It is a text to the template, which an object of so many levels would be too much for.
    found = training_rows([deep, shallow], Finetune(batch_size=1, max_length=8192), loaded, tmp_path)
    assert (len(found.rows), found.left_out) == (2, {})


def test_a_call_is_not_taken_for_shown_because_its_name_is_in_the_prompt(loaded: LoadedModel, tmp_path: Path) -> None:
    # SmolLM2's template shows a system prompt of its own, and never a call.
    asked = said(Speaker.USER, "Please search the web.")
    found = training_rows([row(asked, said(Speaker.ASSISTANT, call="{}")), row(ASK, ANSWER)], ONE, loaded, tmp_path)
    assert (len(found.rows), found.left_out) == (1, {LeftOut.UNSHOWN_CALLS: 1})


def test_the_turns_of_a_row_that_is_too_long_are_not_looked_for(
    loaded: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rendered = []
    text = LoadedModel.text

    def counted(self: LoadedModel, *given: Any, **options: Any) -> str:
        rendered.append(given)
        return text(self, *given, **options)

    monkeypatch.setattr(LoadedModel, "text", counted)
    long = row(*[ASK, ANSWER] * 250, name="long")
    found = training_rows([long, row(ASK, ANSWER)], Finetune(batch_size=1, max_length=200), loaded, tmp_path)
    assert found.left_out == {LeftOut.TOO_LONG: 1}
    assert len(rendered) == 1 + 2
    # What is read of it for the evaluation has few turns, whatever its length.
    rendered.clear()
    assert len(as_tokens(long, loaded, Turns.EVERY, 200)) == 200
    assert len(rendered) < 60


def test_the_steps_that_are_expected_are_those_of_the_rows_that_are_left(loaded: LoadedModel, tmp_path: Path) -> None:
    called = [row(ASK, said(Speaker.ASSISTANT, call="{}"), name=f"c{number}") for number in range(9)]
    plain = [row(ASK, ANSWER, name=f"p{number}") for number in range(10)]
    config = Finetune(batch_size=4, epochs=3)
    found = training_rows([*called, *plain], config, loaded, tmp_path)
    assert found.left_out == {LeftOut.UNSHOWN_CALLS: 9}
    assert expected_steps(found, config) == 3 * 3
