"""A row that leaves a snapshot is withdrawn, unless damage to the file is why it is not there."""

from pathlib import Path

import polars as pl
import pytest
from ingest_home import BROKEN, KEYED, SNAPSHOT, Home

from pipeline.errors import SourceError
from pipeline.ingest.ingest_sources import Ingested
from pipeline.state.tables import Table
from schemas.dataset import Mode, Source


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def test_a_row_that_vanished_from_a_snapshot_is_withdrawn_and_may_come_back(home: Home) -> None:
    home.write("data.jsonl", [{"id": 1}, {"id": 2}])
    home.ingest(SNAPSHOT)
    home.write("data.jsonl", [{"id": 2}])
    assert home.ingest(SNAPSHOT) == Ingested(lines=1, added=0, withdrawn=1)
    assert home.ingest(SNAPSHOT) == Ingested(lines=1, added=0, withdrawn=0)
    assert [row["raw"] for row in home.current().iter_rows(named=True)] == [b'{"id": 2}']
    assert home.store.snapshot().funnel().withdrawn == 1
    home.write("data.jsonl", [{"id": 2}, {"id": 1}])
    assert home.ingest(SNAPSHOT) == Ingested(lines=2, added=1, withdrawn=0)
    funnel = home.store.snapshot().funnel()
    assert (funnel.raw, funnel.superseded, funnel.withdrawn, funnel.current) == (3, 1, 0, 2)


def test_a_withdrawal_keeps_where_the_row_was_but_not_its_bytes(home: Home) -> None:
    home.write("data.jsonl", [{"id": 1}, {"id": 2}])
    home.ingest(SNAPSHOT)
    home.write("data.jsonl", [{"id": 1}])
    home.ingest(SNAPSHOT)
    gone = home.store.scan(Table.RECORDS).filter(pl.col("withdrawn")).collect().row(0, named=True)
    assert (gone["file"], gone["line"], gone["raw"], gone["position"]) == ("data.jsonl", 2, b"", 1)


def test_an_empty_snapshot_is_refused_since_it_would_withdraw_everything(home: Home) -> None:
    home.write("data.jsonl", [])
    note = "source 's': data.jsonl has no rows; add some, or correct `path:`"
    assert home.ingest(SNAPSHOT) == Ingested(lines=0, added=0, withdrawn=0, notes=(note,))
    home.write("data.jsonl", [{"id": 1}, {"id": 2}])
    home.ingest(SNAPSHOT)
    home.write("data.jsonl", [])
    with pytest.raises(SourceError) as caught:
        home.ingest(SNAPSHOT)
    assert str(caught.value) == (
        "snapshot source 's' is empty, which would withdraw all its 2 records; restore its file, or, if they are "
        "really gone, remove the source from dataset.yaml"
    )
    assert home.current().height == 2


def refused(home: Home, *sources: Source) -> str:
    """Why an ingestion is refused, which must leave everything as it was."""
    version, before = home.store.version(Table.RECORDS), home.current()
    with pytest.raises(SourceError) as caught:
        home.ingest(*sources)
    assert "\n" not in str(caught.value)
    assert home.store.version(Table.RECORDS) == version
    assert home.current().equals(before)
    return str(caught.value)


ADVICE = "fix or restore the file, or, if it is still being written, run it again later"


def test_a_snapshot_without_a_readable_row_is_refused_like_an_empty_one(home: Home) -> None:
    home.write("data.jsonl", [{"id": 1}, {"id": 2}, "not json"])
    home.ingest(SNAPSHOT)
    home.write("data.jsonl", ["<oops>", "[1]"])
    assert refused(home, SNAPSHOT) == (
        "snapshot source 's' has no row that can be read, from data.jsonl:1 (unexpected character, expected a JSON "
        f"value at column 1) on, which would withdraw 2 of its 3 records; {ADVICE}"
    )
    home.write("data.jsonl", ["<oops>", {"id": 2}])
    assert home.ingest(SNAPSHOT) == Ingested(lines=2, added=1, withdrawn=2)


BROKEN_SNAPSHOT = SNAPSHOT.model_copy(update={"most_unreadable": 1})


def test_a_snapshot_that_never_had_a_readable_row_may_be_broken_in_another_way(home: Home) -> None:
    """Or it could not be fixed step by step."""
    home.write("data.jsonl", ["not json"])
    home.ingest(BROKEN_SNAPSHOT)
    home.write("data.jsonl", ["no json either"])
    assert home.ingest(BROKEN_SNAPSHOT) == Ingested(lines=1, added=1, withdrawn=1)


TABLE = "id,text\n" + "".join(f'{number},"row {number}"\n' for number in range(1, 6))


