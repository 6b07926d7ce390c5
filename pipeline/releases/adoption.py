"""Adopts the splits of published versions into a home that does not know them: it lost them, or was rebuilt.

Only rows that came in since are looked up in a version that was adopted before.
"""

from collections.abc import Container, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq

from pipeline.config.dataset_file import LoadedDataset
from pipeline.errors import ReleaseError
from pipeline.releases.published_rows import ROWS_AT_ONCE, published_inputs
from pipeline.releases.versions import read_manifest, verify, version_folders, version_rows
from pipeline.state.mapped_rows import read_rows
from pipeline.state.snapshot import Snapshot
from pipeline.state.store import Store
from pipeline.state.tables import SCHEMAS, Table
from pipeline.text.normalize import inputs_key
from schemas.manifest import Manifest
from schemas.run_summary import CurateFacts
from schemas.task import Task
from schemas.user_code_errors import writable

_ROWS = pl.Schema({"record_id": pl.String(), "key": pl.UInt64()})
"""Rows, and a hash of what they ask; null if they ask nothing."""
_PLACES = pl.Schema(_ROWS | {"group": pl.String(), "split": pl.String()})


@dataclass(frozen=True)
class Adopted:
    """What was adopted from published versions."""

    note: str = ""
    """Text for the report; empty if there was nothing left to adopt."""
    versions: tuple[str, ...] = ()
    """Those of this dataset from another home: its next version is numbered after them."""
    own: tuple[Manifest, ...] = ()
    """Those in this home."""
    digests: tuple[str, ...] = ()
    """Of those from other homes: what they say about the records so far is known."""


@dataclass(frozen=True)
class Named:
    """A version that ``split.adopt`` names."""

    folder: Path
    manifest: Manifest


@dataclass(frozen=True)
class Adoption:
    """The versions whose splits a curate adopts."""

    named: tuple[Named, ...]
    unknown: tuple[Path, ...]
    """The result of ``versions_with_unknown_splits``."""
    known: tuple[str, ...]
    """The digests of those that the last curate had adopted: what they say about its rows need not be asked again."""

    @property
    def is_due(self) -> bool:
        """Whether rows that are there already may have a split in one of them."""
        return bool(self.unknown) or tuple(one.manifest.digest for one in self.named) != self.known


