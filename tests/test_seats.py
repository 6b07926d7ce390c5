"""Several annotators, one question: who is asked, whose answer decides, and what an adjudicator is shown."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl
import pytest
from desk import Desk, desk_at
from fake_studio import FakeStudio
from parcels_and_lamps import PARCEL
from support import row
from team import ANA, BEN, CLEO, DORA, NAMED, QUESTIONS, answer, go_on, review, seats, there, whose
from terminal import Terminal

from pipeline.config.dataset_file import load_dataset_file
from pipeline.errors import ConfigError
from pipeline.reporting.attention import Need
from pipeline.reporting.explain import TaskState, explain
from pipeline.reporting.status import read_status
from pipeline.review.seat_questions import OTHER_ROWS
from pipeline.review.seating import MOST_ATTEMPTS, is_overlapping
from pipeline.state.tables import Table
from schemas.annotation import Verdict
from schemas.fate import Fate, LabelSource, Routed
from schemas.identity import push_key
from schemas.seat import FIRST, Seat, SeatKind


@contextmanager
def team(studio: FakeStudio, folder: Path, *keys: str) -> Iterator[Desk]:
    with desk_at(studio, folder, QUESTIONS, review(*keys)) as desk:
        desk.curate()
        yield desk


# --- seats and their keys ---------------------------------------------------------------------------
@pytest.mark.parametrize(
    "seat",
    [
        FIRST,
        Seat(kind=SeatKind.SECOND),
        Seat(kind=SeatKind.SECOND, attempt=2),
        Seat(kind=SeatKind.ADJUDICATOR, attempt=3),
        Seat(kind=SeatKind.GOLD, annotator=ANA),
    ],
)
def test_a_seat_is_read_as_it_was_written(seat: Seat) -> None:
    assert Seat.read(str(seat)) == seat


def test_a_home_of_before_there_were_seats_has_first_ones_whose_keys_are_as_they_were() -> None:
    assert Seat.read(None) == Seat.read("") == FIRST
    assert push_key("r", "v", "t", "text") == "a98a6765efb1bdbcbb4fe6b317007db1"


def test_a_larger_share_of_overlap_only_adds_questions() -> None:
    records = [f"r{number}" for number in range(2000)]
    few, many = ({one for one in records if is_overlapping(one, share)} for share in (0.1, 0.3))
    assert few < many
    assert 150 < len(few) < 250 and 520 < len(many) < 680
    assert not any(is_overlapping(one, 0.0) for one in records) and all(is_overlapping(one, 1.0) for one in records)


# --- without these keys -----------------------------------------------------------------------------
def test_without_a_team_a_task_tells_of_no_seat_and_who_is_unsure_calls_no_adjudicator(
    studio: FakeStudio, tmp_path: Path
) -> None:
    with team(studio, tmp_path) as desk:
        assert not {"seat", "assigned"} & desk.tasks()[0]["data"].keys()
        desk.say(1, Verdict.UNSURE)
        go_on(desk)
        assert len(desk.tasks()) == len(QUESTIONS)
        assert read_status(desk.context).seats is None
        assert [one.line for one in read_status(desk.context).attention] == [1]


# --- overlap ----------------------------------------------------------------------------------------
def test_two_who_agree_settle_a_question_and_it_waits_until_both_have_answered(
    studio: FakeStudio, tmp_path: Path
) -> None:
    with team(studio, tmp_path, "overlap: 1.0") as desk:
        assert seats(desk, 1).keys() == {"first", "second"}
        answer(desk, 1, "first", "delivery", ANA)
        go_on(desk)
        assert (desk.decision(1).fate, desk.decision(1).label_source) == (Fate.ACCEPTED, LabelSource.HUMAN)
        assert there(desk, 1).keys() == {"first", "second"}, "the second is not withdrawn"
        answer(desk, 1, "second", "delivery", BEN)
        collected = desk.collect()
        assert (collected.disputed, collected.waiting) == (0, 6)
        assert desk.decision(1).targets == {"topic": "delivery"}
        assert desk.curate().review.sent == 0


def test_a_part_of_the_questions_is_for_two(studio: FakeStudio, tmp_path: Path) -> None:
    with team(studio, tmp_path, "overlap: 0.5") as desk:
        for key in (1, 2, 3, 4):
            assert ("second" in seats(desk, key)) == is_overlapping(desk.id(key), 0.5)
        assert 0 < sum("second" in seats(desk, key) for key in (1, 2, 3, 4)) < 4


def test_one_person_in_both_seats_counts_once_and_the_question_stays_open_for_somebody_else(
    studio: FakeStudio, tmp_path: Path
) -> None:
    with team(studio, tmp_path, "overlap: 1.0") as desk:
        answer(desk, 1, "first", "delivery", ANA)
        answer(desk, 1, "second", "billing", ANA)
        go_on(desk)
        assert desk.decision(1).targets == {"topic": "billing"}, "her latest counts"
        assert set(seats(desk, 1)) == {"first", "second", "second 2"}
        answer(desk, 1, "second 2", "billing", BEN)
        go_on(desk)
        assert set(seats(desk, 1)) == {"first", "second", "second 2"}
        assert desk.decision(1).fate is Fate.ACCEPTED


def test_who_is_alone_is_not_asked_forever(studio: FakeStudio, tmp_path: Path) -> None:
    with team(studio, tmp_path, "overlap: 1.0") as desk:
        answer(desk, 1, "first", "delivery", ANA)
        for attempt in range(1, MOST_ATTEMPTS + 1):
            answer(desk, 1, str(Seat(kind=SeatKind.SECOND, attempt=attempt)), "delivery", ANA)
            go_on(desk)
        assert len(seats(desk, 1)) == 1 + MOST_ATTEMPTS


def test_what_the_first_has_said_is_not_shown_to_the_second(studio: FakeStudio, tmp_path: Path) -> None:
    with team(studio, tmp_path, "overlap: 1.0") as desk:
        answer(desk, 1, "first", "returns", ANA)
        go_on(desk)
        desk.delete(f"tasks/{seats(desk, 1)['second']}")
        go_on(desk)
        [again] = [task for task in desk.tasks() if task["id"] == seats(desk, 1)["second"]]
        assert again["data"]["candidates"] == [] and not again.get("predictions")
        assert "returns" not in again["data"]["why"]


def test_a_second_opinion_is_not_asked_about_a_row_that_is_unusable_twice(studio: FakeStudio, tmp_path: Path) -> None:
    with team(studio, tmp_path, "overlap: 1.0") as desk:
        answer(desk, 1, "first", Verdict.UNUSABLE, ANA)
        go_on(desk)
        assert there(desk, 1).keys() == {"first", "second"}
        answer(desk, 1, "second", Verdict.UNUSABLE, BEN)
        go_on(desk)
        assert desk.decision(1).fate is Fate.REJECTED
        assert read_status(desk.context).waiting == 6


# --- adjudication -----------------------------------------------------------------------------------
@pytest.fixture
def disputed(studio: FakeStudio, tmp_path: Path) -> Iterator[Desk]:
    """Ana says delivery about the first question, and Ben returns."""
    with team(studio, tmp_path, "overlap: 1.0", NAMED) as desk:
        answer(desk, 1, "first", "delivery", ANA)
        answer(desk, 1, "second", "returns", BEN)
        go_on(desk)
        yield desk


def test_two_answers_that_differ_are_shown_to_a_third_annotator_without_names(disputed: Desk) -> None:
    shown = there(disputed, 1)["adjudicator"]
    assert shown["assigned"] == CLEO
    assert [one["value"] for one in shown["candidates"]] == [
        "as one annotator says: delivery",
        "as another one says: returns",
    ]
    assert shown["why"].startswith("Annotators answered differently; your answer decides")
    assert not any(name in str(shown) for name in ("ana", "ben@", "user"))
    [task] = [task for task in disputed.tasks() if task["data"]["push_key"] == shown["push_key"]]
    assert not task.get("predictions"), "nothing is filled in, so that none of them is preferred"


def test_the_adjudicator_decides_whatever_the_majority_says(disputed: Desk) -> None:
    disputed.submit(seats(disputed, 1)["first"], disputed.result("delivery"), DORA)
    answer(disputed, 1, "adjudicator", "billing", CLEO)
    collected = disputed.collect()
    assert (collected.disputed, collected.attention) == (0, [])
    assert (disputed.decision(1).fate, disputed.decision(1).targets) == (Fate.ACCEPTED, {"topic": "billing"})
    assert disputed.curate().review.sent == 0


def test_one_of_the_two_who_agrees_with_the_other_by_now_ends_the_dispute(disputed: Desk) -> None:
    answer(disputed, 1, "adjudicator", "returns", ANA)
    go_on(disputed)
    assert (disputed.decision(1).fate, disputed.decision(1).targets) == (Fate.ACCEPTED, {"topic": "returns"})


@pytest.mark.parametrize(("who", "says"), [(BEN, "returns"), (ANA, "billing"), (ANA, Verdict.UNSURE)])
def test_one_of_the_two_settles_nothing_else_and_somebody_else_is_asked_again(
    disputed: Desk, who: str, says: str | Verdict
) -> None:
    answer(disputed, 1, "adjudicator", says, who)
    go_on(disputed)
    assert (disputed.decision(1).fate, disputed.decision(1).routed) == (Fate.REVIEW, Routed.ADJUDICATE)
    assert "adjudicator 2" in seats(disputed, 1)
    answer(disputed, 1, "adjudicator 2", "returns", CLEO)
    go_on(disputed)
    assert disputed.decision(1).targets == {"topic": "returns"}


def test_one_of_the_two_does_not_adjudicate_either_once_the_source_has_another_label(disputed: Desk) -> None:
    disputed.rows(row(1, "Where is my parcel?", "billing"), *QUESTIONS[1:])
    disputed.curate()
    answer(disputed, 1, "adjudicator", "delivery", ANA)
    go_on(disputed)
    assert (disputed.decision(1).fate, disputed.decision(1).routed) == (Fate.REVIEW, Routed.ADJUDICATE)


def test_an_adjudicator_who_is_unsure_leaves_it_to_another_who_is_none_of_them(disputed: Desk) -> None:
    answer(disputed, 1, "adjudicator", Verdict.UNSURE, CLEO)
    go_on(disputed)
    assert there(disputed, 1)["adjudicator"]["push_key"]
    sent = disputed.context.store.scan(Table.PUSHES).filter(pl.col("seat") == "adjudicator 2").collect()
    assert sent["annotator"].to_list() == [""], "nobody else is named"
    answer(disputed, 1, "adjudicator 2", "returns", DORA)
    go_on(disputed)
    assert disputed.decision(1).targets == {"topic": "returns"}


def test_an_adjudicator_s_answer_that_is_not_valid_is_listed_until_it_is_corrected(disputed: Desk) -> None:
    given = answer(disputed, 1, "adjudicator", "nonsense", CLEO)
    collected = disputed.collect()
    assert [(one.kind, one.task_id) for one in collected.attention] == [
        (Need.CORRECTION, seats(disputed, 1)["adjudicator"])
    ]
    disputed.edit(given, "returns")
    assert disputed.collect().attention == []
    assert disputed.decision(1).targets == {"topic": "returns"}


def test_what_a_colleague_is_asked_about_already_needs_nobody_else(studio: FakeStudio, tmp_path: Path) -> None:
    with team(studio, tmp_path, "overlap: 1.0", NAMED) as desk:
        answer(desk, 1, "first", Verdict.UNSURE, ANA)
        assert desk.collect().attention == [] == read_status(desk.context).attention
        answer(desk, 2, "second", "nonsense", BEN)
        [listed] = desk.collect().attention
        assert (listed.kind, listed.record_id, listed.annotator) == (Need.CORRECTION, desk.id(2), BEN)


def test_who_changes_the_own_answer_so_that_both_agree_needs_no_adjudicator(studio: FakeStudio, tmp_path: Path) -> None:
    with team(studio, tmp_path, "overlap: 1.0", NAMED) as desk:
        answer(desk, 1, "first", "delivery", ANA)
        given = answer(desk, 1, "second", "returns", BEN)
        go_on(desk)
        desk.edit(given, "delivery")
        desk.collect()
        assert desk.decision(1).targets == {"topic": "delivery"}
        assert desk.curate().review.withdrawn == 1
        assert there(desk, 1).keys() == {"first", "second"}


def test_unsure_calls_an_adjudicator(studio: FakeStudio, tmp_path: Path) -> None:
    with team(studio, tmp_path, NAMED) as desk:
        answer(desk, 1, "first", Verdict.UNSURE, (first := whose(desk, 1)["first"]))
        go_on(desk)
        found = there(desk, 1)
        assert found["adjudicator"]["why"].startswith("An annotator was unsure; your answer decides")
        assert found["adjudicator"]["assigned"] in {ANA, BEN, CLEO} - {first}


def test_unsure_calls_no_adjudicator_as_long_as_a_second_annotator_is_asked_anyway(
    studio: FakeStudio, tmp_path: Path
) -> None:
    with team(studio, tmp_path, "overlap: 1.0", NAMED) as desk:
        answer(desk, 1, "first", Verdict.UNSURE, ANA)
        go_on(desk)
        assert there(desk, 1).keys() == {"first", "second"}
        answer(desk, 1, "second", "returns", BEN)
        go_on(desk)
        assert desk.decision(1).targets == {"topic": "returns"}


def test_unusable_against_a_label_is_told_to_the_adjudicator_with_the_label_filled_in(
    studio: FakeStudio, tmp_path: Path
) -> None:
    with team(studio, tmp_path, "overlap: 1.0") as desk:
        answer(desk, 1, "first", "delivery", ANA)
        answer(desk, 1, "second", Verdict.UNUSABLE, BEN)
        go_on(desk)
        shown = there(desk, 1)["adjudicator"]
        assert "One of them says unusable" in shown["why"]
        [task] = [task for task in desk.tasks() if task["data"]["push_key"] == shown["push_key"]]
        assert task["predictions"][0]["result"][0]["value"] == {"choices": ["delivery"]}
        answer(desk, 1, "adjudicator", Verdict.UNUSABLE, CLEO)
        go_on(desk)
        assert desk.decision(1).fate is Fate.REJECTED


def test_two_rows_with_the_same_input_that_were_answered_differently_have_an_adjudicator_each(
    studio: FakeStudio, tmp_path: Path
) -> None:
    rows = [row(1, PARCEL, "billing"), row(2, PARCEL, "returns")]
    with desk_at(studio, tmp_path, rows, f"{review(NAMED, 'audit: 1.0')}on_conflict: any_of\n") as desk:
        desk.curate()
        answer(desk, 1, "first", Verdict.UNUSABLE, ANA)
        answer(desk, 2, "first", "returns", BEN)
        go_on(desk)
        for key in (1, 2):
            assert there(desk, key)["adjudicator"]["why"].startswith(f"{OTHER_ROWS}\nAnnotators contradict each other")
            answer(desk, key, "adjudicator", Verdict.UNUSABLE, CLEO)
        go_on(desk)
        assert {desk.decision(key).fate for key in (1, 2)} == {Fate.REJECTED}
        assert read_status(desk.context).attention == []


# --- for whom ---------------------------------------------------------------------------------------
def test_named_annotators_share_the_questions_and_keep_them_when_more_come(studio: FakeStudio, tmp_path: Path) -> None:
    with team(studio, tmp_path, NAMED) as desk:
        before = {key: whose(desk, key) for key in (1, 2, 3, 4)}
        assert {one["first"] for one in before.values()} <= {ANA, BEN, CLEO}
        desk.rows(*QUESTIONS, *({"id": key, "question": f"Is it number {key}?", "topic": None} for key in range(5, 50)))
        desk.curate()
        assert {key: whose(desk, key) for key in before} == before
        waiting = read_status(desk.context).seats
        assert waiting is not None and waiting.by_annotator.keys() == {ANA, BEN, CLEO}
        assert min(waiting.by_annotator.values()) >= 8 and sum(waiting.by_annotator.values()) == 49


def test_the_two_seats_of_a_question_are_for_two_people(studio: FakeStudio, tmp_path: Path) -> None:
    with team(studio, tmp_path, NAMED, "overlap: 1.0") as desk:
        for key in (1, 2, 3, 4):
            assert len(set(whose(desk, key).values())) == 2


def test_the_tasks_of_who_has_left_go_to_others_and_nobody_else_s_move(studio: FakeStudio, tmp_path: Path) -> None:
    with team(studio, tmp_path, NAMED) as desk:
        before = {key: whose(desk, key)["first"] for key in (1, 2, 3, 4)}
        gone = before[1]
        left = [name for name in (ANA, BEN, CLEO) if name != gone]
        file = desk.folder / "dataset.yaml"
        file.write_text(file.read_text().replace(NAMED, f"annotators: [{', '.join([*left, DORA])}]"))
        assert desk.curate().review.sent == 0
        for key, who in before.items():
            now = whose(desk, key)["first"]
            assert now == who if who != gone else now in {*left, DORA}
        assert desk.curate().review.sent == 0


def test_if_nobody_is_named_any_more_the_tasks_are_anybody_s_and_are_touched_once(
    studio: FakeStudio, tmp_path: Path
) -> None:
    with team(studio, tmp_path, NAMED) as desk:
        file = desk.folder / "dataset.yaml"
        file.write_text(file.read_text().replace(f", {NAMED}", ""))
        for _ in range(2):
            assert desk.curate().review.sent == 0
            assert {task["data"]["assigned"] for task in desk.tasks()} == {""}
            touched = {task["id"]: task["updated_at"] for task in desk.tasks()}
        desk.curate()
        assert {task["id"]: task["updated_at"] for task in desk.tasks()} == touched


def test_an_answer_counts_for_whoever_gave_it(studio: FakeStudio, tmp_path: Path) -> None:
    with team(studio, tmp_path, NAMED, "overlap: 1.0") as desk:
        assigned = whose(desk, 1)
        answer(desk, 1, "first", "delivery", assigned["second"])
        go_on(desk)
        assert whose(desk, 1)["second"] != assigned["second"], "who has answered is not asked again"


# --- what is told about it --------------------------------------------------------------------------
def test_status_tells_what_waits_for_whom(disputed: Desk) -> None:
    status = read_status(disputed.context)
    assert status.seats is not None
    assert (status.waiting, status.seats.tasks, status.seats.seconds, status.seats.adjudications) == (7, 7, 3, 1)
    assert sum(status.seats.by_annotator.values()) == 7
    assert status.attention == [], "an adjudicator is asked"
    shown = Terminal(disputed.folder).goldleaf("status").stdout
    assert "7 questions about 4 rows are waiting for annotators" in shown
    assert "1 for an adjudicator" in shown and f"{CLEO} " in shown


def test_the_story_of_a_row_tells_seats_names_and_the_adjudication(disputed: Desk) -> None:
    snapshot = disputed.context.store.snapshot().at_last_commit()
    story = explain(snapshot, disputed.id(1), disputed.context.store.releases, disputed.context.dataset)
    assert [(one.seat, one.state) for one in story.asked] == [
        ("first", TaskState.ANSWERED),
        ("second", TaskState.ANSWERED),
        ("adjudicator", TaskState.OPEN),
    ]
    assert [(one.email, one.stale) for one in story.said] == [(ANA, ""), (BEN, "")]


# --- what does not fit together ---------------------------------------------------------------------
@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ("annotators: [ana@example.com, Ana@example.com]", "names somebody twice"),
        ("annotators: [ana@example.com], overlap: 0.1", "overlap needs 2 annotators"),
        ("gold: 0.1", "gold needs annotators"),
        ("annotators: [ana]", "review.annotators.0: write the e-mail address of an account in Label Studio, got 'ana'"),
        ("overlap: 1.5", "review.overlap"),
    ],
)
def test_keys_that_do_not_fit_together_are_told_in_a_line(
    studio: FakeStudio, tmp_path: Path, keys: str, problem: str
) -> None:
    with desk_at(studio, tmp_path, QUESTIONS, review(keys)) as desk, pytest.raises(ConfigError, match=problem):
        load_dataset_file(desk.folder / "dataset.yaml")
