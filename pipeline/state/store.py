"""Where everything is stored: the Delta tables of a dataset, its folders and its lock.

No other module knows a table's or a file's path. Tables are append-only. The row in ``runs`` is
written last and is the commit point: decisions of a run without one are never read. A reader pins the
state that the latest committed run saw.
"""

import itertools
import json
import random
import shutil
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
from deltalake import CommitProperties, DeltaTable, Transaction
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError

from pipeline.errors import StoreError
from pipeline.state.atomic import remove_unfinished
from pipeline.state.locks import Waiting, held, is_at_work
from pipeline.state.runs import Run
from pipeline.state.snapshot import Snapshot
from pipeline.state.table_files import Log, add_file, collect_once, create_table, read_log, scan_files
from pipeline.state.tables import INDEX, SCHEMAS, Table
from schemas.identity import stable_hash
from schemas.manifest import Funnel
from schemas.run_summary import RunSummary, Verb

_OWN_FOLDERS = {"tables", "releases", "models", "work", "downloads", "finetuning", "suggestions"}
REPORT = "report.html"
"""The version of the layout of a home and of a version."""
_FINETUNE_LOCK = "finetune.lock"
_OWN_ENDINGS = (".lock", REPORT)
_OWN_SERVERS = {".prefect", ".label-studio"}
_A_DAY = 24 * 60 * 60
_CAS_TRIES = 20
_RUN_FORMAT = "%Y%m%dT%H%M%S.%fZ"


