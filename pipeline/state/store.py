"""The Delta tables of a dataset, whose paths no other module knows.

Tables are append-only. The row in ``runs`` is written last and is the commit point: decisions of a run without one are
never read. A reader pins the state that the latest committed run saw.
"""

import itertools
import json
import random
import shutil
import time
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path

import polars as pl
from deltalake import CommitProperties, DeltaTable, Transaction
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError

from pipeline.errors import StoreError
from pipeline.state.compaction import Compacted, compact_table
from pipeline.state.dataset_folder import DatasetFolder
from pipeline.state.runs import Run
from pipeline.state.snapshot import Snapshot
from pipeline.state.table_files import (
    Log,
    add_file,
    create_table,
    read_log,
    read_pieces,
    restore_version,
    scan_files,
)
from pipeline.state.table_rewriting import Change, rewrite_table
from pipeline.state.tables import INDEX, SCHEMAS, Table
from pipeline.state.verified_files import forget_verified
from schemas.identity import stable_hash
from schemas.manifest import Funnel
from schemas.run_summary import RunSummary, Verb

_CAS_TRIES = 20
_RUN_FORMAT = "%Y%m%dT%H%M%S.%fZ"


class Store(DatasetFolder):
    """The state of one dataset in a home folder."""

    def sibling(self, dataset: str) -> "Store":
        """The state of another dataset in the same home."""
        return Store(self.root.parent, dataset)

    @property
    def exists(self) -> bool:
        """Whether anything was ever committed.

        Raises:
            StoreError: the table that would say so is missing.
        """
        return self._version_of_runs() > 0

    def _path(self, table: Table) -> Path:
        return self.root / "tables" / table

    def verify_anew(self) -> None:
        """Let the files of all tables be read whole once more, in case that a disk has changed what nobody wrote."""
        for table in Table:
            forget_verified(self._path(table))

    def drop_index(self) -> None:
        """Forget which texts are similar, so that all are compared again; call it while holding the lock."""
        gone = self.work(f"index-{uuid.uuid4().hex}")
        # First what marks texts as compared: after a kill in between, they are compared again. By another name, since
        # half a table would be a damaged one.
        for table in INDEX:
            if self._path(table).exists():
                self._path(table).rename(gone / table)
        shutil.rmtree(gone)

    # --- reading ------------------------------------------------------------------------------
    def version(self, table: Table) -> int:
        """The table's newest version; -1 if the table does not exist yet."""
        log = self._log(table)
        return -1 if log is None else log.version

    def state_of(self, table: Table) -> str:
        """What tells the table's rows from any others, by the names of their files; empty if the table does not exist
        yet.
        """
        log = self._log(table)
        return "" if log is None else stable_hash(*sorted(name for name, _ in log.files))

    def scan(self, table: Table, version: int | None = None) -> pl.LazyFrame:
        """The table's rows at a version (default: the newest), lazily."""
        version = self.version(table) if version is None else version
        if version < 0:
            return pl.LazyFrame(schema=SCHEMAS[table])
        path = self._path(table)
        try:
            log = read_log(path, version)
            self._require_known_columns(log, table)
            return scan_files(log, path, SCHEMAS[table])
        except (ValueError, DeltaError) as error:
            raise self._damaged(table, error) from error

    def pieces(self, table: Table, version: int, columns: Sequence[str]) -> Iterator[pl.DataFrame]:
        """Some columns of the table's rows at a version, a piece at a time, in the order of ``scan``."""
        if version < 0:
            return
        # Verified first.
        self.scan(table, version)
        try:
            schema = {name: SCHEMAS[table][name] for name in columns}
            yield from read_pieces(read_log(self._path(table), version), self._path(table), schema)
        except (ValueError, DeltaError) as error:
            raise self._damaged(table, error) from error

    def scan_added(self, table: Table, earlier: int, version: int) -> pl.LazyFrame:
        """The rows that were added between two versions, lazily."""
        if version <= earlier or version < 0:
            return pl.LazyFrame(schema=SCHEMAS[table])
        path = self._path(table)
        try:
            log = read_log(path, version)
            only = log.added_since(read_log(path, earlier)) if earlier >= 0 else None
            return scan_files(log, path, SCHEMAS[table], only)
        except (ValueError, DeltaError) as error:
            raise self._damaged(table, error) from error

    def runs(self, version: int) -> pl.DataFrame:
        """The committed runs at a version, oldest first. A command takes a dozen snapshots, which all need them."""
        # Verified each time.
        rows, path = self.scan(Table.RUNS, version), self._path(Table.RUNS)
        return _runs(path, read_log(path, version)) if version >= 0 else rows.collect()

    def _require_known_columns(self, log: Log, table: Table) -> None:
        """Refuse a table from an older Goldleaf with other columns, before its rows are misread."""
        if other := set(log.columns) - set(SCHEMAS[table].names()):
            raise StoreError(
                f"table '{table}' of '{self.dataset}' was written by an older Goldleaf: it has the column "
                f"'{min(other)}'; move {self.root / 'tables'} away and curate again; the versions in "
                f"{self.releases} keep their splits"
            )

    def snapshot(self) -> "Snapshot":
        """Pin the newest state of every table.

        The runs are pinned first: what a run wrote was there before the run, so that no run is visible
        without its rows, even if it commits meanwhile.
        """
        runs = self._version_of_runs()
        others = {table: self.version(table) for table in Table if table != Table.RUNS}
        found = Snapshot(self, {Table.RUNS: runs} | others)
        for table, version in found.committed_versions().items():
            # The code that uses the index checks it: it can be rebuilt.
            if table not in INDEX:
                self.require_version(table, found.versions[table], version)
        return found

    def _version_of_runs(self) -> int:
        if (version := self.version(Table.RUNS)) >= 0:
            return version
        others = [table for table in Table if table is not Table.RUNS and self.version(table) >= 0]
        # No other table is created before this one, so that a home that has lost it is not mistaken for a new one.
        # Checked again here: another process may be creating them just now.
        if (version := self.version(Table.RUNS)) < 0 and others:
            lost = self._damaged(Table.RUNS, f"it is missing, and '{others[0]}' exists")
            raise StoreError(
                f"{lost}, or move {self.root / 'tables'} away and curate again: the splits of the versions in "
                "the home are adopted"
            )
        return version

    def _log(self, table: Table) -> Log | None:
        path = self._path(table)
        if not (path / "_delta_log").is_dir():
            return None
        try:
            return read_log(path)
        except TableNotFoundError:
            # A writer died between creating the folder and the first commit.
            return None
        except DeltaError as error:
            raise self._damaged(table, error) from error

    def require_version(self, table: Table, version: int, committed: int) -> None:
        """Check that a table is not older than when the latest run was committed.

        Raises:
            StoreError: it is.
        """
        if version < committed:
            lost = f"it is at version {version:,}, but was at {committed:,} when the latest run was committed"
            raise self._damaged(table, lost)

    def _damaged(self, table: Table, problem: Exception | str) -> StoreError:
        found = str(problem).strip().split("\n")[0]
        path = self._path(table)
        remedy = f"restore {path} from a backup"
        if table in INDEX:
            remedy += ", or let `goldleaf curate --reindex` rebuild it"
        return StoreError(f"table '{table}' of '{self.dataset}' is damaged ({found}); {remedy}")

    # --- writing ------------------------------------------------------------------------------
    def append(self, table: Table, rows: pl.DataFrame) -> None:
        """Append rows in one atomic commit; concurrent commits of other writers do not matter."""
        if rows.height:
            self._add(self._create(table), table, [rows], CommitProperties())

    def append_pieces(self, table: Table, pieces: Iterable[pl.DataFrame]) -> int:
        """The same for rows that come a piece at a time; returns how many there are."""
        there = (piece for piece in pieces if piece.height)
        first = next(there, None)
        if first is None:
            return 0
        return self._add(self._create(table), table, itertools.chain([first], there), CommitProperties())

    def append_if_unseen(
        self, table: Table, batch: str, build: Callable[[pl.LazyFrame], Iterable[pl.DataFrame]]
    ) -> int:
        """Append the output of ``build`` for the table's current rows, or nothing if ``batch`` was appended before.

        A compare-and-swap: if another writer commits first, ``build`` is called again with the new
        rows. Returns the number of rows.
        """
        for _ in range(_CAS_TRIES):
            delta = self._create(table)
            if delta.transaction_version(batch) is not None:
                return 0
            frames = iter(build(self.scan(table, delta.version())))
            first = next(frames, None)
            if first is None:
                return 0
            once = CommitProperties(max_commit_retries=0, app_transactions=[Transaction(batch, 1)])
            try:
                return self._add(delta, table, itertools.chain([first], frames), once)
            except CommitFailedError:
                time.sleep(random.uniform(0.01, 0.2))  # noqa: S311 (jitter, no secret)
        raise StoreError(
            f"table '{table}' of '{self.dataset}' changed {_CAS_TRIES} times in the meantime; run it again"
        )

    def _add(self, delta: DeltaTable, table: Table, frames: Iterable[pl.DataFrame], how: CommitProperties) -> int:
        # A search reads all signatures, which are mostly random bytes.
        compressed = table is not Table.SIGNATURES
        return add_file(delta, self._path(table), frames, SCHEMAS[table], how, compressed=compressed)

    def _create(self, table: Table) -> DeltaTable:
        if self._log(table) is not None:
            return DeltaTable(self._path(table))
        if self._log(Table.RUNS) is None:
            create_table(self._path(Table.RUNS), SCHEMAS[Table.RUNS])
        return create_table(self._path(table), SCHEMAS[table])

    def take_back_records(self) -> None:
        """Take back the records that a curate has left which failed or was killed: they were never decided about.

        The caller holds the lock of the state.
        """
        snapshot = self.snapshot()
        committed, now = (one.versions[Table.RECORDS] for one in (snapshot.at_last_commit(), snapshot))
        committed = max(committed, 0)
        if now <= committed or self.scan_added(Table.RECORDS, committed, now).head(1).collect().is_empty():
            return
        path = self._path(Table.RECORDS)
        try:
            restore_version(path, committed)
        except (ValueError, DeltaError) as error:
            raise self._damaged(Table.RECORDS, error) from error

    def compact(self, table: Table, bound: int, pinned: Collection[int], now: float | None = None) -> Compacted:
        """Put small files of a table together and delete what no pinned version names; see ``compact_table``.

        The caller is in ``compacting``.
        """
        if self._log(table) is None:
            return Compacted()
        path, compressed = self._path(table), table is not Table.SIGNATURES
        try:
            return compact_table(path, SCHEMAS[table], bound, pinned, compressed=compressed, now=now)
        except (ValueError, DeltaError) as error:
            raise self._damaged(table, error) from error

    def rewrite(self, table: Table, column: str, change: Change) -> None:
        """Change the texts of a column in all files of a table; see ``rewrite_table``."""
        if self._log(table) is None:
            return
        try:
            is_compressed = table is not Table.SIGNATURES
            if rewrite_table(self._path(table), SCHEMAS[table], column, change, compressed=is_compressed):
                DeltaTable(self._path(table)).create_checkpoint()
        except (ValueError, DeltaError) as error:
            raise self._damaged(table, error) from error

    def commit(self, run: "Run", *, inputs: dict[str, int], funnel: Funnel | None, summary: RunSummary) -> None:
        """Write the ``runs`` row: from now on the run counts, and the files that waited for it take their places."""
        row = {
            "run": run.id,
            "verb": run.verb,
            "config_digest": run.config_digest,
            "inputs": json.dumps(inputs, sort_keys=True),
            "funnel": funnel.model_dump_json() if funnel else None,
            "summary": json.dumps(summary.model_dump(mode="json"), sort_keys=True),
            "tables": json.dumps({table.value: self.version(table) for table in Table if table is not Table.RUNS}),
            "started_at": run.started_at,
            "finished_at": datetime.now(UTC),
            "goldleaf": run.goldleaf,
        }
        self.append(Table.RUNS, pl.DataFrame([row], schema=SCHEMAS[Table.RUNS]))
        self.rebuilding.unlink(missing_ok=True)
        self.put_in_place(run.id)

    def new_run(self, verb: Verb, config_digest: str, goldleaf: str) -> "Run":
        """A run whose id sorts after every earlier one, even if the clock was set back; its time is the clock's.

        What killed runs wrote before their commit counts too: records and annotations are ordered by it.
        """
        now = started_at = datetime.now(UTC)
        for table, column in ((Table.RUNS, "run"), (Table.RECORDS, "batch"), (Table.ANNOTATIONS, "run")):
            last = self.scan(table).select(pl.col(column).max()).collect().item()
            if last is not None:
                now = max(now, datetime.strptime(last, _RUN_FORMAT).replace(tzinfo=UTC) + timedelta(microseconds=1))
        return Run(now.strftime(_RUN_FORMAT), verb, config_digest, started_at, goldleaf)


@lru_cache(maxsize=4)
def _runs(folder: Path, log: Log) -> pl.DataFrame:
    """The rows of the table of runs, oldest first; a process reads them once, as each file's name has its checksum."""
    return scan_files(log, folder, SCHEMAS[Table.RUNS]).sort("run").collect()
