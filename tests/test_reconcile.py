"""Several homes, bulk actions of the server and lost tables: what differs is found, and repaired without loss."""

import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from desk import Desk, desk_at
from fake_studio import FakeStudio, fake_studio
from support import row
from terminal import Terminal

from flows.engines.engine import Inline
from flows.local.studio_server import LocalStudio
from flows.reconcile import reconcile
from pipeline.state.tables import Table
from schemas.fate import LabelSource

ROWS = [row(key, f"What of the parcel with number {key * 7919}, sent in week {key}?", None) for key in (1, 2, 3)]
EVERYTHING = "review: {budget: 100, audit: 0.0}\n"


@pytest.fixture
def desk(label_studio: LocalStudio, tmp_path: Path) -> Iterator[Desk]:
    """Three open questions on a real server."""
    with desk_at(label_studio, tmp_path, ROWS, EVERYTHING) as desk:
        file = tmp_path / "dataset.yaml"
        file.write_text(file.read_text().replace("key: id", "key: id, mode: snapshot"))
        desk.curate()
        yield desk


def send_again(desk: Desk, key: int) -> int:
    """A second task that asks the same question, as two pushers would make it."""
    [task] = [task for task in desk.tasks() if task["data"]["record_id"] == desk.id(key)]
    address = f"/api/projects/{desk.project}/import?return_task_ids=true"
    answer = desk.api.post(address, json=[{"data": task["data"]}]).raise_for_status()
    return int(answer.json()["task_ids"][0])


def act(desk: Desk, action: str, tasks: list[int], **more: int) -> None:
    """One of the bulk actions of Label Studio's Data Manager."""
    body = {"selectedItems": {"all": False, "included": tasks}, **more}
    desk.api.post(f"/api/dm/actions/?id={action}&project={desk.project}", json=body).raise_for_status()


# --- goldleaf reconcile -----------------------------------------------------------------------------
def test_what_differs_is_said_repaired_and_then_nothing_differs(desk: Desk, label_studio: LocalStudio) -> None:
    collected = desk.label(2, "billing")
    desk.collect()
    desk.delete(f"annotations/{collected}")
    twice = send_again(desk, 2)
    desk.delete(f"tasks/{desk.task(3)}")
    unseen = desk.label(1, "delivery")
    terminal = Terminal(desk.folder, label_studio.url, label_studio.token)
    said = terminal.json("reconcile", "--dry-run")["before"]
    assert said["doubled"] == [f"tasks {desk.task(2)} and {twice}"]
    assert said["missing"] == [f"record {desk.id(3)}"]
    assert said["unseen"] == [f"annotation {unseen} of task {desk.task(1)}"]
    assert said["lost"] == [f"annotation {collected} of task {desk.task(2)}"]
    assert said == terminal.json("reconcile", "--dry-run")["before"], "nothing was done"
    shown = terminal.goldleaf("reconcile").stdout
    assert (
        "1 question asked twice: left with one copy; none with work is deleted (tasks " in shown
        and "now both agree" in shown
    )
    assert desk.asked() == sorted(desk.id(key) for key in (1, 2, 3))
    assert desk.decision(1).targets == {"topic": "delivery"} and desk.decision(2).label_source is None
    again = terminal.json("reconcile")
    assert again["after"] is None and again["before"]["tasks"] == 3


def test_of_two_copies_with_answers_both_stay_and_both_answers_count(desk: Desk) -> None:
    other = send_again(desk, 1)
    desk.label(1, "delivery")
    desk.submit(other, desk.result("delivery"), "second@example.com")
    first = desk.task(1)
    done = reconcile(desk.context, Inline())
    assert done.before.answered_twice == [f"tasks {first} and {other}"] and not done.before.doubled
    assert done.after and done.after.agrees
    kept = desk.context.store.scan(Table.ANNOTATIONS).collect()
    assert kept["task_id"].to_list() == [first, other] and kept["push_key"].n_unique() == 1
    assert desk.decision(1).targets == {"topic": "delivery"}


