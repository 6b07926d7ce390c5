"""Recognizes that nothing has changed since the last curate: then everything stands as it is, and no row is read."""

from dataclasses import replace

import pyarrow as pa

from pipeline.config.workspace import Workspace
from pipeline.curation.derived_rows import derivation_digest
from pipeline.curation.known_fields import notes_about_fields
from pipeline.curation.rescoring import is_due
from pipeline.curation.row_facts import Facts
from pipeline.curation.standing import Header, read_header, stand_on, standing_columns
from pipeline.errors import StoreError
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


def standing_of_all(workspace: Workspace, snapshot: Snapshot, evaluation: str, *, may_rescore: bool) -> Header | None:
    """What the standing of the last curate follows from, if nothing of that has changed; None if something has.

    Args:
        workspace: the dataset.
        snapshot: the newest state.
        evaluation: the digest under which the evaluation rows are stored.
        may_rescore: labels are scored anew if enough was corrected since the last time.
    """
    dataset, store = workspace.dataset, workspace.store
    last = snapshot.last_run(CurateSummary)
    header = read_header(store, last.id) if last else None
    if last is None or header is None or not header.facts:
        return None
    if dataset.config.review.error_rate is not None or dataset.config.suggest.is_on:
        # What was refused, skipped or answered by a model since is in no table.
        return None
    same = (dataset.curation_digest, derivation_digest(dataset), evaluation)
    if (header.curation, header.derivation, header.evaluation) != same:
        return None
    if any(snapshot.versions[Table(table)] < version for table, version in header.versions.items()):
        return None
    for table in INDEX:
        # Damage is told now, and not by the run that needs it.
        snapshot.scan(table)
    for table in _READ:
        if not snapshot.added_since(table, header.versions.get(table.value, -1)).head(1).collect().is_empty():
            return None
    return None if may_rescore and _must_rescore(workspace, last) else header


def _must_rescore(workspace: Workspace, last: CommittedRun[CurateSummary]) -> bool:
    try:
        rows = standing_columns(workspace.store, last.id, "was_wrong", "labeled")
    except (StoreError, OSError, pa.ArrowInvalid, KeyError):
        return True
    corrections, labeled = int(rows["was_wrong"].sum()), int(rows["labeled"].sum())
    return is_due(corrections, labeled, last.summary, workspace.dataset)


def stand_still(
    workspace: Workspace, run: Run, snapshot: Snapshot, header: Header, read: Ingested | None
) -> tuple[CurateSummary, Funnel] | None:
    """Commit a run in which everything stands as it is; its summary and numbers, or None if that is not possible.

    Args:
        workspace: the dataset; the caller holds the lock.
        run: the deciding run.
        snapshot: the newest state.
        header: of the standing.
        read: what was read for it.
    """
    store, dataset = workspace.store, workspace.dataset
    last = snapshot.last_run(CurateSummary)
    known = snapshot.at_last_commit().settled_funnel()
    versions = {table.value: version for table, version in snapshot.versions.items()}
    if last is None or not stand_on(store, header.run, replace(header, run=run.id, versions=versions)):
        return None
    outline_stands(store.standing / header.run, store.standing / run.id)
    frozen = frozen_sources(snapshot.at_last_commit(), dataset.config.sources)
    notes = [*notes_about_fields(Facts.of_json(header.facts.encode()), dataset)]
    notes += [str(source) for source in frozen if not source.is_whole]
    summary = last.summary.model_copy(
        update={
            "file": str(dataset.path),
            "lines": read.lines if read else 0,
            "added": 0,
            "withdrawn": read.withdrawn if read else 0,
            "change": Changed(),
            "looked": Looked(changed=0, withdrawn=0, answered=0, related=0, untouched=known.current),
            "note": "\n".join(notes),
            "proof": None,
            "past_proof": last.summary.last_proof,
            "adopted": [],
        }
    )
    store.commit(run, inputs=versions, funnel=known, summary=summary)
    return summary, known
