"""Which questions are still going to be answered: those that somebody is left for, and that reached them."""

from collections.abc import Iterable

import polars as pl

from pipeline.config.dataset_file import LoadedDataset
from pipeline.curation.case import Case
from pipeline.review.queue import asked_now
from pipeline.state.snapshot import Snapshot
from pipeline.state.tables import Table
from schemas.annotation import Verdict
from schemas.fate import Routed
from schemas.seat import SeatKind

_BATCHES = (Routed.AUDIT.value, Routed.UNCERTAIN.value)
"""The routes of the questions that ``review.error_rate`` asks."""
_RETURNED = (Verdict.SKIPPED.value, Verdict.INVALID.value)
"""What is no answer, though Label Studio counts the task as done."""


def note_open_questions(cases: Iterable[Case], snapshot: Snapshot, dataset: LoadedDataset) -> None:
    """Note about the cases whether a further annotator can still be asked, and which questions were asked in vain."""
    given = snapshot.latest_annotations().filter(~pl.col("deleted"))
    newest = given.sort("updated_at", "annotation_id").unique("push_key", keep="last", maintain_order=True)
    returned = newest.filter(pl.col("verdict").is_in(_RETURNED)).select("push_key", "record_id").collect()
    seats, vain = _open_seats(snapshot, dataset, set(returned["push_key"])), _refused(snapshot)
    vain |= set(returned["record_id"])
    for case in cases:
        case.has_open_seat = case.record_id in seats
        case.is_in_vain = case.human is None and case.record_id in vain


def _open_seats(snapshot: Snapshot, dataset: LoadedDataset, returned: set[str]) -> set[str]:
    """The records with a second seat or an adjudicator's that somebody can answer, and has not given back."""
    review = dataset.config.review
    if not review.has_second:
        return set()
    kinds = (SeatKind.SECOND, SeatKind.ADJUDICATOR)
    return {
        one.decision.record_id
        for one in asked_now(snapshot, dataset)
        if one.seat.kind in kinds and (one.annotator or not review.annotators) and one.key(dataset.task) not in returned
    }


def _refused(snapshot: Snapshot) -> set[str]:
    """The records of a batch whose question was not sent, though others of the same run or of a later one were."""
    sent = snapshot.scan(Table.PUSHES)
    question = ["record_id", "revision", "task_digest"]
    asked = snapshot.current_decisions().filter(pl.col("routed").is_in(_BATCHES))
    unsent = asked.select(*question, "run").join(sent.select(question), on=question, how="anti").collect()
    last = sent.select(pl.col("run").max()).collect().item()
    return set(unsent.filter(pl.col("run") <= last)["record_id"]) if last else set()
