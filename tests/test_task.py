"""One class defines everything about a task, for every row, answer and annotator."""

import datetime
import re
from enum import Enum, IntEnum, StrEnum
from typing import Annotated, Any, ClassVar, Literal

import pytest
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    create_model,
    field_serializer,
    field_validator,
    model_serializer,
    model_validator,
)

from pipeline.kinds.registry import kind_of
from schemas.fate import ReasonCode
from schemas.field import JsonValue, ValueType
from schemas.message import Message
from schemas.task import Input, Target, Task, TaskDefinitionError, soft_check
from schemas.tasks.contract_clause import ContractClause
from schemas.tasks.invoice import Invoice

INVOICE: dict[str, Any] = {
    "text": "Acme asks for 12.50 EUR, invoice A-7.",
    "vendor": "Acme",
    "invoice_number": "A-7",
    "total": 12.5,
    "currency": "EUR",
}


def task_with(annotation: Any) -> type[Task]:
    """A task with one target of a type."""
    return create_model("Toy", __base__=Task, __doc__="Say it.", text=(Input[str], ...), answer=(annotation, ...))


def problems(task: type[Task], **row: Any) -> list[str]:
    return [f"{reason.field}: {reason.detail}" for reason in task.task_parse(row).problems]


# --- rows -------------------------------------------------------------------------------------------
def test_a_good_row_comes_back_as_canonical_inputs_and_targets() -> None:
    parsed = Invoice.task_parse(INVOICE | {"due_date": "2026-03-01", "unknown": 1, "vendor": " Acme\r\nLtd "})
    assert parsed.problems == parsed.warnings == []
    assert parsed.inputs == {"text": INVOICE["text"]}
    assert parsed.targets == {
        "vendor": "Acme\nLtd",
        "invoice_number": "A-7",
        "total": 12.5,
        "currency": "EUR",
        "due_date": "2026-03-01",
        "purchase_order": None,
    }


def test_hard_errors_name_the_field_the_rule_and_the_value() -> None:
    parsed = Invoice.task_parse(INVOICE | {"total": "a lot", "currency": "DEM", "vendor": None})
    assert parsed.inputs == {}
    assert parsed.targets is None
    assert {reason.code for reason in parsed.problems} == {ReasonCode.INVALID}
    assert [(reason.field, reason.detail) for reason in parsed.problems] == [
        ("vendor", "missing or empty"),
        ("total", "Input should be a valid number, unable to parse string as a number, got 'a lot'"),
        ("currency", "Input should be 'EUR', 'USD', 'GBP' or 'CHF', got 'DEM'"),
    ]


def test_a_long_wrong_value_is_shown_in_short() -> None:
    (detail,) = problems(ContractClause, clause="x", kind="y" * 1000)
    assert detail.endswith(f"got '{'y' * 76}...")


def test_a_failed_soft_check_is_a_warning_and_not_an_error() -> None:
    parsed = Invoice.task_parse(INVOICE | {"total": -3})
    assert parsed.problems == []
    assert parsed.targets is not None
    assert [(r.code, r.field, r.detail) for r in parsed.warnings] == [
        (ReasonCode.SOFT_CHECK, "total_is_positive", "the total is -3")
    ]


def test_a_subclass_can_replace_or_drop_a_soft_check() -> None:
    class Strict(Invoice):
        """Extract."""

        @soft_check
        def total_is_positive(self) -> str | None:
            return "always odd"

    class Lax(Invoice):
        """Extract."""

        def total_is_positive(self) -> str | None:
            return "never asked"

    assert [warning.detail for warning in Strict.task_parse(INVOICE).warnings] == ["always odd"]
    assert Lax.task_parse(INVOICE | {"total": -3}).warnings == []


@pytest.mark.parametrize(
    "absent", [{}, {"kind": None}, {"kind": ""}, {"kind": " \n"}, {"kind": "\u200b\u2060\u00ad \x07"}]
)
def test_a_row_without_targets_is_unlabeled_and_has_no_problem(absent: dict[str, Any]) -> None:
    parsed = ContractClause.task_parse({"clause": "Either party may terminate."} | absent)
    assert parsed.problems == []
    assert parsed.targets is None
    assert parsed.inputs == {"clause": "Either party may terminate."}


def test_a_row_with_a_part_of_its_targets_is_not_an_unlabeled_row() -> None:
    assert problems(Invoice, text="x", vendor="Acme")[0] == "invoice_number: missing or empty"


