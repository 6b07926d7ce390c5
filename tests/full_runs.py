"""The law of small runs: a run that looks at everything, after any chain of them, changes nothing."""

import shutil
import tempfile
from pathlib import Path

import polars as pl
from polars.testing import assert_frame_equal

from flows.context import Context
from flows.curate import curate
from flows.engines.engine import Inline
from pipeline.state.decisions import MEANING
from pipeline.state.outline import outlined
from pipeline.state.tables import Table
from schemas.fate import Fate
from schemas.manifest import Funnel

_SEEN = [name for name in MEANING if name != "record_id"]


def must_agree_with_a_full_run(context: Context) -> None:
    """Decide about everything in a copy of the home, whose decisions must be the same."""
    home = context.store.root.parent
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch) / "home"
        shutil.copytree(home, copy)
        settings = context.settings.model_copy(update={"goldleaf_home": str(copy)})
        beside = Context.load(context.dataset.path, settings)
        before = _decisions(beside)
        result = curate(beside, Inline(), full=True, push=False, suggest=False)
        after = _decisions(beside)
    changed = after.join(before, on=before.columns, how="anti", nulls_equal=True)
    told = [
        (row, before.filter(record_id=row["record_id"]).to_dicts()) for row in changed.head(3).iter_rows(named=True)
    ]
    assert changed.is_empty() and result.decided == 0, told


def _decisions(context: Context) -> pl.DataFrame:
    rows = context.store.snapshot().at_last_commit().current_decisions().collect()
    score = pl.col("label_error_score").round(2)
    return rows.select("record_id", *_SEEN, score).sort("record_id")


def must_know_its_outline(context: Context) -> None:
    """What is kept for those who only look, and what the tables say of it, must be the same; so must the funnel."""
    snapshot = context.store.snapshot().at_last_commit()
    told = outlined(snapshot.latest_decisions(), snapshot.current_records()).sort("record_id")
    assert_frame_equal(snapshot.outline.sort("record_id"), told)
    rows = snapshot.scan(Table.RECORDS).collect()
    withdrawn = snapshot.latest_records().filter("withdrawn").collect().height
    raw, ever = rows.filter(~pl.col("withdrawn")).height, rows["record_id"].n_unique()
    fates = {fate.value: told.filter(fate=fate.value).height for fate in Fate}
    assert snapshot.funnel() == Funnel(raw=raw, superseded=raw - ever, withdrawn=withdrawn, **fates)
