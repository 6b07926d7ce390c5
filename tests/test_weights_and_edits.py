"""What a vote weighs changes with the texts of other rows: those that are edited take their votes with them."""

import random
from pathlib import Path

import polars as pl
from desk import desk_at
from fake_studio import FakeStudio
from full_runs import must_agree_with_a_full_run
from support import row
from votes import crowd

from pipeline.state.tables import Table

_LABELS = ["billing", "delivery", "returns"]


def test_records_of_several_votes_are_decided_anew_once_the_texts_of_others_are_edited(
    studio: FakeStudio, tmp_path: Path
) -> None:
    """Only a run over everything did, so that a few rows kept labels that were not likely any more."""
    chance = random.Random(5)
    words = ["".join(chance.choices("abcdefghijklmnoprstuvw", k=7)) for _ in range(3000)]
    texts = [" ".join(chance.choices(words, k=12)) for _ in range(430)]
    votes, _ = crowd([0.97, 0.95, 0.4, 0.4, 0.4], 60)
    open_ones = [row(number, texts[number], None) for number in range(60)]
    labeled = [row(number, texts[number], _LABELS[number % 3]) for number in range(60, 400)]
    with desk_at(studio, tmp_path, open_ones + labeled, "review: {budget: 60, audit: 0.0}\n") as desk:
        desk.curate()
        tasks = dict(desk.context.store.scan(Table.PUSHES).select("record_id", "task_id").collect().iter_rows())
        for number, who, label in votes.tolist():
            desk.submit(tasks[desk.id(number)], desk.result(_LABELS[label]), f"user{who}@example.com")
        desk.collect()
        desk.curate()
        edited = [one | {"question": text} for one, text in zip(open_ones[30:], texts[400:], strict=True)]
        desk.rows(*open_ones[:30], *edited, *labeled)
        same = [desk.id(number) for number in range(30)]
        before = _decided(desk.context.store.snapshot().current_decisions(), same)
        assert not desk.curate().looked.why
        assert _decided(desk.context.store.snapshot().current_decisions(), same) != before
        must_agree_with_a_full_run(desk.context)


def _decided(decisions: pl.LazyFrame, records: list[str]) -> list[tuple[str, ...]]:
    """What became of some records."""
    rows = decisions.filter(pl.col("record_id").is_in(records)).sort("record_id")
    return rows.select("record_id", "fate", "targets").collect().rows()
