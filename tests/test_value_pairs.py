"""Answers are scored value by value, and an object of a list only counts for the gold object that it is closest to."""

import random
from typing import Any

import pytest
from generated_values import FORMS
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize
from scipy.optimize import linear_sum_assignment

from pipeline.evaluation.scores import pair_credit
from pipeline.evaluation.value_pairs import matched_pairs, value_pairs
from schemas.field import canonical, target_field

ITEMS = target_field("items", FORMS["objects"][0])


def item(title: str, count: int) -> dict[str, Any]:
    return {"title": title, "count": count}


def test_values_within_objects_are_pairs_with_paths() -> None:
    pairs = value_pairs({"name": "A", "place": {"city": "Rome", "since": None}, "tags": ["x", "x"]})
    assert pairs == {("name", "A"): 1, ("place.city", "Rome"): 1, ("tags", "x"): 2}


def test_values_of_swapped_objects_do_not_count() -> None:
    gold = {"items": [item("rope", 3), item("hook", 1)]}
    swapped = {"items": [item("rope", 1), item("hook", 3)]}
    given, expected = matched_pairs(swapped, gold)
    assert (given & expected).total() == 2


def test_the_order_of_objects_does_not_matter() -> None:
    gold = {"items": [item("rope", 3), item("hook", 1), item("nut", 9)]}
    credit = pair_credit({"items": gold["items"][::-1]}, gold)
    assert credit.worth == 1


def test_an_object_too_many_or_too_few_costs_its_values() -> None:
    gold = {"items": [item("rope", 3), item("hook", 1)]}
    fewer = pair_credit({"items": [item("hook", 1)]}, gold)
    more = pair_credit({"items": [item("nut", 9), *gold["items"]]}, gold)
    assert (fewer.earned, fewer.possible) == (4, 6)
    assert (more.earned, more.possible) == (8, 10)


@given(FORMS["objects"][1], st.integers(0, 100))
def test_any_answer_is_right_against_itself_in_any_order(objects: list[dict[str, Any]], seed: int) -> None:
    known: Any = canonical(ITEMS, objects)
    shuffled = random.Random(seed).sample(known, len(known))
    assert pair_credit({"items": shuffled}, {"items": known}).worth == 1


@given(FORMS["objects"][1], st.integers(0, 100))
def test_many_objects_are_matched_as_well_as_few(objects: list[dict[str, Any]], seed: int) -> None:
    few: Any = canonical(ITEMS, objects)
    many = [*few, *(item(f"title {n}", n) for n in range(250))]
    shuffled = random.Random(seed).sample(many, len(many))
    assert pair_credit({"items": shuffled}, {"items": many}).worth == 1


def test_with_hundreds_of_objects_a_missing_or_changed_one_costs_its_own_values_only() -> None:
    gold = {"items": [item(f"title {n}", n % 3) for n in range(1000)]}
    fewer = pair_credit({"items": gold["items"][1:]}, gold)
    assert (fewer.earned, fewer.possible) == (2 * 1998, 1998 + 2000)
    changed = [item("other", 0), item("title 1", 7), *gold["items"][2:]]
    assert pair_credit({"items": changed[::-1]}, gold).earned == 2 * 1998


def test_of_hundreds_of_objects_none_takes_the_place_of_one_that_is_right() -> None:
    others = [item(f"title {n}", n) for n in range(300)]
    gold = {"items": [item("rope", 1000), item("nail", 1001), *others]}
    answer = {"items": [item("rope", 1001), item("rope", 1000), *others]}
    assert pair_credit(answer, gold).earned == 2 * (2 * 302 - 1)


def test_objects_within_objects_are_matched_too() -> None:
    a, b = {"kind": "a", "parts": [{"size": 1}, {"size": 2}]}, {"kind": "b", "parts": [{"size": 3}]}
    turned = {"kind": "a", "parts": [{"size": 2}, {"size": 1}]}
    assert pair_credit({"items": [b, turned]}, {"items": [a, b]}).worth == 1


def test_the_same_moment_in_another_offset_is_right() -> None:
    gold = {"at": "2026-01-01T00:00:00+00:00", "items": [{"at": "10:00:00+00:00"}]}
    assert pair_credit({"at": "2026-01-01T01:00:00+01:00", "items": [{"at": "11:00:00+01:00"}]}, gold).worth == 1
    assert pair_credit({"at": "2026-01-01T00:00:00", "items": [{"at": "10:00:00"}]}, gold).worth == 0


def order(*counts: int) -> dict[str, Any]:
    return {"items": [item("rope", count) for count in counts]}


@pytest.mark.parametrize("orders", [2, 5, 60])
def test_lists_of_objects_within_objects_are_matched_at_every_level(orders: int) -> None:
    gold = {"orders": [order(2 * n, 2 * n + 1) for n in range(orders)]}
    turned = {"orders": [{"items": one["items"][::-1]} for one in gold["orders"][::-1]]}
    assert pair_credit(turned, gold).worth == 1


def test_an_object_with_a_wrong_line_stands_beside_the_one_that_it_shares_most_with() -> None:
    gold = {"orders": [order(1, 2, 3), order(4, 5, 6)]}
    credit = pair_credit({"orders": [order(6, 9, 4), order(3, 2, 1)]}, gold)
    # Of six counts and six titles one count is wrong.
    assert (credit.earned, credit.possible) == (22, 24)


@given(st.lists(st.lists(st.integers(0, 2), max_size=3), max_size=4), st.integers(0, 100))
def test_nested_answers_are_right_against_themselves_in_any_order(counts: list[list[int]], seed: int) -> None:
    chance = random.Random(seed)
    known = [order(*one) for one in counts]
    shuffled = [{"items": chance.sample(one["items"], len(one["items"]))} for one in chance.sample(known, len(known))]
    assert pair_credit({"orders": shuffled}, {"orders": known}).worth == 1


def test_nested_lists_are_matched_so_that_all_of_them_share_most() -> None:
    """The first one could take the place that the second one needs, at no loss to itself."""
    a, b = order(1, 2, 7), order(1, 3, 8)
    first, second = order(1, 9), order(1, 2, 9)
    assert pair_credit({"orders": [first, second]}, {"orders": [a, b]}).earned == 2 * (5 + 3)


def test_long_lists_within_long_lists_are_not_matched_in_each_pair(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer of 40 orders with 100 lines each took 46 s."""
    matched: list[tuple[int, ...]] = []

    def counting(shared: Any, maximize: bool) -> Any:
        matched.append(shared.shape)
        return linear_sum_assignment(shared, maximize)

    monkeypatch.setattr(optimize, "linear_sum_assignment", counting)
    gold = {"orders": [order(*range(100 * n, 100 * n + 100)) for n in range(40)]}
    wrong = {"orders": [order(*range(100 * n + 1, 100 * n + 101)) for n in reversed(range(40))]}
    assert pair_credit(wrong, gold).earned == 2 * 40 * (100 + 99)
    assert len(matched) == 40
