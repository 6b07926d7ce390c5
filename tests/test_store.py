"""The store keeps what was committed, and shows nothing else."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from deltalake import DeltaTable
from store_rows import B0, B1, B2, B3, B4, NOW, commit, decision, records

import pipeline.state.store
from pipeline.errors import StoreError
from pipeline.state import table_files
from pipeline.state.decisions import to_frame
from pipeline.state.store import Store
from pipeline.state.tables import SCHEMAS, Table
from schemas.fate import Fate
from schemas.run_summary import CollectSummary, CurateSummary, ReleaseSummary, Verb


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


def test_a_table_is_opened_again_only_if_a_file_of_its_log_changed(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []

    def opening(folder: Path, version: int | None = None) -> DeltaTable:
        opened.append(folder.name)
        return DeltaTable(folder, version=version)

    monkeypatch.setattr(table_files, "DeltaTable", opening)
    store.append(Table.RECORDS, records(B1, ["r1"]))
    before = store.snapshot()
    opened.clear()
    assert store.snapshot().scan(Table.RECORDS).collect().height == 1
    assert opened == []
    # As another process would: nothing tells this one but the folder.
    Store(store.root.parent, "toy").append(Table.RECORDS, records(B2, ["r2"]))
    assert store.snapshot().scan(Table.RECORDS).collect().height == 2
    assert before.scan(Table.RECORDS).collect().height == 1
    opened.clear()
    log = store.root / "tables" / "records" / "_delta_log"
    (log / f"{2:020}.json").write_text("{")
    assert store.scan(Table.RECORDS, 1).collect().height == 1, "which does not need what comes after it"
    (log / f"{2:020}.json").unlink()
    assert store.snapshot().scan(Table.RECORDS).collect().height == 1
    entry = log / f"{1:020}.json"
    at = entry.stat().st_mtime_ns
    entry.write_bytes(b"{}" + b" " * (entry.stat().st_size - 2))
    assert entry.stat().st_mtime_ns > at
    with pytest.raises(StoreError, match="table 'records' of 'toy' is damaged"):
        store.snapshot().scan(Table.RECORDS)
    assert opened[0] == "records"


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
