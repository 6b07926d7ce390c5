"""A model that is held to the form of the answers writes nothing else, and every right answer has the form."""

import datetime
import random
import sys
import unicodedata
from decimal import Decimal
from typing import Annotated, Any, Literal

import numpy as np
import pytest
from generated_values import FORMS
from hypothesis import given
from hypothesis import strategies as st
from llguidance import LLMatcher
from llguidance.hf import from_tokenizer
from llguidance.numpy import allocate_token_bitmask, fill_next_token_bitmask
from pydantic import BaseModel, Field, StringConstraints, create_model
from tried_examples import examples

from pipeline.errors import TrainingError
from pipeline.finetuning.answer_form import grammar_of
from pipeline.finetuning.base_model import load_base
from pipeline.finetuning.loaded_model import LoadedModel
from pipeline.finetuning.predict import predict
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
    matcher = at_start(task, tokenizer)
    tokens = base.tokenizer(text, add_special_tokens=False)["input_ids"]
    return bool(matcher.try_consume_tokens(tokens) == len(tokens) and matcher.is_accepting())


def at_start(task: type[Task], tokenizer: Any) -> Any:
    grammar = grammar_of(task)
    assert grammar is not None
    matcher = LLMatcher(tokenizer, grammar)
    assert not matcher.get_error()
    return matcher


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
        (int, ["5", "-17", str(2**63 - 1), str(-(2**63))], ["5.0", "x", "", str(2**63), str(-(2**63) - 1), "007"]),
        (float, ["5", "-3.25", "1e-07", "-2.5e+16", "5e-324", str(sys.float_info.max)], ["1e5", "1e+309", "inf", ".5"]),
        (Decimal, ["12.5", "0." + "0" * 37 + "1", "9" * 38, "1." + "9" * 37], ["12,5", "9" * 39, "1." + "9" * 38]),
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


@given(data=st.data())
@examples(30)
def test_every_right_answer_of_generated_tasks_has_the_form(
    base: LoadedModel, tokenizer: Any, data: st.DataObject
) -> None:
    names = data.draw(st.lists(st.sampled_from(_NAMES), min_size=1, max_size=3, unique=True))
    task = task_with(**{f"t{number}": FORMS[name][0] for number, name in enumerate(names)})
    values = {f"t{number}": data.draw(FORMS[name][1]) for number, name in enumerate(names)}
    answer = task.task_answer(task.task_canonical(values))
    # A template's tokens within a text are rejected before anything is trained on it, and no model writes characters
    # that do not exist.
    odd = "<|" in answer or any(unicodedata.category(character) in ("Cn", "Co", "Cs") for character in answer)
    # The library knows no text of JSON with a DEL in it.
    odd = odd or "\x7f" in answer
    if not odd:
        assert has_form(task, answer, base, tokenizer), answer


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


def test_a_model_is_held_to_the_form_without_a_compiler(base: LoadedModel) -> None:
    """Importing the library's functions for torch is enough to have one called."""
    prompt = [Message(role=Speaker.USER, content="Is water wet?")]
    [answer] = predict(base, [prompt], max_new_tokens=4, grammar=grammar_of(task_with(answer=bool)))
    assert answer in ("true", "false")
    assert "llguidance.torch" not in sys.modules


# --- what a grammar lets through, the task reads ----------------------------------------------
class Line(BaseModel):
    name: str
    price: Annotated[Decimal, Field(ge=0, max_digits=6, decimal_places=2)]
    count: Annotated[int, Field(gt=0, lt=1000)] | None = None
    marks: list[Literal["a", "ab", "abc"]] = []


