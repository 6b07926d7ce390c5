"""One class defines everything about a task, and a mistake in it is told with its place."""

import datetime
import re
from enum import Enum, IntEnum, StrEnum
from typing import Annotated, Any, Literal

import pytest
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    create_model,
    field_serializer,
    field_validator,
    model_serializer,
    model_validator,
)
from task_toys import INVOICE, problems, task_with

from pipeline.kinds.registry import kind_of
from schemas.fate import Reason, ReasonCode
from schemas.field import ValueType
from schemas.message import Message
from schemas.task import Context, Input, Target, Task, TaskDefinitionError, soft_check
from schemas.tasks.contract_clause import ContractClause
from schemas.tasks.invoice import Invoice


# --- what the class says ----------------------------------------------------------------------------
def test_the_kind_and_the_metric_follow_from_the_targets() -> None:
    assert kind_of(ContractClause).name == "classification"
    assert kind_of(ContractClause).metric == "accuracy"
    assert kind_of(Invoice).name == "extraction"
    assert kind_of(Invoice).metric == "field_f1"
    assert kind_of(task_with(Target[Literal["a"] | None])).name == "classification"
    assert kind_of(task_with(Target[bool])).name == "extraction"


def test_the_instruction_is_the_docstring_without_its_indentation() -> None:
    class Toy(Task):
        """Name the topic.

        Topics are:
          - a
          - b
        """

        text: Input[str]
        topic: Target[Literal["a", "b"]]

    assert Toy.task_instruction() == "Name the topic.\n\nTopics are:\n  - a\n  - b"


def digest_of(choices: Any, doc: str = "Pick one.", *, description: str = "", backwards: bool = False) -> str:
    fields: dict[str, Any] = {
        "title": (Input[str], Field(description=description)),
        "kind": (Target[choices], ...),
        "note": (Target[str | None], None),
    }
    fields = dict(reversed(fields.items())) if backwards else fields
    return create_model("Toy", __base__=Task, __doc__=doc, **fields).task_digest()


def test_rewording_leaves_labels_fresh_and_another_set_of_answers_does_not() -> None:
    digest = digest_of(Literal["a", "b"])
    assert len(digest) == 16
    assert digest == digest_of(Literal["a", "b"], "Choose the right one.", description="The heading.")
    assert digest == digest_of(Literal["b", "a"], backwards=True)
    others = {digest_of(Literal["a", "c"]), digest_of(Literal["a", "b", "c"]), digest_of(str)}
    assert digest not in others
    assert len(others) == 3


def test_texts_of_an_enum_are_not_part_of_the_digest_but_its_members_are() -> None:
    def enum(doc: str, *values: str) -> Any:
        kinds = StrEnum("Sort", {value.upper(): value for value in values})
        kinds.__doc__ = doc
        return kinds

    assert digest_of(enum("One.", "a", "b")) == digest_of(enum("Other.", "b", "a"))
    assert digest_of(enum("One.", "a", "b")) != digest_of(enum("One.", "a", "c"))


def test_changing_a_role_changes_the_digest() -> None:
    def digest(role: Any) -> str:
        fields: dict[str, Any] = {"text": (Input[str], ...), "hint": (role, ...), "kind": (Target[str], ...)}
        return create_model("Toy", __base__=Task, __doc__="Do.", **fields).task_digest()

    assert digest(Input[str]) != digest(Target[str])


class Inner(BaseModel):
    """A nested model."""

    value: str


class Sort(StrEnum):
    """Texts."""

    A = "a"


@pytest.mark.parametrize(
    "annotation",
    [Message, dict[str, str], bytes, datetime.timedelta, str | int, Literal[1, 2], Literal["a", None],
     list[dict[str, str]], list[list[str]], tuple[int, ...], list[str | int], list, IntEnum("Number", "ONE TWO"),
     Enum("Mixed", {"A": "a", "B": 2})],
    ids=str,
)  # fmt: skip
def test_a_target_that_has_no_labeling_form_is_refused_with_the_types_that_have_one(annotation: Any) -> None:
    with pytest.raises(TaskDefinitionError) as caught:
        task_with(Target[annotation]).task_check()
    assert str(caught.value).startswith("Toy: target 'answer' has the type ")
    assert str(caught.value).endswith(
        "; use an enum or Literal of strings, str, int, float, Decimal, bool, date, datetime, time, a pydantic model "
        "of these, a list or set of one of them, list[Message], or one of these | None"
    )


