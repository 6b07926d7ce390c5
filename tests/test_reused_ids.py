"""On SQLite, Label Studio gives the id of a deleted newest task to the next: no id is believed without its push key."""

from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from desk import Desk, Row, desk_at
from fake_studio import fake_studio
from support import row

from flows.local.studio_server import LocalStudio
from pipeline.reporting.overview import count_waiting
from pipeline.review.label_studio import LabelStudio
from pipeline.state.tables import Table
from schemas.fate import LabelSource

FIRST, NEWEST, LATER = (
    row(1, "Where is my parcel?", None),
    row(2, "Why was I charged twice?", None),
    row(3, "How do I send back shoes?", None),
)
EVERYTHING = "review: {budget: 100, audit: 0.0}\n"


@pytest.fixture
def desk(label_studio: LocalStudio, tmp_path: Path) -> Iterator[Desk]:
    """Two questions on a server where nothing else happens meanwhile."""
    with desk_at(label_studio, tmp_path, [FIRST, NEWEST], EVERYTHING) as desk:
        file = tmp_path / "dataset.yaml"
        file.write_text(file.read_text().replace("key: id", "key: id, mode: snapshot"))
        desk.curate()
        yield desk


def replace_newest(desk: Desk, *rows: Row) -> int:
    """Delete the newest task, and ask about other rows; returns the id, which then belongs to another question."""
    newest = desk.task(2)
    desk.delete(f"tasks/{newest}")
    desk.rows(FIRST, *rows)
    assert desk.curate().review.sent == 1
    assert newest in [task["id"] for task in desk.tasks()], "the server gives the id to the next task"
    return newest


def test_a_question_that_got_the_id_of_one_taken_back_stays_asked(desk: Desk) -> None:
    desk.rows(FIRST, row(2, "Why was I charged three times?", None))
    assert (desk.curate().review.withdrawn, desk.curate().review.withdrawn) == (1, 0)
    assert (desk.curate().review.sent, desk.asked()) == (0, sorted([desk.id(1), desk.id(2)]))


def test_a_question_whose_id_another_one_got_is_asked_again(desk: Desk) -> None:
    replace_newest(desk, LATER)
    desk.rows(FIRST, NEWEST, LATER)
    assert desk.curate().review.sent == 1
    assert desk.asked() == sorted(desk.id(key) for key in (1, 2, 3))


def test_a_question_whose_id_another_one_got_counts_as_not_sent(desk: Desk) -> None:
    replace_newest(desk, LATER)
    desk.rows(FIRST, NEWEST, LATER)
    context = desk.context
    away = context.settings.model_copy(update={"label_studio_url": ""})
    desk.settings = away
    desk.curate()
    assert count_waiting(context.store.snapshot().at_last_commit(), context.dataset.task).unsent == 1


def test_an_answer_under_an_id_that_was_used_before_counts_for_its_own_question_only(desk: Desk) -> None:
    desk.label(2, "billing")
    assert desk.collect().decided == 1
    replace_newest(desk, LATER)
    desk.rows(FIRST, NEWEST, LATER)
    desk.curate()
    desk.label(3, "returns")
    desk.collect()
    assert desk.decision(3).label_source is LabelSource.HUMAN
    assert desk.decision(3).targets == {"topic": "returns"}
    assert desk.decision(2).label_source is None, "its answer was deleted with its task"


def test_an_answer_is_gone_with_its_task_though_a_question_that_we_need_not_pull_got_the_id(tmp_path: Path) -> None:
    """By the clock of the server, which was set back, nothing happened to that question since the last pull."""
    with fake_studio() as server, desk_at(server, tmp_path, [FIRST, NEWEST], EVERYTHING) as desk:
        desk.curate()
        desk.label(2, "billing")
        assert desk.collect().decided == 1
        newest = replace_newest(desk, NEWEST, LATER)
        server.tasks[newest]["updated_at"] = server.tasks[newest]["created_at"] = "2026-01-01T00:00:00.000000Z"
        assert desk.collect().taken_back == 1
        assert desk.decision(2).label_source is None


def test_the_server_gives_no_annotation_the_id_of_a_deleted_one(desk: Desk) -> None:
    """So an annotation's id is safe there; ours is still distinguished from another's by its push key."""
    first = desk.label(1, "billing")
    desk.delete(f"annotations/{first}")
    assert desk.label(1, "billing") > first


def test_only_the_task_that_carries_the_question_is_taken_back(desk: Desk, label_studio: LocalStudio) -> None:
    tasks = {task["id"]: task["data"]["push_key"] for task in desk.tasks()}
    wrong = dict(zip(tasks, reversed(tasks.values()), strict=True))
    with LabelStudio(label_studio.url, label_studio.token) as client:
        assert client.asked(desk.project) == tasks
        assert client.withdraw(desk.project, wrong | {max(tasks) + 1: "gone"}) == 0
        assert client.asked(desk.project) == tasks
        assert client.withdraw(desk.project, tasks) == 2


def test_the_noted_tasks_of_an_id_are_told_apart_by_their_questions(desk: Desk) -> None:
    newest = replace_newest(desk, LATER)
    snapshot = desk.context.store.snapshot()
    rows = snapshot.scan(Table.PUSHES).filter(pl.col("task_id") == newest).collect()
    assert sorted(rows["record_id"]) == sorted([desk.id(2), desk.id(3)])
    assert snapshot.tasks().filter(pl.col("task_id") == newest).collect()["record_id"].to_list() == [desk.id(3)]
