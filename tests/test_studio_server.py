"""The local Label Studio: started, refused, found dead, and stopped."""

import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil
import pytest

from flows.local.studio_server import LocalStudio
from pipeline.errors import ConfigError, LabelStudioError
from pipeline.review.label_studio import LabelStudio
from pipeline.state.atomic import unfinished

CACHE = Path.home() / ".cache" / "goldleaf"
VENV = Path(__file__).parent.parent / ".venv-label-studio"

STAND_IN = """#!/bin/sh
# Simulates the first start of Label Studio, whose migrations take a minute.
echo started >> {calls}
{body}
"""


def pid_of(studio: LocalStudio) -> int:
    return int(json.loads((studio.data / "running.json").read_bytes())["pid"])


def stand_in(folder: Path, body: str) -> Path:
    """A venv whose label-studio is a small script; returns it."""
    venv = folder / "venv"
    (venv / "lib/python3.11/site-packages/label_studio-9.9.9.dist-info").mkdir(parents=True)
    (venv / "bin").mkdir()
    program = venv / "bin" / "label-studio"
    program.write_text(STAND_IN.format(calls=folder / "calls", body=body))
    program.chmod(0o755)
    return venv


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]


def test_it_runs_with_a_user_of_its_own_whose_secrets_only_the_owner_can_read(label_studio: LocalStudio) -> None:
    with LabelStudio(label_studio.url, label_studio.token) as client:
        assert client.check() == label_studio.username
    for name in ("credentials.json", "running.json", ".env"):
        assert stat.S_IMODE((label_studio.data / name).stat().st_mode) == 0o600
    assert stat.S_IMODE(label_studio.data.stat().st_mode) == 0o700


def test_a_second_start_on_the_same_data_is_refused_with_the_address(label_studio: LocalStudio) -> None:
    second = LocalStudio(VENV, label_studio.data, CACHE)
    with pytest.raises(
        LabelStudioError, match=rf"is already running on .*, at {label_studio.url} \(process \d+\); use that"
    ):
        second.start()
    assert httpx.get(f"{label_studio.url}/health").is_success


def test_after_a_kill_it_starts_again_with_its_data_secrets_and_address(tmp_path: Path) -> None:
    said: list[str] = []
    first = LocalStudio(VENV, tmp_path / "data", CACHE, say=said.append)
    with first:
        with LabelStudio(first.url, first.token) as client:
            project = client.open_project("Kept", "marker-1", "<View/>", "…")
        os.kill(pid_of(first), signal.SIGKILL)
        psutil.Process(pid_of(first)).wait(10)
        with LocalStudio(VENV, tmp_path / "data", CACHE) as second:
            assert (second.url, second.token) == (first.url, first.token)
            with LabelStudio(second.url, second.token) as client:
                assert client.find_project("marker-1") == project
            server = psutil.Process(pid_of(second))
        assert not server.is_running()
    assert said[-1] == f"starting Label Studio at {first.url}"


def test_two_servers_share_no_secret(label_studio: LocalStudio, tmp_path: Path) -> None:
    with LocalStudio(VENV, tmp_path / "data", CACHE) as other:
        secrets = [
            (studio.token, studio.password, (studio.data / ".env").read_text()) for studio in (label_studio, other)
        ]
        with pytest.raises(LabelStudioError, match="refuses the token"):
            LabelStudio(other.url, label_studio.token).check()
    assert all(one != two for one, two in zip(*secrets, strict=True))


def test_sigterm_to_us_stops_the_server(tmp_path: Path) -> None:
    program = (
        "import sys, signal; from pathlib import Path; from flows.local.studio_server import LocalStudio\n"
        "with LocalStudio(*map(Path, sys.argv[1:])) as studio:\n"
        "    print(studio.url, flush=True); signal.pause()\n"
    )
    data = tmp_path / "data"
    arguments = [sys.executable, "-c", program, str(VENV), str(data), str(CACHE)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, cwd=VENV.parent) as ours:
        assert ours.stdout is not None
        assert ours.stdout.readline().startswith(b"http://127.0.0.1:")
        server = psutil.Process(json.loads((data / "running.json").read_bytes())["pid"])
        ours.terminate()
        assert ours.wait(30) == 128 + signal.SIGTERM
    assert not server.is_running()
    assert not (data / "running.json").exists()


