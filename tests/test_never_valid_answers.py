"""Rows that a model never answered validly are told apart from known ones, and asked about again if that is wanted."""

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from loopback import Reply
from model_server import ModelServer, completion
from report_toys import section
from support import row
from terminal import Terminal
from test_suggestions import UNLABELED, by_words, decisions, opened, shop

from pipeline.reporting.status import read_status
from pipeline.reporting.write_report import write_report

ASKED_AGAIN = "only `goldleaf suggest --retry-invalid` asks again"
OPEN: list[dict[str, object]] = [*UNLABELED, row(902, "May I send my order back?", None)]


def broken(request: dict[str, Any], number: int) -> Reply:
    return completion("banana")


def invalid(folder: Path) -> int:
    found = read_status(opened(folder)).suggestions
    assert found is not None
    return found.invalid


def in_one_line(text: str) -> str:
    return " ".join(text.split())


def fooled(terminal: Terminal, server: ModelServer) -> None:
    """Two rows get nonsense; then the server is repaired."""
    terminal.json("curate", "--no-suggest")
    assert terminal.json("suggest", "--limit", "2")["suggested"]["invalid"] == 2
    server.says = by_words


def test_rows_that_were_never_answered_validly_are_not_called_known(tmp_path: Path) -> None:
    with shop(tmp_path, OPEN, broken, ", rows: unlabeled") as (terminal, server):
        fooled(terminal, server)
        first = terminal.json("suggest")["suggested"]
        shown = terminal.goldleaf("suggest").stdout
        planned = terminal.goldleaf("suggest", "--dry-run").stdout
        status = in_one_line(terminal.goldleaf("status").stdout)
        page = section(write_report(opened(tmp_path), to=tmp_path / "page.html").read_text(), "suggestions")
        assert len(server.asked) == 2 * 2 + 1
    assert (first["answered"], first["known"], first["known_invalid"]) == (1, 0, 2)
    assert "0 answered, 1 known, 2 without a valid answer (asked before); 0 calls" in in_one_line(shown)
    assert f"{ASKED_AGAIN} about rows without a valid answer" in in_one_line(shown)
    assert "0 calls to make, 1 row answered before, 2 never validly (`--retry-invalid` asks again)" in planned
    assert f"2 rows without a valid answer (asked before): {ASKED_AGAIN}" in status
    assert "2 rows without a valid answer." in page


def test_they_are_asked_again_if_that_is_wanted_and_what_was_paid_stays(tmp_path: Path) -> None:
    prices = ", rows: unlabeled, price_in: 1000, price_out: 1000"
    with shop(tmp_path, OPEN, broken, prices) as (terminal, server):
        fooled(terminal, server)
        terminal.json("suggest")
        planned = terminal.json("suggest", "--dry-run", "--retry-invalid")["estimated"]
        assert (planned["calls"], planned["known_invalid"]) == (2, 0) and invalid(tmp_path) == 2
        result = terminal.json("suggest", "--retry-invalid")
        after = terminal.json("suggest", "--retry-invalid")["suggested"]
        names = [headers["idempotency-key"] for headers in server.headers_seen]
    done = result["suggested"]
    assert (done["answered"], done["known"], done["known_invalid"], done["calls"]) == (2, 1, 0, 2)
    assert result["decided"] == 2 and decisions(tmp_path)[900].model_answer == {"topic": "billing"}
    assert (done["total_calls"], done["total_cost"]) == (7, pytest.approx(7 * 12 * 1000 / 1e6))
    assert (after["known"], after["calls"]) == (3, 0) and invalid(tmp_path) == 0
    # Otherwise a server that knows the header would repeat its nonsense.
    assert len(set(names)) == len(names) == 7


def test_a_second_nonsense_is_kept_as_the_first_was(tmp_path: Path) -> None:
    with shop(tmp_path, OPEN, broken, ", rows: unlabeled") as (terminal, server):
        terminal.json("curate")
        again = terminal.json("suggest", "--retry-invalid")["suggested"]
        assert len(server.asked) == 12
        assert terminal.json("suggest")["suggested"]["calls"] == 0
    assert (again["invalid"], again["calls"], again["total_calls"], again["news"]) == (3, 6, 12, True)
    assert invalid(tmp_path) == 3


def test_a_run_that_is_killed_before_it_asks_again_leaves_them_to_the_next(tmp_path: Path) -> None:
    with shop(tmp_path, OPEN, broken, ", rows: unlabeled") as (terminal, server):
        terminal.json("curate")
        with sqlite3.connect(opened(tmp_path).store.calls) as ledger:
            ledger.execute("UPDATE calls SET state = 'set aside'")
        ledger.close()
        assert invalid(tmp_path) == 0, "they wait like any other"
        server.says = by_words
        assert terminal.json("suggest")["suggested"]["answered"] == 3


def test_a_row_that_was_edited_since_is_not_among_them(tmp_path: Path) -> None:
    with shop(tmp_path, OPEN, broken, ", rows: unlabeled") as (terminal, _):
        terminal.json("curate")
        rows = [*OPEN[:2], row(902, "Where is my order?", None)]
        (tmp_path / "data.jsonl").write_text("".join(json.dumps(one) + "\n" for one in rows))
        terminal.json("curate", "--no-suggest")
    assert invalid(tmp_path) == 2
