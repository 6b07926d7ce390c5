"""A value of another form than its field's is refused with what is expected, whatever pydantic would make of it."""

import datetime
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

import polars as pl
import pytest
from odd import Odd
from pydantic import BaseModel, BeforeValidator, Field, ValidationError, field_validator, model_validator
from task_toys import problems, task_with

from pipeline.review.labeling_tasks import read_result
from schemas.fate import ReasonCode
from schemas.field import FreeText
from schemas.task import Input, Target, Task


class Item(BaseModel):
    """A line of a delivery note."""

    article: str
    price: Decimal
    day: datetime.date | None = None


class Area(StrEnum):
    """What a ticket is about."""

    UI = "ui"
    DOCS = "docs"


class Note(Task):
    """Extract the note."""

    text: Input[str]
    since: Input[datetime.datetime | None] = None
    day: Target[datetime.date | None] = None
    arrival: Target[datetime.time | None] = None
    sent: Target[datetime.datetime | None] = None
    days: Target[list[datetime.date]] = Field(default_factory=list)
    items: Target[list[Item]] = Field(default_factory=list)


DAY, TIME, MOMENT = (
    "expected a date as YYYY-MM-DD",
    "expected a time such as 13:30",
    "expected a date and time such as 2026-03-05T13:30",
)
PLAIN = "expected a number without thousands separators and with a decimal point, such as 3703.50"


# --- numbers are no dates ---------------------------------------------------------------------------
@pytest.mark.parametrize("number", [1330, 0, -1, 13.5, 1772668800, 20260305, "1330", "1772668800", " 20260305 ", "1e3"])
def test_a_number_is_no_date_and_no_time(number: float | str) -> None:
    for name, expected in (("day", DAY), ("arrival", TIME), ("sent", MOMENT), ("since", MOMENT)):
        assert problems(Note, text="t", **{name: number}) == [f"{name}: {expected}, got {number!r}"]


def test_a_number_in_a_list_or_in_an_object_of_a_list_is_no_date_either() -> None:
    item = {"article": "rope", "price": "1", "day": 1772668800}
    assert problems(Note, text="t", days=["2026-03-05", 5, "7"]) == [
        f"days.1: {DAY}, got 5",
        f"days.2: {DAY}, got '7'",
    ]
    assert problems(Note, text="t", items=[item | {"day": None}, item]) == [f"items.1.day: {DAY}, got 1772668800"]


def test_annotators_and_models_write_no_dates_as_numbers_either() -> None:
    with pytest.raises(ValidationError, match="Input should be a valid date"):
        Note.task_validate_targets({"day": "1772668800"})
    assert Note.task_read_answer('{"day":1772668800}') is None
    assert Note.task_read_answer('{"items":[{"article":"a","price":"1","day":5}]}') is None
    assert (Note.task_read_answer('{"day":"2026-03-05"}') or {})["day"] == "2026-03-05"
    typed = [{"from_name": "items", "to_name": "text", "type": "textarea", "value": {"text": ["rope | 1 | 20260305"]}}]
    assert read_result(Note, typed, False).error.startswith(f"items.line 1.day: {DAY}, got '20260305'. ")


@pytest.mark.parametrize(
    ("name", "given", "read"),
    [
        ("day", "2026-03-05", "2026-03-05"),
        ("day", "2026-03-05T00:00:00", "2026-03-05"),
        ("arrival", "13:30", "13:30:00"),
        ("arrival", "13:30:00+02:00", "13:30:00+02:00"),
        ("sent", "2026-03-05 13:30", "2026-03-05T13:30:00"),
        ("days", ["2026-03-05"], ["2026-03-05"]),
    ],
)
def test_texts_of_dates_and_times_are_read(name: str, given: Any, read: Any) -> None:
    assert (Note.task_parse({"text": "t", name: given}).targets or {})[name] == read


def test_dates_and_times_of_parquet_are_read(tmp_path: Path) -> None:
    moment = datetime.datetime(2026, 3, 5, 13, 30)
    values = {"id": ["1"], "question": ["When?"], "day": [moment.date()], "at": [moment.time()], "sent": [moment]}
    odd = Odd(
        tmp_path,
        "import datetime\nfrom schemas.task import Input, Target, Task\n\n\nclass Question(Task):\n"
        '    """When?"""\n\n    question: Input[str]\n    day: Target[datetime.date]\n'
        "    at: Target[datetime.time]\n    sent: Target[datetime.datetime]\n",
        [],
    )
    (tmp_path / "data.jsonl").unlink()
    pl.DataFrame(values).write_parquet(tmp_path / "data.parquet")
    config = tmp_path / "dataset.yaml"
    config.write_text(config.read_text().replace("data.jsonl", "data.parquet"))
    assert odd.curate().rejections == []
    assert odd.curate().funnel.current == 1


