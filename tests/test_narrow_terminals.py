"""On a narrow terminal no number is cut: bars and labels give way, and tables become lines; a log gets lines, too."""

import io
import re
import time

import pytest
from rich.console import Console

from flows.cli import console
from flows.cli.console import TerminalProgress, show_answer

LABEL = "asking SmolLM2-135M-Instruct about doubted rows"


def last_line(width: int, total: int, unit: str) -> str:
    """What a finished step leaves on a terminal of this width."""
    shown = io.StringIO()
    terminal = Console(file=shown, force_terminal=True, width=width, color_system=None)
    with TerminalProgress(terminal).step(LABEL, total, unit) as advance:
        advance(total)
    lines = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown.getvalue()).replace("\r", "\n").splitlines()
    return [line.rstrip() for line in lines if line.strip()][-1]


@pytest.mark.parametrize("width", [50, 60, 80, 100, 160])
@pytest.mark.parametrize("total", [7, 468, 12_345])
@pytest.mark.parametrize("unit", ["", "rows", "kB"])
def test_a_step_always_shows_how_far_it_is_and_how_long_it_takes(width: int, total: int, unit: str) -> None:
    line = last_line(width, total, unit)
    assert len(line) <= width and "left" not in line
    # Bytes beside rows would be taken for rows.
    assert f" {total:,}/{total:,}{' kB' if unit == 'kB' else ''} 0:00:0" in line
    assert "asking " in line and (LABEL in line) == ("…" not in line)
    assert ("━" in line) == (width >= (160 if unit else 100)), "a bar needs room"


def test_a_step_with_nothing_to_do_is_left_out() -> None:
    shown = io.StringIO()
    with TerminalProgress(Console(file=shown, force_terminal=True)).step(LABEL, 0, "rows") as advance:
        advance(0)
    assert shown.getvalue() == ""


def test_the_time_left_is_told_until_a_step_has_ended() -> None:
    shown = io.StringIO()
    terminal = Console(file=shown, force_terminal=True, width=80, color_system=None)
    with TerminalProgress(terminal).step("scoring labels", 50, "rows") as advance:
        for _ in range(50):
            advance(1)
            time.sleep(0.01)
    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown.getvalue()).replace("\r", "\n").splitlines()
    *during, last = [line.rstrip() for line in plain if line.strip()]
    assert any(re.search(r" \d+/50 0:00:\d\d 0:00:\d\d left$", line) for line in during)
    assert re.search(r" 50/50 0:00:\d\d$", last)


@pytest.mark.parametrize("width", [60, 80, 100])
def test_a_long_note_gives_way_to_the_numbers_and_is_gone_at_the_end(width: int) -> None:
    shown = io.StringIO()
    terminal = Console(file=shown, force_terminal=True, width=width, color_system=None)
    with TerminalProgress(terminal).step("training", 206) as advance:
        for _ in range(206):
            advance(1, "2 min left, loss 0.010 (validation 0.084), 1,408 tokens/s on the CPU")
            time.sleep(0.001)
    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown.getvalue()).replace("\r", "\n").splitlines()
    during = [line for line in plain if "training: 2 min" in line]
    assert during and all(re.search(r" \d+/206 0:00:0\d$", line.rstrip()) and len(line) <= width for line in during)
    assert re.fullmatch(r"✓ training( ━+)? 206/206 0:00:0\d", [line.rstrip() for line in plain if line.strip()][-1])


def test_a_log_gets_a_line_a_minute_about_a_long_step() -> None:
    shown, seconds = io.StringIO(), iter(range(0, 100_000, 3))
    log = Console(file=shown, width=200, get_time=lambda: float(next(seconds)))
    with TerminalProgress(log).step("asking [bold]", 400, "rows") as advance:
        for _ in range(100):
            advance(1)
    *during, last = shown.getvalue().splitlines()
    assert len(during) >= 5
    assert re.fullmatch(r"… asking \[bold\]  \d+ of 400 rows  0:\d\d:\d\d, \d:\d\d:\d\d left", during[-1])
    assert last.startswith("✓ asking [bold]")


def test_a_note_in_a_log_tells_the_only_time_left() -> None:
    shown, seconds = io.StringIO(), iter(range(0, 100_000, 3))
    log = Console(file=shown, width=200, get_time=lambda: float(next(seconds)))
    with TerminalProgress(log).step("training", 400) as advance:
        for step in range(1, 101):
            advance(1, f"28 min left, loss {1 / step:.2f} [bold]")
    during = shown.getvalue().splitlines()[:-1]
    assert len(during) >= 5
    line = r"… training: 28 min left, loss 0\.\d\d \[bold\]  \d+ of 400  0:\d\d:\d\d"
    assert all(re.fullmatch(line, one) for one in during)


@pytest.mark.parametrize(("done", "ended"), [(4, "4/4"), (8, "8/8"), (0, "8/8")])
def test_a_step_that_ends_early_ends_at_what_was_done(done: int, ended: str) -> None:
    shown = io.StringIO()
    with TerminalProgress(Console(file=shown, width=80)).step("timing some steps", 8) as advance:
        for _ in range(done):
            advance(1)
    assert re.search(rf"✓ timing some steps ━+ {ended} 0:00:0\d", shown.getvalue())


def test_a_log_of_short_steps_has_a_line_a_step() -> None:
    shown = io.StringIO()
    with TerminalProgress(Console(file=shown, width=200)).step("reading") as advance:
        advance(1)
        advance(1)
    assert re.fullmatch(r"✓ reading 2 +0:00:0\d\n", shown.getvalue())


def test_what_is_said_is_one_line_as_it_was_meant() -> None:
    shown = io.StringIO()
    text = "preflight: the template of /models/[new]/mistral ends with [/INST], not with [/b] as all others do"
    TerminalProgress(Console(file=shown, width=60)).say(text)
    assert shown.getvalue() == f"{text}\n"


@pytest.mark.parametrize("width", [60, 80, 200])
def test_no_share_is_torn_from_what_it_is_of(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = io.StringIO()
    monkeypatch.setattr(console, "out", Console(file=shown, width=width, highlight=False, soft_wrap=True))
    shares = [f"{share}% (71 to 96) of 29" for share in (81, 82, 83, 84)]
    rows = [["maria.santos@example.com", *shares], ["jo@example.com", *shares]]
    show_answer(["annotator", "right on gold", "like others", "reliable", "left unchanged"], rows, whole=True)
    text = shown.getvalue()
    assert all(text.count(share) == 2 for share in shares) and text.count("maria.santos@example.com") == 1
    assert max(map(len, text.splitlines())) <= width
