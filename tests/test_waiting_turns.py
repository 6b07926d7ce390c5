"""Runs of one dataset wait for each other if they are told to; of a verb's scheduled ones, one does the work of all."""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from socket import gethostname

import pytest
from cli_shop import ROWS, opened_shop
from support import Steps, offline, write_dataset
from terminal import Terminal

from flows.context import Context
from flows.curate import curate
from flows.engines.engine import Inline
from flows.release import release
from flows.turns import waiting
from pipeline.errors import Busy, Needless
from pipeline.steps import Advance, Silent
from schemas.run_summary import CollectSummary, Verb


@pytest.fixture
def context(tmp_path: Path) -> Context:
    write_dataset(tmp_path, ROWS)
    return Context.load(tmp_path / "dataset.yaml", offline(tmp_path / "home"))


@pytest.mark.parametrize(("verb", "done"), [("release", "nothing new since"), ("compact", "files now")])
def test_a_command_waits_as_long_as_it_is_told_and_then_says_who_is_in_the_way(
    tmp_path: Path, verb: str, done: str
) -> None:
    shop = opened_shop(tmp_path)
    store = Context.load(tmp_path / "dataset.yaml", offline(shop.home)).store
    with ExitStack() as other:
        other.enter_context(store.lock(Verb.COLLECT))
        me = f"process {os.getpid()} on {gethostname()}"
        mine = f"is in use by goldleaf collect, {me}; run {verb} again when it has finished"
        assert mine in shop.error(verb)
        assert mine in shop.goldleaf(verb, "--wait", "1s", exit_code=1).stderr
        threading.Timer(0.5, other.close).start()
        told = shop.goldleaf(verb, "--wait", "1m")
        assert "waiting for goldleaf collect, process" in told.stderr
        assert done in told.stdout


def test_a_duration_that_is_none_is_wrong_usage(tmp_path: Path) -> None:
    write_dataset(tmp_path, ROWS)
    result = Terminal(tmp_path).goldleaf("curate", "--wait", "a while", exit_code=2)
    assert "'a while' is not a duration; write a number and its unit, such as 45s" in result.stderr.replace("\n", " ")


def test_every_lock_is_waited_for_in_one_time(context: Context) -> None:
    shown = Steps()
    with ExitStack() as others:
        others.enter_context(context.store.lock(Verb.RELEASE))
        others.enter_context(context.store.push_lock())
        before = time.monotonic()
        with waiting(context, "curate", "1s", shown):
            with pytest.raises(Busy), context.store.lock(Verb.CURATE):
                pytest.fail("two writers at once")
            assert time.monotonic() - before >= 1
            with pytest.raises(Busy), context.store.push_lock():
                pytest.fail("two who send at once")
    assert [step.partition(",")[0] for step in shown.steps] == ["waiting for goldleaf release"]


def test_one_scheduled_run_of_a_verb_waits_and_the_next_one_leaves_the_work_to_it(context: Context) -> None:
    curate(context, Inline())
    store, begun, due_at = context.store, threading.Event(), datetime.now(UTC)
    done: list[str] = []

    class Shown(Silent):
        @contextmanager
        def step(self, label: str, total: int | None = None, unit: str = "") -> Iterator[Advance]:
            begun.set()
            yield lambda units, note="": None

    def scheduled() -> None:
        with waiting(context, "collect", "60s", Shown(), due_at), store.lock(Verb.COLLECT):
            done.append("collect")

    with ExitStack() as other:
        other.enter_context(store.lock(Verb.CURATE))
        first = threading.Thread(target=scheduled)
        first.start()
        assert begun.wait(10)
        with (
            pytest.raises(
                Busy,
                match=r"in use by goldleaf curate, process \d+ .+, and goldleaf collect, process \d+ .+ waits",
            ),
            waiting(context, "collect", "60s", Silent(), due_at),
            store.lock(Verb.COLLECT),
        ):
            pytest.fail("two wait")
        with (
            pytest.raises(Busy, match="run release again"),
            waiting(context, "release", "0", Silent(), due_at),
            store.lock(Verb.RELEASE),
        ):
            pytest.fail("another verb has its own place, and still waits")
        other.close()
        first.join(10)
    assert done == ["collect"]


def test_a_scheduled_run_is_needless_if_a_later_one_is_committed_and_needed_otherwise(context: Context) -> None:
    early, shown = datetime.now(UTC), Silent()
    with waiting(context, "curate", "0", shown):
        run = curate(context, Inline()).run
    with (
        pytest.raises(Needless, match=rf"^run {run} of 'questions' began at .* UTC, after this curate was due"),
        waiting(context, "curate", "0", shown, early),
    ):
        curate(context, Inline())
    with waiting(context, "release", "0", shown, early):
        assert release(context, Inline()).created, "another verb has other work"
    with waiting(context, "curate", "0", shown, datetime.now(UTC)):
        assert curate(context, Inline()).run > run


def test_a_run_that_waits_does_the_work_of_those_that_left_it_theirs(context: Context) -> None:
    """It would be needless itself: a run that began after it was due is committed when its turn comes."""
    curate(context, Inline())
    store, held, due_at = context.store, threading.Event(), datetime.now(UTC)
    runs: list[str] = []

    class Shown(Silent):
        @contextmanager
        def step(self, label: str, total: int | None = None, unit: str = "") -> Iterator[Advance]:
            held.set()
            yield lambda units, note="": None

    def scheduled() -> None:
        with waiting(context, "collect", "60s", Shown(), due_at), suppress(Needless), store.lock(Verb.COLLECT):
            runs.append(context.new_run(Verb.COLLECT).id)

    for leaves_work in (False, True):
        held.clear()
        with ExitStack() as other:
            other.enter_context(store.lock(Verb.COLLECT))
            began_at = context.new_run(Verb.COLLECT)
            first = threading.Thread(target=scheduled)
            first.start()
            assert held.wait(60)
            later = datetime.now(UTC) if leaves_work else due_at
            with pytest.raises(Busy), waiting(context, "collect", "60s", Silent(), later), store.lock(Verb.COLLECT):
                pytest.fail("two wait")
            store.commit(began_at, inputs={}, funnel=None, summary=CollectSummary())
            other.close()
            first.join(60)
        assert len(runs) == leaves_work


def test_a_run_has_started_when_it_held_its_first_lock_and_not_when_it_came_to_write(context: Context) -> None:
    """What changed in between may have escaped it."""
    with waiting(context, "collect", "0", Silent()), context.store.pull_lock():
        pulled = datetime.now(UTC)
        run = context.new_run(Verb.COLLECT)
    assert run.started_at <= pulled
    assert pulled < context.new_run(Verb.COLLECT).started_at
