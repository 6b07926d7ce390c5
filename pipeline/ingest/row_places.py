"""The current place of every record's row, as file and line.

A known row that is read again adds nothing to the tables, so they only have its first place. But lines move
whenever a file is rewritten: later places are kept in a file beside the tables, which each ingest replaces, and so is
whether a file lost a row that its source, a log, keeps.
"""

import polars as pl

from pipeline.errors import StoreError
from pipeline.state.snapshot import Snapshot
from pipeline.state.store import Store
from pipeline.state.tables import SCHEMAS, Table
from pipeline.state.work_files import read_work, write_work

_ROW = ["record_id", "revision"]
_PLACE = ["file", "line"]
_WHERE = {name: SCHEMAS[Table.RECORDS][name] for name in (*_ROW, *_PLACE)}
_SCHEMA = {**_WHERE, "gone": pl.Boolean()}


def moved(read: pl.DataFrame, latest: pl.DataFrame) -> pl.DataFrame:
    """The known rows that are not where they were first read.

    Args:
        read: the rows of an ingest, one per record.
        latest: the current row of every record, before it.
    """
    known = read.join(latest.select(*_ROW, *_PLACE), on=_ROW, suffix="_before", nulls_equal=True)
    elsewhere = pl.any_horizontal(pl.col(name) != pl.col(f"{name}_before") for name in _PLACE)
    return known.filter(elsewhere).select(*_WHERE, gone=pl.lit(False))


def note_moved(store: Store, rows: pl.DataFrame, unread: pl.DataFrame, files: pl.DataFrame) -> None:
    """Store where rows have moved to; rows that the ingest did not read, such as an old log's, keep their places.

    Args:
        store: of the dataset.
        rows: the result of ``moved``.
        unread: the current row of every record that the ingest did not read.
        files: ``source`` and ``file`` of all rows that it read.
    """
    before = _moves(store)
    kept = _unread(unread, rows.clear() if before is None else before, files)
    now = pl.concat([kept, rows])
    if before is None or not now.equals(before):
        write_work(now, store.moved)


def _unread(unread: pl.DataFrame, before: pl.DataFrame, files: pl.DataFrame) -> pl.DataFrame:
    """The unread rows that have moved before, or that are gone from a file that was read."""
    last = unread.select(*_WHERE, "source").join(before, on=_ROW, how="left", suffix="_moved", maintain_order="left")
    last = last.with_columns(pl.coalesce(f"{name}_moved", name).alias(name) for name in _PLACE)
    was_read = files.select("source", "file").unique().with_columns(was_read=pl.lit(True))
    last = last.join(was_read, on=["source", "file"], how="left", maintain_order="left")
    noted = last.filter(pl.col("gone").is_not_null() | pl.col("was_read"))
    found = noted.select(*_WHERE, gone=pl.col("gone").fill_null(False) | pl.col("was_read").fill_null(False))
    return found.sort("record_id")


def current_places(snapshot: Snapshot) -> pl.LazyFrame:
    """``record_id``, ``file`` and ``line`` of every current record, in order of ingestion.

    Raises:
        StoreError: the file beside the tables is damaged.
    """
    return in_place(snapshot).select("record_id", *_PLACE)


def in_place(snapshot: Snapshot) -> pl.LazyFrame:
    """The current records, in order of ingestion, each with the file and line of its row.

    Raises:
        StoreError: the file beside the tables is damaged.
    """
    first = snapshot.current_records()
    if not snapshot.store.moved.exists():
        return first
    now = first.join(_read(snapshot.store).lazy(), on=_ROW, how="left", suffix="_now", maintain_order="left")
    placed = now.with_columns(pl.coalesce(f"{name}_now", name).alias(name) for name in _PLACE)
    return placed.select(SCHEMAS[Table.RECORDS].names())


def gone_from_files(snapshot: Snapshot) -> pl.LazyFrame:
    """``record_id`` of the current records whose file was read since and no longer has their row, as a log's may.

    Their place is the last one, and may hold another row now. The rows of all others are there.

    Raises:
        StoreError: the file beside the tables is damaged.
    """
    if not snapshot.store.moved.exists():
        return pl.LazyFrame(schema={"record_id": pl.String})
    gone = _read(snapshot.store).filter("gone").lazy()
    return snapshot.current_records().join(gone, on=_ROW, how="semi").select("record_id")


def _read(store: Store) -> pl.DataFrame:
    try:
        rows = read_work(store.moved)
    except StoreError as error:
        raise StoreError(f"{store.moved} is corrupt; `goldleaf curate` rewrites it") from error
    # Homes from before it was noted do not have the column until the next curate.
    return rows.select(*_WHERE, *(["gone"] if "gone" in rows.columns else [pl.lit(False).alias("gone")]))


def _moves(store: Store) -> pl.DataFrame | None:
    """What was stored before; None if it is damaged and must be rewritten."""
    if not store.moved.exists():
        return pl.DataFrame(schema=_SCHEMA)
    try:
        return _read(store)
    except StoreError:
        return None
