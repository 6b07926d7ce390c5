"""Counts what became of the rows that a run is the first to see, beside what became of all."""

import polars as pl

from pipeline.state.snapshot import Snapshot
from pipeline.state.tables import Table
from schemas.fate import Fate
from schemas.run_summary import Changed, CurateFacts


def change_of(snapshot: Snapshot, rows: pl.DataFrame, fresh: pl.LazyFrame) -> Changed:
    """What has changed since the last curate.

    Args:
        snapshot: the newest state, before the decisions of the run.
        rows: ``record_id`` and ``fate`` of every current record, as the run decides.
        fresh: ``record_id`` of the decisions that differ from those before.
    """
    last = snapshot.last_run(CurateFacts)
    seen = last.inputs.get(Table.RECORDS.value, -1) if last else -1
    added = snapshot.added_since(Table.RECORDS, seen).select("record_id", "withdrawn").collect()
    ids = added["record_id"].unique()
    there = rows.filter(pl.col("record_id").is_in(ids.implode()))
    fates = dict(there["fate"].value_counts().iter_rows())
    raw = added.filter(~pl.col("withdrawn")).join(there, on="record_id", how="semi").height
    return Changed(
        raw=raw,
        superseded=raw - there.height,
        withdrawn=len(ids) - there.height,
        others=fresh.filter(~pl.col("record_id").is_in(ids.implode())).select(pl.len()).collect().item(),
        **{fate.value: fates.get(fate.value, 0) for fate in Fate},
    )
