"""A home with every table in use, the ways in which a file of it may be damaged, and all who read it."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
from fake_studio import TOKEN
from store_rows import B0
from support import offline, row, state, write_dataset
from terminal import Terminal

from flows.context import Context
from pipeline.state.tables import SCHEMAS, Table

READERS = ("status", "explain", "sql", "report", "release", "curate", "collect")


def _empty(file: Path) -> None:
    file.write_bytes(b"")


def _cut(file: Path) -> None:
    data = file.read_bytes()
    file.write_bytes(data[: len(data) // 2])


def _flip(file: Path) -> None:
    data = bytearray(file.read_bytes())
    # Among the first values, before what is read of every file.
    data[len(data) // 3] ^= 1
    file.write_bytes(data)


DAMAGES: dict[str, Callable[[Path], None]] = {"emptied": _empty, "cut off": _cut, "lost": Path.unlink, "changed": _flip}


@dataclass(frozen=True)
class Home:
    """A dataset in a folder with its home, and what an undisturbed reader says of it."""

    folder: Path
    url: str
    """Of a Label Studio."""

    @property
    def terminal(self) -> Terminal:
        return Terminal(self.folder, self.url, TOKEN)

    @property
    def state(self) -> dict[str, Any]:
        return state(Context.load(self.folder / "dataset.yaml", offline(self.terminal.home)).store)

    def files(self, table: Table, log: bool = False) -> list[Path]:
        """A table's files, or those of its log, the newest last."""
        folder = self.terminal.home / "questions" / "tables" / table
        found = folder.glob("_delta_log/*.json" if log else "*.parquet")
        return sorted(found, key=lambda file: (file.stat().st_mtime_ns, file.name))

    def copy(self, folder: Path) -> "Home":
        shutil.copytree(self.folder, folder)
        return Home(folder, self.url)

    def read(self, reader: str) -> str:
        """What a reader says that must be right: its numbers, and the rows it shows or publishes."""
        found = self.terminal
        match reader:
            case "status":
                shown = found.json("status")
                return json.dumps([shown["accepted"], shown["duplicate"], shown["raw"], shown["review"]])
            case "explain":
                shown = found.json("explain", "data.jsonl:2")
                return json.dumps([shown["decisions"][-1]["fate"], shown["split"]])
            case "sql":
                return json.dumps(found.json("sql", "select fate, count(*) from current group by fate order by fate"))
            case "report":
                found.goldleaf("report", "--to", "report.html")
                return (self.folder / "report.html").read_text(encoding="utf-8").split("<h2")[1][:2000]
            case _:
                found.goldleaf(reader, "--json")
                return json.dumps(self.state, default=str, sort_keys=True)


def every_table(folder: Path, url: str) -> Home:
    """Two batches, an evaluation set, a version, a question that was sent and its answer: all tables have two files."""
    topics = ("billing", "delivery", "returns")
    rows = [row(n, f"Question number {n} about my order of {n * 7} red boxes", topics[n % 3]) for n in range(24)]
    rows += [row(30 + n, f"Question number {n} about my order of {n * 7} red boxes too", topics[n % 3]) for n in (3, 5)]
    (folder / "exam.jsonl").write_text('{"question": "What does the box cost?", "topic": "billing"}\n')
    more = "decontaminate: {against: [{name: exam, path: exam.jsonl}]}\n"
    write_dataset(folder, rows[:20], more)
    home = Home(folder, url)
    terminal = Terminal(folder)
    terminal.goldleaf("curate")
    terminal.goldleaf("release")
    write_dataset(folder, rows, more)
    terminal.goldleaf("curate")
    terminal.goldleaf("release")
    store = Context.load(folder / "dataset.yaml", offline(terminal.home)).store
    now = datetime.now(UTC)
    for table in (Table.PUSHES, Table.ANNOTATIONS):
        # As a server would have left them about a row that is gone.
        columns = SCHEMAS[table]
        values = {
            name: "first"
            if name == "seat"
            else "x"
            if kind == pl.String
            else 1
            if kind == pl.Int64
            else now
            if kind == pl.Datetime
            else None
            for name, kind in columns.items()
        }
        for number in (1, 2):
            store.append(table, pl.DataFrame([values | {"task_id": number, "run": B0}], schema=columns))
    terminal.goldleaf("curate")
    return home
