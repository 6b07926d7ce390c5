"""Of concurrent and killed writers every batch is in the store once and whole, or not at all."""

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
from multiprocessing.synchronize import Barrier
from pathlib import Path
from socket import gethostname

import polars as pl
import pytest
from deltalake import DeltaTable
from store_rows import B0, B1, B2, B3, records
from support import Steps

from flows.cli.os_errors import outside_fault
from pipeline.errors import Busy, StoreError
from pipeline.state.store import Store
from pipeline.state.tables import Table
from schemas.run_summary import Verb


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
                f"'toy' is in use by goldleaf curate, process {process.pid} on {gethostname()}; "
                f"run {verb} again when it has finished"
            )
        with store.lock(Verb.FINETUNE), Store(tmp_path, "other").lock(Verb.CURATE):
            pass
    mine = f"goldleaf collect, process {os.getpid()} on {gethostname()};"
    with store.lock(Verb.COLLECT), pytest.raises(Busy, match=mine), store.lock(Verb.CURATE):
        pytest.fail("two writers at once")


def test_who_waits_for_a_lock_gets_it_as_soon_as_it_is_free_and_is_named_in_it(tmp_path: Path) -> None:
    store, shown = Store(tmp_path, "toy"), Steps()
    with _process(LOCKED, tmp_path) as process:
        threading.Timer(0.3, process.kill).start()
        with (
            store.lock(Verb.COLLECT, patience=60, waiting=shown.step),
            pytest.raises(
                Busy, match=f"^'toy' is in use by goldleaf collect, process {os.getpid()} on {gethostname()}; run"
            ),
            store.lock(Verb.RELEASE),
        ):
            pytest.fail("two writers at once")
        assert shown.steps == [f"waiting for goldleaf curate, process {process.pid} on {gethostname()}"]
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
