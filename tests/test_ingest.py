"""Every row of every source becomes a record once; nothing is lost, doubled or renamed on the way."""

import json
import shutil
from pathlib import Path

import polars as pl
import pytest
from ingest_home import BROKEN, KEYED, PLAIN, SNAPSHOT, Home

import pipeline.ingest.sources
from pipeline.errors import SourceError
from pipeline.ingest.ingest_sources import Ingested, source_files
from pipeline.state.tables import Table
from pipeline.state.work_files import read_work
from pipeline.text.field_paths import field_value
from schemas.dataset import Source


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


# --- append -----------------------------------------------------------------------------------------
@pytest.mark.parametrize("source", [PLAIN, KEYED, SNAPSHOT])
def test_the_same_file_again_adds_nothing(home: Home, source: Source) -> None:
    home.write("data.jsonl", [{"id": 1}, {"id": 2}, "not json"])
    assert home.ingest(source) == Ingested(lines=3, added=3, withdrawn=0)
    version = home.store.version(Table.RECORDS)
    assert home.ingest(source) == Ingested(lines=3, added=0, withdrawn=0)
    assert home.store.version(Table.RECORDS) == version
    assert home.read == 3, "a file that is known is not read again"


def test_an_inserted_line_renames_no_other(home: Home) -> None:
    home.write("data.jsonl", [{"a": 1}, {"a": 2}, {"a": 2}, "bad"])
    home.ingest(PLAIN)
    before = home.ids()
    home.write("data.jsonl", ["also bad", {"a": 0}, {"a": 1}, {"a": 2}, {"a": 3}, {"a": 2}, "bad"])
    assert home.ingest(PLAIN).added == 3
    assert before.items() <= home.ids().items()


def test_the_same_row_twice_without_a_key_is_two_records(home: Home) -> None:
    home.write("data.jsonl", [{"a": 1}, {"a": 1}])
    assert home.ingest(PLAIN).added == 2
    assert home.current()["record_id"].n_unique() == 2
    assert home.current()["revision"].n_unique() == 1
    home.write("data.jsonl", [{"a": 1}, {"a": 1}, {"a": 1}])
    assert home.ingest(PLAIN).added == 1


def test_a_changed_row_with_a_key_is_a_new_revision_of_its_record(home: Home) -> None:
    home.write("data.jsonl", [{"id": "a", "x": 1}, {"id": "b", "x": 1}])
    home.ingest(KEYED)
    before = home.current()
    home.write("data.jsonl", [{"id": "a", "x": 2}, {"id": "b", "x": 1}])
    assert home.ingest(KEYED) == Ingested(lines=2, added=1, withdrawn=0)
    assert set(home.current()["record_id"]) == set(before["record_id"])
    assert sorted(home.current()["raw"]) == [b'{"id": "a", "x": 2}', b'{"id": "b", "x": 1}']
    funnel = home.store.snapshot().funnel()
    assert (funnel.raw, funnel.superseded, funnel.current) == (3, 1, 2)
    home.write("data.jsonl", [{"id": "a", "x": 1}, {"id": "b", "x": 1}])
    assert home.ingest(KEYED).added == 1, "a row that is changed back counts again"
    assert b'{"id": "a", "x": 1}' in home.current()["raw"].to_list()


def test_a_file_of_updates_that_is_read_twice_adds_nothing_the_second_time(home: Home) -> None:
    home.write("data.jsonl", [{"id": 1, "x": 1}, {"id": 2, "x": 1}, {"id": 1, "x": 2}, {"id": 1, "x": 3}])
    assert home.ingest(KEYED).added == 4
    assert home.ingest(KEYED).added == 0
    assert sorted(home.current()["raw"]) == [b'{"id": 1, "x": 3}', b'{"id": 2, "x": 1}']
    assert home.store.snapshot().funnel().superseded == 2


def test_a_row_that_changes_and_changes_back_in_one_file_ends_as_it_was(home: Home) -> None:
    home.write("data.jsonl", [{"id": 1, "x": 1}])
    home.ingest(KEYED)
    home.write("data.jsonl", [{"id": 1, "x": 2}, {"id": 1, "x": 1}])
    assert home.ingest(KEYED).added == 2
    assert home.current()["raw"].to_list() == [b'{"id": 1, "x": 1}']
    assert home.ingest(KEYED).added == 0


def test_in_an_append_source_a_vanished_row_stays(home: Home) -> None:
    home.write("data.jsonl", [{"id": 1}, {"id": 2}])
    home.ingest(KEYED)
    home.write("data.jsonl", [{"id": 2}])
    assert home.ingest(KEYED) == Ingested(lines=1, added=0, withdrawn=0)
    assert home.current().height == 2


