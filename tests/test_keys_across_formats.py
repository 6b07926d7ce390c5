"""The key of a row is the same in every format, and no record gets another id, whatever earlier versions wrote."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from ingest_home import Home

import pipeline.ingest.ingest_sources
from pipeline.ingest.ingest_sources import Ingested
from pipeline.ingest.row_keys import Integers
from pipeline.state.store import Store
from pipeline.state.tables import Table
from schemas.dataset import Mode, Source

TABLE = pl.DataFrame({"id": [0, 7, -12, 2**60 + 1, None], "code": ["a", "b", "c", "d", "e"]})
ENDINGS = ("csv", "parquet", "jsonl", "json")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def source(ending: str, mode: Mode = Mode.APPEND) -> Source:
    return Source(name="s", path=f"data.{ending}", key="id", mode=mode)


def write(home: Home, ending: str, rows: pl.DataFrame = TABLE) -> Source:
    path = home.folder / f"data.{ending}"
    writers: dict[str, Callable[[Path], Any]] = {
        "csv": rows.write_csv,
        "parquet": rows.write_parquet,
        "jsonl": rows.write_ndjson,
        "json": rows.write_json,
    }
    writers[ending](path)
    return source(ending)


def ids(home: Home) -> set[str]:
    return set(home.current().filter(pl.col("key") != "")["record_id"])


@pytest.mark.parametrize("first", ENDINGS)
def test_a_source_whose_format_changes_has_the_records_that_it_had(home: Home, first: str) -> None:
    keyed = TABLE.drop_nulls()
    home.ingest(write(home, first, keyed))
    before = ids(home)
    assert len(before) == keyed.height
    for ending in ENDINGS:
        home.ingest(write(home, ending, keyed))
        assert ids(home) == before


def of_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """Write keys as versions did for which 7 and "7" were two."""
    monkeypatch.setattr(pipeline.ingest.ingest_sources, "integers_of", lambda _: {"s": Integers.APART})


def test_a_home_whose_keys_were_texts_keeps_its_ids_in_every_format(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    keyed = TABLE.drop_nulls()
    with monkeypatch.context() as patch:
        of_before(patch)
        home.ingest(write(home, "csv", keyed))
    assert set(home.current()["key"]) == {"0", "7", "-12", str(2**60 + 1)}
    before, version = ids(home), home.store.version(Table.RECORDS)
    forget(home.store)
    assert home.ingest(source("csv")) == Ingested(lines=4, added=0, withdrawn=0)
    assert home.store.version(Table.RECORDS) == version
    more = pl.concat([keyed, pl.DataFrame({"id": [99], "code": ["f"]})])
    for ending in ENDINGS:
        home.ingest(write(home, ending, more))
        assert ids(home) >= before
        assert home.current().height == len(before) + 1
    assert home.ingest(source("csv")).added == len(before) + 1, "the rows of another format are other revisions"


def test_a_home_that_has_both_keeps_them_apart(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    home.write("data.jsonl", [{"id": 7, "x": 1}, {"id": "7", "x": 2}, {"id": "a"}])
    with monkeypatch.context() as patch:
        of_before(patch)
        assert home.ingest(source("jsonl")).added == 3
    forget(home.store)
    assert home.ingest(source("jsonl")) == Ingested(lines=3, added=0, withdrawn=0)
    home.write("data.jsonl", [{"id": 7, "x": 1}, {"id": "7", "x": 3}, {"id": "a"}])
    assert home.ingest(source("jsonl")).added == 1
    assert sorted(home.current()["key"]) == ["7", "a", "int:7"]


def test_a_number_and_its_text_are_one_key_and_other_texts_that_look_like_numbers_are_their_own(home: Home) -> None:
    texts = ["7", "007", "7.0", "+7", " 7", "-7", "-0", "0", "", "7e0", "٧", "1_000"]
    home.write("data.jsonl", [{"id": text} for text in texts] + [{"id": 7}, {"id": 7.0}, {"id": -7}, {"id": 0}])
    home.ingest(source("jsonl"))
    keys = home.current().sort("position").filter(~pl.col("key").str.contains("#"))["key"].to_list()
    assert keys == ["007", "7.0", "+7", " 7", "-0", "7e0", "٧", "1_000", "int:7", "int:-7", "int:0"]


def forget(store: Store) -> None:
    """Read everything: other code would."""
    for path in store.read.glob("*"):
        path.unlink()
