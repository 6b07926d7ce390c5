"""A curate that fails leaves everything as it was, and a source that leaves and comes back has all its rows again."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from desk import Desk, desk_at
from fake_studio import fake_studio
from forked import Point, command
from full_runs import must_agree_with_a_full_run, must_agree_with_a_new_index
from ingest_home import LOG, Home
from support import row, state, write_rows

from pipeline.errors import ConfigError
from pipeline.ingest.row_places import in_place
from schemas.dataset import Source
from schemas.identity import stable_hash

TOPICS = ("billing", "delivery", "returns")
LOGS = "  - {name: logs, path: 'logs/*.jsonl', key: id, license: MIT}\n"
NO_ROW_HAS_IT = "split: {group_by: customer}\n"
IN_LOGS = 205
MINE = stable_hash("logs", f"int:{IN_LOGS}")
"""The record that was answered."""
ANSWERED = ("human", '{"topic":"returns"}')


def rows(first: int, count: int) -> list[dict[str, object]]:
    return [row(n, f"Where is parcel {n * 11} of order {n}?", TOPICS[n % 3]) for n in range(first, first + count)]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """Eighty rows in one file, and forty in a log; the file of half of these was removed, as it may be.

    Somebody has answered what one of them asks.
    """
    folder = tmp_path / "questions"
    folder.mkdir()
    with fake_studio() as studio, desk_at(studio, folder, rows(0, 80), LOGS) as desk:
        (folder / "logs").mkdir()
        write_rows(folder / "logs", [row(IN_LOGS, "Never arrived?", None), *rows(210, 19)], "b.jsonl")
        write_rows(folder / "logs", rows(100, 20), "a.jsonl")
        desk.curate()
        [task] = [task for task in desk.tasks() if task["data"]["record_id"] == MINE]
        desk.submit(task["id"], desk.result("returns"))
        (folder / "logs" / "b.jsonl").unlink()
        desk.collect()
        desk.curate()
        assert answer(desk) == ANSWERED
        yield desk


def answer(desk: Desk) -> tuple[str, str]:
    """What counts for the record that was answered."""
    decisions = desk.context.store.snapshot().at_last_commit().current_decisions().collect()
    one = decisions.filter(record_id=MINE).row(0, named=True)
    return one["label_source"], one["targets"]


def without_logs(desk: Desk, more: str = "") -> str:
    """Leave the log out of dataset.yaml; returns what it said."""
    file = desk.folder / "dataset.yaml"
    before = file.read_text()
    file.write_text(before.replace(LOGS, "") + more)
    return before


def known(desk: Desk) -> tuple[dict[str, Any], list[dict[str, Any]], bytes]:
    """All that readers see, and what the next run goes on from."""
    store = desk.context.store
    places = in_place(store.snapshot().at_last_commit()).sort("record_id").collect().to_dicts()
    return state(store), places, (store.read / "sources.json").read_bytes()


def test_a_curate_that_fails_commits_nothing_of_what_it_has_read(desk: Desk) -> None:
    """It once withdrew the rows of a source that was left out for good, if their file was gone."""
    before = known(desk)
    file = without_logs(desk, NO_ROW_HAS_IT)
    desk.rows(*rows(0, 70), row(71, "Is this an edited one?", "billing"), *rows(300, 5))
    with pytest.raises(ConfigError, match="customer"):
        desk.curate()
    assert known(desk) == before
    (desk.folder / "dataset.yaml").write_text(file)
    # Who only follows answers commits none of it, either.
    for task in desk.tasks():
        desk.submit(task["id"], desk.result("billing"))
    desk.collect()
    assert known(desk)[1:] == before[1:]
    desk.rows(*rows(0, 80))
    again = desk.curate()
    assert (again.added, again.withdrawn, again.looked.changed, again.note) == (0, 0, 0, "")
    assert not again.looked.why, "nor does it take away what follows from the rows"
    assert known(desk)[0]["records"] == before[0]["records"]
    assert (again.funnel.raw, again.funnel.superseded, again.funnel.withdrawn) == (120, 0, 0)
    must_agree_with_a_full_run(desk.context)
    must_agree_with_a_new_index(desk.context)


def test_a_source_that_leaves_and_comes_back_has_the_rows_that_no_file_has_with_their_answers(desk: Desk) -> None:
    file = without_logs(desk)
    left = desk.curate()
    assert (left.withdrawn, left.funnel.current) == (40, 80)
    assert left.note == (
        "source 'logs' is no longer in the file, so its records (40) are withdrawn; if you add it again, they come "
        "back with their answers"
    )
    (desk.folder / "dataset.yaml").write_text(file)
    write_rows(
        desk.folder / "logs", [*rows(100, 10), row(110, "Was this one edited?", "billing"), *rows(111, 9)], "a.jsonl"
    )
    back = desk.curate()
    assert (back.lines, back.added, back.withdrawn, back.funnel.current) == (100, 20, 0, 120)
    assert back.note == ("source 'logs' is in the file again, and with it 20 records that no file of it has any more")
    assert answer(desk) == ANSWERED
    must_agree_with_a_full_run(desk.context)
    assert (desk.curate().added, desk.curate().note) == (0, "")


def test_an_empty_file_is_enough_for_a_source_that_comes_back(tmp_path: Path) -> None:
    home, log, other = Home(tmp_path), LOG.model_copy(update={"path": "log*.jsonl"}), Source(name="o", path="o.jsonl")
    home.write("log1.jsonl", [{"x": number} for number in range(30)])
    home.write("o.jsonl", [{"x": 1}])
    home.ingest(log, other)
    assert home.ingest(other).withdrawn == 30
    (home.folder / "log1.jsonl").rename(home.folder / "old.jsonl")
    (home.folder / "log2.jsonl").touch()
    said = "source 's' is in the file again, and with it 30 records that no file of it has any more"
    assert home.ingest(log, other).notes == (said, "source 's': log2.jsonl has no rows; add some, or correct `path:`")
    assert home.current().height == 31


@pytest.mark.parametrize(
    "point",
    [
        Point("pipeline.state.store", "Store.take_back_records", "before", 1),
        Point("pipeline.state.store", "restore_version", "after", 1),
        Point("pipeline.state.store", "Store.append_if_unseen", "after", 1),
        Point("pipeline.state.store", "Store.put_in_place", "before", 1),
        Point("pipeline.state.store", "Store.put_in_place", "after", 1),
    ],
    ids=[
        *("with all that failed", "after it was taken back", "after the records", "after the commit"),
        "with all in place",
    ],
)
def test_what_a_killed_curate_has_read_counts_for_none_of_those_that_follow(desk: Desk, point: Point) -> None:
    """The first one is killed under another dataset.yaml, the second one anywhere."""
    desk.rows(row(500, "Is this the first line now?", "billing"), *rows(0, 79))
    said = {"GOLDLEAF_HOME": str(desk.folder / "home"), "LABEL_STUDIO_URL": "", "PREFECT_API_URL": ""}
    curate = ("curate", str(desk.folder / "dataset.yaml"), "--json")
    file = without_logs(desk)
    command(*curate, environment=said, killed_at=Point("pipeline.state.store", "Store.append_if_unseen", "after", 1))
    (desk.folder / "dataset.yaml").write_text(file)
    command(*curate, environment=said, killed_at=point)
    command(*curate, environment=said)
    snapshot = desk.context.store.snapshot().at_last_commit()
    assert snapshot.funnel().model_dump(include={"raw", "superseded", "withdrawn"}) == {
        "raw": 121,
        "superseded": 0,
        "withdrawn": 0,
    }
    assert answer(desk) == ANSWERED
    lines = in_place(snapshot).filter(source="examples").sort("line").collect()
    assert lines["line"].to_list()[:80] == [*range(1, 81)]
    must_agree_with_a_full_run(desk.context)
