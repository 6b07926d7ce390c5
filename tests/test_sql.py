"""SQL reads the committed state, and can do nothing else."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from loopback import Reply, serving
from odd import QUESTION, Odd
from store_rows import B1, B2, B3, B4, commit, decision, records
from support import row
from terminal import Terminal

from pipeline.errors import GoldleafError, StoreError
from pipeline.reporting import sql
from pipeline.reporting.sql import VIEWS, query
from pipeline.state.decisions import to_frame
from pipeline.state.store import Snapshot, Store
from pipeline.state.tables import Table
from schemas.fate import Fate
from schemas.run_summary import Verb


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
        "drop view current",
        "create view mine as from current",
        "set threads = 1",
        "begin",
        "select 1; select 2",
        "",
        "selec 1",
    ],
)
def test_sql_can_neither_write_nor_leave_the_tables(filled: Snapshot, tmp_path: Path, sql: str) -> None:
    with pytest.raises(StoreError) as caught:
        query(filled, sql.format(folder=tmp_path))
    assert str(caught.value).startswith(("the query failed: ", "a query is one statement", "this is a "))
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []
    assert query(filled, "select count(*) from records").item() == 2


@pytest.mark.parametrize("word", ["drop view", "DROP TABLE"])
def test_a_statement_that_changes_something_is_refused_and_not_said_to_succeed(filled: Snapshot, word: str) -> None:
    with pytest.raises(StoreError) as caught:
        query(filled, f"{word} current")
    assert str(caught.value) == (
        "this is a DROP statement, but goldleaf sql only reads; begin with select, with, from, describe, summarize or "
        "explain"
    )


@pytest.mark.parametrize(
    "sql",
    [
        "with a as (from current) from a",
        "describe current",
        "show tables",
        "summarize current",
        "explain from current",
        "pivot (select fate, revision from current) on fate",
        "values (1)",
    ],
)
def test_every_statement_that_reads_is_answered(filled: Snapshot, sql: str) -> None:
    assert query(filled, sql).height > 0


@pytest.mark.parametrize(
    ("sql", "named"),
    [
        ("select fat from current", ["current"]),
        ("select c.fat from Current c", ["current"]),
        ("select fate from current join latest using (id)", ["current", "latest"]),
    ],
)
def test_an_unknown_column_is_answered_with_those_that_there_are(filled: Snapshot, sql: str, named: list[str]) -> None:
    with pytest.raises(StoreError) as caught:
        query(filled, sql)
    problem, _, there = str(caught.value).partition("; columns of ")
    assert problem.startswith("the query failed: Binder Error: ") and "tables: " not in str(caught.value)
    of_each = dict(part.split(": ") for part in there.split("; of "))
    assert {name: names.split(", ") for name, names in of_each.items()} == {
        name: query(filled, f"from {name}").columns for name in named
    }


@pytest.mark.parametrize("name", ["recrods", "frames", "snapshot", "pushed.pushes"])
def test_an_unknown_table_is_answered_with_those_that_there_are(filled: Snapshot, name: str) -> None:
    with pytest.raises(StoreError, match=f"; tables: {', '.join(VIEWS)}$"):
        query(filled, f"select * from {name}")


@pytest.mark.parametrize(
    "value",
    [
        "timestamp '290000-01-01'",
        "timestamptz '290000-01-01'",
        "timestamp_ms '290000-01-01'",
        "timestamp '-1000-01-01'",
        "timestamp 'infinity'",
        "date '10000-01-01'",
        "[date '2026-01-01', date '290000-01-01']",
        "array_value(date '290000-01-01')",
        "{'a': [{'b': timestamp '290000-01-01'}]}",
        "map {'a': date '290000-01-01'}",
        "map {date '290000-01-01': 'a'}",
    ],
)
def test_a_time_that_python_has_no_form_for_is_one_line_and_no_panic(
    filled: Snapshot, value: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(StoreError) as caught:
        query(filled, f"select 1 as n, {value} as t")
    assert str(caught.value) == (
        "the column 't' of the result holds a time outside the years 1 to 9999; cast its times to text (::varchar)"
    )
    assert query(filled, f"select ({value})::varchar as t").height == 1
    assert capfd.readouterr().err == ""


def test_every_time_that_python_has_a_form_for_is_answered(filled: Snapshot) -> None:
    values = [
        "timestamp '0001-01-01'",
        "timestamp '9999-12-31 23:59:59.999999'",
        "timestamptz '2026-01-01 12:00:00+00'",
        "timestamp_ns '2200-01-01'",
        "date '9999-12-31'",
        "null::date",
        "[null, date '2026-01-01']",
        "map {'a': null::date}",
        "{'a': timestamp '2026-01-01'}",
        "[]::date[]",
    ]
    assert len(query(filled, f"select {', '.join(values)}").row(0)) == len(values)
    assert query(filled, "select date '290000-01-01' where false").rows() == []


@pytest.mark.parametrize(
    ("value", "what"),
    [
        ("interval 1 day", "an interval"),
        ("[interval 1 day]", "an interval"),
        ("array_value(interval 1 day)", "an interval"),
        ("{'a': [{'b': interval 1 day}]}", "an interval"),
        ("map {interval 1 day: 2}", "an interval"),
        ("union_value(a := 1)", "a union"),
    ],
)
def test_what_a_table_cannot_show_is_one_line_too(
    filled: Snapshot, value: str, what: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(GoldleafError) as caught:
        query(filled, f"select 1 as n, {value} as h")
    assert str(caught.value) == f"the column 'h' of the result holds {what}; cast it to text (::varchar)"
    assert query(filled, f"select ({value})::varchar as h").height == 1
    assert capfd.readouterr().err == ""


def test_integers_of_128_bits_are_shown_digit_by_digit(filled: Snapshot) -> None:
    most, least, wide = 2**127 - 1, -(2**127), 2**128 - 1
    values = [f'{most}::hugeint as "a b"', f"'{least}'::hugeint as b", f"{wide}::uhugeint as c", "null::hugeint as d"]
    answer = query(filled, f"select {', '.join(values)}, 1.5 as e")
    assert answer.columns == ["a b", "b", "c", "d", "e"]
    assert [*map(int, answer.row(0)[:3]), answer.row(0)[3]] == [most, least, wide, None]
    assert query(filled, "select [1::uhugeint] as a, {'n': sum(2)} as b from current").row(0) == ([1], {"n": 4})
    pivot = query(filled, "pivot (select fate, 3 as n from current) on fate using sum(n)")
    assert pivot.row(0) == (3, 3)
    with pytest.raises(StoreError, match="the query failed: Conversion Error"):
        query(filled, f"select [{most}::hugeint]")


@pytest.mark.parametrize("locked", [False, True])
def test_no_query_installs_or_loads_an_extension(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, locked: bool) -> None:
    """A repository on this machine is asked for one by DuckDB as it comes, and never as we set it."""
    asked: list[str] = []

    def repository(method: str, path: str, body: bytes) -> Reply:
        asked.append(path)
        return 404, {}, b""

    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serving(repository) as server:
        here = {"autoinstall_extension_repository": server.url, "extension_directory": str(tmp_path)}
        kept = {name: value for name, value in sql.LOCKED.items() if locked and name != "enable_external_access"}
        with (
            duckdb.connect(":memory:", config={**here, **kept}) as connection,
            pytest.raises(duckdb.Error, match='"inet" is not in the catalog' if locked else "install"),
        ):
            connection.sql("select '1.1.1.1'::inet")
    assert bool(asked) is not locked


def test_a_query_that_needs_an_extension_is_one_line(filled: Snapshot) -> None:
    with pytest.raises(StoreError) as caught:
        query(filled, "select '1.1.1.1'::inet")
    assert '"inet" is not in the catalog' in str(caught.value) and "\n" not in str(caught.value)
    assert query(filled, "select '{\"a\": 1}'::json -> 'a'").item() == "1"


def test_a_query_that_is_not_utf_8_is_one_clear_line(filled: Snapshot) -> None:
    with pytest.raises(StoreError, match="the query failed: Parser Error"):
        query(filled, "select \ud83d")


# --- how answers are shown ------------------------------------------------------------------------
def test_a_row_that_no_table_can_hold_is_shown_as_lines_of_name_and_value(tmp_path: Path) -> None:
    asked = [f"Where is [b]parcel[/b] {n}{' so late' * n * 100}?" for n in (0, 1)]
    Odd(tmp_path, QUESTION, [row(n, question, "delivery") for n, question in enumerate(asked)]).curate()
    terminal = Terminal(tmp_path)
    told = terminal.goldleaf("sql", "select * from current order by length(inputs)").stdout
    shown = [line.rstrip() for line in told.splitlines()]
    # 500 characters at 101 a line.
    assert max(map(len, shown)) <= 120 and len(shown) == 2 * 23 + 2 + 4
    assert 'inputs             {"question":"Where is [b]parcel[/b] 0?"}' in shown
    assert "fate               accepted" in shown and "routed" in [line.strip() for line in shown]
    assert shown[23] == "─" * 120
    [first] = [number for number, line in enumerate(shown) if "[b]parcel[/b] 1 so late" in line]
    cell = " ".join(line[19:] for line in shown[first : first + 5])
    assert cell.endswith("…") and len(cell) == 501
    assert shown[-1] == "cells that end in … are cut to 500 characters or 10 lines; --json shows all"
    assert told.count("cells that end in") == 1


def test_many_columns_that_fit_and_few_that_do_not_are_a_table(tmp_path: Path) -> None:
    Odd(tmp_path, QUESTION, [row(1, "Why? " * 60, "delivery")]).curate()
    terminal = Terminal(tmp_path)
    names = [f"n{number}" for number in range(17)]
    shown = terminal.goldleaf("sql", f"select {', '.join(f'1 as {name}' for name in names)}").stdout.splitlines()
    assert [line.split() for line in shown] == [names, ["1"] * 17]
    assert terminal.goldleaf("sql", "select fate, inputs from current").stdout.startswith("fate      inputs")
    empty = terminal.goldleaf("sql", "select run, fate from current where false").stdout
    assert empty.split() == ["run", "fate"]
