"""Finds tasks that a killed push has left: on the server, noted nowhere, and about a question that is closed now."""

from collections.abc import Mapping

import polars as pl

from pipeline.config.dataset_file import LoadedDataset
from pipeline.review.label_studio import LabelStudio
from pipeline.review.seating import all_keys, attempts_so_far
from pipeline.state.decisions import from_frame
from pipeline.state.snapshot import Snapshot


def leftovers(
    snapshot: Snapshot, dataset: LoadedDataset, client: LabelStudio, project: int, tasks: Mapping[int, str]
) -> dict[int, str]:
    """Of tasks that were not noted, those whose question a committed decision of this home once asked.

    The others are another home's.
    """
    if not tasks:
        return {}
    records = client.records_of(project, list(set(tasks.values())))
    past = snapshot.committed_decisions().filter(pl.col("record_id").is_in(list(set(records.values())))).collect()
    attempts = attempts_so_far(snapshot)
    ours = {key for decision in from_frame(past) for key in all_keys(decision, dataset, attempts)}
    return {number: key for number, key in tasks.items() if key in ours}