class Store:
    """The state of one dataset in a home folder."""

    def __init__(self, home: Path, dataset: str) -> None:
        self.dataset = dataset
        self.root = home / dataset

    def sibling(self, dataset: str) -> "Store":
        """The state of another dataset in the same home."""
        return Store(self.root.parent, dataset)

    def siblings(self) -> list[str]:
        """The names of the other datasets in the same home."""
        found = {path.parent.name for name in ("tables", "releases") for path in self.root.parent.glob(f"*/{name}/")}
        return sorted(found - {self.dataset})

    # --- places -------------------------------------------------------------------------------
    @property
    def releases(self) -> Path:
        """The folder of published versions."""
        return self.root / "releases"

    @property
    def models(self) -> Path:
        """The folder of trained adapters."""
        return self.root / "models"

    @property
    def report(self) -> Path:
        """The report on the current state."""
        return self.root / REPORT

    @property
    def calls(self) -> Path:
        """The ledger of all calls of a model's endpoint; may not exist. Not among the tables: it must outlive them, or
        every answer would be paid again.
        """
        return self.root / "suggestions" / "calls.sqlite"

    @property
    def arm_calls(self) -> Path:
        """The same of what models were asked to be compared with an adapter: no budget of suggestions counts these."""
        return self.root / "suggestions" / "arms.sqlite"

    @property
    def moved(self) -> Path:
        """The current places of rows that have moved since they were first read; may not exist."""
        return self.root / "tables" / "moved.parquet"

    @property
    def refused(self) -> Path:
        """The questions that a Label Studio server has refused; may not exist."""
        return self.root / "tables" / "refused.parquet"

    @property
    def place(self) -> str:
        """What tells this folder on this machine from its copies, and from all other folders."""
        status = self.root.stat()
        return stable_hash(socket.gethostname(), str(self.root), f"{status.st_dev}:{status.st_ino}")

    @property
    def exists(self) -> bool:
        """Whether anything was ever committed.

        Raises:
            StoreError: the table that would say so is missing.
        """
        return self._version_of_runs() > 0

    def work(self, run: str) -> Path:
        """The folder for a run's intermediate files; removed when the run ends."""
        folder = self.root / "work" / run
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def clear_work(self) -> None:
        """Remove intermediate files, including those of killed runs; call it while holding the lock.

        A file unfinished for a day belongs to a killed run; a younger one may belong to another running verb.
        """
        shutil.rmtree(self.root / "work", ignore_errors=True)
        remove_unfinished(self.root, before=time.time() - _A_DAY)

    @property
    def downloads(self) -> Path:
        """The folder for downloads, which ``clear_work`` leaves alone."""
        return self.root / "downloads"

    @contextmanager
    def fetching(self) -> Iterator[None]:
        """Let one curate at a time fill the folder of downloads and read it; it is emptied before and removed after.

        Two at once could read an older download after a newer one. This is not the lock of the state, so that others
        need not wait for a server; if taken, it raises ``Busy``.
        """
        advice = "run curate again when it has finished"
        with held(self.root / "fetch.lock", self.dataset, "goldleaf curate (fetching sources)", advice):
            shutil.rmtree(self.downloads, ignore_errors=True)
            self.downloads.mkdir(exist_ok=True)
            try:
                yield
            finally:
                shutil.rmtree(self.downloads, ignore_errors=True)

    @contextmanager
    def scratch(self, run: str) -> Iterator[Path]:
        """An empty folder for a fine-tuning run, during which others may curate; removed at the end.

        Leftovers of killed fine-tuning runs are removed too: the caller holds their lock.
        """
        parent = self.root / "finetuning"
        shutil.rmtree(parent, ignore_errors=True)
        folder = parent / run
        folder.mkdir(parents=True)
        try:
            yield folder
        finally:
            shutil.rmtree(parent, ignore_errors=True)

    def _path(self, table: Table) -> Path:
        return self.root / "tables" / table

    def drop_index(self) -> None:
        """Forget which texts are similar, so that all are compared again; call it while holding the lock."""
        # First what marks texts as compared: after a kill in between, they are compared again.
        for table in INDEX:
            if self._path(table).exists():
                shutil.rmtree(self._path(table))

    def owns(self, path: Path) -> bool:
        """Whether a file belongs to this home, whichever the dataset, so that it is never a source.

        The home may as well be a folder with data: only what Goldleaf itself puts there counts.
        """
        home, path = self.root.parent.resolve(), path.resolve()
        if path == home or not path.is_relative_to(home):
            return False
        dataset, *rest = path.relative_to(home).parts
        if dataset in _OWN_SERVERS:
            return True
        is_state = any((home / dataset / name).exists() for name in ("tables", "state.lock"))
        in_it = rest[:1] and (rest[0] in _OWN_FOLDERS or (len(rest) == 1 and rest[0].endswith(_OWN_ENDINGS)))
        return bool(is_state and in_it)

    # --- locking ------------------------------------------------------------------------------
    def lock(self, verb: Verb, patience: float = 0.0, waiting: Waiting = nullcontext) -> AbstractContextManager[None]:
        """Keep a second writer out; raises ``Busy``, or waits some seconds for the first and shows whom it waits for.

        Curate, collect and release share one lock, since each reads what the others decide.
        """
        file = _FINETUNE_LOCK if verb is Verb.FINETUNE else "state.lock"
        advice = f"run {verb} again when it has finished"
        return held(self.root / file, self.dataset, f"goldleaf {verb}", advice, patience, waiting)

    @property
    def is_finetuning(self) -> bool:
        """Whether a fine-tuning is running on this machine."""
        return is_at_work(self.root / _FINETUNE_LOCK)

    def push_lock(self) -> AbstractContextManager[None]:
        """Let one process at a time send questions: two would ask each of them twice.

        It is not the lock of the state, so that others need not wait for Label Studio.
        """
        advice = "the next curate sends the rest"
        return held(self.root / "push.lock", self.dataset, "goldleaf curate (sending questions)", advice)

    def pull_lock(self) -> AbstractContextManager[None]:
        """Let one process at a time pull answers and store them: an older state must not follow a newer one.

        This is not the lock of the state, either.
        """
        advice = "run collect again when it has finished"
        return held(self.root / "pull.lock", self.dataset, "goldleaf collect (pulling annotations)", advice)

    def asking_lock(self) -> AbstractContextManager[None]:
        """Let one process at a time ask a model: two would pay for the same answers.

        It is not the lock of the state, so that others need not wait for the model.
        """
        advice = "the next curate asks about the rest"
        return held(self.root / "asking.lock", self.dataset, "goldleaf suggest (asking the model)", advice)

    # --- reading ------------------------------------------------------------------------------
    def version(self, table: Table) -> int:
        """The table's newest version; -1 if the table does not exist yet."""
        log = self._log(table)
        return -1 if log is None else log.version

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

    def runs(self, version: int) -> pl.DataFrame:
        """The committed runs at a version, oldest first. A command takes a dozen snapshots, which all need them."""
        path, rows = self._path(Table.RUNS), self.scan(Table.RUNS, version).sort("run")
        return collect_once(path, read_log(path, version), rows) if version >= 0 else rows.collect()

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

    def commit(self, run: "Run", *, inputs: dict[str, int], funnel: Funnel | None, summary: RunSummary) -> None:
        """Write the ``runs`` row: from now on the run counts."""
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

    def new_run(self, verb: Verb, config_digest: str, goldleaf: str) -> "Run":
        """A run whose id sorts after every earlier one, even if the clock was set back.

        What killed runs wrote before their commit counts too: records and annotations are ordered by it.
        """
        now = datetime.now(UTC)
        for table, column in ((Table.RUNS, "run"), (Table.RECORDS, "batch"), (Table.ANNOTATIONS, "run")):
            last = self.scan(table).select(pl.col(column).max()).collect().item()
            if last is not None:
                now = max(now, datetime.strptime(last, _RUN_FORMAT).replace(tzinfo=UTC) + timedelta(microseconds=1))
        return Run(
            id=now.strftime(_RUN_FORMAT), verb=verb, config_digest=config_digest, started_at=now, goldleaf=goldleaf
        )
