"""Rows that are rejected for a mistake in their answer go to annotators, and a valid answer accepts them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from desk import Desk, Row, desk_at
from fake_studio import FakeStudio, fake_studio
from full_runs import must_agree_with_a_full_run
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lost_homes import TOPICS
from support import row, state
from triage_cases import ALL, NONE, case, codes, decide, run, suspected

from flows.engines.engine import Inline
from flows.local.studio_server import LocalStudio
from flows.release import release
from pipeline.curation.repairable_rows import repair_score
from pipeline.reporting.attention import Need
from pipeline.reporting.explain import explain
from pipeline.reporting.report_data import gather_report
from pipeline.reporting.report_page import ReviewCounts
from pipeline.reporting.status import read_status
from pipeline.review.queue import asked_now, is_open
from schemas.annotation import Verdict
from schemas.fate import Fate, LabelSource, Reason, ReasonCode, Routed

ASKED = "review: {budget: 10, audit: 0.0}\n"
GOOD = [
    row(1, "Where is my parcel?", "delivery"),
    row(2, "Why was I charged twice?", "billing"),
    row(3, "How do I send back shoes?", "returns"),
    row(4, "Do you deliver on Sundays?", "delivery"),
]
SLIP = row(5, "May I return the lamp?", "retruns")
NONSENSE = row(6, "Is there a fee for paying by card?", "nonsense")
SHOP = [*GOOD, SLIP, NONSENSE]


@pytest.fixture
def studio() -> Iterator[FakeStudio]:
    with fake_studio() as running:
        yield running


@pytest.fixture
def desk(studio: FakeStudio, tmp_path: Path) -> Iterator[Desk]:
    with desk_at(studio, tmp_path, SHOP, ASKED) as opened:
        opened.curate()
        yield opened


def shown(desk: Desk, key: int) -> dict[str, Any]:
    """The task about a row."""
    [task] = [task for task in desk.tasks() if task["data"]["record_id"] == desk.id(key)]
    return task


def proposed(task: dict[str, Any]) -> list[str]:
    return [choice for one in task["predictions"] for region in one["result"] for choice in region["value"]["choices"]]


# --- the question -----------------------------------------------------------------------------------
def test_a_row_stays_rejected_while_annotators_are_asked_to_repair_it(desk: Desk) -> None:
    decision = desk.decision(5)
    assert (decision.fate, decision.routed, codes(decision)) == (Fate.REJECTED, Routed.REPAIR, [ReasonCode.INVALID])
    assert (decision.targets, decision.label_source, is_open(decision)) == (None, None, True)
    status = read_status(desk.context)
    assert (status.accepted, status.rejected, status.waiting, status.budget_used) == (4, 2, 2, 2)
    assert status.funnel().adds_up()


def test_annotators_read_what_was_wrong_and_find_the_obvious_choice_filled_in(desk: Desk) -> None:
    slip, nonsense = shown(desk, 5), shown(desk, 6)
    assert slip["data"]["question"] == "May I return the lamp?"
    assert slip["data"]["why"].split("\n") == [
        "The answer in the data is not valid; please give a valid one. What it probably means is filled in",
        "Topic: should be 'billing', 'delivery' or 'returns', got 'retruns'",
    ]
    assert nonsense["data"]["why"].split("\n")[0] == "The answer in the data is not valid; please give a valid one"
    assert (proposed(slip), proposed(nonsense)) == (["returns"], [])
    assert slip["data"]["candidates"] == []


def test_the_other_questions_come_first(studio: FakeStudio, tmp_path: Path) -> None:
    rows = [SLIP, row(7, "Late?", None), row(8, "My mail is a.b@example.com", "billing"), *GOOD]
    with desk_at(studio, tmp_path, rows, ASKED) as desk:
        desk.curate()
        asked = asked_now(desk.context.store.snapshot().at_last_commit(), desk.context.dataset)
        order = [one.decision.routed for one in asked]
    assert order == [Routed.UNCERTAIN, Routed.UNCERTAIN, Routed.REPAIR]


def test_a_text_that_must_not_be_published_unseen_is_shown_with_its_warning(studio: FakeStudio, tmp_path: Path) -> None:
    with desk_at(studio, tmp_path, [*GOOD, row(7, "My mail is a.b@example.com", "biling")], ASKED) as desk:
        desk.curate()
        assert codes(desk.decision(7)) == [ReasonCode.INVALID, ReasonCode.PERSONAL_DATA]
        assert "choose unusable to keep it out" in shown(desk, 7)["data"]["why"]


# --- the answer -------------------------------------------------------------------------------------
def test_a_valid_answer_accepts_the_row_with_the_annotator_s_label(desk: Desk) -> None:
    desk.label(5, "returns")
    collected = desk.collect()
    assert (collected.decided, collected.waiting, collected.invalid) == (1, 1, 0)
    decision = desk.decision(5)
    assert (decision.fate, decision.targets) == (Fate.ACCEPTED, {"topic": "returns"})
    assert (decision.label_source, is_open(decision)) == (LabelSource.HUMAN, False)
    [reason] = decision.reasons
    assert str(reason) == (
        "an annotator confirmed or corrected it: repaired, before topic: "
        "Input should be 'billing', 'delivery' or 'returns', got 'retruns'"
    )
    released = release(desk.context, Inline())
    assert (sum(released.splits.values()), released.preferences) == (5, {}), "nothing valid was corrected"
    page = (Path(released.path) / "report.html").read_text()
    assert "retruns" not in page, "in the place of a choice there may be anything"


def test_an_invalid_answer_decides_nothing_and_must_be_corrected(desk: Desk) -> None:
    desk.label(5, "retruns")
    assert desk.collect().invalid == 1
    assert (desk.decision(5).fate, is_open(desk.decision(5))) == (Fate.REJECTED, True)
    [needed] = read_status(desk.context).attention
    assert (needed.kind, needed.record_id) == (Need.CORRECTION, desk.id(5))


def test_an_unusable_row_stays_rejected_and_is_not_asked_about_again(desk: Desk) -> None:
    desk.say(5, Verdict.UNUSABLE)
    assert desk.collect().decided == 1
    decision = desk.decision(5)
    assert (decision.fate, codes(decision), is_open(decision)) == (Fate.REJECTED, [ReasonCode.UNUSABLE], False)
    assert (desk.curate().review.sent, read_status(desk.context).waiting) == (0, 1)


def test_who_is_unsure_leaves_it_to_a_second_annotator(desk: Desk) -> None:
    desk.say(5, Verdict.UNSURE)
    desk.collect()
    assert (desk.decision(5).fate, desk.decision(5).routed) == (Fate.REVIEW, Routed.ADJUDICATE)
    desk.label(5, "returns", "second@example.com")
    desk.collect()
    assert (desk.decision(5).fate, desk.decision(5).targets) == (Fate.ACCEPTED, {"topic": "returns"})


def test_annotators_who_contradict_each_other_about_a_repair_have_to_agree(desk: Desk) -> None:
    desk.label(5, "returns")
    desk.label(5, "billing", "second@example.com")
    desk.collect()
    assert (desk.decision(5).routed, codes(desk.decision(5))) == (Routed.ADJUDICATE, [ReasonCode.DISAGREEMENT])


def test_a_repair_that_is_taken_back_leaves_the_row_as_it_was(desk: Desk) -> None:
    before = desk.decision(5).model_copy(update={"run": ""})
    annotation = desk.label(5, "returns")
    desk.collect()
    desk.delete(f"annotations/{annotation}")
    desk.collect()
    assert desk.decision(5).model_copy(update={"run": ""}) == before


def test_a_repaired_row_is_compared_with_the_others(studio: FakeStudio, tmp_path: Path) -> None:
    with desk_at(studio, tmp_path, [*SHOP, row(7, "may I return  the lamp?", "billing")], ASKED) as desk:
        desk.curate()
        assert not is_open(desk.decision(5)), "another row with its text is kept"
        desk.rows(*SHOP)
        file = desk.folder / "dataset.yaml"
        file.write_text(file.read_text().replace("key: id,", "key: id, mode: snapshot,"))
        desk.curate()
        desk.label(5, "returns")
        desk.collect()
        desk.rows(*SHOP, row(7, "may I return  the lamp?", "returns"))
        desk.curate()
        assert (desk.decision(7).fate, desk.decision(7).duplicate_of) == (Fate.DUPLICATE, desk.id(5))


# --- the source changes -------------------------------------------------------------------------------
def test_a_fix_of_the_source_supersedes_a_repair_that_waits(desk: Desk) -> None:
    desk.rows(*GOOD, {**SLIP, "topic": "billing"}, NONSENSE)
    curated = desk.curate()
    assert (desk.decision(5).fate, desk.decision(5).targets) == (Fate.ACCEPTED, {"topic": "billing"})
    assert (curated.review.withdrawn, curated.review.waiting) == (1, 1)
    assert desk.asked() == [desk.id(6)]


def test_a_fix_of_the_source_that_contradicts_a_repair_is_asked_about_and_an_equal_one_confirms_it(desk: Desk) -> None:
    desk.label(5, "returns")
    desk.label(6, "billing")
    desk.collect()
    desk.rows(*GOOD, {**SLIP, "topic": "delivery"}, {**NONSENSE, "topic": "billing"})
    desk.curate()
    assert (desk.decision(5).fate, codes(desk.decision(5))) == (Fate.REVIEW, [ReasonCode.CONFLICT])
    assert (desk.decision(6).fate, desk.decision(6).label_source) == (Fate.ACCEPTED, LabelSource.HUMAN)


def test_an_answer_outlives_a_source_that_breaks_its_row(desk: Desk) -> None:
    desk.rows(row(1, "Where is my parcel?", None), *GOOD[1:])
    desk.curate()
    desk.label(1, "delivery")
    desk.collect()
    desk.rows(row(1, "Where is my parcel?", "dlivery"), *GOOD[1:])
    desk.curate()
    assert (desk.decision(1).fate, desk.decision(1).targets) == (Fate.ACCEPTED, {"topic": "delivery"})


# --- which, and how many ------------------------------------------------------------------------------
def test_without_repairs_the_same_rows_are_rejected_and_nobody_is_asked(studio: FakeStudio, tmp_path: Path) -> None:
    with desk_at(studio, tmp_path, SHOP, "review: {budget: 10, audit: 0.0, repair: false}\n") as desk:
        curated = desk.curate()
        assert (curated.funnel.rejected, curated.review.waiting, curated.budget_used) == (2, 0, 0)
        assert "repair" not in curated.note
        assert [(desk.decision(key).routed, codes(desk.decision(key))) for key in (5, 6)] == [
            (None, [ReasonCode.INVALID])
        ] * 2


def test_repairs_that_were_made_count_after_they_are_turned_off(desk: Desk) -> None:
    desk.label(5, "returns")
    desk.collect()
    file = desk.folder / "dataset.yaml"
    file.write_text(file.read_text().replace("audit: 0.0", "audit: 0.0, repair: false"))
    curated = desk.curate()
    assert (desk.decision(5).fate, curated.review.withdrawn, desk.asked()) == (Fate.ACCEPTED, 1, [desk.id(5)])


def test_a_source_that_is_broken_throughout_is_not_repaired_row_by_row(studio: FakeStudio, tmp_path: Path) -> None:
    others = [row(key, f"Question number {key} of many?", "Lieferung") for key in range(20, 26)]
    with desk_at(studio, tmp_path, [*SHOP, *others], ASKED) as desk:
        curated = desk.curate()
        assert curated.review.waiting == 0
        assert curated.note.splitlines()[-1] == (
            "source 'examples': the answers of 8 of 12 rows break the task, which are no mistakes for annotators to "
            "repair, so none is asked about; check its `fields:`, or what the task allows"
        )
        desk.rows(*SHOP, *others[:2])
        file = desk.folder / "dataset.yaml"
        file.write_text(file.read_text().replace("key: id,", "key: id, mode: snapshot,"))
        curated = desk.curate()
        assert (curated.review.waiting, "repair" in curated.note) == (4, False), "half of them may be mistakes"


def test_too_many_broken_rows_take_back_the_offers_of_all_and_fewer_give_them_again(
    studio: FakeStudio, tmp_path: Path
) -> None:
    """Where nothing else has changed, no other row is looked at."""
    texts = [f"lamp{key} chair{key} desk{key} broke{key}" for key in range(45)]
    good = [row(key, texts[key], TOPICS[key % 3]) for key in range(21)]
    broken = [row(key, texts[key], "retruns") for key in range(21, 45)]
    with desk_at(studio, tmp_path, [*good, *broken[:19]], "review: {budget: 100, audit: 0.0}\n") as desk:
        file = desk.folder / "dataset.yaml"
        file.write_text(file.read_text().replace("key: id,", "key: id, mode: snapshot,"))
        assert desk.curate().review.waiting == 19
        for count, waiting, looked in ((21, 21, (2, 0)), (22, 0, (1, 21)), (24, 0, (2, 0)), (21, 21, (0, 21))):
            desk.rows(*good, *broken[:count])
            result = desk.curate()
            assert (result.review.waiting, result.looked.why) == (waiting, "")
            assert (result.looked.changed, result.looked.related) == looked
            must_agree_with_a_full_run(desk.context)


def test_repairs_fill_what_the_budget_leaves() -> None:
    broken = [Reason(code=ReasonCode.INVALID, field="kind", detail="no such kind")]
    some = [
        case("r1", targets=None, rejection_reasons=broken, draft={}, is_offered=True),
        case("r2", targets=None, rejection_reasons=broken, draft={"kind": "b"}, is_offered=True),
        suspected("r3"),
        case("r4", targets=None),
    ]
    assert [one.routed for one in decide(some, NONE).values()] == [None] * 4
    two = ALL.model_copy(update={"budget": 2})
    assert {name for name, one in decide(some, two).items() if one.routed} == {"r3", "r4"}
    three = ALL.model_copy(update={"budget": 3})
    assert {name for name, one in decide(some, three).items() if one.routed} == {"r2", "r3", "r4"}
    assert run(some, three).use.beyond_by_reason == {ReasonCode.INVALID: 1}
    assert repair_score(some[1].known) > repair_score(some[0].known)


def test_of_rows_with_one_text_a_single_one_is_asked_about(studio: FakeStudio, tmp_path: Path) -> None:
    twice = [*GOOD, *(row(key, "May I return the lamp?", "retruns") for key in (5, 6, 7))]
    with desk_at(studio, tmp_path, twice, ASKED) as desk:
        desk.curate()
        assert len(desk.asked()) == 1
        [key] = [key for key in (5, 6, 7) if desk.id(key) in desk.asked()]
        desk.label(key, "returns")
        desk.collect()
        assert desk.curate().review.waiting == 0


# --- all that tells of it -----------------------------------------------------------------------------
def reviewed(desk: Desk) -> ReviewCounts:
    """What the report counts."""
    snapshot = desk.context.store.snapshot().at_last_commit()
    return gather_report(snapshot, desk.context.dataset, funnel=snapshot.funnel()).review


def test_its_history_and_the_report_tell_of_the_repair(desk: Desk) -> None:
    store = desk.context.store
    story = explain(store.snapshot(), desk.id(5), store.releases, desk.context.dataset)
    assert (story.now, story.decisions[-1].routed, len(story.asked)) == (Fate.REJECTED, Routed.REPAIR, 1)
    assert (reviewed(desk).waiting, reviewed(desk).entered) == (2, 0)
    desk.label(5, "returns")
    desk.collect()
    assert (reviewed(desk).waiting, reviewed(desk).entered) == (1, 1)


@settings(max_examples=3, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(["delivery", "retruns", "nonsense", "", "Billing"]), min_size=3, max_size=8))
def test_a_second_curate_changes_nothing(tmp_path_factory: pytest.TempPathFactory, topics: list[str]) -> None:
    rows: list[Row] = [*GOOD, *(row(10 + n, f"lamp{n} chair{n}", topic) for n, topic in enumerate(topics))]
    with fake_studio() as studio, desk_at(studio, tmp_path_factory.mktemp("again"), rows, ASKED) as desk:
        desk.curate()
        for _ in range(2):
            before, asked = state(desk.context.store), desk.asked()
            again = desk.curate()
            assert (again.decided, again.review.sent, again.review.withdrawn) == (0, 0, 0)
            assert (state(desk.context.store), desk.asked()) == (before, asked)
            for key in range(10, 10 + len(topics)):
                if desk.id(key) in asked and is_open(desk.decision(key)):
                    desk.label(key, "billing")
            desk.collect()


def test_a_repair_goes_to_a_real_label_studio_and_comes_back(label_studio: LocalStudio, tmp_path: Path) -> None:
    with desk_at(label_studio, tmp_path, SHOP, ASKED) as desk:
        desk.curate()
        assert proposed(shown(desk, 5)) == ["returns"]
        desk.submit(desk.task(5), shown(desk, 5)["predictions"][0]["result"])
        desk.say(6, Verdict.UNUSABLE)
        assert desk.collect().decided == 2
        assert (desk.decision(5).fate, desk.decision(5).label_source) == (Fate.ACCEPTED, LabelSource.HUMAN)
        assert desk.decision(6).fate is Fate.REJECTED
        assert desk.collect().waiting == 0
