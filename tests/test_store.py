"""The store keeps what was committed, shows nothing else, and survives concurrent writers and kills."""

import errno
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from deltalake import DeltaTable
from store_rows import B0, B1, B2, B3, B4, NOW, commit, decision, records
from support import Steps

import pipeline.state.store
from flows.cli.os_errors import outside_fault
from pipeline.errors import Busy, StoreError
from pipeline.state.decisions import to_frame
from pipeline.state.store import Store
from pipeline.state.tables import SCHEMAS, Table
from schemas.fate import Fate
from schemas.run_summary import CollectSummary, CurateSummary, ReleaseSummary, Verb


def only_unseen(batch: str, ids: Iterable[str]) -> Callable[[pl.LazyFrame], Iterator[pl.DataFrame]]:
    """What of some records is new, as a builder for ``append_if_unseen``."""

    def build(present: pl.LazyFrame) -> Iterator[pl.DataFrame]:
        fresh = records(batch, ids).join(present.collect(), on="record_id", how="anti")
        if fresh.height:
            yield fresh

    return build


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path, "toy")


# --- the commit point -------------------------------------------------------------------------------
def test_a_new_home_is_empty_and_not_an_error(store: Store) -> None:
    snapshot = store.snapshot()
    assert not store.exists
    assert set(snapshot.versions.values()) == {-1}
    assert snapshot.funnel().raw == 0
    assert snapshot.at_last_commit().current_decisions().collect().height == 0
    assert snapshot.last_run(CurateSummary) is None
    assert list(store.root.parent.iterdir()) == []


def test_decisions_of_a_run_that_was_not_committed_are_never_seen(store: Store) -> None:
    store.append(Table.RECORDS, records(B1, ["r1", "r2"]))
    first = store.new_run(Verb.CURATE, "c", "0")
    store.append(Table.DECISIONS, to_frame([decision(first.id, "r1"), decision(first.id, "r2")]))
    assert store.snapshot().current_decisions().collect().height == 0
    commit(store, first)
    killed = store.new_run(Verb.CURATE, "c", "0")
    store.append(Table.DECISIONS, to_frame([decision(killed.id, "r1", Fate.REJECTED)]))
    snapshot = store.snapshot()
    assert snapshot.scan(Table.DECISIONS).collect().height == 3
    assert set(snapshot.current_decisions().collect()["run"]) == {first.id}
    assert set(snapshot.current_decisions().collect()["fate"]) == {"accepted"}


def test_the_latest_committed_decision_of_a_record_counts(store: Store) -> None:
    store.append(Table.RECORDS, records(B1, ["r1"]))
    runs = []
    for verb, fate in ((Verb.CURATE, Fate.REVIEW), (Verb.COLLECT, Fate.ACCEPTED), (Verb.CURATE, Fate.REJECTED)):
        runs.append(store.new_run(verb, "c", "0"))
        store.append(Table.DECISIONS, to_frame([decision(runs[-1].id, "r1", fate)]))
        commit(store, runs[-1])
    snapshot = store.snapshot()
    assert snapshot.current_decisions().collect()["fate"].to_list() == ["rejected"]
    assert snapshot.latest_decisions(Verb.COLLECT).collect()["fate"].to_list() == ["accepted"]
    assert snapshot.committed_decisions().collect()["run"].to_list() == [run.id for run in runs]


def test_a_decision_about_an_older_revision_does_not_count(store: Store) -> None:
    run = store.new_run(Verb.CURATE, "c", "0")
    store.append(Table.RECORDS, records(B1, ["r1"]))
    store.append(Table.DECISIONS, to_frame([decision(run.id, "r1")]))
    commit(store, run)
    assert store.snapshot().funnel().accepted == 1
    store.append(Table.RECORDS, records(B2, ["r1"], revision="v2"))
    assert store.snapshot().current_decisions().collect().height == 0
    assert store.snapshot().funnel().superseded == 1


def test_rows_that_no_run_has_decided_about_are_out_of_sight_at_the_last_commit(store: Store) -> None:
    store.append(Table.RECORDS, records(B1, ["r1"]))
    run = store.new_run(Verb.CURATE, "c", "0")
    commit(store, run, records=store.version(Table.RECORDS))
    store.append(Table.RECORDS, records(B2, ["r2"]))
    snapshot = store.snapshot()
    assert snapshot.latest_records().collect().height == 2
    assert snapshot.at_last_commit().latest_records().collect()["record_id"].to_list() == ["r1"]


