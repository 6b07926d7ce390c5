"""Reading the sources shows how much of their bytes is read, so that a time left can be told, in whatever format."""

import gzip
import json
from pathlib import Path

import polars as pl
import pytest
from cli_shop import opened_shop
from ingest_home import Home
from watched import Watched

from pipeline.ingest import sources
from schemas.dataset import Source

ROWS = [{"id": str(number), "text": f"row {number} " * 40} for number in range(10_000)]
LINES = "".join(f"{json.dumps(row)}\n" for row in ROWS).encode()
FORMATS = ["rows.jsonl", "rows.jsonl.gz", "rows.csv", "rows.parquet"]


def written(folder: Path, name: str) -> Path:
    """The rows in a file of a format."""
    path = folder / name
    frame = pl.DataFrame(ROWS)
    match path.suffix:
        case ".parquet":
            frame.write_parquet(path)
        case ".csv":
            frame.write_csv(path)
        case ".gz":
            path.write_bytes(gzip.compress(LINES, compresslevel=0))
        case _:
            path.write_bytes(LINES)
    return path


def units(size: int) -> int:
    """Some bytes, at least one, in the unit in which they are shown: megabytes, or kilobytes if there is not one."""
    return -(-size // (1_000_000 if size >= 1_000_000 else 1_000))


@pytest.mark.parametrize("name", FORMATS)
def test_in_the_end_all_bytes_of_a_file_are_read(tmp_path: Path, name: str) -> None:
    home, watched = Home(tmp_path), Watched()
    size = units(written(tmp_path, name).stat().st_size)
    home.ingest(Source(name="s", path=name, key="id"), progress=watched)
    assert watched.steps == [("reading the sources", size, size)]


@pytest.mark.parametrize("name", FORMATS)
def test_half_way_some_bytes_of_a_file_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(sources, "_CHUNK_ROWS", 1_000)
    home, watched = Home(tmp_path), Watched()
    written(tmp_path, name)
    home.ingest(Source(name="s", path=name, key="id"), progress=watched)
    (way,) = watched.ways
    assert way == sorted(way)
    assert any(way[0] < done < way[-1] for done in way)


def test_only_files_that_have_changed_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.state.file_stamps._SETTLED_NS", 0)
    home, watched = Home(tmp_path), Watched()
    home.write("a.jsonl", ROWS[:20])
    home.write("b.jsonl", ROWS[:20])
    before = (tmp_path / "b.jsonl").stat().st_size
    source = Source(name="s", path="*.jsonl")
    home.ingest(source, progress=watched)
    home.ingest(source, progress=watched)
    with (tmp_path / "b.jsonl").open("ab") as file:
        file.write(LINES[:8_000])
    home.ingest(source, progress=watched)
    first, grown = units(2 * before), units(before + 8_000)
    assert watched.steps == [
        ("reading the sources", first, first),
        ("reading the sources", None, 0),
        ("reading the sources", grown, grown),
    ]


def test_a_step_with_nothing_to_do_shows_no_number(tmp_path: Path) -> None:
    terminal = opened_shop(tmp_path)
    said = [terminal.goldleaf(verb).stderr for verb in ("curate", "release")]
    assert "✓ writing decisions  0:00" in said[0] and "✓ preparing the release" in said[1]
    assert "0/0" not in "".join(said)
