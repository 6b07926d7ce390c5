"""Publishes a version as a plain folder that never changes.

A version is written under a temporary name and renamed once all its bytes are on disk, so that
no incomplete version is visible. ``data/*.parquet`` have their content's digest in their names, because
``datasets`` would otherwise serve a cached version instead of another.
"""

import errno
import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import ReleaseError, VersionExists
from pipeline.kinds.registry import kind_of
from pipeline.releases.audit_result import AuditResult
from pipeline.releases.dataset_card import dataset_card
from pipeline.releases.frozen_sources import FrozenSource
from pipeline.releases.preferences import PREFERENCES
from pipeline.releases.published_rows import ROWS_AT_ONCE, batches, content, version_digest
from pipeline.releases.versions import (
    MANIFEST,
    dump_json,
    list_versions,
    next_version,
    parse_version,
    sealed,
    sha256_of,
)
from pipeline.state.atomic import writing
from pipeline.state.staging import put_in_place, staged
from schemas.dataset import Dataset
from schemas.manifest import AbsentLabel, Funnel, Manifest, SplitFile
from schemas.run_summary import Proof
from schemas.task import Role, Task

CARD = "README.md"
SCHEMA = "schema.json"


@dataclass(frozen=True)
class ReleaseInputs:
    """The manifest's content besides the rows."""

    dataset: Dataset
    task: type[Task]
    run: str
    goldleaf: str
    """The version of Goldleaf."""
    created_at: datetime
    funnel: Funnel
    inputs: Mapping[str, int]
    """Version of each table that was read."""
    previous: str | None = None
    from_gold: int = 0
    """Rows of gold sources about which no annotator has decided."""
    unreviewed: int = 0
    """Rows that were accepted though uncertain."""
    in_review: int = 0
    """Rows with an answer that wait for annotators."""
    doubted: int = 0
    """Of these, rows whose answer models doubt."""
    absent: Sequence[AbsentLabel] = ()
    """Labels missing from some split."""
    frozen: Sequence[FrozenSource] = ()
    """What is published of each frozen source."""
    preferences: Mapping[str, pa.Table] = field(default_factory=dict)
    """Preference pairs by split, from ``preference_tables``."""
    audit: AuditResult | None = None
    """What the audit says of the accepted rows, if it was answered."""
    proof: Proof | None = None
    """How far `review.error_rate` is proven, if it is set."""
    agreement: Sequence[str] = ()
    """How far annotators of the same rows agree, a line for each field; names nobody."""


# --- publishing -------------------------------------------------------------------------------
def publish(
    version_dir: Path, tables: Mapping[str, pa.Table], release: ReleaseInputs, extras: Mapping[str, bytes] | None = None
) -> Manifest:
    """Publish a version atomically.

    Args:
        version_dir: the folder to create, ``<releases>/X.Y.Z``.
        tables: rows by split, from ``rows_table``; splits without rows are left out.
        release: where the rows come from.
        extras: more files by name, such as ``report.html``.

    Raises:
        VersionExists: it was published before, or just now by another process.
        ReleaseError: the folder's name is not a version, or there are no rows.
    """
    parse_version(version_dir.name)
    if version_dir.exists():
        raise _exists(version_dir, release.dataset.name)
    filled = {split: table for split, table in tables.items() if table.num_rows}
    if not filled:
        raise ReleaseError(f"'{release.dataset.name}' has no accepted rows to publish; see `goldleaf status`")
    with staged(version_dir.parent) as folder:
        (folder / "data").mkdir()
        splits = {split: _write_split(folder / "data", split, table) for split, table in filled.items()}
        pairs = _write_pairs(folder, release.preferences)
        manifest = _manifest(version_dir.name, release, filled, splits, pairs)
        files = {
            **(extras or {}),
            SCHEMA: dump_json(release.task.model_json_schema()),
            CARD: dataset_card(
                manifest,
                release.dataset,
                release.task,
                tables,
                release.frozen,
                release.preferences,
                release.audit,
                release.proof,
                release.agreement,
            ).encode(),
        }
        for name, data in files.items():
            _write(folder / name, data)
        hashes = {name: hashlib.sha256(data).hexdigest() for name, data in sorted(files.items())}
        manifest = sealed(manifest.model_copy(update={"files": hashes}))
        _write(folder / MANIFEST, dump_json(manifest.model_dump(mode="json")))
        _rename(folder, version_dir, release.dataset.name)
    return manifest


