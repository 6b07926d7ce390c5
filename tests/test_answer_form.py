"""A model that is held to the form of the answers writes nothing else, and every right answer has the form."""

import datetime
import unicodedata
from decimal import Decimal
from typing import Any, Literal

import pytest
from generated_values import FORMS
from hypothesis import given
from hypothesis import strategies as st
from llguidance import LLMatcher
from llguidance.hf import from_tokenizer
from pydantic import create_model
from tried_examples import examples

from pipeline.finetuning.answer_form import grammar_of
from pipeline.finetuning.base_model import LoadedModel, load_base
from pipeline.finetuning.predict import predict
from schemas.field import is_blank
from schemas.message import Message, Speaker
from schemas.task import Conversation, Input, Target, Task
from schemas.tasks.contract_clause import ContractClause
from schemas.tasks.invoice import Invoice


@pytest.fixture(scope="module")
def base() -> LoadedModel:
    return load_base("smollm2-135m-instruct")


@pytest.fixture(scope="module")
def tokenizer(base: LoadedModel) -> Any:
    return from_tokenizer(base.tokenizer)


def has_form(task: type[Task], text: str, base: LoadedModel, tokenizer: Any) -> bool:
    """Whether a text is what the grammar of a task lets a model write."""
    grammar = grammar_of(task)
    assert grammar is not None
    matcher = LLMatcher(tokenizer, grammar)
    assert not matcher.get_error()
    tokens = base.tokenizer(text, add_special_tokens=False)["input_ids"]
    return bool(matcher.try_consume_tokens(tokens) == len(tokens) and matcher.is_accepting())


def task_with(**targets: Any) -> type[Task]:
    fields: dict[str, Any] = {name: (Target[annotation], ...) for name, annotation in targets.items()}
    return create_model("Toy", __base__=Task, __doc__="Say it.", text=(Input[str], ...), **fields)


@pytest.mark.parametrize(
    ("annotation", "right", "wrong"),
    [
        (Literal["a, b", "c"], ["a, b", "c"], ["", "a", "d", '"c"']),
        (Literal["a", "b"] | None, ["a", ""], ["c"]),
        (
            set[Literal["a", "b, c"]],
            ["[]", '["a"]', '["a","b, c"]', '["b, c"]'],
            ['["b, c","a"]', '["a","a"]', "a", ""],
        ),
        (int, ["5", "-17"], ["5.0", "x", ""]),
        (float, ["5", "-3.25"], ["1e5"]),
        (Decimal, ["12.5"], ["12,5"]),
        (bool, ["true", "false"], ["yes"]),
        (datetime.date, ["2026-05-03"], ["3 May 2026"]),
        (list[str], ["[]", '["x","y \\" z"]'], ["x"]),
    ],
)
def test_an_answer_has_the_form_and_another_text_has_not(
    annotation: Any, right: list[str], wrong: list[str], base: LoadedModel, tokenizer: Any
) -> None:
    task = task_with(answer=annotation)
    assert [text for text in right if not has_form(task, text, base, tokenizer)] == []
    assert [text for text in wrong if has_form(task, text, base, tokenizer)] == []


def test_any_text_may_be_an_answer_where_a_text_is_asked_for() -> None:
    chat = create_model("Toy", __base__=Task, __doc__="Help.", messages=(Conversation, ...))
    assert grammar_of(task_with(answer=str)) is None
    assert grammar_of(chat) is None


def test_a_task_that_writes_its_answers_itself_has_a_form_of_its_own() -> None:
    class Backwards(ContractClause):
        """Name the kind, backwards."""

        @classmethod
        def task_answer(cls, targets: Any) -> str:
            return str(targets["kind"])[::-1]

    assert grammar_of(Backwards) is None
    assert grammar_of(ContractClause) is not None


_NAMES = sorted(set(FORMS) - {"text"})


@given(st.data())
@examples(30)
def test_every_right_answer_of_generated_tasks_has_the_form(data: st.DataObject) -> None:
    loaded, llm_tokenizer = _loaded()
    names = data.draw(st.lists(st.sampled_from(_NAMES), min_size=1, max_size=3, unique=True))
    task = task_with(**{f"t{number}": FORMS[name][0] for number, name in enumerate(names)})
    values = {f"t{number}": data.draw(FORMS[name][1]) for number, name in enumerate(names)}
    answer = task.task_answer(task.task_canonical(values))
    big = any(isinstance(value, int | float) and abs(value) > 10**6 for value in values.values())
    # A template's tokens within a text are rejected before anything is trained on it, and no model writes characters
    # that do not exist.
    odd = "<|" in answer or any(unicodedata.category(character) in ("Cn", "Co", "Cs") for character in answer)
    if not big and not odd and not any(is_blank(value) or "e" in repr(value) for value in _floats(values)):
        assert has_form(task, answer, loaded, llm_tokenizer), answer


_CACHE: list[Any] = []


def _loaded() -> tuple[LoadedModel, Any]:
    if not _CACHE:
        model = load_base("smollm2-135m-instruct")
        _CACHE.extend([model, from_tokenizer(model.tokenizer)])
    return _CACHE[0], _CACHE[1]


def _floats(value: Any) -> list[float]:
    """All floats within a value: those with an exponent are beyond what the form lets a model write."""
    if isinstance(value, float):
        return [value]
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    return [one for part in parts for one in _floats(part)]


def test_an_untuned_model_that_is_held_to_the_form_always_gives_an_answer(base: LoadedModel) -> None:
    prompts = [
        [Message(role=Speaker.USER, content=text)] for text in ("Hello!", "This agreement ends in May.", "", "1, 2, 3")
    ]
    topics = task_with(topics=set[Literal["billing", "delivery", "returns"]])
    for task in (ContractClause, topics, task_with(answer=bool), task_with(day=datetime.date)):
        answers = predict(base, prompts, max_new_tokens=24, grammar=grammar_of(task))
        assert all(task.task_read_answer(answer) is not None for answer in answers), answers
    long = predict(base, prompts[:2], max_new_tokens=60, grammar=grammar_of(Invoice))
    assert all(answer.startswith('{"vendor":"') for answer in long)
