"""Drafts a release from the committed decisions: rows, splits and lineage; then publishes it."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import orjson
import polars as pl
import pyarrow as pa

from pipeline.config.dataset_file import LoadedDataset
from pipeline.errors import ReleaseError
from pipeline.kinds.registry import kind_of
from pipeline.releases.absent_labels import absent_labels
from pipeline.releases.adoption import versions_with_unknown_splits
from pipeline.releases.audit_result import ALL_FINAL, OpenAnswers, audit_result
from pipeline.releases.dataset_card import VersionFacts
from pipeline.releases.frozen_sources import frozen_sources
from pipeline.releases.preferences import preference_tables
from pipeline.releases.publish import DATA, ReleaseInputs, publish
from pipeline.releases.published_rows import rows_schema
from pipeline.releases.release_rows import ROWS, ReleaseRows
from pipeline.releases.row_files import RowFile, write_rows
from pipeline.releases.split import SPLIT_ROWS, Shared, divide
from pipeline.releases.versions import list_versions
from pipeline.state.dataset_folder import REPORT
from pipeline.state.decisions import from_frame, with_reason
from pipeline.state.runs import Run
from pipeline.state.snapshot import Snapshot
from pipeline.state.store import Store
from pipeline.state.tables import SCHEMAS, Table
from schemas.fate import Fate, LabelSource, ReasonCode
from schemas.manifest import Manifest
from schemas.run_summary import CurateFacts, CurateSummary, Proof
from schemas.task import Task


@dataclass(frozen=True, kw_only=True)
class Draft(VersionFacts):
    """A release that is not published yet."""

    rows: pl.DataFrame
    """What is published: the columns of ``ROWS``, by split in the order of ``splits``, then by id."""
    splits: list[str]
    """Those that have rows."""
    unknown: pl.DataFrame
    """``record_id``, ``group`` and ``split`` of the records that had none before: accepted ones, and duplicates, which
    follow the kept record."""
    probably_wrong: int
    """Of the ``unreviewed`` rows, those whose answer is likelier wrong than right."""


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


def draft_release(snapshot: Snapshot, dataset: LoadedDataset, shared: Shared, left: OpenAnswers = ALL_FINAL) -> Draft:
    """Draft what a release of the committed state would contain.

    What rows say is not read, but for labels: see ``release_rows``.

    Args:
        snapshot: the committed state.
        dataset: configuration and task.
        shared: what records have in common with others of their group.
        left: the records whose answer is missing or not final.

    Raises:
        ReleaseError: nothing is accepted, or two splits would share a group.
    """
    decided = _decided(snapshot, dataset)
    accepted = decided.filter(_IS_ACCEPTED)
    if accepted.is_empty():
        status = f"`goldleaf status {dataset.path}`"
        raise ReleaseError(f"no record of '{dataset.config.name}' is accepted yet; see {status}")
    config = dataset.config.split
    known = snapshot.splits().select("record_id", "split").collect()
    candidates = _candidates(decided, known, dataset)
    division = divide(candidates, config.fractions, dataset.config.name, shared)
    placed = accepted.join(division.splits, on="record_id", maintain_order="left")
    order = config.in_order(placed["split"].unique())
    rows = placed.select(ROWS.names()).sort(pl.col("split").cast(pl.Enum(order)), "record_id")
    # A copy keeps the split of its representative: if it ever takes its place, it must not move.
    copies = decided.filter(pl.col("fate") == Fate.DUPLICATE.value).join(
        division.splits.rename({"record_id": "duplicate_of"}), on="duplicate_of"
    )
    splits = pl.concat([placed.select(_PLACE), copies.select(_PLACE)])
    unused = _unused_labels(dataset.task, candidates)
    return Draft(
        rows=rows,
        splits=order,
        preferences=_preferences(snapshot, placed, dataset),
        unknown=splits.join(known, on="record_id", how="anti", maintain_order="left"),
        absent=absent_labels(division.lacks, config.group_by, unused, order),
        from_gold=_from_gold(snapshot, accepted, dataset),
        unreviewed=int(accepted["unreviewed"].sum()),
        probably_wrong=int((accepted["unreviewed"] & accepted["likely"]).sum()),
        in_review=int(decided["waits"].sum()),
        in_review_pinned=Counter(decided.filter(pl.col("waits") & (pl.col("pinned_split") != ""))["pinned_split"]),
        doubted=int((decided["waits"] & decided["doubted"]).sum()),
        funnel=snapshot.settled_funnel(),
        frozen=frozen_sources(snapshot, dataset.config.sources),
        audit=audit_result(snapshot, left),
        proof=_proof(snapshot),
        inputs={table.value: version for table, version in snapshot.versions.items()},
    )


_LIKELY = 0.5
_IS_ACCEPTED = pl.col("fate") == Fate.ACCEPTED.value
_PLACE = ["record_id", "group", "split"]
_COLUMNS = ["record_id", "run", "fate", "duplicate_of", "label_source", "group", "pinned_split", "tokens", "routed"]


def _decided(snapshot: Snapshot, dataset: LoadedDataset) -> pl.DataFrame:
    """What is decided about each current record, and its source; of what it says no more than its labels."""
    sources = snapshot.outline.lazy().select("record_id", "source")
    # Some that were drawn for the audit are suspect by now: those are looked at.
    unreviewed = with_reason(ReasonCode.UNREVIEWED) & pl.col("routed").is_null()
    waits = (pl.col("fate") == Fate.REVIEW.value) & pl.col("label_source").is_not_null()
    likely = (pl.col("label_error_score") > _LIKELY) & pl.lit(kind_of(dataset.task).scores_are_chances)
    more = {
        "unreviewed": unreviewed,
        "likely": likely.fill_null(value=False),
        "waits": waits,
        "doubted": with_reason(ReasonCode.LABEL_ERROR),
    }
    labels = ["targets"] if kind_of(dataset.task).labels(dataset.task) else []
    decisions = snapshot.current_decisions().select(*_COLUMNS, *labels, **more)
    return decisions.join(sources, on="record_id", maintain_order="left").collect()


def _candidates(decided: pl.DataFrame, known: pl.DataFrame, dataset: LoadedDataset) -> pl.DataFrame:
    """The rows to publish; those of earlier versions that are left out now but still pin their group; and copies,
    which contribute to their group's hash, whichever of them is kept. With the columns of ``SPLIT_ROWS``.
    """
    rows = decided.join(known, on="record_id", how="left", maintain_order="left")
    left_out = rows.filter(~_IS_ACCEPTED, pl.col("split").is_not_null()).select("record_id", "duplicate_of")
    following = left_out.join(known, left_on="duplicate_of", right_on="record_id", how="semi")["record_id"]
    pins = _IS_ACCEPTED | (pl.col("split").is_not_null() & ~pl.col("record_id").is_in(following.implode()))
    own = pl.coalesce("split", pl.when(pl.col("pinned_split") != "").then("pinned_split"))
    rows = rows.filter(pins | (pl.col("fate") == Fate.DUPLICATE.value))
    rows = rows.with_columns(split=pl.when(pins).then(own), published=_IS_ACCEPTED, labels=_labels(rows, dataset.task))
    return rows.select(SPLIT_ROWS.names())


def _labels(rows: pl.DataFrame, task: type[Task]) -> pl.Series:
    """What each row is stratified by; answers that are no labels have none."""
    kind = kind_of(task)
    if "targets" not in rows.columns:
        return pl.Series([[]], dtype=SPLIT_ROWS["labels"]).new_from_index(0, rows.height)
    answers = rows.select(pl.col("targets").fill_null("{}"))
    # Answers that are labels are few different ones.
    different = answers["targets"].unique()
    strata = [list(kind.strata(task, orjson.loads(text))) for text in different]
    labels = pl.DataFrame([different, pl.Series("labels", strata, dtype=SPLIT_ROWS["labels"])])
    return answers.join(labels, on="targets", how="left", maintain_order="left")["labels"]


def _preferences(snapshot: Snapshot, accepted: pl.DataFrame, dataset: LoadedDataset) -> dict[str, pa.Table]:
    """The pairs by split; what is read are the decisions of the groups in which annotators corrected something."""
    decisions, keys = snapshot.scan(Table.DECISIONS), ["record_id", "run"]
    is_human = pl.col("label_source") == LabelSource.HUMAN.value
    corrected = decisions.filter(is_human, pl.col("replaced").is_not_null()).select(keys).collect()
    groups = accepted.join(corrected, on=keys, how="semi")["group"]
    wanted = accepted.filter(pl.col("group").is_in(groups.implode()))
    if wanted.is_empty():
        return {}
    rows = decisions.join(wanted.lazy().select(keys), on=keys, how="semi").collect()
    return preference_tables(list(from_frame(rows)), dict(wanted.select("record_id", "split").iter_rows()), dataset)


def _proof(snapshot: Snapshot) -> Proof | None:
    """How far ``review.error_rate`` is proven by the last curate; None if it is not set."""
    last = snapshot.last_run(CurateFacts)
    return last.summary.proof if last else None


def _from_gold(snapshot: Snapshot, accepted: pl.DataFrame, dataset: LoadedDataset) -> int:
    """How many rows have the answer of their gold source: nobody was asked about them, or nobody has answered."""
    is_human = pl.col("label_source") == LabelSource.HUMAN.value
    trusted = accepted.filter(is_human, pl.col("source").is_in(dataset.config.gold_sources))
    if trusted.is_empty():
        return 0
    # Whoever answers a hidden gold item decides nothing: its row was not chosen for annotators.
    given = snapshot.latest_annotations().filter(~pl.col("deleted")).select("record_id").collect().to_series()
    return trusted.filter(pl.col("routed").is_null() | ~pl.col("record_id").is_in(given.implode())).height


def _unused_labels(task: type[Task], rows: pl.DataFrame) -> list[str]:
    used = set(rows.filter("published")["labels"].explode())
    return [label for label in kind_of(task).labels(task) if label not in used]


def keep_splits(store: Store, draft: Draft, run: str) -> None:
    """Record the new splits before they are published: a split that was visible never moves."""
    store.append(Table.SPLITS, draft.unknown.with_columns(run=pl.lit(run)).select(SCHEMAS[Table.SPLITS].names()))


def write_draft(
    draft: Draft, snapshot: Snapshot, dataset: LoadedDataset, folder: Path, work: Path, advance: Callable[[int], object]
) -> dict[str, RowFile]:
    """Write the rows of a draft into a staged folder, by split.

    Args:
        draft: names the rows.
        snapshot: what was drafted from.
        dataset: the task.
        folder: a staged one.
        work: an empty folder.
        advance: called with how many more are written.
    """
    schema, rows = rows_schema(dataset.task), ReleaseRows(draft.rows, snapshot, dataset, work)

    def told(split: str) -> Iterator[pa.Table]:
        for piece in rows.pieces(split):
            yield piece
            advance(piece.num_rows)

    return {split: write_rows(folder / DATA, split, schema, told(split)) for split in draft.splits}


def publish_draft(
    store: Store,
    dataset: LoadedDataset,
    draft: Draft,
    folder: Path,
    rows: Mapping[str, RowFile],
    run: Run,
    version: str,
    report: bytes,
    agreement: Sequence[str] = (),
) -> Manifest:
    """Publish a draft as a version.

    Args:
        store: has the versions.
        dataset: configuration and task.
        draft: what is published.
        folder: a staged one, which becomes the version.
        rows: what ``write_draft`` has written there.
        run: the publishing one.
        version: ``X.Y.Z``.
        report: on the state.
        agreement: what the card tells of annotators.

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
        facts=draft,
        previous=published[-1].version if published else None,
        agreement=agreement,
    )
    return publish(folder, store.releases / version, rows, release, {REPORT: report})
