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
from functools import partial
from pathlib import Path

import polars as pl

from pipeline.config.dataset_file import LoadedDataset
from pipeline.config.workspace import Workspace
from pipeline.curation.case import Case
from pipeline.curation.contamination import forget_known_answers, reject_contaminated
from pipeline.curation.evaluation_sets import evaluation_rows
from pipeline.curation.history import build_cases, read_histories, stale_answers
from pipeline.curation.known_fields import (
    notes_about_fields,
    notes_about_layouts,
    require_group_fields,
    require_mapped_fields,
    require_named_layouts,
)
from pipeline.curation.mark_duplicates import mark_duplicates
from pipeline.curation.measure import measure, reject_long, screen_answers
from pipeline.curation.open_questions import note_open_questions
from pipeline.curation.prepare import Prepared
from pipeline.curation.repairable_rows import offer_repairs
from pipeline.curation.rescoring import Scoring, is_due, rules_off
from pipeline.curation.score_labels import forget_scores, score_labels
from pipeline.curation.second_voice import hear_model
from pipeline.curation.shards import prepare, write_shards
from pipeline.curation.similar_texts import SimilarTexts, find_similar_texts
from pipeline.curation.similarity_histogram import count_similarities
from pipeline.curation.triage import BudgetUse, triage
from pipeline.curation.trusted import trust_gold
from pipeline.errors import StoreError
from pipeline.ingest.ingest_sources import Ingested
from pipeline.kinds.registry import kind_of
from pipeline.releases.adoption import Adopted, adopt_splits
from pipeline.releases.frozen_sources import frozen_sources
from pipeline.releases.recovery import commit_version
from pipeline.state.decisions import changed_decisions, to_frame, with_reason
from pipeline.state.runs import Run
from pipeline.state.snapshot import Snapshot
from pipeline.state.tables import Table
from pipeline.state.work_files import read_work, write_work
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

    path: Path
    note: str
    """Notes on label errors and fields, a line each; empty if there are none."""
    use: BudgetUse
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
    heard: str = "",
) -> Decided:
    """Give every current record its fate and commit; the caller holds the lock.

    Args:
        workspace: the dataset.
        steps: runs them.
        run: the deciding one.
        evaluation: the digest under which ``read_evaluation_sets`` stored the evaluation rows.
        rescore: score all labels again.
        read: what was read for it; without it no splits are adopted, since those of rows to come would be missed.
        unknown: the versions in this home whose splits it does not know.
        heard: the model whose new answers are all that has changed.

    Raises:
        ConfigError: no row has a field that splits are grouped by, or that a source's field map names, or its layout.
    """
    store, dataset = workspace.store, workspace.dataset
    snapshot = store.snapshot()
    folder = store.work(run.id)
    shards = steps.run(write_shards, snapshot, folder, dataset.config.engine.workers)
    with steps.progress.step("checking rows") as advance:
        prepared = steps.map_in_processes(partial(prepare, dataset=dataset), shards, lambda part: advance(part.rows))
    # Before anything is written: with a misspelled field no row would be recognized, and splits are kept for good.
    require_group_fields(prepared, dataset.config)
    require_mapped_fields(prepared, dataset.config)
    require_named_layouts(prepared, dataset)
    adopted = _adopt_splits(workspace, steps, run, prepared, unknown) if read is not None else Adopted()
    snapshot = store.snapshot()
    opened = steps.run(open_cases, prepared, snapshot, dataset, rescore, read is not None)
    cases = opened.cases
    similar = _compare_texts(dataset, steps, snapshot, cases, prepared, evaluation, folder)
    with steps.progress.step("comparing rows, scoring labels, deciding"):
        triaged = steps.run(triage_cases, cases, prepared, similar, snapshot, dataset, run.id, folder)
    decisions = read_work(triaged.path)
    found = steps.run(count_similarities, similar, decisions, dataset.config.duplicates.threshold)
    fresh = changed_decisions(decisions, snapshot.latest_decisions().collect())
    funnel = _funnel(snapshot, decisions)
    added = _added(snapshot, read)
    store.append(Table.DECISIONS, fresh)
    store.commit(
        run,
        inputs={table.value: version for table, version in snapshot.versions.items()},
        funnel=funnel,
        summary=_summary(dataset, evaluation, found, read, added, triaged, adopted, opened.scoring, heard),
    )
    is_near = (pl.col("fate") == Fate.DUPLICATE.value) & with_reason(ReasonCode.NEAR_DUPLICATE)
    layouts = notes_about_layouts(prepared, dataset) if added else []
    return Decided(fresh.height, added, decisions.filter(is_near).height, triaged, funnel, adopted, layouts)


