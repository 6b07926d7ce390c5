"""Puts together what many small runs have left: files of the tables, and files of derived rows."""

import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl

from pipeline.curation.derived_rows import DerivedRows, write_derived
from pipeline.curation.row_facts import Facts
from pipeline.curation.standing import Standing, read_header, read_standing
from pipeline.ingest.read_cache import ReadCache
from pipeline.releases.versions import readable_versions
from pipeline.state.compaction import FEW, Compacted
from pipeline.state.snapshot import Snapshot
from pipeline.state.store import Store
from pipeline.state.tables import Table
from schemas.run_summary import CurateFacts, ReleaseSummary

DERIVED = "derived rows"
_SMALL, _AT_ONCE = 64 * 2**20, 256 * 2**20
"""Bytes of a file that is rewritten, and of those that are put together in one."""


def compact(store: Store, now: float | None = None) -> dict[str, Compacted]:
    """Put small files together, and delete those that no pinned version has named for an hour; no answer changes.

    A version of a table is pinned by a published version that was made from it, and by the last curate.

    Args:
        store: the dataset's; nobody may write to it meanwhile.
        now: seconds since 1970; the time of the clock if it is not given.

    Returns:
        What became of the files of each table, by its name, and of those of derived rows.

    Raises:
        Busy: another command is at work.
        StoreError: a table is damaged; what was done before that is kept.
    """
    with store.compacting():
        snapshot = store.snapshot()
        last = snapshot.last_run(CurateFacts)
        if last is None:
            return {}
        found = {DERIVED: _compact_derived(store, last.id)}
        bounds, pinned = _bounds(snapshot, store, last.id), _pinned(snapshot, store)
        # Readers take the records as the last curate has seen them.
        pinned.setdefault(Table.RECORDS.value, set()).add(last.inputs[Table.RECORDS.value])
        before = store.state_of(Table.RECORDS)
        for table in Table:
            found[table.value] = store.compact(table, bounds[table], pinned.get(table.value, set()), now)
        ReadCache(store.read).renew(before, store.state_of(Table.RECORDS))
    return found


def _bounds(snapshot: Snapshot, store: Store, run: str) -> dict[Table, int]:
    """Up to which version files may be put together: what came after the last curate, the next one must find."""
    header, committed = read_header(store, run), snapshot.committed_versions()
    known = header.versions if header else {}
    found = {
        table: min(version, known.get(table.value, version), committed.get(table, version))
        for table, version in snapshot.versions.items()
    }
    # Nobody asks which runs were added.
    return found | {Table.RUNS: snapshot.versions[Table.RUNS]}


def _pinned(snapshot: Snapshot, store: Store) -> dict[str, set[int]]:
    """By table: the versions that published versions were made from."""
    made = [run.inputs for run in snapshot.committed_runs(ReleaseSummary)]
    made += [manifest.inputs for manifest in readable_versions(store.releases)[0]]
    found: dict[str, set[int]] = {}
    for inputs in made:
        for table, version in inputs.items():
            found.setdefault(table, set()).update({version} if version >= 0 else ())
    return found


# --- derived rows -----------------------------------------------------------------------------------
def _compact_derived(store: Store, run: str) -> Compacted:
    """Put the small files of derived rows together: the rows that stand. A kill in between changes nothing that counts,
    and the next compaction removes what is left.
    """
    standing = read_standing(store, run)
    if standing is None:
        return Compacted()
    folder = store.derived(standing.header.derivation)
    before = len(DerivedRows(folder).files)
    removed = _finish(DerivedRows(folder), standing)
    for group in _groups([path for path in DerivedRows(folder).files if path.stat().st_size <= _SMALL]):
        standing = _put_together(store, DerivedRows(folder), standing, group)
        removed += _delete(group)
    return Compacted(before, len(DerivedRows(folder).files), len(removed), sum(removed))


def _finish(kept: DerivedRows, standing: Standing) -> list[int]:
    """Finish what a kill has interrupted; returns the sizes of what was deleted."""
    used = set(standing.rows["file"].unique())
    removed: list[int] = []
    for path, names in kept.replaced().items():
        # Either the standing did not change, or it did.
        removed += _delete([path] if used & set(names) else [kept.folder / name for name in names])
    return removed


def _groups(files: Sequence[Path]) -> Iterator[list[Path]]:
    """Files that become one each."""
    group: list[Path] = []
    for number, path in enumerate(files, 1):
        group.append(path)
        if number == len(files) or sum(one.stat().st_size for one in group) >= _AT_ONCE:
            if len(group) >= FEW:
                yield group
            group = []


def _put_together(store: Store, kept: DerivedRows, standing: Standing, files: Sequence[Path]) -> Standing:
    """Write the rows that stand of some files into one, and say so in the standing."""
    names = [path.name for path in files]
    places = standing.rows.filter(pl.col("file").is_in(names)).select("file", "row").sort("file", "row")
    name = f"{standing.header.run}-{uuid.uuid4().hex}.arrow"
    facts = Facts.of_all(kept.facts(names))
    write_derived(kept.take(places), facts, kept.folder / name, replaces=names)
    now = places.with_row_index("now").with_columns(pl.col("now").cast(pl.UInt32))
    moved = standing.rows.join(now, on=["file", "row"], how="left", maintain_order="left")
    has_moved = pl.col("now").is_not_null()
    rows = moved.with_columns(
        file=pl.when(has_moved).then(pl.lit(name)).otherwise("file"),
        row=pl.when(has_moved).then("now").otherwise("row"),
    )
    found = Standing(standing.header, rows.drop("now"), standing.past)
    found.write(store)
    return found


def _delete(files: Sequence[Path]) -> list[int]:
    """Delete files; returns their sizes."""
    sizes = []
    for path in files:
        if path.exists():
            sizes.append(path.stat().st_size)
            path.unlink()
    return sizes
