"""What servers, models and rows say is shown, and never obeyed: no terminal escape, no reversed text."""

import io
import logging
import re
import socket
from pathlib import Path
from uuid import uuid4

import pytest
from loopback import OK, talking
from prefect.settings import PREFECT_LOGGING_TO_API_ENABLED, temporary_settings
from support import row, write_dataset
from terminal import Terminal

from flows.cli.console import TerminalProgress, Visible
from flows.deploy.page_log import PageLog, ThisRun
from pipeline.reporting.page_environment import printable
from pipeline.steps import Silent

EVIL = "Where\x1b]0;title\x07 is\x9b31m it\u202e?gnp.exe\u2066"
OBEYED = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    write_dataset(tmp_path, [row(1, EVIL, "delivery"), row(2, f"{EVIL} Or not?", "bill\x1b[31ming\u202e")])
    terminal = Terminal(tmp_path)
    assert OBEYED.search(terminal.goldleaf("curate").output) is None
    return terminal


@pytest.mark.parametrize(
    "command",
    [
        ("explain", "data.jsonl:1"),
        ("explain", "data.jsonl:2"),
        ("status",),
        ("check",),
        ("sql", "select question, chr(155) || chr(27) || '[2J' as more from (select inputs as question from current)"),
        ("sql", 'select 1 as "a\x1b[31m\u202eb"'),
        ("sql", "select \x9b31m"),
    ],
)
def test_what_a_row_or_an_error_says_is_not_obeyed(terminal: Terminal, command: tuple[str, ...]) -> None:
    assert OBEYED.search(terminal.goldleaf(*command, exit_code=None).output) is None


def test_json_says_the_same_to_a_program_and_nothing_to_a_terminal(terminal: Terminal) -> None:
    result = terminal.goldleaf("explain", "data.jsonl:1", "--json")
    assert OBEYED.search(result.stdout) is None
    [found] = terminal.json("explain", "data.jsonl:1")["revisions"]
    assert found["raw"].count("\\u202e") == 1, "raw rows are JSON themselves"
    said = terminal.json("sql", "select chr(155) || chr(8238) as text")
    assert said == [{"text": "\x9b\u202e"}]


def test_what_a_server_says_is_not_obeyed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refusing(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(OK + b"content-encoding: br, \x9b31m\r\n\r\n")

    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    write_dataset(tmp_path, [])
    with talking(refusing) as url:
        file = tmp_path / "dataset.yaml"
        file.write_text(file.read_text().replace("path: data.jsonl", f"path: {url}data.jsonl"))
        assert r"(it comes packed as br, \x9b31m, which was not asked for)" in Terminal(tmp_path).error("curate")


def test_progress_at_a_terminal_shows_what_it_is_told_and_still_moves() -> None:
    shown = io.StringIO()
    console = Visible(file=shown, force_terminal=True, width=120, highlight=False)
    progress = TerminalProgress(console)
    with progress.step("reading \x9b31m\u202e", 2) as advance:
        advance(1)
        progress.say("said \x1b]0;title\x07")
        advance(1)
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown.getvalue()).replace("\r", "")
    assert OBEYED.search(text) is None
    assert r"reading \x9b31m\u202e" in text and r"said \x1b]0;title" in text
    assert "\x1b[" in shown.getvalue(), "our own styles are obeyed"


def test_what_a_run_tells_its_page_and_its_output_is_not_obeyed(caplog: pytest.LogCaptureFixture) -> None:
    quiet = temporary_settings({PREFECT_LOGGING_TO_API_ENABLED: False})
    with quiet, caplog.at_level(logging.INFO, logger="goldleaf"):
        page = PageLog(ThisRun(None, uuid4(), None), "curate questions", Silent())
        page.tell([f"note: {EVIL}"])
    assert r"note: Where\x1b]0;title" in caplog.text and OBEYED.search(caplog.messages[-1]) is None


def test_a_page_of_html_does_not_reverse_text() -> None:
    for mark in "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\x9b":
        assert printable(f"a{mark}b") == "a\ufffdb"
