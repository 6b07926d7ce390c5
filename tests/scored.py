"""Cases with the scores of their labels, as a run of a single chunk scores them."""

from collections.abc import Collection

from pipeline.curation.case import Case
from pipeline.curation.score_labels import Scores, Scoring
from pipeline.kinds.interface import Kept
from schemas.dataset import OnConflict
from schemas.task import Task


def score_labels(
    cases: list[Case],
    task: type[Task],
    on_conflict: OnConflict,
    off: Collection[str] = (),
    kept: Kept | None = None,
) -> Scores:
    """Score the labels of cases that were compared; with what an earlier run has kept to judge them, if it is given."""
    scoring = Scoring(task, on_conflict, off, kept)
    scoring.see(cases, 0)
    if scoring.learns:
        scoring.learn(lambda _, places: [cases[place] for place in places])
    scoring.scores.give(cases, task, on_conflict, off)
    return scoring.scores
