"""Finds the records of a source that dataset.yaml names again, if it is one that appends: they come from the table,
whether or not a file still has them.

They were withdrawn because nothing named their source; nobody has said that they are gone.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import polars as pl

from pipeline.ingest.changed_keys import Recognized
from pipeline.state.tables import SCHEMAS, Table
from schemas.dataset import Mode, Source

_RECORD = SCHEMAS[Table.RECORDS]
_PLACE = ["record_id", "batch", "position"]
_AT_ONCE = 50_000
"""Rows that are held in memory with what they say."""


def returned_rows(
    found: Recognized, present: pl.LazyFrame, latest: pl.DataFrame, sources: Sequence[Source]
) -> pl.DataFrame:
    """The last row of every record that left with its source and that no file has any more.

    Args:
        found: all rows of all sources.
        present: the table's rows.
        latest: the current row of every record so far; its columns are those of the result.
        sources: all that are read.
    """
    here = set(latest["source"].unique())
    back = [source.name for source in sources if source.mode is Mode.APPEND and source.name not in here]
    if not back:
        return latest.clear()
    rows = present.filter(pl.col("source").is_in(back)).select(latest.columns).collect()
    marks = rows.filter("withdrawn")
    # With the last ones, none of its records were left: its source had gone. It may have been a snapshot before.
    left = marks.filter(pl.col("batch") == pl.col("batch").max().over("source"))
    read = pl.concat([found.index.now.select("record_id"), found.merged])
    gone = left.join(read, on="record_id", how="anti")
    ever = rows.filter(~pl.col("withdrawn")).sort("batch", "position")
    last = ever.unique("record_id", keep="last", maintain_order=True).join(gone, on="record_id", how="semi")
    return found.with_keys(last)


def appended_again(
    known: pl.DataFrame, present: pl.LazyFrame, run: str, first: int, *, came_now: bool
) -> Iterator[pl.DataFrame]:
    """Rows that the table has, with all its columns, to be appended with the keys that they have now.

    Args:
        known: the rows, without what they say.
        present: the table's rows.
        run: becomes their ``batch``.
        first: the position of the first of them.
        came_now: whether they come in again; otherwise they did when they came in first.
    """
    came = pl.lit(datetime.now(UTC)).cast(_RECORD["ingested_at"]) if came_now else pl.col("ingested_at")
    for part in known.iter_slices(_AT_ONCE):
        ids, keys = part["record_id"].implode(), part.select(*_PLACE, "key").lazy()
        found = present.drop("key").filter(pl.col("record_id").is_in(ids)).join(keys, on=_PLACE, maintain_order="left")
        rows = found.collect()
        yield rows.with_columns(
            batch=pl.lit(run),
            position=pl.int_range(first, first + rows.height, dtype=pl.Int64),
            ingested_at=came,
        ).select(_RECORD.names())
        first += rows.height
