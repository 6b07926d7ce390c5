"""The law of small runs: a run that looks at everything, after any chain of them, changes nothing.

It decides in many small chunks, where the chain's runs mostly have a single one: their size decides nothing, either.
"""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl

from flows.context import Context
from flows.curate import curate
from flows.engines.engine import Inline
from pipeline.curation import chunks
from pipeline.state.decisions import MEANING

_SEEN = [name for name in MEANING if name != "record_id"]


def must_agree_with_a_full_run(context: Context) -> None:
    """Decide about everything in a copy of the home, whose decisions must be the same."""
    told = changed_by_a_full_run(context)
    assert not told, told[:3]


def changed_by_a_full_run(context: Context) -> list[Any]:
    """What a run over everything decides otherwise, in a copy of the home: the decisions after and before."""
    home = context.store.root.parent
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch) / "home"
        shutil.copytree(home, copy)
        settings = context.settings.model_copy(update={"goldleaf_home": str(copy)})
        beside = Context.load(context.dataset.path, settings)
        before = _decisions(beside)
        with _small_chunks():
            result = curate(beside, Inline(), full=True, push=False, suggest=False)
        after = _decisions(beside)
    changed = after.join(before, on=before.columns, how="anti", nulls_equal=True)
    told: list[Any] = [
        (row, before.filter(record_id=row["record_id"]).to_dicts()) for row in changed.iter_rows(named=True)
    ]
    return told or ([f"{result.decided} decisions"] if result.decided else [])


@contextmanager
def _small_chunks() -> Iterator[None]:
    usual = chunks.CHUNK_ROWS
    chunks.CHUNK_ROWS = 3
    try:
        yield
    finally:
        chunks.CHUNK_ROWS = usual


def _decisions(context: Context) -> pl.DataFrame:
    rows = context.store.snapshot().at_last_commit().current_decisions().collect()
    score = pl.col("label_error_score").round(2)
    return rows.select("record_id", *_SEEN, score).sort("record_id")
