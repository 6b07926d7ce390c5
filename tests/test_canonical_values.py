"""What is left out, empty or too long in an answer, also within its objects."""

from decimal import Decimal
from typing import Any, Literal

import pytest
from pydantic import BaseModel

from schemas.field import canonical, target_field
from schemas.task import Input, Target, Task


class Place(BaseModel):
    """An object in an object."""

    town: str | None
    marks: set[Literal["new", "old"]]


class Item(BaseModel):
    """An object with all that a model may leave out."""

    title: str | None
    tags: list[str]
    places: list[Place]
    place: Place | None


class Bill(Task):
    """Read."""

    text: Input[str]
    item: Target[Item]
    place: Target[Place | None]
    total: Target[Decimal | None] = None


def read(**targets: Any) -> dict[str, Any]:
    return Bill.task_validate_targets({"item": {}, **targets})


def test_what_a_model_leaves_out_of_an_object_is_none_or_an_empty_list_at_any_depth() -> None:
    nothing = {"title": None, "tags": [], "places": [], "place": None}
    assert read()["item"] == nothing
    found = read(item={"places": [{"town": "Rome"}], "place": {"town": "Ghent"}})["item"]
    assert found == nothing | {
        "places": [{"town": "Rome", "marks": []}],
        "place": {"town": "Ghent", "marks": []},
    }


def test_an_object_that_may_be_absent_and_says_nothing_is_absent_and_one_that_must_be_there_stays() -> None:
    nothing = {"town": None, "marks": []}
    found = read(place=nothing, item={"places": [nothing, {"town": "Rome", "marks": []}], "place": nothing})
    assert found["place"] is None
    assert found["item"]["place"] is None
    assert found["item"]["places"] == [{"town": "Rome", "marks": []}]
    needed = target_field("place", Place)
    assert canonical(needed, nothing) == nothing


@pytest.mark.parametrize("number", ["1E-38", f"0.{'1' * 38}", "9" * 38, "1E+37", "-0.5"])
def test_a_decimal_of_38_digits_is_read_wherever_its_point_is(number: str) -> None:
    assert read(total=number)["total"] is not None


@pytest.mark.parametrize("number", ["1E-39", f"0.{'1' * 39}", "9" * 39, "1E+38", f"{'1' * 20}.{'1' * 19}"])
def test_a_decimal_of_more_digits_is_refused_wherever_its_point_is(number: str) -> None:
    with pytest.raises(ValueError, match="the decimal needs more than 38 digits"):
        read(total=number)
