"""Schedules on a real Prefect server where something is wrong: the server is away, or one of the files is broken."""

import contextlib
import signal
import socket
import socketserver
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from cli_shop import ROWS
from prefect.client.orchestration import SyncPrefectClient
from prefect.runner import Runner
from support import write_dataset
from test_schedules_on_prefect import (
    ALONE,
    ROOT,
    TIMES,
    Team,
    free_port,
    prefect,
    state_of,
    team,
    url,
    wait_until,
)

from flows.deploy.serving import register
from schemas.run_summary import Verb

__all__ = ["prefect", "team", "url"]


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


def test_a_run_that_starts_while_the_server_is_away_waits_for_it(
    team: Team, prefect: SyncPrefectClient, url: str
) -> None:
    runner = Runner(name="test", pause_on_shutdown=False)
    run = prefect.create_flow_run_from_deployment(register(runner, team.plan()[Verb.CURATE]))
    port = free_port()
    away = {"PREFECT_API_URL": f"http://127.0.0.1:{port}/api", "PREFECT__FLOW_RUN_ID": str(run.id)}
    command = [sys.executable, str(ROOT / "flows" / "deploy" / "start.py")]
    told = {"PREFECT_LOGGING_LEVEL": "DEBUG", "GOLDLEAF_HOME": str(team.folder / "home")}
    with subprocess.Popen(
        command, cwd=team.folder, env=ALONE | told | away, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stderr
        said = []
        while "is away" not in (line := process.stderr.readline()):
            said.append(line)
            assert line, "".join(said)
        with Forwarder(port, url) as forwarder:
            threading.Thread(target=forwarder.serve_forever, daemon=True).start()
            said.append(process.stderr.read())
            assert process.wait(120) == 0, "".join(said)
            forwarder.shutdown()
    assert state_of(prefect, run.id).name == "Completed"
    assert team.context.store.snapshot().runs.height == 1


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
    quick = "from flows.deploy import serving; serving._MORE = 0.1; from flows.cli.main import app; app()"
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); {quick}"
    command = [sys.executable, "-c", code, "serve", str(file), str(team.file)]
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
