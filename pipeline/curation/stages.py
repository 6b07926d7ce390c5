"""Gives every current record its fate and commits: what curate does after reading the sources.

The stages, in order; each is a module of this package:

1. ``shards``, ``prepare``: parse every record by the task, in parallel.
2. ``known_fields``: refuse fields of dataset.yaml that no row has.
3. ``history``: combine each record with past decisions and annotators' answers into a ``Case``.
4. ``similar_texts``, ``contamination``: compare the texts, reject what resembles evaluation rows.
5. ``mark_duplicates``: duplicates, conflicts and groups.
6. ``score_labels``, ``second_voice``, ``measure``: label errors, what a model says of them, tokens.
7. ``repairable_rows``, ``triage``: fates, and what annotators are asked.
8. Commit the decisions that changed, with the run.
"""

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from pipeline.config.dataset_file import LoadedDataset
from pipeline.config.workspace import Workspace
from pipeline.curation.case import Case
from pipeline.curation.contamination import forget_known_answers, reject_contaminated
from pipeline.curation.decided import (
    as_triaged,
    changed_verdicts,
    looked_at,
    past_rows,
    settled_before,
    standing_rows,
    with_components,
)
from pipeline.curation.derived_rows import derivation_digest
from pipeline.curation.evaluation_sets import evaluation_rows
from pipeline.curation.history import build_cases, read_histories, stale_answers
from pipeline.curation.judge import Judge, forget_other_judges, rules_of
from pipeline.curation.known_fields import (
    notes_about_fields,
    notes_about_layouts,
    require_group_fields,
    require_mapped_fields,
    require_named_layouts,
)
from pipeline.curation.look import Look, earlier, look_at_changes, look_at_everything
from pipeline.curation.mark_duplicates import mark_duplicates
from pipeline.curation.measure import measure, reject_long, screen_answers
from pipeline.curation.open_questions import open_questions_of
from pipeline.curation.prepare import Prepared
from pipeline.curation.repairable_rows import offer_repairs
from pipeline.curation.rescoring import Scoring, is_due, rules_off
from pipeline.curation.score_labels import forget_scores, score_labels
from pipeline.curation.second_voice import hear_model
from pipeline.curation.settle import settle
from pipeline.curation.similar_texts import SimilarTexts, find_similar_texts
from pipeline.curation.similarity_histogram import count_similarities
from pipeline.curation.standing import Header, Standing
from pipeline.curation.triage import BudgetUse, decisions, triage
from pipeline.curation.trusted import trust_gold
from pipeline.errors import StoreError
from pipeline.ingest.ingest_sources import Ingested
from pipeline.kinds.registry import kind_of
from pipeline.releases.adoption import Adopted, adopt_splits
from pipeline.releases.frozen_sources import frozen_sources
from pipeline.releases.recovery import commit_version
from pipeline.state.decisions import changed_decisions
from pipeline.state.runs import Run
from pipeline.state.snapshot import Snapshot
from pipeline.state.tables import Table
from pipeline.steps import Steps
from schemas.fate import Fate, ReasonCode
from schemas.manifest import Funnel
from schemas.run_summary import CollectSummary, CurateFacts, CurateSummary, Proof, Verb
from schemas.similarities import Similarities


