"""Annotators who contradict each other hold a row, its copies and what is similar to it, until they agree."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from desk import Desk, desk_at
from fake_studio import FakeStudio
from parcels_and_lamps import ALL, LAMP, PARCEL, parcel, review_of
from support import row
from terminal import Terminal

from pipeline.reporting.status import read_status
from pipeline.review.labeling_tasks import verdict_result
from schemas.annotation import Verdict
from schemas.fate import Fate, ReasonCode, Routed


@pytest.fixture
def desk(studio: FakeStudio, tmp_path: Path) -> Iterator[Desk]:
    with desk_at(studio, tmp_path, [row(1, PARCEL, "billing"), row(2, LAMP, "billing")], ALL) as desk:
        desk.curate()
        yield desk


# --- several annotators, one row --------------------------------------------------------------------
ADA, BEN, CLEO = "ada@example.com", "ben@example.com", "cleo@example.com"


def test_two_annotators_who_contradict_each_other_hold_the_row_and_its_copies_until_they_agree(desk: Desk) -> None:
    desk.rows(parcel("billing"), row(2, LAMP, "billing"), row(3, PARCEL, "billing"))
    desk.curate()
    desk.label(1, "delivery", ADA)
    annotation = desk.label(1, "billing", BEN)
    collected = desk.collect()
    assert (collected.decided, collected.disputed, collected.taken_back) == (0, 1, 0)
    [listed] = collected.attention
    says = f"{ADA} says topic 'delivery' and {BEN} says topic 'billing'"
    assert listed.what == f"annotators contradict each other: {says}"
    shown = Terminal(desk.folder).goldleaf("explain", "data.jsonl:1").stdout
    assert says in shown and f"annotation {annotation} by {BEN}, " in shown and "user " not in shown
    assert {desk.decision(key).fate for key in (1, 3)} == {Fate.REVIEW, Fate.DUPLICATE}
    assert review_of(desk).disputed == 1
    desk.curate()
    assert desk.decision(1).reasons[0].code is ReasonCode.DISAGREEMENT
    desk.edit(annotation, "delivery")
    assert desk.collect().decided == 1
    assert desk.decision(1).targets == {"topic": "delivery"}
    assert desk.decision(3).fate is Fate.REJECTED, "its answer is overridden"


def test_a_third_annotator_settles_what_two_contradict_each_other_about(desk: Desk) -> None:
    desk.label(1, "delivery", ADA)
    desk.submit(desk.task(1), verdict_result(desk.context.dataset.task, Verdict.UNUSABLE), BEN)
    desk.collect()
    assert (desk.decision(1).fate, desk.decision(1).routed) == (Fate.REVIEW, Routed.ADJUDICATE)
    assert "says topic 'delivery'" in desk.decision(1).reasons[0].detail
    assert "says unusable" in desk.decision(1).reasons[0].detail
    desk.label(1, "delivery", CLEO)
    desk.collect()
    assert (desk.decision(1).fate, desk.decision(1).targets) == (Fate.ACCEPTED, {"topic": "delivery"})


def test_of_one_annotator_the_latest_answer_counts_and_unsure_contradicts_no_one(desk: Desk) -> None:
    desk.label(1, "delivery", ADA)
    desk.label(1, "returns", ADA)
    desk.submit(desk.task(2), verdict_result(desk.context.dataset.task, Verdict.UNSURE), ADA)
    desk.label(2, "returns", BEN)
    assert desk.collect().decided == 2
    assert [desk.decision(key).targets for key in (1, 2)] == [{"topic": "returns"}] * 2


# --- annotators who contradict each other ----------------------------------------------------------
@pytest.mark.parametrize("on_conflict", ["review", "any_of"])
def test_unusable_on_one_row_and_confirmed_on_a_similar_one_is_a_disagreement_that_is_held_and_listed(
    studio: FakeStudio, tmp_path: Path, on_conflict: str
) -> None:
    rows = [row(1, PARCEL, "billing"), row(2, PARCEL, "returns"), row(3, PARCEL, "delivery")]
    more = f"{ALL}on_conflict: any_of\n"
    with desk_at(studio, tmp_path, rows, more) as desk:
        desk.curate()
        first = desk.say(1, Verdict.UNUSABLE)
        desk.label(2, "returns")
        file = tmp_path / "dataset.yaml"
        file.write_text(file.read_text().replace("on_conflict: any_of", f"on_conflict: {on_conflict}"))
        desk.collect()
        desk.curate()
        held = [desk.decision(key) for key in (1, 2)]
        assert {(d.fate, d.routed, d.reasons[0].code) for d in held} == {
            (Fate.REVIEW, Routed.ADJUDICATE, ReasonCode.DISAGREEMENT)
        }
        assert desk.decision(3).fate is not Fate.ACCEPTED
        status = read_status(desk.context)
        assert {(item.line, item.task_id) for item in status.attention} == {(1, desk.task(1)), (2, desk.task(2))}
        assert status.attention[0].what == (
            "annotators contradict each other: data.jsonl:2 is confirmed, data.jsonl:1 with the same input unusable"
        )
        assert review_of(desk).disputed == 2
        assert desk.curate().decided == 0
        desk.delete(f"annotations/{first}")
        desk.collect()
        assert desk.decision(2).fate is Fate.ACCEPTED