@pytest.mark.parametrize("labeled", [True, False])
@pytest.mark.parametrize("clause", [None, "", "  \n", "\x00"])
def test_an_empty_input_is_refused_with_and_without_targets(clause: str | None, labeled: bool) -> None:
    row = {"clause": clause} | ({"kind": "term"} if labeled else {})
    assert problems(ContractClause, **row) == ["clause: missing or empty"]


def test_a_required_text_target_that_is_blank_is_missing() -> None:
    """Otherwise it would be None in the release, which its task does not allow."""
    assert problems(Invoice, **INVOICE | {"vendor": " \x00"}) == ["vendor: missing or empty"]


class Lookup(Task):
    """Optional fields that have no default."""

    text: Input[str]
    hint: Input[str | None]
    name: Target[str]
    day: Target[datetime.date | None]


@pytest.mark.parametrize("absent", [{}, {"hint": None, "day": None}, {"hint": "", "day": " "}])
def test_an_optional_field_without_a_default_may_be_absent(absent: dict[str, Any]) -> None:
    parsed = Lookup.task_parse({"text": "t", "name": "n"} | absent)
    assert parsed.problems == []
    assert parsed.inputs == {"text": "t", "hint": None}
    assert parsed.targets == {"name": "n", "day": None}
    assert Lookup.task_parse({"text": "t"} | absent).inputs == {"text": "t", "hint": None}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "nan", "-inf", "1e999"])
def test_numbers_are_finite_in_targets_and_in_inputs(value: float | str) -> None:
    class Measured(Task):
        """Read."""

        weight: Input[float]
        name: Target[str]

    for row in ({"weight": value}, {"weight": value, "name": "x"}):
        (problem,) = problems(Measured, **row)
        assert problem == f"weight: Input should be a finite number, got {value!r}"
    assert problems(Invoice, **INVOICE | {"total": value}) == [f"total: Input should be a finite number, got {value!r}"]


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1, "9" * 30])
def test_integers_that_no_table_can_hold_are_refused(value: int | str) -> None:
    class Counted(Task):
        """Count."""

        sizes: Input[list[int]]
        count: Target[int]

    expected = f"the number needs more than 64 bits, got {value!r}"
    assert problems(Counted, sizes=[1], count=value) == [f"count: {expected}"]
    assert problems(Counted, sizes=[value])[0].startswith("sizes: the number needs more than 64 bits")
    with pytest.raises(ValidationError, match="more than 64 bits"):
        Counted.task_validate_targets({"count": value})
    assert Counted.task_parse({"sizes": [2**63 - 1], "count": -(2**63)}).targets == {"count": -(2**63)}


@pytest.mark.parametrize(
    ("annotation", "given", "wanted"),
    [
        (int, 3.0, 3),
        (int, "3", 3),
        (float, 3, 3.0),
        (float, -0.0, 0.0),
        (bool, "yes", True),
        (bool, "No", False),
        (bool, 0, False),
        (datetime.date, "2026-02-28", "2026-02-28"),
        (Literal["a", "b"], "b", "b"),
        (list[str], [" a ", "", "b"], ["a", "b"]),
        (list[str], ["a", "\u200b"], ["a"]),
        (str, "a\r\nb\x00", "a\nb"),
    ],
)
def test_values_come_in_one_form(annotation: Any, given: Any, wanted: JsonValue) -> None:
    answer = task_with(Target[annotation]).task_parse({"text": "t", "answer": given}).targets
    assert answer == {"answer": wanted}
    assert repr(answer) == repr({"answer": wanted})


@pytest.mark.parametrize(
    ("annotation", "value"),
    [(int, 3.5), (int, "three"), (str, 3), (bool, "perhaps"), (datetime.date, "2026-02-30"), (list[str], "a"),
     (list[str], [1])],
)  # fmt: skip
def test_values_of_a_wrong_type_are_refused(annotation: Any, value: Any) -> None:
    (problem,) = problems(task_with(Target[annotation]), text="t", answer=value)
    assert problem.startswith("answer")
    assert repr(value[0] if value == [1] else value) in problem


def test_field_names_that_others_use_too_are_free() -> None:
    class Named(Task):
        """Pick."""

        title: Input[str]
        source: Input[str]
        description: Input[str]
        kind: Target[Literal["a", "b"]]
        required: Target[str]
        model: Target[str]
        type: Target[str]

    Named.task_check()
    row = dict.fromkeys(Named.model_fields, "a")
    assert Named.task_parse(row).targets == {"kind": "a", "required": "a", "model": "a", "type": "a"}
    assert kind_of(Named).name == "extraction"


