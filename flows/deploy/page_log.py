"""The current flow run, its log on Prefect's page, and the runs of its deployment that it makes needless."""

import logging
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import httpx
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterDeploymentId,
    FlowRunFilterExpectedStartTime,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.context import FlowRunContext
from prefect.exceptions import CancelledRun, FailedRun
from prefect.logging.handlers import APILogHandler, PrefectConsoleHandler
from prefect.states import Cancelled

from flows.cli.os_errors import in_a_line
from flows.cli.stdout import visible
from pipeline.steps import Advance, Progress
from pipeline.text.wording import counted

SKIPPED = "Skipped"
"""The name of the state of runs that had nothing to do; Prefect shows it as it shows what was cancelled."""
_OUTPUT = logging.getLogger("goldleaf")
"""What a deployed run says, in the output of ``serve`` or of its worker."""
_PAGE = logging.getLogger("goldleaf.page")
_LOGGED = 60.0
"""Seconds between two lines about a step."""
_STARTED = timedelta(minutes=10)
"""A run that has been about to start for so long was left behind, when serve or its worker was killed."""
_AT_LEAST = 1.0
"""Seconds from which on a step is told."""


def run_name(verb: str, dataset: str) -> str:
    """As Prefect shows a run, for example ``curate-clauses``."""
    return f"{verb}-{dataset}"


@dataclass(frozen=True)
class ThisRun:
    """The current flow run, as far as a story needs to know it."""

    id: UUID | None
    deployment: UUID | None
    due_at: datetime | None
    """When a schedule wanted it; None if somebody, or an automation, started it."""

    @classmethod
    def now(cls) -> "ThisRun":
        """The run in whose flow we are."""
        context = FlowRunContext.get()
        run = context.flow_run if context else None
        if run is None:
            return cls(None, None, None)
        due_at = run.expected_start_time if run.deployment_id and run.auto_scheduled else None
        return cls(run.id, run.deployment_id, due_at)

    @property
    def is_deployed(self) -> bool:
        """Whether nobody at a terminal waits for it."""
        return self.deployment is not None

    def skip_backlog(self, verb: str, dataset: str) -> tuple[datetime | None, list[str]]:
        """Skip the other runs of the deployment that are due by now, if a schedule wanted this one: it does their work.

        Args:
            verb: what they do.
            dataset: the name of theirs.

        Returns:
            the latest time at which one of them was due, and what to tell.
        """
        if self.deployment is None or self.due_at is None:
            return self.due_at, []
        now = datetime.now(UTC)
        due = FlowRunFilter(
            deployment_id=FlowRunFilterDeploymentId(any_=[self.deployment]),
            state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.SCHEDULED, StateType.PENDING])),
            expected_start_time=FlowRunFilterExpectedStartTime(before_=now),
        )
        latest, skipped = self.due_at, set[UUID]()
        why = f"the {verb} of {dataset} that was due at {self.due_at:%F %H:%M} UTC does its work"
        state: State[None] = Cancelled(name=SKIPPED, message=why)
        try:
            with get_client(sync_client=True) as client:
                # The server shows 200 of them at a time.
                while others := [
                    run
                    for run in client.read_flow_runs(flow_run_filter=due)
                    if run.auto_scheduled and run.id not in skipped and not _starts(run, now)
                ]:
                    for run in others:
                        client.set_flow_run_state(run.id, state, force=True)
                        # It never starts, which would name it.
                        client.update_flow_run(run.id, name=run_name(verb, dataset))
                        latest = max(latest, run.expected_start_time or latest)
                        skipped.add(run.id)
        except httpx.HTTPError as error:
            return latest, [f"the backlog could not be looked at: {error}"]
        is_one = len(skipped) == 1
        told = f"{counted(len(skipped), 'other run')} that {'was due is' if is_one else 'were due are'} skipped"
        told += ": this one does its work" if is_one else ": this one does their work"
        return latest, [told] if skipped else []


def _starts(run: FlowRun, now: datetime) -> bool:
    return run.state is not None and run.state.is_pending() and run.state.timestamp > now - _STARTED


def tell_failures_once() -> None:
    """Let Prefect log no traceback of what is told in a line, at the terminal or by the state of the run."""
    for logger in ("prefect.flow_runs", "prefect.task_runs"):
        logging.getLogger(logger).addFilter(_is_news)


def _is_news(record: logging.LogRecord) -> bool:
    if record.name == "prefect.task_runs":
        # Their flow fails by them, and says so.
        return record.levelno < logging.ERROR
    error = record.exc_info and record.exc_info[1]
    # The last two are how Prefect's engine reads a state that a flow returns.
    return not (isinstance(error, Exception) and (in_a_line(error) or isinstance(error, FailedRun | CancelledRun)))


def outlive_readers() -> None:
    """Go on if whoever reads our output is killed: at its next line, rich would end the program, and so the run."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, PrefectConsoleHandler):
            handler.console.on_broken_pipe = _say_no_more  # type: ignore[method-assign]


def _say_no_more() -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nowhere, stream)
    os.close(nowhere)


class PageLog:
    """Progress that also goes to the page of the run: a line per step, and one a minute."""

    def __init__(self, run: ThisRun, about: str, shown: Progress) -> None:
        """Find the page.

        Args:
            run: whose page it is.
            about: tells the run from others in the output of ``serve``.
            shown: the progress that others see.
        """
        self._extra = {"flow_run_id": str(run.id)} if run.id else {}
        # Who runs it at a terminal sees progress and results already.
        self._about = about if run.is_deployed else None
        self._shown = shown
        if not _PAGE.handlers:
            _PAGE.setLevel(logging.INFO)
            _PAGE.addHandler(APILogHandler())
            _PAGE.propagate = False
            _OUTPUT.setLevel(logging.INFO)
        # Each of the many steps would say that it has finished.
        logging.getLogger("prefect.task_runs").setLevel(logging.WARNING)

    @contextmanager
    def step(self, label: str, total: int | None = None, unit: str = "") -> Iterator[Advance]:
        """Show a step while it runs, and tell how long it took."""
        began, told, done = time.monotonic(), time.monotonic(), 0
        with self._shown.step(label, total, unit) as shown:

            def advance(units: int, note: str = "") -> None:
                nonlocal told, done
                done += units
                shown(units, note)
                if time.monotonic() >= told + _LOGGED:
                    told = time.monotonic()
                    self.tell([_so_far(label, total, unit, done, told - began)])

            yield advance
        if (took := time.monotonic() - began) >= _AT_LEAST:
            self.tell([f"{label}: {f'{done:,} {unit} in ' if unit and done else ''}{took:.1f} s"])

    def say(self, text: str) -> None:
        """Show a line, and tell it."""
        self._shown.say(text)
        self.tell([text])

    def tell(self, lines: Sequence[str]) -> None:
        """Write lines to the page, and if nobody at a terminal waits for the run, to its output."""
        for line in map(visible, lines):
            _PAGE.info("%s", line, extra=self._extra)
            if self._about is not None:
                _OUTPUT.info("%s: %s", self._about, line)


def _so_far(label: str, total: int | None, unit: str, done: int, seconds: float) -> str:
    of = f" of {total:,}" if total else ""
    left = f", {seconds * (total - done) / done:,.0f} s left" if total and done else ""
    return f"… {label}: {done:,}{of} {unit}".rstrip() + f", {seconds:,.0f} s{left}"
