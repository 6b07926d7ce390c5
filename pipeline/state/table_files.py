"""The files of the Delta tables: written atomically, named by their checksum, and verified before they are read.

The table's log names its files, so a lost, truncated or changed file is detected by its length in the
log and by the checksum in its name.
"""

# Pinned versions must stay readable: nothing that a manifest refers to is cleaned up.
import json
import os
import time
import uuid
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import CommitProperties, DeltaTable, write_deltalake
from deltalake.exceptions import CommitFailedError
from deltalake.transaction import AddAction

from pipeline.errors import StoreError
from pipeline.state.atomic import checksum_of, flush, locked_folder, unfinished, writing

# Pinned versions must stay readable: nothing is cleaned up behind a manifest's back.
_TABLE_SETTINGS = {
    "delta.enableExpiredLogCleanup": "false",
    "delta.logRetentionDuration": "interval 3650 days",
    "delta.deletedFileRetentionDuration": "interval 3650 days",
}
_CHECKSUM = 8
"""Hex digits of it, at the end of a file's name."""


# --- writing --------------------------------------------------------------------------------------
def create_table(folder: Path, schema: pl.Schema) -> DeltaTable:
    """Create an empty table, unless another process is doing so just now."""
    folder.mkdir(parents=True, exist_ok=True)
    # If two processes create it at once, the second might commit an empty version.
    with locked_folder(folder):
        empty = _arrow(pl.DataFrame(schema=schema))
        write_deltalake(folder, empty, mode="ignore", configuration=_TABLE_SETTINGS)
    return DeltaTable(folder)


def add_file(
    table: DeltaTable,
    folder: Path,
    frames: Iterable[pl.DataFrame],
    schema: pl.Schema,
    how: CommitProperties,
    *,
    compressed: bool,
) -> int:
    """Write frames to one file and commit it; everything is on disk when this returns.

    Args:
        table: its current state.
        folder: of the table.
        frames: with the columns of ``schema``.
        schema: the table's columns.
        how: the commit's properties.
        compressed: whether compression makes the file smaller.

    Returns:
        The number of rows.

    Raises:
        CommitFailedError: another writer was faster, and ``how`` does not allow a retry.
        OSError: it cannot be written.
        StoreError: the log does not contain the commit.
    """
    path, action, rows = _write(folder, frames, schema, compressed)
    try:
        table.create_write_transaction([action], "append", table.schema(), commit_properties=how)
    except CommitFailedError:
        path.unlink()
        raise
    _require_logged(table, path)
    return rows


def _write(
    folder: Path, frames: Iterable[pl.DataFrame], schema: pl.Schema, compressed: bool
) -> tuple[Path, AddAction, int]:
    rows = 0
    unnamed = unfinished(folder)
    # In most columns every value is different: dictionaries took up to five times as long, and more space.
    how: dict[str, Any] = {"compression": "zstd", "compression_level": 1} if compressed else {"compression": "none"}
    with (
        writing(unnamed, lasting=True) as sink,
        pq.ParquetWriter(sink, _arrow(pl.DataFrame(schema=schema)).schema, use_dictionary=False, **how) as file,
    ):
        for frame in frames:
            file.write_table(_arrow(frame.select(pl.col(name).cast(kind) for name, kind in schema.items())))
            rows += frame.height
    path = folder / f"part-{uuid.uuid4().hex}-{sink.checksum:0{_CHECKSUM}x}.parquet"
    unnamed.replace(path)
    flush(folder)
    stats = json.dumps({"numRecords": rows})
    return path, AddAction(path.name, sink.size, {}, int(time.time() * 1000), True, stats), rows


def _require_logged(table: DeltaTable, path: Path) -> None:
    """Check that the log names a file that was just added, and make this survive a power failure."""
    folder = path.parent / "_delta_log"
    before = table.version()
    table.update_incremental()
    # Others may have added files in the meantime.
    entries = [folder / f"{version:020}.json" for version in range(before + 1, table.version() + 1)]
    mine = [entry for entry in entries if entry.is_file() and path.name in entry.read_text(encoding="utf-8")]
    if not mine:
        raise StoreError(
            f"{folder} does not name {path.name}, which was just added; check whether the disk is full or failing, "
            "then run it again"
        )
    flush(mine[0])
    flush(folder)


