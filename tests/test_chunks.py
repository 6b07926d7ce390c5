"""Rows are decided in chunks of whole components: their size decides nothing."""

import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from chances import Chance
from lives import Life
from themes import THEMES, Theme

from flows.context import Context
from flows.curate import curate
from flows.engines.engine import Inline
from flows.release import release
from pipeline.curation import chunks, score_labels
from pipeline.curation.chunks import chunk_of_each, rows_of_chunks
from pipeline.curation.standing import read_standing

_FEW, _MANY = 3, 1_000_000
_OF_THE_RUN = ("file", "row", "since")
"""Columns that name the run itself."""


@pytest.fixture(params=THEMES, ids=lambda theme: theme.name)
def life(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Life]:
    theme: Theme = request.param
    (tmp_path / "life").mkdir()
    with closing(Life(tmp_path / "life", theme)) as found:
        yield found


def decided(
    life: Life, home: Path, chunk_rows: int, monkeypatch: pytest.MonkeyPatch, workers: int = 1
) -> list[pl.DataFrame]:
    """What a run that looks at everything decides in a home: decisions, the funnel, what stands."""
    monkeypatch.setattr(chunks, "CHUNK_ROWS", chunk_rows)
    context = Context.load(
        life.context.dataset.path, life.context.settings.model_copy(update={"goldleaf_home": str(home)})
    )
    result = curate(context, Inline(workers=workers), full=True, push=False, suggest=False)
    rows = context.store.snapshot().at_last_commit().current_decisions().sort("record_id").collect()
    standing = read_standing(context.store, result.run)
    assert standing is not None and standing.rows.height == rows.height
    funnel = pl.DataFrame([result.funnel.model_dump()])
    return [rows.drop("run"), funnel, standing.rows.drop(_OF_THE_RUN), standing.past]


def must_be_the_same(life: Life, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: Path | None = None) -> None:
    homes = [tmp_path / "few", tmp_path / "many"]
    for home in homes:
        shutil.rmtree(home, ignore_errors=True)
        if before is not None:
            shutil.copytree(before, home)
    few, many = (decided(life, home, rows, monkeypatch) for home, rows in zip(homes, (_FEW, _MANY), strict=True))
    for one, other in zip(few, many, strict=True):
        assert one.equals(other, null_equal=True), one.join(other, on=one.columns, how="anti", nulls_equal=True)


def test_small_chunks_decide_like_a_single_one(life: Life, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chance = Chance(14)
    life.edit([*chance.texts(16), *(edit for _ in range(4) for edit in chance.edits(6))])
    must_be_the_same(life, tmp_path, monkeypatch)
    monkeypatch.setattr(score_labels, "LEARNED_ROWS", 5)
    must_be_the_same(life, tmp_path, monkeypatch)
    monkeypatch.undo()
    for _ in range(2):
        life.edit([edit for _ in range(3) for edit in chance.edits(6)])
        curate(life.context, Inline())
        life.say(chance.sayings(12))
        life.collect()
        release(life.context, Inline())
    life.edit([edit for _ in range(3) for edit in chance.edits(6)])
    life.change(review="{budget: 3, audit: 0.5}", split="{group_by: [seen]}")
    must_be_the_same(life, tmp_path, monkeypatch, life.context.store.root.parent)


def test_chunks_that_several_processes_settle_are_settled_like_a_single_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(Life(tmp_path, THEMES[0])) as life:
        life.edit(Chance(15).texts(16))
        few, many = (
            decided(life, tmp_path / "few", _FEW, monkeypatch, workers=2),
            decided(life, tmp_path / "many", _MANY, monkeypatch),
        )
    for one, other in zip(few, many, strict=True):
        assert one.equals(other, null_equal=True)


def test_a_chunk_has_whole_components_in_the_order_of_their_first_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "CHUNK_ROWS", 2)
    components = np.array([7, 5, 7, 9, 7, 5, 1, 2], dtype=np.uint64)
    found = rows_of_chunks(chunk_of_each(components))
    assert [rows.tolist() for rows in found] == [[0, 2, 4], [1, 5], [3], [6, 7]]
    assert [rows.tolist() for rows in rows_of_chunks(chunk_of_each(components[:0]))] == [[]]
