"""Drafts a release from the committed decisions: rows, splits and lineage; then publishes it."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import orjson
import polars as pl
import pyarrow as pa

from pipeline.config.dataset_file import LoadedDataset
from pipeline.errors import ReleaseError
from pipeline.kinds.registry import kind_of
from pipeline.releases.absent_labels import absent_labels
from pipeline.releases.adoption import versions_with_unknown_splits
from pipeline.releases.audit_result import ALL_FINAL, AuditResult, OpenAnswers, audit_result
from pipeline.releases.frozen_sources import FrozenSource, frozen_sources
from pipeline.releases.preferences import preference_tables
from pipeline.releases.publish import ReleaseInputs, publish
from pipeline.releases.published_rows import PublishedRow, content_digest, rows_table
from pipeline.releases.split import SplitRow, divide
from pipeline.releases.versions import list_versions
from pipeline.state.decisions import from_frame
from pipeline.state.runs import Run
from pipeline.state.snapshot import Snapshot
from pipeline.state.store import REPORT, Store
from pipeline.state.tables import SCHEMAS, Table
from pipeline.text.field_paths import group_keys
from schemas.decision import Decision
from schemas.fate import Fate, LabelSource, ReasonCode
from schemas.manifest import AbsentLabel, Funnel, Manifest
from schemas.run_summary import CurateFacts, CurateSummary, Proof
from schemas.task import Task


@dataclass(frozen=True)
class Draft:
    """A release that is not published yet."""

    tables: Mapping[str, pa.Table]
    """Rows by split."""
    preferences: Mapping[str, pa.Table]
    """What annotators corrected, as pairs by split."""
    digest: str
    splits: Mapping[str, str]
    """Of every accepted record, and of duplicates, which follow the kept record."""
    groups: Mapping[str, str]
    absent: list[AbsentLabel]
    """Labels missing from some split."""
    known: frozenset[str]
    """Records that had a split before."""
    from_gold: int
    """Accepted rows of gold sources about which no annotator has decided."""
    unreviewed: int
    """Accepted rows that are uncertain, and about which nobody is asked."""
    in_review: int
    """Rows with an answer that wait for annotators."""
    doubted: int
    """Of these, rows whose answer models doubt."""
    funnel: Funnel
    frozen: Sequence[FrozenSource]
    """What is published of each frozen source."""
    audit: AuditResult | None
    """What the audit says of the accepted rows."""
    proof: Proof | None
    """How far `review.error_rate` is proven, if it is set."""
    inputs: Mapping[str, int]
    """Version of each table that was read."""


def require_curated(store: Store, dataset: LoadedDataset) -> None:
    """Refuse to publish what the last curate did not decide.

    Raises:
        ReleaseError: there was none, the dataset was changed since, or versions have splits that no table knows.
    """
    name, curate = dataset.config.name, f"`goldleaf curate {dataset.path}`"
    last = store.snapshot().at_last_commit().last_run(CurateSummary)
    if last is None:
        raise ReleaseError(f"'{name}' has not been curated yet; run {curate} first")
    if dataset.has_changed_since(last.summary):
        raise ReleaseError(
            f"{dataset.path} or its task was changed since the last curate, so a release "
            f"would not match it; run {curate} first"
        )
    if unknown := versions_with_unknown_splits(store, name):
        raise ReleaseError(
            f"the splits of {unknown[0]} are not in the tables, which were lost or are older; run {curate} first, "
            "which adopts them"
        )


def draft_release(snapshot: Snapshot, dataset: LoadedDataset, left: OpenAnswers = ALL_FINAL) -> Draft:
    """Draft what a release of the committed state would contain.

    Args:
        snapshot: the committed state.
        dataset: configuration and task.
        left: the records whose answer is missing or not final.

    Raises:
        ReleaseError: nothing is accepted, or two splits would share a group.
    """
    decisions = list(from_frame(snapshot.current_decisions().collect()))
    accepted = [decision for decision in decisions if decision.fate is Fate.ACCEPTED]
    if not accepted:
        status = f"`goldleaf status {dataset.path}`"
        raise ReleaseError(f"no record of '{dataset.config.name}' is accepted yet; see {status}")
    sources = dict(snapshot.current_records().select("record_id", "source").collect().iter_rows())
    known: dict[str, str] = dict(snapshot.splits().select("record_id", "split").collect().iter_rows())
    rows = list(_split_rows(decisions, known, _in_common(snapshot, dataset.config.split.group_by), dataset))
    division = divide(rows, dataset.config.split.fractions, salt=dataset.config.name)
    splits = division.splits
    by_split: defaultdict[str, list[PublishedRow]] = defaultdict(list)
    for decision in accepted:
        by_split[splits[decision.record_id]].append(_published(decision, sources[decision.record_id], dataset))
    tables = {split: rows_table(dataset.task, by_split[split]) for split in dataset.config.split.in_order(by_split)}
    unused = _unused_labels(dataset.task, rows)
    # A copy keeps the split of its representative: if it ever takes its place, it must not move.
    copies = {
        decision.record_id: splits[decision.duplicate_of]
        for decision in decisions
        if decision.fate is Fate.DUPLICATE and decision.duplicate_of in splits
    }
    waiting = [one for one in decisions if one.fate is Fate.REVIEW and one.targets is not None]
    return Draft(
        tables=tables,
        preferences=preference_tables(accepted, splits, dataset),
        digest=content_digest(tables),
        splits={**splits, **copies},
        absent=absent_labels(division.lacks, dataset.config.split.group_by, unused, tables),
        groups={decision.record_id: decision.group for decision in decisions},
        known=frozenset(known),
        from_gold=_from_gold(snapshot, accepted, sources, dataset),
        unreviewed=sum(_is_unreviewed(decision) for decision in accepted),
        in_review=len(waiting),
        doubted=sum(any(reason.code is ReasonCode.LABEL_ERROR for reason in one.reasons) for one in waiting),
        funnel=snapshot.settled_funnel(),
        frozen=frozen_sources(snapshot, dataset.config.sources),
        audit=audit_result(snapshot, left),
        proof=_proof(snapshot),
        inputs={table.value: version for table, version in snapshot.versions.items()},
    )


def _proof(snapshot: Snapshot) -> Proof | None:
    """How far ``review.error_rate`` is proven by the last curate; None if it is not set."""
    last = snapshot.last_run(CurateFacts)
    return last.summary.proof if last else None


def _is_unreviewed(decision: Decision) -> bool:
    """Whether a row is uncertain, and beyond the budget: some that were drawn for the audit are suspect by now."""
    return decision.routed is None and any(reason.code is ReasonCode.UNREVIEWED for reason in decision.reasons)


def _from_gold(
    snapshot: Snapshot, accepted: Iterable[Decision], sources: Mapping[str, str], dataset: LoadedDataset
) -> int:
    """How many rows have the answer of their gold source: nobody was asked about them, or nobody has answered."""
    gold = dataset.config.gold_sources
    trusted = [one for one in accepted if one.label_source is LabelSource.HUMAN and sources[one.record_id] in gold]
    if not trusted:
        return 0
    # Whoever answers a hidden gold item decides nothing: its row was not chosen for annotators.
    given = snapshot.latest_annotations().filter(~pl.col("deleted")).select(pl.col("record_id").unique())
    answered = set(given.collect().to_series())
    return sum(one.routed is None or one.record_id not in answered for one in trusted)


def _unused_labels(task: type[Task], rows: Iterable[SplitRow]) -> list[str]:
    used = {label for row in rows if row.published for label in row.labels}
    return [label for label in kind_of(task).labels(task) if label not in used]


def _in_common(snapshot: Snapshot, group_by: list[str]) -> dict[str, tuple[str, ...]]:
    """By record, what it has in common with others of its group."""
    if not group_by:
        return {}
    readable = snapshot.current_records().filter(pl.col("error") == "").select("record_id", "raw").collect()
    return {record_id: tuple(group_keys(orjson.loads(raw), group_by)) for record_id, raw in readable.iter_rows()}


def _split_rows(
    decisions: Iterable[Decision],
    known: Mapping[str, str],
    in_common: Mapping[str, tuple[str, ...]],
    dataset: LoadedDataset,
) -> Iterator[SplitRow]:
    """The rows to publish; those of earlier versions that are left out now but still pin their group; and copies,
    which contribute to their group's hash, whichever of them is kept.
    """
    kind = kind_of(dataset.task)
    for decision in decisions:
        record_id = decision.record_id
        published = decision.fate is Fate.ACCEPTED
        pins = published or (record_id in known and decision.duplicate_of not in known)
        if not pins and decision.fate is not Fate.DUPLICATE:
            continue
        yield SplitRow(
            record_id=record_id,
            group=decision.group,
            labels=kind.strata(dataset.task, decision.targets or {}),
            split=(known.get(record_id) or decision.pinned_split or None) if pins else None,
            published=published,
            content=in_common.get(record_id, ()),
        )


def _published(decision: Decision, source: str, dataset: LoadedDataset) -> PublishedRow:
    licenses = {entry.name: entry.license for entry in dataset.config.sources}
    return PublishedRow(
        record_id=decision.record_id,
        inputs=decision.inputs,
        targets=decision.targets or {},
        source=source,
        license=licenses.get(source, "unknown"),
        label_source=str(decision.label_source),
        group=decision.group,
        tokens=decision.tokens,
    )


def keep_splits(store: Store, draft: Draft, run: str) -> None:
    """Record the new splits before they are published: a split that was visible never moves."""
    rows = [
        (record_id, draft.groups.get(record_id, ""), split, run)
        for record_id, split in draft.splits.items()
        if record_id not in draft.known
    ]
    store.append(Table.SPLITS, pl.DataFrame(rows, schema=SCHEMAS[Table.SPLITS], orient="row"))


def publish_draft(
    store: Store,
    dataset: LoadedDataset,
    draft: Draft,
    run: Run,
    version: str,
    report: bytes,
    agreement: Sequence[str] = (),
) -> Manifest:
    """Publish a draft as a version, with the report on its state; ``agreement`` is what its card tells of annotators.

    Raises:
        VersionExists: another process was faster.
    """
    published = list_versions(store.releases)
    release = ReleaseInputs(
        dataset=dataset.config,
        task=dataset.task,
        run=run.id,
        goldleaf=run.goldleaf,
        created_at=datetime.now(UTC),
        funnel=draft.funnel,
        inputs=draft.inputs,
        previous=published[-1].version if published else None,
        from_gold=draft.from_gold,
        unreviewed=draft.unreviewed,
        in_review=draft.in_review,
        doubted=draft.doubted,
        absent=draft.absent,
        frozen=draft.frozen,
        preferences=draft.preferences,
        audit=draft.audit,
        proof=draft.proof,
        agreement=agreement,
    )
    return publish(store.releases / version, draft.tables, release, {REPORT: report})
