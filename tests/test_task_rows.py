"""A task takes every row in one form, or says what is wrong with which of its values."""

import datetime
from typing import Annotated, Any, ClassVar, Literal

import pytest
from pydantic import AfterValidator, ConfigDict, ValidationError, ValidationInfo, field_validator, model_validator
from task_toys import INVOICE, problems, task_with

from pipeline.kinds.registry import kind_of
from schemas.fate import ReasonCode
from schemas.field import JsonValue
from schemas.task import Input, Target, Task, soft_check
from schemas.tasks.contract_clause import ContractClause
from schemas.tasks.invoice import Invoice


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
    assert [(reason.code, reason.field, reason.detail) for reason in parsed.problems] == [
        (ReasonCode.MISSING, "vendor", ""),
        (
            ReasonCode.INVALID,
            "total",
            "expected a number without thousands separators and with a decimal point, such as 3703.50, got 'a lot'",
        ),
        (ReasonCode.INVALID, "currency", "Input should be 'EUR', 'USD', 'GBP' or 'CHF', got 'DEM'"),
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
    assert problems(Invoice, text="x", vendor="Acme")[0] == "invoice_number: missing"


@pytest.mark.parametrize("labeled", [True, False])
@pytest.mark.parametrize("clause", [None, "", "  \n", "\x00"])
def test_an_empty_input_is_refused_with_and_without_targets(clause: str | None, labeled: bool) -> None:
    row = {"clause": clause} | ({"kind": "term"} if labeled else {})
    assert problems(ContractClause, **row) == ["clause: missing"]


def test_a_required_text_target_that_is_blank_is_missing() -> None:
    """Otherwise it would be None in the release, which its task does not allow."""
    assert problems(Invoice, **INVOICE | {"vendor": " \x00"}) == ["vendor: missing"]


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
