"""A record is found by id, by the beginning of one, by the line that it is on, and by the row's own key."""

import json
from pathlib import Path
from typing import Any

import pytest
from support import row, write_dataset, write_rows
from terminal import Terminal

from schemas.identity import stable_hash

A, B, C = (row(key, f"Question {key}?", "delivery") for key in (1, 2, 3))


def snapshot_of(folder: Path, *rows: dict[str, object]) -> Terminal:
    """A source that is rewritten each time, curated once."""
    write_dataset(folder, list(rows))
    file = folder / "dataset.yaml"
    file.write_text(file.read_text().replace("key: id,", "key: id, mode: snapshot,"))
    terminal = Terminal(folder)
    terminal.goldleaf("curate")
    return terminal


def rewritten(terminal: Terminal, *rows: dict[str, object]) -> Terminal:
    write_rows(terminal.folder, list(rows))
    terminal.goldleaf("curate")
    return terminal


def at(terminal: Terminal, wanted: str) -> tuple[Any, str]:
    """The last content of the record that is found, and the note about how."""
    story = terminal.json("explain", wanted)
    raws = [revision["raw"] for revision in story["revisions"] if revision["raw"]]
    return json.loads(raws[-1]), story["note"]


# --- lines of a file that was rewritten -----------------------------------------------------------
def test_a_row_that_moved_up_is_found_by_its_present_line(tmp_path: Path) -> None:
    terminal = rewritten(snapshot_of(tmp_path, A, B), B)
    assert at(terminal, "data.jsonl:1") == (B, "it was at data.jsonl:2 before")
    shown = terminal.goldleaf("explain", "data.jsonl:1").stdout
    assert "note: it was at data.jsonl:2 before\n" in shown


def test_a_new_row_is_found_where_a_withdrawn_one_was(tmp_path: Path) -> None:
    assert at(rewritten(snapshot_of(tmp_path, A, B), C, B), "data.jsonl:1") == (C, "")


def test_of_rows_that_had_a_line_one_after_the_other_the_last_is_meant(tmp_path: Path) -> None:
    """A line was inserted above; the files are gone since, so the table alone must know."""
    terminal = rewritten(snapshot_of(tmp_path, A), C, A)
    assert at(terminal, "data.jsonl:2") == (A, "it was at data.jsonl:1 before")
    (tmp_path / "data.jsonl").unlink()
    assert at(terminal, "data.jsonl:1") == (C, "")


def test_a_row_in_a_file_that_is_gone_is_found_at_its_last_place(tmp_path: Path) -> None:
    terminal = rewritten(snapshot_of(tmp_path, A, B), B, A)
    (tmp_path / "data.jsonl").unlink()
    assert [at(terminal, f"data.jsonl:{line}")[0] for line in (1, 2)] == [B, A]


def test_a_withdrawn_row_is_found_by_its_old_line_and_it_is_said(tmp_path: Path) -> None:
    terminal = rewritten(snapshot_of(tmp_path, A, B), A)
    assert at(terminal, "data.jsonl:2") == (B, "it was read at data.jsonl:2, and is now withdrawn")


def test_a_line_that_was_not_read_yet_is_told_from_what_was_there(tmp_path: Path) -> None:
    terminal = snapshot_of(tmp_path, A, B)
    write_rows(tmp_path, [C, B])
    assert at(terminal, "data.jsonl:1") == (
        A,
        "data.jsonl:1 now has another row, which `goldleaf curate` has not read yet",
    )


def test_a_changed_row_is_found_by_the_line_of_its_old_revision(tmp_path: Path) -> None:
    changed = row(2, "Question 2, really?", "delivery")
    terminal = rewritten(snapshot_of(tmp_path, A, B), A, C, changed)
    (tmp_path / "data.jsonl").unlink()
    assert at(terminal, "data.jsonl:3") == (changed, "")


