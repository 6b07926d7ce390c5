"""Rows that are rejected for one reason are counted by what is wrong with them, whatever values they have there."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from odd import QUESTION, Odd
from support import row
from terminal import Terminal

from pipeline.reporting.overview import Rejection, by_reason, rejection_lines

NOTE = '''
from pydantic import BaseModel


class Item(BaseModel):
    price: float


class Note(Task):
    """Extract."""

    question: Input[str]
    labels: Target[list[Literal["ui", "docs"]]] = []
    items: Target[list[Item]] = []
'''


def groups(*details: str, code: str = "invalid", field: str = "answer") -> list[Rejection]:
    rows = [(code, field, detail, "a.jsonl", line, "", False) for line, detail in enumerate(details, 1)]
    names = ["code", "field", "detail", "file", "line", "record_id", "gone"]
    return by_reason(pl.DataFrame(rows, schema=names, orient="row"))


@pytest.mark.parametrize(
    "details",
    [
        ("expected a date as YYYY-MM-DD, got '05.03.2026'", "expected a date as YYYY-MM-DD, got 7"),
        ("'history' holds 'a'; write pairs", """'history' holds '["it's", "b"]'; write pairs"""),
        ("turn 2 has the `role` 'x'; known are a, b", "turn 10 has the `role` 'y z'; known are a, b"),
        ("it is not here; its fields are 'a'", "it is not here; its fields are 'a', 'b', 'c'"),
        ("3 cells, but the header has 2", "14 cells, but the header has 2"),
        ("the total 3.50 is below 4", "the total 12.75 is below 100"),
    ],
)
def test_the_values_in_a_detail_are_no_other_cause(details: tuple[str, str]) -> None:
    [group] = groups(*details, details[0])
    assert (group.ways, [cause.count for cause in group.causes]) == (1, [3])
    assert str(group) == f"a field breaks the task's schema (answer), as in a.jsonl:1: {details[0]}"


def test_different_causes_are_counted_with_an_example_each() -> None:
    texts = ["a 'x' b", "a 'y' b", "a 'z' b", "c", "c", "d", "e", "f"]
    assert list(rejection_lines(groups(*texts), "; status --json lists them all")) == [
        "8  a field breaks the task's schema (answer), in 5 ways:",
        "  3  as in a.jsonl:1: a 'x' b",
        "  2  as in a.jsonl:4: c",
        "  1  as in a.jsonl:6: d",
        "  2  in 2 other ways; status --json lists them all",
    ]
    assert list(rejection_lines(groups(*texts[:-1])))[-1] == "  1  as in a.jsonl:7: e"


def test_a_cause_whose_rows_are_gone_says_so_and_another_example_is_preferred() -> None:
    names = ["code", "field", "detail", "file", "line", "record_id", "gone"]
    rows = [("invalid", "f", "a", "x", 1, "r1", True), ("invalid", "f", "a", "x", 2, "r2", False),
            ("invalid", "f", "b", "x", 3, "r3", True)]  # fmt: skip
    [group] = by_reason(pl.DataFrame(rows, schema=names, orient="row"))
    assert [str(cause) for cause in group.causes] == ["as in x:2: a", "as in x:3 (no longer in its file): b"]


def test_details_of_reasons_that_name_other_rows_are_no_causes() -> None:
    [group] = groups("record 1f", "record ab", code="overridden")
    assert group.ways == 1


def test_a_validator_with_a_text_for_each_row_fills_no_screen() -> None:
    [group] = groups(*(f"odd {chr(97 + number // 26)}{chr(97 + number % 26)}" for number in range(300)))
    assert (group.ways, len(group.causes)) == (300, 100)
    assert len(list(rejection_lines([group]))) == 5


@pytest.mark.parametrize("verb", ["check", "curate", "status"])
def test_which_item_of_a_list_is_wrong_makes_no_other_reason(tmp_path: Path, verb: str) -> None:
    prices: list[list[Any]] = [[1, "x"], ["y"], [2, 3, "z"]]
    rows: list[dict[str, Any]] = [
        {"id": number, "question": f"Why {number}?", "items": [{"price": price} for price in some]}
        for number, some in enumerate(prices)
    ]
    rows += [row(7, "So?", None) | {"labels": ["network"]}, row(8, "And?", None) | {"labels": ["ui", "network"]}]
    odd = Odd(tmp_path, NOTE, rows)
    (tmp_path / "dataset.yaml").write_text((tmp_path / "dataset.yaml").read_text().replace(":Question", ":Note"))
    odd.curate()
    shown = Terminal(tmp_path).goldleaf(verb, exit_code=None).stdout
    assert "  3  a field breaks the task's schema (items.price), as in data.jsonl:1: expected a number" in shown
    assert "  2  a field breaks the task's schema (labels): Input should be 'ui' or 'docs', got 'network'" in shown
    assert "items.1.price" in Terminal(tmp_path).goldleaf("explain", "data.jsonl:1").stdout


def test_the_ways_are_told_by_check_curate_and_status(tmp_path: Path) -> None:
    Odd(tmp_path, QUESTION, [row(1, "Why?", "nonsense"), row(2, "How?", "bill"), row(3, "When?", "x") | {"topic": [1]}])
    with (tmp_path / "data.jsonl").open("a") as file:
        file.write("{\n[1]\n5\n")
    terminal = Terminal(tmp_path)
    for verb in ("check", "curate", "status"):
        shown = terminal.goldleaf(verb, exit_code=None).stdout
        assert "  2  valid JSON, but not an object with fields, in 2 ways:\n" in shown
    [found] = [one for one in terminal.json("status")["rejections"] if one["code"] == "not_an_object"]
    assert [(cause["count"], cause["line"], cause["detail"]) for cause in found["causes"]] == [
        (1, 5, "it is a list"),
        (1, 6, "it is a number"),
    ]