@pytest.mark.parametrize("choice", ["", "\u200b", " a", "a\n", "a\nb", "a\x00"])
def test_a_choice_that_no_text_could_give_back_is_refused(choice: str) -> None:
    with pytest.raises(TaskDefinitionError, match=r"has the choice .*; a choice must be one line of text"):
        task_with(Target[Literal["fine", choice]]).task_check()


def test_constraints_and_none_do_not_hide_a_target_s_type() -> None:
    long = Annotated[str, Field(max_length=3)]
    for annotation in (long, long | None, list[long], list[str] | None):
        (field,) = task_with(Target[annotation]).task_targets()
        assert field.type is ValueType.TEXT
        assert field.many == ("list" in str(annotation))
    assert problems(task_with(Target[long]), text="t", answer="four")[0].startswith("answer: String should have")


def definition_error(**fields: Any) -> str:
    doc = fields.pop("doc", "Do.")
    with pytest.raises(TaskDefinitionError) as caught:
        create_model("Toy", __base__=Task, __doc__=doc, **fields).task_check()
    return str(caught.value)


def test_a_class_that_cannot_work_is_told_what_to_change() -> None:
    text, answer = (Input[str], ...), (Target[str], ...)
    assert definition_error(doc=" ", text=text, answer=answer) == (
        "Toy has no docstring, which serves as the instruction; write one"
    )
    assert definition_error(text=text) == "Toy has no target; mark a field with Target[...]"
    assert definition_error(answer=answer) == "Toy has no input; mark a field with Input[...]"
    assert definition_error(text=(str, ...), answer=answer) == (
        "Toy.text needs one role; write Input[...], Target[...] or Context[...]"
    )
    assert definition_error(text=(Input[Target[str]], ...), answer=answer) == (
        "Toy: 'text' is input and target at once, which only a Conversation can be"
    )
    assert definition_error(text=(Input[Context[str]], ...), answer=answer) == (
        "Toy.text needs one role; write Input[...], Target[...] or Context[...]"
    )
    assert definition_error(text=text, answer=answer, task_size=text) == (
        "Toy.task_size begins with task_, which is reserved; rename it"
    )
    assert definition_error(text=(Input[type], ...), answer=answer).endswith("; use types that JSON can represent")


def test_a_text_of_invisible_characters_is_none() -> None:
    for text in ("\u200b", " \u2060\u00ad", "\ufeff\x7f"):
        parsed = ContractClause.task_parse({"clause": text, "kind": "term"})
        assert parsed.problems == [Reason(code=ReasonCode.MISSING, field="clause")]
    assert not ContractClause.task_parse({"clause": "\u200b.", "kind": "term"}).problems


class Forgetful(Task):
    """Say it."""

    text: Input[str]
    answer: Target[str]

    @model_validator(mode="after")
    def looks(self) -> Any:
        """Return nothing, as is soon forgotten."""


class Silenced(Task):
    """Say it."""

    text: Input[str]
    answer: Target[str]

    @model_serializer
    def nothing(self) -> dict[str, Any]:
        """Leave everything out."""
        return {}


class Renamed(Task):
    """Say it."""

    model_config = ConfigDict(validate_by_name=True, serialize_by_alias=True)
    text: Input[str] = Field(alias="words")
    answer: Target[str]


class Halved(Silenced):
    """Say it."""

    @model_serializer
    def nothing(self) -> dict[str, Any]:
        """Leave the answer out, which would be no answer in the release."""
        return {"text": self.text}


class Stumbling(Task):
    """Say it."""

    text: Input[str]
    answer: Target[str]

    @field_serializer("answer")
    def stumbles(self, value: str) -> str:
        """Look it up where it is not."""
        return {"a": "a"}[value]


LEFT_OUT = "a serializer, an alias or exclude_if leaves out '{}'; write every field under its name"


@pytest.mark.parametrize(
    ("task", "problem"),
    [
        (
            Forgetful,
            "a validator itself failed: TypeError: it gave None instead of the row; end it with `return self` "
            "(test_task.py, line N)",
        ),
        (Silenced, LEFT_OUT.format("text")),
        (Renamed, LEFT_OUT.format("text")),
        (Halved, LEFT_OUT.format("answer")),
        (
            Stumbling,
            "a serializer itself failed: KeyError: 'b' (test_task.py, line N)",
        ),
    ],
)
def test_a_slip_of_the_task_s_author_rejects_the_row_and_says_so(task: type[Task], problem: str) -> None:
    [reason] = task.task_parse({"text": "a", "answer": "b"}).problems
    assert re.sub(r"line \d+", "line N", reason.detail) == problem


