"""Of a row that a person can repair, everything valid is kept, and no other row is taken for one."""

import datetime
from decimal import Decimal
from typing import Any, Literal

import pytest
from pydantic import BaseModel, Field, field_validator, model_validator

from schemas.field import FreeText
from schemas.message import Message
from schemas.parsed import Parsed
from schemas.repairs import meant, with_draft
from schemas.task import Context, Conversation, Input, Target, Task

Kind = Literal["governing_law", "term", "renewal"]


class Item(BaseModel):
    """A line."""

    article: str
    pieces: int
    price: Decimal | None = None


class Address(BaseModel):
    """Where to."""

    city: str
    country: Literal["DE", "FR"]


class Letter(Task):
    """Extract what the letter says."""

    text: Input[str]
    pages: Context[int] = 1
    kind: Target[Kind]
    topics: Target[set[Literal["billing", "delivery", "returns"]]]
    total: Target[float] = Field(gt=0)
    due: Target[datetime.date | None] = None
    address: Target[Address | None] = None
    items: Target[list[Item]] = Field(default=[])
    notes: Target[list[str]] = Field(default=[])

    @field_validator("notes")
    @classmethod
    def _few(cls, notes: list[str]) -> list[str]:
        if len(notes) > 2:
            raise ValueError("too many notes")
        return notes


ROW: dict[str, Any] = {
    "text": "Dear all, 3 ropes.", "kind": "term", "topics": ["billing"], "total": 12.5, "due": "2026-03-01",
    "address": {"city": "Bonn", "country": "DE"}, "items": [{"article": "Rope", "pieces": 3}], "notes": ["soon"],
}  # fmt: skip
PIN = {"article": "Pin", "pieces": 1, "price": None}
VALID = {
    "kind": "term", "topics": ["billing"], "total": 12.5, "due": "2026-03-01",
    "address": {"city": "Bonn", "country": "DE"}, "items": [{"article": "Rope", "pieces": 3, "price": None}],
    "notes": ["soon"],
}  # fmt: skip


def parsed(task: type[Task], row: dict[str, Any]) -> Parsed:
    return with_draft(task, row, task.task_parse(row))


def test_a_valid_row_has_no_draft() -> None:
    assert parsed(Letter, ROW) == Letter.task_parse(ROW)
    assert parsed(Letter, ROW).draft is None


@pytest.mark.parametrize(
    ("wrong", "kept"),
    [
        ({"kind": "goverming_law"}, {"kind": "governing_law"}),
        ({"kind": "Term"}, {"kind": "term"}),
        ({"kind": "insurance"}, {"kind": None}),
        ({"kind": 7}, {"kind": None}),
        ({"kind": None}, {"kind": None}),
        ({"total": "a lot"}, {"total": None}),
        ({"total": -1}, {"total": None}),
        ({"due": "soon", "total": "?"}, {"due": None, "total": None}),
        ({"topics": ["billing", "Delivery", "nonsense"]}, {"topics": ["billing", "delivery"]}),
        ({"topics": ["billing", "returns", "billing"]}, {"topics": ["billing", "returns"]}),
        ({"topics": ["nonsense"]}, {"topics": None}),
        ({"address": {"city": "Bonn", "country": "de"}}, {"address": {"city": "Bonn", "country": "DE"}}),
        ({"address": {"city": "Bonn", "country": "Spain"}}, {"address": {"city": "Bonn", "country": None}}),
        ({"address": {"country": "DE"}}, {"address": {"city": None, "country": "DE"}}),
        ({"address": "Bonn"}, {"address": None}),
        (
            {"items": [{"article": "Rope", "pieces": "some"}, {"article": "Pin", "pieces": 1}]},
            {"items": [{"article": "Rope", "pieces": None, "price": None}, PIN]},
        ),
        ({"items": '[{"article": "Rope"'}, {"items": None}),
        ({"items": [{"article": f"a{n}", "pieces": 1} if n not in (2, 10) else n for n in range(12)]},
         {"items": [{"article": f"a{n}", "pieces": 1, "price": None} for n in range(12) if n not in (2, 10)]}),
        ({"notes": ["a", 7, "b"]}, {"notes": ["a", "b"]}),
        ({"notes": ["a", "b", "c"]}, {"notes": None}),
    ],
)  # fmt: skip
def test_what_is_valid_is_kept_and_the_obvious_slip_of_a_choice_corrected(
    wrong: dict[str, Any], kept: dict[str, Any]
) -> None:
    found = parsed(Letter, ROW | wrong)
    assert found.problems and found.targets is None
    assert found.inputs == {"text": ROW["text"], "pages": 1}
    assert found.draft == {name: value for name, value in (VALID | kept).items() if value is not None}


