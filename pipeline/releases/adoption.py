"""Adopts the splits of published versions into a home that does not know them: it lost them, or was rebuilt."""

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.config.dataset_file import LoadedDataset
from pipeline.errors import ReleaseError
from pipeline.releases.published_rows import ROWS_AT_ONCE, published_inputs
from pipeline.releases.versions import read_manifest, verify, version_folders
from pipeline.state.mapped_rows import read_rows
from pipeline.state.snapshot import Snapshot
from pipeline.state.store import Store
from pipeline.state.tables import SCHEMAS, Table
from pipeline.text.normalize import inputs_key
from schemas.manifest import Manifest
from schemas.task import Task
from schemas.user_code_errors import writable

_Place = tuple[str, str]
"""A group and a split."""


@dataclass(frozen=True)
class Adopted:
    """What was adopted from published versions."""

    note: str = ""
    """Text for the report; empty if there was nothing left to adopt."""
    versions: tuple[str, ...] = ()
    """Those of this dataset from another home: its next version is numbered after them."""
    own: tuple[Manifest, ...] = ()
    """Those in this home."""


@dataclass(frozen=True)
class _Version:
    """The splits of a version's rows."""

    manifest: Manifest
    is_own: bool
    """It is in this home."""
    by_id: Mapping[str, _Place]
    by_key: Mapping[str, _Place]
    """By what they ask."""
    key_of: Mapping[str, str]
    """By id, what they ask, if they ask anything."""

    @property
    def shown(self) -> str:
        """The name for messages."""
        return f"{self.manifest.name}@{self.manifest.version}"

    def new_places(self, keys: Mapping[str, str], placed: Container[str]) -> Iterator[tuple[str, _Place]]:
        """The places of the records that have none yet; and of the rows that are not among the records, by
        id or by what they ask.
        """
        for record_id, key in keys.items():
            if record_id not in placed and (place := self.place(record_id, key)):
                yield record_id, place
        asked = set(keys.values())
        for record_id, place in self.by_id.items():
            is_away = record_id not in keys and self.key_of.get(record_id) not in asked
            if is_away and record_id not in placed:
                yield record_id, place

    def place(self, record_id: str, key: str) -> _Place | None:
        """The place of a record: that of the row that asks the same, else that of the row with its id."""
        return (self.by_key.get(key) if key else None) or self.by_id.get(record_id)


def versions_with_unknown_splits(store: Store, name: str) -> list[Path]:
    """The folders of a dataset's versions in its home whose splits the home does not know, the highest version first.

    They were published, but no committed run says so, and some of their rows have no split: the tables were lost, or
    are older.

    Raises:
        Damaged: such a version is not as it was published.
    """
    snapshot = store.snapshot()
    committed = snapshot.published_versions()
    unknown = [folder for folder in reversed(version_folders(store.releases)) if folder.name not in committed]
    if not unknown:
        return []
    placed = set(snapshot.splits().select("record_id").collect()["record_id"])
    return [folder for folder in unknown if _is_strange(folder, name, placed)]


def _is_strange(folder: Path, name: str, placed: Container[str]) -> bool:
    verify(folder).require_sound()
    manifest = read_manifest(folder)
    return manifest.name == name and any(record_id not in placed for record_id, *_ in _rows(folder, manifest))


def adopt_splits(
    prepared: Sequence[Path], snapshot: Snapshot, dataset: LoadedDataset, run: str, unknown: Sequence[Path] = ()
) -> Adopted:
    """Give records without a split the one that they have in a version of this home that it does not know, or in
    one that ``split.adopt`` names.

    A row is recognized by its inputs, and if no row has these, by its record id: a renumbered export
    gives ids to other rows. What is written is a fact, like a split of a version of this home, whether or not the run
    completes: another run will find it. Rows that are absent now keep theirs, too, for when they come back.

    Args:
        prepared: files with all current records, of which the columns ``record_id`` and ``key`` are read.
        snapshot: knows which records have a split; take a new snapshot afterwards.
        dataset: names the folders.
        run: recorded with the splits.
        unknown: the result of ``versions_with_unknown_splits``.

    Raises:
        ReleaseError: a folder is not a published version, or none of its rows is a record, or no row of all the unknown
            versions is.
        Damaged: it is not as it was published.
    """
    keys = _keys(prepared)
    placed = set(snapshot.splits().select("record_id").collect()["record_id"])
    notes: list[str] = []
    named = [dataset.folder / folder for folder in dataset.config.split.adopt]
    own = [_read(folder, read_manifest(folder), dataset.task, is_own=True) for folder in unknown]
    others = [_read(folder, named_version(folder), dataset.task, is_own=False) for folder in named]
    _require_known(own, others, keys)
    for version in (*own, *others):
        rows = [(record_id, *place, run) for record_id, place in version.new_places(keys, placed)]
        snapshot.store.append(Table.SPLITS, pl.DataFrame(rows, schema=SCHEMAS[Table.SPLITS], orient="row"))
        taken = [record_id for record_id, *_ in rows]
        placed.update(taken)
        if taken:
            notes.append(_note(version, taken, keys))
    numbers = [one.manifest.version for one in others if one.manifest.name == dataset.config.name]
    return Adopted("\n".join(notes), tuple(numbers), tuple(one.manifest for one in own))


