"""Three or more annotators answer the same question: what most of them say counts, and who is left decides the rest."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from desk import Desk, desk_at
from fake_studio import FakeStudio
from support import row
from team import ANA, BEN, CLEO, DORA, QUESTIONS, answer, go_on, review, seats

from pipeline.config.dataset_file import load_dataset_file
from pipeline.errors import ConfigError
from pipeline.reporting.status import read_status
from pipeline.review.questions import JUDGED_WHY, question
from pipeline.review.queue import asked_now
from pipeline.review.seating import unanswered
from schemas.annotation import Verdict
from schemas.decision import Decision
from schemas.fate import Fate, LabelSource, Reason, ReasonCode, Routed
from schemas.tasks.home_assistant import HomeAssistant

ALL = f"annotators: [{ANA}, {BEN}, {CLEO}, {DORA}]"
PANEL = ("first", "second", "second 2")


@contextmanager
def team(studio: FakeStudio, folder: Path, *keys: str) -> Iterator[Desk]:
    with desk_at(studio, folder, QUESTIONS, review("overlap: 1.0", "overlap_annotators: 3", *keys)) as desk:
        desk.curate()
        yield desk


def asked(desk: Desk, key: int) -> dict[str, str]:
    """For whom each open task about a row is, by seat."""
    now = asked_now(desk.context.store.snapshot(), desk.context.dataset)
    return {str(one.seat): one.annotator for one in now if one.decision.record_id == desk.id(key)}


def test_three_different_annotators_are_asked(studio: FakeStudio, tmp_path: Path) -> None:
    with team(studio, tmp_path, ALL) as desk:
        for key in (1, 2, 3, 4):
            assert tuple(sorted(asked(desk, key))) == PANEL
            assert len(set(asked(desk, key).values())) == 3
        assert len(desk.tasks()) == 12 and desk.curate().review.sent == 0


def test_what_two_of_three_say_counts_and_nobody_adjudicates(studio: FakeStudio, tmp_path: Path) -> None:
    with team(studio, tmp_path) as desk:
        for seat, said, who in zip(PANEL, ("delivery", "billing", "delivery"), (ANA, BEN, CLEO), strict=True):
            answer(desk, 1, seat, said, who)
            go_on(desk)
            assert not any("adjudicator" in one for one in asked(desk, 1)), "the third has not answered, or decides"
        assert desk.decision(1).targets == {"topic": "delivery"}
        assert asked(desk, 1) == {}


def test_where_all_three_differ_whoever_is_left_decides(studio: FakeStudio, tmp_path: Path) -> None:
    with team(studio, tmp_path, ALL) as desk:
        for seat, said in zip(PANEL, ("delivery", "billing", "returns"), strict=True):
            answer(desk, 1, seat, said, asked(desk, 1)[seat])
            go_on(desk)
        assert (desk.decision(1).fate, desk.decision(1).routed) == (Fate.REVIEW, Routed.ADJUDICATE)
        [(seat, judge)] = asked(desk, 1).items()
        task = next(one for one in desk.tasks() if one["id"] == seats(desk, 1)[seat])
        assert (seat, len(task["data"]["candidates"])) == ("adjudicator", 3)
        answer(desk, 1, seat, "billing", judge)
        go_on(desk)
        assert desk.decision(1).targets == {"topic": "billing"} and asked(desk, 1) == {}


def test_who_answers_in_two_seats_counts_once_and_somebody_else_is_asked(studio: FakeStudio, tmp_path: Path) -> None:
    with team(studio, tmp_path, ALL) as desk:
        answer(desk, 1, "first", "delivery", ANA)
        answer(desk, 1, "second", "delivery", ANA)
        go_on(desk)
        assert set(asked(desk, 1)) == {"second 2", "second 3"} and ANA not in asked(desk, 1).values()
        assert len(set(asked(desk, 1).values())) == 2


def test_one_who_is_unsure_among_three_is_outvoted(studio: FakeStudio, tmp_path: Path) -> None:
    with team(studio, tmp_path, ALL) as desk:
        answer(desk, 1, "first", Verdict.UNSURE, ANA)
        answer(desk, 1, "second", "billing", BEN)
        answer(desk, 1, "second 2", "billing", CLEO)
        go_on(desk)
        assert desk.decision(1).targets == {"topic": "billing"} and asked(desk, 1) == {}


def test_fewer_annotators_for_each_question_take_open_tasks_back_and_keep_answers(
    studio: FakeStudio, tmp_path: Path
) -> None:
    with team(studio, tmp_path, ALL) as desk:
        answer(desk, 1, "second 2", "billing", CLEO)
        desk.collect()
        file = desk.folder / "dataset.yaml"
        file.write_text(file.read_text().replace("overlap_annotators: 3", "overlap_annotators: 2"))
        assert desk.curate().review.withdrawn == 4, "one for each question"
        assert desk.decision(1).targets == {"topic": "billing"}
        assert [len(asked(desk, key)) for key in (1, 2, 3, 4)] == [1, 2, 2, 2]


def test_who_is_named_must_be_enough(tmp_path: Path, studio: FakeStudio) -> None:
    with team(studio, tmp_path) as desk:
        file = desk.folder / "dataset.yaml"
        file.write_text(file.read_text().replace("overlap: 1.0", f"overlap: 1.0, annotators: [{ANA}, {BEN}]"))
        with pytest.raises(ConfigError, match="overlap needs 3 annotators; name another, or none to leave open"):
            load_dataset_file(file)


def test_that_nobody_is_left_where_all_differ_is_said(studio: FakeStudio, tmp_path: Path) -> None:
    with team(studio, tmp_path, f"annotators: [{ANA}, {BEN}, {CLEO}]") as desk:
        assert "3 annotators are named: nobody is left to adjudicate" in desk.curate().review.nobody_left
    with team(studio, tmp_path, ALL) as desk:
        assert read_status(desk.context).nobody_left == "" == desk.curate().review.nobody_left


LABELED = [row(1, "Where is my parcel?", "billing"), row(2, "Why was I charged twice?", "billing")]


def blind_task(desk: Desk) -> dict[str, Any]:
    """The task about the first row that nobody has answered, which must say nothing."""
    [task] = [one for one in desk.tasks() if one["data"]["record_id"] == desk.id(1) and not one["annotations"]]
    assert (task["data"]["seat"], task["data"]["why"]) == ("second", "Please answer.")
    assert (task["predictions"], task["data"]["candidates"]) == ([], [])
    return task


def test_who_contradicts_an_answer_that_the_source_has_taken_over_saw_nothing_of_it(
    studio: FakeStudio, tmp_path: Path
) -> None:
    with desk_at(studio, tmp_path, LABELED, review("overlap: 1.0", "audit: 1.0")) as desk:
        desk.curate()
        answer(desk, 1, "first", "delivery", ANA)
        desk.collect()
        desk.rows(row(1, "Where is my parcel?", "delivery"), LABELED[1])
        desk.curate()
        desk.submit(blind_task(desk)["id"], desk.result("returns"), BEN)
        go_on(desk)
        assert (desk.decision(1).fate, desk.decision(1).routed) == (Fate.REVIEW, Routed.ADJUDICATE)
        assert list(asked(desk, 1)) == ["adjudicator"]


def test_of_three_the_majority_counts_though_the_source_has_taken_one_answer_over(
    studio: FakeStudio, tmp_path: Path
) -> None:
    keys = ("overlap: 1.0", "overlap_annotators: 3", "audit: 1.0")
    with desk_at(studio, tmp_path, LABELED, review(*keys)) as desk:
        desk.curate()
        answer(desk, 1, "first", "delivery", ANA)
        desk.collect()
        desk.rows(row(1, "Where is my parcel?", "delivery"), LABELED[1])
        desk.curate()
        answer(desk, 1, "second", "returns", BEN)
        answer(desk, 1, "second 2", "delivery", CLEO)
        go_on(desk)
        assert desk.decision(1).targets == {"topic": "delivery"} and asked(desk, 1) == {}


@pytest.mark.parametrize("said", [Verdict.UNUSABLE, Verdict.UNSURE])
def test_the_next_one_does_not_see_that_the_first_one_gave_no_label(
    studio: FakeStudio, tmp_path: Path, said: Verdict
) -> None:
    with desk_at(studio, tmp_path, LABELED, review("overlap: 1.0", "audit: 1.0")) as desk:
        desk.curate()
        answer(desk, 1, "first", said, ANA)
        desk.collect()
        desk.rows(row(1, "Where is my parcel?", "returns"), LABELED[1])
        desk.curate()
        told = [
            one["data"]["why"]
            for one in desk.tasks()
            if one["data"]["record_id"] == desk.id(1) and not one["annotations"]
        ]
        assert told and not any("nnotator" in why for why in told), "what the first one said"


def test_a_conversation_keeps_its_turns_for_the_next_one() -> None:
    decision = Decision(
        run="r",
        record_id="a",
        revision="v",
        task_digest="t",
        fate=Fate.ACCEPTED,
        reasons=[Reason(code=ReasonCode.REVIEWED)],
        inputs={"messages": []},
        targets={"messages": [{"role": "assistant", "content": "The lamp is on."}]},
        label_source=LabelSource.HUMAN,
    )
    shown = question(unanswered(decision), HomeAssistant)
    assert shown.proposal == decision.targets and shown.why == JUDGED_WHY


def test_if_nobody_is_named_no_row_is_asked_about_twice_in_a_row(studio: FakeStudio, tmp_path: Path) -> None:
    with team(studio, tmp_path) as desk:
        order = [task["data"]["record_id"] for task in sorted(desk.tasks(), key=lambda task: task["id"])]
        assert len(order) == 12 and all(one != other for one, other in pairwise(order))