def test_of_two_copies_the_one_with_work_stays(desk: Desk) -> None:
    other = send_again(desk, 1)
    answer, first = desk.submit(other, desk.result("returns")), desk.task(1)
    assert reconcile(desk.context, Inline()).before.doubled == [f"tasks {first} and {other}"]
    assert [task["id"] for task in desk.tasks() if task["data"]["record_id"] == desk.id(1)] == [other]
    assert desk.context.store.scan(Table.ANNOTATIONS).collect()["annotation_id"].to_list() == [answer]


def test_a_task_that_somebody_else_has_made_stays(desk: Desk) -> None:
    address = f"/api/projects/{desk.project}/import?return_task_ids=true"
    data = {key: value for key, value in desk.tasks()[0]["data"].items() if key != "push_key"}
    made = desk.api.post(address, json=[{"data": data}]).raise_for_status().json()["task_ids"][0]
    done = reconcile(desk.context, Inline())
    assert done.before.foreign == [f"task {made}"] and done.after is None
    assert made in [task["id"] for task in desk.tasks()]


def test_a_home_that_has_lost_its_annotations_gets_them_back(desk: Desk) -> None:
    desk.label(1, "delivery")
    desk.collect()
    shutil.rmtree(desk.folder / "home")
    desk.curate()
    done = reconcile(desk.context, Inline())
    assert len(done.before.unseen) == 1 and done.after and done.after.agrees
    assert desk.decision(1).label_source is LabelSource.HUMAN


def test_a_task_is_taken_back_though_its_question_had_an_answer_in_a_project_that_is_gone(
    studio: FakeStudio, tmp_path: Path
) -> None:
    """Such as one that was not valid, so that the question was asked again."""
    with desk_at(studio, tmp_path, ROWS, EVERYTHING) as desk:
        file = tmp_path / "dataset.yaml"
        file.write_text(file.read_text().replace("key: id", "key: id, mode: snapshot"))
        desk.curate()
        desk.label(1, "weather")
        assert desk.collect().invalid == 1
        desk.delete(f"projects/{desk.project}")
        assert desk.curate().review.sent == len(ROWS)
        desk.rows(*ROWS[1:])
        assert desk.curate().review.withdrawn == 1
        assert reconcile(desk.context, Inline(), dry_run=True).before.agrees


# --- what moves no time on the server ---------------------------------------------------------------


