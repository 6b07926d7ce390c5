"""Answers that no longer decide are not lost: they are offered again, or wait for whoever can mend them."""

from pathlib import Path
from typing import Any

import pytest
from home_of_answers import NOON, Home, home_in
from pydantic import BaseModel, create_model
from store_rows import decision

from pipeline.reporting.attention import Need, attention
from pipeline.review.consensus import Said, earlier_answers, invalid_annotations
from schemas.annotation import Annotation, Verdict
from schemas.task import Target


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return home_in(tmp_path)


def test_an_invalid_answer_after_a_valid_one_may_contradict_it_and_waits_too(home: Home) -> None:
    asked = home.asked("r1")
    home.curated(asked)
    home.said("1", "returns", asked, number=1)
    assert invalid_annotations(home.now, home.dataset.task) == []
    home.said("2", Verdict.INVALID, asked, number=2)
    assert [one.annotator for one in invalid_annotations(home.now, home.dataset.task)] == ["2"]
    home.said("1", "returns", asked, number=3)
    assert invalid_annotations(home.now, home.dataset.task) == []


def test_an_annotator_s_own_later_answer_settles_the_invalid_one_whoever_decides(home: Home) -> None:
    asked = home.asked("r1")
    home.curated(asked)
    home.said("1", "returns", asked, number=1)
    home.said("3", "returns", asked, number=2)
    home.said("2", Verdict.INVALID, asked, number=3)
    assert [one.annotator for one in invalid_annotations(home.now, home.dataset.task)] == ["2"]
    home.said("2", "delivery", asked, number=4)
    assert invalid_annotations(home.now, home.dataset.task) == []
    home.said("2", Verdict.INVALID, asked, number=5)
    assert [one.annotation_id for one in invalid_annotations(home.now, home.dataset.task)] == [5]


@pytest.mark.parametrize("first", ["returns", Verdict.UNUSABLE])
def test_an_invalid_answer_after_one_that_counts_is_listed_as_such(home: Home, first: str | Verdict) -> None:
    asked = home.asked("r1")
    home.curated(asked)
    home.said("1", first, asked, number=1)
    home.collected()
    assert attention(home.now, home.dataset.task) == []
    home.said("2", Verdict.INVALID, asked, number=2)
    home.collected()
    [found] = attention(home.now, home.dataset.task)
    assert found.kind is Need.CORRECTION
    assert found.what.endswith("Until then an earlier one counts.")


def test_an_earlier_answer_about_the_same_text_is_known_though_it_counts_no_longer(home: Home) -> None:
    task, asked = home.dataset.task, home.asked("r1")
    home.curated(asked)
    home.said("1", "returns", asked, number=1)
    home.said("2", "delivery", asked, number=2)
    home.said("3", Verdict.UNSURE, asked, number=3)
    edited = home.asked("r1", revision="v2", targets={"topic": "delivery"})
    other_task = home.asked("r1", task_digest="other")
    other_text = home.asked("r1", revision="v3", inputs={"question": "Another one?"})
    unasked = home.asked("r2")
    home.curated(edited)
    for now in (asked, edited, other_task):
        assert earlier_answers(home.now, task, [now, unasked]) == {"r1": [{"topic": "delivery"}]}
    assert earlier_answers(home.now, task, [other_text]) == {}
    home.takes_back(2)
    assert earlier_answers(home.now, task, [edited]) == {"r1": [{"topic": "returns"}]}


def test_who_says_later_that_a_row_is_unusable_takes_the_earlier_answer_back(home: Home) -> None:
    task, asked = home.dataset.task, home.asked("r1")
    home.curated(asked)
    home.said("2", "billing", asked, number=1)
    home.said("1", "returns", asked, number=2)
    assert earlier_answers(home.now, task, [asked]) == {"r1": [{"topic": "returns"}]}
    home.said("1", Verdict.UNUSABLE, asked, number=3)
    assert earlier_answers(home.now, task, [asked]) == {"r1": [{"topic": "billing"}]}
    home.said("2", "billing", asked, number=4)
    home.said("2", Verdict.INVALID, asked, number=5)
    assert earlier_answers(home.now, task, [asked]) == {"r1": [{"topic": "billing"}]}


class Part(BaseModel):
    name: str
    count: int | None = None


@pytest.mark.parametrize(
    ("before", "still_offered"),
    [
        ({"topic": "billing", "note": None, "part": {"name": "rope", "count": 1}, "parts": []}, True),
        ({"topic": "billing", "note": None, "part": None, "parts": []}, True),
        ({"topic": "billing"}, False),
        ({"topic": "billing", "note": None, "part": {"name": "rope"}, "parts": []}, False),
        ({"topic": "billing", "note": None, "part": None, "parts": [{"name": "rope", "kind": "a"}]}, False),
        ({"topic": "billing", "note": None, "part": None, "parts": [], "seller": None}, True),
        (None, False),
    ],
)
def test_an_answer_to_other_fields_is_not_offered(home: Home, before: Any, still_offered: bool) -> None:
    """A new optional field, of which the annotator said nothing, would be answered with nothing; one may be gone."""
    new = create_model(
        "New", __base__=home.dataset.task, note=(Target[str | None], None), part=(Target[Part | None], None),
        parts=(Target[list[Part]], []),
    )  # fmt: skip
    asked = home.asked("r1", targets=before, task_digest="older")
    home.curated(asked)
    home.said("1", "returns", asked, number=1)
    offered = earlier_answers(home.now, new, [home.asked("r1", task_digest=new.task_digest())])
    answer = {"topic": "returns", "note": None, "part": None, "parts": []}
    assert offered == ({"r1": [answer]} if still_offered else {})


CALL = {"id": "1", "type": "function", "function": {"name": "find_book", "arguments": '{"title": "Odyssey"}'}}
BILLS: list[dict[str, Any]] = [
    {"seller": "Acme", "items": [{"name": "rope", "count": 3}, {"name": "hook", "count": number}]} for number in (1, 2)
]
TURNS: list[dict[str, Any]] = [
    {"messages": [{"role": "assistant", "content": "", "tool_calls": [CALL]}]},
    {"messages": [{"role": "assistant", "content": "It is in."}]},
]


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        (BILLS, "user 1 says items.2.count '1' and user 2 says items.2.count '2'"),
        (
            TURNS,
            """user 1 says messages 'assistant: find_book({"title": "Odyssey"})' """
            "and user 2 says messages 'assistant: It is in.'",
        ),
    ],
)
def test_contradicting_annotators_are_quoted_where_they_differ(answers: list[dict[str, Any]], said: str) -> None:
    told = [
        Annotation(
            server="s", project=1, task_id=1, annotation_id=number, annotator=str(number), verdict=Verdict.LABELED,
            push_key="k", record_id="r", result=[], created_at=NOON, updated_at=NOON,
            targets=targets,
        )
        for number, targets in enumerate(answers, start=1)
    ]  # fmt: skip
    asked = decision("run", "r")
    reason = Said(told[0], asked, is_present=True, against=told[1]).reason
    assert reason is not None
    assert reason.detail == said
