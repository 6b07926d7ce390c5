"""Takes the splits of published versions over into a home that does not know them: it lost them, or was built anew."""

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.dataset_file import LoadedDataset
from pipeline.errors import ReleaseError
from pipeline.normalise import inputs_key
from pipeline.published_rows import ROWS_AT_ONCE, is_as_json
from pipeline.store import Snapshot, Store
from pipeline.tables import SCHEMAS, Table
from pipeline.validate import Prepared
from pipeline.versions import read_manifest, verify, version_folders
from pipeline.work_files import read_work
from schemas.manifest import Manifest
from schemas.own_code import writable
from schemas.task import Role, Task

_Place = tuple[str, str]
"""A group and a split."""


@dataclass(frozen=True)
class Adopted:
    """What was taken over from published versions."""

    note: str = ""
    """For people; empty where nothing was left to take."""
    versions: tuple[str, ...] = ()
    """Those of this dataset from another home: its next one comes after them."""
    own: tuple[Manifest, ...] = ()
    """Those in this home."""


@dataclass(frozen=True)
class _Version:
    """The splits of a version's rows."""

    manifest: Manifest
    by_id: Mapping[str, _Place]
    """Of those that are current records."""
    by_key: Mapping[str, _Place]
    """Of the others, by what they ask."""


def strange_versions(store: Store, name: str) -> list[Path]:
    """The folders of a dataset's versions in its home whose splits the home does not know, the highest version first.

    They were published, but no committed run says so, and rows of theirs have no split: the tables were lost, or are
    of an earlier day.

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
    prepared: Sequence[Prepared], snapshot: Snapshot, dataset: LoadedDataset, run: str, strange: Sequence[Path] = ()
) -> Adopted:
    """Give the records that have no split the one that they have in a version of this home that it does not know, or in
    one that ``split.adopt`` names.

    A row is recognised by its record id, and where no record has this id, by its inputs. What is written is a fact
    like a split of a version of this home, whether the run comes to its end or not: another one finds it.

    Args:
        prepared: all current records.
        snapshot: knows which have a split; take a new one afterwards.
        dataset: names the folders.
        run: goes with the splits.
        strange: what ``strange_versions`` has found.

    Raises:
        ReleaseError: a folder is no published version, or none of its rows is a record.
        Damaged: it is not as it was published.
    """
    keys = _keys(prepared)
    placed = set(snapshot.splits().select("record_id").collect()["record_id"])
    notes: list[str] = []
    named = [dataset.folder / folder for folder in dataset.config.split.adopt]
    own = [_read(folder, read_manifest(folder), keys, dataset.task) for folder in strange]
    others = [_read(folder, named_version(folder), keys, dataset.task) for folder in named]
    for version in others:
        _require_known(version, keys)
    for version in (*own, *others):
        found = {
            record_id: version.by_id.get(record_id) or version.by_key.get(key)
            for record_id, key in keys.items()
            if record_id not in placed
        }
        rows = [(record_id, *place, run) for record_id, place in found.items() if place is not None]
        snapshot.store.append(Table.SPLITS, pl.DataFrame(rows, schema=SCHEMAS[Table.SPLITS], orient="row"))
        placed.update(record_id for record_id, *_ in rows)
        if rows:
            notes.append(_note(version, [record_id for record_id, *_ in rows], version in own))
    numbers = [one.manifest.version for one in others if one.manifest.name == dataset.config.name]
    return Adopted("\n".join(notes), tuple(numbers), tuple(one.manifest for one in own))


def _keys(prepared: Sequence[Prepared]) -> dict[str, str]:
    """What every current record asks."""
    frames = [read_work(part.path, ["record_id", "key"]) for part in prepared]
    return {record_id: key for frame in frames for record_id, key in frame.iter_rows()}


def named_version(folder: Path) -> Manifest:
    """The version that ``split.adopt`` names, whole and sound.

    Raises:
        ReleaseError: the folder is no published version, or cannot be read.
        Damaged: it is not as it was published.
    """
    try:
        verify(folder).require_sound()
        return read_manifest(folder)
    except (OSError, ValueError) as error:
        shown = writable(str(folder)).replace("\0", "\\0")
        reason = error.strerror if isinstance(error, OSError) else error
        raise ReleaseError(
            f"split.adopt: {shown} cannot be read ({reason}); name the folder of a published version"
        ) from error


def _require_known(version: _Version, keys: Mapping[str, str]) -> None:
    """The splits of a version that has nothing in common with the records are asked for in vain."""
    if version.by_id or not version.by_key.keys().isdisjoint(keys.values()):
        return
    which = f"{version.manifest.name}@{version.manifest.version}"
    raise ReleaseError(
        f"split.adopt: no row of {which} is among the records, neither by its id nor by its inputs, so none would keep "
        "its split; correct the folder, or the sources and their fields, or take it out of split.adopt"
    )


def _read(folder: Path, manifest: Manifest, known: Mapping[str, str], task: type[Task]) -> _Version:
    by_id: dict[str, _Place] = {}
    by_key: dict[str, _Place] = {}
    for record_id, place, fields in _rows(folder, manifest):
        if record_id in known:
            by_id[record_id] = place
        elif key := inputs_key(task, _inputs(task, fields)):
            by_key[key] = place
    return _Version(manifest, by_id, by_key)


def _rows(folder: Path, manifest: Manifest) -> Iterator[tuple[str, _Place, dict[str, Any]]]:
    """Id, group, split and fields of every row."""
    for split, part in manifest.splits.items():
        with pq.ParquetFile(folder / part.file) as file:
            for batch in file.iter_batches(ROWS_AT_ONCE, columns=["id", "group", "fields"]):
                yield from _of_batch(batch, split)


def _of_batch(batch: pa.RecordBatch, split: str) -> Iterator[tuple[str, _Place, dict[str, Any]]]:
    for row in batch.to_pylist():
        yield row["id"], (row["group"], split), row["fields"]


def _inputs(task: type[Task], fields: Mapping[str, Any]) -> dict[str, Any]:
    """The inputs as they were before they were published."""
    names = task.task_names(Role.INPUT)
    return {name: _unpacked(fields.get(name)) if is_as_json(task, name) else fields.get(name) for name in names}


def _unpacked(value: Any) -> Any:
    """What was published as JSON text; a text that only looks like it stays."""
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError:
        return value


def _note(version: _Version, taken: Sequence[str], own: bool) -> str:
    by_id = sum(record_id in version.by_id for record_id in taken)
    by_content = f", {len(taken) - by_id:,} of them recognised by their content" if by_id < len(taken) else ""
    where = f"{version.manifest.name}@{version.manifest.version}"
    why = ", a version of this home that its tables did not know" if own else ""
    return f"{len(taken):,} records have the split now that they have in {where}{by_content}{why}"
