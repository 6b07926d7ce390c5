"""A small file that unpacks to very much, or has no end of a line, is refused before it fills memory or disk."""

import gzip
import shutil
import tracemalloc
from pathlib import Path

import polars as pl
import pytest
from ingest_home import Home
from odd import QUESTION, Odd
from support import row
from terminal import Terminal

from pipeline.errors import SourceError
from pipeline.ingest import json_rows, raw_rows, unpacking
from pipeline.ingest.formats import read_rows
from pipeline.state.tables import Table
from schemas.dataset import Source

ROWS = [row(1, "Where is my parcel?", "delivery")]
HEADS = {"data.jsonl.gz": b'{"a": 1}\n{"a": "', "data.csv.gz": b'a,b\n1,2\n"3', "data.csv": b"", "data.jsonl": b""}
LONG = "has a line of more than 1 MB, which is no row; replace or fix the file"


@pytest.mark.parametrize("name", HEADS)
def test_a_line_without_an_end_is_refused_by_curate_and_check_before_it_is_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(raw_rows, "MAX_LINE", 2**20)
    odd = Odd(tmp_path, QUESTION, ROWS)
    odd.edit("path: data.jsonl", f"path: {name}")
    content = HEADS[name] + bytes(50 * 2**20)
    (tmp_path / name).write_bytes(gzip.compress(content, 1) if name.endswith(".gz") else content)
    del content
    tracemalloc.start()
    with pytest.raises(SourceError, match=LONG):
        list(read_rows(tmp_path / name))
    assert tracemalloc.get_traced_memory()[1] < 20 * 2**20
    tracemalloc.stop()
    assert Terminal(tmp_path).error("curate", "--json") == f"source 'examples': '{tmp_path / name}' {LONG}"
    assert odd.context.store.version(Table.RECORDS) < 1
    assert LONG in " ".join(Terminal(tmp_path).goldleaf("check", exit_code=1).stdout.split())


def test_a_json_file_that_memory_cannot_hold_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_rows, "MAX_JSON", 2**20)
    (tmp_path / "a.json.gz").write_bytes(gzip.compress(bytes(50 * 2**20), 1))
    with pytest.raises(SourceError, match="has more than 1 MB, and JSON is read at once; write a row a line, as JSONL"):
        list(read_rows(tmp_path / "a.json.gz"))


def test_tiny_values_that_memory_cannot_hold_are_no_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_rows, "_SMALL", 2**20)
    monkeypatch.setattr(json_rows, "MAX_VALUES", 2**20)
    monkeypatch.setattr(json_rows, "MAX_JSON", 2**22)
    bombs = [b"[" + unit * (2 * 2**20 // len(unit)) + b"0]" for unit in (b"[],", b'{"a":1},', b"1,")]
    (tmp_path / "a.jsonl").write_bytes(b"".join(b'{"x": %s}\n' % bomb for bomb in bombs) + b'{"x": 1}\n')
    (tmp_path / "a.json").write_bytes(bombs[0])
    tracemalloc.start()
    details = [one.error and one.error.detail for one in read_rows(tmp_path / "a.jsonl")]
    with pytest.raises(
        SourceError, match="has more values than memory can hold, and JSON is read at once; write a row"
    ):
        list(read_rows(tmp_path / "a.json"))
    assert tracemalloc.get_traced_memory()[1] < 20 * 2**20
    tracemalloc.stop()
    assert details == ["it has more values than memory can hold"] * 3 + [None]


@pytest.mark.parametrize("is_coded", [False, True])
def test_a_parquet_file_that_curate_refuses_is_refused_by_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_coded: bool
) -> None:
    monkeypatch.setattr(unpacking, "UNPACKED_FLOOR", 2**20)
    odd = Odd(tmp_path, QUESTION, ROWS)
    odd.edit("path: data.jsonl", "path: data.parquet")
    long = {"id": 2, "question": "Where? " * 20_000, "topic": "delivery"}
    frame = pl.DataFrame(ROWS * 20 + [long] * 2_000)
    rows = frame.with_columns(pl.col("question").cast(pl.Categorical)) if is_coded else frame
    rows.write_parquet(tmp_path / "data.parquet")
    said = "data.parquet' unpacks to more than 1,000 times its size; if that is intended, decompress it"
    assert said in Terminal(tmp_path).error("curate", "--json")
    assert said in " ".join(Terminal(tmp_path).goldleaf("check", exit_code=1).stdout.split())


def test_rows_that_do_not_fit_on_the_disk_are_refused_before_it_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Home(tmp_path)
    home.write("data.jsonl", [{"text": "x" * 1_000}] * 1_000)
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage._replace(free=1_000_000))
    with pytest.raises(SourceError) as caught:
        home.ingest(Source(name="s", path="data.jsonl"))
    assert str(caught.value) == (
        "source 's': its rows do not fit on the disk, which has 0.0 GB left after 0.0 GB of them; make room, or check "
        "whether the file is what it should be"
    )


def test_a_header_of_very_many_columns_is_read(tmp_path: Path) -> None:
    columns = ",".join(f"c{number}" for number in range(300_000))
    (tmp_path / "a.csv").write_text(f"{columns}\n{columns}\n")
    [found] = read_rows(tmp_path / "a.csv")
    assert found.row is not None and len(found.row) == 300_000
