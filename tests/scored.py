"""Cases with the scores of their labels, as a run of a single chunk scores them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from pipeline.curation.case import Judged
from pipeline.curation.score_labels import Scoring
from pipeline.kinds.interface import Kept
from schemas.dataset import OnConflict
from schemas.task import Task


@dataclass(frozen=True)
class ScoredCases:
    """Cases with what speaks against their labels, and what judges labels from now on."""

    cases: list[Judged]
    kept: Kept | None


def score_labels(
    cases: Sequence[Judged],
    task: type[Task],
    on_conflict: OnConflict,
    off: Collection[str] = (),
    kept: Kept | None = None,
) -> ScoredCases:
    """Score the labels of cases that were compared; with what an earlier run has kept to judge them, if it is given."""
    scoring = Scoring(task, on_conflict, off, kept)
    scoring.see(cases, 0)
    if scoring.learns:
        scoring.learn(lambda _, places: [cases[place] for place in places])
    doubts = scoring.scores.give(cases, task, on_conflict, off).doubts
    judged = [replace(case, doubt=doubt) for case, doubt in zip(cases, doubts, strict=True)]
    return ScoredCases(judged, scoring.scores.kept)
