"""The engine that runs steps as Prefect tasks, with retries, events and artifacts.

Importing Prefect takes two seconds, so only what runs on it imports this module.
"""

import functools
import json
import logging
import re
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any, ParamSpec, Self, TypeVar
from uuid import NAMESPACE_OID, uuid5

import httpx
from prefect import task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State, TaskRun
from prefect.events import Event, Resource
from prefect.server.api.server import SubprocessASGIServer
from prefect.settings import PREFECT_API_URL
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner
from prefect.tasks import Task
from prefect.utilities.callables import get_call_parameters

from flows.engines.processes import Processes
from pipeline.errors import ConfigError, GoldleafError, Unreachable
from pipeline.steps import Progress, Silent

if TYPE_CHECKING:
    from prefect_dask.task_runners import DaskTaskRunner

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

_PATIENCE_S = 10.0
_RETRY_DELAYS_S = [2.0, 10.0]


class PrefectEngine:
    """Runs steps as tasks of the current Prefect flow; ``map`` runs at most ``workers`` of them at a time.

    A context manager: it ends the workers that it has started.
    """

    def __init__(self, progress: Progress | None = None, *, workers: int = 2, dask: str | None = None) -> None:
        self._progress = progress or Silent()
        self._workers = workers
        self._dask = dask
        self._processes = Processes(workers - 1)
        self._open = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *problem: object) -> None:
        self._processes.end()
        self._open.close()

    @property
    def progress(self) -> Progress:
        """Where steps report their progress."""
        return self._progress

    def run(self, step: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run the step as a task without retries; it is local work, so an error would only recur."""
        return _task(step)(*args, **kwargs)

    def run_with_retries(self, step: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run the step as a task that is retried if its server does not answer."""
        patient = _task(step).with_options(
            retries=len(_RETRY_DELAYS_S), retry_delay_seconds=_RETRY_DELAYS_S, retry_condition_fn=_may_pass
        )
        return patient(*args, **kwargs)

    def map(
        self, step: Callable[[T], R], items: Sequence[T], done: Callable[[R], object] = lambda result: None
    ) -> list[R]:
        """Run the step for every item as a task on a thread pool, or on Dask workers."""
        work = _task(step)
        futures = [self._runner.submit(work, get_call_parameters(work.fn, (item,), {})) for item in items]
        results: list[R] = []
        for future in futures:
            results.append(future.result())
            done(results[-1])
        return results

    def map_in_processes(
        self, step: Callable[[T], R], items: Sequence[T], done: Callable[[R], object] = lambda result: None
    ) -> list[R]:
        """Run the step for every item in processes of this machine, all together as one task, or on Dask workers."""
        if self._dask is not None or len(items) <= 1:
            self._processes.end()
            return self.map(step, items, done)

        def all_of_them() -> list[R]:
            return self._processes.map(step, items, done)

        return _task(all_of_them, _name(step))()

    def warm_up_processes(self, first: Callable[[], object]) -> None:
        """Start the worker processes; Dask's are started by the first task."""
        if self._dask is None:
            self._processes.start(first)

    @cached_property
    def _runner(self) -> TaskRunner[Any]:
        # Not the flow's own runner: its type and width are fixed before the flow has read its dataset.yaml.
        if self._dask is None:
            return self._open.enter_context(ThreadPoolTaskRunner(max_workers=self._workers))
        runner = _dask_runner(self._dask, self._workers)
        try:
            self._open.enter_context(runner)
            # Otherwise it would only connect with the first task.
            _ = runner.client
            return runner
        except (OSError, TimeoutError) as error:
            raise Unreachable(
                f"no Dask scheduler answers at {self._dask} ({error}); start it there (`dask scheduler`), fix "
                "engine.dask, or drop it"
            ) from error

    def emit(self, event: str, payload: dict[str, Any]) -> bool:
        """Send a Prefect event that automations and deployments can wait for; one that is sent again is the same.

        Not by Prefect's own queue, which does not say whether an event has arrived.
        """
        resource = {"prefect.resource.id": f"goldleaf.dataset.{payload['dataset']}"}
        known_by = uuid5(NAMESPACE_OID, json.dumps([event, payload], sort_keys=True))
        told = Event(id=known_by, event=event, resource=Resource(resource), payload=payload)
        is_heard = False
        with _optional(f"the event {event}"), get_client(sync_client=True) as client:
            client.request("POST", "/events", json=[told.model_dump(mode="json")]).raise_for_status()
            is_heard = True
        return is_heard

    def artifact(self, key: str, markdown: Callable[[], str]) -> None:
        """Create a markdown artifact; a stable key gives it a history."""
        with _optional(f"the artifact {key}"):
            create_markdown_artifact(markdown=markdown(), key=re.sub(r"[^a-z0-9-]+", "-", key.lower()))


@contextmanager
def _optional(what: str) -> Iterator[None]:
    """Let nothing that only tells of a run end it: it is committed, whether the server answers or not."""
    try:
        yield
    except (httpx.HTTPError, OSError) as error:
        logging.getLogger(__name__).warning("%s is missing, as Prefect's server does not take it: %s", what, error)


def _dask_runner(dask: str, workers: int) -> "DaskTaskRunner":
    try:
        from prefect_dask.task_runners import DaskTaskRunner
    except ImportError as error:
        raise ConfigError(
            f"engine.dask is '{dask}', but Dask is not installed; run `pip install 'goldleaf[dask]'`, or drop it"
        ) from error
    # Its workers come and go; a user at a terminal need not know.
    logging.getLogger("distributed").setLevel(logging.WARNING)
    if dask != "local":
        return DaskTaskRunner(address=dask, client_kwargs={"timeout": f"{_PATIENCE_S:g}s"})
    # One thread each, since the kernels and polars use their own.
    return DaskTaskRunner(
        cluster_kwargs={"n_workers": workers, "threads_per_worker": 1, "processes": True, "dashboard_address": None}
    )


def start_server() -> None:
    """Start Prefect's temporary server, which stops when this process ends; a configured one must answer.

    Prefect would start it by itself, but then Ctrl-C, which the terminal sends to the whole process
    group, stops it too: the client then tried for 74 s to report the interruption.

    Raises:
        Unreachable: it does not start, or the configured one does not answer.
    """
    if url := PREFECT_API_URL.value():
        _require_answer(url)
        return
    # The server inherits the mask; it is stopped with SIGTERM.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        SubprocessASGIServer().start()
    except RuntimeError as error:
        raise Unreachable(f"{error} Name a server with PREFECT_API_URL, or use --engine inline.") from error
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def _require_answer(url: str) -> None:
    """Ask once: a flow would try for 15 seconds, and end in a traceback."""
    with get_client(httpx_settings={"timeout": _PATIENCE_S}, sync_client=True) as client:
        problem = client.api_healthcheck()
    if problem is not None:
        raise Unreachable(
            f"Prefect does not answer at {url} ({problem}); start it there (`prefect server start`), "
            "fix PREFECT_API_URL, or use --engine inline"
        )


def _task(step: Callable[P, R], name: str = "") -> Task[P, R]:
    # Steps take paths and small models and are idempotent by design: hashing their
    # inputs for a cache would cost more than it saves.
    return task(name=name or _name(step), cache_policy=NO_CACHE, persist_result=False)(step)


def _name(step: Callable[..., object]) -> str:
    function = step.func if isinstance(step, functools.partial) else step
    return str(function.__name__).strip("_")


async def _may_pass(task: Task[..., Any], run: TaskRun, state: State[Any]) -> bool:
    """Only a server that does not answer may do so later; a refusal will not change."""
    try:
        await state.aresult(raise_on_failure=True)
    except Unreachable:
        return True
    except GoldleafError:
        return False
    return False
