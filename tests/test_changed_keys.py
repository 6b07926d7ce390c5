"""The rows of a source whose key is another one stay the records that they are, with all that hangs on their ids."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ingest_home import Home, contents, rows_read
from support import row, write_dataset, write_rows
from terminal import Terminal

from pipeline.ingest.ingest_sources import Ingested
from schemas.dataset import Mode, Source

ROWS = [{"id": n, "nr": f"T-{n % 7}{n}", "text": f"text {n}"} for n in range(1, 31)]
KEYS = ["id", "nr", None]


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
    assert home.ingest(source(then, mode)) == Ingested(lines=30, added=0, withdrawn=0, rekeyed=(("s", 30),))
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
    assert home.ingest(source("id")) == Ingested(lines=32, added=0, withdrawn=2, rekeyed=(("s", 30),))
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


_ROWS = st.permutations(range(6)).map(lambda numbers: [{"id": n, "nr": nr, "v": 0} for n, nr in enumerate(numbers)])
_STEPS = st.lists(
    st.tuples(st.sampled_from(KEYS), st.integers(0, 5), st.sampled_from(["edit", "drop", "add"])), max_size=5
)


@given(_ROWS, _STEPS, st.sampled_from(KEYS))
def test_whatever_becomes_of_rows_and_key_the_current_rows_are_those_of_the_snapshot_and_what_stays_has_its_id(
    rows: list[dict[str, int]], steps: list[tuple[str | None, int, str]], key: str | None
) -> None:
    with TemporaryDirectory() as folder:
        home = Home(Path(folder))
        home.write("data.jsonl", rows)
        home.ingest(source(key, Mode.SNAPSHOT))
        for number, (key, at, step) in enumerate(steps):
            before = home.ids()
            if step == "edit":
                rows[at % len(rows)]["v"] += 1
            elif step == "drop" and len(rows) > 1:
                rows.pop(at % len(rows))
            elif step == "add":
                taken = [{row[name] for row in rows} for name in ("id", "nr")]
                free = [next(n for n in range(at, 99) if n not in one) for one in taken]
                rows.append({"id": free[0], "nr": free[1], "v": 100 + number})
            home.write("data.jsonl", rows)
            home.ingest(source(key, Mode.SNAPSHOT))
            after = home.ids()
            assert sorted(after) == contents(home) == sorted((home.folder / "data.jsonl").read_text().splitlines())
            assert len(set(after.values())) == len(rows)
            assert all(after[raw] == before[raw] for raw in after.keys() & before.keys())


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
    terminal.goldleaf("release")
    assert len(before) == 40 and before < published(tmp_path)


def test_keys_that_a_spreadsheet_has_written_otherwise_are_told(tmp_path: Path) -> None:
    rows = [row(n, f"Ticket {n} of {n * 37 % 101} asks: where is parcel {n * 7}?", "delivery") for n in range(1, 41)]
    write_dataset(tmp_path, [one | {"id": f"{number:03}"} for number, one in enumerate(rows)])
    terminal = Terminal(tmp_path)
    terminal.goldleaf("curate")
    # Twenty of them: fewer may be rows that were copied on purpose.
    write_rows(tmp_path, [one | {"id": f"{n:03}" if n < 20 else str(n)} for n, one in enumerate(rows)])
    said = terminal.goldleaf("curate").stdout
    assert (
        "note: source 'examples': 20 of 20 new rows say what rows under other keys say, which are no longer in their "
        "files: have its keys changed, as from '020' to '20'? If so, write them as before, or the rows of before stay "
        "beside them, since its mode is append"
    ) in " ".join(said.split())
    assert "a file was cut off" not in said
    assert "other keys" not in terminal.goldleaf("curate").stdout
