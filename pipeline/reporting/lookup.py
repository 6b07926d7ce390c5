"""Finds the record meant by an id, the beginning of one, ``file:line``, or the row's own key."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from pipeline.config.dataset_file import LoadedDataset
from pipeline.errors import SourceError, StoreError
from pipeline.ingest.formats import read_rows
from pipeline.ingest.raw_rows import RawRow
from pipeline.ingest.row_keys import keys_written_so
from pipeline.ingest.row_places import current_places, ever_at
from pipeline.state.snapshot import Snapshot
from pipeline.state.tables import Table
from schemas.dataset import Source
from schemas.identity import revision_of
from schemas.user_code_errors import writable

_MOST_MATCHES = 5
_LINE_DIGITS = 18
"""Longer numbers are not line numbers, and exceed what the tables hold."""
_PASS = "pass a record id, its beginning, file:line, or the row's key"
_WORDS = 40
"""Characters of a row that are shown to distinguish it from others."""


@dataclass(frozen=True)
class FoundRecord:
    """The record that was found, and how, if that is not obvious."""

    record_id: str
    note: str = ""
    place: str = ""
    """Its current place, if the file was read for it."""


@dataclass(frozen=True)
class _Row:
    """A row as it was read once."""

    record_id: str
    revision: str
    source: str
    file: str
    line: int
    raw: bytes
    state: str
    """``current``, ``superseded`` or ``withdrawn``."""
    now: str = ""
    """Its current place, if it is current."""

    @property
    def place(self) -> str:
        return f"{self.file}:{self.line}"

    def __str__(self) -> str:
        words = " ".join(self.raw.decode("utf-8", "replace").split())
        shown = words if len(words) <= _WORDS else f"{words[: _WORDS - 1]}…"
        return f"{self.record_id[:12]} ({self.state}, {self.now or self.place}, {shown})"


def places_of(snapshot: Snapshot, record_ids: Collection[str]) -> dict[str, str]:
    """The current places of some records, as ``file:line``; those that are gone are left out."""
    named = current_places(snapshot).filter(pl.col("record_id").is_in(list(record_ids)))
    return dict(named.select("record_id", pl.format("{}:{}", "file", "line")).collect().iter_rows())


def about_lost_source(source: str, dataset: LoadedDataset | None) -> str:
    """That nothing names the source of a withdrawn record any more; empty if dataset.yaml does, or is not known."""
    if dataset is None or source in {one.name for one in dataset.config.sources}:
        return ""
    return f"source '{source}' is no longer in {dataset.path.name}; if it is named again, its rows are back"


def find_record(snapshot: Snapshot, wanted: str, dataset: LoadedDataset | None = None) -> FoundRecord:
    """The record meant by ``file:line``, by the row's own key, or by an id or the beginning of one.

    If a key is also the beginning of an id, as a short number may be by chance, the key wins.

    A line means its current content, if the dataset is given and its files can be read; else the
    row that was there when it was last read.

    Raises:
        StoreError: nothing matches, or more than one record does.
    """
    wanted = writable(wanted)
    file, _, line = wanted.rpartition(":")
    if file and line.isdecimal() and len(line) <= _LINE_DIGITS:
        return _at_place(snapshot, wanted, file, int(line), dataset)
    if found := _with_key(snapshot, wanted) or _records(snapshot, pl.col("record_id").str.starts_with(wanted.lower())):
        return FoundRecord(_only(found, wanted).record_id)
    raise StoreError(f"no record matches '{wanted}'; {_PASS}")


def _with_key(snapshot: Snapshot, wanted: str) -> list[_Row]:
    """The records whose row has this key, of any type."""
    return _records(snapshot, pl.col("key").is_in(keys_written_so(wanted))) if wanted else []


def _records(snapshot: Snapshot, which: pl.Expr) -> list[_Row]:
    """The last row of each record that ever met a condition."""
    return list({row.record_id: row for row in _rows(snapshot, which)}.values())


def _at_place(snapshot: Snapshot, wanted: str, file: str, line: int, dataset: LoadedDataset | None) -> FoundRecord:
    files = _files(snapshot, file)
    there = _in_the_files_now(files, line, dataset) if dataset else []
    now = [row for which in there for row in _rows(snapshot, which) if row.state == "current"]
    if now:
        row = _only([row for row in now if row.line == line] or now, wanted)
        note = "" if row.line == line else f"it was at {row.place} before"
        return FoundRecord(row.record_id, note, f"{row.file}:{line}")
    here = pl.col("file").is_in(files) & (pl.col("line") == line)
    once = pl.col("record_id").is_in(ever_at(snapshot, here).implode())
    ids = current_places(snapshot).filter(once, here).collect()["record_id"].to_list()
    last = [row for row in _rows(snapshot, pl.col("record_id").is_in(ids)) if row.state == "current"]
    if not last:
        # Of the rows that were on this line over time, the last one is meant.
        last = list({(row.source, row.file): row for row in _rows(snapshot, here)}.values())
    if not last:
        if keyed := _with_key(snapshot, wanted):
            return FoundRecord(_only(keyed, wanted).record_id)
        raise StoreError(_nothing_at(snapshot, wanted, files, line))
    row = _only([row for row in last if row.state == "current"] or last, wanted)
    notes = [] if row.state == "current" else [f"it was read at {row.place}, and is now {row.state}"]
    if there and dataset and row.source in {source.name for source in dataset.config.sources}:
        notes.append(f"{wanted} now has another row, which `goldleaf curate` has not read yet")
    return FoundRecord(row.record_id, "; ".join(notes))


def _files(snapshot: Snapshot, wanted: str) -> list[str]:
    """The files that were read and may be meant: that path, or any path that ends like it."""
    wanted = wanted.removeprefix("./")
    read, now = (rows.select("file").unique() for rows in (snapshot.scan(Table.RECORDS), current_places(snapshot)))
    known = pl.concat([read, now]).unique().collect().to_series().sort().to_list()
    if wanted in known:
        return [wanted]
    return [file for file in known if file.endswith(f"/{wanted}") or wanted.endswith(f"/{file}")]


def _in_the_files_now(files: Sequence[str], line: int, dataset: LoadedDataset) -> list[pl.Expr]:
    """Conditions for the rows that are now on a line of some files, one per file that has one.

    A known row that moves within its file is not read as a new one, so its line in the table may be outdated.
    """
    found = []
    for source in dataset.config.sources:
        for file in files:
            if (row := _row_now(dataset.folder / file, source, line)) is not None:
                revision = revision_of(row.raw)
                same_file = (pl.col("source") == source.name) & (pl.col("file") == file)
                found.append(same_file & (pl.col("revision") == revision))
    return found


def _row_now(path: Path, source: Source, line: int) -> RawRow | None:
    if not path.is_file():
        return None
    try:
        row = next((row for row in read_rows(path, source.format, csv=source.csv) if row.line >= line), None)
    except SourceError:
        return None
    return row if row is not None and row.line == line else None


def _rows(snapshot: Snapshot, which: pl.Expr) -> Iterator[_Row]:
    """The rows ever read that meet a condition, in order, with what became of them."""
    read = snapshot.scan(Table.RECORDS).filter(~pl.col("withdrawn") & which).sort("batch", "position").collect()
    wanted = pl.col("record_id").is_in(read["record_id"].unique().to_list())
    latest = snapshot.latest_records().filter(wanted).select("record_id", "batch", "position", "withdrawn").collect()
    last = {record_id: values for record_id, *values in latest.iter_rows()}
    places = places_of(snapshot, last)
    for row in read.iter_rows(named=True):
        batch, position, withdrawn = last[row["record_id"]]
        is_last = (row["batch"], row["position"]) == (batch, position)
        state = "withdrawn" if withdrawn else "current" if is_last else "superseded"
        values = {name: row[name] for name in ("record_id", "revision", "source", "file", "line", "raw")}
        yield _Row(state=state, now=places.get(row["record_id"], "") if state == "current" else "", **values)


def _only(rows: Sequence[_Row], wanted: str) -> _Row:
    if len(rows) == 1:
        return rows[0]
    shown = "; ".join(map(str, rows[:_MOST_MATCHES])) + ("; …" if len(rows) > _MOST_MATCHES else "")
    raise StoreError(f"'{wanted}' matches {len(rows)} records: {shown}; pass one id, or more of its digits")


def _nothing_at(snapshot: Snapshot, wanted: str, files: Sequence[str], line: int) -> str:
    """Why no row is found at a place."""
    now = current_places(snapshot)
    read = now if now.filter(pl.col("file").is_in(files)).head(1).collect().height else snapshot.scan(Table.RECORDS)
    rows = read.filter(pl.col("file").is_in(files)).select("line").unique().sort("line").collect().to_series()
    if not len(rows):
        known = read.select("file").unique().sort("file").head(3).collect().to_series()
        problem = f"no record matches '{wanted}'" + (f"; rows came from {', '.join(known)}" if len(known) else "")
    elif line < rows[0] and files[0].removesuffix(".gz").removesuffix(".zst").endswith((".csv", ".tsv")):
        return f"'{wanted}' is the header of {files[0]}; its first row begins on line {rows[0]}"
    else:
        before = rows.filter(rows < line)
        near = f", the nearest before it on line {before[-1]}" if len(before) and line < rows[-1] else ""
        problem = f"no record matches '{wanted}': rows of {files[0]} begin on lines {rows[0]} to {rows[-1]}{near}"
    return f"{problem}; {_PASS}"
