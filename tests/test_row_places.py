"""Messages, tables and pages name the line where a row is now, however often its file was rewritten."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ingest_home import Home
from store_rows import commit
from support import row, write_dataset, write_rows
from terminal import Terminal
from tried_examples import examples

from pipeline.errors import StoreError
from pipeline.ingest.row_places import current_places, gone_from_files, in_place
from pipeline.state.tables import Table
from pipeline.state.work_files import read_work, write_work
from schemas.dataset import Mode, Source
from schemas.run_summary import Verb

GOOD = [row(key, f"Question {key}?", "delivery") for key in range(1, 5)]
BAD = row(9, "Where is my parcel?", "nonsense")
Placed = dict[str, tuple[str, int]]
"""File and line by the row's own line."""


def placed(home: Home) -> Placed:
    ids = {record_id: raw for raw, record_id in home.ids().items()}
    rows = current_places(home.store.snapshot()).collect().iter_rows()
    return {ids[record_id]: (file, line) for record_id, file, line in rows}


@given(
    st.lists(
        st.lists(st.sampled_from([f'{{"n": {n}}}' for n in range(8)]), min_size=1, unique=True), min_size=1, max_size=5
    ),
    st.data(),
)
@examples(30)
def test_whatever_was_rewritten_every_row_is_where_it_was_last_read(
    tmp_path_factory: pytest.TempPathFactory, days: list[list[str]], data: st.DataObject
) -> None:
    home = Home(tmp_path_factory.mktemp("places"))
    source = Source(name="table", path="*.jsonl", mode=Mode.SNAPSHOT)
    for day in days:
        cut = data.draw(st.integers(0, len(day)))
        expected: Placed = {}
        for file, lines in (("a.jsonl", day[:cut]), ("b.jsonl", day[cut:])):
            home.write(file, lines)
            expected |= {line: (file, number) for number, line in enumerate(lines, 1)}
        home.ingest(source)
        assert placed(home) == expected


def test_a_row_of_a_file_that_is_gone_keeps_its_place(tmp_path: Path) -> None:
    home = Home(tmp_path)
    log = Source(name="log", path="*.jsonl")
    home.write("a.jsonl", ['{"n": 1}', '{"n": 2}'])
    home.ingest(log)
    home.write("a.jsonl", ['{"n": 2}', '{"n": 1}'])
    home.ingest(log)
    (tmp_path / "a.jsonl").rename(tmp_path / "a.jsonl.old")
    home.write("b.jsonl", ['{"n": 3}'])
    home.ingest(log)
    assert placed(home) == {'{"n": 1}': ("a.jsonl", 2), '{"n": 2}': ("a.jsonl", 1), '{"n": 3}': ("b.jsonl", 1)}


def gone_of(home: Home) -> set[str]:
    """The records whose file no longer has their row."""
    return set(gone_from_files(home.store.snapshot()).collect().to_series())


def test_a_row_that_a_log_s_file_has_lost_is_gone_from_it_until_it_is_back(tmp_path: Path) -> None:
    home, log = Home(tmp_path), Source(name="log", path="*.jsonl")

    def gone(*lines: str) -> tuple[set[str], Placed]:
        home.write("a.jsonl", lines)
        home.ingest(log)
        ids = {record_id: raw for raw, record_id in home.ids().items()}
        return {ids[name] for name in gone_of(home)}, placed(home)

    assert gone('{"n": 0}', '{"n": 1}', '{"n": 2}')[0] == set()
    assert gone('{"n": 2}', '{"n": 1}')[0] == {'{"n": 0}'}
    lost, places = gone('{"n": 1}')
    assert lost == {'{"n": 0}', '{"n": 2}'}
    assert places == {'{"n": 0}': ("a.jsonl", 1), '{"n": 1}': ("a.jsonl", 1), '{"n": 2}': ("a.jsonl", 1)}
    (tmp_path / "a.jsonl").unlink()
    home.write("b.jsonl", ['{"n": 2}'])
    home.ingest(log)
    [zero] = gone_of(home)
    assert zero == home.ids()['{"n": 0}'], "a file that is gone has lost no row"
    assert gone('{"n": 0}', '{"n": 1}')[0] == set()


def test_a_file_that_was_gone_and_is_back_with_other_rows_has_lost_its_own(tmp_path: Path) -> None:
    home, log = Home(tmp_path), Source(name="log", path="*.jsonl")
    home.write("a.jsonl", ['{"n": 0}'])
    home.write("b.jsonl", ['{"n": 1}'])
    home.ingest(log)
    (tmp_path / "a.jsonl").unlink()
    home.ingest(log)
    home.write("c.jsonl", ['{"n": 2}'])
    home.ingest(log)
    assert gone_of(home) == set()
    home.write("a.jsonl", ['{"n": 3}'])
    home.ingest(log)
    assert gone_of(home) == {home.ids()['{"n": 0}']}


