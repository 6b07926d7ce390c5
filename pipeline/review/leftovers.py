"""Recognizes tasks that this home has sent and not noted, as a killed push leaves them, by their push keys."""

from collections.abc import Collection

import polars as pl

from pipeline.config.dataset_file import LoadedDataset
from pipeline.review.label_studio_models import ListedTask, PulledTask
from pipeline.review.seating import Asked, all_seats, attempts_so_far
from pipeline.state.decisions import from_frame, question_key
from pipeline.state.snapshot import Snapshot
from schemas.run_summary import Verb


def recognized(
    snapshot: Snapshot, dataset: LoadedDataset, tasks: Collection[ListedTask | PulledTask]
) -> dict[int, Asked]:
    """What tasks ask that were not noted, if a committed decision of this home has once asked it; others are of
    another home.

    Args:
        snapshot: the state.
        dataset: has the task. Whoever it names, or a task is for, may have been asked.
        tasks: those that no table notes.
    """
    if not tasks:
        return {}
    records = list({one.record_id for one in tasks})
    past = snapshot.committed_decisions(Verb.CURATE).filter(pl.col("record_id").is_in(records)).collect()
    names = {*dataset.config.review.annotators, *(one.assigned for one in tasks)}
    seats = all_seats(names, attempts_so_far(snapshot))
    ours = {
        question_key(decision, dataset.task, seat): (decision, seat) for decision in from_frame(past) for seat in seats
    }
    return {one.task_id: Asked(*ours[one.push_key], one.assigned) for one in tasks if one.push_key in ours}
