"""Combines what is known about the records that a run looks at, before they are compared."""

from dataclasses import dataclass

from pipeline.config.dataset_file import LoadedDataset
from pipeline.curation.case import Case
from pipeline.curation.history import build_cases, read_histories
from pipeline.curation.judge import Judge
from pipeline.curation.look import Look
from pipeline.curation.measure import reject_long, screen_answers
from pipeline.curation.rescoring import Scoring, is_due
from pipeline.curation.score_labels import forget_scores
from pipeline.curation.trusted import trust_gold
from pipeline.kinds.registry import kind_of
from pipeline.state.snapshot import Snapshot
from schemas.run_summary import CurateFacts


@dataclass(frozen=True)
class Opened:
    """All current records with what is known about them."""

    cases: list[Case]
    """In the order in which they were prepared."""
    scoring: Scoring
    labeled: int
    """How many of all records have an answer."""
    judge: Judge | None
    """What judges those that no run has scored; None if it is trained anew."""
    is_anew: bool
    """Whether all labels are scored anew."""


def open_cases(
    look: Look, snapshot: Snapshot, dataset: LoadedDataset, judge: Judge | None, rescore: bool, may_rescore: bool
) -> Opened:
    """Combine what is known about the records that a run looks at.

    Args:
        look: the records.
        snapshot: their committed past.
        dataset: configuration and task.
        judge: what judged the labels so far.
        rescore: score all labels again, not only those that no run has scored.
        may_rescore: do so as well if enough was corrected since the last time.
    """
    config, task = dataset.config, dataset.task
    cases = build_cases(look.prepared, read_histories(snapshot, look.prepared, task, look.beside), task)
    trust_gold(cases, snapshot, config.gold_sources)
    last = snapshot.last_run(CurateFacts)
    facts = last.summary if last else None
    corrections = sum(case.was_wrong for case in cases) + int(look.others["was_wrong"].sum())
    labeled = sum(case.targets is not None for case in cases) + int(look.others["labeled"].sum())
    scoring = Scoring.now(corrections) if facts is None else Scoring(facts.scores, facts.corrections)
    if rescore or (may_rescore and is_due(corrections, labeled, facts, dataset)):
        scoring, judge = Scoring.now(corrections), None
        for case in cases:
            forget_scores(case)
    elif judge is not None and judge.is_due(labeled):
        judge = None
    if judge is None and not kind_of(task).learns_labels:
        # How rare something is among others says nothing any more.
        for case in cases:
            forget_scores(case)
    screen_answers(cases, config.screen)
    reject_long(cases, task, config)
    return Opened(cases, scoring, labeled, judge, judge is None and not kind_of(task).judges_alone)
