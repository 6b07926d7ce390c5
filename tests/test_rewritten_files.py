"""A file that is written to while it is read is taken in one of its whole states, or refused."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from ingest_home import PLAIN, Home
from odd import QUESTION, Odd
from support import row

import flows.curate
import pipeline.ingest.sources
from pipeline.curation.stages import decide
from pipeline.errors import SourceError
from pipeline.ingest.checked_file import CheckedFile
from pipeline.ingest.formats import read_rows
from pipeline.ingest.ingest_sources import Ingested
from pipeline.ingest.raw_rows import RawRow
from pipeline.state import file_stamps
from pipeline.state.store import Store
from pipeline.state.tables import Table
from schemas.dataset import Mode, Source

ROWS = 3_000
ADVICE = "so that its rows may be of two states; let its writer write to a temporary name and rename that, and run it"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def written(path: Path, state: int) -> None:
    """A whole state of a file of 3 MB, in the place of what it holds: others have other rows of another length."""
    rows = [{"id": number, "state": state, "text": f"{state}" * (1_000 + state)} for number in range(state, ROWS)]
    frame = pl.DataFrame(rows)
    if path.suffix == ".csv":
        path.write_text(frame.write_csv())
    elif path.suffix == ".parquet":
        with path.open("wb") as file:
            frame.write_parquet(file)
    elif path.suffix == ".json":
        path.write_text(frame.write_json())
    elif path.suffix == ".gz":
        with path.open("wb") as file:
            frame.write_ndjson(file, compression="gzip")
    else:
        path.write_text(frame.write_ndjson())


def writer(
    monkeypatch: pytest.MonkeyPatch, path: Path, write: Callable[[Path, int], None] = written, times: int = 1
) -> None:
    """Let a file be written anew while it is read: after its first block, or first row; states are numbered."""
    states = [0]
    readinto = CheckedFile.readinto

    def meanwhile() -> None:
        if len(states) <= times:
            states.append(len(states))
            write(path, states[-1])

    def after_block(file: CheckedFile, buffer: Any) -> int:
        count = readinto(file, buffer)
        if file.passed() == count:
            meanwhile()
        return count

    def after_row(path: Path, *more: Any) -> Iterator[RawRow]:
        rows = read_rows(path, *more)
        yield next(rows)
        meanwhile()
        yield from rows

    if path.suffix in (".gz", ".parquet"):
        monkeypatch.setattr(pipeline.ingest.sources, "read_rows", after_row)
    else:
        monkeypatch.setattr(CheckedFile, "readinto", after_block)


def states(home: Home) -> dict[int, int]:
    """How many current rows are of which state; every row is whole."""
    rows = [json.loads(raw) for raw in home.current()["raw"]]
    assert all(row["text"] == str(row["state"]) * (1_000 + int(row["state"])) for row in rows)
    return {int(state): count for state, count in pl.Series([int(row["state"]) for row in rows]).value_counts().rows()}


@pytest.mark.parametrize("ending", ["jsonl", "csv", "json", "jsonl.gz", "parquet"])
@pytest.mark.parametrize("mode", Mode)
def test_a_file_that_is_rewritten_while_it_is_read_is_taken_as_it_is_then(
    home: Home, monkeypatch: pytest.MonkeyPatch, ending: str, mode: Mode
) -> None:
    path = home.folder / f"data.{ending}"
    source = Source(name="s", path=path.name, key="id", mode=mode)
    written(path, 0)
    home.ingest(source)
    written(path, 10)
    writer(monkeypatch, path)
    home.ingest(source)
    assert states(home) == {1: ROWS - 1} | ({0: 1} if mode is Mode.APPEND else {})
    assert home.ingest(source).added == 0


@pytest.mark.parametrize("ending", ["jsonl", "csv", "jsonl.gz", "parquet"])
def test_a_file_that_is_rewritten_again_is_refused_and_nothing_of_it_is_taken(
    home: Home, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    path = home.folder / f"data.{ending}"
    source = Source(name="s", path=path.name, key="id", mode=Mode.SNAPSHOT)
    written(path, 0)
    home.ingest(source)
    written(path, 10)
    version = home.store.version(Table.RECORDS)
    with monkeypatch.context() as patch:
        writer(patch, path, times=9)
        with pytest.raises(SourceError) as caught:
            home.ingest(source)
    assert str(caught.value) == f"source 's': '{path}' was rewritten while it was read, {ADVICE} again"
    assert home.store.version(Table.RECORDS) == version
    assert states(home) == {0: ROWS}


@pytest.mark.parametrize("times", [1, 9])
def test_a_file_that_is_rewritten_between_its_reading_and_the_commit_is_read_once_more(
    home: Home, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    """What was read may be the first half of what a slow writer had written until then."""
    path, append, written_ = home.folder / "data.jsonl", Store.append_if_unseen, [0]
    written(path, 0)

    def raced(store: Store, *more: Any) -> int:
        if len(written_) <= times:
            written_.append(1)
            written(path, len(written_))
        return append(store, *more)

    monkeypatch.setattr(Store, "append_if_unseen", raced)
    source = Source(name="s", path=path.name, key="id", mode=Mode.SNAPSHOT)
    if times == 1:
        home.ingest(source)
        assert states(home) == {2: ROWS - 2}
    else:
        with pytest.raises(SourceError, match="was rewritten while it was read"):
            home.ingest(source)
        assert home.store.version(Table.RECORDS) in (None, 0)


@pytest.mark.parametrize("settled", [False, True])
def test_a_writer_that_paused_while_its_file_was_read_is_noticed_before_anything_is_committed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settled: bool
) -> None:
    """What was quiet for two seconds before it was read is whole, whatever is written while its rows are decided."""
    rows = [row(number, f"Where is parcel {number * 7919}?", "delivery") for number in range(20)]
    odd = Odd(tmp_path, QUESTION, rows[:10])
    odd.edit("key: id", "key: id, mode: snapshot")

    def decided(*args: Any, **more: Any) -> Any:
        with (tmp_path / "data.jsonl").open("r+") as file:
            file.write("".join(f"{json.dumps(one)}\n" for one in rows[10:]))
            file.truncate()
        return decide(*args, **more)

    with monkeypatch.context() as patch:
        patch.setattr(flows.curate, "decide", decided)
        patch.setattr(file_stamps, "_SETTLED_NS", 0 if settled else 60 * 10**9)
        if settled:
            assert odd.curate().funnel.current == 10
        else:
            with pytest.raises(SourceError, match="was rewritten while it was read"):
                odd.curate()
    assert odd.curate().funnel.current == 10 and odd[10].inputs == {"question": rows[10]["question"]}


def test_a_log_that_grows_while_it_is_read_gives_the_rows_that_it_had_and_the_others_to_the_next_run(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = home.folder / "data.jsonl"

    def more(path: Path, state: int) -> None:
        with path.open("a") as file:
            file.write(f'{{"more": {state}}}\n' * 2)

    written(path, 0)
    with monkeypatch.context() as patch:
        writer(patch, path, more)
        assert home.ingest(PLAIN) == Ingested(lines=ROWS, added=ROWS, withdrawn=0)
    assert home.ingest(PLAIN) == Ingested(lines=ROWS + 2, added=2, withdrawn=0)


def test_a_file_that_another_one_replaces_while_it_is_read_is_read_to_its_end(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, source = home.folder / "data.csv", Source(name="s", path="data.csv", key="id", mode=Mode.SNAPSHOT)

    def replaced(path: Path, state: int) -> None:
        written(new := path.with_stem("new"), state)
        new.replace(path)

    replaced(path, 0)
    with monkeypatch.context() as patch:
        writer(patch, path, replaced, times=9)
        home.ingest(source)
    assert states(home) == {0: ROWS}
    home.ingest(source)
    assert states(home) == {1: ROWS - 1}
