"""Rows whose label the task has divided into several wait for annotators, and so do those that contradict them."""

import json
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from desk import Desk, desk_at
from fake_studio import FakeStudio, fake_studio
from full_runs import must_agree_with_a_full_run
from support import row
from test_task_changes import ROWS, change, counting, renamed

from flows.engines.engine import Inline
from flows.release import release
from pipeline.review.labeling_tasks import prediction_result
from schemas.fate import Fate, ReasonCode, Routed


@pytest.fixture
def studio() -> Iterator[FakeStudio]:
    with fake_studio() as fake:
        yield fake


@pytest.fixture
def desk(studio: FakeStudio, tmp_path: Path) -> Iterator[Desk]:
    with desk_at(studio, tmp_path, list(ROWS), "review: {budget: 100, audit: 0.0}\n") as desk:
        yield desk


def test_rows_of_a_divided_label_go_back_to_annotators_with_what_is_sure_filled_in(
    desk: Desk, studio: FakeStudio
) -> None:
    rows = [*ROWS[:5], row(6, "May I send this lamp back?", "billing"), row(7, "Return my sofa?", "returns")]
    rows += [row(key, f"Where is chair number {key * 31}?", "delivery") for key in range(8, 12)]
    desk.rows(*rows)
    change(desk, ("    topic:", "    order: Target[str | None] = None\n    topic:"))
    change(desk, ("audit: 0.0", "audit: 1.0"), file="dataset.yaml")
    desk.curate()
    for key, topic in {1: "billing", 3: "returns", 6: "returns"}.items():
        desk.submit(desk.task(key), prediction_result(desk.context.dataset.task, {"topic": topic, "order": "4711"}))
    desk.collect()
    assert counting(desk) == {1: "billing", 3: "returns", 6: "returns"}
    renamed(desk, '{"returns": ["refund", "exchange"]}', '"billing", "delivery", "refund", "exchange"')
    said = "within the budget (topic: It was divided into 'refund' and 'exchange', got 'returns': 2)"
    curated = desk.curate()
    assert f"of annotators' answers about 3 rows 1 counts on, 2 are asked again {said}" in curated.note
    assert counting(desk) == {1: "billing"}
    assert desk.decision(6).fate is Fate.REVIEW, "the row's own label was corrected, so it counts no more than before"
    assert "It was divided into 'refund' and 'exchange', got 'returns'" in str(desk.decision(7).reasons[0])
    assert (desk.decision(7).routed, desk.decision(7).fate) == (Routed.REPAIR, Fate.REJECTED)
    # The last task of each row.
    asked = {one["data"]["record_id"]: one for _, one in sorted(studio.tasks.items())}
    assert asked.keys() >= {desk.id(3), desk.id(6), desk.id(7)}
    filled = {one["from_name"]: one["value"] for one in asked[desk.id(3)]["predictions"][0]["result"]}
    assert filled == {"order": {"text": ["4711"]}}
    offered = [json.loads(one["alias"]) for one in asked[desk.id(3)]["data"]["candidates"]]
    assert offered == [{"topic": topic, "order": "4711"} for topic in ("refund", "exchange")]
    for key, topic in {3: "refund", 6: "exchange", 7: "exchange"}.items():
        desk.submit(desk.task(key), prediction_result(desk.context.dataset.task, {"topic": topic, "order": "4711"}))
    collected = desk.collect()
    assert (collected.decided, collected.invalid) == (3, 0)
    assert {key: desk.decision(key).targets["topic"] for key in (3, 6, 7)} == {
        3: "refund",
        6: "exchange",
        7: "exchange",
    }


def test_a_row_stays_held_that_contradicted_a_label_which_is_divided_now(desk: Desk) -> None:
    lamp, sofa, chair = "May I send this lamp back?", "What about the money for my sofa?", "Who takes this chair?"
    rows = [row(1, lamp, "returns"), row(2, lamp, "billing"), row(3, lamp.upper(), "billing"), row(7, sofa, None)]
    desk.rows(*rows)
    desk.curate()
    desk.label(7, "returns")
    desk.collect()
    rows += [row(8, sofa, "billing"), row(9, chair, "returns"), row(10, chair, "returns")]
    desk.rows(*rows)
    desk.curate()
    assert {key: desk.decision(key).fate for key in (1, 2, 8)} == {1: Fate.REVIEW, 2: Fate.REVIEW, 8: Fate.REJECTED}
    desk.rows(*rows[:-1], row(10, chair, "refund"))
    renamed(desk, '{"returns": ["refund", "exchange"]}', '"billing", "delivery", "refund", "exchange"')
    for _ in range(2):
        desk.curate()
        for key in (2, 8):
            held = desk.decision(key)
            assert (held.fate, held.routed, held.reasons[0].code) == (Fate.REVIEW, Routed.CONFLICT, ReasonCode.CONFLICT)
            assert held.reasons[0].detail == "'returns'"
        assert desk.decision(2).reasons[0].refs == (desk.id(1),)
        assert desk.decision(10).fate is Fate.ACCEPTED, "a row that may mean the same contradicts nothing"
    assert published(desk) == ["refund"]
    desk.label(2, "exchange")
    desk.label(8, "billing")
    desk.collect()
    assert published(desk) == ["billing", "exchange", "refund"]
    desk.curate()
    must_agree_with_a_full_run(desk.context)


def published(desk: Desk) -> list[str]:
    """The topics in a new version."""
    made = release(desk.context, Inline())
    return sorted(
        one["topic"] for file in Path(made.path).glob("data/*.parquet") for one in pl.read_parquet(file)["fields"]
    )


def test_however_many_rows_have_a_divided_label_annotators_are_asked_about_them(desk: Desk) -> None:
    rows = [row(key, f"Where is chair number {key * 31}?", "returns") for key in range(1, 7)]
    desk.rows(*rows)
    assert desk.curate().funnel.accepted == 6
    renamed(desk, '{"returns": ["refund", "exchange"]}', '"billing", "delivery", "refund", "exchange"')
    review = desk.curate().review
    assert (review.waiting, desk.decision(1).routed) == (6, Routed.REPAIR)
    desk.rows(*rows, row(7, "Where is my blue lamp?", "misspelt"))
    assert (desk.curate().looked.untouched, desk.decision(7).routed) == (6, Routed.REPAIR), "nor are others too many"
    must_agree_with_a_full_run(desk.context)
