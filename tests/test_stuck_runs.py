"""A run that hangs is told, and ended where `max_run` says so; a schedule that is skipped again and again is told."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from socket import gethostname

import pytest
from cli_shop import opened_shop
from scheduled import happens
from support import Steps, offline
from terminal import Terminal

from flows import turns
from flows.context import Context
from flows.curate import curate
from flows.engines.engine import Inline
from flows.turns import waiting
from pipeline.errors import Busy, Stuck
from pipeline.state import lock_holders
from pipeline.state.at_work import stuck
from pipeline.state.store import Store
from pipeline.steps import Silent
from schemas.run_summary import Verb

ROOT = Path(__file__).parent.parent
HOLDS = """
import sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from pipeline.state.store import Store
from schemas.run_summary import Verb
with Store(Path(sys.argv[2]), "questions").lock(Verb.CURATE):
    print("held", flush=True)
    sys.stdin.read()
"""


def opened(folder: Path, schedules: str) -> tuple[Terminal, Context]:
    shop = opened_shop(folder)
    file = folder / "dataset.yaml"
    file.write_text(file.read_text() + f"schedules: {{wait: 0s, curate: 0 2 * * *{schedules}}}\n")
    return shop, Context.load(file, offline(shop.home))


@contextmanager
def stopped_run(store: Store, since: timedelta) -> Iterator[subprocess.Popen[str]]:
    """A process that took the lock some time ago, and was stopped then."""
    command = [sys.executable, "-c", HOLDS, str(ROOT), str(store.root.parent)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout and process.stdout.readline() == "held\n"
            process.send_signal(signal.SIGSTOP)
            lock = store.root / "state.lock"
            who, boot, _ = lock.read_text().split("\n", 2)
            assert who == f"goldleaf curate, process {process.pid} on {gethostname()}"
            lock.write_text(f"{who}\n{boot}\n{time.monotonic() - since.total_seconds()}\n")
            before = time.time() - since.total_seconds()
            os.utime(lock, (before, before))
            yield process
        finally:
            process.kill()


def test_who_holds_a_lock_gives_signs_of_life(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shop, context = opened(tmp_path, "")
    monkeypatch.setattr(lock_holders, "_BEAT", 0.01)
    lock = context.store.root / "state.lock"
    with context.store.lock(Verb.CURATE):
        os.utime(lock, (0, 0))
        assert happens(lambda: lock.stat().st_mtime > 0, 10)
        [line] = shop.json("status", "--all")
    assert (len(line["at_work"]), line["stuck"]) == (1, [])


def test_a_clock_that_is_set_stops_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, context = opened(tmp_path, "")
    monkeypatch.setattr(lock_holders, "_BEAT", 0.01)
    lock = context.store.root / "state.lock"
    for beats in (0, 1):
        with context.store.lock(Verb.CURATE):
            assert not beats or happens(lambda: len(lock.read_text().split("\n")) > 4, 10)
            assert stuck(context.store, datetime.now(UTC) + timedelta(days=400)) == {}


def test_a_machine_of_the_same_name_has_another_clock(tmp_path: Path) -> None:
    _, context = opened(tmp_path, "")
    with context.store.lock(Verb.CURATE):
        lock = context.store.root / "state.lock"
        who, _, _ = lock.read_text().split("\n", 2)
        lock.write_text(f"{who}\nanother one\n{time.monotonic() + 9_999}\n")
        assert stuck(context.store, datetime.now(UTC)) == {}
        assert stuck(context.store, datetime.now(UTC) + timedelta(minutes=11))


def test_a_run_without_a_sign_of_life_for_ten_minutes_is_told_and_its_schedule_is_overdue(tmp_path: Path) -> None:
    shop, context = opened(tmp_path, "")
    with stopped_run(context.store, timedelta(minutes=11)) as process:
        since = datetime.fromtimestamp((context.store.root / "state.lock").stat().st_mtime, UTC)
        who = f"goldleaf curate, process {process.pid} on {gethostname()}"
        said = f"has shown no sign of life since {since:%F %T} UTC: it hangs or was stopped; `kill -9 {process.pid}`"
        told = shop.goldleaf("status", "--all", exit_code=None).stdout.replace("\n", " ")
        assert f"questions: {who} {said}" in told
        assert f"note: {who} {said}" in shop.goldleaf("status").stdout
        with (
            pytest.raises(Stuck, match=rf"in use by {who}, which has shown no sign of life since"),
            waiting(context, "collect", "0", Silent(), datetime.now(UTC)),
            context.store.lock(Verb.COLLECT),
        ):
            pytest.fail("two writers at once")
        from pipeline.reporting.all_datasets import all_datasets

        [line] = all_datasets(shop.home, datetime.now(UTC) + timedelta(days=3))
        assert line.overdue and line.at_work == [who]


def test_max_run_ends_who_holds_a_dataset_for_longer_and_the_scheduled_run_goes_on(tmp_path: Path) -> None:
    _, context = opened(tmp_path, ", max_run: 1h")
    shown = Steps()
    with stopped_run(context.store, timedelta(minutes=59)) as process:
        with pytest.raises(Busy), waiting(context, "curate", "0", shown, datetime.now(UTC)):
            curate(context, Inline())
        assert process.poll() is None, "it has a minute left"
    with stopped_run(context.store, timedelta(minutes=61)) as process:
        with pytest.raises(Busy), waiting(context, "curate", "0", shown):
            curate(context, Inline())
        assert process.poll() is None, "only schedules end others"
        before = context.store.snapshot().runs.height
        with waiting(context, "curate", "10s", shown, datetime.now(UTC)):
            curate(context, Inline())
        assert process.wait(10) == -signal.SIGTERM
    assert context.store.snapshot().runs.height == before + 1


def test_who_does_not_hold_the_lock_is_never_ended(tmp_path: Path) -> None:
    """Numbers of processes are used again."""
    _, context = opened(tmp_path, "")
    lock = context.store.root / "state.lock"
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        other = lock_holders.Holder("goldleaf curate", process.pid, gethostname(), 1.0)
        assert not lock_holders.end(other, lock)
        assert process.poll() is None
        process.kill()


def test_three_skips_in_a_row_for_one_reason_are_told_until_the_verb_has_its_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop, context = opened(tmp_path, "")
    began = datetime.now(UTC) - timedelta(days=3)

    def skip(number: int, expected: type[Busy]) -> str:
        clock = began + timedelta(hours=number)
        monkeypatch.setattr(turns, "datetime", type("Clock", (), {"now": staticmethod(lambda zone: clock)}))
        with pytest.raises(expected) as found, waiting(context, "curate", "0", Silent(), clock):
            curate(context, Inline())
        return f"{type(found.value).__name__}: {found.value}"

    with context.store.lock(Verb.RELEASE):
        assert [skip(number, Busy).split(":")[0] for number in (1, 2)] == ["Busy", "Busy"]
        assert shop.json("status", "--all")[0]["skipped"] == []
        said = skip(3, Stuck)
    assert "Stuck: curate of 'questions' was skipped 3 times in a row since" in said
    assert f"in use by goldleaf release, process {os.getpid()} on" in said
    assert "curate was skipped 3 times in a row since" in shop.json("status", "--all")[0]["skipped"][0]
    shop.goldleaf("curate")
    assert shop.json("status", "--all")[0]["skipped"] == []
