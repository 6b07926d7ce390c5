"""The current place of every record's row, as file and line.

A known row that is read again adds nothing to the tables, so they only have its first place. But lines move
whenever a file is rewritten: later places are kept in a file beside the tables, which each ingest replaces.
"""

import polars as pl

from pipeline.errors import StoreError
from pipeline.state.snapshot import Snapshot
from pipeline.state.store import Store
from pipeline.state.tables import SCHEMAS, Table
from pipeline.state.work_files import read_work, write_work

_ROW = ["record_id", "revision"]
_PLACE = ["file", "line"]
_SCHEMA = {name: SCHEMAS[Table.RECORDS][name] for name in (*_ROW, *_PLACE)}


def moved(read: pl.DataFrame, latest: pl.DataFrame) -> pl.DataFrame:
    """The known rows that are not where they were first read.

    Args:
        read: the rows of an ingest, one per record.
        latest: the current row of every record, before it.
    """
    known = read.join(latest.select(*_ROW, *_PLACE), on=_ROW, suffix="_before", nulls_equal=True)
    elsewhere = pl.any_horizontal(pl.col(name) != pl.col(f"{name}_before") for name in _PLACE)
    return known.filter(elsewhere).select(*_SCHEMA)


def note_moved(store: Store, rows: pl.DataFrame, read: pl.Series) -> None:
    """Store where rows have moved to; rows that the ingest did not read, such as an old log's, keep their places.

    Args:
        store: of the dataset.
        rows: the result of ``moved``.
        read: the ids of all records that the ingest read.
    """
    before = _moves(store)
    kept = rows.clear() if before is None else before.filter(~pl.col("record_id").is_in(read.implode()))
    now = pl.concat([kept, rows])
    if before is None or not now.equals(before):
        write_work(now, store.moved)


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


def _read(store: Store) -> pl.DataFrame:
    try:
        return read_work(store.moved, list(_SCHEMA))
    except StoreError as error:
        raise StoreError(f"{store.moved} is corrupt; `goldleaf curate` rewrites it") from error


def _moves(store: Store) -> pl.DataFrame | None:
    """What was stored before; None if it is damaged and must be rewritten."""
    if not store.moved.exists():
        return pl.DataFrame(schema=_SCHEMA)
    try:
        return _read(store)
    except StoreError:
        return None
