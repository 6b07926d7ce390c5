"""A command under a fault of the disk: the state of an undisturbed run or one clear line, never a third thing."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

from faults_of_disks import Commands, Done, Fault, Kind
from support import offline, row, state, write_dataset

from flows.context import Context
from pipeline.ingest.row_places import current_places
from pipeline.state.tables import INDEX

TROUBLES = [
    (Kind.FULL, False),
    (Kind.FULL, True),
    (Kind.BROKEN, False),
    (Kind.BROKEN, True),
    (Kind.SHORT, False),
    (Kind.SHORT, True),
    (Kind.KILL, False),
]
"""Each kind of fault, for a moment or lasting."""


def copies(folder: Path) -> Path:
    """A dataset of which every third row is a copy, with rows that are rejected or wait for annotators."""
    topics = ("billing", "delivery", "returns")
    rows = [row(n, f"Question number {n} about my order of {n * 7} red boxes", topics[n % 3]) for n in range(36)]
    rows += [row(100 + n, f"{one['question']} please", topics[n % 3]) for n, one in enumerate(rows[:18])]
    rows += [row(200, "", "billing"), row(201, "May I change the address?", None)]
    write_dataset(folder, rows)
    return folder / "dataset.yaml"


def copies_that_moved(commands: Commands, folder: Path) -> "Series":
    """A second curate, of a file with its lines in another order and one new row."""
    dataset, home = copies(folder), folder / "before"
    _succeeds(commands.goldleaf("curate", str(dataset), home=home))
    file = folder / "data.jsonl"
    lines = [*reversed(file.read_text().splitlines()), json.dumps(row(300, "Who pays for the parcel?", "delivery"))]
    file.write_text("".join(f"{line}\n" for line in lines))
    return Series(commands, dataset, home, "curate")


def copies_without_tables(commands: Commands, folder: Path) -> "Series":
    """A curate in a home that lost its tables: it takes the splits of its own version over."""
    dataset, home = copies(folder), folder / "before"
    for verb in ("curate", "release"):
        _succeeds(commands.goldleaf(verb, str(dataset), home=home))
    shutil.rmtree(Context.load(dataset, offline(home)).store.root / "tables")
    return Series(commands, dataset, home, "curate")


def _succeeds(done: Done) -> None:
    assert done.code == 0, done.stderr


class Series:
    """One command from one state of a home, again and again with another fault."""

    def __init__(self, commands: Commands, dataset: Path, before: Path, *command: str) -> None:
        self._commands = commands
        self._dataset = dataset
        self._before = before
        self._command = (*command, str(dataset), "--json")
        home = self._home("undisturbed")
        done = commands.goldleaf(*self._command, home=home, watched=True)
        _succeeds(done)
        self.changes = [_nameless(change) for change in done.changes]
        """What the command changes below the home, call by call."""
        self.after = home
        self._expected = self._everything(home)

    def violation(self, fault: Fault) -> str:
        """What is wrong with a run under a fault or with the clean one behind it; empty if nothing is."""
        home = self._home("disturbed")
        done = self._commands.goldleaf(*self._command, home=home, fault=fault)
        problem = self._of_disturbed(home, done, fault)
        again = self._commands.goldleaf(*self._command, home=home)
        if again.code:
            problem += f"; the clean run fails: {again.stderr.strip()[-300:]}"
        elif other := self._differences(home):
            problem += f"; after a clean run it has other {other}"
        place = self.changes[fault.at - 1] if fault.at <= len(self.changes) else "the end"
        return f"{self._command[0]}, {fault} ({place}): {problem.removeprefix('; ')}" if problem else ""

    def _of_disturbed(self, home: Path, done: Done, fault: Fault) -> str:
        if done.code == -9 and fault.kind is Kind.KILL:
            return ""
        if done.code == 0:
            return f"; it succeeds with other {other}" if (other := self._differences(home)) else ""
        if not re.fullmatch(r"error: [^\n]+\n", done.stderr):
            return f"; exit code {done.code} and no clear line: {done.stderr.strip()[-300:]}"
        return ""

    def _home(self, name: str) -> Path:
        home = self._dataset.parent / f"{name}-{self._command[0]}"
        shutil.rmtree(home, ignore_errors=True)
        if self._before.exists():
            shutil.copytree(self._before, home)
        return home

    def _differences(self, home: Path) -> str:
        found = self._everything(home)
        return ", ".join(name for name, expected in self._expected.items() if found[name] != expected)

    def _everything(self, home: Path) -> dict[str, Any]:
        """The state, what the index holds, where rows are, and the bytes of the published rows."""
        store = Context.load(self._dataset, offline(home)).store
        snapshot = store.snapshot()
        index = {table.value: set(snapshot.scan(table).collect().rows()) for table in INDEX}
        files = store.releases.glob("[!.]*/data/*")
        published = {str(file.relative_to(store.releases)): file.read_bytes() for file in files}
        places = current_places(snapshot.at_last_commit()).sort("record_id").collect().rows()
        return state(store) | index | {"places": places, "rows": published}


def _nameless(change: str) -> str:
    """A change without what is another one in every run."""
    return re.sub(r"[0-9a-f]{8}-?[0-9a-f-]{24,}|\d{8}T\d{6}\.\d+Z|-[0-9a-f]{8}(?=\.parquet)", "…", change)
