"""Answers that no longer decide are not lost: they are offered again, or wait for whoever can mend them."""

from pathlib import Path

import pytest
from home_of_answers import NOON, Home, home_in
from store_rows import decision

from pipeline.review.consensus import Said, earlier_answers, invalid_annotations
from schemas.annotation import Annotation, Verdict


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
        assert earlier_answers(home.now, task, [now, unasked]) == {"r1": {"topic": "delivery"}}
    assert earlier_answers(home.now, task, [other_text]) == {}
    home.takes_back(2)
    assert earlier_answers(home.now, task, [edited]) == {"r1": {"topic": "returns"}}


def test_contradicting_annotators_are_quoted_where_they_differ() -> None:
    told = [
        Annotation(
            server="s", project=1, task_id=1, annotation_id=number, annotator=str(number), verdict=Verdict.LABELED,
            push_key="k", record_id="r", result=[], created_at=NOON, updated_at=NOON,
            targets={"seller": "Acme", "items": [{"name": "rope", "count": 3}, {"name": "hook", "count": number}]},
        )
        for number in (1, 2)
    ]  # fmt: skip
    asked = decision("run", "r")
    reason = Said(told[0], asked, is_present=True, against=told[1]).reason
    assert reason is not None
    assert reason.detail == "user 1 says items.2.count '1' and user 2 says items.2.count '2'"