def test_a_server_that_dies_ends_the_command_that_started_it_with_what_it_said_last(tmp_path: Path) -> None:
    """It went on as if nothing was; annotators saw an address that did not answer."""
    where = {"GOLDLEAF_HOME": str(tmp_path), "GOLDLEAF_LABEL_STUDIO_VENV": str(VENV), "GOLDLEAF_CACHE": str(CACHE)}
    command = [sys.executable, "-m", "flows.cli", "label-studio", "--json"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, text=True, env=os.environ | where, cwd=VENV.parent, **pipes) as ours:
        assert ours.stdout is not None
        url = json.loads("".join(iter(ours.stdout.readline, "}\n")) + "}")["url"]
        os.kill(int(json.loads((tmp_path / ".label-studio" / "running.json").read_bytes())["pid"]), signal.SIGKILL)
        _, errors = ours.communicate(timeout=60)
    assert ours.returncode == 1
    assert f"error: Label Studio at {url} has ended (exit status -9): annotators cannot answer until" in errors
    assert not (tmp_path / ".label-studio" / "running.json").exists()


def test_a_port_that_is_asked_for_and_taken_is_refused(tmp_path: Path, taken_port: int) -> None:
    studio = LocalStudio(stand_in(tmp_path, "touch label_studio.sqlite3"), tmp_path / "data", tmp_path, port=taken_port)
    with pytest.raises(ConfigError, match=f"port {taken_port} is taken by another program; choose another with --port"):
        studio.start()


def test_without_label_studio_it_says_how_to_install_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"there is no Label Studio in .*/nowhere; `make label-studio` in the clone"):
        LocalStudio(tmp_path / "nowhere", tmp_path / "data", tmp_path).start()


def test_a_server_that_ends_at_once_is_quoted(tmp_path: Path) -> None:
    venv = stand_in(tmp_path, '[ "$1" = version ] && touch label_studio.sqlite3 || { echo no luck today; exit 3; }')
    with pytest.raises(LabelStudioError, match=r"exited while starting; .*server\.log says: no luck today"):
        LocalStudio(venv, tmp_path / "data", tmp_path / "cache").start()
    assert not (tmp_path / "data" / "running.json").exists()


def test_the_half_copied_database_of_a_killed_start_is_removed(tmp_path: Path) -> None:
    venv = stand_in(tmp_path, '[ "$1" = version ] && touch label_studio.sqlite3 || exit 3')
    left = unfinished(tmp_path / "data")
    left.parent.mkdir()
    left.write_bytes(b"half a database")
    os.utime(left, (0, 0))
    with pytest.raises(LabelStudioError, match="exited while starting"):
        LocalStudio(venv, tmp_path / "data", tmp_path / "cache").start()
    assert not left.exists() and (tmp_path / "data" / "label_studio.sqlite3").exists()


def test_a_failed_migration_leaves_no_template(tmp_path: Path) -> None:
    venv = stand_in(tmp_path, "touch label_studio.sqlite3; echo disk full; exit 1")
    with pytest.raises(LabelStudioError, match=r"could not prepare its database; .*says: disk full"):
        LocalStudio(venv, tmp_path / "data", tmp_path / "cache").start()
    assert not list((tmp_path / "cache").iterdir())


def test_two_sessions_that_start_at_once_migrate_once(tmp_path: Path) -> None:
    venv = stand_in(tmp_path, '[ "$1" = version ] || exit 3; echo x > label_studio.sqlite3')

    def start(name: str) -> str:
        with pytest.raises(LabelStudioError, match="exited while starting") as caught:
            LocalStudio(venv, tmp_path / name, tmp_path / "cache").start()
        return str(caught.value)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(start, ["one", "two"]))
    migrations = re.findall("started", (tmp_path / "calls").read_text())
    assert len(migrations) == 3, "one migration and two servers"
    assert (tmp_path / "cache" / "label-studio-9.9.9.sqlite3").read_text() == "x\n"
    assert all((tmp_path / name / "label_studio.sqlite3").exists() for name in ("one", "two"))
