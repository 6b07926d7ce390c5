"""Runs schedules with Prefect: in this process for as long as it lives, or on the workers of a pool."""

import asyncio
import functools
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import DeploymentScheduleCreate, DeploymentUpdate
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterDeploymentId,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import StateType
from prefect.client.schemas.schedules import CronSchedule
from prefect.client.schemas.sorting import FlowRunSort
from prefect.deployments.runner import RunnerDeployment
from prefect.exceptions import ObjectNotFound
from prefect.runner import Runner
from prefect.runner import runner as prefect_runner
from prefect.runner._starter_engine import EngineCommandStarter
from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, PREFECT_UI_URL, temporary_settings

from flows.deploy.deployments import SLUG, Deployment
from flows.deploy.page_log import run_name
from flows.deploy.prefect_file import prefect_yaml
from pipeline.config.workspace import shown_address
from pipeline.errors import ConfigError, GoldleafError
from pipeline.state.atomic import replacing
from schemas.user_code_errors import in_a_line

_COMMAND = shlex.join([sys.executable, str(Path(__file__).with_name("start.py"))])
"""What starts a run's process."""
_PAUSE = 5.0
"""Seconds between two looks whether the server is back."""
_PATIENCE = 10.0
"""Seconds within which the server must answer then."""
_MINUTE = 60.0
_AGAIN = 1.0
"""Seconds between two looks for runs that were just being started when everything was to end."""
_LOOK = 15.0
"""Seconds between two looks whether there is more to serve, and which runs were scheduled."""
_MESSAGE = 2_000
"""Characters of what Prefect says."""
_REFUSALS = (401, 403, 404)
"""What a server does not answer while it starts."""


def serve(
    plan: Sequence[Deployment], say: Callable[[str], None], more: Callable[[], Sequence[Deployment]] = tuple
) -> None:
    """Register the deployments and run what is due, until SIGTERM or Ctrl-C; after an outage of the server, again.

    Nothing is paused at the end: what was missed is one run at the next start.

    Args:
        plan: what to run.
        say: told what goes on.
        more: asked from time to time what else there is by now.

    Raises:
        ConfigError: PREFECT_API_URL leads elsewhere.
    """
    plan = list(plan)
    while True:
        _await_server(say)
        runner = _Runner(say)
        try:
            for deployment in plan:
                runner.register(deployment)
            say("serving " + ", ".join(_shown(deployment) for deployment in plan))
            say(f"the runs: {shown_address(PREFECT_UI_URL.value() or '')}/runs")
            asyncio.run(_run(runner, plan, more))
        except (Exception, ExceptionGroup) as error:
            if not _is_outage(error):
                raise
            if runner.is_ending:
                return
            say(f"Prefect's server is gone ({error}); the schedules go on when it is back")
            time.sleep(_PAUSE)
            continue
        return


# Its runner has no setting for what starts a run, as deployments have for workers. A terminal sends Ctrl-C to all in a
# session: runs would end before Prefect knows that they are cancelled.
vars(prefect_runner)["EngineCommandStarter"] = functools.partial(
    EngineCommandStarter, command=_COMMAND, isolate_process_group=True
)


class _Runner(Runner):
    """Prefect's runner, which ends on Ctrl-C as it does on SIGTERM: it cancels the active runs, and says so."""

    def __init__(self, say: Callable[[str], None]) -> None:
        super().__init__(name="goldleaf", pause_on_shutdown=False)
        self.say = say
        self.is_ending = False
        self.ended = threading.Event()
        self._names: dict[UUID, str] = {}
        """What the runs of each deployment are called."""

    def register(self, deployment: Deployment) -> None:
        """See ``register``."""
        self._names[register(self, deployment)] = run_name(deployment.verb, deployment.dataset)

    def name_runs(self) -> None:
        """Name the scheduled runs as they will be called once they have started: by then they have random names."""
        those = FlowRunFilter(
            deployment_id=FlowRunFilterDeploymentId(any_=list(self._names)),
            state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.SCHEDULED])),
        )
        with _quick_client() as client:
            # The server shows the next 200.
            for run in client.read_flow_runs(flow_run_filter=those, sort=FlowRunSort.NEXT_SCHEDULED_START_TIME_ASC):
                name = self._names[run.deployment_id] if run.deployment_id else run.name
                # Whoever started one may have named it.
                if run.auto_scheduled and run.name != name:
                    client.update_flow_run(run.id, name=name)

    def handle_sigterm(self, *args: Any, **kwargs: Any) -> None:
        """Cancel what runs, and end; told twice, end at once."""
        if self.is_ending:
            # Whoever insists may not want to wait for a server that is away.
            self.say("ended; Prefect may go on to show runs as active")
            os._exit(1)
        if not self.started:
            raise KeyboardInterrupt
        self.is_ending = True
        self.stopping = True
        self.execute_in_background(self._end)

    async def _end(self) -> None:
        self.say("stopping: active runs are cancelled (Ctrl-C again: do not wait for that)")
        await self.astop()
        # Otherwise those that had no process yet would be waited for; this task ends with the loop.
        while True:
            await asyncio.sleep(_AGAIN)
            await self.cancel_all()


async def _run(runner: _Runner, plan: list[Deployment], more: Callable[[], Sequence[Deployment]]) -> None:
    # ``nohup`` ignores it.
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, runner.handle_sigterm)
    adding = asyncio.create_task(asyncio.to_thread(_look_after, runner, plan, more))
    try:
        await runner.start()
    finally:
        runner.ended.set()
        await adding


