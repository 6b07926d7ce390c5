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
from pipeline.curation.change_of_run import change_of
from pipeline.curation.contamination import forget_known_answers, reject_contaminated
from pipeline.curation.derived_rows import derivation_digest
from pipeline.curation.evaluation_sets import evaluation_rows
from pipeline.curation.judge import forget_other_judges
from pipeline.curation.known_fields import (
    notes_about_layouts,
    require_group_fields,
    require_mapped_fields,
    require_named_layouts,
)
from pipeline.curation.look import Look, earlier, look_at_changes, look_at_everything
from pipeline.curation.open_cases import Opened, open_cases
from pipeline.curation.prepare import Prepared
from pipeline.curation.rescoring import Scoring, rules_off
from pipeline.curation.similar_texts import SimilarTexts, find_similar_texts
from pipeline.curation.similarity_histogram import count_similarities
from pipeline.curation.standing import Header, Standing
from pipeline.curation.triage import BudgetUse
from pipeline.curation.triage_cases import Triaged, triage_cases
from pipeline.curation.unchanged import stand_still, standing_of_all
from pipeline.errors import StoreError
from pipeline.ingest.ingest_sources import Ingested
from pipeline.kinds.registry import kind_of
from pipeline.releases.adoption import Adopted, adopt_splits
from pipeline.releases.recovery import commit_version
from pipeline.state.outline import keep_outline, renewed
from pipeline.state.runs import Run
from pipeline.state.snapshot import Snapshot
from pipeline.state.store import Store
from pipeline.state.tables import Table
from pipeline.steps import Steps
from schemas.fate import Fate, ReasonCode
from schemas.manifest import Funnel
from schemas.run_summary import Changed, CollectSummary, CurateSummary, Looked, Proof, Verb
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
class Decided:
    """What a run has decided and committed."""

    changed: int
    """Decisions that differ from those that counted before."""
    added: int
    """Records without an earlier decision."""
    near: int
    """Near-duplicates."""
    note: str
    """Notes on label errors and fields, a line each; empty if there are none."""
    use: BudgetUse
    proof: Proof | None
    """Of ``review.error_rate``, if it is set."""
    funnel: Funnel
    adopted: Adopted
    layouts: list[str]
    """Notes on how conversations were read; none if there are no new ones."""
    looked: Looked
    """What it looked at."""
    change: Changed
    """What became of the rows that it was the first to see."""


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
    is_anew = full or rescore or bool(unknown) or bool(dataset.config.split.adopt)
    if not is_anew and (unchanged := _unchanged(workspace, run, evaluation, read)) is not None:
        return unchanged
    folder, of_evaluation = store.work(run.id), evaluation_rows(store.snapshot(), evaluation)
    before = earlier(workspace, evaluation)
    opening = partial(open_cases, dataset=dataset, judge=before.judge, rescore=rescore, may_rescore=read is not None)
    look = None if is_anew else look_at_changes(workspace, steps, run, before, of_evaluation["text"].to_list())
    opened = steps.run(opening, look, look.focus(store.snapshot())) if look else None
    if look is None or opened is None or opened.is_anew:
        look, opened = look_at_everything(workspace, steps, run, "it was asked to" if is_anew else before.why), None
    # Before anything is written: with a misspelled field no row would be recognized, and splits are kept for good.
    require_group_fields(look.facts, dataset.config)
    require_mapped_fields(look.facts, dataset.config)
    require_named_layouts(look.facts, dataset)
    adopted = _adopt_splits(workspace, steps, run, look.prepared, unknown) if read is not None else Adopted()
    snapshot = store.snapshot()
    focus = look.focus(snapshot)
    if opened is None:
        opened = steps.run(opening, look, focus)
    similar = _compare_texts(dataset, steps, focus, opened.cases, look.prepared, of_evaluation, folder)
    with steps.progress.step("comparing rows, scoring labels, deciding"):
        triaged = steps.run(triage_cases, opened, look, similar, snapshot, focus, dataset, run.id)
    return _commit(workspace, steps, run, evaluation, read, _Made(look, opened, triaged, adopted, snapshot))


