"""Hidden gold items: questions whose answer is known, mixed into each annotator's tasks and told from no others."""

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl
import pytest
from desk import Desk, Row, desk_at
from fake_studio import FakeStudio
from home_of_answers import Answer, home_in
from support import current, row, write_dataset, write_rows
from team import ANA, BEN, CLEO, NAMED, answer, go_on, review, whose
from terminal import Terminal

from pipeline.releases.draft import draft_release
from pipeline.reporting.attention import Need
from pipeline.reporting.explain import explain
from pipeline.reporting.status import read_status
from pipeline.review.consensus import deciding, said_about
from pipeline.review.gold import adjudicated_records
from pipeline.review.queue import asked_now
from pipeline.review.seating import Asked
from pipeline.state.tables import Table
from schemas.annotation import Verdict
from schemas.decision import Decision
from schemas.fate import Fate, LabelSource, ReasonCode
from schemas.seat import FIRST, Seat, SeatKind

KNOWN: list[Row] = [
    row(101, "Which day will my sofa come?", "delivery"),
    row(102, "May I send the lamp back?", "returns"),
    row(103, "Why is there a fee on my card?", "billing"),
]
OPEN: list[Row] = [row(key, f"What about the order number {key}{key}?", None) for key in range(1, 13)]
NAMES = (ANA, BEN, CLEO)


@contextmanager
def shop(studio: FakeStudio, folder: Path, *keys: str, rows: list[Row] | None = None) -> Iterator[Desk]:
    """A dataset with a gold source of three rows beside twelve open questions."""
    with desk_at(studio, folder, rows or OPEN, review(*keys)) as desk:
        file = folder / "dataset.yaml"
        source = "  - {name: known, path: known.jsonl, key: id, license: MIT, gold: true}\n"
        file.write_text(file.read_text().replace("sources:\n", f"sources:\n{source}", 1))
        write_rows(folder, KNOWN, "known.jsonl")
        first = desk.curate().review
        hidden = gold(desk).height
        assert (first.sent - first.hidden, first.hidden) == (first.waiting, hidden), "hidden items are no questions"
        yield desk


def gold(desk: Desk) -> pl.DataFrame:
    """What was sent as gold items."""
    sent = desk.context.store.scan(Table.PUSHES).filter(pl.col("seat").str.starts_with("gold"))
    return sent.select("record_id", "annotator", "task_id", "push_key").collect()


