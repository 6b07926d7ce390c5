"""The rows of a source whose key is another one stay the records that they are, with all that hangs on their ids."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ingest_home import Home, rows_read
from support import row, write_dataset, write_rows
from terminal import Terminal

from pipeline.ingest.changed_keys import ids_by_key
from pipeline.ingest.ingest_sources import Ingested
from schemas.dataset import Mode, Source
from schemas.identity import stable_hash

ROWS = [{"id": n, "nr": f"T-{n % 7}{n}", "text": f"text {n}"} for n in range(1, 31)]
KEYS = ["id", "nr", None]
STAY = "source 's': 30 rows have another key now, and stay the records that they are"


def source(key: str | None, mode: Mode = Mode.APPEND, **more: Any) -> Source:
    return Source(name="s", path="data.jsonl", key=key, mode=mode, **more)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize(("first", "then"), [(one, other) for one in KEYS for other in KEYS if one != other])
def test_rows_under_another_key_are_the_records_that_they_were(
    home: Home, mode: Mode, first: str | None, then: str | None
) -> None:
    home.write("data.jsonl", ROWS)
    home.ingest(source(first, mode))
    before = home.ids()
    assert home.ingest(source(then, mode)) == Ingested(lines=30, added=0, withdrawn=0, notes=(STAY,))
    assert home.ids() == before
    assert home.ingest(source(then, mode)) == Ingested(lines=30, added=0, withdrawn=0)
    # Once it is known what was read, only the new line is.
    home.write("data.jsonl", [*ROWS, {"id": 31, "nr": "T-31", "text": "new"}])
    said, read = rows_read(home, source(then, mode))
    assert (said, read) == (Ingested(lines=31, added=1, withdrawn=0), 1)
    assert before.items() <= home.ids().items() and home.current().height == 31


def test_a_row_that_is_edited_later_is_found_by_its_new_key(home: Home) -> None:
    home.write("data.jsonl", ROWS)
    home.ingest(source("id"))
    before = home.ids()
    home.ingest(source("nr"))
    home.write("data.jsonl", [ROWS[0] | {"id": 99, "text": "edited"}, *ROWS[1:]])
    assert home.ingest(source("nr")) == Ingested(lines=30, added=1, withdrawn=0)
    edited = next(record for raw, record in home.ids().items() if "edited" in raw)
    assert edited in before.values() and set(home.ids().values()) == set(before.values())


def test_a_new_row_whose_key_was_another_rows_key_before_replaces_none(home: Home) -> None:
    home.write("data.jsonl", [{"id": n, "nr": n + 1} for n in range(1, 31)])
    home.ingest(source("id"))
    before = home.ids()
    home.write("data.jsonl", [{"id": n, "nr": n + 1} for n in range(1, 31)] + [{"id": 31, "nr": 1}])
    assert home.ingest(source("nr")).added == 1
    home.write("data.jsonl", [{"id": n, "nr": n + 1} for n in range(1, 31)] + [{"id": 31, "nr": 1, "more": True}])
    assert home.ingest(source("nr")) == Ingested(lines=31, added=1, withdrawn=0)
    assert before.items() <= home.ids().items() and home.current().height == 31


def test_copies_that_get_a_key_are_one_record(home: Home) -> None:
    home.write("data.jsonl", [*ROWS, *ROWS[:2]])
    home.ingest(source(None))
    before = set(home.current()["record_id"])
    shared = f"{STAY}; 2 more share theirs with another row, and are withdrawn"
    assert home.ingest(source("id")) == Ingested(lines=32, added=0, withdrawn=2, notes=(shared,))
    assert home.current().height == 30 and set(home.ids().values()) <= before


def test_a_source_that_comes_back_under_another_key_has_the_records_that_it_had(home: Home) -> None:
    home.write("data.jsonl", ROWS)
    home.write("other.jsonl", ROWS)
    other = Source(name="other", path="other.jsonl")
    home.ingest(source("id"), other)
    before = home.current().filter(source="s")
    home.ingest(other)
    home.ingest(source("nr"), other)
    after = home.current().filter(source="s")
    assert set(after["record_id"]) == set(before["record_id"]) and after.height == 30


def test_rows_of_a_file_that_is_gone_are_not_replaced_by_others_that_have_their_old_keys(home: Home) -> None:
    home.write("data.jsonl", [{"id": n, "nr": n + 100} for n in range(1, 31)])
    home.ingest(source("id"))
    before = home.ids()
    home.write("data.jsonl", [{"id": n + 500, "nr": n} for n in range(1, 31)])
    assert home.ingest(source("nr")).notes[0] == STAY
    assert home.current().height == 60 and before.items() <= home.ids().items()
    # Nor are they there twice, once they are delivered again.
    home.write("data.jsonl", [{"id": n + 500, "nr": n} for n in range(1, 31)] + [{"id": 1, "nr": 101, "more": True}])
    home.ingest(source("nr"))
    assert home.current().height == 60


@pytest.mark.parametrize("first", KEYS)
def test_a_row_that_was_gone_as_the_key_changed_comes_back_as_the_record_that_it_was(
    home: Home, first: str | None
) -> None:
    home.write("data.jsonl", ROWS)
    home.ingest(source(first, Mode.SNAPSHOT))
    before = home.ids()
    home.write("data.jsonl", ROWS[1:])
    home.ingest(source(first, Mode.SNAPSHOT))
    for _ in range(2):
        home.ingest(source("nr" if first == "id" else "id", Mode.SNAPSHOT))
    home.write("data.jsonl", ROWS)
    home.ingest(source("nr" if first == "id" else "id", Mode.SNAPSHOT))
    assert home.ids() == before


def test_an_earlier_row_that_counts_again_has_the_key_of_now(home: Home) -> None:
    log = Source(name="s", path="*.jsonl", key="id")
    home.write("data.jsonl", ROWS)
    home.write("later.jsonl", [one | {"text": "new"} for one in ROWS[:5]])
    home.ingest(log)
    before = set(home.ids().values())
    log = log.model_copy(update={"key": "nr"})
    home.ingest(log)
    home.ingest(log)
    (home.folder / "later.jsonl").unlink()
    # Without its file being read.
    assert rows_read(home, log) == (Ingested(lines=30, added=5, withdrawn=0), 0)
    home.write("data.jsonl", [ROWS[0] | {"text": "edited"}, *ROWS[1:]])
    assert home.ingest(log).added == 1
    assert set(home.ids().values()) == before


def test_rows_without_a_file_do_not_take_a_key_from_each_other_in_turns(home: Home) -> None:
    home.write("data.jsonl", [{"id": 1, "nr": 1}, {"id": 1, "nr": 2}, {"id": 2, "nr": 2}])
    home.ingest(source("id", updates=True))
    home.write("data.jsonl", [{"id": 1, "nr": 1}])
    said = "source 's': 1 row has another key now, and stays the record that it is"
    assert home.ingest(source("nr", updates=True)).notes == (said,)
    for _ in range(2):
        assert home.ingest(source("nr", updates=True)) == Ingested(lines=1, added=0, withdrawn=0)


def test_a_row_that_a_later_one_of_its_new_key_replaces_is_not_back_with_its_source(home: Home) -> None:
    rows = [{"id": 3, "nr": 1}, {"id": 1, "nr": 3}, {"id": 3, "nr": 3}]
    home.write("data.jsonl", rows)
    home.write("other.jsonl", ROWS)
    other = Source(name="other", path="other.jsonl")
    home.ingest(source("id", updates=True), other)
    home.ingest(other)
    home.ingest(source("nr", updates=True), other)
    now = home.current().filter(source="s")
    assert {raw.decode() for raw in now["raw"]} == {json.dumps(rows[0]), json.dumps(rows[2])}
    assert home.ingest(source("nr", updates=True), other) == Ingested(lines=33, added=0, withdrawn=0)


def test_no_two_keys_lead_to_one_record() -> None:
    first = stable_hash("s", "1")
    named = [(first, "1"), (first, "one"), (stable_hash(first), "1"), (stable_hash(first), "two")]
    rows = [(record, "s", key, f"{number}", number) for number, (record, key) in enumerate(named)]
    ids = ids_by_key(pl.LazyFrame(rows, schema=["record_id", "source", "key", "batch", "position"], orient="row"))
    assert len(set(ids.values())) == len(ids) and {first, stable_hash(first)} < set(ids.values())


def test_a_format_and_a_key_that_change_at_once_leave_the_records_as_they_are(home: Home) -> None:
    lines = [f"{row['id']},{row['nr']},{row['text']}\n" for row in ROWS]
    (home.folder / "data.csv").write_text("id,nr,text\n" + "".join(lines))
    home.ingest(source("id").model_copy(update={"path": "data.csv"}))
    before = set(home.current()["record_id"])
    home.write("data.jsonl", ROWS)
    home.ingest(source("nr"))
    assert set(home.current()["record_id"]) == before


_EDITS = st.lists(st.tuples(st.integers(0, 5), st.sampled_from(["edit", "drop", "add", "return"])), max_size=3)
_STEPS = st.lists(st.tuples(st.sampled_from(KEYS), _EDITS), max_size=6)


@given(st.permutations(range(5)), _STEPS, st.sampled_from(KEYS), st.sampled_from(Mode))
def test_whatever_becomes_of_rows_and_key_every_row_that_has_one_is_the_record_that_it_was(
    numbers: list[int], steps: list[tuple[str | None, list[tuple[int, str]]]], key: str | None, mode: Mode
) -> None:
    rows = [{"id": n, "nr": nr, "v": 0} for n, nr in enumerate(numbers)]
    gone, stale, seen = list[dict[str, int]](), set[str](), dict[int, tuple[str, str]]()
    with TemporaryDirectory() as folder:
        home = Home(Path(folder))
        for now, edits in [(key, []), *steps]:
            for at, edit in edits:
                if edit == "edit":
                    rows[at % len(rows)]["v"] += 1
                elif edit == "drop" and len(rows) > 1:
                    gone.append(rows.pop(at % len(rows)))
                elif edit == "add":
                    rows.append({"id": (new := len(rows) + len(gone)), "nr": new, "v": 0})
                elif edit == "return" and gone:
                    rows.append(gone.pop(at % len(gone)))
            home.write("data.jsonl", rows)
            home.ingest(source(now, mode))
            found = home.ids()
            for row in rows:
                raw = json.dumps(row)
                if (before := seen.get(row["id"])) and (now or before[0] == raw):
                    assert found[raw] == before[1]
                elif before and mode is Mode.APPEND:
                    stale.add(before[0])
                seen[row["id"]] = (raw, found[raw])
            kept = {seen[row["id"]][0] for row in gone if row["id"] in seen} | stale if mode is Mode.APPEND else set()
            assert found.keys() == {json.dumps(row) for row in rows} | kept
            assert len(set(found.values())) == len(found) == home.current().height


def published(folder: Path) -> set[tuple[str, str]]:
    """The ids in the newest version, with their splits."""
    files = max((folder / "home" / "questions" / "releases").iterdir()).glob("**/*.parquet")
    return {(id_, file.stem.partition("-")[0]) for file in files for id_ in pl.read_parquet(file)["id"]}


def test_what_was_published_stays_in_its_split_and_nothing_is_lost_when_the_key_changes(tmp_path: Path) -> None:
    rows = [row(n, f"Ticket {n} of {n * 37 % 101} asks: where is parcel {n * 7}?", "delivery") for n in range(1, 41)]
    rows = [one | {"nr": f"T-{n}"} for n, one in enumerate(rows)]
    write_dataset(tmp_path, rows, "review: {budget: 0, audit: 0.0}\nduplicates: {threshold: 1.0}\n")
    terminal = Terminal(tmp_path)
    terminal.goldleaf("curate")
    terminal.goldleaf("release")
    before = published(tmp_path)
    file = tmp_path / "dataset.yaml"
    file.write_text(file.read_text().replace("key: id", "key: nr, mode: snapshot"))
    write_rows(tmp_path, [*rows, row(41, "A new one: why was I charged?", "billing") | {"nr": "T-41"}])
    said = terminal.goldleaf("curate").stdout
    assert "note: source 'examples': 40 rows have another key now, and stay the records that they are" in said
    assert "no longer in their files" not in said
    assert "have another key" not in terminal.goldleaf("curate").stdout
    assert "source examples, key T-7" in " ".join(terminal.goldleaf("explain", "T-7").stdout.split())
    terminal.goldleaf("release")
    assert len(before) == 40 and before < published(tmp_path)


def test_keys_that_a_spreadsheet_has_written_otherwise_are_told(tmp_path: Path) -> None:
    rows = [row(n, f"Ticket {n} of {n * 37 % 101} asks: where is parcel {n * 7}?", "delivery") for n in range(1, 41)]
    write_dataset(tmp_path, [one | {"id": f"{number:03}"} for number, one in enumerate(rows)])
    terminal = Terminal(tmp_path)
    terminal.goldleaf("curate")
    write_rows(tmp_path, [one | {"id": f"{n:03}" if n < 20 else str(n)} for n, one in enumerate(rows)])
    assert (
        "note: source 'examples': 20 of its 60 records are no longer in their files; they stay, since its mode is "
        "append; if a file was cut off, restore it; if its keys are written otherwise than before, as 7 for 007, write "
        "them as before, or the rows of before stay beside the new ones"
    ) in " ".join(terminal.goldleaf("curate").stdout.split())
    assert "no longer" not in terminal.goldleaf("curate").stdout
