"""A real Prefect server, and a dataset with schedules for it, in a folder where a team has modules of its own."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from cli_shop import ROWS
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import State
from support import offline, write_dataset

from flows.context import Context
from flows.deploy.deployments import Deployment, planned
from schemas.run_summary import Verb

ROOT = Path(__file__).parent.parent
TIMES = 'schedules: {timezone: Europe/Berlin, wait: 60s, curate: 0 2 * * *, collect: "*/5 * * * *"}\n'
ALONE = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT")}


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@contextlib.contextmanager
def prefect_server(home: Path) -> Iterator[str]:
    """A server with all its services, which schedules runs within a second."""
    port = free_port()
    services = {f"PREFECT_SERVER_SERVICES_{name}_LOOP_SECONDS": "0.5" for name in ("SCHEDULER", "LATE_RUNS")}
    quiet = {"PREFECT_SERVER_ANALYTICS_ENABLED": "false", "DO_NOT_TRACK": "1", "PREFECT_HOME": str(home)}
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    with (home / "log").open("w") as log:
        process = subprocess.Popen(command, env=ALONE | services | quiet, stdout=log, stderr=log)
        address = f"http://127.0.0.1:{port}/api"
        try:
            for _ in range(600):
                with contextlib.suppress(httpx.TransportError):
                    if httpx.get(f"{address}/health", timeout=5).is_success:
                        break
                assert process.poll() is None, (home / "log").read_text()
                time.sleep(0.2)
            else:
                pytest.fail("the server did not start within two minutes")
            yield address
        finally:
            process.terminate()
            process.wait(60)


class Team:
    """A dataset with a schedule, in a folder where a team has modules of its own."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.file = folder, folder / "dataset.yaml"
        write_dataset(folder, ROWS, TIMES)
        name = re.sub(r"[^a-z0-9]+", "-", folder.name.lower())
        self.file.write_text(self.file.read_text().replace("name: questions", f"name: {name}"))
        for package in ("pipeline", "schemas"):
            (folder / package).mkdir()
            (folder / package / "__init__.py").write_text("raise RuntimeError('the team has its own')\n")
        (folder / "flows.py").write_text("raise RuntimeError('the team has its own')\n")
        monkeypatch.chdir(folder)
        for setting in ("LABEL_STUDIO_URL", "LABEL_STUDIO_API_KEY"):
            monkeypatch.setenv(setting, "")
        monkeypatch.setenv("GOLDLEAF_HOME", str(folder / "home"))

    @property
    def context(self) -> Context:
        return Context.load(self.file, offline(self.folder / "home"))

    def plan(self) -> dict[Verb, Deployment]:
        return {one.verb: one for one in planned([self.context])}

    def command(self, *args: str) -> list[str]:
        quick = "from flows.deploy import serving; serving._LOOK = 0.2" if args[0] == "serve" else "pass"
        code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); {quick}; from flows.cli.main import app; app()"
        return [sys.executable, "-c", code, *args]

    def deploy(self, *args: str) -> subprocess.CompletedProcess[str]:
        command = self.command("deploy", *args)
        return subprocess.run(command, capture_output=True, text=True, check=False, cwd=self.folder)

    def start(self, run: UUID, url: str) -> subprocess.Popen[str]:
        """The process of a run, as serve and workers start it."""
        told = {"PREFECT_LOGGING_LEVEL": "DEBUG", "GOLDLEAF_HOME": str(self.folder / "home")}
        mine = {"PREFECT_API_URL": url, "PREFECT__FLOW_RUN_ID": str(run)}
        command = [sys.executable, str(ROOT / "flows" / "deploy" / "start.py")]
        streams: Any = {"stderr": subprocess.PIPE, "stdout": subprocess.DEVNULL}
        return subprocess.Popen(command, cwd=self.folder, env=ALONE | told | mine, text=True, **streams)

    @contextlib.contextmanager
    def serve(self) -> Iterator[subprocess.Popen[str]]:
        """`goldleaf serve`, which looks for runs every second."""
        quick = os.environ | {"PREFECT_RUNNER_POLL_FREQUENCY": "1"}
        with subprocess.Popen(
            self.command("serve"), cwd=self.folder, env=quick, stderr=subprocess.PIPE, text=True, process_group=0
        ) as process:
            try:
                yield process
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)


def wait_until(condition: Callable[[], bool]) -> None:
    assert happens(condition, 120)


def happens(condition: Callable[[], bool], seconds: float) -> bool:
    """Whether a condition comes true in time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True


def runs_of(prefect: SyncPrefectClient, deployment: UUID, now: float | None = None) -> list[dict[str, Any]]:
    """The runs of a deployment that are due."""
    query = {"deployments": {"id": {"any_": [str(deployment)]}}}
    now = now or time.time()
    found: list[dict[str, Any]] = prefect._client.post("/flow_runs/filter", json=query).raise_for_status().json()
    return [run for run in found if datetime.fromisoformat(run["expected_start_time"]).timestamp() <= now]


def due(prefect: SyncPrefectClient, deployment: UUID) -> list[dict[str, Any]]:
    return [run for run in runs_of(prefect, deployment) if run["state"]["type"] == "SCHEDULED"]


def state_of(prefect: SyncPrefectClient, run: UUID) -> State[Any]:
    state = prefect.read_flow_run(run).state
    assert state
    return state


def log_of(prefect: SyncPrefectClient, run: str) -> list[str]:
    query = {"logs": {"flow_run_id": {"any_": [run]}}, "sort": "TIMESTAMP_ASC"}
    return [line["message"] for line in prefect._client.post("/logs/filter", json=query).raise_for_status().json()]
