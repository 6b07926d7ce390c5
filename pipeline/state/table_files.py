"""The files of the Delta tables: written whole and named by their checksum, looked at before they are read.

The table's log names its files, and so a file that was lost, cut off or changed is found out: by the length that the
log has of it, and by the checksum in its name.
"""

import json
import time
import uuid
from collections.abc import Iterable
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
"""Hex digits of it, the last thing in a file's name."""


# --- writing --------------------------------------------------------------------------------------
def create_table(folder: Path, schema: pl.Schema) -> DeltaTable:
    """Create a table without rows, unless another process does so just now."""
    folder.mkdir(parents=True, exist_ok=True)
    # Of two processes that create it at once, the second might commit an empty version.
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
    """Write frames to one file and commit it; all of it is on the disk when this returns.

    Args:
        table: as it is now.
        folder: of the table.
        frames: with the columns of ``schema``.
        schema: the table's columns.
        how: the commit's properties.
        compressed: whether that makes the file shorter.

    Returns:
        The number of rows.

    Raises:
        CommitFailedError: another writer was faster, and ``how`` does not let this one try again.
        OSError: it cannot be written.
        StoreError: the log does not say what it was told.
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
    # Most columns have another value in each row: dictionaries of them took up to five times as long, and more room.
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
    """See that the log names a file that was just added, and that a loss of power does not take this back."""
    folder = path.parent / "_delta_log"
    before = table.version()
    table.update_incremental()
    # Others may have added files meanwhile.
    entries = [folder / f"{version:020}.json" for version in range(before + 1, table.version() + 1)]
    mine = [entry for entry in entries if entry.is_file() and path.name in entry.read_text(encoding="utf-8")]
    if not mine:
        raise StoreError(
            f"{folder} does not name {path.name}, which was just added; see whether the disk is full or not sound, "
            "then run it again"
        )
    flush(mine[0])
    flush(folder)


def _arrow(frame: pl.DataFrame) -> pa.Table:
    # As older readers know it: without polars' string views.
    return frame.to_arrow(compat_level=pl.CompatLevel.oldest())


# --- reading --------------------------------------------------------------------------------------
def scan_files(table: DeltaTable, folder: Path, schema: pl.Schema) -> pl.LazyFrame:
    """The rows of a table at its version, lazily; each of its files was looked at.

    Raises:
        ValueError: one is not as it was written, or the log names too few; says which and how.
    """
    named = pl.DataFrame(pa.table(table.get_add_actions(flatten=True)).select(["path", "size_bytes"]))
    # Every entry of the log but the first one adds a file.
    if named.height < table.version():
        raise ValueError(f"its log names {named.height:,} files at version {table.version():,}")
    if not named.height:
        return pl.LazyFrame(schema=schema)
    # Not polars' scan_delta, which takes the URLs in the log for paths and so finds nothing below a folder with a
    # space or an umlaut in its name.
    files = [_sound(folder / unquote(name), size) for name, size in named.iter_rows()]
    rows = pl.scan_parquet(files, glob=False, hive_partitioning=False, missing_columns="insert", schema=schema)
    return rows.select(schema.names())


def _sound(path: Path, size: int) -> Path:
    try:
        found = path.stat()
    except FileNotFoundError as error:
        raise ValueError(f"{path.name} is not there") from error
    if found.st_size != size:
        raise ValueError(f"{path.name} has {found.st_size:,} of {size:,} bytes")
    if not _has_its_checksum(path, found.st_ino, size, found.st_mtime_ns):
        raise ValueError(f"{path.name} holds other bytes than were written")
    return path


@lru_cache(maxsize=2**16)
def _has_its_checksum(path: Path, _inode: int, size: int, _changed: int) -> bool:
    """Whether a file's bytes are those that its name tells; a process sums it up once."""
    stem, _, told = path.stem.rpartition("-")
    if not stem.startswith("part-") or len(told) != _CHECKSUM or "." in path.stem:
        # The table's own writer, which once wrote it, named no checksum.
        return True
    with path.open("rb") as file:
        return f"{checksum_of(file, size):0{_CHECKSUM}x}" == told