def test_a_row_that_moved_twice_is_named_by_its_present_line_however_it_is_asked_for(tmp_path: Path) -> None:
    terminal = rewritten(rewritten(snapshot_of(tmp_path, A, B, C), B, A, C), B, C, A)
    record = terminal.json("explain", "data.jsonl:3")["record_id"]
    for wanted in ("data.jsonl:3", record, record[:10], "1"):
        assert terminal.json("explain", wanted)["place"] == "data.jsonl:3"
        first = terminal.goldleaf("explain", wanted).stdout.splitlines()[0]
        assert first == f"record {record}  data.jsonl:3  source examples, key int:1"
    assert at(terminal, "data.jsonl:3")[1] == "it was at data.jsonl:1 before"
    write_rows(tmp_path, [A, B, C])
    assert terminal.json("explain", "data.jsonl:1")["place"] == "data.jsonl:1", "the file has it there already"
    assert rewritten(terminal, B).json("explain", record)["place"] == "", "it is gone"


# --- keys -----------------------------------------------------------------------------------------
@pytest.mark.parametrize("key", ["ticket-7", "ticket:7", "7", 7, 7.5, "int:7", [7, 8]])
def test_a_row_is_found_by_its_own_key_in_plain_words(tmp_path: Path, key: Any) -> None:
    mine: dict[str, object] = {"id": key, "question": "Where is it?", "topic": "delivery"}
    assert at(snapshot_of(tmp_path, A, mine), str(key))[0] == mine


@pytest.mark.parametrize("key", [["a", "b"], [7, None, True], {"shop": "north", "no": 7}, True, False, 7.0, 1e22])
def test_a_row_is_found_by_its_own_key_as_the_row_writes_it(tmp_path: Path, key: Any) -> None:
    """It was found in Python's spelling only."""
    mine: dict[str, object] = {"id": key, "question": "Where is it?", "topic": "delivery"}
    terminal = snapshot_of(tmp_path, A, mine)
    for separators in ((", ", ": "), (",", ":")):
        assert at(terminal, json.dumps(key, separators=separators))[0] == mine


def test_a_key_that_is_also_how_the_id_of_another_row_begins_is_meant(tmp_path: Path) -> None:
    other = next(key for key in range(10, 200) if stable_hash("examples", f"int:{key}").startswith("1"))
    terminal = snapshot_of(tmp_path, A, row(other, "Why?", "billing"))
    assert at(terminal, "1") == (A, "")
    assert at(terminal, stable_hash("examples", f"int:{other}"))[0]["id"] == other


@pytest.mark.parametrize("wanted", ["\ud83d", "\0", "é" * 300, "[" * 3000, "null", "NaN", '{"a": 1}', '{"a":"\ud83d"}'])
def test_what_no_row_is_called_is_one_clear_line(tmp_path: Path, wanted: str) -> None:
    assert snapshot_of(tmp_path, A).error("explain", wanted).startswith("no record matches '")


def test_a_key_that_two_rows_have_names_both(tmp_path: Path) -> None:
    both = [{"id": "True", "question": "Where?", "topic": "delivery"}, row(True, "Why?", "billing")]
    assert snapshot_of(tmp_path, *both, A).error("explain", "True").startswith("'True' matches 2 records: ")


def test_a_record_whose_source_is_gone_says_so_and_not_that_its_line_has_another_row(tmp_path: Path) -> None:
    write_dataset(tmp_path, [A], "  - {name: other, path: other.jsonl, key: id}\n")
    write_rows(tmp_path, [row(500, "Why?", "billing")], "other.jsonl")
    terminal, file = Terminal(tmp_path), tmp_path / "dataset.yaml"
    terminal.goldleaf("curate")
    file.write_text(file.read_text().split("  - {name: other")[0])
    terminal.goldleaf("curate")
    told = "source 'other' is no longer in dataset.yaml; if it is named again, its rows are back"
    assert terminal.json("explain", "500")["note"] == told
    assert terminal.json("explain", "other.jsonl:1")["note"] == (
        f"it was read at other.jsonl:1, and is now withdrawn; {told}"
    )