# --- validators of the task's author ----------------------------------------------------------------
class Shouted(Task):
    """Validators of every sort, and settings of the model."""

    model_config = ConfigDict(coerce_numbers_to_str=True)
    mark: ClassVar[str] = "!"

    before: Input[str]
    after: Input[str]
    wrapped: Input[Annotated[str, AfterValidator(str.title)]]
    answer: Target[str]

    @field_validator("before", mode="before")
    @classmethod
    def _trim(cls, value: Any) -> Any:
        return str(value).strip()

    @field_validator("after", "answer")
    @classmethod
    def _shout(cls, value: str, info: ValidationInfo) -> str:
        return f"{value.upper()}{cls.mark}"

    @field_validator("wrapped", mode="wrap")
    @classmethod
    def _refuse_zero(cls, value: Any, handler: Any) -> Any:
        if value == "zero":
            raise ValueError("zero is not welcome")
        return handler(value)

    @field_validator("*")
    @classmethod
    def _refuse_tabs(cls, value: Any) -> Any:
        if "\t" in value:
            raise ValueError("tabs are not welcome")
        return value

    @model_validator(mode="after")
    def _fits(self) -> "Shouted":
        if self.answer == self.after:
            raise ValueError("the answer repeats the question")
        return self


SHOUTED: dict[str, Any] = {"before": " b ", "after": "a", "wrapped": "w x"}


@pytest.mark.parametrize("answer", [{}, {"answer": "yes"}])
def test_field_validators_see_inputs_with_and_without_targets(answer: dict[str, str]) -> None:
    parsed = Shouted.task_parse(SHOUTED | answer)
    assert parsed.problems == []
    assert parsed.inputs == {"before": "b", "after": "A!", "wrapped": "W X"}
    assert parsed.targets == ({"answer": "YES!"} if answer else None)
    assert problems(Shouted, **SHOUTED | answer | {"wrapped": "zero"}) == ["wrapped: zero is not welcome, got 'zero'"]
    assert problems(Shouted, **SHOUTED | answer | {"before": "x\ty"}) == ["before: tabs are not welcome, got 'x\\ty'"]
    assert Shouted.task_parse(SHOUTED | answer | {"after": 7}).inputs["after"] == "7!"


def test_field_validators_see_targets_without_their_inputs() -> None:
    assert Shouted.task_validate_targets({"answer": "yes"}) == {"answer": "YES!"}
    assert Shouted.task_read_answer("a\tb") is None


def test_a_validator_over_several_fields_never_meets_a_missing_target() -> None:
    assert problems(Shouted, **SHOUTED | {"answer": "a"}) == [": the answer repeats the question"]
    assert problems(Shouted, **SHOUTED) == []


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
    [Inner, Inner | None, list[Inner], list[int], list[Sort], list[Literal["a"]], list[Message], Message,
     dict[str, str], bytes, datetime.datetime, str | int, Literal[1, 2], Literal["a", None],
     IntEnum("Number", "ONE TWO"), Enum("Mixed", {"A": "a", "B": 2})],
    ids=str,
)  # fmt: skip
def test_a_target_that_has_no_labeling_form_is_refused_with_the_types_that_have_one(annotation: Any) -> None:
    with pytest.raises(TaskDefinitionError) as caught:
        task_with(Target[annotation]).task_check()
    assert str(caught.value).startswith("Toy: target 'answer' has the type ")
    assert str(caught.value).endswith(
        "; use an enum or Literal of strings, str, int, float, bool, datetime.date, list[str], or one of these | None"
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
        "Toy.text needs one role; write Input[...] or Target[...]"
    )
    assert definition_error(text=(Input[Target[str]], ...), answer=answer) == (
        "Toy.text needs one role; write Input[...] or Target[...]"
    )
    assert definition_error(text=text, answer=answer, task_size=text) == (
        "Toy.task_size begins with task_, which is reserved; rename it"
    )
    assert definition_error(text=(Input[type], ...), answer=answer).endswith("; use types that JSON can represent")


def test_a_text_of_invisible_characters_is_none() -> None:
    for text in ("\u200b", " \u2060\u00ad", "\ufeff\x7f"):
        parsed = ContractClause.task_parse({"clause": text, "kind": "term"})
        assert [(reason.field, reason.detail) for reason in parsed.problems] == [("clause", "missing or empty")]
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
