"""Worker processes beside this one: results as from one process, whatever happens to a worker."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest
from support import offline, row, state, write_dataset

from flows import curate as story
from flows.context import Context
from flows.curate import curate
from flows.engines.engine import Inline
from pipeline.curation import shards


def pid_of(number: int) -> tuple[int, int]:
    time.sleep(0.02)
    return number, os.getpid()


def fail_at_three(number: int) -> int:
    if number == 3:
        raise ValueError("three")
    return number


def die_elsewhere(parent: int) -> int:
    if os.getpid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)
    return parent


def test_results_come_in_order_from_both_processes() -> None:
    told: list[tuple[int, int]] = []
    found = Inline(workers=2).map_in_processes(pid_of, range(40), told.append)
    assert [number for number, _ in found] == list(range(40))
    assert told == found
    pids = {pid for _, pid in found}
    assert os.getpid() in pids
    assert len(pids) == 2


def test_one_worker_or_one_item_needs_no_other_process() -> None:
    assert {pid for _, pid in Inline(workers=1).map_in_processes(pid_of, range(3))} == {os.getpid()}
    assert {pid for _, pid in Inline(workers=2).map_in_processes(pid_of, [1])} == {os.getpid()}
    engine = Inline(workers=2)
    engine.warm_up_processes(int)
    assert engine.map_in_processes(pid_of, []) == []
    assert engine._processes._pool is None, "what was started in vain has ended"


@pytest.mark.parametrize("workers", [1, 3])
def test_an_error_is_raised_wherever_it_happens_and_nothing_else_is_said(
    workers: int, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    before = set(threading.enumerate())
    with pytest.raises(ValueError, match="three"):
        Inline(workers=workers).map_in_processes(fail_at_three, range(200))
    # The threads of the pool may have had something to say.
    while threads := set(threading.enumerate()) - before:
        for thread in threads:
            if thread.is_alive():
                thread.join()
    assert not caplog.records
    assert capfd.readouterr() == ("", "")


def test_what_a_killed_worker_leaves_is_done_here() -> None:
    assert Inline(workers=3).map_in_processes(die_elsewhere, [os.getpid()] * 5) == [os.getpid()] * 5


def test_an_engine_spreads_more_than_once() -> None:
    engine = Inline(workers=2)
    engine.warm_up_processes(int)
    for _ in range(2):
        assert [number for number, _ in engine.map_in_processes(pid_of, range(5))] == list(range(5))


def test_curate_decides_the_same_in_three_processes_as_in_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "the parcel of order {} was left with the neighbour at number {} who says that it went back on day {} of {}"
    texts = [f"{text.format(n, 7 * n, 3 * n, 11 * n)}{' ok' * copy}" for n in range(30) for copy in range(n % 4 + 1)]
    topics = ("billing", "delivery", "returns", "", None, "no such topic")
    write_dataset(tmp_path, [row(number, text, topics[number % 6]) for number, text in enumerate(texts)])
    monkeypatch.setattr(shards, "FEW_ROWS", 7)
    monkeypatch.setattr(story, "FEW_ROWS", 7)
    states = []
    for workers in (1, 3):
        context = Context.load(tmp_path / "dataset.yaml", offline(tmp_path / f"home-{workers}"))
        curate(context, Inline(workers=workers), push=False)
        states.append(state(context.store))
    assert states[0] == states[1]
    assert len(states[0]["decisions"]) == len(texts)


SCRIPT = """
    import os, sys, time
    sys.path[:0] = [{root!r}, {tests!r}]
    print("script", flush=True)
    from flows.engines.engine import Inline
    from test_processes import {step}
    print([number for number, _ in Inline(workers=2).map_in_processes({step}, range(9))], flush=True)
"""


def pid_slowly(number: int) -> tuple[int, int]:
    os.write(1, b"worker %d\n" % os.getpid())
    time.sleep(1)
    return number, os.getpid()


def script(tmp_path: Path, step: str) -> Path:
    path = tmp_path / "script.py"
    root = Path(__file__).parent.parent
    path.write_text(textwrap.dedent(SCRIPT).format(root=str(root), tests=str(root / "tests"), step=step))
    return path


def test_a_worker_does_not_run_the_script_again(tmp_path: Path) -> None:
    ran = subprocess.run([sys.executable, script(tmp_path, "pid_of")], capture_output=True, text=True, check=True)
    assert ran.stdout == f"script\n{list(range(9))}\n"


def test_workers_end_with_a_killed_process(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, script(tmp_path, "pid_slowly")], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        pids: set[int] = set()
        while len(pids) < 2:
            if (line := parent.stdout.readline()).startswith("worker"):
                pids.add(int(line.split()[1]))
        parent.kill()
    (worker,) = pids - {parent.pid}
    started = time.monotonic()
    while Path(f"/proc/{worker}").exists():
        assert time.monotonic() - started < 20, "it still runs"
        time.sleep(0.05)
