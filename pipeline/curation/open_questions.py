"""Which questions are still going to be answered: those that somebody is left for, and that reached them."""

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from pipeline.config.dataset_file import LoadedDataset
from pipeline.review.queue import asked_now, in_vain
from pipeline.state.refusals import given_up
from pipeline.state.snapshot import Snapshot
from schemas.seat import SeatKind

_AGAIN = (SeatKind.SECOND, SeatKind.ADJUDICATOR)


@dataclass(frozen=True)
class OpenQuestions:
    """What of the questions about rows is still going to be answered."""

    again: frozenset[str]
    """Records that somebody else can still be asked about."""
    vain: Mapping[str, str]
    """By record that nobody is left to answer: the state of the row that was asked about."""

    def noted(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Rows with it noted about them; they have the columns ``record_id``, ``state`` and ``human``."""
        names = pl.col("record_id")
        state = names.replace_strict(dict(self.vain), default=None, return_dtype=pl.String)
        return rows.with_columns(
            open_seat=names.is_in(list(self.again)),
            in_vain=pl.col("human").is_null() & (state == pl.col("state")).fill_null(value=False),
        )


def open_questions_of(snapshot: Snapshot, dataset: LoadedDataset) -> OpenQuestions:
    """Whether a further annotator can still be asked, and which questions were asked in vain."""
    review, gone = dataset.config.review, given_up(snapshot)
    if not (gone or review.has_second):
        return OpenQuestions(frozenset(), {})
    asked = asked_now(snapshot, dataset) if review.has_seats else None
    again = {
        one.decision.record_id
        for one in asked or ()
        if one.seat.kind in _AGAIN
        and (one.annotator or not review.annotators)
        and one.key(dataset.task) not in gone
        and review.has_second
    }
    vain = {one.decision.record_id: one.decision.state for one in in_vain(snapshot, dataset, gone, asked)}
    return OpenQuestions(frozenset(again), vain)
