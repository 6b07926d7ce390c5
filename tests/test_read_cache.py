"""Files that have not changed are not read again, and nothing depends on what is kept of them."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from ingest_home import KEYED, PLAIN, SNAPSHOT, Home

import pipeline.ingest.file_stamps
import pipeline.ingest.read_cache
import pipeline.ingest.sources
from pipeline.errors import SourceError
from pipeline.ingest.checked_file import CheckedFile
from pipeline.ingest.file_stamps import Stamp
from pipeline.ingest.formats import read_rows
from pipeline.ingest.ingest_sources import Ingested, ingest
from pipeline.ingest.raw_rows import RawRow
from pipeline.ingest.read_cache import ReadCache
from pipeline.ingest.row_places import current_places
from pipeline.state.store import Store
from pipeline.state.tables import Table
from schemas.dataset import Format, Mode, Source

LOG = Source(name="s", path="*.jsonl")
UPDATES = Source(name="s", path="*.jsonl", key="id")
EXPORT = Source(name="s", path="*.jsonl", key="id", mode=Mode.SNAPSHOT)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that were just written are believed not to change any more."""
    monkeypatch.setattr(pipeline.ingest.file_stamps, "_SETTLED_NS", 0)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that are opened."""
    names: list[str] = []

    def noted(path: Path, *more: Any) -> Iterator[RawRow]:
        names.append(path.name)
        return read_rows(path, *more)

    monkeypatch.setattr(pipeline.ingest.sources, "read_rows", noted)
    return names


def rows_read(home: Home, *sources: Source) -> tuple[Ingested, int]:
    """What an ingestion says, and how many rows it has read."""
    before = home.read
    said = home.ingest(*sources)
    return said, home.read - before


def contents(home: Home) -> list[str]:
    return sorted(raw.decode() for raw in home.current()["raw"])


# --- what is read -----------------------------------------------------------------------------------
@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize("ending", ["jsonl", "json", "csv", "parquet", "jsonl.gz"])
def test_a_file_that_is_as_it_was_is_not_opened(home: Home, opened: list[str], ending: str) -> None:
    frame = pl.DataFrame({"id": ["a", "b"]})
    path = home.folder / f"data.{ending}"
    writers: dict[str, Callable[[Path], Any]] = {
        "jsonl": frame.write_ndjson,
        "json": frame.write_json,
        "csv": frame.write_csv,
        "parquet": frame.write_parquet,
        "jsonl.gz": lambda path: frame.write_ndjson(path, compression="gzip"),
    }
    writers[ending](path)
    source = Source(name="s", path=path.name, key="id")
    assert home.ingest(source).added == 2
    assert opened == [path.name]
    assert home.ingest(source) == Ingested(lines=2, added=0, withdrawn=0)
    assert opened == [path.name]


@pytest.mark.usefixtures("settled")
def test_only_new_files_are_opened(home: Home, opened: list[str]) -> None:
    for day in range(3):
        home.write(f"{day}.jsonl", [{"id": day}, {"id": day, "x": 1}])
        doubled = (("s", day + 1, 2 * (day + 1)),)
        assert rows_read(home, UPDATES) == (Ingested(2 * (day + 1), 2, 0, doubled=doubled), 2)
    assert opened == ["0.jsonl", "1.jsonl", "2.jsonl"]


def test_of_a_file_that_has_grown_only_the_new_lines_are_read(home: Home) -> None:
    home.write("data.jsonl", [{"id": 1}, "", {"id": 2}])
    home.ingest(PLAIN)
    home.write("data.jsonl", [{"id": 1}, "", {"id": 2}, "", {"id": 3}])
    assert rows_read(home, PLAIN) == (Ingested(lines=3, added=1, withdrawn=0), 1)
    assert home.current().sort("position").select("line", "position").rows() == [(1, 0), (3, 1), (5, 2)]


def test_a_file_with_the_same_bytes_and_another_time_is_not_parsed(home: Home) -> None:
    sheet = Source(name="s", path="data.csv", key="id")
    for _ in range(2):
        (home.folder / "data.csv").write_text("id\n1\n2\n")
        home.ingest(sheet)
    assert home.read == 2


def test_a_csv_that_has_grown_is_read_as_a_whole(home: Home) -> None:
    """An open quote in its last row would take in what follows."""
    sheet = Source(name="s", path="data.csv", key="id")
    (home.folder / "data.csv").write_text('id,text\n1,a\n2,"b\n')
    home.ingest(sheet)
    (home.folder / "data.csv").write_text('id,text\n1,a\n2,"b\n3,c"\n')
    assert rows_read(home, sheet) == (Ingested(lines=2, added=1, withdrawn=0), 2)
    assert b'{"id":"2","text":"b\\n3,c"}' in home.current()["raw"].to_list()


def test_a_grown_file_whose_old_part_has_changed_is_read_as_a_whole(home: Home) -> None:
    home.write("data.jsonl", [{"id": 1}, {"id": 2}])
    home.ingest(KEYED)
    home.write("data.jsonl", [{"id": 5}, {"id": 2}, {"id": 3}])
    assert rows_read(home, KEYED) == (Ingested(lines=3, added=2, withdrawn=0), 3)


def test_a_line_that_was_cut_off_is_read_again_when_it_is_whole(home: Home) -> None:
    file = home.folder / "data.jsonl"
    file.write_text('{"id": 1}\n{"id": 2')
    home.ingest(SNAPSHOT)
    file.write_text('{"id": 1}\n{"id": 23}\n{"id": 4}\n')
    assert rows_read(home, SNAPSHOT) == (Ingested(lines=3, added=2, withdrawn=1), 3)
    assert contents(home) == ['{"id": 1}', '{"id": 23}', '{"id": 4}']


def test_a_line_that_is_completed_while_it_is_read_is_not_taken_for_two(tmp_path: Path) -> None:
    file = tmp_path / "data.jsonl"
    file.write_bytes(b'{"id": 1')
    with CheckedFile(file) as opened, file.open("ab") as writer:
        buffer = bytearray(100)
        assert opened.readinto(buffer) == 8
        assert opened.readinto(buffer) == 0
        writer.write(b"2}\n")
        writer.flush()
        assert opened.readinto(buffer) == 0 and opened.readall() == b""
        assert opened.content[0] == 8 and not opened.content.ends_line


@pytest.mark.usefixtures("settled")
def test_a_file_that_was_rewritten_with_the_same_size_is_read(home: Home) -> None:
    home.write("data.jsonl", [{"id": 1, "x": 1}])
    home.ingest(KEYED)
    home.write("data.jsonl", [{"id": 1, "x": 2}])
    assert rows_read(home, KEYED) == (Ingested(lines=1, added=1, withdrawn=0), 1)


def test_a_file_that_changes_within_the_clock_s_step_is_read(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    stamp = pipeline.ingest.sources.stamp_of(home.folder)
    assert stamp is not None
    monkeypatch.setattr(pipeline.ingest.sources, "stamp_of", lambda path: stamp)
    home.write("data.jsonl", [{"id": 1}])
    home.ingest(KEYED)
    home.write("data.jsonl", [{"id": 2}])
    assert home.ingest(KEYED).added == 1


def test_a_stamp_is_settled_two_seconds_after_the_last_change() -> None:
    stamp = Stamp(size=0, modified=10**9, changed=2 * 10**9, inode=1)
    assert [stamp.is_settled(now) for now in (0, 4 * 10**9 - 1, 4 * 10**9)] == [False, False, True]


@pytest.mark.usefixtures("settled")
def test_a_file_that_is_modified_while_it_is_read_is_read_again(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    home.write("data.jsonl", [{"id": 1}])

    def raced(path: Path, *more: Any) -> Iterator[RawRow]:
        yield from read_rows(path, *more)
        home.write("data.jsonl", [{"id": 2}])

    with monkeypatch.context() as patch:
        patch.setattr(pipeline.ingest.sources, "read_rows", raced)
        home.ingest(KEYED)
    assert home.ingest(KEYED).added == 1


# --- rows of files that are not opened --------------------------------------------------------------
@pytest.mark.usefixtures("settled")
def test_a_copy_before_a_row_makes_that_row_the_second_though_its_file_is_not_opened(
    home: Home, opened: list[str]
) -> None:
    home.write("b.jsonl", [{"x": 1}, {"x": 2}])
    home.ingest(LOG)
    first = home.ids()['{"x": 2}']
    home.write("a.jsonl", [{"x": 2}])
    assert home.ingest(LOG).added == 1
    assert opened == ["b.jsonl", "a.jsonl"]
    rows = home.current().sort("position").select("file", "line", "position", "raw").rows()
    assert rows[-1] == ("b.jsonl", 2, 2, b'{"x": 2}')
    second = home.current().sort("batch", "position")["record_id"][-1]
    assert second != first and first in home.current()["record_id"]


@pytest.mark.usefixtures("settled")
def test_bytes_that_are_broken_in_one_file_and_a_row_in_another_keep_their_error(home: Home) -> None:
    sheets = Source(name="s", path="*.csv")
    (home.folder / "b.csv").write_text('a,b\n{"a":"x"}\n')
    home.ingest(sheets)
    (home.folder / "a.csv").write_text("a\nx\n")
    assert home.ingest(sheets).added == 1
    assert set(home.current()["raw"]) == {b'{"a":"x"}'}
    [second] = home.current().filter(pl.col("key").str.ends_with("#2")).iter_rows(named=True)
    assert second["file"] == "b.csv" and "1 cells, but the header has 2" in second["error"]


@pytest.mark.usefixtures("settled")
def test_a_row_counts_again_when_the_update_after_it_is_gone_though_its_file_is_not_opened(
    home: Home, opened: list[str]
) -> None:
    home.write("a.jsonl", [{"id": 1, "x": 1}, {"id": 2}])
    home.write("b.jsonl", [{"id": 1, "x": 2}])
    home.ingest(UPDATES)
    (home.folder / "b.jsonl").unlink()
    assert home.ingest(UPDATES) == Ingested(lines=2, added=1, withdrawn=0)
    assert contents(home) == ['{"id": 1, "x": 1}', '{"id": 2}']
    assert opened == ["a.jsonl", "b.jsonl"]


@pytest.mark.usefixtures("settled")
def test_a_row_that_moves_to_another_file_is_not_withdrawn(home: Home) -> None:
    home.write("a.jsonl", [{"id": 1}, {"id": 2}])
    home.write("b.jsonl", [{"id": 3}])
    home.ingest(EXPORT)
    home.write("a.jsonl", [{"id": 1}])
    home.write("c.jsonl", [{"id": 2}])
    assert home.ingest(EXPORT) == Ingested(lines=3, added=0, withdrawn=0)
    home.write("c.jsonl", [{"id": 4}])
    assert home.ingest(EXPORT) == Ingested(lines=3, added=1, withdrawn=1)


@pytest.mark.usefixtures("settled")
def test_a_snapshot_that_loses_a_file_to_damage_is_refused_like_one_that_is_read_as_a_whole(home: Home) -> None:
    for name in ("a", "b"):
        home.write(f"{name}.jsonl", [{"id": name}])
    home.ingest(EXPORT)
    (home.folder / "b.jsonl").write_text('{"id": ')
    with pytest.raises(SourceError, match=r"cannot be read at b\.jsonl:1 .* would withdraw 1 of its 2 records"):
        home.ingest(EXPORT)


# --- what is kept -----------------------------------------------------------------------------------
def _no_header(home: Home) -> None:
    (home.store.read / "sources.json").unlink()


def _damaged_header(home: Home) -> None:
    header = home.store.read / "sources.json"
    header.write_bytes(header.read_bytes().replace(b"data.jsonl", b"dada.jsonl"))


def _cut_header(home: Home) -> None:
    header = home.store.read / "sources.json"
    header.write_bytes(header.read_bytes()[:10])


def _damaged_rows(home: Home) -> None:
    [piece] = home.store.read.glob("*.rows")
    piece.write_bytes(bytes([piece.read_bytes()[0] ^ 1]) + piece.read_bytes()[1:])


def _no_rows(home: Home) -> None:
    [piece] = home.store.read.glob("*.rows")
    piece.unlink()


def _nothing(home: Home) -> None:
    shutil.rmtree(home.store.read)


@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize("harm", [_no_header, _damaged_header, _cut_header, _damaged_rows, _no_rows, _nothing])
def test_without_what_was_kept_or_with_a_damaged_part_of_it_everything_is_read(
    home: Home, harm: Callable[[Home], None]
) -> None:
    home.write("data.jsonl", [{"id": 1}, {"id": 2}])
    home.ingest(LOG)
    harm(home)
    home.write("more.jsonl", [{"id": 3}])
    said, rows = rows_read(home, LOG)
    assert (said, rows >= 3) == (Ingested(lines=3, added=1, withdrawn=0), True)
    assert rows_read(home, LOG) == (Ingested(lines=3, added=0, withdrawn=0), 0), "it is kept again"


@pytest.mark.usefixtures("settled")
def test_a_home_whose_tables_were_restored_from_a_backup_loses_nothing(home: Home) -> None:
    tables, backup = home.store.root / "tables", home.folder / "backup"
    home.write("a.jsonl", [{"id": 1}])
    home.ingest(LOG)
    shutil.copytree(tables, backup)
    home.write("b.jsonl", [{"id": 2}])
    home.ingest(LOG)
    home.write("c.jsonl", [{"id": 3}])
    home.ingest(LOG)
    shutil.rmtree(tables)
    backup.rename(tables)
    assert home.ingest(LOG) == Ingested(lines=3, added=2, withdrawn=0)
    shutil.rmtree(tables)
    assert home.ingest(LOG) == Ingested(lines=3, added=3, withdrawn=0)


@pytest.mark.usefixtures("settled")
def test_other_tables_of_the_same_version_are_not_taken_for_those_of_before(home: Home) -> None:
    home.write("a.jsonl", [{"id": 1}])
    home.ingest(LOG)
    other = Home(home.folder)
    other.store = Store(home.folder / "other", "toy")
    home.write("a.jsonl", [{"id": 2}])
    other.ingest(LOG)
    home.write("a.jsonl", [{"id": 1}])
    home.ingest(LOG)
    shutil.rmtree(home.store.root / "tables")
    shutil.copytree(other.store.root / "tables", home.store.root / "tables")
    assert home.store.version(Table.RECORDS) == other.store.version(Table.RECORDS) == 1
    assert home.ingest(LOG).added == 1


@pytest.mark.usefixtures("settled")
def test_a_run_that_was_killed_before_it_kept_what_it_read_is_made_up_for(home: Home) -> None:
    kept = home.folder / "kept"
    home.write("a.jsonl", [{"id": 1, "x": 1}])
    home.ingest(UPDATES)
    before = (home.folder / "a.jsonl").stat()
    shutil.copytree(home.store.read, kept)
    home.write("b.jsonl", [{"id": 1, "x": 2}])
    home.ingest(UPDATES)
    shutil.rmtree(home.store.read)
    kept.rename(home.store.read)
    (home.folder / "b.jsonl").unlink()
    assert (home.folder / "a.jsonl").stat() == before
    assert home.ingest(UPDATES) == Ingested(lines=1, added=1, withdrawn=0)
    assert contents(home) == ['{"id": 1, "x": 1}']


@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize(
    ("other", "added", "withdrawn"),
    [
        (Source(name="s", path="data.jsonl"), 2, 0),
        (Source(name="s", path="data.jsonl", key="x"), 2, 0),
        (Source(name="s", path="data.jsonl", key="id", format=Format.CSV), 1, 0),
        (Source(name="s", path="data.jsonl", key="id", mode=Mode.SNAPSHOT), 0, 0),
        (Source(name="t", path="data.jsonl", key="id"), 2, 2),
    ],
)
def test_a_source_that_is_read_in_another_way_is_read_anew(
    home: Home, other: Source, added: int, withdrawn: int
) -> None:
    home.write("data.jsonl", [{"id": 1, "x": "a"}, {"id": 2, "x": "a"}])
    home.ingest(KEYED)
    said, rows = rows_read(home, other)
    assert (said.added, said.withdrawn, rows) == (added, withdrawn, said.lines)


@pytest.mark.usefixtures("settled")
def test_another_goldleaf_reads_everything(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    home.write("data.jsonl", [{"id": 1}])
    home.ingest(KEYED)
    monkeypatch.setattr(pipeline.ingest.read_cache, "code_digest", lambda: "another")
    assert rows_read(home, KEYED) == (Ingested(lines=1, added=0, withdrawn=0), 1)


@pytest.mark.usefixtures("settled")
def test_a_file_that_a_glob_finds_twice_is_read_twice_every_time(home: Home) -> None:
    (home.folder / "a" / "b").mkdir(parents=True)
    home.write("a/b/data.jsonl", [{"x": 1}])
    twice = Source(name="s", path="**/**/*.jsonl")
    said, rows = rows_read(home, twice)
    assert said.added == said.lines == rows > 1
    assert rows_read(home, twice) == (Ingested(lines=rows, added=0, withdrawn=0), rows)


@pytest.mark.usefixtures("settled")
def test_what_another_process_commits_in_the_meantime_counts(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    home.write("a.jsonl", [{"id": 1}])
    home.ingest(LOG)
    home.write("b.jsonl", [{"id": 2}])
    append = Store.append_if_unseen

    def raced(store: Store, *more: Any) -> int:
        monkeypatch.setattr(Store, "append_if_unseen", append)
        ingest(store, [], home.folder, "20970101T000000.000000Z")
        return append(store, *more)

    monkeypatch.setattr(Store, "append_if_unseen", raced)
    assert home.ingest(LOG, run="20980101T000000.000000Z").added == 2
    assert contents(home) == ['{"id": 1}', '{"id": 2}']


@pytest.mark.usefixtures("settled")
def test_places_that_are_damaged_during_a_run_are_rewritten_by_the_next(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.write("a.jsonl", [{"id": 1}, {"id": 2}])
    home.ingest(LOG)
    home.write("a.jsonl", [{"id": 2}, {"id": 1}])
    home.ingest(LOG)
    append = Store.append_if_unseen

    def damaging(store: Store, *more: Any) -> int:
        store.moved.write_bytes(b"damaged")
        return append(store, *more)

    home.write("b.jsonl", [{"id": 3}])
    with monkeypatch.context() as patch:
        patch.setattr(Store, "append_if_unseen", damaging)
        assert home.ingest(LOG).added == 1
    assert home.ingest(LOG).added == 0
    places = dict(current_places(home.store.snapshot()).select("record_id", "line").collect().iter_rows())
    lines = {raw: places[record] for raw, record in home.ids().items()}
    assert lines == {'{"id": 2}': 1, '{"id": 1}': 2, '{"id": 3}': 1}


@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize("changing", [[], [{"id": 99, "x": "x" * 99}]])
def test_pieces_of_many_runs_are_put_together_and_old_ones_removed(home: Home, changing: list[Any]) -> None:
    for day in range(20):
        home.write(f"{day:02}.jsonl", [{"id": day}])
        home.write("changing.jsonl", [row | {"day": day} for row in changing])
        home.ingest(UPDATES)
    pieces = list(home.store.read.glob("*.rows"))
    assert len(pieces) <= 16
    known = ReadCache(home.store.read).load()
    assert known is not None
    assert {piece.file for file in known.sources[0].files for piece in file.pieces} == {path.name for path in pieces}
    home.write("19.jsonl", [{"id": 0, "x": 1}])
    assert rows_read(home, UPDATES)[1] == 1
    shutil.rmtree(home.store.read)
    assert home.ingest(UPDATES).added == 0


@pytest.mark.usefixtures("settled")
def test_rows_that_no_file_has_any_more_take_no_space(home: Home) -> None:
    for day in range(10):
        home.write("changing.jsonl", [{"id": number, "day": day} for number in range(1_000)])
        home.write(f"{day}.jsonl", [{"id": -1 - day}])
        home.ingest(UPDATES)
    assert sum(path.stat().st_size for path in home.store.read.glob("*.rows")) < 2.5 * 41 * 1_010
