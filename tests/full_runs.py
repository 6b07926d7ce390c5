"""The law of small runs: a run that looks at everything, after any chain of them, changes nothing; nor does one that
compares all texts again.

It decides in many chunks, where the chain's runs mostly have a single one: their size decides nothing, either.
"""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from flows.context import Context
from flows.curate import curate
from flows.engines.engine import Inline
from pipeline.curation import chunks
from pipeline.curation.similarity_histogram import last_similarities
from pipeline.state.decisions import MEANING
from pipeline.state.outline import outlined
from pipeline.state.tables import Table
from schemas.fate import Fate
from schemas.manifest import Funnel

_SEEN = [name for name in MEANING if name != "record_id"]


def must_agree_with_a_full_run(context: Context) -> None:
    """Decide about everything in a copy of the home, whose decisions and splits must be the same."""
    told = changed_by_a_full_run(context)
    assert not told, told[:3]


def must_agree_with_a_new_index(context: Context) -> None:
    """The same, if all texts are compared again, too."""
    told = changed_by_a_full_run(context, reindex=True)
    assert not told, told[:3]


def changed_by_a_full_run(context: Context, *, reindex: bool = False) -> list[Any]:
    """What a run over everything decides otherwise, in a copy of the home: the decisions after and before."""
    home = context.store.root.parent
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch) / "home"
        shutil.copytree(home, copy)
        settings = context.settings.model_copy(update={"goldleaf_home": str(copy)})
        beside = Context.load(context.dataset.path, settings)
        before, placed, similar = _decisions(beside), _splits(beside), last_similarities(beside.store.snapshot())
        with _many_chunks(before.height):
            result = curate(beside, Inline(), full=True, reindex=reindex, push=False, suggest=False)
        after = _decisions(beside)
        assert_frame_equal(_splits(beside), placed)
        assert last_similarities(beside.store.snapshot()) == similar
    changed = after.join(before, on=before.columns, how="anti", nulls_equal=True)
    told: list[Any] = [
        (row, before.filter(record_id=row["record_id"]).to_dicts()) for row in changed.iter_rows(named=True)
    ]
    return told or ([f"{result.decided} decisions"] if result.decided else [])


@contextmanager
def _many_chunks(rows: int) -> Iterator[None]:
    usual = chunks.CHUNK_ROWS
    chunks.CHUNK_ROWS = max(3, rows // 12)
    try:
        yield
    finally:
        chunks.CHUNK_ROWS = usual


def _decisions(context: Context) -> pl.DataFrame:
    rows = context.store.snapshot().at_last_commit().current_decisions().collect()
    score = pl.col("label_error_score").round(2)
    return rows.select("record_id", *_SEEN, score).sort("record_id")


def _splits(context: Context) -> pl.DataFrame:
    return context.store.snapshot().splits().sort("record_id").collect()


def must_know_its_outline(context: Context) -> None:
    """What is kept for those who only look, and what the tables say of it, must be the same; so must the funnel."""
    snapshot = context.store.snapshot().at_last_commit()
    told = outlined(snapshot.latest_decisions(), snapshot.current_records()).sort("record_id")
    with pytest.MonkeyPatch.context() as patch:
        # And not the tables once more.
        patch.setattr("pipeline.state.snapshot.outlined", None)
        kept = snapshot.outline
    assert_frame_equal(kept.sort("record_id"), told)
    some = told["record_id"].gather_every(3)
    assert_frame_equal(
        snapshot.of_records(some.to_list()).outline.sort("record_id"),
        told.filter(pl.col("record_id").is_in(some.implode())),
    )
    rows = snapshot.scan(Table.RECORDS).collect()
    withdrawn = snapshot.latest_records().filter("withdrawn").collect().height
    raw, ever = rows.filter(~pl.col("withdrawn")).height, rows["record_id"].n_unique()
    fates = {fate.value: told.filter(fate=fate.value).height for fate in Fate}
    assert snapshot.funnel() == Funnel(raw=raw, superseded=raw - ever, withdrawn=withdrawn, **fates)
