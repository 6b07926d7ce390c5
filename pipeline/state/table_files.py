"""The files of the Delta tables: written atomically, named by their checksum, and verified before they are read.

The table's log names its files, so a lost, truncated or changed file is detected by its length in the
log and by the checksum in its name.
"""

import json
import os
import time
import uuid
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import polars as pl
import pyarrow.parquet as pq
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake
from deltalake.exceptions import CommitFailedError
from deltalake.transaction import AddAction

from pipeline.errors import StoreError
from pipeline.state.atomic import checksum_of, flush, locked_folder, unfinished, writing
from pipeline.state.file_stamps import Stamp, stamp_of
from pipeline.state.mapped_rows import arrow_of
from pipeline.state.verified_files import VerifiedFiles

# Pinned versions must stay readable: nothing is cleaned up behind a manifest's back.
_TABLE_SETTINGS = {
    "delta.enableExpiredLogCleanup": "false",
    "delta.logRetentionDuration": "interval 3650 days",
    "delta.deletedFileRetentionDuration": "interval 3650 days",
}
COMPACTED = "part-until"
"""How the name of a file begins that holds the rows of others, up to a version of the table, whose number follows."""
SHORT_OF = "goldleaf-compacted"
"""What the log notes ``Log.short_of`` under."""
_ROW_GROUP = 50_000
"""Rows of a file that a reader of all of them holds in memory at once."""
_PAGE, _ROWS_TO_A_PAGE = 2**16, 64
"""Bytes of a page, which is unpacked as a whole, and after how many rows that is checked. Of a million rows 2,500 take
0.8 s instead of 1.4 s with the usual pages of a megabyte, and a file of long texts is 6% larger."""
_ROWS_AT_ONCE = 2**15
_READ_AT_ONCE = 2**20
"""Rows, and bytes of a column, of a piece of a table."""
_CHECKSUM, _EARLY_CHECKSUM = 16, 8
"""Hex digits of it at the end of a file's name: of XXH3, and of CRC-32, which earlier versions took."""


# --- writing --------------------------------------------------------------------------------------
def create_table(folder: Path, schema: pl.Schema) -> DeltaTable:
    """Create an empty table, unless another process is doing so just now."""
    folder.mkdir(parents=True, exist_ok=True)
    # If two processes create it at once, the second might commit an empty version.
    with locked_folder(folder):
        empty = arrow_of(pl.DataFrame(schema=schema))
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
    path, size, rows = write_file(folder, frames, schema, compressed=compressed, name=f"part-{uuid.uuid4().hex}")
    stats = json.dumps({"numRecords": rows})
    action = AddAction(path.name, size, {}, int(time.time() * 1000), True, stats)
    try:
        table.create_write_transaction([action], "append", table.schema(), commit_properties=how)
    except CommitFailedError:
        path.unlink()
        raise
    _require_logged(table, path)
    return rows


def restore_version(folder: Path, version: int) -> None:
    """Let a table have the rows of an earlier version again, as a new version.

    Raises:
        DeltaError: a file of it is gone.
    """
    table, files = DeltaTable(folder), len(read_log(folder, version).files)
    short = Transaction(SHORT_OF, table.version() + 1 - files)
    table.restore(version, commit_properties=CommitProperties(max_commit_retries=0, app_transactions=[short]))
    flush(folder / "_delta_log" / f"{table.version():020}.json")
    flush(folder / "_delta_log")


def write_file(
    folder: Path, frames: Iterable[pl.DataFrame], schema: pl.Schema, *, compressed: bool, name: str
) -> tuple[Path, int, int]:
    """Write frames to a file that no version names yet; returns it, its size and its rows.

    Args:
        folder: of the table.
        frames: with the columns of ``schema``.
        schema: the table's columns.
        compressed: whether compression makes the file smaller.
        name: of the file, to which its checksum is added.
    """
    rows = 0
    unnamed = unfinished(folder)
    # In most columns every value is different: dictionaries took up to five times as long, and more space.
    how: dict[str, Any] = {"compression": "zstd", "compression_level": 1} if compressed else {"compression": "none"}
    # Who asks for a few rows unpacks the pages that they are in.
    how |= {"data_page_size": _PAGE, "write_batch_size": _ROWS_TO_A_PAGE}
    with (
        writing(unnamed, lasting=True) as sink,
        pq.ParquetWriter(sink, arrow_of(pl.DataFrame(schema=schema)).schema, use_dictionary=False, **how) as file,
    ):
        for frame in frames:
            whole = arrow_of(frame.select(pl.col(name).cast(kind) for name, kind in schema.items()))
            file.write_table(whole, row_group_size=_ROW_GROUP)
            rows += frame.height
    path = folder / f"{name}-{sink.checksum:0{_CHECKSUM}x}.parquet"
    unnamed.replace(path)
    flush(folder)
    return path, sink.size, rows


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


