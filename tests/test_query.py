"""SQL reads the committed state, and can do nothing else."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from store_rows import B1, B2, B3, B4, commit, decision, records

from pipeline.decisions import to_frame
from pipeline.errors import GoldleafError, StoreError
from pipeline.query import VIEWS, query
from pipeline.store import Snapshot, Store
from pipeline.tables import Table, Verb
from schemas.fate import Fate


@pytest.fixture(scope="module")
def filled() -> Iterator[Snapshot]:
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder), "toy")
        store.append(Table.RECORDS, records(B1, ["r1", "r2"]))
        run = store.new_run(Verb.CURATE, "c", "0")
        store.append(Table.DECISIONS, to_frame([decision(run.id, "r1"), decision(run.id, "r2", Fate.REVIEW)]))
        commit(store, run)
        lost = store.new_run(Verb.CURATE, "c", "0")
        store.append(Table.DECISIONS, to_frame([decision(lost.id, "r1", Fate.REJECTED)]))
        yield store.snapshot()


def test_sql_answers_over_the_committed_state(filled: Snapshot) -> None:
    sql = "select fate, count(*) as n from Current join records using (record_id) group by fate order by fate"
    assert query(filled, sql).rows() == [("accepted", 1), ("review", 1)]
    assert query(filled, "select count(*) from decisions").item() == 2


def test_a_record_that_was_changed_back_is_latest_once(tmp_path: Path) -> None:
    store = Store(tmp_path, "toy")
    for batch, revision in ((B1, "v1"), (B2, "v2"), (B3, "v1")):
        store.append(Table.RECORDS, records(batch, ["r1"], revision))
    store.append(Table.RECORDS, records(B4, ["gone"]))
    store.append(Table.RECORDS, records(B4, ["gone"], withdrawn=True).with_columns(position=1))
    run = store.new_run(Verb.CURATE, "c", "0")
    store.append(Table.DECISIONS, to_frame([decision(run.id, "r1")]))
    commit(store, run, records=store.version(Table.RECORDS))
    sql = "select record_id, batch, file, line from current join latest using (record_id)"
    assert query(store.snapshot().at_last_commit(), sql).rows() == [("r1", B3, "f", 1)]


@pytest.mark.parametrize("view", VIEWS)
def test_every_view_can_be_named_in_either_case(filled: Snapshot, view: str) -> None:
    assert query(filled, f"select count(*) from {view}").item() == query(filled, f"from {view.upper()}").height


@pytest.mark.parametrize(
    "sql",
    [
        "select * from read_csv('/etc/passwd')",
        "select * from '/etc/passwd'",
        "select * from read_text('/etc/hostname')",
        "select * from glob('/etc/*')",
        "select getenv('HOME')",
        "copy (select 1) to '{folder}/out.csv'",
        "attach '{folder}/out.db'",
        "export database '{folder}/out'",
        "install httpfs",
        "load httpfs",
        "set enable_external_access = true",
        "insert into runs values (1)",
        "delete from records",
        "update records set record_id = 'x'",
        "drop table records",
        "select 1; select 2",
        "",
        "selec 1",
    ],
)
def test_sql_can_neither_write_nor_leave_the_tables(filled: Snapshot, tmp_path: Path, sql: str) -> None:
    with pytest.raises(StoreError) as caught:
        query(filled, sql.format(folder=tmp_path))
    assert str(caught.value).startswith(("the query failed: ", "a query is one statement"))
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []
    assert query(filled, "select count(*) from records").item() == 2


@pytest.mark.parametrize("name", ["recrods", "frames", "snapshot", "pushed.pushes"])
def test_an_unknown_table_is_answered_with_those_that_there_are(filled: Snapshot, name: str) -> None:
    with pytest.raises(StoreError, match=f"; tables: {', '.join(VIEWS)}$"):
        query(filled, f"select * from {name}")


def test_what_a_table_cannot_show_is_one_line_too(filled: Snapshot) -> None:
    with pytest.raises(GoldleafError, match=r"^the query failed: "):
        query(filled, "select interval 1 month")
    assert query(filled, "set threads = 1").height == 0
