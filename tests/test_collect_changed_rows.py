"""An answer decides about the row that it was given for, and about no other that the source puts in its place."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from desk import Desk, desk_at
from moments import EVERYTHING, counted, human, moment
from support import row

from flows.local.studio_server import LocalStudio
from pipeline.reporting.explain import explain
from schemas.fate import Fate

PARCEL, PARCELS = "Where is my parcel?", "Where are both of my parcels?"
SUNDAY = row(2, "Do you deliver on Sundays?", None)


@pytest.fixture
def desk(label_studio: LocalStudio, tmp_path: Path) -> Iterator[Desk]:
    """Two questions, sent."""
    with desk_at(label_studio, tmp_path, [row(1, PARCEL, None), SUNDAY], EVERYTHING) as desk:
        desk.curate()
        yield desk


def rewrite(desk: Desk, text: str) -> None:
    desk.rows(row(1, text, None), SUNDAY)


def test_a_changed_row_is_asked_again_and_the_old_answer_no_longer_counts(desk: Desk) -> None:
    desk.label(1, "delivery")
    desk.collect()
    old = desk.task(1)
    rewrite(desk, PARCELS)
    result = desk.curate()
    assert (result.funnel.superseded, result.review.sent) == (1, 1)
    assert desk.task(1) != old
    assert counted(desk.collect()) == {"annotations": 0, "decided": 0, "waiting": 2, "invalid": 0}
    assert desk.decision(1).fate is Fate.REVIEW
    desk.label(1, "returns")
    desk.collect()
    assert human(desk.decision(1))[1] == "returns"


@pytest.mark.parametrize("topic", ["delivery", "nonsense"])
def test_an_answer_that_is_collected_after_its_row_was_changed_does_not_count(desk: Desk, topic: str) -> None:
    desk.label(1, topic)
    rewrite(desk, PARCELS)
    desk.curate()
    assert counted(desk.collect()) == {"annotations": 1, "decided": 0, "waiting": 2, "invalid": 0}
    assert desk.decision(1).fate is Fate.REVIEW


def test_a_row_that_is_changed_back_has_its_answer_again(desk: Desk) -> None:
    desk.label(1, "delivery")
    desk.collect()
    before = moment(desk)
    rewrite(desk, PARCELS)
    desk.curate()
    desk.label(1, "returns")
    desk.collect()
    rewrite(desk, PARCEL)
    assert desk.curate().review.sent == 0
    for _ in range(2):
        assert human(desk.decision(1))[1] == "delivery"
        assert counted(desk.collect()) == {"annotations": 0, "decided": 0, "waiting": 1, "invalid": 0}
    assert moment(desk).said(1) == before.said(1)


def test_an_answer_outlives_another_choice_and_can_be_changed_to_it(desk: Desk) -> None:
    desk.label(1, "delivery")
    desk.collect()
    task = desk.folder / "task.py"
    task.write_text(task.read_text().replace('"returns"]', '"returns", "other"]'))
    desk.curate()
    assert human(desk.decision(1))[:2] == (Fate.ACCEPTED, "delivery")
    desk.label(1, "other")
    assert desk.collect().decided == 1
    assert human(desk.decision(1))[:2] == (Fate.ACCEPTED, "other")


def test_the_answer_about_a_withdrawn_row_is_kept_and_decides_nothing(
    label_studio: LocalStudio, tmp_path: Path
) -> None:
    rows = [row(1, PARCEL, None), SUNDAY]
    with desk_at(label_studio, tmp_path, rows, EVERYTHING) as desk:
        file = tmp_path / "dataset.yaml"
        file.write_text(file.read_text().replace("key: id,", "key: id, mode: snapshot,"))
        desk.curate()
        desk.label(1, "delivery")
        desk.rows(SUNDAY)
        desk.curate()
        result = desk.collect()
        assert (result.annotations, result.decided, result.funnel.withdrawn) == (1, 0, 1)
        story = explain(desk.context.store.snapshot().at_last_commit(), desk.id(1), desk.context.store.releases)
        assert [revision.withdrawn for revision in story.revisions] == [False, True]
        assert [said.targets for said in story.said] == [{"topic": "delivery"}]
        desk.rows(*rows)
        desk.curate()
        desk.collect()
        assert human(desk.decision(1))[1] == "delivery", "when the row is back, so is its answer"