# --- reading --------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Log:
    """What a table's log says about one of its versions."""

    version: int
    columns: tuple[str, ...]
    files: tuple[tuple[str, int], ...]
    """Their names, as URLs, and sizes in bytes."""
    short_of: int = 0
    """How many files it has less than entries, since some were put together or taken back."""

    def added_since(self, earlier: "Log") -> list[tuple[str, int]]:
        """The files whose rows an earlier version does not have; files that were put together, as far as that is
        known.
        """
        known = set(earlier.files)
        return [file for file in self.files if file not in known and not _is_known(file[0], earlier.version)]


def _is_known(name: str, version: int) -> bool:
    """Whether a file holds only rows that a version had, in other files."""
    return name.startswith(COMPACTED) and int(name.removeprefix(COMPACTED).partition("-")[0]) <= version


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
    # Not by way of pyarrow, which imports pandas: 0.2 s and 90 MB in every command.
    files = pl.DataFrame(table.get_add_actions(flatten=True).select(["path", "size_bytes"]))
    columns = tuple(column.name for column in table.schema().fields)
    short_of = table.transaction_version(SHORT_OF) or 0
    return Log(table.version(), columns, tuple(files.iter_rows()), short_of)


def scan_files(
    log: Log, folder: Path, schema: pl.Schema, only: Sequence[tuple[str, int]] | None = None
) -> pl.LazyFrame:
    """The rows of a table at a version, lazily; each of its files was verified.

    Args:
        log: names the files.
        folder: of the table.
        schema: its columns.
        only: the files that are read; all by default.

    Raises:
        ValueError: a file is corrupt, or the log names too few; the text says which and how.
    """
    # Every log entry except the first adds a file, unless it puts some together or takes some back.
    if len(log.files) < log.version - log.short_of:
        raise ValueError(f"its log names {len(log.files):,} files at version {log.version:,}")
    named = log.files if only is None else only
    if not named:
        return pl.LazyFrame(schema=schema)
    # Not polars' scan_delta, which takes the URLs in the log for paths and so finds nothing in a folder whose
    # path has a space or an umlaut.
    files = sound_files(folder, named)
    rows = pl.scan_parquet(files, glob=False, hive_partitioning=False, missing_columns="insert", schema=schema)
    return rows.select(schema.names())


def read_pieces(log: Log, folder: Path, schema: Mapping[str, pl.DataType]) -> Iterator[pl.DataFrame]:
    """Some columns of a table's rows at a version, a piece at a time, in the order of ``scan_files``.

    Memory holds a piece, however large the table is; polars would hold several groups of rows.

    Raises:
        ValueError: a file is corrupt; the text says which and how.
    """
    for path in sound_files(folder, log.files):
        with pq.ParquetFile(path, pre_buffer=False, buffer_size=_READ_AT_ONCE) as file:
            there = [column for column in schema if column in file.schema_arrow.names]
            for batch in file.iter_batches(_ROWS_AT_ONCE, columns=there):
                piece = pl.DataFrame(pl.from_arrow(batch))
                absent = [pl.lit(None).alias(column) for column in schema if column not in there]
                yield piece.with_columns(absent).select(pl.col(column).cast(kind) for column, kind in schema.items())


def sound_files(folder: Path, named: Iterable[tuple[str, int]]) -> list[Path]:
    """The verified files of some names and sizes; those that were verified before, and not changed since, are not read.

    Raises:
        ValueError: one is corrupt; the text says which and how.
    """
    verified, paths = VerifiedFiles(folder), [(folder / unquote(name), size) for name, size in named]
    found = [_sound(path, size, verified) for path, size in paths]
    verified.keep()
    return found


def _sound(path: Path, size: int, verified: VerifiedFiles) -> Path:
    now, stamp = time.time_ns(), stamp_of(path)
    if stamp is None:
        raise ValueError(f"{path.name} is missing" if not path.exists() else f"{path.name} cannot be reached")
    if stamp.size != size:
        raise ValueError(f"{path.name} has {stamp.size:,} of {size:,} bytes")
    if not verified.knows(path.name, stamp):
        if not _has_its_checksum(path, stamp):
            raise ValueError(f"{path.name} does not hold the bytes that were written")
        verified.note(path.name, stamp, now)
    return path


@lru_cache(maxsize=2**16)
def _has_its_checksum(path: Path, stamp: Stamp) -> bool:
    """Whether a file's bytes match the checksum in its name; verified once per process."""
    stem, _, told = path.stem.rpartition("-")
    if not stem.startswith("part-") or len(told) not in (_CHECKSUM, _EARLY_CHECKSUM) or "." in path.stem:
        # The Delta writer used by early versions put no checksum in the name.
        return True
    with path.open("rb") as file:
        if len(told) == _EARLY_CHECKSUM:
            early = 0
            while block := file.read(2**20):
                early = zlib.crc32(block, early)
            return f"{early:0{_EARLY_CHECKSUM}x}" == told
        return f"{checksum_of(file, stamp.size):0{_CHECKSUM}x}" == told
