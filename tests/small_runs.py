"""A home of many small runs: new, edited and withdrawn rows, answers and versions in between."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl
from desk import Desk, desk_at
from fake_studio import FakeStudio
from forked import Point, command
from full_runs import must_know_its_outline
from support import row, write_rows

from flows.context import Context
from flows.curate import curate
from flows.engines.engine import Inline
from flows.release import release
from pipeline.curation.small_files import compact
from pipeline.releases.versions import list_versions
from pipeline.reporting.status import read_status
from pipeline.state.compaction import Compacted
from pipeline.state.table_files import read_log
from pipeline.state.tables import INDEX, Table
from schemas.run_summary import Looked

Night = tuple[Looked, list[dict[str, Any]]]
"""What a run has looked at, and what is decided after it."""

TOPICS = ("billing", "delivery", "returns")
_FIRST = 320


def rows(night: int) -> list[dict[str, Any]]:
    """The rows of a night: one more than the night before, one of the old ones edited, some copies, some gone.

    So few that what judges labels is not trained anew in two weeks.
    """
    made = [row(key, f"Where is parcel {key * 11} of order {key}?", TOPICS[key % 3]) for key in range(_FIRST + night)]
    for key in range(min(night, _FIRST)):
        made[key] |= {"question": f"What of parcel {key * 13}, edited in night {key}?"}
    if night % 4 == 3:
        del made[-2]
    return [*made, row(9_000 + night // 2, made[5]["question"], TOPICS[2])]


@contextmanager
def nights(studio: FakeStudio, folder: Path, count: int) -> Iterator[Desk]:
    """A dataset after some nights."""
    folder.mkdir(parents=True, exist_ok=True)
    with desk_at(studio, folder, rows(0), "review: {budget: 4, audit: 0.2}\n") as desk:
        file = desk.folder / "dataset.yaml"
        file.write_text(file.read_text().replace("license: MIT", "license: MIT, mode: snapshot"))
        for night in range(count):
            one_night(desk, night)
        yield desk


def one_night(desk: Desk, night: int) -> None:
    """What comes in by night, what is answered the next day, and now and then a version."""
    desk.rows(*rows(night))
    desk.curate()
    open_ones = [task for task in desk.tasks() if not task["annotations"]]
    if night % 3 == 1 and open_ones:
        desk.submit(open_ones[0]["id"], desk.result("returns"))
        desk.collect()
    if night % 5 == 2:
        release(desk.context, Inline())


def told(desk: Desk) -> dict[str, Any]:
    """What the tables say, in any order of their files, and what a reader sees."""
    store = desk.context.store
    tables = {table.value: store.scan(table).collect().sort(pl.all().exclude(pl.Binary)).to_dicts() for table in Table}
    return {"tables": tables, "status": read_status(desk.context).model_dump(mode="json")}


def pinned(desk: Desk) -> dict[tuple[str, str], list[dict[str, Any]]]:
    """What each version saw in every table but the index; there is a version."""
    store = desk.context.store
    versions = list_versions(store.releases)
    assert versions
    return {
        (manifest.version, table): store.scan(Table(table), version)
        .collect()
        .sort(pl.all().exclude(pl.Binary))
        .to_dicts()
        for manifest in versions
        for table, version in manifest.inputs.items()
        if table not in INDEX
    }


def files_of(desk: Desk) -> int:
    """How many files there are of tables and of derived rows."""
    root = desk.context.store.root
    return len(list(root.glob("tables/*/part-*.parquet"))) + len(list(root.glob("derived/*/*.arrow")))


def opened(desk: Desk) -> int:
    """How many files of tables and of derived rows hold what counts now: these are what commands open."""
    root, store = desk.context.store.root, desk.context.store
    there = [table for table in Table if store.version(table) >= 0]
    tables = sum(len(read_log(root / "tables" / table.value).files) for table in there)
    return tables + len(list(root.glob("derived/*/*.arrow")))


def compacted(desk: Desk, now: float | None = None) -> dict[str, Compacted]:
    """Compact, and check that nothing else has changed."""
    before = told(desk), pinned(desk)
    found = compact(desk.context.store, now)
    assert (told(desk), pinned(desk)) == before
    return found


def killed_compaction(desk: Desk, point: Point) -> None:
    """Compact in a process that is killed at a point."""
    environment = {"GOLDLEAF_HOME": str(desk.folder / "home"), "LABEL_STUDIO_URL": "", "PREFECT_API_URL": ""}
    command("compact", str(desk.folder / "dataset.yaml"), environment=environment, killed_at=point)


def copy_of(desk: Desk, folder: Path) -> Path:
    """A copy of the dataset with its home."""
    shutil.copytree(desk.folder, folder)
    return folder


def next_night(desk: Desk, folder: Path, night: int) -> Night:
    """What another night would look at and decide, in a copy; in every fourth one a row comes back."""
    copy = copy_of(desk, folder)
    settings = desk.settings.model_copy(update={"goldleaf_home": str(copy / "home")})
    write_rows(copy, rows(night))
    context = Context.load(copy / "dataset.yaml", settings)
    result = curate(context, Inline(), push=False)
    must_know_its_outline(context)
    decisions = context.store.snapshot().at_last_commit().current_decisions().drop("run").sort("record_id").collect()
    return result.looked, decisions.to_dicts()