@pytest.mark.parametrize(
    ("old", "new", "where", "lost"),
    [
        ('2,"row 2"\n', '2,"row 2\n', "b.csv:3 (',' expected after '\"' in lines 3 to 4)", 2),
        ('"row 5"', '"row 5', "b.csv:6 (unexpected end of data in line 6)", 1),
        ('2,"row 2"\n3,"row 3"\n4,"row 4"\n5,"row 5"', '2,"row 2\n3,4\n', "b.csv:3 (unexpected end of data in ", 4),
    ],
)
def test_a_snapshot_with_a_quote_that_is_not_closed_is_refused(
    home: Home, old: str, new: str, where: str, lost: int
) -> None:
    source = Source(name="s", path="*.csv", key="id", mode=Mode.SNAPSHOT)
    (home.folder / "a.csv").write_text("id,text\n0,whole\n")
    (home.folder / "b.csv").write_text(TABLE)
    home.ingest(source)
    (home.folder / "b.csv").write_text(TABLE.replace(old, new))
    message = refused(home, source)
    assert message.startswith(f"snapshot source 's' cannot be read at {where}")
    assert message.endswith(f", which would withdraw {lost} of its 6 records; {ADVICE}")


@pytest.mark.parametrize("broken", ['[{"id": 1}, {"id"', "", "null", '{"id": 1}\n{"id": 2}\n'])
def test_a_snapshot_with_a_json_file_that_is_broken_as_a_whole_is_refused(home: Home, broken: str) -> None:
    source = Source(name="s", path="*.json", key="id", mode=Mode.SNAPSHOT)
    (home.folder / "a.json").write_text('[{"id": 0}]')
    (home.folder / "b.json").write_text('[{"id": 1}, {"id": 2}]')
    home.ingest(source)
    (home.folder / "b.json").write_text(broken)
    message = refused(home, source)
    assert message.startswith("snapshot source 's' cannot be read at b.json:1 (")
    assert message.endswith(f", which would withdraw 2 of its 3 records; {ADVICE}")


def test_damage_that_withdraws_nothing_refuses_nothing(home: Home) -> None:
    """Neither in a source that was broken from the start, nor in one to which a broken file comes."""
    source = Source(name="s", path="*.json", key="id", mode=Mode.SNAPSHOT, most_unreadable=1)
    (home.folder / "a.json").write_text("[{")
    home.ingest(source)
    (home.folder / "a.json").write_text('[{"id": 1}]')
    assert home.ingest(source) == Ingested(lines=1, added=1, withdrawn=1)
    (home.folder / "b.json").write_text("[{")
    assert home.ingest(source) == Ingested(lines=2, added=1, withdrawn=0)
    (home.folder / "b.json").write_text("[{,")
    assert home.ingest(source) == Ingested(lines=2, added=1, withdrawn=1)


@pytest.mark.parametrize(
    ("name", "whole", "broken"),
    [
        ("data.jsonl", '{"id": 1}\n{"id": 2}\n', '{"id": 1}\n{"id": \n'),
        ("data.csv", "id,text\n1,a\n2,b\n", "id,text\n1,a\n2,b,c\n"),
        ("data.csv", "id,text\n1,a\n2,b\n", 'id,text\n1,a\n2,"b"c\n'),
        ("data.json", '[{"id": 1}, {"id": 2}]', '[{"id": 1}, 2]'),
    ],
)
def test_one_bad_row_is_withdrawn_and_refuses_nothing(home: Home, name: str, whole: str, broken: str) -> None:
    source = Source(name="s", path=name, key="id", mode=Mode.SNAPSHOT)
    (home.folder / name).write_text(whole)
    home.ingest(source)
    (home.folder / name).write_text(broken)
    assert home.ingest(source) == Ingested(lines=2, added=1, withdrawn=1)


def test_an_append_source_may_be_damaged_since_it_withdraws_nothing(home: Home) -> None:
    home.write("data.jsonl", [{"id": 1}])
    home.ingest(BROKEN)
    home.write("data.jsonl", ["not json"])
    assert home.ingest(BROKEN) == Ingested(lines=1, added=1, withdrawn=0)


def test_a_snapshot_withdraws_nothing_of_other_sources(home: Home) -> None:
    home.write("data.jsonl", [{"id": 1}])
    home.write("other.jsonl", [{"id": 1}, {"id": 2}])
    others = Source(name="t", path="other.jsonl", key="id")
    home.ingest(SNAPSHOT, others)
    home.write("other.jsonl", [{"id": 3}])
    assert home.ingest(SNAPSHOT, others) == Ingested(lines=2, added=1, withdrawn=0)


def test_a_source_that_is_taken_out_of_the_file_takes_its_records_along_and_brings_them_back(home: Home) -> None:
    home.write("data.jsonl", [{"id": 1}])
    home.write("other.jsonl", [{"id": 1}, {"id": 2}])
    other = Source(name="t", path="other.jsonl", key="id")
    home.ingest(KEYED, other)
    ids = home.current()["record_id"].to_list()
    gone = home.ingest(KEYED)
    assert gone.withdrawn == 2
    assert gone.notes == (
        "source 't' is no longer in the file, so its records (2) are withdrawn; if you add it again, they come back "
        "with their answers",
    )
    assert home.current()["source"].to_list() == ["s"]
    assert home.ingest(KEYED) == Ingested(lines=1, added=0, withdrawn=0)
    assert home.ingest(KEYED, other).added == 2
    assert sorted(home.current()["record_id"].to_list()) == sorted(ids)