def test_each_annotator_gets_the_share_of_the_own_tasks_and_copies_of_the_own(
    studio: FakeStudio, tmp_path: Path
) -> None:
    with shop(studio, tmp_path, NAMED, "gold: 0.25") as desk:
        sent = gold(desk)
        dealt = [whose(desk, key)["first"] for key in range(1, 13)]
        for name in NAMES:
            mine = sent.filter(annotator=name)
            most = -(-dealt.count(name) // 3)  # a quarter of all are gold: one for three others
            assert mine.height == min(most, len(KNOWN))
            assert mine["record_id"].n_unique() == mine.height
        assert sent["push_key"].n_unique() == sent.height


def test_a_gold_item_looks_like_an_audit_and_shows_neither_answer_nor_reason(
    studio: FakeStudio, tmp_path: Path
) -> None:
    labeled = [row(key, f"What about the order number {key}{key}?", "billing") for key in range(1, 13)]
    with shop(studio, tmp_path, NAMED, "gold: 0.5", "audit: 1.0", rows=labeled) as desk:
        hidden = set(gold(desk)["task_id"])
        tasks = desk.tasks()
        golds = [task for task in tasks if task["id"] in hidden]
        audits = [task for task in tasks if task["id"] not in hidden]
        assert golds and audits
        assert {task["data"]["why"] for task in golds} == {task["data"]["why"] for task in audits}
        assert {task["data"]["seat"] for task in golds} == {task["data"]["seat"] for task in audits} == {"first"}
        assert {task["data"].keys() == golds[0]["data"].keys() for task in tasks} == {True}
        assert not any(task.get("predictions") or task["data"]["candidates"] for task in tasks)
        order = [task["id"] in hidden for task in sorted(tasks, key=lambda task: int(task["id"]))]
        assert True in order[: len(order) // 2] and True in order[len(order) // 2 :], "they are mixed"


def test_no_row_has_two_tasks_while_there_are_enough_gold_rows(
    studio: FakeStudio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everybody sees everybody's tasks: an audit has one."""
    many = [row(100 + key, f"Known question {key}{key}, which day will it come?", "delivery") for key in range(10)]
    monkeypatch.setattr(f"{__name__}.KNOWN", many)
    with shop(studio, tmp_path, NAMED, "gold: 0.25") as desk:
        records = [task["data"]["record_id"] for task in desk.tasks()]
        assert gold(desk).height >= len(NAMES) and len(records) == len(set(records))
        before = set(gold(desk)["push_key"])
        desk.rows(*OPEN, *(row(key, f"And what about {key}{key}{key}?", None) for key in range(20, 30)))
        desk.curate()
        records = [task["data"]["record_id"] for task in desk.tasks()]
        assert before < set(gold(desk)["push_key"]) and len(records) == len(set(records))


def test_an_address_in_another_case_gets_no_other_gold_items(studio: FakeStudio, tmp_path: Path) -> None:
    with shop(studio, tmp_path, NAMED.replace("ana@", "Ana@"), "gold: 0.25") as desk:
        before = {task["data"]["push_key"] for task in desk.tasks()}
        file = desk.folder / "dataset.yaml"
        file.write_text(file.read_text().replace("Ana@", "ana@"))
        done = desk.curate().review
        assert (done.sent, done.withdrawn) == (0, 0)
        assert {task["data"]["push_key"] for task in desk.tasks()} == before
        assert set(gold(desk)["annotator"]) >= {ANA}


def test_a_gold_item_whose_seat_spells_the_address_in_another_way_is_not_asked_again(
    studio: FakeStudio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Homes of before have the spelling of dataset.yaml in it."""
    with monkeypatch.context() as patched:
        patched.setattr("pipeline.review.gold._seat", lambda who: Seat(kind=SeatKind.GOLD, annotator=who.title()))
        with shop(studio, tmp_path, NAMED.replace("ana@", "Ana@"), "gold: 0.25") as desk:
            patched.undo()
            assert desk.curate().review.sent == 0


def test_where_no_row_has_a_label_a_gold_item_looks_like_the_others(studio: FakeStudio, tmp_path: Path) -> None:
    with shop(studio, tmp_path, NAMED, "gold: 0.25") as desk:
        assert not gold(desk).is_empty()
        assert {task["data"]["why"] for task in desk.tasks()} == {"Please answer."}


def test_a_wrong_answer_to_a_gold_item_changes_nothing_about_its_row(studio: FakeStudio, tmp_path: Path) -> None:
    with shop(studio, tmp_path, NAMED, "gold: 0.25") as desk:
        for task_id, name in gold(desk).select("task_id", "annotator").iter_rows():
            desk.submit(task_id, desk.result("billing"), name)
        before = {record: (one.fate, one.targets) for record, one in decisions(desk).items()}
        collected = desk.collect()
        assert (collected.decided, collected.disputed, collected.attention) == (0, 0, [])
        assert {record: (one.fate, one.targets) for record, one in decisions(desk).items()} == before
        assert desk.curate().review.sent == 0


def test_rows_of_gold_sources_count_as_decided_by_nobody(studio: FakeStudio, tmp_path: Path) -> None:
    with shop(studio, tmp_path, NAMED, "gold: 0.25") as desk:
        for task_id, name in gold(desk).select("task_id", "annotator").iter_rows():
            desk.submit(task_id, desk.result("billing"), name)
        answer(desk, 1, "first", "delivery", whose(desk, 1)["first"])
        go_on(desk)
        draft = draft_release(desk.context.store.snapshot().at_last_commit(), desk.context.dataset, lambda ids: {})
    assert (draft.funnel.accepted, draft.from_gold) == (len(KNOWN) + 1, len(KNOWN))


def test_an_invalid_answer_to_a_gold_item_is_listed_until_it_is_corrected(studio: FakeStudio, tmp_path: Path) -> None:
    with shop(studio, tmp_path, NAMED, "gold: 0.25") as desk:
        task_id, name = gold(desk).select("task_id", "annotator").row(0)
        given = desk.submit(task_id, desk.result("nonsense"), name)
        collected = desk.collect()
        [listed] = collected.attention
        assert (listed.kind, listed.task_id, collected.invalid) == (Need.CORRECTION, task_id, 1)
        assert "nonsense" in listed.what and listed.what.endswith("It is a hidden gold item.")
        assert read_status(desk.context).attention == [listed]
        desk.edit(given, "billing")
        after = desk.collect()
        assert (after.attention, after.invalid) == ([], 0)


def topics(desk: Desk, *names: str) -> None:
    """Make these the task's labels."""
    file = desk.folder / "task.py"
    choices = ", ".join(f'"{name}"' for name in names)
    file.write_text(re.sub(r"Literal\[.*?\]", f"Literal[{choices}]", file.read_text()))


def test_a_task_that_changes_brings_no_more_gold_and_none_that_changes_back(studio: FakeStudio, tmp_path: Path) -> None:
    """Every question is asked anew, in the place of an earlier one."""
    many = [row(200 + key, f"Known question {key}{key}, which day will it come?", "delivery") for key in range(9)]
    with shop(studio, tmp_path, NAMED, "gold: 0.25") as desk:
        write_rows(desk.folder, [*KNOWN, *many], "known.jsonl")
        desk.curate()
        for key in (1, 2):
            answer(desk, key, "first", "delivery", whose(desk, key)["first"])
        go_on(desk)
        before = Counter(one.annotator for one in dealt(desk))
        topics(desk, "billing", "delivery", "returns", "other")
        desk.curate()
        assert Counter(one.annotator for one in dealt(desk)) == before
        topics(desk, "billing", "delivery", "returns")
        desk.curate()
        assert Counter(one.annotator for one in dealt(desk)) == before


def test_questions_that_were_withdrawn_leave_no_gold_behind(studio: FakeStudio, tmp_path: Path) -> None:
    many = [row(200 + key, f"Known question {key}{key}, which day will it come?", "delivery") for key in range(9)]
    with shop(studio, tmp_path, NAMED, "gold: 0.25") as desk:
        write_rows(desk.folder, [*KNOWN, *many], "known.jsonl")
        desk.curate()
        before = len(dealt(desk))
        desk.rows(*(row(key, f"Now what about number {key}{key}{key}?", None) for key in range(1, 13)))
        desk.curate()
        assert len(dealt(desk)) == before
        # Fewer questions leave fewer of those that were sent, and the choice of these is the same after the push.
        desk.rows(*(one | ({"topic": "billing"} if place > 2 else {}) for place, one in enumerate(OPEN)))
        desk.curate()
        asked = asked_now(desk.context.store.snapshot().at_last_commit(), desk.context.dataset)
        keys = {one.key(desk.context.dataset.task) for one in asked}
        assert {task["data"]["push_key"] for task in desk.tasks()} == keys
        again = desk.curate().review
        assert (again.sent, again.withdrawn) == (0, 0) and len(dealt(desk)) < before


def dealt(desk: Desk) -> list[Asked]:
    """The open gold items."""
    asked = asked_now(desk.context.store.snapshot().at_last_commit(), desk.context.dataset)
    return [one for one in asked if one.seat.kind is SeatKind.GOLD]


def decisions(desk: Desk) -> dict[str, Decision]:
    return current(desk.context)


def test_rows_of_a_gold_source_are_not_doubted_and_count_as_an_annotator_s(studio: FakeStudio, tmp_path: Path) -> None:
    rows = [*OPEN, row(50, str(KNOWN[0]["question"]), "billing")]
    with shop(studio, tmp_path, NAMED, "audit: 1.0", rows=rows) as desk:
        trusted = [one for one in decisions(desk).values() if one.label_source is LabelSource.HUMAN]
        assert len(trusted) == len(KNOWN)
        assert {one.fate for one in trusted} == {Fate.ACCEPTED} and {one.routed for one in trusted} == {None}
        assert desk.decision(50).fate is Fate.REJECTED
        assert desk.decision(50).reasons[0].code is ReasonCode.OVERRIDDEN


def test_an_adjudicated_row_is_a_gold_item_for_those_who_have_not_answered_it(
    studio: FakeStudio, tmp_path: Path
) -> None:
    dora = "dora@example.com"
    keys = ("overlap: 1.0", f"annotators: [{ANA}, {BEN}, {CLEO}, {dora}]", "gold: 0.5")
    with desk_at(studio, tmp_path, OPEN, review(*keys)) as desk:
        desk.curate()
        assert gold(desk).is_empty()
        answer(desk, 1, "first", "delivery", ANA)
        answer(desk, 1, "second", "returns", BEN)
        go_on(desk)
        answer(desk, 1, "adjudicator", "billing", CLEO)
        go_on(desk)
        sent = gold(desk)
        assert sent.select("record_id", "annotator").rows() == [(desk.id(1), dora)]
        desk.submit(int(sent["task_id"][0]), desk.result("delivery"), dora)
        go_on(desk)
        assert desk.decision(1).targets == {"topic": "billing"}


@pytest.mark.parametrize(
    ("judge", "verdict", "deleted", "is_known"),
    [
        (CLEO, "billing", False, True),
        (CLEO, "billing", True, False),
        (CLEO, Verdict.UNUSABLE, False, False),
        (CLEO, Verdict.UNSURE, False, False),
        (BEN, "billing", False, False),
        ("", "", False, False),
    ],
)
def test_an_answer_is_known_if_an_adjudicator_s_label_decides(
    tmp_path: Path, judge: str, verdict: Answer, deleted: bool, is_known: bool
) -> None:
    """Not one that was taken back, one who could not say, or one of those who contradict each other."""
    home = home_in(tmp_path)
    home.curated(asked := home.asked("r"))
    seats = {ANA: FIRST, BEN: Seat(kind=SeatKind.SECOND)}
    answers = [(ANA, "delivery", asked, seats[ANA]), (BEN, "returns", asked, seats[BEN])]
    home.said_all([*answers, *([(judge, verdict, asked, Seat(kind=SeatKind.ADJUDICATOR))] if judge else [])])
    if deleted:
        home.takes_back(len(answers) + 1)
    said = said_about(home.now, home.dataset.task, home.now.current_decisions())
    found = adjudicated_records({record_id: deciding(items) for record_id, items in said.items()})
    assert found == (["r"] if is_known else [])


def test_what_a_majority_decides_is_not_known(tmp_path: Path) -> None:
    home = home_in(tmp_path)
    home.curated(asked := home.asked("r"))
    home.said_all([(who, "delivery", asked, seat) for who, seat in ((ANA, FIRST), (BEN, Seat(kind=SeatKind.SECOND)))])
    said = said_about(home.now, home.dataset.task, home.now.current_decisions())
    assert adjudicated_records({"r": deciding(said["r"]), "s": None}) == []


def test_who_answered_somebody_else_s_copy_of_a_gold_item_is_not_asked_again(
    studio: FakeStudio, tmp_path: Path
) -> None:
    with shop(studio, tmp_path, NAMED, "gold: 0.5") as desk:
        record, task_id = gold(desk).filter(annotator=BEN).select("record_id", "task_id").row(0)
        desk.submit(task_id, desk.result("delivery"), ANA)
        go_on(desk)
        mine = [task["data"]["record_id"] for task in desk.tasks() if task["data"]["assigned"] == ANA]
        assert record not in mine and desk.curate().review.sent == 0


def test_without_an_open_question_nobody_gets_a_gold_item(studio: FakeStudio, tmp_path: Path) -> None:
    labeled = [row(1, "What about the order number one?", "billing")]
    with shop(studio, tmp_path, NAMED, "gold: 0.5", rows=labeled) as desk:
        assert gold(desk).is_empty()


def test_more_questions_bring_more_gold_items_and_those_that_were_sent_stay(studio: FakeStudio, tmp_path: Path) -> None:
    with shop(studio, tmp_path, NAMED, "gold: 0.1", rows=OPEN[:2]) as desk:
        few = set(gold(desk)["push_key"])
        desk.rows(*OPEN, *(row(key, f"And what about {key}{key}{key}?", None) for key in range(20, 60)))
        desk.curate()
        assert few < set(gold(desk)["push_key"])
        there = {task["data"]["push_key"] for task in desk.tasks()}
        assert few <= there
        assert desk.curate().review.sent == 0


def test_status_counts_gold_items_beside_what_waits(studio: FakeStudio, tmp_path: Path) -> None:
    with shop(studio, tmp_path, NAMED, "gold: 0.25") as desk:
        status = read_status(desk.context)
        assert status.seats is not None
        assert (status.waiting, status.seats.tasks, status.seats.gold) == (12, 12, gold(desk).height)
        task_id, name = gold(desk).select("task_id", "annotator").row(0)
        desk.submit(task_id, desk.result("delivery"), name)
        go_on(desk)
        after = read_status(desk.context)
        assert after.seats is not None and after.seats.gold == status.seats.gold - 1


def test_a_task_whose_answers_are_free_texts_has_no_gold_items(studio: FakeStudio, tmp_path: Path) -> None:
    """Nobody writes the same words."""
    with shop(studio, tmp_path, NAMED, "gold: 0.5") as desk:
        task = desk.folder / "task.py"
        task.write_text(task.read_text().replace('Target[Literal["billing", "delivery", "returns"]]', "Target[str]"))
        file = desk.folder / "dataset.yaml"
        file.write_text(file.read_text().replace("name: ", "name: free-", 1))
        desk.curate()
        assert gold(desk).is_empty() and desk.tasks()


@pytest.mark.parametrize("kind", ["chat", "rewriting"])
def test_check_says_where_a_share_of_gold_brings_nothing(tmp_path: Path, kind: str) -> None:
    Terminal(tmp_path).goldleaf("init", tmp_path / "own", "--kind", kind)
    file = tmp_path / "own" / "dataset.yaml"
    file.write_text(file.read_text() + "\nreview: {annotators: [ana@example.com], gold: 0.05}\n")
    [found] = [one for one in Terminal(tmp_path).json("check", file) if one["what"] == "review.gold"]
    assert found["warning"] and "may be worded differently, so it has no gold items" in found["detail"]


def test_check_says_that_gold_needs_rows_whose_answers_are_known(tmp_path: Path) -> None:
    write_dataset(tmp_path, KNOWN, review(NAMED, "gold: 0.25"))
    [found] = [one for one in Terminal(tmp_path).json("check") if one["what"] == "review.gold"]
    assert found["warning"] and found["detail"].startswith("no source has `gold: true`")


def test_a_gold_item_explains_itself(studio: FakeStudio, tmp_path: Path) -> None:
    with shop(studio, tmp_path, NAMED, "gold: 0.25") as desk:
        record = gold(desk)["record_id"][0]
        context = desk.context
        asked = explain(context.store.snapshot(), record, context.store.releases, context.dataset).asked
        assert [(one.routed, Seat.read(one.seat).kind) for one in asked] == [(None, SeatKind.GOLD)]