SMOLLM2_TOKENS = 49152
WALKED: dict[str, dict[str, Any]] = {
    "numbers": {"a": int, "b": float, "c": Decimal},
    "moments": {"a": datetime.date, "b": datetime.datetime, "c": datetime.time | None},
    "line items": {"lines": list[Line]},
    "sets within JSON": {"tags": set[Literal["p", "pp", 'say "hi"', "back\\slash"]], "fine": bool},
    "shares": {"a": Annotated[float, Field(gt=0, lt=1)], "b": Annotated[float, Field(ge=-90.5, le=90)]},
    "texts": {
        "code": Annotated[str, StringConstraints(pattern="^[A-Z]{2,4}$")],
        "short": Annotated[str, Field(max_length=3)],
        "some": Annotated[list[Annotated[str, Field(min_length=2)]], Field(min_length=1, max_length=2)],
    },
    "one number": {"a": Annotated[float, Field(le=-17.25)]},
    "one amount": {"a": Annotated[Decimal, Field(lt=0)] | None},
    "one object": {"a": Line | None},
}


@pytest.fixture(scope="module")
def closing(tokenizer: Any) -> Any:
    """The tokens with which a text, a list or an object may end."""
    return [token for token in range(tokenizer.vocab_size) if tokenizer.decode_str([token])[:1] in ('"', "]", "}")]


def walk(start: Any, ends: int, closing: Any, chance: random.Random) -> list[int] | None:
    """What a model with no mind at all writes that is held to a grammar; None if it reaches no end."""
    matcher, written = start.deep_copy(), list[int]()
    allowed = allocate_token_bitmask(1, SMOLLM2_TOKENS)
    while len(written) < 120:
        fill_next_token_bitmask(matcher, allowed, 0)
        assert not matcher.get_error()
        tokens = np.flatnonzero(np.unpackbits(allowed[0].view(np.uint8), bitorder="little"))
        # Texts would hardly ever end otherwise.
        ending = np.intersect1d(tokens, closing)
        if ends in tokens and (chance.random() < 0.3 or len(tokens) == 1):
            return written
        written.append(int(chance.choice(ending if len(ending) and chance.random() < 0.4 else tokens)))
        if written[-1] == ends:
            return written[:-1]
        matcher.consume_token(written[-1])
        assert not matcher.get_error()
        if matcher.is_stopped():
            return written
    return None


@pytest.mark.parametrize("name", WALKED)
def test_whatever_a_model_ends_with_the_task_can_read(
    name: str, base: LoadedModel, tokenizer: Any, closing: Any
) -> None:
    task, chance = task_with(**WALKED[name]), random.Random(17)
    start = at_start(task, tokenizer)
    walks = [walk(start, base.tokenizer.eos_token_id, closing, chance) for _ in range(25)]
    answers = [base.tokenizer.decode(written) for written in walks if written is not None]
    assert len(answers) > 12
    assert [answer for answer in answers if task.task_read_answer(answer) is None] == []


@pytest.mark.parametrize(
    ("annotation", "right", "wrong"),
    [
        (Annotated[int, Field(ge=0, le=5)], ["0", "5"], ["-1", "-0", "6", "10"]),
        (Annotated[int, Field(gt=17, lt=2012)], ["18", "20", "99", "100", "2011"], ["17", "2012", "1", "-18", "9999"]),
        (Annotated[int, Field(lt=-9)], ["-10", "-99"], ["-9", "-1", "0", "10"]),
        (Annotated[float, Field(gt=0)], ["1e-07", "0.1", "2", "3e+20"], ["0", "0.0", "-1", "-1e-07"]),
        (
            Annotated[float, Field(ge=0.5, le=2.25)],
            ["0.5", "0.50", "1", "2.25", "2.2"],
            ["0.49", "2.251", "3", "1e-07"],
        ),
        (
            Annotated[float, Field(ge=-90.5, le=90)],
            ["-90.5", "90", "90.0", "-0.1", "1e-05"],
            ["-90.51", "90.1", "1e+16"],
        ),
        (Annotated[Decimal, Field(ge=0, max_digits=4, decimal_places=2)], ["0.05", "12.34"], ["123.4", "1.234", "-1"]),
        (Annotated[set[Literal["a", "b"]], Field(min_length=1)], ['["a"]', '["a","b"]'], ["[]"]),
        (Annotated[set[Literal["a", "b", "c"]], Field(min_length=2)], ['["a","c"]', '["a","b","c"]'], ["[]", '["b"]']),
        (
            Annotated[set[Literal["a", 'b,"', "\\"]], Field(max_length=2)],
            ["[]", r'["a","b,\""]', r'["b,\"","\\"]'],
            [r'["a","b,\"","\\"]'],
        ),
        (Annotated[set[Literal["a"]], Field(max_length=0)], ["[]"], ['["a"]']),
        (
            Annotated[datetime.date, Field(ge=datetime.date(1999, 12, 30), lt=datetime.date(2024, 3, 1))],
            ["1999-12-30", "1999-12-31", "2000-01-01", "2024-02-29", "2023-09-30"],
            ["1999-12-29", "1989-12-31", "2024-03-01", "2030-01-01", "2023-02-29"],
        ),
        (
            Annotated[datetime.date, Field(gt=datetime.date(2024, 2, 29))],
            ["2024-03-01", "9999-12-31"],
            ["2024-02-29", "0001-01-01"],
        ),
    ],
)
def test_the_limits_of_pydantic_are_those_of_the_form(
    annotation: Any, right: list[str], wrong: list[str], base: LoadedModel, tokenizer: Any
) -> None:
    task = task_with(answer=annotation)
    assert [text for text in right if not has_form(task, text, base, tokenizer)] == []
    assert [text for text in wrong if has_form(task, text, base, tokenizer)] == []
    assert [text for text in right if task.task_read_answer(text) is None] == []


