"""Where two answers differ is told value by value, in words."""

from typing import Any

import pytest

from schemas.field_values import differences, value_in_words

ROPE, HOOK = {"title": "rope", "pieces": 2, "parts": []}, {"title": "hook", "pieces": None, "parts": [{"size": 1}]}


def test_values_within_objects_have_paths_and_objects_of_a_list_numbers_from_1() -> None:
    before = {"place": {"town": "Rome", "zip": None}, "lines": [ROPE, HOOK], "tags": ["a"]}
    after = {
        "place": {"town": "Rome", "zip": "1"},
        "lines": [ROPE, HOOK | {"pieces": 5, "parts": [{"size": 2}]}, ROPE],
        "tags": ["a", "b"],
    }
    assert list(differences(before, after)) == [
        ("place.zip", None, "1"),
        ("lines.2.parts.1.size", 1, 2),
        ("lines.2.pieces", None, 5),
        ("lines.3.title", None, "rope"),
        ("lines.3.pieces", None, 2),
        ("tags", ["a"], ["a", "b"]),
    ]


def test_line_items_and_lists_in_another_order_do_not_differ() -> None:
    before, after = {"lines": [ROPE, HOOK], "tags": ["a", "b"]}, {"lines": [HOOK, ROPE], "tags": ["b", "a"]}
    assert list(differences(before, after)) == []


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, ""),
        (True, "yes"),
        (False, "no"),
        (3, "3"),
        (["a", True, None], "a, yes, "),
        ([], ""),
        ([{"a": "é"}], '[{"a": "é"}]'),
    ],
)
def test_a_value_is_written_as_people_read_it(value: Any, words: str) -> None:
    assert value_in_words(value) == words
