"""Publishes a version as a plain folder that never changes.

A version is written under a temporary name and renamed once all its bytes are on disk, so that
no incomplete version is visible. First come its rows, whose digest tells whether there is anything to publish.
"""

import errno
import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pipeline.errors import ReleaseError, VersionExists
from pipeline.kinds.registry import kind_of
from pipeline.releases.dataset_card import VersionFacts, dataset_card
from pipeline.releases.preferences import PREFERENCES
from pipeline.releases.row_digests import version_digest
from pipeline.releases.row_files import RowFile, pieces_of, write_rows
from pipeline.releases.versions import MANIFEST, dump_json, list_versions, next_version, parse_version, sealed
from pipeline.state.atomic import writing
from pipeline.state.staging import put_in_place
from schemas.dataset import Dataset
from schemas.manifest import Manifest
from schemas.task import Role, Task

DATA = "data"
"""The folder of the rows."""
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
    facts: VersionFacts
    previous: str | None = None
    agreement: Sequence[str] = ()
    """How far annotators of the same rows agree, a line for each field; names nobody."""


# --- publishing -------------------------------------------------------------------------------
def publish(
    folder: Path,
    version_dir: Path,
    rows: Mapping[str, RowFile],
    release: ReleaseInputs,
    extras: Mapping[str, bytes] | None = None,
) -> Manifest:
    """Publish a version atomically.

    Args:
        folder: a staged one beside it, into which its rows were written.
        version_dir: the folder to create, ``<releases>/X.Y.Z``.
        rows: the files of the rows by split, from ``write_rows``; splits without rows have none.
        release: where the rows come from.
        extras: more files by name, such as ``report.html``.

    Raises:
        VersionExists: it was published before, or just now by another process.
        ReleaseError: the folder's name is not a version, or there are no rows.
    """
    parse_version(version_dir.name)
    if version_dir.exists():
        raise _exists(version_dir, release.dataset.name)
    filled = {split: file for split, file in rows.items() if file.rows}
    if not filled:
        raise ReleaseError(f"'{release.dataset.name}' has no accepted rows to publish; see `goldleaf status`")
    tables = release.facts.preferences
    pairs = {
        split: write_rows(folder / PREFERENCES, split, table.schema, pieces_of(table))
        for split, table in tables.items()
    }
    manifest = _manifest(version_dir.name, release, filled, pairs)
    empty = [split for split in rows if split not in filled]
    card = dataset_card(manifest, release.dataset, release.task, filled, release.facts, pairs, empty, release.agreement)
    files = {**(extras or {}), SCHEMA: dump_json(release.task.model_json_schema()), CARD: card.encode()}
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


def digest_of(rows: Mapping[str, RowFile]) -> str:
    """The digest of the version that has these rows."""
    return version_digest({split: (file.rows, file.entry.content) for split, file in rows.items() if file.rows})


def _manifest(
    version: str, release: ReleaseInputs, rows: Mapping[str, RowFile], pairs: Mapping[str, RowFile]
) -> Manifest:
    licenses = {source: name for file in rows.values() for source, name in file.licenses.items()}
    label_sources = sum((file.by("label_source") for file in rows.values()), Counter[str]())
    facts = release.facts
    return Manifest(
        name=release.dataset.name,
        version=version,
        digest=digest_of(rows),
        created_at=release.created_at,
        goldleaf=release.goldleaf,
        run=release.run,
        task=release.dataset.task,
        task_digest=release.task.task_digest(),
        kind=kind_of(release.task).name,
        metric=kind_of(release.task).metric,
        input_fields=release.task.task_names(Role.INPUT),
        target_fields=release.task.task_names(Role.TARGET),
        splits={split: file.entry for split, file in rows.items()},
        preferences={split: file.entry for split, file in pairs.items()},
        funnel=facts.funnel,
        label_sources=dict(sorted(label_sources.items())),
        from_gold=facts.from_gold,
        unreviewed=facts.unreviewed,
        in_review=facts.in_review,
        in_review_pinned=dict(sorted(facts.in_review_pinned.items())),
        doubted=facts.doubted,
        absent=list(facts.absent),
        licenses=dict(sorted(licenses.items())),
        tokens=sum(file.tokens for file in rows.values()),
        encoding=release.dataset.measure.encoding,
        inputs=dict(facts.inputs),
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
