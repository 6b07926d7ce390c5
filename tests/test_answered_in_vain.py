"""A question whose only task is answered, though no answer counts: nobody is asked about it, so that it is told."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from desk import Desk, desk_at
from fake_studio import FakeStudio
from parcels_and_lamps import ALL, LAMP, PARCEL, parcel
from support import row

from pipeline.reporting.attention import Attention
from pipeline.reporting.status import read_status
from pipeline.review.queue import is_open
from schemas.fate import Fate, LabelSource

_FORBIDS = """
    @field_validator("topic")
    @classmethod
    def allowed(cls, value):
        if value in FORBIDDEN:
            raise ValueError(f"{value} is forbidden")
        return value
"""


@pytest.fixture
def desk(studio: FakeStudio, tmp_path: Path) -> Iterator[Desk]:
    with desk_at(studio, tmp_path, [row(1, PARCEL, "billing"), row(2, LAMP, "billing")], ALL) as desk:
        desk.curate()
        yield desk


def _relabeled(desk: Desk, label: str) -> None:
    desk.rows(parcel(label), row(2, LAMP, "billing"))
    desk.curate()


def _said(desk: Desk, topic: str) -> int:
    given = desk.label(1, topic)
    desk.collect()
    return given


def _forbid(desk: Desk, *topics: str) -> None:
    file = desk.folder / "task.py"
    text = file.read_text().removesuffix(_FORBIDS)
    lines = [line for line in text.splitlines() if not line.startswith(("FORBIDDEN", "from pydantic import field"))]
    head = ["from pydantic import field_validator", *lines[:1], f"FORBIDDEN = {topics!r}", *lines[1:]]
    file.write_text("\n".join(head) + "\n" + _FORBIDS)
    desk.curate()


def _an_invalid_answer_whose_label_is_back(desk: Desk) -> int:
    given = _said(desk, "nonsense")
    _relabeled(desk, "delivery")
    _said(desk, "returns")
    _relabeled(desk, "billing")
    return given


def _an_answer_that_is_forbidden_once_its_label_is_back(desk: Desk) -> int:
    given = _said(desk, "returns")
    _relabeled(desk, "delivery")
    _said(desk, "delivery")
    _relabeled(desk, "billing")
    _forbid(desk, "returns")
    return given


def _one_answer_after_the_other_that_is_forbidden(desk: Desk) -> int:
    _said(desk, "returns")
    _forbid(desk, "returns")
    given = _said(desk, "delivery")
    _forbid(desk, "returns", "delivery")
    return given


def _told(desk: Desk) -> list[Attention]:
    return [one for one in read_status(desk.context).attention if one.record_id == desk.id(1)]


@pytest.mark.parametrize(
    "happen",
    [
        _an_invalid_answer_whose_label_is_back,
        _an_answer_that_is_forbidden_once_its_label_is_back,
        _one_answer_after_the_other_that_is_forbidden,
    ],
)
def test_a_row_that_waits_though_its_task_is_answered_is_listed_until_the_answer_is_edited(
    desk: Desk, happen: Callable[[Desk], int]
) -> None:
    given = happen(desk)
    desk.collect()
    assert desk.curate().review.sent == 0
    decision = desk.decision(1)
    assert is_open(decision) and decision.fate is Fate.REVIEW
    assert all(task["annotations"] for task in desk.tasks() if task["data"]["record_id"] == desk.id(1))
    [told] = _told(desk)
    assert told.task_id == next(task["id"] for task in desk.tasks() if given in {a["id"] for a in task["annotations"]})
    desk.edit(given, "billing")
    desk.collect()
    desk.curate()
    decision = desk.decision(1)
    assert (decision.fate, decision.label_source, decision.targets) == (
        Fate.ACCEPTED,
        LabelSource.HUMAN,
        {"topic": "billing"},
    )
    assert _told(desk) == []


def test_a_row_whose_task_nobody_has_answered_is_not_listed(desk: Desk) -> None:
    _said(desk, "returns")
    _relabeled(desk, "delivery")
    assert is_open(desk.decision(1)) and _told(desk) == []
