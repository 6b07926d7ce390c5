"""What a model is asked and answers: the chat that a task makes of a row, and the way back."""

import datetime
import functools
from decimal import Decimal
from typing import Any, Literal

import pytest
from generated_values import FORMS, TEXTS, answers_of_chats
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, create_model

from pipeline.review.form import labeling_config
from schemas.field import JsonValue, ValueType, is_blank, target_field
from schemas.message import Message, Speaker
from schemas.task import Conversation, Input, Target, Task
from schemas.tasks.contract_clause import ContractClause
from schemas.tasks.invoice import Invoice

INVOICE: dict[str, Any] = {"vendor": "Acme", "invoice_number": "A-7", "total": 12.5, "currency": "EUR"}


def task_with(annotation: Any) -> type[Task]:
    """A task with one target of a type."""
    return create_model("Toy", __base__=Task, __doc__="Say it.", text=(Input[str], ...), answer=(annotation, ...))


def test_one_input_is_the_user_message_and_several_are_named() -> None:
    system, user = ContractClause.task_prompt({"clause": "Governed by the law of Ghana."})
    assert system == Message(
        role=Speaker.SYSTEM,
        content="Name the kind of this contract clause.\n\nAnswer with one of: governing_law, term, renewal, "
        "termination_for_convenience, confidentiality, limitation_of_liability, indemnification, assignment, "
        "payment_terms, non_compete, audit_rights, insurance, warranty, dispute_resolution.",
    )
    assert user == Message(role=Speaker.USER, content="Governed by the law of Ghana.")

    class Two(Task):
        """Do."""

        text: Input[str]
        pages: Input[list[int]]
        answer: Target[str]

    assert Two.task_prompt({"text": "é", "pages": [1, 2]})[1].content == "text: é\n\npages: [1, 2]"


@pytest.mark.parametrize(
    ("annotation", "form"),
    [
        (Literal["a, c", "b"], "Answer with one of: a, c; b."),
        (Literal["a", "b"] | None, "Answer with one of: a, b, or with nothing where the input does not say."),
        (bool, "Answer with true or false."),
        (int, "Answer with a whole number."),
        (datetime.date, "Answer with a date as YYYY-MM-DD."),
        (str, ""),
        (Decimal, "Answer with a number."),
        (list[Decimal], 'Answer with a list of amounts as texts, such as "4841.4", as JSON; [] if there is none.'),
        (list[str], "Answer with a list of texts, as JSON; [] if there is none."),
        (set[Literal["a", "b"]], "Answer with a JSON list of all that apply: a, b; [] if none does."),
    ],
)
def test_the_model_is_told_in_which_form_it_must_answer(annotation: Any, form: str) -> None:
    task = task_with(Target[annotation])
    assert task.task_answer_form() == form
    assert task.task_prompt({"text": "x"})[0].content == "\n\n".join(filter(None, ["Say it.", form]))


def test_the_fields_of_an_extraction_are_told_with_their_types_and_descriptions() -> None:
    class Bill(Task):
        """Read it."""

        text: Input[str]
        total: Target[float] = Field(description="with tax")
        currency: Target[Literal["EUR", "USD"]]
        payee: Target[str]

    assert Bill.task_answer_form() == (
        "Answer with one line of JSON with the fields total (a number; with tax), currency (one of: EUR, USD), payee."
    )


def test_a_decimal_is_told_and_taught_as_a_text_that_is_the_same_for_equal_amounts() -> None:
    class Bill(Task):
        """Read it."""

        text: Input[str]
        total: Target[Decimal]
        payee: Target[str]

    assert Bill.task_answer_form() == (
        'Answer with one line of JSON with the fields total (an amount as text, such as "4841.4"), payee.'
    )
    for total in ("4841.40", "4841.4", 4841.4):
        targets = Bill.task_parse({"text": "t", "total": total, "payee": "Acme"}).targets
        assert Bill.task_answer(targets or {}) == '{"total":"4841.4","payee":"Acme"}'
    assert Bill.task_read_answer('{"total":4841.40,"payee":"Acme"}') == targets


def test_annotators_are_not_told_how_a_model_must_write() -> None:
    assert "Answer with one of" not in labeling_config(ContractClause)


@pytest.mark.parametrize(
    ("annotation", "value", "text"),
    [
        (Literal["a", "b"], "a", "a"),
        (str, "null", "null"),
        (int, 3, "3"),
        (float, 3.0, "3.0"),
        (bool, True, "true"),
        (float | None, None, ""),
        (str | None, None, ""),
        (list[str], ["é", '"'], '["é","\\""]'),
        (list[str], [], "[]"),
        (set[Literal["a", "b"]], ["a", "b"], '["a","b"]'),
    ],
)
def test_a_single_scalar_is_its_own_answer(annotation: Any, value: JsonValue, text: str) -> None:
    task = task_with(Target[annotation])
    assert task.task_answer({"answer": value}) == text
    assert task.task_read_answer(text) == {"answer": value}


def test_several_targets_are_compact_json_without_those_that_have_no_value() -> None:
    targets = INVOICE | {"due_date": None, "purchase_order": None}
    assert Invoice.task_answer(targets) == '{"vendor":"Acme","invoice_number":"A-7","total":12.5,"currency":"EUR"}'


@pytest.mark.parametrize(
    "text",
    ["", "not json", "[]", "3", "null", '{"vendor":"Acme"}', "{", "[" * 100_000, '{"total":NaN}',
     '{"vendor":"Acme","invoice_number":"A","total":Infinity,"currency":"EUR"}',
     '{"vendor":"Acme","invoice_number":"A","total":1,"currency":"DEM"}',
     '{"vendor":["Acme"],"invoice_number":"A","total":1,"currency":"EUR"}'],
    ids=lambda text: text[:20],
)  # fmt: skip
def test_what_is_not_an_answer_is_read_as_none(text: str) -> None:
    assert Invoice.task_read_answer(text) is None


