"""Which questions are still going to be answered: those that somebody is left for, and that reached them."""

from collections import defaultdict
from collections.abc import Iterable

from pipeline.config.dataset_file import LoadedDataset
from pipeline.curation.case import Case
from pipeline.review.queue import asked_now, in_vain
from pipeline.review.seating import Asked
from pipeline.state.refusals import given_up
from pipeline.state.snapshot import Snapshot
from schemas.seat import SeatKind

_AGAIN = (SeatKind.SECOND, SeatKind.ADJUDICATOR)


def note_open_questions(cases: Iterable[Case], snapshot: Snapshot, dataset: LoadedDataset) -> None:
    """Note about the cases whether a further annotator can still be asked, and which questions were asked in vain."""
    review, gone = dataset.config.review, given_up(snapshot)
    if not (gone or review.has_second):
        return
    asked = asked_now(snapshot, dataset) if review.has_seats else None
    again: defaultdict[str, bool] = defaultdict(bool)
    for one in asked or ():
        is_for_somebody = one.annotator or not review.annotators
        again[one.decision.record_id] |= bool(
            one.seat.kind in _AGAIN and is_for_somebody and one.key(dataset.task) not in gone
        )
    vain = {one.decision.record_id: one for one in in_vain(snapshot, dataset, gone, asked)}
    for case in cases:
        case.has_open_seat = review.has_second and again.get(case.record_id, False)
        case.is_in_vain = case.human is None and _is_about(vain.get(case.record_id), case)


def _is_about(asked: Asked | None, case: Case) -> bool:
    """Whether it was asked about what the row says now."""
    return asked is not None and asked.decision.state == (case.content or case.revision)