def test_an_empty_id_is_none(home: Home) -> None:
    """Rows whose id is empty would otherwise all be revisions of one record."""
    home.write("data.jsonl", [{"id": "", "x": 1}, {"id": "", "x": 2}, {"id": None}, {"x": 3}])
    assert home.ingest(KEYED).added == 4
    assert home.current().height == 4


def test_a_text_that_looks_like_the_key_of_another_type_is_an_id_of_its_own(home: Home) -> None:
    ids = [1, "int:1", True, "bool:True", 1.5, "float:1.5", [1], "list:[1]", {"a": 1}, "dict:{'a': 1}"]
    ids += ["str:int:1", "str:", "string:1", "a:int:1"]
    home.write("data.jsonl", [{"id": value} for value in ids])
    home.ingest(KEYED)
    assert home.current()["record_id"].n_unique() == len(ids)
    keys = dict(zip(map(repr, ids), home.current().sort("position")["key"], strict=True))
    assert (keys["1"], keys["'int:1'"], keys["'str:int:1'"]) == ("int:1", "str:int:1", "str:str:int:1")
    assert (keys["'string:1'"], keys["'a:int:1'"]) == ("string:1", "a:int:1"), "ordinary ids stay as they are"


def test_a_key_may_be_nested_in_the_row(home: Home) -> None:
    home.write("data.jsonl", [{"meta": {"id": "a"}, "x": 1}, {"meta": {"id": "a"}, "x": 2}, {"meta": 3}])
    home.ingest(Source(name="s", path="data.jsonl", key="meta.id"))
    assert home.current().height == 2
    assert field_value({"a.b": 1, "a": {"b": 2}}, "a.b") == 1
    assert field_value({"a": {"b": {"c": 3}}}, "a.b.c") == 3
    assert field_value({"a": [1]}, "a.b") is None


def test_unreadable_lines_are_records_with_their_bytes_and_the_reason(home: Home) -> None:
    (home.folder / "data.jsonl").write_bytes(b'{"id": 1}\n\xff\xfe\n[1]\n{"id": \n')
    home.ingest(BROKEN)
    rows = home.current().sort("line")
    assert rows["raw"].to_list() == [b'{"id": 1}', b"\xff\xfe", b"[1]", b'{"id": ']
    assert [json.loads(error)["code"] if error else "" for error in rows["error"]] == [
        "",
        "unreadable",
        "not_an_object",
        "unreadable",
    ]
    assert home.ingest(BROKEN).added == 0


def test_a_record_knows_its_file_line_batch_and_place(home: Home) -> None:
    (home.folder / "sub").mkdir()
    home.write("sub/data.jsonl", [{"a": 1}, "", {"a": 2}])
    home.ingest(Source(name="s", path="sub/*.jsonl"), run="20260101T000000.000000Z")
    columns = ["file", "line", "batch", "position", "source", "withdrawn"]
    assert home.current().select(columns).rows() == [
        ("sub/data.jsonl", 1, "20260101T000000.000000Z", 0, "s", False),
        ("sub/data.jsonl", 3, "20260101T000000.000000Z", 1, "s", False),
    ]


# --- identity ---------------------------------------------------------------------------------------
def test_moving_a_file_or_the_whole_folder_changes_no_id(home: Home, tmp_path_factory: pytest.TempPathFactory) -> None:
    home.write("data.jsonl", [{"a": 1}, {"a": 2}])
    home.ingest(PLAIN)
    before = home.ids()
    (home.folder / "data.jsonl").rename(home.folder / "renamed.jsonl")
    assert home.ingest(Source(name="s", path="renamed.jsonl")).added == 0
    elsewhere = Home(tmp_path_factory.mktemp("elsewhere"))
    shutil.copy(home.folder / "renamed.jsonl", elsewhere.folder / "data.jsonl")
    elsewhere.ingest(PLAIN)
    assert elsewhere.ids() == before


def test_two_sources_with_the_same_rows_are_different_records(home: Home) -> None:
    home.write("data.jsonl", [{"id": 1}])
    assert home.ingest(KEYED, Source(name="t", path="data.jsonl", key="id")).added == 2
    assert home.current()["record_id"].n_unique() == 2


@pytest.mark.parametrize("ending", ["jsonl", "json", "csv", "parquet"])
def test_every_format_is_taken_in_once(home: Home, ending: str) -> None:
    frame = pl.DataFrame({"id": ["a", "b"], "x": ["1", "2"]})
    path = home.folder / f"data.{ending}"
    {"jsonl": frame.write_ndjson, "json": frame.write_json, "csv": frame.write_csv, "parquet": frame.write_parquet}[
        ending
    ](path)
    source = Source(name="s", path=path.name, key="id")
    assert home.ingest(source).added == 2
    assert home.ingest(source).added == 0
    assert sorted(home.current()["key"]) == ["a", "b"]