def test_an_input_that_is_lost_rejects_an_unlabeled_row_too() -> None:
    """Its prompt could not be written."""
    assert problems(Renamed, text="a") == [f": {LEFT_OUT.format('text')}"]


def test_a_target_that_is_lost_is_not_an_answer() -> None:
    class Hidden(Task):
        """Say it."""

        text: Input[str]
        answer: Target[str] = Field(exclude_if=lambda value: value == "b")

    assert Hidden.task_read_answer("a") == {"answer": "a"}
    assert Hidden.task_read_answer("b") is None
    with pytest.raises(ValueError, match=f"^{LEFT_OUT.format('answer')}$"):
        Hidden.task_validate_targets({"answer": "b"})


def test_a_soft_check_that_returns_what_is_neither_true_nor_false_is_at_fault() -> None:
    class Array:
        def __bool__(self) -> bool:
            raise ValueError("it has many")

        def __repr__(self) -> str:
            return "[1 2]"

    class Odd(Task):
        """Say it."""

        text: Input[str]
        answer: Target[str]

        @soft_check
        def is_odd(self) -> Any:
            return Array()

    parsed = Odd.task_parse({"text": "a", "answer": "b"})
    [warning] = parsed.warnings
    assert parsed.faults == [warning] and warning.field == "is_odd"
    assert re.fullmatch(
        r"the check itself failed: TypeError: is_odd\(\) returned \[1 2\]; return a string that says what is odd, "
        r"or None \(test_task\.py, line \d+\)",
        warning.detail,
    )


def test_a_field_that_is_left_out_of_every_row_is_refused() -> None:
    class Hidden(Task):
        """Say it."""

        text: Input[str] = Field(exclude=True)
        answer: Target[str]

    with pytest.raises(TaskDefinitionError, match=r"^Hidden\.text is excluded from every row; drop exclude=True$"):
        Hidden.task_check()


def test_a_subclass_without_a_docstring_has_no_instruction() -> None:
    class Silent(ContractClause):
        pass

    with pytest.raises(TaskDefinitionError, match=r"^Silent has no docstring"):
        Silent.task_check()


# --- mistakes in the task -------------------------------------------------------------------------
class Fragile(Task):
    """Look it up."""

    text: Input[str]
    answer: Target[str]

    @field_validator("answer")
    @classmethod
    def known(cls, value: str) -> str:
        """A lookup that fails in its own way."""
        return {"a": "a"}[value]


def test_a_validator_that_fails_itself_is_a_problem_of_the_row() -> None:
    assert Fragile.task_parse({"text": "x", "answer": "a"}).targets == {"answer": "a"}
    [problem] = problems(Fragile, text="x", answer="b")
    assert re.fullmatch(r": a validator itself failed: KeyError: 'b' \(test_task\.py, line \d+\)", problem)
    assert Fragile.task_read_answer("b") is None
    with pytest.raises(ValueError, match=r"^a validator itself failed: KeyError: 'b' \(test_task.py, line \d+\)$"):
        Fragile.task_validate_targets({"answer": "b"})


def test_an_answer_is_judged_by_the_whole_task_but_its_inputs_are_not_judged_again() -> None:
    class Reply(Task):
        """Answer at length."""

        text: Input[str]
        answer: Target[str]

        @field_validator("text")
        @classmethod
        def fresh(cls, value: str) -> str:
            if value.startswith("seen "):
                raise ValueError("seen before")
            return f"seen {value}"

        @model_validator(mode="after")
        def is_longer(self) -> "Reply":
            if len(self.answer) <= 2:
                raise ValueError("the answer is too short")
            return self

    assert [str(reason) for reason in Reply.task_problems({"text": "x"}, {"answer": "no"})] == [
        "a field breaks the task's schema: the answer is too short"
    ]
    assert Reply.task_problems({"text": "x"}, {"answer": "yes"}) == []
    assert Reply.task_problems({"text": "seen x"}, {"answer": "yes"}) == []


@pytest.mark.parametrize("fence", ["```json\n{}\n```", "```\n{}\n```", "  ```json\n{}\n```\n", "{}"])
def test_json_is_read_out_of_a_code_block(fence: str) -> None:
    answer = fence.replace("{}", Invoice.task_answer(Invoice.task_parse(INVOICE).targets or {}))
    assert Invoice.task_read_answer(answer) == Invoice.task_parse(INVOICE).targets