@pytest.mark.parametrize("wrong", [{"text": 7}, {"text": " "}, {"text": None}, {"pages": "many"}])
def test_a_row_whose_inputs_are_not_valid_cannot_be_repaired(wrong: dict[str, Any]) -> None:
    for broken in (wrong, wrong | {"kind": "nonsense"}):
        found = parsed(Letter, ROW | broken)
        assert found.problems and found.draft is None and found.inputs == {}


class Checked(Task):
    """Say what it costs."""

    text: Input[str]
    low: Target[int]
    high: Target[int]

    @field_validator("low")
    @classmethod
    def _odd(cls, low: int) -> int:
        return 10 // low

    @model_validator(mode="after")
    def _in_order(self) -> "Checked":
        if self.low > self.high:
            raise ValueError("low is above high")
        return self


def test_what_validators_of_several_fields_refuse_may_be_the_inputs_fault() -> None:
    assert parsed(Checked, {"text": "t", "low": 1, "high": 2}).draft is None
    assert parsed(Checked, {"text": "t", "low": 1, "high": "?"}).draft == {"low": 10}


def test_what_the_task_s_own_code_fails_at_is_nothing_for_annotators() -> None:
    found = parsed(Checked, {"text": "t", "low": 0, "high": 2})
    assert found.faults and found.draft is None


def test_a_validator_that_misses_the_other_fields_only_costs_its_own(  # as pydantic does not promise them
) -> None:
    class Pair(Task):
        """Give both."""

        text: Input[str]
        one: Target[int]
        other: Target[int]

        @field_validator("other")
        @classmethod
        def _above(cls, other: int, info: Any) -> int:
            return other + info.data["one"] * 0

    assert parsed(Pair, {"text": "t", "one": "?", "other": 2}).faults
    assert parsed(Pair, {"text": "t", "one": 1, "other": "?"}).draft == {"one": 1}


class Chat(Task):
    """Is it right?"""

    messages: Conversation


class Answered(Task):
    """Go on."""

    text: Input[str]
    reply: Target[list[Message]]


def test_conversations_are_read_as_a_whole_and_not_repaired() -> None:
    broken = [{"role": "user", "content": "Hi"}, {"role": "wizard", "content": "Hi"}]
    assert parsed(Chat, {"messages": broken}).draft is None
    assert parsed(Answered, {"text": "Hi", "reply": broken}).draft is None


class Reworded(Task):
    """Say it simply."""

    text: Input[str]
    simple: Target[FreeText[str]]
    level: Target[Literal["easy", "hard"]]


def test_free_texts_are_kept_beside_what_is_broken() -> None:
    found = parsed(Reworded, {"text": "Henceforth.", "simple": "From now on.", "level": "harrd"})
    assert found.draft == {"simple": "From now on.", "level": "hard"}


@pytest.mark.parametrize(
    ("value", "choice"),
    [
        ("goverming_law", "governing_law"), ("GOVERNING LAW", "governing_law"), (" Term", "term"), ("terms", "term"),
        ("law", None), ("", None), ("t" * 10_000, None), ("renewel", "renewal"),
    ],
)  # fmt: skip
def test_a_slip_is_what_is_nearly_one_choice(value: str, choice: str | None) -> None:
    assert meant(value, ("governing_law", "term", "renewal")) == choice


def test_what_is_near_to_two_choices_is_no_obvious_slip_of_either() -> None:
    assert meant("delivery_x", ("delivery_a", "delivery_b")) is None