# --- files ------------------------------------------------------------------------------------------
def test_the_files_of_a_glob_are_read_in_the_order_of_their_names(home: Home) -> None:
    for name in ("b/2.jsonl", "a/10.jsonl", "a/9.jsonl", "1.jsonl", "a/x.txt"):
        (home.folder / name).parent.mkdir(exist_ok=True)
        home.write(name, [{"name": name}])
    (home.folder / "c.jsonl").mkdir()
    files = source_files(Source(name="s", path="**/*.jsonl"), home.folder, home.folder, home.store)
    assert [str(file.relative_to(home.folder)) for file in files] == ["1.jsonl", "a/10.jsonl", "a/9.jsonl", "b/2.jsonl"]
    absolute = source_files(
        Source(name="s", path=f"{home.folder}/a/*.jsonl"), Path("/nowhere"), home.folder, home.store
    )
    assert [file.name for file in absolute] == ["10.jsonl", "9.jsonl"]


def test_brackets_in_the_name_of_a_file_or_a_folder_are_no_pattern(tmp_path: Path) -> None:
    folder = tmp_path / "data[old]"
    folder.mkdir()
    home = Home(folder)
    home.write("part[1].jsonl", [{"a": 1}])
    home.write("other.jsonl", [{"a": 2}])
    assert source_files(Source(name="s", path="part[1].jsonl"), folder, folder, home.store) == [
        folder / "part[1].jsonl"
    ]
    assert len(source_files(Source(name="s", path="*.jsonl"), folder, folder, home.store)) == 2


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("none.jsonl", "source 's': {folder}/none.jsonl does not exist; correct its path"),
        ("*.csv", "source 's': nothing matches {folder}/*.csv; correct its path"),
        (".", "source 's': {folder} is a folder; write a glob such as folder/*.jsonl"),
        ("data.txt", "source 's': '{folder}/data.txt' has the extension '.txt', so its format is unknown; rename it "),
        ("bad.parquet", "source 's': '{folder}/bad.parquet' cannot be read: "),
    ],
)
def test_a_source_that_cannot_be_read_is_one_line_with_its_name(home: Home, path: str, problem: str) -> None:
    home.write("data.jsonl", [{"a": 1}])
    home.write("data.txt", [{"a": 1}])
    home.write("bad.parquet", [{"a": 1}])
    with pytest.raises(SourceError) as caught:
        home.ingest(PLAIN, Source(name="s", path=path))
    assert str(caught.value).startswith(problem.format(folder=home.folder))
    assert "\n" not in str(caught.value)
    assert home.store.version(Table.RECORDS) == -1, "nothing of the good source was written either"


# --- atomicity and size -----------------------------------------------------------------------------
def test_twenty_thousand_rows_go_in_with_one_commit(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline.ingest.sources, "_CHUNK_ROWS", 3_000)
    home.write("data.jsonl", [{"id": number} for number in range(20_000)])
    home.write("first.jsonl", [{"id": -1}])
    first = Source(name="first", path="first.jsonl")
    home.ingest(first)
    version = home.store.version(Table.RECORDS)
    assert home.ingest(first, KEYED).added == 20_000
    assert home.store.version(Table.RECORDS) == version + 1
    assert home.current()["position"].to_list()[1:] == list(range(1, 20_001))
    assert home.current()["key"].to_list()[1:] == [f"int:{number}" for number in range(20_000)]


def test_long_rows_are_written_a_few_at_a_time(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline.ingest.sources, "_CHUNK_BYTES", 1_000)
    home.write("data.jsonl", [{"text": "x" * 400, "id": number} for number in range(7)])
    home.ingest(KEYED, run="20260101T000000.000000Z")
    parts = sorted(home.store.work("20260101T000000.000000Z").glob("read-*.parquet"))
    assert [read_work(part).height for part in parts] == [3, 3, 1]
    assert home.current()["position"].to_list() == list(range(7))


def test_a_run_that_is_repeated_adds_nothing_whatever_the_files_say_now(home: Home) -> None:
    home.write("data.jsonl", [{"id": 1}])
    home.ingest(KEYED, run="20260101T000000.000000Z")
    home.write("data.jsonl", [{"id": 2}])
    assert home.ingest(KEYED, run="20260101T000000.000000Z") == Ingested(lines=1, added=0, withdrawn=0)
    assert home.ingest(KEYED).added == 1
