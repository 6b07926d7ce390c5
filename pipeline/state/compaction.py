"""Puts a table's many small files together, and removes files that nothing refers to any more.

Every run adds a file to most tables, and a reader opens all of them. Compaction writes the rows of small files into one
and commits that as a version of its own, as Delta's OPTIMIZE does: no row changes, and a reader of an earlier version
still finds the files that it names. They are removed later, by a vacuum that keeps what a pinned version names.

A kill in between leaves a file that no version names; it is removed once it is old enough not to be in use.
"""

import json
import os
import time
import uuid
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

import polars as pl
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from pipeline.errors import StoreError
from pipeline.state.atomic import flush, unfinished, writing
from pipeline.state.table_files import COMPACTED, SHORT_OF, Log, read_log, sound_files, write_file

FEW = 8
"""Fewer small files are left as they are."""
_SMALL = 64 * 2**20
"""Bytes of a file that is rewritten; a larger one is worth being opened."""
_ROWS = 100_000
"""Rows that are held in memory at once."""
_AN_HOUR, _A_DAY = 60 * 60, 24 * 60 * 60
_TRIES = 20
_Action = dict[str, dict[str, object]]


@dataclass(frozen=True)
class Compacted:
    """What became of a table's files."""

    before: int = 0
    """Files that the newest version named."""
    after: int = 0
    removed: int = 0
    """Files that were deleted."""
    freed: int = 0
    """Bytes of these."""


def compact_table(
    folder: Path, schema: pl.Schema, bound: int, pinned: Collection[int], *, compressed: bool, now: float | None = None
) -> Compacted:
    """Put the small files of a table together, then delete those that no pinned version has named for an hour.

    Args:
        folder: of the table; the caller keeps other writers away, but for those that only append, which may go on.
        schema: its columns.
        bound: only files that this version names are put together: who asks what was added since will not find them.
            -1 for a table that is younger than that.
        pinned: the versions whose files are kept, beside the newest; -1 for one of before there was a table.
        compressed: whether compression makes its files smaller.
        now: seconds since 1970; the time of the clock if it is not given.

    Raises:
        ValueError, DeltaError: a file or the log is damaged.
        StoreError: others appended again and again.
    """
    log = read_log(folder)
    before = len(log.files)
    small = _small(log, read_log(folder, min(bound, log.version))) if bound >= 0 else []
    if len(small) >= FEW:
        _commit(folder, small, _put_together(folder, small, schema, bound, compressed), now or time.time())
        log = read_log(folder)
    kept = {log.version, *(version for version in pinned if version >= 0)}
    removed, freed = _vacuum(folder, kept, now or time.time())
    return Compacted(before, len(log.files), removed, freed)


def _small(log: Log, known: Log) -> list[tuple[str, int]]:
    there = set(known.files)
    return [file for file in log.files if file in there and file[1] <= _SMALL]


def _put_together(
    folder: Path, files: Sequence[tuple[str, int]], schema: pl.Schema, bound: int, compressed: bool
) -> tuple[Path, int, int]:
    """Write their rows into a new file; returns it, its size and its rows."""
    name = f"{COMPACTED}{bound}-{uuid.uuid4().hex}"
    return write_file(folder, _frames(folder, files, schema), schema, compressed=compressed, name=name)


def _frames(folder: Path, files: Sequence[tuple[str, int]], schema: pl.Schema) -> Iterator[pl.DataFrame]:
    """Their rows, in pieces that are worth a group of a Parquet file."""
    held: list[pl.DataFrame] = []
    for path in sound_files(folder, files):
        rows = pl.scan_parquet(path, glob=False, hive_partitioning=False, missing_columns="insert", schema=schema)
        held.append(rows.select(schema.names()).collect())
        if sum(part.height for part in held) >= _ROWS:
            yield pl.concat(held)
            held = []
    if held:
        yield pl.concat(held)


def _commit(folder: Path, old: Sequence[tuple[str, int]], new: tuple[Path, int, int], now: float) -> None:
    """Commit that one file has taken the place of others, after whatever is committed meanwhile.

    Raises:
        StoreError: others are always faster.
    """
    for _ in range(_TRIES):
        log = read_log(folder)
        try:
            _add_entry(folder / "_delta_log", log.version + 1, _actions(log, old, new, now))
        except FileExistsError:
            # A fine-tuning has just written its run, as it may: what it adds is beside the old files.
            continue
        # Who opens the table need not read an entry for every run.
        DeltaTable(folder).create_checkpoint()
        return
    new[0].unlink()
    raise StoreError(f"{folder} changed {_TRIES} times while it was compacted; run compact again")


def _add_entry(folder: Path, version: int, actions: Sequence[_Action]) -> None:
    # Not under its name before it is whole; and never in the place of another writer's entry.
    unnamed = unfinished(folder)
    with writing(unnamed, lasting=True) as sink:
        sink.write("\n".join(json.dumps(action) for action in actions).encode())
    try:
        os.link(unnamed, folder / f"{version:020}.json")
    finally:
        unnamed.unlink()
    flush(folder)


def _actions(log: Log, old: Sequence[tuple[str, int]], new: tuple[Path, int, int], now: float) -> list[_Action]:
    """The entry of the log that follows a version."""
    path, size, rows = new
    moment, stats = int(now * 1000), json.dumps({"numRecords": rows})
    left = len(log.files) - len(old) + 1
    actions: list[_Action] = [
        {"commitInfo": {"timestamp": moment, "operation": "OPTIMIZE", "operationParameters": {}}},
        # How many files a version has less than it would without any compaction: the log is checked by that.
        {"txn": {"appId": SHORT_OF, "version": log.version + 1 - left, "lastUpdated": moment}},
    ]
    for name, length in old:
        actions.append({"remove": {"path": name, "deletionTimestamp": moment, "dataChange": False, "size": length}})
    added: dict[str, object] = {"path": path.name, "size": size, "partitionValues": {}, "stats": stats}
    return [*actions, {"add": added | {"modificationTime": moment, "dataChange": False}}]


def _vacuum(folder: Path, versions: Collection[int], now: float) -> tuple[int, int]:
    """Delete the files that none of some versions names: if they were replaced an hour ago, when no reader uses them
    any more, or if no version ever named them, and their writer was killed a day ago.
    """
    kept: set[str] = set()
    for version in versions:
        try:
            kept |= {unquote(name) for name, _ in read_log(folder, version).files}
        except DeltaError:
            # A version of another day's table, in a home that was restored.
            return 0, 0
    named, gone = _history(folder)
    removed = freed = 0
    for path in folder.glob("part-*.parquet"):
        if path.name in kept:
            continue
        status = path.stat()
        is_over = gone[path.name] < now - _AN_HOUR if path.name in gone else status.st_mtime < now - _A_DAY
        if is_over and (path.name in gone or path.name not in named):
            path.unlink()
            removed, freed = removed + 1, freed + status.st_size
    return removed, freed


def _history(folder: Path) -> tuple[set[str], dict[str, float]]:
    """All files that the log ever named, and when those that were replaced were."""
    named: set[str] = set()
    gone: dict[str, float] = {}
    for entry in sorted((folder / "_delta_log").glob("*.json")):
        for line in entry.read_text(encoding="utf-8").splitlines():
            action = json.loads(line)
            if added := action.get("add"):
                named.add(unquote(added["path"]))
            if removed := action.get("remove"):
                gone[unquote(removed["path"])] = removed["deletionTimestamp"] / 1000
    return named, gone