def _arrow(frame: pl.DataFrame) -> pa.Table:
    # In the form that older readers know: without polars' string views.
    return frame.to_arrow(compat_level=pl.CompatLevel.oldest())


# --- reading --------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Log:
    """What a table's log says about one of its versions."""

    version: int
    columns: tuple[str, ...]
    files: tuple[tuple[str, int], ...]
    """Their names, as URLs, and sizes in bytes."""


def read_log(folder: Path, version: int | None = None) -> Log:
    """Read a table's log, up to a version (default: the newest).

    A command asks for the newest version of each table many times, and opening a table takes about 4 ms: as long as
    no file of the log was added or changed, it is read once.

    Raises:
        DeltaError: there is no such version, or the log is damaged.
    """
    stamps = _stamps(folder / "_delta_log")
    # Their hash is remembered, not they: a log has an entry for each commit.
    seen = hash(tuple(sorted(stamps.items())))
    if version is None or f"{version + 1:020}.json" not in stamps:
        newest = _read_log(folder, seen, None)
        if version in (None, newest.version):
            return newest
    return _read_log(folder, seen, version)


def _stamps(folder: Path) -> dict[str, tuple[int, int, int]]:
    """Inode, size and time of change of each file in a folder, by name."""
    found: dict[str, tuple[int, int, int]] = {}
    # The folder, or a file that a writer renames just now, may be gone.
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):
                stat = entry.stat()
                found[entry.name] = stat.st_ino, stat.st_size, stat.st_mtime_ns
    return found


@lru_cache(maxsize=32)
def _read_log(folder: Path, _seen: int, version: int | None) -> Log:
    table = DeltaTable(folder, version=version)
    files = pl.DataFrame(pa.table(table.get_add_actions(flatten=True)).select(["path", "size_bytes"]))
    columns = tuple(column.name for column in table.schema().fields)
    return Log(table.version(), columns, tuple(files.iter_rows()))


def scan_files(log: Log, folder: Path, schema: pl.Schema) -> pl.LazyFrame:
    """The rows of a table at a version, lazily; each of its files was verified.

    Raises:
        ValueError: a file is corrupt, or the log names too few; the text says which and how.
    """
    # Every log entry except the first adds a file.
    if len(log.files) < log.version:
        raise ValueError(f"its log names {len(log.files):,} files at version {log.version:,}")
    if not log.files:
        return pl.LazyFrame(schema=schema)
    # Not polars' scan_delta, which takes the URLs in the log for paths and so finds nothing in a folder whose
    # path has a space or an umlaut.
    files = [_sound(folder / unquote(name), size) for name, size in log.files]
    rows = pl.scan_parquet(files, glob=False, hive_partitioning=False, missing_columns="insert", schema=schema)
    return rows.select(schema.names())


def collect_once(folder: Path, log: Log, rows: pl.LazyFrame) -> pl.DataFrame:
    """The rows of a table at a version in memory; a process reads them once, as each file's name has its checksum.

    Args:
        folder: of the table.
        log: what it says about the version.
        rows: always the same of a table, made by ``scan_files`` just now, so that all files are as they were written.
    """
    return _collected(_Rows(folder, log, rows))


@dataclass(frozen=True)
class _Rows:
    folder: Path
    log: Log
    rows: pl.LazyFrame = field(compare=False)


@lru_cache(maxsize=4)
def _collected(found: _Rows) -> pl.DataFrame:
    return found.rows.collect()


def _sound(path: Path, size: int) -> Path:
    try:
        found = path.stat()
    except FileNotFoundError as error:
        raise ValueError(f"{path.name} is missing") from error
    if found.st_size != size:
        raise ValueError(f"{path.name} has {found.st_size:,} of {size:,} bytes")
    if not _has_its_checksum(path, found.st_ino, size, found.st_mtime_ns):
        raise ValueError(f"{path.name} does not hold the bytes that were written")
    return path


@lru_cache(maxsize=2**16)
def _has_its_checksum(path: Path, _inode: int, size: int, _changed: int) -> bool:
    """Whether a file's bytes match the checksum in its name; verified once per process."""
    stem, _, told = path.stem.rpartition("-")
    if not stem.startswith("part-") or len(told) != _CHECKSUM or "." in path.stem:
        # The Delta writer used by early versions put no checksum in the name.
        return True
    with path.open("rb") as file:
        return f"{checksum_of(file, size):0{_CHECKSUM}x}" == told