def test_a_text_within_json_says_something_and_keeps_its_pattern(base: LoadedModel, tokenizer: Any) -> None:
    task = task_with(code=Annotated[str, Field(pattern="^[A-Z ]*$")], note=str | None)
    right = ['{"code":"AB"}', '{"code":"A B","note":"é\\n\\u0001"}']
    wrong = ['{"code":""}', '{"code":"  "}', '{"code":"ab"}', '{"code":"A","note":"\\u200b"}', '{"code":"A","note":""}']
    assert [text for text in right if not has_form(task, text, base, tokenizer)] == []
    assert [text for text in wrong if has_form(task, text, base, tokenizer)] == []


def test_a_pattern_that_no_grammar_can_keep_is_left_to_the_task(base: LoadedModel, tokenizer: Any) -> None:
    task = task_with(name=Annotated[str, Field(pattern=r"\bACME\b")], fine=bool)
    assert has_form(task, '{"name":"ACME Ltd","fine":true}', base, tokenizer)
    assert has_form(task, '{"name":"Bolt","fine":true}', base, tokenizer)
    assert task.task_read_answer('{"name":"Bolt","fine":true}') is None


def test_labels_within_json_come_once_and_in_order(base: LoadedModel, tokenizer: Any) -> None:
    task = task_with(tags=set[Literal["a", "b", "c"]], fine=bool)
    assert has_form(task, '{"tags":["a","c"],"fine":true}', base, tokenizer)
    for tags in ('["a","a"]', '["c","a"]'):
        assert not has_form(task, f'{{"tags":{tags},"fine":true}}', base, tokenizer)


# --- many labels ------------------------------------------------------------------------------
MANY = tuple(f"label number {number}" for number in range(2000))


@pytest.mark.parametrize("annotation", [Literal[MANY], set[Literal[MANY]]], ids=["choice", "set"])
def test_thousands_of_labels_are_held_to_as_well(annotation: Any, base: LoadedModel) -> None:
    task = task_with(answer=annotation)
    prompts = [[Message(role=Speaker.USER, content="Name a label")]] * 2
    answers = predict(base, prompts, max_new_tokens=16, grammar=grammar_of(task))
    assert all(task.task_read_answer(answer) for answer in answers), answers


def test_a_form_that_the_library_gives_up_on_is_an_error_and_no_answer(base: LoadedModel) -> None:
    # It is sound at its beginning, and has too many rules that could come next only after the first token.
    rules = [f'r_{number}: "a" "{number}"' for number in range(3000)]
    grammar = "\n".join(['start: "x" (' + " | ".join(f"r_{number}" for number in range(3000)) + ")", *rules])
    with pytest.raises(
        TrainingError, match=r"form of the task's answers cannot be enforced \(.*; set finetune.form: free"
    ):
        predict(base, [[Message(role=Speaker.USER, content="x")]], max_new_tokens=4, grammar=grammar)
