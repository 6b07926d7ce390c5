"""A folder with sources and the store that takes them in, for the tests of ingestion."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from pipeline.ingest.ingest_sources import Ingested, ingest
from pipeline.state.store import Store
from pipeline.steps import Progress
from schemas.dataset import Mode, Source
from schemas.run_summary import Verb


class Home:
    """A folder with sources and the store that takes them in."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = Store(folder / "home", "toy")
        self.read = 0

    def write(self, name: str, rows: Sequence[Any]) -> None:
        """JSONL; a text is written as its own line."""
        lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
        (self.folder / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")

    def ingest(self, *sources: Source, run: str | None = None, progress: Progress | None = None) -> Ingested:
        name = run or self.store.new_run(Verb.CURATE, "c", "0").id
        with self.store.fetching():
            read = ingest(self.store, list(sources), self.folder, name, progress, on_rows=self._count)
        # As a commit does.
        self.store.put_in_place(name)
        return read

    def _count(self, rows: int) -> None:
        self.read += rows

    def current(self) -> pl.DataFrame:
        return self.store.snapshot().current_records().collect()

    def ids(self) -> dict[str, str]:
        """The record id by raw line."""
        return {row["raw"].decode(): row["record_id"] for row in self.current().iter_rows(named=True)}


PLAIN = Source(name="s", path="data.jsonl")
KEYED = Source(name="s", path="data.jsonl", key="id")
SNAPSHOT = Source(name="s", path="data.jsonl", key="id", mode=Mode.SNAPSHOT)
LOG = Source(name="s", path="*.jsonl")
BROKEN = KEYED.model_copy(update={"most_unreadable": 1})
"""It may have nothing but rows that cannot be read."""
UPDATES = Source(name="s", path="*.jsonl", key="id")


def rows_read(home: Home, *sources: Source) -> tuple[Ingested, int]:
    """What an ingestion says, and how many rows it has read."""
    before = home.read
    said = home.ingest(*sources)
    return said, home.read - before


def contents(home: Home) -> list[str]:
    """The current rows, sorted."""
    return sorted(raw.decode() for raw in home.current()["raw"])