# --- paths ----------------------------------------------------------------------------------------
def test_a_path_may_be_longer_or_shorter_than_the_one_that_was_read(tmp_path: Path) -> None:
    write_dataset(tmp_path, [A])
    file = tmp_path / "dataset.yaml"
    file.write_text(file.read_text().replace("data.jsonl", "bank/data.jsonl"))
    (tmp_path / "bank").mkdir()
    (tmp_path / "data.jsonl").rename(tmp_path / "bank" / "data.jsonl")
    terminal = Terminal(tmp_path)
    terminal.goldleaf("curate")
    paths = ("data.jsonl", "bank/data.jsonl", "./bank/data.jsonl", "my/bank/data.jsonl", f"{tmp_path}/bank/data.jsonl")
    assert [at(terminal, f"{path}:1")[0] for path in paths] == [A] * len(paths)
    error = terminal.error("explain", "shop/data.jsonl:1")
    assert error.startswith("no record matches 'shop/data.jsonl:1'; rows came from bank/data.jsonl; pass a record id")


def test_a_csv_s_header_is_not_a_row_and_it_is_said(tmp_path: Path) -> None:
    write_dataset(tmp_path, [])
    file = tmp_path / "dataset.yaml"
    file.write_text(file.read_text().replace("data.jsonl", "data.csv"))
    (tmp_path / "data.csv").write_text('id,question,topic\n1,"Where\nis it?",delivery\n2,Why?,billing\n')
    terminal = Terminal(tmp_path)
    terminal.goldleaf("curate")
    assert (
        terminal.error("explain", "data.csv:1")
        == "'data.csv:1' is the header of data.csv; its first row begins on line 2"
    )
    error = terminal.error("explain", "data.csv:3")
    assert "begin on lines 2 to 4, the nearest before it on line 2; pass a record id" in error
    assert at(terminal, "data.csv:4")[0] == {"id": "2", "question": "Why?", "topic": "billing"}


# --- several ----------------------------------------------------------------------------------------
def test_where_several_match_each_is_told_by_id_state_place_and_words(tmp_path: Path) -> None:
    long = row(2, "Where are all the parcels that I have ordered?", "delivery")
    terminal = rewritten(snapshot_of(tmp_path, A, long), A)
    ids = [found["record_id"] for found in terminal.json("sql", "select distinct record_id from records order by line")]
    error = terminal.error("explain", "")
    assert error.startswith("'' matches 2 records: ") and error.endswith("; pass one id, or more of its digits")
    assert f'{ids[0][:12]} (current, data.jsonl:1, {{"id": 1, "question": "Question 1?", "t…)' in error
    assert f"{ids[1][:12]} (withdrawn, data.jsonl:2, " in error


def test_several_rows_are_named_by_the_lines_that_they_are_in_now(tmp_path: Path) -> None:
    new = [row(key, f"New {key}?", "billing") for key in (4, 5)]
    terminal = rewritten(snapshot_of(tmp_path, A, B), *new, A, B)
    assert {f"data.jsonl:{line}," in terminal.error("explain", "") for line in (1, 2, 3, 4)} == {True}
    assert "rows of data.jsonl begin on lines 1 to 4;" in terminal.error("explain", "data.jsonl:9")


@pytest.mark.parametrize("rows", [[A, B], [A]])
def test_equal_rows_without_a_key_are_told_apart_by_their_lines(tmp_path: Path, rows: list[dict[str, object]]) -> None:
    write_dataset(tmp_path, [A, A, *rows])
    file = tmp_path / "dataset.yaml"
    file.write_text(file.read_text().replace("key: id,", ""))
    terminal = Terminal(tmp_path)
    terminal.goldleaf("curate")
    found = {terminal.json("explain", f"data.jsonl:{line}")["record_id"] for line in (1, 2, 3)}
    assert len(found) == 3