@dataclass(frozen=True)
class _Version:
    """The splits of a version's rows."""

    manifest: Manifest
    is_own: bool
    """It is in this home."""
    places: pl.DataFrame
    """With the columns of ``_PLACES``."""

    @property
    def shown(self) -> str:
        """The name for messages."""
        return f"{self.manifest.name}@{self.manifest.version}"

    def of(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The places of those of some rows that it has: that of the row that asks the same, else that of the row with
        the same id.

        Args:
            rows: with the columns of ``_ROWS``.
        """
        is_one = pl.col("key").is_in(rows["key"].drop_nulls().implode())
        same = self.places.filter(is_one).unique("key", keep="last").drop("record_id")
        named = self.places.filter(pl.col("record_id").is_in(rows["record_id"].implode())).drop("key")
        found = rows.join(same, on="key", how="left").join(named, on="record_id", how="left", suffix="_of_id")
        has_same = pl.col("split").is_not_null()
        chosen = [pl.when(has_same).then(name).otherwise(f"{name}_of_id").alias(name) for name in ("group", "split")]
        return found.select("record_id", *chosen).filter(has_same)

    def without(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The places of the rows that are not among some rows, by id or by what they ask."""
        is_there = pl.col("record_id").is_in(rows["record_id"].implode())
        is_asked = pl.col("key").is_in(rows["key"].drop_nulls().implode()).fill_null(value=False)
        return self.places.filter(~is_there & ~is_asked).drop("key")


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
    if manifest.name != name:
        return False
    return any(record_id not in placed for record_id in version_rows(folder, manifest, "id").collect()["id"])


def adoption_of(snapshot: Snapshot, dataset: LoadedDataset, unknown: Sequence[Path]) -> Adoption:
    """What a curate adopts.

    Args:
        snapshot: knows what the last curate has adopted.
        dataset: names the folders.
        unknown: the result of ``versions_with_unknown_splits``.

    Raises:
        ReleaseError: a folder is not a published version.
    """
    folders = [dataset.folder / folder for folder in dataset.config.split.adopt]
    named = tuple(Named(folder, _manifest(folder, verified=False)) for folder in folders)
    return Adoption(named, tuple(unknown), adopted_before(snapshot))


def adopted_before(snapshot: Snapshot) -> tuple[str, ...]:
    """The digests of the versions that the last curate had adopted."""
    last = snapshot.last_run(CurateFacts)
    return tuple(last.summary.adopted_from) if last else ()


def adopt_splits(
    prepared: Sequence[Path],
    snapshot: Snapshot,
    dataset: LoadedDataset,
    run: str,
    adoption: Adoption,
    *,
    are_all: bool,
) -> Adopted:
    """Give records without a split the one that they have in a version of this home that it does not know, or in
    one that ``split.adopt`` names.

    A row is recognized by its inputs, and if no row has these, by its record id: a renumbered export
    gives ids to other rows. What is written is a fact, like a split of a version of this home, whether or not the run
    completes: another run will find it. Rows that are absent when a version is adopted keep theirs, too, for when they
    come back.

    Args:
        prepared: files of current records, of which the columns ``record_id`` and ``key`` are read.
        snapshot: knows which records have a split; take a new snapshot afterwards.
        dataset: names the folders.
        run: recorded with the splits.
        adoption: the versions.
        are_all: whether these are all current records. Else they are those that came in since these versions were
            adopted, and maybe others.

    Raises:
        ReleaseError: none of a new version's rows is a record, or no row of all the unknown versions is.
        Damaged: a version is not as it was published.
    """
    store, rows = snapshot.store, _rows_of(prepared)
    digests = tuple(one.manifest.digest for one in adoption.named)
    if rows.is_empty() and not are_all:
        return Adopted(digests=digests)
    own = [_Version(read_manifest(one), True, _read(one, read_manifest(one), dataset.task)) for one in adoption.unknown]
    others = [
        _Version(one.manifest, False, _read(one.folder, named_version(one.folder), dataset.task))
        for one in adoption.named
    ]
    new = [version for version in others if version.manifest.digest not in adoption.known]
    _require_known(own, new, rows)
    notes: list[str] = []
    placed = _placed(snapshot, None if are_all else rows["record_id"])
    for version in (*own, *others):
        here = version.of(rows).filter(~pl.col("record_id").is_in(placed.implode()))
        away = version.without(rows) if version in (*own, *new) else version.places.clear().drop("key")
        away = away.filter(~pl.col("record_id").is_in(placed.implode()))
        found = pl.concat([here, away.select(here.columns)])
        store.append(Table.SPLITS, found.with_columns(run=pl.lit(run)).select(SCHEMAS[Table.SPLITS].names()))
        placed = pl.concat([placed, found["record_id"]])
        if found.height:
            notes.append(_note(version, here, away.height))
    numbers = [one.manifest.version for one in others if one.manifest.name == dataset.config.name]
    return Adopted("\n".join(notes), tuple(numbers), tuple(one.manifest for one in own), digests)


def _rows_of(prepared: Sequence[Path]) -> pl.DataFrame:
    """What records ask."""
    frames = [_hashed(read_rows(path, ["record_id", "key"])) for path in prepared]
    return pl.concat([pl.DataFrame(schema=_ROWS), *frames])


def _hashed(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows with a hash of what they ask: of a million, the texts themselves would fill the memory."""
    asks = pl.col("key") != ""
    return rows.with_columns(key=pl.when(asks).then(pl.col("key").hash()))


def _placed(snapshot: Snapshot, among: pl.Series | None) -> pl.Series:
    """The records that have a split, maybe of some only."""
    rows = snapshot.scan(Table.SPLITS)
    mine = rows if among is None else rows.filter(pl.col("record_id").is_in(among.implode()))
    return mine.select(pl.col("record_id").unique()).collect().to_series()


def named_version(folder: Path) -> Manifest:
    """The version that ``split.adopt`` names, complete and undamaged.

    Raises:
        ReleaseError: there is no such folder, it is not a published version, or cannot be read.
        Damaged: it is not as it was published.
    """
    return _manifest(folder, verified=True)


def _manifest(folder: Path, *, verified: bool) -> Manifest:
    try:
        if not (place := folder.resolve()).exists():
            name, at, version = folder.name.partition("@")
            instead = f", such as …/{name}/releases/{version}, not name@version" if at else ""
            raise ReleaseError(f"split.adopt: there is no folder {place}; name the folder of a version{instead}")
        if verified:
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
    version = _Version(manifest, False, _read(folder, manifest, task))
    asked = pl.DataFrame(rows, schema={"record_id": pl.String, "key": pl.String}, orient="row")
    return version.of(_hashed(asked)).height


def _require_known(own: Sequence[_Version], others: Sequence[_Version], rows: pl.DataFrame) -> None:
    """Refuse versions that have no row in common with the records."""
    unknown = "is among the records, by id or by inputs, so none would keep its split"
    if own and all(version.of(rows).is_empty() for version in own):
        raise ReleaseError(
            f"the tables of this home were lost, and no row of the versions in it, up to {own[0].shown}, {unknown}; "
            "fix the sources, their names and their fields, or move the versions out of the home to start over"
        )
    for version in others:
        if version.of(rows).is_empty():
            raise ReleaseError(
                f"split.adopt: no row of {version.shown} {unknown}; fix the folder, or the sources and their "
                "fields, or remove it from split.adopt"
            )


def _read(folder: Path, manifest: Manifest, task: type[Task]) -> pl.DataFrame:
    """Id, what it asks, group and split of every row."""
    texts = pl.Schema(_PLACES | {"key": pl.String()})
    frames = [pl.DataFrame(schema=_PLACES)]
    for split, part in manifest.splits.items():
        with pq.ParquetFile(folder / part.file) as file:
            for batch in file.iter_batches(ROWS_AT_ONCE, columns=["id", "group", "fields"]):
                rows = (
                    (row["id"], inputs_key(task, published_inputs(task, row["fields"])), row["group"], split)
                    for row in batch.to_pylist()
                )
                frames.append(_hashed(pl.DataFrame(rows, schema=texts, orient="row")))
    return pl.concat(frames, rechunk=True)


def _note(version: _Version, here: pl.DataFrame, absent: int) -> str:
    """What to say of the records that have a split now, and of the rows that are no records."""
    by_content = here.filter(~pl.col("record_id").is_in(version.places["record_id"].implode())).height
    recognized = f", {by_content:,} of them recognized by their content" if by_content else ""
    why = ", a version in this home that its tables did not know" if version.is_own else ""
    kept = f"; {absent:,} more of its rows are not in the sources now, and keep their splits" if absent else ""
    return f"{here.height:,} records now have the split that they have in {version.shown}{recognized}{why}{kept}"
