"""What a curate says of itself, compared with what its tables say: what it looked at, and what became of other rows."""

import itertools
import json

import polars as pl

from pipeline.state.snapshot import Snapshot
from pipeline.state.tables import Table
from schemas.run_summary import Changed, CurateSummary

_SHOWN = ("fate", "reasons", "label_error_score")


def must_say_what_changed(snapshot: Snapshot) -> None:
    """Check every committed curate but the first."""
    order = snapshot.runs.select("run", "funnel")
    decisions = snapshot.scan(Table.DECISIONS).select("run", "record_id", *_SHOWN).collect()
    records = snapshot.scan(Table.RECORDS).select("batch", "record_id").collect()
    runs = snapshot.committed_runs(CurateSummary)
    for before, run in itertools.pairwise(runs):
        assert run.summary.looked is not None
        assert run.summary.change is not None
        looked, funnel = run.summary.looked, json.loads(order.filter(run=run.id)["funnel"].item())
        current = funnel["raw"] - funnel["superseded"] - funnel["withdrawn"]
        assert looked.changed + looked.answered + looked.related + looked.untouched == current, run.id
        came = records.filter(pl.col("batch") > before.id, pl.col("batch") <= run.id)["record_id"]
        assert _of_others(decisions, order["run"].to_list(), run.id, came) == _told(run.summary.change), run.id


def _told(change: Changed) -> tuple[int, int]:
    return change.other_fates, change.others


def _of_others(decisions: pl.DataFrame, runs: list[str], run: str, came: pl.Series) -> tuple[int, int]:
    """How many rows that did not come in have another fate, and how many another one, reason or score."""
    others = decisions.filter(pl.col("run") == run, ~pl.col("record_id").is_in(came.implode()))
    earlier = decisions.filter(pl.col("run").is_in(runs), pl.col("run") < run).sort("run", maintain_order=True)
    both = others.join(earlier.unique("record_id", keep="last"), on="record_id", suffix="_before")
    differs = {name: both[name].ne_missing(both[f"{name}_before"]) for name in _SHOWN}
    any_of = differs["fate"] | differs["reasons"] | differs["label_error_score"]
    return int(differs["fate"].sum()), int(any_of.sum())
