"""Gives every current record its fate and commits: what curate does after reading the sources.

The stages, numbered as in the walk in docs/architecture.md; each takes and returns immutable values:

2. ``look``: which records have changed; all others stand, unless there is a reason to look at everything.
3. ``shards``, ``prepare``: derive what follows from each new row alone, in parallel; ``known_fields``: refuse fields of
   dataset.yaml that no row has.
4. ``meeting``, ``selection``: compare the texts, and add all rows that are related to those that have changed.
5. ``compare_rows``: chunks of rows that have nothing to do with each other; for each ``history``: what is known of its
   records; ``contamination``, ``mark_duplicates``: what comparing finds. Both together are a ``Case``.
6. ``score_labels``, ``second_voice``, ``measure``, ``repairable_rows``: label errors, what a model says, tokens.
7. ``settle``: fates, but for the budget's part in them; ``triage``: what annotators are asked, for all records in
   columns; commit the decisions that changed, with the run.
"""

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from pipeline.config.dataset_file import LoadedDataset
from pipeline.config.workspace import Workspace
from pipeline.curation.change_of_run import change_of
from pipeline.curation.compare_rows import compare_rows
from pipeline.curation.comparing_steps import comparing
from pipeline.curation.derived_rows import DerivedRows, derivation_digest
from pipeline.curation.earlier_run import Earlier, earlier
from pipeline.curation.evaluation_sets import evaluation_rows
from pipeline.curation.judge import forget_other_judges
from pipeline.curation.known_fields import (
    notes_about_layouts,
    require_group_fields,
    require_mapped_fields,
    require_named_layouts,
)
from pipeline.curation.look import Look, look_at_changes, look_at_everything
from pipeline.curation.open_cases import Opened, open_cases
from pipeline.curation.rescoring import Scoring, rules_off
from pipeline.curation.similarity_histogram import count_similarities, last_similarities, similarities_stand
from pipeline.curation.standing import Header, write_standing
from pipeline.curation.triage_cases import Triaged, triage_cases
from pipeline.curation.unchanged import stand_still
from pipeline.errors import StoreError
from pipeline.ingest.ingest_sources import Ingested
from pipeline.kinds.registry import kind_of
from pipeline.releases.adoption import Adopted, Adoption, adopt_splits, adopted_before, adoption_of
from pipeline.releases.recovery import commit_version
from pipeline.similarity.index import require_pairs
from pipeline.similarity.signatures import Scheme
from pipeline.state.memory import let_go
from pipeline.state.outline import keep_outline, outline_stands, renewed
from pipeline.state.runs import Run
from pipeline.state.same_question import asked_for, same_question
from pipeline.state.snapshot import Snapshot
from pipeline.state.tables import Table
from pipeline.steps import Advance, Steps
from schemas.fate import Fate, ReasonCode
from schemas.manifest import Funnel
from schemas.run_summary import BudgetUse, Changed, CurateSummary, Looked, Proof
from schemas.similarities import Similarities
from schemas.task import Role
from schemas.task_shape import shape_digest

_ADOPTS = "it adopts the splits of a version"
_MOST_NEAR = 0.5
"""Report it if a larger share of rows are near-duplicates."""


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