def _look_after(runner: _Runner, plan: list[Deployment], more: Callable[[], Sequence[Deployment]]) -> None:
    """Register what could not be used before, and name what was scheduled; what fails is tried again."""
    left, told = list[Deployment](), set[str]()
    while not runner.ended.wait(_LOOK):
        try:
            found = more()
            # First of all: after an outage of the server, all are registered again.
            plan.extend(found)
            left += found
            while left:
                runner.register(left[0])
                runner.say(f"serving {_shown(left.pop(0))}, too")
            runner.name_runs()
        except Exception as error:
            said = f"{left[0].name if left else 'looking at what is scheduled'} is tried again: {error!r}"
            # One that is refused holds up no other.
            left = left[1:] + left[:1]
            # A run may have been deleted just now.
            if not (_is_outage(error) or isinstance(error, ObjectNotFound) or said in told):
                told.add(said)
                runner.say(in_a_line(said, _MESSAGE))


def _shown(deployment: Deployment) -> str:
    return f"{deployment.name} ({deployment.times})" if deployment.times else deployment.name


def _await_server(say: Callable[[str], None]) -> None:
    began, told = time.monotonic(), 0
    address = shown_address(PREFECT_API_URL.value() or "")
    where = f"waiting for Prefect's server at {address}"
    with _quick_client() as client:
        while (problem := client.api_healthcheck()) is not None:
            if isinstance(problem, httpx.UnsupportedProtocol) or _status(problem) in _REFUSALS:
                said = in_a_line(str(problem), _MESSAGE)
                raise ConfigError(f"Prefect's API is not at {address} ({said}); PREFECT_API_URL mostly ends with /api")
            minutes = int((time.monotonic() - began) / _MINUTE)
            if not told:
                say(f"{where} ({problem})")
                told = 1
            elif minutes >= told:
                say(f"still {where}, for {minutes:,} min ({problem})")
                told = minutes + 1
            time.sleep(_PAUSE)


@contextmanager
def _quick_client() -> Iterator[SyncPrefectClient]:
    """Prefect's own would try again for minutes before it says what is wrong."""
    with (
        temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}),
        get_client(httpx_settings={"timeout": _PATIENCE}, sync_client=True) as client,
    ):
        yield client


def _status(error: BaseException) -> int:
    return error.response.status_code if isinstance(error, httpx.HTTPStatusError) else 0


def _is_outage(error: BaseException) -> bool:
    """Whether the server did not answer, rather than that we asked for nonsense."""
    if isinstance(error, BaseExceptionGroup):
        return any(_is_outage(one) for one in error.exceptions)
    if status := _status(error):
        return status >= 500
    # Prefect's runner gives up with this one.
    gave_up = isinstance(error, RuntimeError) and "error threshold" in str(error)
    causes = [cause for cause in (error.__cause__, error.__context__) if cause is not None]
    return gave_up or isinstance(error, httpx.TransportError) or any(_is_outage(cause) for cause in causes)


def register(runner: Runner, deployment: Deployment) -> UUID:
    """Create or update a deployment, whose runs the runner starts, with the schedule of its dataset.yaml alone."""
    times = deployment.schedule
    schedules = []
    if times is not None:
        cron = CronSchedule(cron=times.cron, timezone=times.timezone)
        schedules.append(DeploymentScheduleCreate(schedule=cron, slug=SLUG))
    wanted = RunnerDeployment.from_entrypoint(
        deployment.entrypoint,
        deployment.dataset,
        schedules=schedules,
        parameters={"dataset": str(deployment.file)},
        tags=deployment.tags,
    )
    # Set, so that a deployment that workers ran is ours now.
    wanted.work_pool_name = None
    added = runner.add_deployment(wanted)
    assert isinstance(added, UUID)
    with get_client(sync_client=True) as client:
        # One that workers ran has none, and its runs would crash.
        client.update_deployment(added, DeploymentUpdate(path=str(Path.cwd())))
        # An update with fewer schedules leaves the others as they are.
        for schedule in client.read_deployment(added).schedules:
            if schedule.slug != SLUG or not schedules:
                client.delete_deployment_schedule(added, schedule.id)
    return added


def deploy(plan: Sequence[Deployment], pool: str, folder: Path, file: Path) -> None:
    """Write the ``prefect.yaml`` of the deployments, and apply it.

    Args:
        plan: what to deploy.
        pool: the name of an existing work pool.
        folder: where the runs start.
        file: where the text goes; a file that `goldleaf deploy` has not written is left alone.

    Raises:
        ConfigError: there is no such pool, or the file is somebody else's.
        GoldleafError: Prefect refuses.
    """
    with get_client(sync_client=True) as client:
        try:
            kind = client.read_work_pool(pool).type
        except ObjectNotFound as error:
            raise ConfigError(
                f"Prefect has no work pool '{pool}'; create it with `prefect work-pool create {pool} --type process`"
            ) from error
    # As the runs of ``serve`` do: they wait for a server that is away when they start, and when they are done. In a
    # container Python is elsewhere.
    retries = {PREFECT_CLIENT_MAX_RETRIES.name: str(PREFECT_CLIENT_MAX_RETRIES.value())}
    job = {"job_variables": {"command": _COMMAND, "env": retries}} if kind == "process" else {}
    text = prefect_yaml(plan, folder, file, {"name": pool, **job})
    first = text.split("\n", 1)[0]
    if file.exists() and first not in file.read_text(encoding="utf-8", errors="replace"):
        raise ConfigError(f"{file} was not written by `goldleaf deploy`; name another file with --to")
    with replacing(file) as sink:
        sink.write(text.encode())
    command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all", "--prefect-file", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    if done.returncode:
        raise GoldleafError(f"Prefect refuses {file}: {(done.stderr or done.stdout).strip()[-_MESSAGE:]}")
