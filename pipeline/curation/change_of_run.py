"""Counts what became of the rows that a run is the first to see, beside what became of all."""

import polars as pl

from pipeline.state.snapshot import Snapshot
from pipeline.state.tables import Table
from schemas.fate import Fate
from schemas.run_summary import Changed, CurateFacts

# What the reasons say is long: of many rows only this is held.
_SEEN = [pl.col("record_id"), pl.col("fate"), pl.col("reasons").hash(), pl.col("label_error_score").alias("score")]
"""What of a decision a reader sees change."""


def change_of(snapshot: Snapshot, rows: pl.DataFrame, fresh: pl.LazyFrame) -> Changed:
    """What has changed since the last curate.

    Args:
        snapshot: the newest state, before the decisions of the run.
        rows: ``record_id`` and ``fate`` of every current record, as the run decides.
        fresh: the decisions that differ from those before, as rows of their table.
    """
    last = snapshot.last_run(CurateFacts)
    seen = last.inputs.get(Table.RECORDS.value, -1) if last else -1
    added = snapshot.added_since(Table.RECORDS, seen).select("record_id", "withdrawn").collect()
    ids = added["record_id"].unique()
    there = rows.filter(pl.col("record_id").is_in(ids.implode()))
    fates = dict(there["fate"].value_counts().iter_rows())
    raw = added.filter(~pl.col("withdrawn")).join(there, on="record_id", how="semi").height
    others = fresh.filter(~pl.col("record_id").is_in(ids.implode())).select(_SEEN).collect()
    fate, finding = _moved(snapshot.at_last_commit(), others)
    return Changed(
        raw=raw,
        superseded=raw - there.height,
        withdrawn=len(ids) - there.height,
        others=fate + finding,
        other_fates=fate,
        **{fate.value: fates.get(fate.value, 0) for fate in Fate},
    )


def _moved(before: Snapshot, others: pl.DataFrame) -> tuple[int, int]:
    """How many rows have another fate than after the last run, and how many another reason or score only."""
    if others.is_empty():
        return 0, 0
    outline, later = before.last_outline()
    known = before.latest_decisions() if outline is None else outline.lazy()
    mine = pl.col("record_id").is_in(others["record_id"].implode())
    had = [rows.filter(mine).select(_SEEN).collect() for rows in (known, later) if rows is not None]
    both = others.join(pl.concat(had).unique("record_id", keep="last", maintain_order=True), on="record_id")
    fate = both["fate"].ne_missing(both["fate_right"])
    finding = both["reasons"].ne_missing(both["reasons_right"]) | both["score"].ne_missing(both["score_right"])
    return int(fate.sum()), int((finding & ~fate).sum())
