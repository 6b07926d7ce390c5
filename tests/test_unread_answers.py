"""What nobody had the time to read confirms nothing, is told with its number and authors, and is asked again."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from desk import Desk, Row, desk_at
from fake_studio import FakeStudio
from support import row
from team import review
from terminal import Terminal

from flows.local.studio_server import LocalStudio
from pipeline.review.label_studio_models import PulledAnnotation
from schemas.fate import Fate, LabelSource

# Their label is filled in: annotators are asked whether the address may be published.
ROWS: list[Row] = [
    row(key, f"Please write to somebody{key}@shop{key}.example{' about my parcel' * 20}", "delivery")
    for key in (1, 2, 3)
]


def confirm_everything(desk: Desk) -> None:
    """What *Create Annotations From Predictions* does, with all tasks of the project selected."""
    what = {"selectedItems": {"all": True, "excluded": []}, "filters": {"conjunction": "and", "items": []}}
    query = {"id": "predictions_to_annotations", "project": desk.project}
    desk.api.post("/api/dm/actions", params=query, json=what).raise_for_status()


def as_filled_in(desk: Desk, key: int, seconds: float | None) -> int:
    """Submit what is filled in, as the form does."""
    result = [one | {"origin": "prediction"} for one in desk.result("delivery")]
    made = desk.submit(desk.task(key), result)
    desk.api.patch(f"/api/annotations/{made}/", json={"lead_time": seconds}).raise_for_status()
    return made


def all_three_are_told_and_open_until_somebody_has_read_them(desk: Desk, terminal: Terminal, who: str) -> None:
    desk.curate()
    confirm_everything(desk)
    collected = desk.collect()
    assert (collected.annotations, collected.decided, collected.waiting) == (3, 0, 3)
    said = f"note: 3 answers confirm nothing ({who} 3): what was filled in was submitted without the time to read it; "
    for shown in (terminal.goldleaf("collect").stdout, terminal.goldleaf("status").stdout):
        assert said in shown
    assert ": unread" in terminal.goldleaf("explain", "data.jsonl:1").stdout
    # As the guide says: deleted, they are asked again, and what somebody reads counts.
    confirmed = {task["data"]["record_id"]: task["annotations"][0]["id"] for task in desk.tasks()}
    for key in (1, 2):
        desk.delete(f"annotations/{confirmed[desk.id(key)]}")
    as_filled_in(desk, 1, 4.5)
    # With its time, as the form does: this may come within the second in which the queue was confirmed.
    corrected = {"result": desk.result("billing"), "lead_time": 4.5}
    desk.api.patch(f"/api/annotations/{confirmed[desk.id(3)]}/", json=corrected).raise_for_status()
    collected = desk.collect()
    assert (collected.decided, collected.waiting, collected.note) == (2, 1, "")
    found = {key: desk.decision(key) for key in (1, 2, 3)}
    assert [found[key].label_source for key in (1, 3)] == [LabelSource.HUMAN] * 2
    assert (found[2].fate, (found[3].targets or {})["topic"]) == (Fate.REVIEW, "billing")


def test_a_queue_that_was_confirmed_by_an_action_is_open_still(studio: FakeStudio, tmp_path: Path) -> None:
    with desk_at(studio, tmp_path, ROWS, review()) as desk:
        terminal = Terminal(tmp_path, studio.url, studio.token)
        all_three_are_told_and_open_until_somebody_has_read_them(desk, terminal, "admin@example.com")


def test_label_studio_s_own_action_confirms_nothing(label_studio: LocalStudio, tmp_path: Path) -> None:
    with desk_at(label_studio, tmp_path, ROWS, review()) as desk:
        terminal = Terminal(tmp_path, label_studio.url, label_studio.token)
        all_three_are_told_and_open_until_somebody_has_read_them(desk, terminal, label_studio.username)


def test_who_holds_down_a_key_confirms_nothing_and_what_a_program_sends_counts(
    studio: FakeStudio, tmp_path: Path
) -> None:
    with desk_at(studio, tmp_path, ROWS, review()) as desk:
        desk.curate()
        as_filled_in(desk, 1, 0.3)
        as_filled_in(desk, 2, 1.2)
        desk.label(3, "delivery")  # no time, and nothing says that it was filled in
        collected = desk.collect()
    assert collected.decided == 2 and "1 answer confirms nothing (first@example.com 1): " in collected.note


FILLED_IN = [{"origin": "prediction"}]


@pytest.mark.parametrize(
    ("seconds", "result", "characters", "unread"),
    [
        (None, FILLED_IN, 1_000, False),
        (0.3, FILLED_IN, 1_000, True),
        (0.3, FILLED_IN, 40, False),
        (0.15, FILLED_IN, 40, True),
        (1.0, FILLED_IN, 100_000, False),
        (0.3, [*FILLED_IN, {"origin": "prediction-changed"}], 1_000, False),
        (0.3, [{"origin": "manual"}], 1_000, False),
        (0.3, [{}], 1_000, False),
    ],
)
def test_a_short_text_is_read_at_a_glance_and_a_changed_answer_counts_however_fast_it_was(
    seconds: float | None, result: list[dict[str, Any]], characters: int, unread: bool
) -> None:
    at = datetime(2026, 1, 2, tzinfo=UTC)
    sent = {"id": 1, "result": result, "was_cancelled": False, "completed_by": 1, "created_at": at, "updated_at": at}
    given = PulledAnnotation.model_validate(sent | {"lead_time": seconds})
    assert given.is_unread({"text": "x" * characters}) is unread