@pytest.mark.parametrize("text", ["", "unknown kind", "TERM", "term, renewal", '"term"'])
def test_what_is_not_a_choice_is_read_as_none(text: str) -> None:
    assert ContractClause.task_read_answer(text) is None


@pytest.mark.parametrize("text", ["", " ", "\x00", "\x1b", "\u200b\u00ad", "\r\n\u2028", "\x1b \ufeff"])
def test_a_text_with_nothing_to_see_in_it_is_not_an_answer(text: str) -> None:
    assert is_blank(text)
    assert task_with(Target[str]).task_read_answer(text) is None
    assert task_with(Target[str | None]).task_read_answer(text) == {"answer": None}


@pytest.mark.parametrize("text", [".", "\u200b.", "\x1b[1m", "\u0301", "🙂", "\ue000", "\ud800"])
def test_a_text_with_a_single_sign_to_see_in_it_is_an_answer(text: str) -> None:
    assert not is_blank(text)
    assert task_with(Target[str]).task_canonical({"answer": text}) == {"answer": text}


def test_an_answer_may_have_space_around_it_and_extra_keys() -> None:
    assert ContractClause.task_read_answer(" term\n") == {"kind": "term"}
    answer = Invoice.task_read_answer('{"vendor":" A ","invoice_number":"1","total":"2","currency":"EUR","note":"x"}')
    assert answer is not None
    assert answer["vendor"] == "A"
    assert answer["total"] == 2.0


def test_a_subclass_may_say_prompt_and_answer_its_own_way() -> None:
    class Backwards(ContractClause):
        """Name the kind, backwards."""

        @classmethod
        def task_prompt(cls, inputs: Any) -> list[Message]:
            return [Message(role=Speaker.USER, content=inputs["clause"][::-1])]

        @classmethod
        def task_answer(cls, targets: Any) -> str:
            return str(targets["kind"])[::-1]

        @classmethod
        def task_read_answer(cls, text: str) -> dict[str, JsonValue] | None:
            return super().task_read_answer(text[::-1])

    Backwards.task_check()
    assert Backwards.task_prompt({"clause": "abc"})[0].content == "cba"
    assert Backwards.task_read_answer(Backwards.task_answer({"kind": "term"})) == {"kind": "term"}
    assert Backwards.task_digest() != ContractClause.task_digest()


# --- properties -------------------------------------------------------------------------------------
def test_every_type_of_value_is_rendered_and_read_back_here() -> None:
    types = {target_field("value", annotation).type for annotation, _ in FORMS.values()}
    assert types | {ValueType.MESSAGES} == set(ValueType)


@functools.cache
def generated_task(forms: tuple[tuple[str, bool, bool], ...]) -> type[Task]:
    """A task with a target for each (form, optional, with a default)."""
    fields: dict[str, Any] = {"text": (Input[str], ...)}
    for number, (form, optional, default) in enumerate(forms):
        annotation = FORMS[form][0] | None if optional else FORMS[form][0]
        fields[f"t{number}"] = (Target[annotation], None if optional and default else ...)
    task = create_model("Generated", __base__=Task, __doc__="Do.", **fields)
    task.task_check()
    return task


@st.composite
def tasks_with_values(draw: st.DrawFn) -> tuple[type[Task], dict[str, Any]]:
    form = st.tuples(st.sampled_from(sorted(FORMS)), st.booleans(), st.booleans())
    forms = draw(st.lists(form, min_size=1, max_size=3))
    values = {}
    for number, (name, optional, _) in enumerate(forms):
        strategy = FORMS[name][1]
        # Only where nothing is an answer may a text have nothing to see in it.
        absent = st.none() | TEXTS if name == "text" else st.none()
        values[f"t{number}"] = draw(absent | strategy if optional else strategy)
    return generated_task(tuple(forms)), values


@given(tasks_with_values())
def test_an_answer_is_read_back_as_the_targets_that_it_was_written_from(case: tuple[type[Task], Any]) -> None:
    task, values = case
    targets = task.task_canonical(values)
    assert task.task_read_answer(task.task_answer(targets)) == targets


@given(tasks_with_values())
def test_the_canonical_form_of_canonical_targets_is_themselves(case: tuple[type[Task], Any]) -> None:
    task, values = case
    targets = task.task_canonical(values)
    assert repr(task.task_canonical(targets)) == repr(targets)
    assert task.task_validate_targets(targets) == targets


@given(tasks_with_values())
def test_a_row_of_canonical_targets_is_valid_and_says_the_same(case: tuple[type[Task], Any]) -> None:
    task, values = case
    targets = task.task_canonical(values)
    parsed = task.task_parse({"text": "t"} | targets)
    assert parsed.problems == []
    if any(value is not None for value in targets.values()):
        assert parsed.targets == targets
    else:
        assert parsed.targets is None


class Chat(Task):
    """Help."""

    messages: Conversation


@given(answers_of_chats())
def test_the_turns_of_a_conversation_stay_as_they_are(turns: list[dict[str, Any]]) -> None:
    asked = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello?"}]
    parsed = Chat.task_parse({"messages": [*asked, *turns]})
    assert parsed.problems == []
    assert parsed.inputs == {"messages": asked}
    assert parsed.targets == {"messages": turns}
    assert [message.as_json() for message in Chat.task_messages(parsed.inputs, parsed.targets)] == [*asked, *turns]