@dataclass(frozen=True)
class Decided:
    """What a run has decided and committed."""

    run: str
    changed: int
    """Decisions that differ from those that counted before."""
    added: int
    """Records without an earlier decision."""
    near: int
    """How many of all records are near-duplicates."""
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

    @property
    def notes(self) -> list[str]:
        """What you should know about it; empty texts if there is nothing to report."""
        return [self.adopted.note, self.note, *self.layouts, self._mostly_similar]

    @property
    def _mostly_similar(self) -> str:
        """In a template, a few words may make all the difference."""
        if self.near <= self.funnel.current * _MOST_NEAR:
            return ""
        return (
            f"{self.near:,} of {self.funnel.current:,} rows are near-duplicates of others; look at some with `goldleaf "
            "duplicates`, and raise duplicates.threshold if they ask different things"
        )


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
    heard: str = "",
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
        heard: the model whose new answers are all that has changed.

    Raises:
        ConfigError: no row has a field that splits are grouped by, or that a source's field map names, or its layout.
        Rewritten: a file that was being written when it was read was written to since.
        StoreError: the index has lost pairs of similar texts.
    """
    store, dataset = workspace.store, workspace.dataset
    snapshot = store.snapshot()
    require_pairs(snapshot)
    adoption = adoption_of(snapshot, dataset, unknown) if read is not None else None
    why = "it was asked to" if full or rescore else _ADOPTS if adoption and adoption.is_due else ""
    before = earlier(workspace, evaluation)
    if not why and (unchanged := _unchanged(workspace, run, before, read)) is not None:
        return unchanged
    folder, of_evaluation = store.work(run.id), evaluation_rows(store.snapshot(), evaluation)
    look, opened, focus = _look(
        workspace, steps, run, before, of_evaluation, why=why, may_rescore=read is not None, anew=full
    )
    # Before anything is written: with a misspelled field no row would be recognized, and splits are kept for good.
    require_group_fields(look.facts, dataset.config)
    require_mapped_fields(look.facts, dataset.config)
    require_named_layouts(look.facts, dataset)
    adopted = _adopt_splits(workspace, steps, run, look, adoption)
    snapshot = store.snapshot()
    if focus is not None and focus.versions[Table.SPLITS] != snapshot.versions[Table.SPLITS]:
        focus = look.focus(snapshot)
    if opened is None or focus is None:
        focus = snapshot
        opened = steps.run(open_cases, look, focus, dataset, before.judge, rescore, read is not None)
    with comparing(steps, len(look.prepared), "comparing texts") as each:
        compared = compare_rows(opened, look, of_evaluation, focus, dataset, folder, each)
    triaged = triage_cases(opened, look, compared, snapshot, focus, dataset, run.id, folder, steps)
    made = _Made(look, opened.scoring, triaged, adopted, snapshot, heard)
    return _commit(workspace, steps, run, evaluation, read, made)


def _look(
    workspace: Workspace,
    steps: Steps,
    run: Run,
    before: Earlier,
    of_evaluation: pl.DataFrame,
    *,
    why: str,
    may_rescore: bool,
    anew: bool,
) -> tuple[Look, Opened | None, Snapshot | None]:
    """What the run looks at: everything, if there is a reason (``why``); else also what is known about it, and its
    committed past.
    """
    if not why:
        look = look_at_changes(workspace, steps, run, before, of_evaluation["text"].to_list())
        if isinstance(look, Look):
            focus = look.focus(workspace.store.snapshot())
            opened = steps.run(open_cases, look, focus, workspace.dataset, before.judge, False, may_rescore)
            if not opened.anew:
                return look, opened, focus
            why = opened.anew
        else:
            why = look
    return look_at_everything(workspace, steps, run, why, before.last, anew=anew), None, None


def _unchanged(workspace: Workspace, run: Run, before: Earlier, read: Ingested | None) -> Decided | None:
    """Commit that everything stands as it is; None if something has changed."""
    still = stand_still(workspace, run, before, read)
    if still is None:
        return None
    summary, header = still.summary, still.header
    said = (header.near, summary.note, summary, None)
    return Decided(run.id, 0, 0, *said, still.funnel, Adopted(), [], still.looked, Changed())


@dataclass(frozen=True)
class _Made:
    """What a run has come to, before it is committed."""

    look: Look
    scoring: Scoring
    triaged: Triaged
    adopted: Adopted
    snapshot: Snapshot
    heard: str
    """The model whose new answers are all that has changed."""


_COUNTED = ("record_id", "order", "text_one", "whole_one", "fate", "first")
"""The columns of all rows that are counted."""


def _commit(
    workspace: Workspace, steps: Steps, run: Run, evaluation: str, read: Ingested | None, made: _Made
) -> Decided:
    """Write the decisions that changed, what stands of all, and then the run."""
    store, dataset = workspace.store, workspace.dataset
    look, triaged, snapshot = made.look, made.triaged, made.snapshot
    rows, added = triaged.rows.read(_COUNTED), read.added if read else 0
    let_go()
    before = last_similarities(snapshot) if triaged.is_same or similarities_stand(look, rows, store) else None
    found = before or steps.run(count_similarities, rows, store, dataset.config.duplicates.threshold)
    let_go()
    funnel = _funnel(snapshot, rows, anew=look.others.standing is None)
    # Of how many others the decision changes is not known before.
    total = rows.height if look.others.standing is None else None
    with steps.progress.step("writing decisions", total, "rows") as advance:
        changed = store.append_pieces(Table.DECISIONS, _counted(triaged.fresh, advance))
    made_now = store.snapshot().added_since(Table.DECISIONS, snapshot.versions[Table.DECISIONS])
    fresh = made_now.filter(pl.col("run") == run.id)
    change = Changed() if triaged.is_same else change_of(snapshot, rows, fresh)
    inputs = {table.value: version for table, version in snapshot.versions.items()}
    is_near = pl.col("first") == ReasonCode.NEAR_DUPLICATE.value
    near = rows.filter(pl.col("fate") == Fate.DUPLICATE.value, is_near).height
    _leave_standing(workspace, run, evaluation, made, near, fresh)
    summary = _summary(dataset, evaluation, found, read, added, made, change)
    if read is not None:
        read.require_as_read()
    store.commit(run, inputs=inputs, funnel=funnel, summary=summary)
    _forget_others(workspace, triaged)
    let_go()
    layouts = notes_about_layouts(look.facts, dataset) if added else []
    said = (near, triaged.note, triaged.use, triaged.proof)
    return Decided(run.id, changed, added, *said, funnel, made.adopted, layouts, look.told, change)


def _counted(pieces: Iterator[pl.DataFrame], advance: Advance) -> Iterator[pl.DataFrame]:
    for piece in pieces:
        yield piece
        advance(piece.height)


def _leave_standing(
    workspace: Workspace, run: Run, evaluation: str, made: _Made, near: int, fresh: pl.LazyFrame
) -> None:
    """Keep what the next run goes on from, and the outline for those who only look."""
    store, dataset, look, triaged = workspace.store, workspace.dataset, made.look, made.triaged
    versions = {table.value: version for table, version in store.snapshot().versions.items()}
    scheme = Scheme(dataset.config.duplicates.threshold).name
    rules = (dataset.curation_digest, derivation_digest(dataset), evaluation, scheme)
    header = Header(run.id, *rules, versions, near, dataset.curation_parts)
    if triaged.is_same and look.standing is not None:
        look.standing.keep(store, header)
        outline_stands(store.standing / look.standing.header.run, store.standing / run.id)
        return
    write_standing(store, header, triaged.past)
    let_go()
    records = triaged.rows.read(("record_id", "revision", "source"))
    seen = made.snapshot.at_last_commit()
    before, later = seen.last_outline()
    if later is not None:
        fresh = pl.concat([later, fresh]).unique("record_id", keep="last", maintain_order=True)
    outline = renewed(
        seen.outline if before is None else before, fresh, records.lazy(), made.snapshot.committed_decisions()
    )
    # Two rows had the same 64 bits.
    if outline.height == records.height:
        keep_outline(outline.pieces(), store.standing / run.id)


def _forget_others(workspace: Workspace, triaged: Triaged) -> None:
    """Remove the caches that nothing names any more, once the run is committed."""
    forget_other_judges(workspace.store, triaged.judged_by)
    if not triaged.is_same:
        derived = DerivedRows(workspace.store.derived(derivation_digest(workspace.dataset)))
        derived.keep_only(set(triaged.rows.read(["file"])["file"].unique()))


def _summary(
    dataset: LoadedDataset,
    evaluation: str,
    found: Similarities,
    read: Ingested | None,
    added: int,
    made: _Made,
    change: Changed,
) -> CurateSummary:
    triaged, task = made.triaged, dataset.task
    return CurateSummary(
        file=str(dataset.path),
        curation=dataset.curation_digest,
        asked_as=sorted(same_question(made.snapshot, task)),
        asks_for=asked_for(task),
        context=task.task_names(Role.CONTEXT),
        shape=shape_digest(task),
        kind=kind_of(dataset.task).name,
        off=rules_off(dataset),
        scores=made.scoring.version,
        corrections=made.scoring.corrections,
        evaluation=evaluation,
        similarities=found,
        reads=read is not None,
        lines=read.lines if read else 0,
        added=added,
        withdrawn=read.withdrawn if read else 0,
        looked=made.look.told,
        change=change,
        judge=triaged.judged_by,
        **triaged.use.of_budget,
        note=triaged.note,
        proof=triaged.proof,
        past_proof=triaged.past_proof,
        heard=made.heard,
        adopted=made.adopted.versions,
        adopted_from=made.adopted.digests,
    )


def _funnel(snapshot: Snapshot, rows: pl.DataFrame, *, anew: bool) -> Funnel:
    """The numbers of records once some decisions count, with those of all rows counted anew, or since the last run.

    Raises:
        StoreError: they do not add up.
    """
    counts = dict(rows.group_by("fate").len().iter_rows())
    read = snapshot.rows_read() if anew else snapshot.rows_read_since_last()
    funnel = read.model_copy(update={fate.value: counts.get(fate.value, 0) for fate in Fate})
    if not funnel.adds_up():
        raise StoreError(
            f"the fates of '{snapshot.store.dataset}' do not add up: {funnel}; nothing was committed, please report "
            "this"
        )
    return funnel


def _adopt_splits(workspace: Workspace, steps: Steps, run: Run, look: Look, adoption: Adoption | None) -> Adopted:
    """Adopt splits from versions that the home does not know, and commit those that are its own."""
    store, dataset = workspace.store, workspace.dataset
    if adoption is None:
        has_new = look.records is None or look.told.changed
        return Adopted(digests=() if has_new else adopted_before(store.snapshot()))
    if not (adoption.named or adoption.unknown):
        return Adopted()
    with steps.progress.step("adopting splits"):
        paths, are_all = [part.path for part in look.prepared], look.records is None
        adopted = steps.run(adopt_splits, paths, store.snapshot(), dataset, run.id, adoption, are_all=are_all)
        for manifest in reversed(adopted.own):
            commit_version(store, manifest)
    return adopted