def test_an_answer_that_is_propagated_to_other_tasks_is_collected(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Label Studio's action leaves the time of those tasks as it was."""
    monkeypatch.setattr("pipeline.review.label_studio_pull.OVERLAP", timedelta(0))
    desk.collect()
    source = desk.label(1, "delivery")
    desk.collect()
    act(desk, "propagate_annotations", [desk.task(2), desk.task(3)], source_annotation_id=source)
    assert desk.collect().annotations == 2
    assert {desk.decision(key).label_source for key in (1, 2, 3)} == {LabelSource.HUMAN}
    assert desk.collect().annotations == 0


def test_an_answer_that_is_moved_to_the_other_copy_of_its_question_stays(desk: Desk) -> None:
    """*Remove Duplicated Tasks* moves it without a new time, and deletes its task."""
    other = send_again(desk, 1)
    desk.label(1, "delivery")
    desk.submit(other, desk.result("delivery"), "second@example.com")
    desk.collect()
    act(desk, "remove_duplicates", [desk.task(1), other])
    left = [task for task in desk.tasks() if task["data"]["record_id"] == desk.id(1)]
    assert [len(task["annotations"]) for task in left] == [2]
    for _ in range(2):
        desk.collect()
        assert desk.decision(1).targets == {"topic": "delivery"}
        assert reconcile(desk.context, Inline(), dry_run=True).before.agrees


def test_an_answer_that_is_deleted_with_its_old_task_is_noticed(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.review.label_studio_pull.OVERLAP", timedelta(0))
    desk.label(1, "delivery")
    desk.label(2, "billing")
    desk.collect()
    assert desk.collect().annotations == 0
    desk.delete(f"tasks/{desk.task(1)}")
    assert desk.collect().taken_back == 1
    assert desk.decision(1).label_source is None and desk.decision(2).label_source is LabelSource.HUMAN


# --- one home sends ------------------------------------------------------------------------------------
@pytest.fixture
def two_homes(tmp_path: Path) -> Iterator[tuple[Desk, Desk, FakeStudio]]:
    """The same dataset on two machines."""
    with fake_studio() as server, desk_at(server, tmp_path, ROWS, EVERYTHING) as one:
        one.curate()
        shutil.copytree(tmp_path / "home", tmp_path / "other")
        other = Desk(tmp_path, server.url, server.token)
        other.settings = one.settings.model_copy(update={"goldleaf_home": str(tmp_path / "other")})
        with other.api, other.client:
            yield one, other, server


def test_another_home_with_a_newer_form_leaves_the_project_as_it_is(two_homes: tuple[Desk, Desk, FakeStudio]) -> None:
    """Tasks that the first one has sent would lack what the newer form shows."""
    one, other, server = two_homes
    one.rows(*ROWS, row(4, "Who pays for the parcel back to the shop in May?", None))
    assert one.curate().review.sent == 1
    before = dict(server.projects[one.project])
    guidelines = "Rules for the parcels."
    (one.folder / "guidelines.md").write_text(guidelines)
    file = one.folder / "dataset.yaml"
    file.write_text(file.read_text().replace("audit: 0.0", "audit: 0.0, guidelines: guidelines.md"))
    assert other.curate().review.problem
    assert server.projects[one.project] == before
    assert not one.curate().review.problem
    assert guidelines in server.projects[one.project]["expert_instruction"]


def test_another_home_is_told_whose_the_questions_are_and_takes_over_by_a_command(tmp_path: Path) -> None:
    with fake_studio() as server, desk_at(server, tmp_path, ROWS, EVERYTHING) as one:
        one.curate()
        other = Desk(tmp_path, server.url, server.token)
        other.settings = one.settings.model_copy(update={"goldleaf_home": str(tmp_path / "other")})
        with other.api, other.client:
            # The other one reads one row less, and would take back its question.
            other.rows(*ROWS[:2])
            for _ in range(2):
                review = other.curate().review
                assert (review.sent, review.withdrawn) == (0, 0)
                where = (
                    f"the questions of '{one.context.dataset.config.name}' are sent from {one.context.store.root} on "
                )
                assert review.problem.startswith(where) and "`goldleaf reconcile --take-over`" in review.problem
            assert not server.deleted and set(server.imported.values()) == {1}
            taken = reconcile(other.context, Inline(), take_over=True)
            assert taken.after is not None and taken.after.agrees
            assert not other.curate().review.problem
            assert str(other.context.store.root) in one.curate().review.problem


def test_an_older_copy_of_the_home_takes_nothing_back(two_homes: tuple[Desk, Desk, FakeStudio]) -> None:
    one, older, server = two_homes
    one.rows(*ROWS, row(4, "Who pays for the parcel back to the shop in May?", None))
    assert one.curate().review.sent == 1
    one.rows(*ROWS)
    review = older.curate().review
    assert "does not know what was sent last" in review.problem and review.withdrawn == 0
    assert not server.deleted


def test_what_somebody_has_open_is_not_taken_back(desk: Desk) -> None:
    opened = desk.api.get(f"/api/projects/{desk.project}/next").raise_for_status().json()
    kept = next(key for key in (1, 2, 3) if desk.id(key) == opened["data"]["record_id"])
    desk.rows(row(4, "Who pays for the parcel back to the shop in May?", None))
    assert desk.curate().review.withdrawn == 2
    assert desk.asked() == sorted([desk.id(kept), desk.id(4)])
    assert desk.submit(opened["id"], desk.result("billing"))
    assert reconcile(desk.context, Inline()).before.outdated == []
