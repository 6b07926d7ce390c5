"""For which seat a task was sent: the table of pushes knows, as a task's own data must not tell gold items apart."""

from collections import defaultdict
from collections.abc import Sequence

import polars as pl

from pipeline.state.snapshot import Snapshot
from pipeline.state.tables import Table
from schemas.seat import FIRST, Seat, SeatKind

IS_GOLD = pl.col("seat").str.starts_with(SeatKind.GOLD.value)
"""Over the column that ``with_seats`` adds."""


def with_seats(snapshot: Snapshot, annotations: pl.LazyFrame) -> pl.LazyFrame:
    """Annotations in their order, with the column ``seat`` of the tasks that they answer."""
    sent = _sent(snapshot).group_by("push_key").agg(pl.col("seat").first())
    told = annotations.join(sent, on="push_key", how="left", maintain_order="left")
    return told.with_columns(pl.col("seat").fill_null(str(FIRST)))


def seats_of(snapshot: Snapshot, records: Sequence[str]) -> dict[str, list[Seat]]:
    """The seats other than the first in which some records were ever asked about, by record."""
    mine = _sent(snapshot).filter(pl.col("record_id").is_in(list(records))).select("record_id", "seat").unique()
    found: defaultdict[str, list[Seat]] = defaultdict(list)
    for record_id, seat in mine.sort("record_id", "seat").collect().iter_rows():
        found[record_id].append(Seat.read(seat))
    return found


def _sent(snapshot: Snapshot) -> pl.LazyFrame:
    """Tasks for other seats than the first: homes of before there were seats have none."""
    return snapshot.scan(Table.PUSHES).filter(pl.col("seat").fill_null(str(FIRST)) != str(FIRST))