@contextmanager
def without_garbage_collection() -> Iterator[None]:
    """Millions of small objects are created for rows, none of them in a reference cycle: repeated garbage collection
    takes a sixth of a run."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def follow_answers(workspace: Workspace, steps: Steps) -> str:
    """An answer also affects copies and conflicting rows of its record: decide again if answers came in.

    It looks at the committed runs, not at this one, so it makes up for a run that was killed in between. The caller
    holds the lock.

    Args:
        workspace: the dataset.
        steps: runs them.

    Returns:
        Why the other rows must wait; empty if they need not.
    """
    dataset, snapshot = workspace.dataset, workspace.store.snapshot()
    curated = snapshot.last_run(CurateSummary)
    answered = [run.id for run in snapshot.committed_runs(CollectSummary) if run.summary.decided]
    pulled = snapshot.scan(Table.ANNOTATIONS).select(pl.col("run").max()).collect().item()
    if curated is None or max([*answered, pulled or ""], default="") < curated.id:
        return ""
    if dataset.has_changed_since(curated.summary):
        # Its sources were not read under the current configuration.
        return (
            f"{dataset.path} or its task was changed since the last curate: rows that depend on annotators' answers "
            "follow with the next one"
        )
    decide(workspace, steps, workspace.new_run(Verb.CURATE), curated.summary.evaluation)
    return ""


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


@dataclass(frozen=True)
class Decided:
    """What a run has decided and committed."""

    changed: int
    """Decisions that differ from those that counted before."""
    added: int
    """Records without an earlier decision."""
    near: int
    """Near-duplicates."""
    triaged: Triaged
    funnel: Funnel
    adopted: Adopted
    layouts: list[str]
    """Notes on how conversations were read; none if there are no new ones."""


@without_garbage_collection()
def decide(
    workspace: Workspace,
    steps: Steps,
    run: Run,
    evaluation: str,
    *,
    rescore: bool = False,
    read: Ingested | None = None,
    unknown: Sequence[Path] = (),
    full: bool = False,
) -> Decided:
    """Give every current record its fate and commit; the caller holds the lock.

    What nothing has changed for keeps its decision, and is not looked at.

    Args:
        workspace: the dataset.
        steps: runs them.
        run: the deciding one.
        evaluation: the digest under which ``read_evaluation_sets`` stored the evaluation rows.
        rescore: score all labels again.
        read: what was read for it; without it no splits are adopted, since those of rows to come would be missed.
        unknown: the versions in this home whose splits it does not know.
        full: look at everything, whatever has changed.

    Raises:
        ConfigError: no row has a field that splits are grouped by, or that a source's field map names, or its layout.
    """
    store, dataset = workspace.store, workspace.dataset
    folder, of_evaluation = store.work(run.id), evaluation_rows(store.snapshot(), evaluation)
    is_anew = full or rescore or bool(unknown) or bool(dataset.config.split.adopt)
    before = earlier(workspace, evaluation)
    look = None if is_anew else look_at_changes(workspace, steps, run, before, of_evaluation["text"].to_list())
    opened = None
    if look is not None:
        opened = steps.run(
            open_cases, look, look.focus(store.snapshot()), dataset, before.judge, rescore, read is not None
        )
    if look is None or opened is None or opened.is_anew:
        look, opened = look_at_everything(workspace, steps, run), None
    # Before anything is written: with a misspelled field no row would be recognized, and splits are kept for good.
    require_group_fields(look.facts, dataset.config)
    require_mapped_fields(look.facts, dataset.config)
    require_named_layouts(look.facts, dataset)
    adopted = _adopt_splits(workspace, steps, run, look.prepared, unknown) if read is not None else Adopted()
    snapshot = store.snapshot()
    focus = look.focus(snapshot)
    if opened is None:
        opened = steps.run(open_cases, look, focus, dataset, before.judge, rescore, may_rescore)
    similar = _compare_texts(dataset, steps, focus, opened.cases, look.prepared, of_evaluation, folder)
    with steps.progress.step("comparing rows, scoring labels, deciding"):
        triaged = steps.run(triage_cases, opened, look, similar, snapshot, focus, dataset, run.id)
    rows, added = triaged.rows, _added(snapshot, read)
    found = steps.run(count_similarities, rows, store, dataset.config.duplicates.threshold)
    funnel = _funnel(snapshot, rows)
    store.append(Table.DECISIONS, triaged.fresh)
    inputs = {table.value: version for table, version in snapshot.versions.items()}
    after = {table.value: version for table, version in store.snapshot().versions.items()}
    judge = triaged.judge.run if triaged.judge else ""
    header = Header(run.id, dataset.curation_digest, derivation_digest(dataset), evaluation, after, judge)
    Standing(header, rows, triaged.past).write(store)
    summary = _summary(dataset, evaluation, found, read, added, triaged, adopted, opened.scoring)
    store.commit(run, inputs=inputs, funnel=funnel, summary=summary)
    forget_other_judges(store, judge)
    near = rows.filter(
        pl.col("fate") == Fate.DUPLICATE.value, pl.col("first") == ReasonCode.NEAR_DUPLICATE.value
    ).height
    layouts = notes_about_layouts(look.facts, dataset) if added else []
    return Decided(triaged.fresh.height, added, near, triaged, funnel, adopted, layouts)


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


def _summary(
    dataset: LoadedDataset,
    evaluation: str,
    found: Similarities,
    read: Ingested | None,
    added: int,
    triaged: Triaged,
    adopted: Adopted,
    scoring: Scoring,
) -> CurateSummary:
    return CurateSummary(
        file=str(dataset.path),
        curation=dataset.curation_digest,
        kind=kind_of(dataset.task).name,
        off=rules_off(dataset),
        scores=scoring.version,
        corrections=scoring.corrections,
        evaluation=evaluation,
        similarities=found,
        lines=read.lines if read else 0,
        added=added,
        withdrawn=read.withdrawn if read else 0,
        budget=triaged.use.budget,
        budget_used=triaged.use.used,
        beyond_budget=triaged.use.beyond,
        note=triaged.note,
        proof=triaged.proof,
        past_proof=triaged.past_proof,
        adopted=adopted.versions,
    )


def _compare_texts(
    dataset: LoadedDataset,
    steps: Steps,
    snapshot: Snapshot,
    cases: list[Case],
    prepared: list[Prepared],
    of_evaluation: pl.DataFrame,
    folder: Path,
) -> SimilarTexts:
    """Find similar texts, and reject what is similar to the rows that a model is evaluated on."""
    task, config = dataset.task, dataset.config
    with steps.progress.step("comparing texts"):
        texts, threshold = of_evaluation["text"].to_list(), config.duplicates.threshold
        similar = find_similar_texts(cases, prepared, texts, snapshot, task, threshold, folder, steps.map)
        reject_contaminated(cases, similar, of_evaluation, config, task, folder, steps.map)
        forget_known_answers(cases, of_evaluation, config)
    return similar


def _funnel(snapshot: Snapshot, rows: pl.DataFrame) -> Funnel:
    """The numbers of records once some decisions count.

    Raises:
        StoreError: they do not add up.
    """
    counts = dict(rows.group_by("fate").len().iter_rows())
    funnel = snapshot.funnel().model_copy(update={fate.value: counts.get(fate.value, 0) for fate in Fate})
    if not funnel.adds_up():
        raise StoreError(
            f"the fates of '{snapshot.store.dataset}' do not add up: {funnel}; nothing was committed, please report "
            "this"
        )
    return funnel


def _adopt_splits(
    workspace: Workspace, steps: Steps, run: Run, prepared: Sequence[Prepared], unknown: Sequence[Path]
) -> Adopted:
    """Adopt splits from versions that the home does not know, and commit those that are its own."""
    store, dataset = workspace.store, workspace.dataset
    if not (unknown or dataset.config.split.adopt):
        return Adopted()
    with steps.progress.step("adopting splits"):
        paths = [part.path for part in prepared]
        adopted = steps.run(adopt_splits, paths, store.snapshot(), dataset, run.id, unknown)
        for manifest in reversed(adopted.own):
            commit_version(store, manifest)
    return adopted


def _added(snapshot: Snapshot, read: Ingested | None) -> int:
    """The records without a decision, including those that a killed run has left."""
    if read is None:
        return 0
    last = snapshot.last_run(CurateSummary)
    records = snapshot.scan(Table.RECORDS).filter(~pl.col("withdrawn"), pl.col("batch") > (last.id if last else ""))
    return min(int(records.select(pl.len()).collect().item()), read.lines)
