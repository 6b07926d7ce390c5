"""Processes that are forked from one that has imported what the verbs need: a test that kills some starts dozens."""

import importlib
import multiprocessing
import os
import signal
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import forkserver
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

PROCESSES = multiprocessing.get_context("forkserver")
# There is one server for all contexts of this kind, and the last list that it was given counts: this is the only one.
PROCESSES.set_forkserver_preload(["prepared_process"])


@dataclass(frozen=True)
class Point:
    """A call in the midst of which a process dies."""

    module: str
    name: str
    """A function, or a class and its method."""
    when: str
    """``before`` or ``after`` the call."""
    nth: int


def process(target: Callable[..., object], *args: object) -> BaseProcess:
    """A process of its own, which begins once it is started."""
    with pytest.MonkeyPatch.context() as patch:
        # The server would miss the module silently.
        patch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep)
        forkserver.ensure_running()
    return PROCESSES.Process(target=target, args=args)


def die_at(point: Point) -> None:
    """Let this process be killed there."""
    owner = importlib.import_module(point.module)
    *path, attribute = point.name.split(".")
    for part in path:
        owner = getattr(owner, part)
    real, calls = getattr(owner, attribute), 0

    def deadly(*args: object, **kwargs: object) -> object:
        nonlocal calls
        calls += 1
        mine = calls == point.nth
        if mine and point.when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        result = real(*args, **kwargs)
        if mine:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(owner, attribute, deadly)


def command(*args: str, environment: dict[str, str], killed_at: Point | None = None) -> str:
    """Run a command in a process of its own and return what it prints; with ``killed_at`` it must die there."""
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder, "out"), Path(folder, "err")
        running = process(_run, args, environment, killed_at, out, err)
        running.start()
        running.join()
        assert running.exitcode == (-signal.SIGKILL if killed_at else 0), err.read_text(encoding="utf-8")
        return out.read_text(encoding="utf-8")


def command_killed(*args: str, environment: dict[str, str], after: float) -> bool:
    """Kill a command some seconds after it has begun; whether it was still at work."""
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder, "out"), Path(folder, "err")
        running = process(_run, args, environment, None, out, err)
        running.start()
        running.join(after)
        running.kill()
        running.join()
        assert running.exitcode in (0, -signal.SIGKILL), err.read_text(encoding="utf-8")
        return running.exitcode != 0


def _run(args: tuple[str, ...], environment: dict[str, str], killed_at: Point | None, out: Path, err: Path) -> None:
    os.environ.update(environment)
    for path, stream in ((out, sys.stdout), (err, sys.stderr)):
        with path.open("wb") as file:
            os.dup2(file.fileno(), stream.fileno())
    from flows.cli.main import app

    if killed_at:
        die_at(killed_at)
    app(list(args))
