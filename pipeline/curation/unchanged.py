"""Recognizes that nothing has changed since the last curate: then everything stands as it is, and no row is read."""

from dataclasses import dataclass, replace

from pipeline.config.workspace import Workspace
from pipeline.curation.derived_rows import DerivedRows, NotDerived
from pipeline.curation.earlier_run import Earlier
from pipeline.curation.known_fields import notes_about_fields
from pipeline.curation.rescoring import is_due
from pipeline.curation.row_facts import Facts
from pipeline.curation.standing import Header, Standing
from pipeline.ingest.ingest_sources import Ingested
from pipeline.releases.frozen_sources import frozen_sources
from pipeline.state.outline import outline_stands
from pipeline.state.runs import CommittedRun, Run
from pipeline.state.snapshot import Snapshot
from pipeline.state.tables import INDEX, Table
from schemas.manifest import Funnel
from schemas.run_summary import Changed, CurateSummary, Looked

_READ = (Table.RECORDS, Table.DECISIONS, Table.ANNOTATIONS, Table.SPLITS)
"""The tables that decisions follow from. Which questions were sent matters only with ``review.error_rate``, and then
this is not asked."""


@dataclass(frozen=True)
class Still:
    """A committed run in which everything stands as it was."""

    header: Header
    summary: CurateSummary
    funnel: Funnel
    looked: Looked


def stand_still(workspace: Workspace, run: Run, before: Earlier, read: Ingested | None) -> Still | None:
    """Commit that everything stands as it is; None if something has changed, or if only a look at all rows can tell.

    Args:
        workspace: the dataset; the caller holds the lock.
        run: the deciding run.
        before: what the last curate has left.
        read: what was read for it; without it labels are not scored anew.
    """
    store, dataset, standing = workspace.store, workspace.dataset, before.standing
    snapshot = store.snapshot()
    last = snapshot.last_run(CurateSummary)
    if last is None or standing is None or not _is_unchanged(workspace, snapshot, standing):
        return None
    if read is not None and _must_rescore(workspace, standing, last):
        return None
    known = snapshot.at_last_commit().settled_funnel()
    versions = {table.value: version for table, version in snapshot.versions.items()}
    header = replace(standing.header, run=run.id, versions=versions)
    try:
        facts = Facts.of_all(DerivedRows(store.derived(header.derivation)).facts(standing.files))
        standing.keep(store, header)
    except (NotDerived, OSError):
        return None
    outline_stands(store.standing / last.id, store.standing / run.id)
    frozen = frozen_sources(snapshot.at_last_commit(), dataset.config.sources)
    notes = [*notes_about_fields(facts, dataset), *(str(source) for source in frozen if not source.is_whole)]
    looked = Looked(changed=0, withdrawn=0, answered=0, related=0, untouched=known.current)
    summary = last.summary.model_copy(
        update={
            "file": str(dataset.path),
            "reads": read is not None,
            "lines": read.lines if read else 0,
            "added": 0,
            "withdrawn": read.withdrawn if read else 0,
            "change": Changed(),
            "looked": looked,
            "note": "\n".join(notes),
            "proof": None,
            "past_proof": last.summary.last_proof,
            "heard": "",
            "adopted": [],
        }
    )
    store.commit(run, inputs=versions, funnel=known, summary=summary)
    return Still(header, summary, known, looked)


def _is_unchanged(workspace: Workspace, snapshot: Snapshot, standing: Standing) -> bool:
    """Whether nothing was added since, and nothing outside of the tables matters."""
    config = workspace.dataset.config
    if config.review.error_rate is not None or config.suggest.is_on:
        # What was refused, skipped or answered by a model since is in no table.
        return False
    for table in INDEX:
        # Damage is told now, and not by the run that needs it.
        snapshot.scan(table)
    versions = standing.header.versions
    added = (snapshot.added_since(table, versions.get(table.value, -1)) for table in _READ)
    return all(rows.head(1).collect().is_empty() for rows in added)


def _must_rescore(workspace: Workspace, standing: Standing, last: CommittedRun[CurateSummary]) -> bool:
    rows = standing.columns("was_wrong", "labeled")
    return is_due(int(rows["was_wrong"].sum()), int(rows["labeled"].sum()), last.summary, workspace.dataset)
