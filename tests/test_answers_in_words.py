"""Answers as annotators read them: by fields, and only what differs; never as JSON."""

from typing import Any, Literal

import pytest
from pydantic import BaseModel, create_model
from task_toys import task_with

from schemas.answers_in_words import answers_in_words
from schemas.message import Message
from schemas.roles import Conversation
from schemas.task import Input, Target, Task


class Item(BaseModel):
    """A line of a bill."""

    name: str
    count: int


Bill = create_model(
    "Bill",
    __base__=Task,
    __doc__="What was bought?",
    text=(Input[str], ...),
    seller=(Target[str | None], None),
    items=(Target[list[Item]], ...),
)
ROPE, HOOK = {"name": "rope", "count": 3}, {"name": "hook", "count": 1}


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ([{"answer": ["a", "b"]}, {"answer": []}], ["a, b", "none of these"]),
        ([{"answer": ["a"]}], ["a"]),
    ],
)
def test_the_only_field_needs_no_name(answers: list[dict[str, Any]], said: list[str]) -> None:
    assert answers_in_words(task_with(Target[set[Literal["a", "b"]]]), answers) == said


def test_of_several_fields_those_are_named_that_differ() -> None:
    one, other = {"seller": "Acme", "items": [ROPE]}, {"seller": None, "items": [ROPE]}
    assert answers_in_words(Bill, [one, other]) == ["seller: Acme", "seller: nothing"]
    two = {"seller": "Acme", "items": [ROPE, HOOK]}
    assert answers_in_words(Bill, [one, two]) == [
        "items: (name rope, count 3)",
        "items: (name rope, count 3), (name hook, count 1)",
    ], "a reason stands alone, where nobody sees what all have"
    assert answers_in_words(Bill, [one, two], beside=True) == [
        "items: only the 1 that all have",
        "items: (name hook, count 1), and 1 that all have",
    ]


def test_of_lists_of_objects_only_those_are_shown_in_which_they_differ() -> None:
    nut = {"name": "nut", "count": 9}
    one, other = ({"seller": None, "items": items} for items in ([ROPE, HOOK, HOOK], [HOOK, nut, ROPE]))
    assert answers_in_words(Bill, [one, other], beside=True) == [
        "items: (name hook, count 1), and 2 that all have",
        "items: (name nut, count 9), and 2 that all have",
    ]
    assert answers_in_words(Bill, [one, {"seller": None, "items": [nut]}], beside=True) == [
        "items: (name rope, count 3), (name hook, count 1), (name hook, count 1)",
        "items: (name nut, count 9)",
    ]


def test_an_answer_with_nothing_to_compare_it_with_has_all_its_fields() -> None:
    assert answers_in_words(Bill, [{"seller": "Acme", "items": []}]) == ["seller: Acme; items: nothing"]


def test_a_conversation_is_what_the_assistant_says_in_the_end() -> None:
    class Helper(Task):
        """Help."""

        messages: Conversation

    said = Message(role="assistant", content="Gladly.").as_json()
    assert answers_in_words(Helper, [{"messages": [said]}]) == ["Gladly."]
