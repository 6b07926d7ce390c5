"""Files that have not changed are not read again, and the result is that of reading them."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from ingest_home import KEYED, LOG, PLAIN, SNAPSHOT, UPDATES, Home, contents, rows_read

import pipeline.ingest.sources
from pipeline.errors import SourceError
from pipeline.ingest.checked_file import CheckedFile
from pipeline.ingest.formats import read_rows
from pipeline.ingest.ingest_sources import Ingested
from pipeline.ingest.raw_rows import RawRow
from pipeline.state.file_stamps import Stamp
from schemas.dataset import Mode, Source

EXPORT = Source(name="s", path="*.jsonl", key="id", mode=Mode.SNAPSHOT)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that are opened."""
    names: list[str] = []

    def noted(path: Path, *more: Any) -> Iterator[RawRow]:
        names.append(path.name)
        return read_rows(path, *more)

    monkeypatch.setattr(pipeline.ingest.sources, "read_rows", noted)
    return names


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
        said, read = rows_read(home, UPDATES)
        assert (said.lines, said.added, said.withdrawn, read) == (2 * (day + 1), 2, 0, 2)
        assert said.notes == (
            f"{day + 1} of {2 * (day + 1)} rows of source 's' share their key with a later row that has different "
            "content, and only the last one counts; is `id` a key?",
        )
    assert opened == ["0.jsonl", "1.jsonl", "2.jsonl"]


def test_updates_that_a_file_gets_later_are_judged_among_all_its_rows(home: Home) -> None:
    """Among those that a run looks at, they are half of them, and were once refused."""
    rows = [{"id": number} for number in range(100)]
    home.write("data.jsonl", rows)
    home.ingest(KEYED)
    home.write("data.jsonl", [*rows, *({"id": number, "new": True} for number in range(20))])
    assert home.ingest(KEYED) == Ingested(lines=120, added=20, withdrawn=0)
    assert home.current().height == 100


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
    assert rows_read(home, sheet) == (Ingested(lines=2, added=1, withdrawn=1), 2)
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
def test_a_file_that_is_modified_after_its_reading_is_read_again(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    home.write("data.jsonl", [{"id": 1}])

    def raced(path: Path, *more: Any) -> Iterator[RawRow]:
        yield from read_rows(path, *more)
        home.write("data.jsonl", [{"id": 2}])

    with monkeypatch.context() as patch:
        patch.setattr(pipeline.ingest.sources, "read_rows", raced)
        home.ingest(KEYED)
    assert contents(home) == ['{"id": 2}']
    assert home.ingest(KEYED).added == 0


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
    sheets = Source(name="s", path="*.csv", most_unreadable=1)
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
