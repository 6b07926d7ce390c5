"""What is kept of the files that were read may be lost, damaged or out of date: then everything is read."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ingest_home import KEYED, LOG, UPDATES, Home, contents, rows_read

import pipeline.ingest.read_cache
from pipeline.ingest.ingest_sources import Ingested, ingest
from pipeline.ingest.read_cache import ReadCache
from pipeline.ingest.row_places import current_places
from pipeline.state.store import Store
from pipeline.state.tables import Table
from schemas.dataset import Format, Mode, Source

pytestmark = pytest.mark.usefixtures("settled")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


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


@pytest.mark.parametrize(
    ("other", "added", "withdrawn"),
    [
        (Source(name="s", path="data.jsonl"), 0, 0),
        # Two records become one, with both rows.
        (Source(name="s", path="data.jsonl", key="x"), 2, 1),
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


def test_another_goldleaf_reads_everything(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    home.write("data.jsonl", [{"id": 1}])
    home.ingest(KEYED)
    monkeypatch.setattr(pipeline.ingest.read_cache, "code_digest", lambda: "another")
    assert rows_read(home, KEYED) == (Ingested(lines=1, added=0, withdrawn=0), 1)


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


def test_rows_that_no_file_has_any_more_take_no_space(home: Home) -> None:
    for day in range(10):
        home.write("changing.jsonl", [{"id": number, "day": day} for number in range(1_000)])
        home.write(f"{day}.jsonl", [{"id": -1 - day}])
        home.ingest(UPDATES)
    assert sum(path.stat().st_size for path in home.store.read.glob("*.rows")) < 2.5 * 41 * 1_010
