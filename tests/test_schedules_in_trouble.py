"""Schedules on a real Prefect server where something is wrong: the server is away, or one of the files is broken."""

import contextlib
import os
import signal
import socket
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from cli_shop import ROWS
from prefect.client.orchestration import SyncPrefectClient
from prefect.runner import Runner
from prefect.workers.process import ProcessWorker
from scheduled import ALONE, TIMES, Team, free_port, log_of, state_of, wait_until
from support import write_dataset

from flows.deploy import serving
from flows.deploy.deployments import Deployment
from flows.deploy.serving import register
from schemas.run_summary import Verb


class Forwarder(socketserver.ThreadingTCPServer):
    """The server's second address."""

    daemon_threads = allow_reuse_address = True

    def __init__(self, port: int, to: str) -> None:
        host, _, there = to.removeprefix("http://").partition("/")[0].partition(":")
        super().__init__(("127.0.0.1", port), socketserver.BaseRequestHandler)
        self._to = (host, int(there))

    def finish_request(self, request: Any, client_address: Any) -> None:
        with socket.create_connection(self._to) as other:
            back = threading.Thread(target=self._copy, args=(other, request))
            back.start()
            self._copy(request, other)
            back.join()

    @staticmethod
    def _copy(source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def there(port: int, url: str) -> Iterator[None]:
    """The server can be reached by that port, too."""
    with Forwarder(port, url) as forwarder:
        threading.Thread(target=forwarder.serve_forever, daemon=True).start()
        yield
        forwarder.shutdown()


def until(text: str, process: subprocess.Popen[str], said: list[str]) -> None:
    """Read what a process says up to a line."""
    while not said or text not in said[-1]:
        assert process.stdout
        said.append(process.stdout.readline())
        assert said[-1] and "as crashed" not in said[-1], "".join(said)


def test_a_run_that_starts_while_the_server_is_away_waits_for_it(
    team: Team, prefect: SyncPrefectClient, prefect_url: str
) -> None:
    runner = Runner(name="test", pause_on_shutdown=False)
    run = prefect.create_flow_run_from_deployment(register(runner, team.plan()[Verb.CURATE]))
    port = free_port()
    with team.start(run.id, f"http://127.0.0.1:{port}/api") as process:
        assert process.stderr
        said = []
        while "is away" not in (line := process.stderr.readline()):
            said.append(line)
            assert line, "".join(said)
        with there(port, prefect_url):
            said.append(process.stderr.read())
            assert process.wait(120) == 0, "".join(said)
    assert state_of(prefect, run.id).name == "Completed"
    assert team.context.store.snapshot().runs.height == 1


def test_a_run_that_a_worker_starts_while_the_server_is_away_waits_for_it(
    team: Team, prefect: SyncPrefectClient, prefect_url: str
) -> None:
    pool = {"name": "away", "type": "process", "base_job_template": ProcessWorker.get_default_base_job_template()}
    prefect._client.post("/work_pools/", json=pool).raise_for_status()
    assert team.deploy("--pool", "away").returncode == 0
    port, at_once = free_port(), {"PREFECT_WORKER_QUERY_SECONDS": "1", "PYTHONUNBUFFERED": "1"}
    mine = {"PREFECT_API_URL": f"http://127.0.0.1:{port}/api", "GOLDLEAF_HOME": str(team.folder / "home")}
    command, said = [sys.executable, "-m", "prefect", "worker", "start", "--pool", "away"], list[str]()
    streams: Any = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with there(port, prefect_url):
        worker = subprocess.Popen(command, cwd=team.folder, env=ALONE | at_once | mine, process_group=0, **streams)
        curate = prefect.read_deployment_by_name(f"curate/{team.context.dataset.config.name}")
        run = prefect.create_flow_run_from_deployment(curate.id)
        until("submitted to infrastructure", worker, said)
    try:
        until("is away", worker, said)
        with there(port, prefect_url):
            until("Finished in state Completed()", worker, said)
    finally:
        os.killpg(worker.pid, signal.SIGKILL)
        worker.communicate()
    assert curate.job_variables["env"] == {"PREFECT_CLIENT_MAX_RETRIES": "8"}
    wait_until(lambda: state_of(prefect, run.id).is_completed())
    assert team.context.store.snapshot().runs.height == 1


def test_a_dataset_that_workers_ran_can_be_served(team: Team, prefect: SyncPrefectClient) -> None:
    pool = {"name": "before", "type": "process", "base_job_template": ProcessWorker.get_default_base_job_template()}
    prefect._client.post("/work_pools/", json=pool).raise_for_status()
    assert team.deploy("--pool", "before").returncode == 0
    deployment = register(Runner(name="test", pause_on_shutdown=False), team.plan()[Verb.CURATE])
    assert prefect.read_deployment(deployment).path == str(Path.cwd()), "without one its runs crash"


@pytest.mark.parametrize(
    ("written", "wait", "why"),
    [
        ("nonsense: 1", None, "dataset.yaml:2: 'nonsense' is not a known key"),
        ("", "soon", "wait: 'soon' is not a duration; write a number and its unit, such as 45s, 30m or 2h"),
    ],
)
def test_a_run_that_cannot_do_its_work_says_why_in_a_line(
    team: Team, prefect: SyncPrefectClient, prefect_url: str, written: str, wait: str | None, why: str
) -> None:
    runner = Runner(name="test", pause_on_shutdown=False)
    deployment = register(runner, team.plan()[Verb.CURATE])
    team.file.write_text(team.file.read_text().replace("\n", f"\n{written}\n", 1))
    run = prefect.create_flow_run_from_deployment(deployment, parameters={"wait": wait})
    with team.start(run.id, prefect_url) as process:
        _, said = process.communicate(timeout=120)
    state = state_of(prefect, run.id)
    assert state.name == "Failed" and why in str(state.message)
    assert "Traceback" not in said and "Traceback" not in "\n".join(log_of(prefect, str(run.id)))


def test_a_command_that_fails_on_prefect_says_so_in_one_line(team: Team, prefect_url: str) -> None:
    (team.folder / "data.jsonl").unlink()
    done = subprocess.run(
        team.command("curate", "--json"),
        cwd=team.folder, env=os.environ | {"PREFECT_API_URL": prefect_url}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stderr == f"error: source 'examples': {team.folder}/data.jsonl does not exist; correct its path\n"


@pytest.mark.parametrize("command", ["serve", "curate"])
def test_an_address_that_is_not_the_api_is_told_in_one_line(team: Team, prefect_url: str, command: str) -> None:
    address = prefect_url.removesuffix("/api")
    environment = os.environ | {"PREFECT_API_URL": address}
    done = subprocess.run(
        team.command(command), cwd=team.folder, env=environment, capture_output=True, text=True, check=False
    )
    [line] = done.stderr.splitlines()
    assert line.startswith("error: Prefect") and address in line and "404" in line and "PREFECT_API_URL" in line


def broken_beside(team: Team) -> Path:
    """Another dataset.yaml, with a schedule and a mistake."""
    other = team.folder / "other"
    other.mkdir()
    write_dataset(other, ROWS, TIMES)
    file = other / "dataset.yaml"
    name = f"{team.context.dataset.config.name}-too"
    file.write_text(file.read_text().replace("name: questions", f"name: {name}\nnonsense: 1"))
    return file


def test_one_broken_file_stops_no_other_from_being_served_and_is_served_once_it_is_right(
    team: Team, prefect: SyncPrefectClient
) -> None:
    file = broken_beside(team)
    command = team.command("serve", str(file), str(team.file))
    with subprocess.Popen(command, cwd=team.folder, stderr=subprocess.PIPE, text=True, process_group=0) as process:
        try:
            assert process.stderr
            said = [process.stderr.readline() for _ in range(2)]
            assert said[0].startswith(f"{file} is left out: {file}:2: 'nonsense' is not a known key")
            assert said[1].startswith("serving curate/") and "-too" not in said[1]
            file.write_text(file.read_text().replace("nonsense: 1\n", ""))
            while "serving curate/" not in (line := process.stderr.readline()) or "-too (0 2 * * *" not in line:
                assert line
            name = f"curate/{team.context.dataset.config.name}-too"
            wait_until(lambda: name in {f"curate/{one.name}" for one in prefect.read_deployments()})
        finally:
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == 0, process.stderr and process.stderr.read()


def test_what_is_served_later_is_tried_until_the_server_has_it_and_one_that_it_refuses_stops_no_other(
    team: Team, prefect: SyncPrefectClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    errors = [httpx.ConnectError("away for a moment"), RuntimeError("no\nroom"), RuntimeError("no\nroom")]
    said, looks = list[str](), [[team.plan()[verb] for verb in (Verb.CURATE, Verb.RELEASE)], *([[]] * 9)]

    class Hindered(serving._Runner):
        def register(self, deployment: Deployment) -> None:
            if errors and deployment.verb is Verb.CURATE:
                raise errors.pop(0)
            super().register(deployment)

    def more() -> list[Deployment]:
        if len(looks) == 1:
            runner.ended.set()
        return looks.pop(0)

    runner, plan = Hindered(said.append), list[Deployment]()
    monkeypatch.setattr(serving, "_LOOK", 0)
    serving._look_after(runner, plan, more)
    name = team.context.dataset.config.name
    assert said == [
        f"serving release/{name}, too",
        f"curate/{name} is tried again: RuntimeError('no\\nroom')",
        f"serving curate/{name} (0 2 * * * Europe/Berlin), too",
    ]
    assert prefect.read_deployment_by_name(f"curate/{name}").schedules and len(plan) == 2


def test_one_broken_file_stops_no_other_from_being_deployed_and_is_named(
    team: Team, prefect: SyncPrefectClient
) -> None:
    file = broken_beside(team)
    work_pool = {"name": "beside", "type": "process", "base_job_template": {}}
    prefect._client.post("/work_pools/", json=work_pool).raise_for_status()
    done = team.deploy("--pool", "beside", str(file), str(team.file))
    assert done.returncode == 1
    assert f"{file} is left out: {file}:2: 'nonsense' is not a known key" in done.stderr
    assert f"error: all others are deployed, but not {file}; correct it" in done.stderr
    assert f"curate/{team.context.dataset.config.name}  0 2 * * * Europe/Berlin" in done.stdout
    assert prefect.read_deployment_by_name(f"curate/{team.context.dataset.config.name}").schedules
