"""Which questions are still going to be answered: those that somebody is left for, and that reached them."""

from collections.abc import Iterable

from pipeline.config.dataset_file import LoadedDataset
from pipeline.curation.case import Case
from pipeline.review.queue import asked_now
from pipeline.state.refusals import asked_in_vain, returned
from pipeline.state.snapshot import Snapshot
from schemas.seat import SeatKind


def note_open_questions(cases: Iterable[Case], snapshot: Snapshot, dataset: LoadedDataset) -> None:
    """Note about the cases whether a further annotator can still be asked, and which questions were asked in vain."""
    seats, vain = _open_seats(snapshot, dataset), asked_in_vain(snapshot)
    for case in cases:
        case.has_open_seat = case.record_id in seats
        case.is_in_vain = case.human is None and case.record_id in vain


def _open_seats(snapshot: Snapshot, dataset: LoadedDataset) -> set[str]:
    """The records with a second seat or an adjudicator's that somebody can answer, and has not given back."""
    review = dataset.config.review
    if not review.has_second:
        return set()
    kinds, back = (SeatKind.SECOND, SeatKind.ADJUDICATOR), set(returned(snapshot)["push_key"])
    return {
        one.decision.record_id
        for one in asked_now(snapshot, dataset)
        if one.seat.kind in kinds and (one.annotator or not review.annotators) and one.key(dataset.task) not in back
    }