def _exists(version_dir: Path, name: str) -> VersionExists:
    other = next_version([manifest.version for manifest in list_versions(version_dir.parent)])
    return VersionExists(
        f"version {version_dir.name} of '{name}' already exists and never changes; pass --version {other}"
    )


def _write_pairs(folder: Path, tables: Mapping[str, pa.Table]) -> dict[str, SplitFile]:
    if tables:
        (folder / PREFERENCES).mkdir()
    return {split: _write_split(folder / PREFERENCES, split, table) for split, table in tables.items()}


def _write_split(folder: Path, split: str, table: pa.Table) -> SplitFile:
    rows, digest = content(batches(table))
    path = folder / f"{split}-00000-of-00001-{digest[:16]}.parquet"
    with (
        writing(path, lasting=True) as sink,
        pq.ParquetWriter(sink, table.schema, compression="zstd", compression_level=3) as writer,
    ):
        for start in range(0, rows, ROWS_AT_ONCE):
            # The bytes depend on memory layout: each row group is written from one chunk.
            writer.write_table(table.slice(start, ROWS_AT_ONCE).combine_chunks(), row_group_size=ROWS_AT_ONCE)
    name = path.relative_to(folder.parent).as_posix()
    return SplitFile(file=name, rows=rows, bytes=path.stat().st_size, sha256=sha256_of(path), content=digest)


def _manifest(
    version: str,
    release: ReleaseInputs,
    tables: Mapping[str, pa.Table],
    splits: Mapping[str, SplitFile],
    pairs: Mapping[str, SplitFile],
) -> Manifest:
    columns = pa.concat_tables(
        [table.select(["source", "license", "label_source", "tokens"]) for table in tables.values()]
    )
    licenses = dict(zip(columns["source"].to_pylist(), columns["license"].to_pylist(), strict=True))
    return Manifest(
        name=release.dataset.name,
        version=version,
        digest=version_digest({split: (file.rows, file.content) for split, file in splits.items()}),
        created_at=release.created_at,
        goldleaf=release.goldleaf,
        run=release.run,
        task=release.dataset.task,
        task_digest=release.task.task_digest(),
        kind=kind_of(release.task).name,
        metric=kind_of(release.task).metric,
        input_fields=release.task.task_names(Role.INPUT),
        target_fields=release.task.task_names(Role.TARGET),
        splits=dict(splits),
        preferences=dict(pairs),
        funnel=release.funnel,
        label_sources=dict(sorted(Counter(columns["label_source"].to_pylist()).items())),
        from_gold=release.from_gold,
        unreviewed=release.unreviewed,
        in_review=release.in_review,
        doubted=release.doubted,
        absent=list(release.absent),
        licenses=dict(sorted(licenses.items())),
        tokens=sum(count or 0 for count in columns["tokens"].to_pylist()),
        encoding=release.dataset.measure.encoding,
        inputs=dict(release.inputs),
        previous=release.previous,
        files={},
        config=release.dataset.public().model_dump(mode="json"),
    )


# --- bytes on disk ---------------------------------------------------------------------------
def _write(path: Path, data: bytes) -> None:
    with writing(path, lasting=True) as sink:
        sink.write(data)


def _rename(folder: Path, version_dir: Path, name: str) -> None:
    """Publish: the name appears with all its content on disk, even after a power failure."""
    try:
        put_in_place(folder, version_dir)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            raise _exists(version_dir, name) from error
        raise