def test_places_written_before_lost_rows_were_noted_can_be_read(tmp_path: Path) -> None:
    home, table = Home(tmp_path), Source(name="table", path="a.jsonl")
    for lines in (['{"n": 1}', '{"n": 2}'], ['{"n": 2}', '{"n": 1}']):
        home.write("a.jsonl", lines)
        home.ingest(table)
    write_work(read_work(home.store.moved).drop("gone"), home.store.moved)
    assert gone_of(home) == set()
    assert placed(home) == {'{"n": 2}': ("a.jsonl", 1), '{"n": 1}': ("a.jsonl", 2)}


def test_a_row_that_is_appended_once_more_is_where_the_table_says(tmp_path: Path) -> None:
    home, log = Home(tmp_path), Source(name="log", path="*.jsonl", key="n")
    home.write("a.jsonl", ['{"n": 1, "x": 1}'])
    home.ingest(log)
    home.write("a.jsonl", ['{"n": 1, "x": 2}', '{"n": 1, "x": 1}'])
    assert home.ingest(log).added == 2
    assert placed(home) == {'{"n": 1, "x": 1}': ("a.jsonl", 2)}
    assert not home.store.moved.exists()


def test_what_does_not_move_is_not_written_down(tmp_path: Path) -> None:
    home = Home(tmp_path)
    log = Source(name="log", path="*.jsonl")
    for day in range(3):
        home.write(f"{day}.jsonl", [f'{{"n": {day}}}'])
        home.ingest(log)
    assert not home.store.moved.exists()


def test_a_row_that_a_run_has_reread_elsewhere_stays_where_it_was_until_that_run_is_committed(
    tmp_path: Path,
) -> None:
    """A reader in the meantime sees the row as it was, and no line that holds another content."""
    home = Home(tmp_path)
    table = Source(name="table", path="a.jsonl", mode=Mode.SNAPSHOT, key="n")
    home.write("a.jsonl", ['{"n": 1}', '{"n": 2}'])
    run = home.store.new_run(Verb.CURATE, "c", "0")
    home.ingest(table, run=run.id)
    commit(home.store, run, records=home.store.version(Table.RECORDS))
    home.write("a.jsonl", ['{"n": 2, "is": "new"}', '{"n": 1}'])
    home.ingest(table)
    seen = in_place(home.store.snapshot().at_last_commit()).select("raw", "line").collect().rows()
    assert sorted(seen) == [(b'{"n": 1}', 2), (b'{"n": 2}', 2)]


def test_a_damaged_file_of_places_is_named_and_rewritten_by_the_next_curate(tmp_path: Path) -> None:
    home = Home(tmp_path)
    table = Source(name="table", path="a.jsonl", mode=Mode.SNAPSHOT)
    for lines in (['{"n": 1}', '{"n": 2}'], ['{"n": 2}', '{"n": 1}']):
        home.write("a.jsonl", lines)
        home.ingest(table)
    home.store.moved.write_bytes(home.store.moved.read_bytes()[:-20])
    with pytest.raises(StoreError, match=r"moved\.parquet is corrupt; `goldleaf curate` rewrites it"):
        placed(home)
    home.ingest(table)
    assert placed(home) == {'{"n": 2}': ("a.jsonl", 1), '{"n": 1}': ("a.jsonl", 2)}


def test_a_damaged_file_of_places_is_rewritten_even_if_no_row_has_moved_any_more(tmp_path: Path) -> None:
    home = Home(tmp_path)
    table = Source(name="table", path="a.jsonl", mode=Mode.SNAPSHOT)
    for lines in (['{"n": 1}', '{"n": 2}'], ['{"n": 2}', '{"n": 1}']):
        home.write("a.jsonl", lines)
        home.ingest(table)
    home.store.moved.write_bytes(b"damaged")
    home.write("a.jsonl", ['{"n": 1}', '{"n": 2}'])
    home.ingest(table)
    assert placed(home) == {'{"n": 1}': ("a.jsonl", 1), '{"n": 2}': ("a.jsonl", 2)}


def test_messages_tables_and_the_report_send_users_to_the_present_line(tmp_path: Path) -> None:
    """A snapshot without a key, whose export has no order: what is said today must be true today."""
    write_dataset(tmp_path, [BAD, *GOOD])
    file = tmp_path / "dataset.yaml"
    file.write_text(file.read_text().replace("key: id,", "mode: snapshot,"))
    terminal = Terminal(tmp_path)
    assert "as in data.jsonl:1\n" in terminal.goldleaf("curate").stdout
    write_rows(tmp_path, [*GOOD, BAD])
    assert "as in data.jsonl:5\n" in terminal.goldleaf("curate").stdout
    status = terminal.goldleaf("status").stdout
    assert "(for details: goldleaf explain data.jsonl:5)" in status
    assert "got 'nonsense'" in terminal.goldleaf("explain", "data.jsonl:5").stdout
    asked = "select line from current join latest using (record_id) where fate = 'rejected'"
    assert terminal.json("sql", asked) == [{"line": 5}]
    assert "data.jsonl:5" in Path(terminal.json("report")["path"]).read_text()