def test_whoever_writes_a_validator_for_numbers_may_have_them() -> None:
    def day_of(value: Any) -> Any:
        return datetime.date.fromordinal(value) if isinstance(value, int) else value

    class Own(BaseModel):
        day: datetime.date

        _day = field_validator("day", mode="before")(day_of)

    class OwnRow(BaseModel):
        day: datetime.date

        @model_validator(mode="before")
        @classmethod
        def _day(cls, row: Any) -> Any:
            return row | {"day": day_of(row["day"])}

    class Days(Task):
        """Say when."""

        text: Input[str]
        annotated: Target[Annotated[datetime.date, BeforeValidator(day_of)] | None] = None
        validated: Target[datetime.date | None] = None
        own: Target[Own | None] = None
        row: Target[OwnRow | None] = None

        _validated = field_validator("validated", mode="before")(day_of)

    given = {"annotated": 739_680, "validated": 739_680, "own": {"day": 739_680}, "row": {"day": 739_680}}
    day = datetime.date.fromordinal(739_680).isoformat()
    read = {"annotated": day, "validated": day, "own": {"day": day}, "row": {"day": day}}
    assert Days.task_parse({"text": "t", **given}).targets == read
    assert Days.task_validate_targets(given) == read


# --- what is expected -------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("annotation", "value", "said"),
    [
        (datetime.date, "05.03.2026", DAY),
        (datetime.date, "next Monday", DAY),
        (datetime.date, "2026-02-30", "expected a date that exists, as YYYY-MM-DD"),
        (datetime.date, "2026-03-05T10:00:00Z", f"{DAY}, without a time"),
        (datetime.time, "1:30 pm", TIME),
        (datetime.time, "25:00", "expected a time that exists, such as 13:30"),
        (datetime.datetime, "05.03.2026", MOMENT),
        (Decimal, "3,703.50", PLAIN),
        (float, "3.703,50", PLAIN),
        (Decimal, True, "expected a number such as 3703.50"),
        (int, "3,703", "expected a whole number without thousands separators, such as 3703"),
        (set[Area], "ui, docs", 'expected a list such as ["ui", "docs"] (in CSV as JSON)'),
        (list[Literal["wood", "metal", "glass"]], "UI", 'expected a list such as ["wood", "metal"] (in CSV as JSON)'),
        (list[str], "rope", 'expected a list such as ["one", "two"] (in CSV as JSON)'),
        (list[datetime.date], 5, 'expected a list such as ["2026-03-05", "2026-03-06"] (in CSV as JSON)'),
        (list[Item], {"article": "rope"},
         'expected a list such as [{"article": …, "price": …, "day": …}, …] (in CSV as JSON)'),
        (Item, "rope", "expected an object with article, price, day"),
        (str, ["Dear you", "Dear all"], "expected one text (write one row per reference)"),
        (FreeText[str], ["Dear you"], "expected one text (write one row per reference)"),
        (str, 3, "Input should be a valid string"),
        (bool, "maybe", "Input should be a valid boolean, unable to interpret input"),
        (Literal["a", "b"], "c", "Input should be 'a' or 'b'"),
    ],
)  # fmt: skip
def test_it_is_said_what_is_expected_and_what_is_there(annotation: Any, value: Any, said: str) -> None:
    assert problems(task_with(Target[annotation]), text="t", answer=value) == [f"answer: {said}, got {value!r}"]


def test_of_an_item_that_is_no_object_its_fields_are_named() -> None:
    expected = "expected an object with article, price, day"
    assert problems(Note, text="t", items=[None, ["rope", 1]]) == [
        f"items.0: {expected}, got None",
        f"items.1: {expected}, got ['rope', 1]",
    ]


def test_one_of_several_texts_that_are_copied_has_no_references() -> None:
    class Sender(Task):
        """Extract."""

        text: Input[str]
        name: Target[str]
        town: Target[str]

    assert problems(Sender, text="t", name=["A"], town="B") == ["name: Input should be a valid string, got ['A']"]


def test_an_input_that_no_form_could_show_is_refused_in_plain_words_too() -> None:
    class Table(Task):
        """Read."""

        rows: Input[list[list[int]]]
        answer: Target[str]

    assert problems(Table, rows=5, answer="x") == ["rows: expected a list (in CSV as JSON), got 5"]


# --- label sets -------------------------------------------------------------------------------------
@pytest.mark.parametrize("many", [set[Area], list[Literal["ui", "docs"]]])
def test_a_label_of_a_set_that_differs_in_case_or_whitespace_is_respelled(many: Any) -> None:
    task = task_with(Target[many])
    found = task.task_parse({"text": "t", "answer": ["UI", "Docs ", "network"]}).problems
    assert [(one.code, one.field, one.detail) for one in found[:2]] == [
        (ReasonCode.RESPELLED, "answer.0", "got 'UI', not 'ui'"),
        (ReasonCode.RESPELLED, "answer.1", "got 'Docs ', not 'docs'"),
    ]
    assert (found[2].code, found[2].field) == (ReasonCode.INVALID, "answer.2")
    assert task.task_parse({"text": "t", "answer": "UI"}).problems[0].code is ReasonCode.INVALID, "it is no list"


def test_the_choices_of_an_object_may_be_respelled_too() -> None:
    class Part(BaseModel):
        size: Literal["S", "M"] = Field(description="as on the label")

    [found] = task_with(Target[list[Part]]).task_parse({"text": "t", "answer": [{"size": "m"}]}).problems
    assert (found.code, found.field, found.detail) == (ReasonCode.RESPELLED, "answer.0.size", "got 'm', not 'M'")
