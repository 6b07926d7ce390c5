"""A record's story begins with what it is now, and tells all that happened once, in one order of time."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from desk import Desk, desk_at
from fake_studio import TOKEN, FakeStudio
from support import row
from terminal import Terminal

from flows.engines.engine import Inline
from flows.release import release
from pipeline.reporting.explain import Story, TaskState, explain
from pipeline.state.tables import Table

ALL = "review: {budget: 100, audit: 1.0}\n"
PARCEL = "My parcel was promised for the ninth of the month but nobody has told us where it went since then"
LAMP = "The blue lamp came with a note from the shop that says we owe you forty more for the work"


@pytest.fixture
def desk(studio: FakeStudio, tmp_path: Path) -> Iterator[Desk]:
    rows = [row(1, PARCEL, "billing"), row(2, LAMP, "billing")]
    with desk_at(studio, tmp_path, rows, ALL) as desk:
        file = desk.folder / "dataset.yaml"
        file.write_text(file.read_text().replace("key: id,", "key: id, mode: snapshot,"))
        desk.curate()
        yield desk


def story(desk: Desk, key: int = 1) -> Story:
    context = desk.context
    snapshot = context.store.snapshot().at_last_commit()
    return explain(snapshot, desk.id(key), context.store.releases, context.dataset)


def shown(desk: Desk, key: int = 1) -> list[str]:
    terminal = Terminal(desk.folder, desk.settings.label_studio_url, TOKEN)
    return terminal.goldleaf("explain", desk.id(key)).stdout.splitlines()


def test_the_present_state_comes_first(desk: Desk) -> None:
    assert shown(desk)[1] == "now accepted; split: none yet; releases: none yet"
    release(desk.context, Inline())
    split = story(desk).split
    assert shown(desk)[1] == f"now accepted; split: {split}; releases: 1.0.0"


def test_a_withdrawn_row_is_withdrawn_now_and_its_task_is_taken_back(desk: Desk) -> None:
    desk.rows(row(2, LAMP, "billing"))
    desk.curate()
    told = story(desk)
    assert (told.now, [one.state for one in told.asked]) == ("withdrawn", [TaskState.TAKEN_BACK])
    lines = shown(desk)
    assert lines[1].startswith("now withdrawn; split: none yet")
    assert sum(PARCEL in line for line in lines) == 1, "the row is shown once"
    assert any(line.startswith("withdrawn, ") and line.endswith("or the source from dataset.yaml") for line in lines)
    assert any(line.startswith("Label Studio task ") and line.endswith("(withdrawn)") for line in lines)
    desk.rows(row(1, PARCEL, "billing"), row(2, LAMP, "billing"))
    desk.curate()
    assert story(desk).now == "accepted"


def test_of_a_withdrawn_row_it_is_not_said_that_its_text_changed(desk: Desk) -> None:
    desk.label(1, "delivery")
    desk.collect()
    desk.rows(row(2, LAMP, "billing"))
    desk.curate()
    assert [said.stale for said in story(desk).said] == ["the row is gone from its source"]
    lines = shown(desk)
    assert any(line.endswith("(does not count: the row is gone from its source)") for line in lines)
    assert not any("superseded" in line for line in lines)
    desk.rows(row(1, f"{PARCEL}, they say", "billing"), row(2, LAMP, "billing"))
    desk.curate()
    desk.rows(row(1, PARCEL, "billing"), row(2, LAMP, "billing"))
    desk.curate()
    told = story(desk)
    assert [one.withdrawn for one in told.revisions] == [False, True, False, False]
    assert [one.superseded for one in told.revisions] == [False, False, True, False]
    assert [said.stale for said in told.said] == [""]


def test_everything_is_told_once_and_in_one_order_of_time(desk: Desk) -> None:
    desk.label(1, "delivery")
    desk.collect()
    release(desk.context, Inline())
    desk.rows(row(1, f"{PARCEL}, they say", "billing"), row(2, LAMP, "billing"))
    desk.curate()
    told = story(desk)
    order = [moment.what for moment in told.timeline]
    assert order[:5] == ["revisions", "decisions", "asked", "said", "decisions"]
    assert order.index("published") < len(order) - 1 - order[::-1].index("revisions")
    assert [moment.at for moment in told.timeline] == sorted(moment.at for moment in told.timeline)
    places = [(moment.what, moment.number) for moment in told.timeline]
    lists = {what: getattr(told, what) for what in ("revisions", "decisions", "asked", "said", "published")}
    assert sorted(places) == sorted((what, number) for what, entries in lists.items() for number in range(len(entries)))
    assert [one.superseded for one in told.revisions] == [True, False]
    decisions = [one.run for one in told.decisions]
    assert len(decisions) == len(set(decisions))


def test_an_answer_about_another_text_is_marked_as_stale(desk: Desk) -> None:
    desk.label(1, "delivery")
    desk.collect()
    assert story(desk).said[0].stale == ""
    desk.rows(row(1, "Where is the lamp that I had sent back to you in May?", "billing"), row(2, LAMP, "billing"))
    desk.curate()
    told = story(desk)
    assert told.said[0].stale == "it is about an earlier text of the record"
    assert [one.state for one in told.asked] == [TaskState.ANSWERED, TaskState.OPEN]
    assert any("(does not count: it is about an earlier text of the record)" in line for line in shown(desk))


def test_an_answer_that_outlives_an_edit_of_the_label_is_not_stale(desk: Desk) -> None:
    desk.label(1, "delivery")
    desk.collect()
    desk.rows(row(1, PARCEL, "delivery"), row(2, LAMP, "billing"))
    desk.curate()
    assert [one.stale for one in story(desk).said] == [""]


def test_an_answer_under_an_older_task_is_marked_as_stale(desk: Desk) -> None:
    desk.label(1, "delivery")
    desk.collect()
    task = desk.folder / "task.py"
    task.write_text(task.read_text().replace("topic: Target", "subject: Target"))
    desk.curate()
    told = story(desk)
    assert told.said[0].stale == "it answers an older form of the task"
    assert [one.state for one in told.asked] == [TaskState.ANSWERED, TaskState.OPEN]
    task.write_text(task.read_text().replace("subject: Target", "topic: Target"))
    desk.curate()
    assert [one.state for one in story(desk).asked] == [TaskState.ANSWERED, TaskState.OLDER_FORM], "it is there still"


def test_a_deleted_answer_is_not_called_stale_and_a_task_that_was_sent_again_says_so(desk: Desk) -> None:
    annotation = desk.label(1, "delivery")
    desk.collect()
    desk.delete(f"annotations/{annotation}")
    desk.collect()
    assert [(one.deleted, one.stale) for one in story(desk).said] == [(True, "")]
    desk.delete(f"tasks/{desk.task(1)}")
    desk.curate()
    assert [one.state for one in story(desk).asked] in (
        [TaskState.SENT_AGAIN, TaskState.OPEN],
        [TaskState.OPEN],  # the server gave the same id to the task that asks again
    )


def test_every_state_of_an_edited_answer_is_told_once_and_the_decisions_that_follow_from_each(desk: Desk) -> None:
    annotation = desk.label(1, "delivery")
    desk.collect()
    desk.curate()
    desk.edit(annotation, "returns")
    desk.collect()
    desk.collect()
    told = story(desk)
    assert [(one.targets, one.edited) for one in told.said] == [
        ({"topic": "delivery"}, True),
        ({"topic": "returns"}, False),
    ]
    assert [one.targets for one in told.decisions] == [{"topic": name} for name in ("billing", "delivery", "returns")]
    assert [moment.what for moment in told.timeline][2:] == ["asked", "said", "decisions", "said", "decisions"]
    marked = [line for line in shown(desk) if line.startswith("annotation ")]
    assert [line.endswith(": labeled (edited since)") for line in marked] == [True, False]
    desk.delete(f"annotations/{annotation}")
    desk.collect()
    told = story(desk)
    assert [(one.edited, one.deleted) for one in told.said] == [(True, False), (False, True)]
    assert told.asked[0].state is TaskState.OPEN


def test_a_task_that_was_noted_twice_is_told_once(desk: Desk) -> None:
    store = desk.context.store
    store.append(Table.PUSHES, store.scan(Table.PUSHES).collect())
    assert len(story(desk).asked) == 1
