"""Puts together what many small runs have left: files of the tables, and files of derived rows."""

import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress

import polars as pl

from pipeline.curation.derived_rows import DerivedRows, NotDerived, write_derived
from pipeline.curation.row_facts import Facts
from pipeline.curation.standing import Standing, read_standing, write_standing, write_standing_rows
from pipeline.ingest.read_cache import ReadCache
from pipeline.releases.versions import readable_versions
from pipeline.state.compaction import FEW, Compacted
from pipeline.state.mapped_rows import values_of
from pipeline.state.snapshot import Snapshot
from pipeline.state.store import Store
from pipeline.state.tables import INDEX, Table
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
    standing, committed = read_standing(store, run), snapshot.committed_versions()
    known = standing.header.versions if standing else {}
    found = {
        table: min(version, known.get(table.value, version), committed.get(table, version))
        for table, version in snapshot.versions.items()
    }
    # Nobody asks which runs were added.
    return found | {Table.RUNS: snapshot.versions[Table.RUNS]}


def _pinned(snapshot: Snapshot, store: Store) -> dict[str, set[int]]:
    """By table: the versions that published versions were made from; the index can be recomputed."""
    made = [run.inputs for run in snapshot.committed_runs(ReleaseSummary)]
    made += [manifest.inputs for manifest in readable_versions(store.releases)[0]]
    found: dict[str, set[int]] = {}
    for inputs in made:
        for table, version in inputs.items():
            found.setdefault(table, set()).update({version} if version >= 0 else ())
    return {table: versions for table, versions in found.items() if table not in INDEX}


# --- derived rows -----------------------------------------------------------------------------------
def _compact_derived(store: Store, run: str) -> Compacted:
    """Put the small files of derived rows together: the rows that stand.

    A kill in between changes nothing that counts: what stands names the old files or the new one, and the next
    compaction, or the next run, removes the others.
    """
    standing = read_standing(store, run)
    if standing is None:
        return Compacted()
    kept = DerivedRows(store.derived(standing.header.derivation))
    before = kept.sizes
    kept.keep_only(standing.files)
    with suppress(NotDerived):
        # A damaged one is left to the next run, which derives all rows anew.
        for group in _groups({name: size for name, size in kept.sizes.items() if size <= _SMALL}):
            standing = _put_together(store, kept, standing, group)
            kept.keep_only(standing.files)
    after = kept.sizes
    gone = before.keys() - after.keys()
    return Compacted(len(before), len(after), len(gone), sum(before[name] for name in gone))


def _groups(sizes: Mapping[str, int]) -> Iterator[list[str]]:
    """Files that become one each."""
    group: list[str] = []
    held = 0
    for number, (name, size) in enumerate(sorted(sizes.items()), 1):
        group.append(name)
        held += size
        if number == len(sizes) or held >= _AT_ONCE:
            if len(group) >= FEW:
                yield group
            group, held = [], 0


def _put_together(store: Store, kept: DerivedRows, standing: Standing, names: Sequence[str]) -> Standing:
    """Write the rows that stand of some files into one, and say so in the standing."""
    places = standing.columns("file", "row").with_row_index("at")
    mine = places.filter(pl.col("file").is_in(names)).sort("file", "row")
    name = f"{standing.header.run}-{uuid.uuid4().hex}.arrow"
    write_derived(kept.take(mine), Facts.of_all(kept.facts(names)), kept.folder / name)
    moved = mine.select("at", now=pl.int_range(pl.len(), dtype=pl.UInt32))
    now = places.join(moved, on="at", how="left", maintain_order="left")
    has_moved = pl.col("now").is_not_null()
    placed = now.select(
        file=pl.when(has_moved).then(pl.lit(name)).otherwise("file"),
        row=pl.when(has_moved).then("now").otherwise("row"),
    )
    rows = standing.rows.with_columns(placed.get_columns())
    write_standing_rows(store, standing.header.run, [rows], values_of(rows))
    write_standing(store, standing.header, standing.past)
    found = read_standing(store, standing.header.run)
    assert found is not None
    return found
