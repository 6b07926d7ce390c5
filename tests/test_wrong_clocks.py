"""A run whose clock was wrong: what it did counts, its time does not, and who asks is told."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from cli_shop import opened_shop
from support import offline
from terminal import Terminal

from flows.context import Context
from flows.curate import curate
from flows.engines.engine import Inline
from flows.turns import waiting
from pipeline.reporting.all_datasets import all_datasets
from pipeline.state.store import Store
from pipeline.state.tables import Table
from pipeline.steps import Silent

DAILY = "schedules: {curate: '0 2 * * *', wait: 0s}\n"


def opened(folder: Path) -> tuple[Terminal, Context]:
    shop = opened_shop(folder)
    file = folder / "dataset.yaml"
    file.write_text(file.read_text() + DAILY)
    return shop, Context.load(file, offline(shop.home))


def run_by_a_clock(store: Store, wrong: timedelta) -> datetime:
    """Commit a curate as `faketime goldleaf curate` does; returns when it ended by its clock."""
    last = store.snapshot().runs.filter(pl.col("verb") == "curate").tail(1)
    at = datetime.now(UTC) + wrong
    id_at = max(at, datetime.strptime(store.snapshot().runs["run"].max() + "+0000", "%Y%m%dT%H%M%S.%fZ%z"))
    run = (id_at + timedelta(microseconds=1)).strftime("%Y%m%dT%H%M%S.%fZ")
    began = pl.lit(at - timedelta(seconds=2)).cast(last.schema["started_at"])
    row = last.with_columns(run=pl.lit(run), started_at=began, finished_at=began + pl.duration(seconds=2))
    store.append(Table.RUNS, row)
    return at


def test_a_scheduled_run_is_not_left_to_one_of_the_future(tmp_path: Path) -> None:
    _, context = opened(tmp_path)
    run_by_a_clock(context.store, timedelta(days=400))
    before = context.store.snapshot().runs.height
    with waiting(context, "curate", "0", Silent(), datetime.now(UTC)):
        curate(context, Inline())
    runs = context.store.snapshot().runs
    assert runs.height == before + 1
    assert runs["run"].is_sorted() and runs["started_at"][-1] < datetime.now(UTC), "a later id, the true time"


def test_what_is_due_is_overdue_though_a_run_or_the_file_is_of_the_future(tmp_path: Path) -> None:
    shop, context = opened(tmp_path)
    run_by_a_clock(context.store, timedelta(days=400))
    [line] = all_datasets(shop.home, datetime.now(UTC) + timedelta(days=3))
    assert line.overdue[0].startswith("curate was due at "), line


def test_status_names_a_time_later_than_now_and_the_next_run_puts_it_right(tmp_path: Path) -> None:
    shop, context = opened(tmp_path)
    at = run_by_a_clock(context.store, timedelta(days=400))
    said = f"ended at {at:%F %T} UTC by its clock, which is later than now"
    for command in (["status", "--all"], ["status"]):
        told = shop.goldleaf(*command, exit_code=None).stdout
        assert said in told.replace("\n", " ")
        assert "the next run puts it right" in told.replace("\n", " ")
    shop.goldleaf("curate")
    assert "by its clock" not in shop.goldleaf("status").stdout
    [line] = shop.json("status", "--all")
    assert line["clock"] == ""
    assert context.store.snapshot().runs["finished_at"].max() <= datetime.now(UTC)


@pytest.mark.parametrize("behind", [timedelta(days=400), timedelta(days=20_000)])
def test_a_run_by_a_clock_that_is_behind_changes_no_time_of_others(tmp_path: Path, behind: timedelta) -> None:
    shop, context = opened(tmp_path)
    times = context.store.snapshot().runs["finished_at"].to_list()
    run_by_a_clock(context.store, -behind)
    assert context.store.snapshot().runs["finished_at"].to_list()[:-1] == times
    shop.goldleaf("curate")
    assert context.store.snapshot().runs["finished_at"].to_list()[: len(times)] == times
