"""Lets the records follow that new answers concern: copies, rows in conflict, and rows that resemble them."""

from dataclasses import dataclass

import polars as pl

from pipeline.config.workspace import Workspace
from pipeline.curation.stages import decide
from pipeline.state.tables import Table
from pipeline.steps import Steps
from schemas.run_summary import Changed, CollectSummary, CurateSummary, Looked, Verb


@dataclass(frozen=True)
class Followed:
    """What came of following answers."""

    looked: Looked | None = None
    """What was looked at; None if no answer was new."""
    change: Changed | None = None
    """What became of that."""
    note: str = ""
    """Why the other rows must wait; empty if they need not."""


def follow_answers(workspace: Workspace, steps: Steps) -> Followed:
    """An answer also affects copies and conflicting rows of its record: decide again if answers came in.

    It looks at the committed runs, not at this one, so it makes up for a run that was killed in between. The caller
    holds the lock.
    """
    dataset, snapshot = workspace.dataset, workspace.store.snapshot()
    curated = snapshot.last_run(CurateSummary)
    answered = [run.id for run in snapshot.committed_runs(CollectSummary) if run.summary.decided]
    pulled = snapshot.scan(Table.ANNOTATIONS).select(pl.col("run").max()).collect().item()
    if curated is None or max([*answered, pulled or ""], default="") < curated.id:
        return Followed()
    if dataset.has_changed_since(curated.summary):
        # Its sources were not read under the current configuration.
        return Followed(
            note=f"{dataset.path} or its task was changed since the last curate: rows that depend on annotators' "
            "answers follow with the next one"
        )
    decided = decide(workspace, steps, workspace.new_run(Verb.CURATE), curated.summary.evaluation)
    return Followed(decided.looked, decided.change)
