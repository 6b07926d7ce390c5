"""Which answers are the same one: to annotators' consensus, to the search for conflicts and to the score."""

import datetime
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from pipeline.evaluation.scores import pair_credit
from pipeline.text.answer_keys import Answers
from schemas.field import same_targets
from schemas.moments import in_utc
from schemas.task import Input, Target, Task


class Part(BaseModel):
    """A part of a line."""

    size: int


class Line(BaseModel):
    """A line of an order."""

    title: str
    pieces: int = 1
    at: datetime.datetime | None = None
    parts: list[Part] = []
    marks: set[Literal["new", "old"]] = set()


class Order(Task):
    """Read."""

    text: Input[str]
    lines: Target[list[Line]]
    day: Target[datetime.datetime | None] = None
    hour: Target[datetime.time | None] = None


def read(**targets: Any) -> dict[str, Any]:
    found = Order.task_parse({"text": "x", "lines": [], **targets})
    assert found.targets is not None, found.problems
    return found.targets


def are_the_same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """By all that compares answers."""
    answers = Answers(Order)
    said = {
        same_targets(one, other),
        answers.key(one) == answers.key(other),
        pair_credit(one, other).worth == 1,
    }
    assert len(said) == 1
    return said.pop()


ROPE, HOOK = {"title": "rope", "pieces": 2}, {"title": "hook"}


def test_line_items_in_another_order_are_the_same_answer_at_any_depth() -> None:
    assert are_the_same(read(lines=[ROPE, HOOK]), read(lines=[HOOK, ROPE]))
    sizes = [{"size": 1}, {"size": 2}]
    one, other = ({"title": "rope", "parts": parts} for parts in (sizes, sizes[::-1]))
    assert are_the_same(read(lines=[one, HOOK]), read(lines=[HOOK, other]))


def test_line_items_with_other_values_or_another_number_of_them_are_not() -> None:
    assert not are_the_same(read(lines=[ROPE, HOOK]), read(lines=[ROPE, {"title": "hook", "pieces": 2}]))
    assert not are_the_same(read(lines=[ROPE, ROPE]), read(lines=[ROPE]))
    assert not are_the_same(read(lines=[ROPE]), read(lines=[HOOK]))


def test_turns_in_another_order_are_another_answer() -> None:
    turns: list[Any] = [{"role": role, "content": "x"} for role in ("assistant", "tool")]
    assert same_targets({"messages": turns}, {"messages": list(turns)})
    assert not same_targets({"messages": turns}, {"messages": turns[::-1]})


def test_objects_with_the_fields_of_a_turn_are_turns_only_where_someone_speaks() -> None:
    scenes: list[Any] = [{"role": role, "content": "x"} for role in ("narrator", "chorus")]
    assert same_targets({"scenes": scenes}, {"scenes": scenes[::-1]})


@pytest.mark.parametrize(
    ("name", "one", "other"),
    [
        ("day", "2026-01-01T00:00:00Z", "2026-01-01T01:00:00+01:00"),
        ("day", "2025-12-31T18:30:00.5-05:30", "2026-01-01T00:00:00.500Z"),
        ("hour", "10:00Z", "11:00+01:00"),
        ("hour", "23:30Z", "00:30+01:00"),
    ],
)
def test_a_moment_in_two_offsets_is_one_answer_and_is_kept_as_it_is_written(name: str, one: str, other: str) -> None:
    first, second = read(**{name: one}), read(**{name: other})
    assert first != second
    assert are_the_same(first, second)
    without = first[name][:-6]
    assert not are_the_same(first, read(**{name: without})), "nobody knows the offset"


def test_a_moment_within_a_line_item_counts_in_utc_too() -> None:
    lines = [[{"title": "rope", "at": at}] for at in ("2026-01-01T00:00:00Z", "2026-01-01T01:00:00+01:00")]
    assert are_the_same(read(lines=lines[0]), read(lines=lines[1]))


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+14:00", "2026-99-01T00:00:00+00:00", "10:00:00", "1", "", "é"])
def test_what_is_no_moment_that_utc_can_say_stays_as_it_is(text: str) -> None:
    assert in_utc(text) == text


@given(st.datetimes(timezones=st.timezones()), st.integers(-23, 23))
def test_any_moment_is_the_same_in_any_offset(moment: datetime.datetime, hours: int) -> None:
    if 2 <= moment.year <= 9998:
        elsewhere = moment.astimezone(datetime.timezone(datetime.timedelta(hours=hours)))
        assert in_utc(elsewhere.isoformat()) == in_utc(moment.isoformat())
