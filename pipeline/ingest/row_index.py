"""The rows of all sources as columns, each with the id of its record: all of them, or those that a change concerns.

A change concerns a record if a file has gained or lost a row of it, or has it on another line. Whatever is asked about
a record can be answered from its own rows alone, in all files: the others need not be looked at.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from pipeline.ingest.narrow_rows import NO_HALVES, NO_ROWS, Halves, Rows, among, as_frame, halves_of, halves_that_differ
from pipeline.ingest.read_cache import FileRead, ReadCache, SourcesRead
from pipeline.ingest.row_keys import content_key
from pipeline.ingest.sources import FileReading, SourceReading
from pipeline.state.tables import SCHEMAS, Table

_RECORD = SCHEMAS[Table.RECORDS]
INDEX = pl.Schema(
    {name: _RECORD[name] for name in ("record_id", "revision", "key", "source", "file", "line", "position")}
    | {
        "by_content": pl.Boolean(),
        "has_error": pl.Boolean(),
        # Read in this run, so that its bytes are at hand.
        "is_fresh": pl.Boolean(),
        # The last row of its record.
        "final": pl.Boolean(),
    }
)
"""Of each row its identity and place; ``key`` is only filled in for rows by content."""
_Part = tuple[str, int, Rows, bool]
"""The name of a file, the position of the first of some of its rows, these, and whether they are fresh."""


@dataclass(frozen=True)
class Index:
    """Rows as they are, and as they were read before."""

    now: pl.DataFrame
    """With the columns of ``INDEX``, in order of position."""
    before: pl.DataFrame
    """The rows of the same records as an earlier run has read them; none if that is not known."""
    is_whole: bool
    """Whether it has all rows there are, not just those that a change concerns."""

    @property
    def records(self) -> pl.Series:
        """The ids of all its records."""
        return pl.concat([self.now["record_id"], self.before["record_id"]]).unique()


def whole_index(readings: Sequence[SourceReading]) -> Index:
    """All rows, all of them fresh."""
    parts = [_numbered(one, _all(_parts_now(one, None))) for one in readings]
    return Index(_concatenated(parts), _concatenated([]), is_whole=True)


def changed_index(readings: Sequence[SourceReading], known: SourcesRead, cache: ReadCache) -> Index:
    """The rows of the records that a change concerns.

    Raises:
        NotEnough: what was read before is damaged.
    """
    sources = {source.name: source.files for source in known.sources}
    now, before = [], []
    for one in readings:
        files = sources.get(one.source.name, ())
        halves = _changed(one.files, files, cache)
        if len(halves):
            now.append(_numbered(one, _picked(_parts_now(one, cache), halves)))
            before.append(_numbered(one, _picked(_parts_before(files, cache), halves)))
    return Index(_concatenated(now), _concatenated(before), is_whole=False)


def _changed(files: Sequence[FileReading], before: Sequence[FileRead], cache: ReadCache) -> Halves:
    """Halves of the identities of the rows that were added, are gone, or are on another line."""
    present = {file.name for file in files}
    found = [halves_of(cache.rows(file)) for file in before if file.name not in present]
    for file in files:
        fresh = _joined(file.fresh)
        if file.before is not None and not file.goes_on:
            found.append(halves_that_differ(cache.rows(file.before), fresh))
        elif len(fresh):
            found.append(halves_of(fresh))
    halves: Halves = np.unique(np.concatenate([NO_HALVES, *found]))
    return halves


def _joined(parts: Sequence[Rows]) -> Rows:
    return np.concatenate([NO_ROWS, *parts])


# --- the rows of a source -------------------------------------------------------------------------
def _parts_now(reading: SourceReading, cache: ReadCache | None) -> Iterator[_Part]:
    for file in reading.files:
        if cache is not None and file.before is not None and file.kept:
            yield file.name, file.start, cache.rows(file.before), False
        first = file.start + file.kept
        for rows in file.fresh:
            yield file.name, first, rows, True
            first += len(rows)


def _parts_before(files: Iterable[FileRead], cache: ReadCache) -> Iterator[_Part]:
    start = 0
    for file in files:
        yield file.name, start, cache.rows(file), False
        start += file.found.rows


def _all(parts: Iterable[_Part]) -> Iterator[pl.DataFrame]:
    for name, start, rows, is_fresh in parts:
        yield _placed(name, np.arange(start, start + len(rows)), rows, is_fresh)


def _picked(parts: Iterable[_Part], halves: Halves) -> Iterator[pl.DataFrame]:
    for name, start, rows, is_fresh in parts:
        places = among(rows, halves)
        if len(places):
            yield _placed(name, start + places, rows[places], is_fresh)


def _placed(name: str, positions: npt.NDArray[np.int64], rows: Rows, is_fresh: bool) -> pl.DataFrame:
    return as_frame(rows).with_columns(
        pl.Series("position", positions, dtype=_RECORD["position"]), file=pl.lit(name), is_fresh=pl.lit(is_fresh)
    )


def _numbered(reading: SourceReading, frames: Iterable[pl.DataFrame]) -> pl.DataFrame:
    """Rows of a source with their record ids; those by content are numbered among the copies of the same content."""
    found, source = list(frames), reading.source.name
    if not found:
        return pl.DataFrame(schema=INDEX)
    rows = pl.concat(found).with_columns(source=pl.lit(source), key=pl.lit(None, dtype=pl.String), record_id="identity")
    if rows["by_content"].any():
        number = pl.int_range(1, pl.len() + 1).over("revision", "by_content")
        copies = rows.select("revision", "by_content", number=number)
        keys = [content_key(one, copy) if by_content else None for one, by_content, copy in copies.iter_rows()]
        ids = [key if key is None else reading.record_id(key) for key in keys]
        named = (pl.Series(name, values, dtype=pl.String) for name, values in (("key", keys), ("other_id", ids)))
        rows = rows.with_columns(*named).with_columns(record_id=pl.coalesce("other_id", "record_id"))
    final = pl.col("position") == pl.col("position").max().over("record_id")
    return rows.with_columns(final=final).select(INDEX.names())


def _concatenated(frames: Sequence[pl.DataFrame]) -> pl.DataFrame:
    return pl.concat([pl.DataFrame(schema=INDEX), *frames])


# --- what follows ---------------------------------------------------------------------------------
def superseded(rows: pl.DataFrame, *within: str) -> dict[str, int]:
    """How many rows of each source, with the columns of ``INDEX``, have another content than the last of their key,
    within a file or all of them.
    """
    last = pl.col("revision").sort_by("position").last().over("record_id", *within)
    counts = rows.with_columns(superseded=pl.col("revision") != last).group_by("source").agg(pl.col("superseded").sum())
    return dict(counts.iter_rows())