@dataclass(frozen=True)
class Opened:
    """All current records with what is known about them."""

    cases: list[Case]
    """In the order in which they were prepared."""
    scoring: Scoring


def open_cases(
    prepared: list[Prepared], snapshot: Snapshot, dataset: LoadedDataset, rescore: bool, may_rescore: bool
) -> Opened:
    """Combine what is known about all current records.

    Args:
        prepared: every current record.
        snapshot: the committed past.
        dataset: configuration and task.
        rescore: score all labels again, not only those that no run has scored.
        may_rescore: do so as well if enough was corrected since the last time.
    """
    config, task = dataset.config, dataset.task
    cases = build_cases(prepared, read_histories(snapshot, prepared, task), task)
    trust_gold(cases, snapshot, config.gold_sources)
    last = snapshot.last_run(CurateFacts)
    facts = last.summary if last else None
    scoring = Scoring.now(cases) if facts is None else Scoring(facts.scores, facts.corrections)
    if rescore or (may_rescore and is_due(cases, facts, dataset)):
        scoring = Scoring.now(cases)
        for case in cases:
            forget_scores(case)
    screen_answers(cases, config.screen)
    reject_long(cases, task, config)
    return Opened(cases, scoring)


def triage_cases(
    cases: list[Case],
    prepared: list[Prepared],
    similar: SimilarTexts,
    snapshot: Snapshot,
    dataset: LoadedDataset,
    run: str,
    folder: Path,
) -> Triaged:
    """Decide about all current records and write the decisions to a Parquet file in ``folder``.

    Args:
        cases: what is known about the records.
        prepared: the same records, in the same order.
        similar: which texts are similar.
        snapshot: the committed past.
        dataset: configuration and task.
        run: the deciding run.
        folder: for the file.
    """
    config, task = dataset.config, dataset.task
    mark_duplicates(cases, prepared, similar, snapshot, dataset)
    notes = [score_labels(cases, task, config.on_conflict, config.doubts.off), stale_answers(snapshot, task)]
    hear_model(cases, dataset, snapshot.store.calls)
    measure(cases, task, config)
    if config.review.repair:
        notes += offer_repairs(cases, prepared, snapshot)
    if config.review.error_rate is not None:
        note_open_questions(cases, snapshot, dataset)
    last = snapshot.last_run(CurateFacts)
    past = last.summary.last_proof if last else None
    result = triage(cases, config.review, run=run, task=task, proof=past)
    decisions = to_frame(result.decisions)
    path = folder / "decisions.parquet"
    write_work(decisions, path)
    notes += notes_about_fields(prepared, dataset)
    frozen = frozen_sources(snapshot, config.sources, decisions.lazy())
    notes += [str(source) for source in frozen if not source.is_whole]
    note = "\n".join(filter(None, notes))
    return Triaged(path, note, result.use, result.proof, None if result.proof else past)


def _summary(
    dataset: LoadedDataset,
    evaluation: str,
    found: Similarities,
    read: Ingested | None,
    added: int,
    triaged: Triaged,
    adopted: Adopted,
    scoring: Scoring,
    heard: str,
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
        heard=heard,
        adopted=adopted.versions,
    )


def _compare_texts(
    dataset: LoadedDataset,
    steps: Steps,
    snapshot: Snapshot,
    cases: list[Case],
    prepared: list[Prepared],
    evaluation: str,
    folder: Path,
) -> SimilarTexts:
    """Find similar texts, and reject what is similar to the rows that a model is evaluated on."""
    task, config = dataset.task, dataset.config
    with steps.progress.step("comparing texts"):
        of_evaluation = evaluation_rows(snapshot, evaluation)
        texts, threshold = of_evaluation["text"].to_list(), config.duplicates.threshold
        similar = find_similar_texts(cases, prepared, texts, snapshot, task, threshold, folder, steps.map)
        reject_contaminated(cases, similar, of_evaluation, config, task, folder, steps.map)
        forget_known_answers(cases, of_evaluation, config)
    return similar


def _funnel(snapshot: Snapshot, decisions: pl.DataFrame) -> Funnel:
    """The numbers of records once some decisions count.

    Raises:
        StoreError: they do not add up.
    """
    counts = dict(decisions.group_by("fate").len().iter_rows())
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
