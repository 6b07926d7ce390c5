"""The current place of every record's row, as file and line.

A known row that is read again adds nothing to the tables, so they only have its first place. But lines move
whenever a file is rewritten: later places are kept in a file beside the tables, which each ingest replaces, and so is
whether a file lost a row that its source, a log, keeps.
"""

from dataclasses import dataclass, field

import polars as pl

from pipeline.errors import StoreError
from pipeline.ingest.new_rows import NewRows
from pipeline.ingest.row_index import Index
from pipeline.state.atomic import sealed_checksum
from pipeline.state.snapshot import Snapshot
from pipeline.state.store import Store
from pipeline.state.tables import SCHEMAS, Table
from pipeline.state.work_files import read_work, write_work

_ROW = ["record_id", "revision"]
_LOST = ["record_id", "source"]
_PLACE = ["file", "line"]
_WHERE = {name: SCHEMAS[Table.RECORDS][name] for name in (*_ROW, *_PLACE)}
_SCHEMA = {**_WHERE, "gone": pl.Boolean()}


@dataclass(frozen=True)
class Unread:
    """Records without a row in any file, which their source, a log, keeps."""

    places: frozenset[tuple[str, str]] = frozenset()
    """``source`` and ``file`` of their last places, as far as they are in the index."""
    lost: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=dict.fromkeys(_LOST, pl.String)))
    """``record_id`` and ``source`` of those that were in their file until now, and are not, though others are."""


def note_moved(store: Store, run: str, new: NewRows, index: Index, files: pl.DataFrame) -> Unread:
    """Note where rows have moved to; rows without a place in any file, such as an old log's, keep their last one.

    Args:
        store: of the dataset.
        run: with its commit the new places take the place of those before.
        new: what an ingest has appended.
        index: the rows that it was chosen from; the places of all other records stay.
        files: ``source`` and ``file`` of all files that have rows.
    """
    before = _moves(store)
    if before is None and not index.is_whole:
        # Damaged during this run; the next one reads everything and rewrites them.
        return Unread()
    known = pl.DataFrame(schema=_SCHEMA) if before is None else before
    last = _last_places(new.unread, known)
    noted = _noted(last, files)
    kept = known.clear() if index.is_whole else known.filter(~pl.col("record_id").is_in(index.records.implode()))
    now = pl.concat([kept, noted.select(list(_SCHEMA)), _moved(new, index.now)]).sort("record_id")
    if before is None or not now.equals(before):
        write_work(now, store.until_commit(run, store.moved))
    lost = noted.filter("gone", ~pl.col("was_gone")).select(_LOST)
    return Unread(frozenset(last.select("source", "file").unique().iter_rows()), lost)


def _moved(new: NewRows, rows: pl.DataFrame) -> pl.DataFrame:
    """The known rows that are not where they were first read."""
    stay = rows.filter("final").join(new.wanted, on="position", how="anti")
    known = stay.join(new.latest.select(*_ROW, *_PLACE), on=_ROW, suffix="_before")
    elsewhere = pl.any_horizontal(pl.col(name) != pl.col(f"{name}_before") for name in _PLACE)
    return known.filter(elsewhere).select(*_WHERE, gone=pl.lit(False))


def _last_places(unread: pl.DataFrame, before: pl.DataFrame) -> pl.DataFrame:
    """Where the rows were that no file has any more; ``gone`` is null if that was not noted before."""
    last = unread.select(*_WHERE, "source").join(before, on=_ROW, how="left", suffix="_moved")
    return last.with_columns(pl.coalesce(f"{name}_moved", name).alias(name) for name in _PLACE)


def _noted(last: pl.DataFrame, files: pl.DataFrame) -> pl.DataFrame:
    """Those of them that had moved before, or that are gone from a file with other rows."""
    files = files.with_columns(has_others=pl.lit(True))
    rows = last.join(files, on=["source", "file"], how="left").filter(
        pl.col("gone").is_not_null() | pl.col("has_others")
    )
    was_gone = pl.col("gone").fill_null(False)
    return rows.select(*_WHERE, "source", was_gone=was_gone, gone=was_gone | pl.col("has_others").fill_null(False))


def state_of_places(store: Store, run: str = "") -> str | None:
    """What tells the places of moved rows from any others, as they are once a run is committed, if there is one; empty
    if none was ever noted, None if they are damaged.
    """
    noted = store.until_commit(run, store.moved) if run else store.moved
    noted = noted if noted.exists() else store.moved
    if not noted.exists():
        return ""
    try:
        return f"{sealed_checksum(noted):016x}"
    except (StoreError, OSError):
        return None


def current_places(snapshot: Snapshot) -> pl.LazyFrame:
    """``record_id``, ``file`` and ``line`` of every current record, in order of ingestion.

    Raises:
        StoreError: the file beside the tables is damaged.
    """
    return in_place(snapshot).select("record_id", *_PLACE)


def ever_at(snapshot: Snapshot, where: pl.Expr) -> pl.Series:
    """The records whose row was once at a place, and may be there: what is looked for among these need not be looked
    for among all.

    Args:
        snapshot: the committed state.
        where: a condition over ``file`` and ``line``.

    Raises:
        StoreError: the file beside the tables is damaged.
    """
    read = snapshot.scan(Table.RECORDS).filter(where).select("record_id").collect()
    moved = _read(snapshot.store).filter(where).select("record_id") if snapshot.store.moved.exists() else read.clear()
    return pl.concat([read, moved]).to_series().unique()


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