@dataclass(frozen=True)
class _Made:
    """What a run has come to, before it is committed."""

    look: Look
    opened: Opened
    triaged: Triaged
    adopted: Adopted
    snapshot: Snapshot


def _commit(
    workspace: Workspace, steps: Steps, run: Run, evaluation: str, read: Ingested | None, made: _Made
) -> Decided:
    """Write the decisions that changed, what stands of all, and then the run."""
    store, dataset = workspace.store, workspace.dataset
    look, triaged, snapshot, adopted = made.look, made.triaged, made.snapshot, made.adopted
    rows, added = triaged.rows, _added(snapshot, read)
    found = steps.run(count_similarities, rows, store, dataset.config.duplicates.threshold)
    funnel, change = _funnel(snapshot, rows), change_of(snapshot, rows, triaged.fresh)
    store.append(Table.DECISIONS, triaged.fresh)
    inputs = {table.value: version for table, version in snapshot.versions.items()}
    after = {table.value: version for table, version in store.snapshot().versions.items()}
    judge = triaged.judge.run if triaged.judge else ""
    near = rows.filter(
        pl.col("fate") == Fate.DUPLICATE.value, pl.col("first") == ReasonCode.NEAR_DUPLICATE.value
    ).height
    header = Header(
        run.id,
        dataset.curation_digest,
        derivation_digest(dataset),
        evaluation,
        after,
        judge,
        look.facts.as_json().decode(),
        near,
        {code.value: count for code, count in triaged.use.beyond_by_reason.items()},
    )
    Standing(header, rows, triaged.past).write(store)
    _keep_outline(store, run, snapshot, triaged)
    summary = _summary(dataset, evaluation, found, read, added, triaged, adopted, made.opened.scoring, look.told)
    summary = summary.model_copy(update={"change": change})
    store.commit(run, inputs=inputs, funnel=funnel, summary=summary)
    forget_other_judges(store, judge)
    layouts = notes_about_layouts(look.facts, dataset) if added else []
    said = (triaged.note, triaged.use, triaged.proof)
    return Decided(triaged.fresh.height, added, near, *said, funnel, adopted, layouts, look.told, change)


def _unchanged(workspace: Workspace, run: Run, evaluation: str, read: Ingested | None) -> Decided | None:
    """Commit that everything stands as it is; None if something has changed."""
    snapshot = workspace.store.snapshot()
    header = standing_of_all(workspace, snapshot, evaluation, may_rescore=read is not None)
    if header is None or (told := stand_still(workspace, run, snapshot, header, read)) is None:
        return None
    summary, funnel = told
    assert summary.looked is not None
    beyond = {ReasonCode(code): count for code, count in header.beyond.items()}
    use = BudgetUse(summary.budget, summary.budget_used, summary.beyond_budget, beyond)
    return Decided(0, 0, header.near, summary.note, use, None, funnel, Adopted(), [], summary.looked, Changed())


def _keep_outline(store: Store, run: Run, snapshot: Snapshot, triaged: Triaged) -> None:
    """Keep the outline of what is decided, unless a record is back whose decision was not made anew."""
    outline = renewed(snapshot.at_last_commit().outline, triaged.fresh.lazy(), triaged.rows.lazy())
    if outline.height == triaged.rows.height:
        keep_outline(outline, store.standing / run.id)


def _summary(
    dataset: LoadedDataset,
    evaluation: str,
    found: Similarities,
    read: Ingested | None,
    added: int,
    triaged: Triaged,
    adopted: Adopted,
    scoring: Scoring,
    looked: Looked,
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
        looked=looked,
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
    funnel = snapshot.rows_read().model_copy(update={fate.value: counts.get(fate.value, 0) for fate in Fate})
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
