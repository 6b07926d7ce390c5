"""Finds tasks that a killed push has left: on the server, noted nowhere, and about a question that is closed now."""

from collections.abc import Collection, Mapping

import polars as pl

from pipeline.review.label_studio import LabelStudio
from pipeline.state.decisions import from_frame, question_key
from pipeline.state.snapshot import Snapshot
from pipeline.state.tables import Table
from schemas.task import Task


def unnoted(snapshot: Snapshot, there: Mapping[int, str], open_keys: Collection[str]) -> dict[int, str]:
    """The tasks with a push key that was never noted here and is no open question, with their keys.

    They are another home's, or a killed push's.
    """
    noted = set(snapshot.scan(Table.PUSHES).select("push_key").unique().collect()["push_key"])
    return {task: key for task, key in there.items() if key and key not in noted and key not in open_keys}


def leftovers(
    snapshot: Snapshot, task: type[Task], client: LabelStudio, project: int, tasks: Mapping[int, str]
) -> dict[int, str]:
    """Of unnoted tasks, those whose question a committed decision of this home once asked."""
    if not tasks:
        return {}
    records = client.records_of(project, list(set(tasks.values())))
    past = snapshot.committed_decisions().filter(pl.col("record_id").is_in(list(set(records.values())))).collect()
    ours = {question_key(decision, task) for decision in from_frame(past)}
    return {number: key for number, key in tasks.items() if key in ours}
