"""A list of objects is a table in text for annotators, and comes back from it as it was."""

import datetime
from typing import Any, Literal

import pytest
from generated_values import FORMS
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from pipeline.review.line_items import column_hints, heading, read_table, table_text
from schemas.field import canonical, target_field
from schemas.field_values import completed


class Maker(BaseModel):
    """Who makes it."""

    name: str
    town: str | None = None


class Item(BaseModel):
    """A line of an order."""

    title: str
    count: int | None = None
    day: datetime.date | None = None
    colors: set[Literal["red", "blue"]] = set()
    maker: Maker | None = None


ITEMS = target_field("items", list[Item])


def test_each_object_is_a_line_and_each_value_stands_between_bars() -> None:
    objects = [
        {"title": "Rope", "count": 3, "day": "2026-05-03", "colors": ["red", "blue"], "maker": {"name": "Acme"}},
        {"title": "a|b; c\nd\\n", "count": None, "day": None, "colors": [], "maker": None},
    ]
    assert heading(ITEMS) == "title | count | day | colors | maker.name | maker.town"
    text = table_text(ITEMS, objects)
    assert text.split("\n") == [
        "Rope | 3 | 2026-05-03 | red; blue | Acme |",
        r"a\|b\; c\nd\\n |  |  |  |  |",
    ]
    first, second = read_table(ITEMS, text)
    assert first["colors"] == ["red", "blue"] and first["maker"] == {"name": "Acme", "town": None}
    assert second == {"title": "a|b; c\nd\\n", "count": None, "day": None, "colors": [], "maker": None}


def test_annotators_are_told_what_can_stand_in_a_column() -> None:
    assert list(column_hints(ITEMS)) == ["count: such as 1200", "day: such as 2026-05-31", "colors: red, blue"]


def test_what_a_semicolon_separates_depends_on_the_column() -> None:
    [read] = read_table(ITEMS, "nuts; bolts | 2 || red;blue | |")
    assert (read["title"], read["colors"]) == ("nuts; bolts", ["red", "blue"])


def test_blank_lines_say_nothing_and_a_short_line_is_named() -> None:
    assert read_table(ITEMS, "\n \n") == []
    with pytest.raises(ValueError, match=r"line 2 has 3 values where 6 are expected \(title \| count"):
        read_table(ITEMS, "Rope | 1 | | | |\nHook | 2 | 2026-01-01")


def test_a_list_of_objects_within_an_object_is_json_in_one_cell() -> None:
    class Order(BaseModel):
        """Has items of its own."""

        number: int
        items: list[Item]

    orders = target_field("orders", list[Order])
    objects: Any = canonical(orders, [{"number": 1, "items": [{"title": "a|b"}, {"title": "c"}]}])
    assert (
        canonical(orders, [completed(orders, one) for one in read_table(orders, table_text(orders, objects))])
        == objects
    )
    with pytest.raises(ValueError, match="line 1: items is not JSON, got 'no'"):
        read_table(orders, "1 | no")


class Weight(BaseModel):
    """Numbers, a truth and an object, none of which must be there."""

    grams: float | None
    is_net: bool | None
    maker: Maker | None


def test_numbers_and_truths_are_written_as_people_write_them() -> None:
    weights = target_field("weights", list[Weight])
    [line] = table_text(weights, [{"grams": 3.0, "is_net": True, "maker": None}]).split("\n")
    assert line == "3 | yes |  |"
    assert table_text(weights, [{"grams": 1e22, "is_net": False, "maker": None}]) == "1e+22 | no |  |"


def test_what_may_be_none_is_none_where_its_place_is_empty_and_what_must_be_there_is_missing() -> None:
    weights = target_field("weights", list[Weight])
    assert read_table(weights, "3 | | |") == [{"grams": "3", "is_net": None, "maker": None}]
    [only_town] = read_table(weights, "| | | Rome")
    assert only_town == {"grams": None, "is_net": None, "maker": {"town": "Rome"}}


@given(FORMS["objects"][1], st.sampled_from(["", "\n"]))
def test_any_objects_come_back_from_their_table(objects: list[dict[str, Any]], end: str) -> None:
    field = target_field("objects", FORMS["objects"][0])
    known: Any = canonical(field, objects)
    read = read_table(field, table_text(field, known) + end)
    # What the task's model makes of texts, numbers among them, is tried with whole forms elsewhere.
    assert [one["title"] for one in read] == [one["title"] for one in known]
    assert [one["marks"] for one in read] == [one["marks"] for one in known]
    assert [one["place"] is None for one in read] == [one["place"] is None for one in known]