def test_a_snapshot_stays_what_it_was(store: Store) -> None:
    store.append(Table.RECORDS, records(B1, ["r1"]))
    snapshot = store.snapshot()
    store.append(Table.RECORDS, records(B2, ["r2"]))
    assert snapshot.scan(Table.RECORDS).collect().height == 1
    assert store.scan(Table.RECORDS, version=snapshot.versions[Table.RECORDS]).collect().height == 1
    assert store.scan(Table.RECORDS).collect().height == 2


def test_a_snapshot_never_shows_a_run_without_its_decisions(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whenever another writer commits while the tables are pinned one after the other."""
    pin = Store.version
    for moment in range(len(Table)):
        calls = iter(range(100))

        def version(self: Store, table: Table, calls: Iterator[int] = calls, moment: int = moment) -> int:
            if next(calls) == moment:
                run = self.new_run(Verb.CURATE, "c", "0")
                self.append(Table.RECORDS, records(run.id, [f"r{moment}"]))
                self.append(Table.DECISIONS, to_frame([decision(run.id, f"r{moment}")]))
                commit(self, run)
            return pin(self, table)

        monkeypatch.setattr(Store, "version", version)
        snapshot = store.snapshot()
        monkeypatch.setattr(Store, "version", pin)
        decided = set(snapshot.scan(Table.DECISIONS).collect()["run"])
        assert set(snapshot.runs["run"]) <= decided


def test_a_table_with_columns_of_older_days_is_a_clear_error(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    older = pl.Schema(dict(SCHEMAS[Table.DECISIONS]) | {"doubt": pl.Float64()})
    with monkeypatch.context() as patch:
        patch.setitem(SCHEMAS, Table.DECISIONS, older)
        store.append(Table.DECISIONS, pl.DataFrame(schema=older).clear(n=1))
    with pytest.raises(
        StoreError,
        match=r"table 'decisions' of '.*' was written by an older Goldleaf: it has the column 'doubt'; move ",
    ):
        store.snapshot().scan(Table.DECISIONS)


def test_a_run_whose_summary_is_another_verb_s_is_a_clear_error(store: Store) -> None:
    run = store.new_run(Verb.RELEASE, "c", "0.1")
    store.commit(run, inputs={}, funnel=None, summary=CollectSummary())
    with pytest.raises(
        StoreError, match=f"has no valid release summary of run {run.id}; restore .*tables from a backup$"
    ):
        store.snapshot().last_run(ReleaseSummary)


def test_a_run_is_read_back_with_its_inputs_and_summary(store: Store) -> None:
    run = store.new_run(Verb.RELEASE, "c", "0.1")
    commit(store, run, records=4)
    last = store.snapshot().last_run(ReleaseSummary)
    assert last is not None
    assert (last.id, last.inputs, last.summary) == (run.id, {"records": 4}, ReleaseSummary(version="1.0.0"))
    assert store.snapshot().published_versions() == {"1.0.0"}


def test_the_first_split_of_a_record_stays(store: Store) -> None:
    for run, split in (("b", "test"), ("a", "train"), ("c", "test")):
        row = pl.DataFrame({"record_id": ["r1"], "group": ["g"], "split": [split], "run": [run]})
        store.append(Table.SPLITS, row)
    assert store.snapshot().splits().collect()["split"].to_list() == ["train"]


# --- the funnel -------------------------------------------------------------------------------------
def test_the_funnel_counts_revisions_and_withdrawals(store: Store) -> None:
    store.append(Table.RECORDS, records(B1, ["r1", "r2", "r3"]))
    store.append(Table.RECORDS, records(B2, ["r1"], revision="v2"))
    store.append(Table.RECORDS, records(B3, ["r2", "r1"], withdrawn=True))
    store.append(Table.RECORDS, records(B4, ["r1"]))
    run = store.new_run(Verb.CURATE, "c", "0")
    decisions = [decision(run.id, "r1"), decision(run.id, "r2"), decision(run.id, "r3", Fate.REVIEW)]
    store.append(Table.DECISIONS, to_frame(decisions))
    commit(store, run)
    funnel = store.snapshot().funnel()
    assert (funnel.raw, funnel.superseded, funnel.withdrawn, funnel.current) == (5, 2, 1, 2)
    assert (funnel.accepted, funnel.review) == (1, 1)
    assert funnel.adds_up()
    assert store.snapshot().current_records().collect()["record_id"].to_list() == ["r3", "r1"]


# --- run ids ----------------------------------------------------------------------------------------
class _Clock(datetime):
    """A clock that a test sets."""

    moment: datetime

    @classmethod
    def now(cls, tz: Any = None) -> datetime:
        return cls.moment


def test_run_ids_increase_even_when_the_clock_is_set_back(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline.state.store, "datetime", _Clock)
    ids = []
    for hours in (0, 0, -5, 3, 3, -100_000):
        _Clock.moment = NOW + timedelta(hours=hours)
        run = store.new_run(Verb.CURATE, "c", "0")
        ids.append(run.id)
        commit(store, run)
    assert ids == sorted(set(ids))
    assert ids[0] == "20260102T000000.000000Z"


def test_a_run_sorts_after_the_rows_of_a_killed_one(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Records are ordered by their batch: an older id would let the killed run's rows win."""
    monkeypatch.setattr(pipeline.state.store, "datetime", _Clock)
    _Clock.moment = NOW
    killed = store.new_run(Verb.CURATE, "c", "0")
    store.append(Table.RECORDS, records(killed.id, ["r1"]))
    _Clock.moment = NOW - timedelta(days=1)
    run = store.new_run(Verb.CURATE, "c", "0")
    assert run.id > killed.id
    store.append(Table.RECORDS, records(run.id, ["r1"], revision="v2"))
    assert store.snapshot().latest_records().collect()["revision"].to_list() == ["v2"]


# --- appending --------------------------------------------------------------------------------------
def test_a_batch_that_is_appended_again_writes_nothing(store: Store) -> None:
    def build(present: pl.LazyFrame) -> Iterator[pl.DataFrame]:
        yield records(B1, ["r1", "r2"])
        yield records(B1, ["r3"])

    assert store.append_if_unseen(Table.RECORDS, B1, build) == 3
    assert store.append_if_unseen(Table.RECORDS, B1, build) == 0
    assert store.scan(Table.RECORDS).collect().height == 3
    assert store.append_if_unseen(Table.RECORDS, B2, only_unseen(B2, ["r3", "r4"])) == 1


def test_a_batch_without_rows_leaves_the_table_as_it_was(store: Store) -> None:
    store.append(Table.RECORDS, records(B1, ["r1"]))
    before = store.version(Table.RECORDS)
    assert store.append_if_unseen(Table.RECORDS, B2, only_unseen(B2, ["r1"])) == 0
    store.append(Table.RECORDS, records(B3, []))
    assert store.version(Table.RECORDS) == before


def test_a_writer_that_was_overtaken_looks_again(store: Store) -> None:
    tries = []

    def build(present: pl.LazyFrame) -> Iterator[pl.DataFrame]:
        if not tries:
            other = Store(store.root.parent, "toy")
            other.append_if_unseen(Table.RECORDS, "rival", only_unseen("rival", ["r1"]))
        tries.append(1)
        yield from only_unseen(B1, ["r1", "r2"])(present)

    assert store.append_if_unseen(Table.RECORDS, B1, build) == 1
    assert len(tries) == 2
    assert sorted(store.scan(Table.RECORDS).select("record_id", "batch").collect().rows()) == [
        ("r1", "rival"),
        ("r2", B1),
    ]


def test_a_writer_that_is_always_overtaken_gives_up_with_one_line(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.state.store.time.sleep", lambda seconds: None)
    monkeypatch.setattr("pipeline.state.store._CAS_TRIES", 3)

    def build(present: pl.LazyFrame) -> Iterator[pl.DataFrame]:
        store.append(Table.RECORDS, records("rival", ["x"]))
        yield records(B1, ["r1"])

    with pytest.raises(StoreError, match=r"^table 'records' of 'toy' changed 3 times in the meantime; run it again$"):
        store.append_if_unseen(Table.RECORDS, B1, build)
    assert set(store.scan(Table.RECORDS).collect()["record_id"]) == {"x"}


BATCHES = 4


def _append_overlapping(home: Path, number: int, barrier: Barrier) -> None:
    store = Store(home, "toy")
    barrier.wait()
    for batch in range(BATCHES):
        # Batch names are the same in all processes; half of each batch's rows are in the next one too.
        ids = [f"r{row}" for row in range(batch * 10, batch * 10 + 20)]
        store.append_if_unseen(Table.RECORDS, f"b{batch}", only_unseen(f"b{batch}", ids))
        store.append_if_unseen(Table.RECORDS, f"own{number}-{batch}", only_unseen(f"own{number}-{batch}", ids))


def test_processes_that_append_the_same_rows_at_once_write_each_of_them_once(tmp_path: Path) -> None:
    """They race for the creation of the table, too."""
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(4)
    workers = [context.Process(target=_append_overlapping, args=(tmp_path, n, barrier)) for n in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0] * 4
    found = Store(tmp_path, "toy").scan(Table.RECORDS).collect()["record_id"].to_list()
    assert sorted(found) == sorted(f"r{row}" for row in range(BATCHES * 10 + 10))


# --- sudden death -----------------------------------------------------------------------------------
@contextmanager
def _process(code: str, home: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A Python process that has reached the point where its code prints a line; it is killed hard at the end."""
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n{code}", home]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"reached\n"
            yield process
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()


HALFWAY = """
from pathlib import Path
from pipeline.state.store import Store
from pipeline.state.tables import Table
from store_rows import B1, records

def build(present):
    for part in range(40):
        if part == 20:
            print("reached", flush=True)
            sys.stdin.read()
        yield records(B1, [f"r{part}-{row}" for row in range(5_000)])

Store(Path(sys.argv[1]), "toy").append_if_unseen(Table.RECORDS, B1, build)
"""


def test_a_writer_that_is_killed_halfway_leaves_no_part_of_its_batch(tmp_path: Path) -> None:
    store = Store(tmp_path, "toy")
    store.append(Table.RECORDS, records(B0, ["old"]))
    with _process(HALFWAY, tmp_path):
        assert store.scan(Table.RECORDS).collect()["record_id"].to_list() == ["old"]
    assert store.scan(Table.RECORDS).collect()["record_id"].to_list() == ["old"]
    assert store.append_if_unseen(Table.RECORDS, B1, only_unseen(B1, ["r1", "r2"])) == 2
    assert store.scan(Table.RECORDS).collect().height == 3


LOCKED = """
from pathlib import Path
from pipeline.state.store import Store
from schemas.run_summary import Verb

with Store(Path(sys.argv[1]), "toy").lock(Verb.CURATE):
    print("reached", flush=True)
    sys.stdin.read()
"""


def test_a_second_process_is_told_who_is_at_work_and_a_killed_one_frees_the_lock(tmp_path: Path) -> None:
    store = Store(tmp_path, "toy")
    with _process(LOCKED, tmp_path) as process:
        for verb in (Verb.CURATE, Verb.COLLECT, Verb.RELEASE):
            with pytest.raises(Busy) as caught, store.lock(verb):
                pytest.fail("two writers at once")
            assert str(caught.value) == (
                f"'toy' is in use by goldleaf curate, process {process.pid}; run {verb} again when it has finished"
            )
        with store.lock(Verb.FINETUNE), Store(tmp_path, "other").lock(Verb.CURATE):
            pass
    mine = f"goldleaf collect, process {os.getpid()};"
    with store.lock(Verb.COLLECT), pytest.raises(Busy, match=mine), store.lock(Verb.CURATE):
        pytest.fail("two writers at once")


def test_who_waits_for_a_lock_gets_it_as_soon_as_it_is_free_and_is_named_in_it(tmp_path: Path) -> None:
    store, shown = Store(tmp_path, "toy"), Steps()
    with _process(LOCKED, tmp_path) as process:
        threading.Timer(0.3, process.kill).start()
        with (
            store.lock(Verb.COLLECT, patience=60, waiting=shown.step),
            pytest.raises(Busy, match=f"^'toy' is in use by goldleaf collect, process {os.getpid()}; run"),
            store.lock(Verb.RELEASE),
        ):
            pytest.fail("two writers at once")
        assert shown.steps == [f"waiting for goldleaf curate, process {process.pid}"]
    with store.lock(Verb.COLLECT, patience=60, waiting=shown.step):
        assert len(shown.steps) == 1, "nobody is waited for"


def test_work_of_killed_runs_is_cleared(store: Store) -> None:
    (store.work("old") / "part.parquet").write_bytes(b"x")
    store.clear_work()
    assert not store.work("new").parent.joinpath("old").exists()
    store.clear_work()
    store.clear_work()


def test_what_killed_writers_have_begun_is_removed_after_a_day(store: Store) -> None:
    store.append(Table.RECORDS, records(B1, ["r1"]))
    folder = store.root / "tables" / "records"
    old, new = (folder / f".{name}.partial" for name in ("old", "new"))
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (0, time.time() - 25 * 60 * 60))
    store.clear_work()
    assert (old.exists(), new.exists()) == (False, True)
    assert store.snapshot().scan(Table.RECORDS).collect().height == 1


def test_a_file_system_without_locks_is_not_taken_for_another_process(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flock(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", flock)
    with pytest.raises(OSError, match="No locks available") as caught, store.lock(Verb.CURATE):
        pytest.fail("there is no lock")
    said = outside_fault(caught.value, store.root)
    assert (
        said == f"{store.root} cannot be used: No locks available; use a file system that supports locks, or set "
        "GOLDLEAF_HOME to another folder"
    )


def test_a_table_whose_first_commit_never_came_is_as_good_as_none(store: Store) -> None:
    (store.root / "tables" / "records" / "_delta_log").mkdir(parents=True)
    assert store.version(Table.RECORDS) == -1
    store.append(Table.RECORDS, records(B1, ["r1"]))
    assert store.scan(Table.RECORDS).collect().height == 1


def test_a_damaged_table_is_named(store: Store) -> None:
    store.append(Table.RECORDS, records(B1, ["r1"]))
    for entry in (store.root / "tables" / "records" / "_delta_log").glob("*.json"):
        entry.write_text("no json\n", encoding="utf-8")
    with pytest.raises(StoreError, match=r"^table 'records' of 'toy' is damaged \(.+\); restore .*/records from"):
        store.snapshot()


def test_rows_that_the_log_of_a_table_does_not_name_are_not_taken_for_written(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a disk that takes the entry without an error and loses it."""
    store.append(Table.RECORDS, records(B1, ["r1"]))
    with monkeypatch.context() as lossy:
        lossy.setattr(DeltaTable, "create_write_transaction", lambda *_, **__: None)
        with pytest.raises(
            StoreError,
            match=r"^.*/records/_delta_log does not name part-\w+-\w+\.parquet, which was just added; check "
            r"whether the disk is full or failing, then run it again$",
        ):
            store.append(Table.RECORDS, records(B2, ["r2"]))
    store.append(Table.RECORDS, records(B2, ["r2"]))
    assert store.scan(Table.RECORDS).collect()["record_id"].sort().to_list() == ["r1", "r2"]


def test_old_versions_are_never_cleaned_up(store: Store) -> None:
    store.append(Table.RECORDS, records(B1, ["r1"]))
    settings = DeltaTable(store.root / "tables" / "records").metadata().configuration
    assert settings["delta.enableExpiredLogCleanup"] == "false"
    assert settings["delta.deletedFileRetentionDuration"] == "interval 3650 days"


# --- annotations ----------------------------------------------------------------------------------
def annotation(run: str, *, deleted: bool) -> pl.DataFrame:
    """One annotation of one server, always with the same time of the server's."""
    values: dict[str, Any] = dict.fromkeys(SCHEMAS[Table.ANNOTATIONS].names())
    values |= {"server": "s", "annotation_id": 1, "record_id": "r", "updated_at": NOW, "deleted": deleted, "run": run}
    return pl.DataFrame([values], schema=SCHEMAS[Table.ANNOTATIONS])


def test_an_annotation_is_what_the_last_run_saw_of_it_whatever_the_server_s_clock_says(store: Store) -> None:
    for run, deleted in ((B0, False), (B1, True), (B2, False)):
        store.append(Table.ANNOTATIONS, annotation(run, deleted=deleted))
        assert store.snapshot().latest_annotations().collect()["deleted"].to_list() == [deleted]
