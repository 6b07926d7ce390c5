"""Decides about the records that a run looks at, once they were compared, and triages all records."""

from dataclasses import dataclass

import polars as pl

from pipeline.config.dataset_file import LoadedDataset
from pipeline.curation.decided import (
    as_triaged,
    changed_verdicts,
    looked_at,
    past_rows,
    settled_before,
    standing_rows,
    with_components,
)
from pipeline.curation.history import stale_answers
from pipeline.curation.judge import Judge, rules_of
from pipeline.curation.known_fields import notes_about_fields
from pipeline.curation.look import Look
from pipeline.curation.mark_duplicates import mark_duplicates
from pipeline.curation.measure import measure
from pipeline.curation.open_cases import Opened
from pipeline.curation.open_questions import open_questions_of
from pipeline.curation.repairable_rows import offer_repairs
from pipeline.curation.score_labels import score_labels
from pipeline.curation.second_voice import hear_model
from pipeline.curation.settle import settle
from pipeline.curation.similar_texts import SimilarTexts
from pipeline.curation.triage import BudgetUse, decisions, triage
from pipeline.releases.frozen_sources import frozen_sources
from pipeline.state.decisions import changed_decisions
from pipeline.state.snapshot import Snapshot
from schemas.run_summary import CurateFacts, Proof


@dataclass(frozen=True)
class Triaged:
    """The decisions of a run that is not committed yet."""

    rows: pl.DataFrame
    """What stands of every current record, with the columns of ``STANDING``."""
    past: pl.DataFrame
    """What stands of rows that versions have, and no current record."""
    fresh: pl.DataFrame
    """The decisions that differ from those that counted before, as rows of their table."""
    note: str
    """Notes on label errors and fields, a line each; empty if there are none."""
    use: BudgetUse
    judge: Judge | None
    """What judges labels from now on."""
    proof: Proof | None = None
    """Of ``review.error_rate``, if it is set."""
    past_proof: Proof | None = None
    """The last one, if it is not set any more."""

    @property
    def judged_by(self) -> str:
        """The run that trained the judge; empty if there is none."""
        return self.judge.run if self.judge else ""


def triage_cases(
    opened: Opened,
    look: Look,
    similar: SimilarTexts,
    snapshot: Snapshot,
    focus: Snapshot,
    dataset: LoadedDataset,
    run: str,
) -> Triaged:
    """Decide about all current records.

    Args:
        opened: what is known about those that the run looks at.
        look: the same records, in the same order; and what stands of the others.
        similar: which texts are similar.
        snapshot: the committed past.
        focus: that of the records that the run looks at.
        dataset: configuration and task.
        run: the deciding run.
    """
    config, task, cases, judge = dataset.config, dataset.task, opened.cases, opened.judge
    mark_duplicates(cases, look.prepared, similar, focus, dataset)
    scored = score_labels(cases, task, config.on_conflict, config.doubts.off, judge.kept if judge else None)
    if scored.kept is not None:
        judge = Judge(run, opened.labeled, rules_of(dataset), scored.kept)
        judge.write(snapshot.store)
    notes = [scored.note, stale_answers(focus, task)]
    hear_model(cases, dataset, snapshot.store.calls)
    measure(cases, task, config)
    if config.review.repair:
        notes += offer_repairs(cases, look.places["source"], look.others)
    others = look.others
    if config.review.error_rate is not None:
        questions = open_questions_of(snapshot, dataset)
        questions.note(cases)
        others = questions.noted(others)
    last = snapshot.last_run(CurateFacts)
    past = last.summary.last_proof if last else None
    settled = settle(cases, config.review, task)
    rows, gone = with_components(
        looked_at(look, cases, settled, similar),
        past_rows(similar, focus, dataset),
        similar,
        config.duplicates.threshold,
    )
    everything = pl.concat([others.select(rows.columns), rows]).sort("order")
    result = triage(as_triaged(everything), config.review, proof=past)
    everything = standing_rows(everything, result.verdicts)
    changed = changed_verdicts(look.others, result.verdicts)
    before = settled_before(snapshot, look.others, changed, config.review)
    made = decisions(settled, result.verdicts, config.review, run)
    fresh = changed_decisions(made, focus.latest_decisions().collect())
    fresh = pl.concat([fresh, decisions(before, result.verdicts, config.review, run)])
    notes += notes_about_fields(look.facts, dataset)
    frozen = frozen_sources(snapshot, config.sources, everything.lazy())
    notes += [str(source) for source in frozen if not source.is_whole]
    note = "\n".join(filter(None, notes))
    proofs = (result.proof, None if result.proof else past)
    past_of_all = pl.concat([look.past.select(gone.columns), gone])
    return Triaged(everything, past_of_all, fresh, note, result.use, judge, *proofs)