def _keys(prepared: Sequence[Path]) -> dict[str, str]:
    """What every current record asks."""
    frames = [read_rows(path, ["record_id", "key"]) for path in prepared]
    return {record_id: key for frame in frames for record_id, key in frame.iter_rows()}


def named_version(folder: Path) -> Manifest:
    """The version that ``split.adopt`` names, complete and undamaged.

    Raises:
        ReleaseError: there is no such folder, it is not a published version, or cannot be read.
        Damaged: it is not as it was published.
    """
    try:
        if not (place := folder.resolve()).exists():
            name, at, version = folder.name.partition("@")
            instead = f", such as …/{name}/releases/{version}, not name@version" if at else ""
            raise ReleaseError(f"split.adopt: there is no folder {place}; name the folder of a version{instead}")
        verify(folder).require_sound()
        return read_manifest(folder)
    except (OSError, RuntimeError, ValueError) as error:
        shown = writable(str(folder)).replace("\0", "\\0")
        reason = error.strerror if isinstance(error, OSError) else error
        raise ReleaseError(
            f"split.adopt: {shown} cannot be read ({reason}); name the folder of a published version"
        ) from error


def count_known(folder: Path, manifest: Manifest, task: type[Task], rows: Sequence[tuple[str, str]]) -> int:
    """How many of some rows, by record id and what they ask, are in the version of a folder."""
    version = _read(folder, manifest, task, is_own=False)
    return sum(version.place(record_id, key) is not None for record_id, key in rows)


def _require_known(own: Sequence[_Version], others: Sequence[_Version], keys: Mapping[str, str]) -> None:
    """Refuse versions that have no row in common with the records."""
    unknown = "is among the records, by id or by inputs, so none would keep its split"
    if own and not any(map(partial(_is_known, keys=keys), own)):
        raise ReleaseError(
            f"the tables of this home were lost, and no row of the versions in it, up to {own[0].shown}, {unknown}; "
            "fix the sources, their names and their fields, or move the versions out of the home to start over"
        )
    for version in others:
        if not _is_known(version, keys):
            raise ReleaseError(
                f"split.adopt: no row of {version.shown} {unknown}; fix the folder, or the sources and their "
                "fields, or remove it from split.adopt"
            )


def _is_known(version: _Version, keys: Mapping[str, str]) -> bool:
    return not version.by_id.keys().isdisjoint(keys) or not version.by_key.keys().isdisjoint(keys.values())


def _read(folder: Path, manifest: Manifest, task: type[Task], *, is_own: bool) -> _Version:
    by_id: dict[str, _Place] = {}
    by_key: dict[str, _Place] = {}
    key_of: dict[str, str] = {}
    for record_id, place, fields in _rows(folder, manifest):
        by_id[record_id] = place
        if key := inputs_key(task, published_inputs(task, fields)):
            by_key[key] = place
            key_of[record_id] = key
    return _Version(manifest, is_own, by_id, by_key, key_of)


def _rows(folder: Path, manifest: Manifest) -> Iterator[tuple[str, _Place, dict[str, Any]]]:
    """Id, group, split and fields of every row."""
    for split, part in manifest.splits.items():
        with pq.ParquetFile(folder / part.file) as file:
            for batch in file.iter_batches(ROWS_AT_ONCE, columns=["id", "group", "fields"]):
                yield from _of_batch(batch, split)


def _of_batch(batch: pa.RecordBatch, split: str) -> Iterator[tuple[str, _Place, dict[str, Any]]]:
    for row in batch.to_pylist():
        yield row["id"], (row["group"], split), row["fields"]


def _note(version: _Version, taken: Sequence[str], current: Container[str]) -> str:
    here = [record_id for record_id in taken if record_id in current]
    by_content = sum(record_id not in version.by_id for record_id in here)
    recognized = f", {by_content:,} of them recognized by their content" if by_content else ""
    why = ", a version in this home that its tables did not know" if version.is_own else ""
    absent = len(taken) - len(here)
    kept = f"; {absent:,} more of its rows are not in the sources now, and keep their splits" if absent else ""
    return f"{len(here):,} records now have the split that they have in {version.shown}{recognized}{why}{kept}"
