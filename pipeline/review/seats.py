"""For which seat and by which run a task was sent: the table of pushes knows, as its own data must not tell gold."""

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


def with_runs(snapshot: Snapshot, annotations: pl.LazyFrame) -> pl.LazyFrame:
    """The same with the runs that first pulled their current states, and that sent their tasks."""
    one, task = ["server", "annotation_id", "updated_at"], ["server", "task_id", "push_key"]
    known = snapshot.scan(Table.ANNOTATIONS).group_by(one).agg(known_since=pl.col("run").min())
    sent = snapshot.scan(Table.PUSHES).group_by(task).agg(sent_in=pl.col("run").min())
    # An address that was not known at first, or has changed, is no other person's.
    email = pl.col("email").fill_null("").max().over("server", "annotator")
    told = with_seats(snapshot, annotations).with_columns(email).join(known, on=one, how="left", maintain_order="left")
    return told.join(sent, on=task, how="left", maintain_order="left")


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
