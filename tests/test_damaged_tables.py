"""A damaged table: its reader says which one it is and what to do, or shows and publishes the right numbers."""

import re
import shutil
import zlib
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from damage import DAMAGES, READERS, Home, every_table
from deltalake import write_deltalake
from fake_studio import fake_studio
from store_rows import records
from support import offline, row, write_dataset
from terminal import Terminal

from flows.context import Context
from pipeline.errors import StoreError
from pipeline.state.store import Store
from pipeline.state.tables import INDEX, Table
from schemas.run_summary import CurateSummary, Verb


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    with fake_studio() as studio:
        yield every_table(tmp_path_factory.mktemp("whole"), studio.url)


@pytest.fixture(scope="module")
def right(whole: Home, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What each reader says where nothing is damaged."""
    folder = tmp_path_factory.mktemp("right")
    return {reader: whole.copy(folder / reader).read(reader) for reader in READERS}


def test_every_table_is_in_use(whole: Home) -> None:
    assert all(whole.files(table) for table in Table)


@pytest.mark.parametrize("table", Table)
@pytest.mark.parametrize("reader", READERS)
def test_a_damaged_file_of_a_table_is_named_or_makes_no_difference(
    whole: Home, right: dict[str, str], tmp_path: Path, table: Table, reader: str
) -> None:
    for damage, do in DAMAGES.items():
        home = whole.copy(tmp_path / damage)
        do(home.files(table)[0])
        assert reads_right_or_names(home, reader, table, right), damage


@pytest.mark.parametrize("table", Table)
@pytest.mark.parametrize("reader", ["status", "release", "curate"])
def test_a_damaged_log_of_a_table_is_named_or_makes_no_difference(
    whole: Home, right: dict[str, str], tmp_path: Path, table: Table, reader: str
) -> None:
    for damage, do in DAMAGES.items():
        for place in (1, -1):
            if (table, damage, place) == (Table.RUNS, "lost", -1):
                # As if the latest run had been killed just before its commit: that is a state of its own.
                continue
            home = whole.copy(tmp_path / f"{damage}{place}")
            do(home.files(table, log=True)[place])
            assert reads_right_or_names(home, reader, table, right), (damage, place)


def reads_right_or_names(home: Home, reader: str, table: Table, right: dict[str, str]) -> bool:
    """Whether a reader says what is right, or fails with a line that names the damaged table."""
    line = rf"table '{table}' of 'questions' is damaged \([^\n]+\); restore [^\n]+"
    try:
        said = home.read(reader)
    except AssertionError as error:
        assert re.fullmatch(rf"error: {line}\n\nSystemExit\(1\)", str(error)), error
        return True
    except StoreError as error:
        # The reader has no need of that table; who compares all tables has.
        assert re.fullmatch(line, str(error)), error
        return True
    return said == right[reader]


def test_files_of_earlier_versions_are_verified_by_their_own_checksum(
    whole: Home, right: dict[str, str], tmp_path: Path
) -> None:
    for damage, do in [("none", lambda file: None), *DAMAGES.items()]:
        home = whole.copy(tmp_path / damage)
        logs = {log: log.read_text() for log in home.files(Table.DECISIONS, log=True)}
        for file in home.files(Table.DECISIONS):
            early = file.with_stem(f"{file.stem.rpartition('-')[0]}-{zlib.crc32(file.read_bytes()):08x}")
            logs = {log: text.replace(file.name, early.name) for log, text in logs.items()}
            file.rename(early)
        for log, text in logs.items():
            log.write_text(text)
        do(home.files(Table.DECISIONS)[0])
        if damage == "none":
            assert home.read("release") == right["release"]
        else:
            assert reads_right_or_names(home, "release", Table.DECISIONS, right), damage


def test_an_emptied_log_of_the_runs_is_found_out_before_anything_is_published(whole: Home, tmp_path: Path) -> None:
    """`status` once showed numbers that did not add up, and `release` published what was left."""
    home = whole.copy(tmp_path / "home")
    home.files(Table.RUNS, log=True)[-1].write_bytes(b"")
    versions = sorted((home.terminal.home / "questions" / "releases").iterdir())
    for command in ("status", "release", "curate"):
        line = home.terminal.error(command, "--json")
        assert line == (
            "table 'runs' of 'questions' is damaged (its log names 4 files at version 5); restore "
            f"{home.terminal.home}/questions/tables/runs from a backup"
        )
    assert sorted((home.terminal.home / "questions" / "releases").iterdir()) == versions


def test_tables_of_different_days_are_not_read_together(whole: Home, tmp_path: Path) -> None:
    home = whole.copy(tmp_path / "home")
    tables = home.terminal.home / "questions" / "tables"
    shutil.rmtree(tables / "decisions")
    line = home.terminal.error("status")
    assert line.startswith("table 'decisions' of 'questions' is damaged (it is at version -1, but was at ")
    assert line.endswith(f" when the latest run was committed); restore {tables}/decisions from a backup")


@pytest.mark.parametrize("reader", READERS)
def test_a_home_that_lost_its_runs_is_not_taken_for_a_new_one(whole: Home, tmp_path: Path, reader: str) -> None:
    """`status` once showed zeros."""
    home = whole.copy(tmp_path / "home")
    tables = home.terminal.home / "questions" / "tables"
    shutil.rmtree(tables / "runs")
    more = {"explain": ["data.jsonl:2"], "sql": ["select 1"]}.get(reader, [])
    assert home.terminal.error(reader, *more, "--json" if reader != "report" else "--to=r.html") == (
        f"table 'runs' of 'questions' is damaged (it is missing, and 'records' exists); restore {tables}/runs from a "
        f"backup, or move {tables} away and curate again: the splits of the versions in the home are adopted"
    )
    found = {finding["what"]: finding for finding in home.terminal.json("check", exit_code=1)}
    assert "table 'runs' of 'questions' is damaged" in found["what was curated"]["detail"]


def test_a_home_that_lost_its_runs_is_curated_again_without_moving_a_row(whole: Home, tmp_path: Path) -> None:
    home = whole.copy(tmp_path / "home")
    before = home.state["splits"]
    tables = home.terminal.home / "questions" / "tables"
    shutil.rmtree(tables / "runs")
    shutil.move(tables, tmp_path / "away")
    home.terminal.goldleaf("curate", "--json")
    assert home.state["splits"] == before


def test_a_first_curate_that_was_killed_before_its_commit_is_no_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_dataset(tmp_path, [row(1, "Where is my parcel?", "delivery")])
    terminal = Terminal(tmp_path)

    def dies(*_: object, **__: object) -> None:
        raise StoreError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(Store, "commit", dies)
        assert terminal.error("curate", "--json") == "killed"
    assert terminal.json("status")["raw"] == 0
    assert "has not been curated yet" in terminal.error("explain", "data.jsonl:1")
    terminal.goldleaf("curate", "--json")
    assert terminal.json("status")["accepted"] == 1


@pytest.mark.parametrize("reader", ["status", "report", "release"])
def test_tables_that_do_not_belong_together_are_neither_shown_nor_published(
    whole: Home, tmp_path: Path, reader: str
) -> None:
    """Each of them is sound: a run was committed over a record that it has not decided about."""
    home = whole.copy(tmp_path / "home")
    versions = sorted((home.terminal.home / "questions" / "releases").iterdir())
    store = Context.load(home.folder / "dataset.yaml", offline(home.terminal.home)).store
    last = store.snapshot().last_run(CurateSummary)
    assert last is not None
    run = store.new_run(Verb.CURATE, "c", "0.1")
    store.append(Table.RECORDS, records(run.id, ["nobody's"]))
    inputs = last.inputs | {Table.RECORDS.value: store.version(Table.RECORDS)}
    store.commit(run, inputs=inputs, funnel=None, summary=last.summary)
    line = home.terminal.error(reader)
    assert line.startswith("the numbers of 'questions' do not add up (")
    assert line.endswith(
        "): its tables records, decisions and runs do not match each other; restore "
        f"{home.terminal.home}/questions/tables from a backup"
    )
    assert sorted((home.terminal.home / "questions" / "releases").iterdir()) == versions


# --- the index --------------------------------------------------------------------------------------
@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("table", INDEX)
def test_a_damaged_index_is_rebuilt_on_request(whole: Home, tmp_path: Path, table: Table, damage: str) -> None:
    home = whole.copy(tmp_path / "home")
    DAMAGES[damage](home.files(table)[0])
    line = home.terminal.error("curate", "--json")
    assert line.endswith(", or let `goldleaf curate --reindex` rebuild it")
    home.terminal.goldleaf("curate", "--reindex", "--json")
    assert home.state == whole.state
    home.terminal.goldleaf("curate", "--json")
    assert home.state == whole.state


def test_pairs_that_are_gone_are_missed_and_those_texts_compared_again(whole: Home, tmp_path: Path) -> None:
    """What says that texts were compared is there, so that their pairs would not be searched for again."""
    home = whole.copy(tmp_path / "home")
    shutil.rmtree(home.terminal.home / "questions" / "tables" / "similarities")
    assert "table 'similarities' of 'questions' is damaged (it is at version -1" in home.terminal.error(
        "curate", "--json"
    )
    home.terminal.goldleaf("curate", "--reindex", "--json")
    assert home.state == whole.state
    assert home.files(Table.SIMILARITIES)


def test_an_index_that_was_taken_away_is_rebuilt_automatically(whole: Home, tmp_path: Path) -> None:
    home = whole.copy(tmp_path / "home")
    for table in INDEX:
        shutil.rmtree(home.terminal.home / "questions" / "tables" / table)
    home.terminal.goldleaf("curate", "--json")
    assert home.state == whole.state
    assert home.files(Table.SIMILARITIES)


def test_a_run_that_was_written_before_files_had_checksums_is_read(whole: Home, tmp_path: Path) -> None:
    """Nor do such runs tell the versions of the tables."""
    home = whole.copy(tmp_path / "home")
    for table in Table:
        folder = home.terminal.home / "questions" / "tables" / table
        batches = [pl.read_parquet(file).drop("tables", strict=False) for file in home.files(table)]
        shutil.rmtree(folder)
        write_deltalake(folder, batches[0].clear())
        for batch in batches:
            write_deltalake(folder, batch, mode="append")
    assert home.read("status") == whole.read("status")
    home.terminal.goldleaf("curate", "--json")
    assert home.state == whole.state
