"""Runs one contestant in a new process and measures it there: CPU, wall clock, memory, and what it found.

The parent calls ``measure``. The child calls ``serve``: it warms the contestant up on a tiny corpus, so that imports
and compilation are done, and then starts the clock. It imports no code of the product, since peers may have
another virtual environment.
"""

import argparse
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

Labels = npt.NDArray[np.int64]
HERE = Path(__file__).parent
_LONGEST_SECONDS = 3 * 3600
_MEASURED, _LABELS = "measured.json", "labels.npy"
_QUIET = {
    **dict.fromkeys(("HF_HUB_OFFLINE", "UV_OFFLINE", "PIP_NO_INDEX", "DO_NOT_TRACK"), "1"),
    "DAFT_ANALYTICS_ENABLED": "0",
}
"""Nothing is downloaded or reported meanwhile: data-juicer would install packages by itself."""


@dataclass(frozen=True)
class Job:
    """The input of a contestant."""

    parts: list[Path]
    """Parquet files with ``prompt`` and ``response``; rows are numbered across all of them."""
    scratch: Path
    """An empty folder, removed afterwards."""
    keep: Path
    """A folder that several jobs may share."""


@dataclass(frozen=True)
class Contestant:
    """A way to find duplicates."""

    title: str
    run: Callable[[Job], Labels | None]
    """Returns a label for each row, the same for rows of one cluster; None if it finds no clusters."""
    needs: tuple[str, ...] = ()
    """Modules it imports beyond numpy, polars, pyarrow and scipy."""
    install: str = ""
    """Arguments for pip if they are missing."""
    warm_up: Callable[[Job], object] | None = None
    """A way to warm up other than a run."""


@dataclass(frozen=True)
class Spent:
    """Time spent, in seconds."""

    user: float
    system: float
    """The kernel's part, mostly to allocate memory."""
    wall: float

    @property
    def cpu(self) -> float:
        """User and system time of the process and the children that it waited for."""
        return self.user + self.system


@dataclass(frozen=True)
class Measured(Spent):
    """The resources of a contestant's run."""

    memory: int
    """Peak resident size in MB of the largest process."""


class Failed(Exception):
    """A contestant failed."""


def interpreter(path: str) -> str:
    """An argument that names an interpreter."""
    if shutil.which(path) is None:
        raise argparse.ArgumentTypeError(f"there is no interpreter {path}; --help says how to make one with the peers")
    return path


@contextmanager
def folder() -> Iterator[Path]:
    """A temporary folder."""
    with tempfile.TemporaryDirectory(prefix="goldleaf-benchmark-") as path:
        yield Path(path)


# --- the child ------------------------------------------------------------------------------------
def serve(contestants: Mapping[str, Contestant]) -> None:
    """Run the contestant on the command line: ``NAME OUT KEEP WARM_FOLDER PART...``."""
    name, out, keep, warm = sys.argv[1], *map(Path, sys.argv[2:5])
    contestant, parts = contestants[name], list(map(Path, sys.argv[5:]))
    if warm.is_dir():
        with folder() as scratch, folder() as elsewhere:
            (contestant.warm_up or contestant.run)(Job(sorted(warm.glob("part-*.parquet")), scratch, elsewhere))
    with folder() as scratch:
        user, system = _cpu_seconds()
        wall = time.perf_counter()
        labels = contestant.run(Job(parts, scratch, keep))
        wall = time.perf_counter() - wall
        user_after, system_after = _cpu_seconds()
        measured = Measured(user_after - user, system_after - system, wall, _highest_memory())
    if labels is not None:
        np.save(out / _LABELS, labels)
    (out / _MEASURED).write_text(json.dumps(asdict(measured)), encoding="utf-8")


def _cpu_seconds() -> tuple[float, float]:
    """User and system time so far."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime for usage in used), sum(usage.ru_stime for usage in used)


def _highest_memory() -> int:
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    # Not our own ru_maxrss: it includes the parent's memory at the time of the fork.
    status = Path("/proc/self/status").read_text(encoding="ascii")
    own = int(status.split("VmHWM:")[1].split()[0])
    return max(own, children) // 1024


# --- the parent -----------------------------------------------------------------------------------
def measure(
    python: str, script: str, name: str, warm: Path, parts: Sequence[Path], keep: Path | None = None
) -> tuple[Measured, Labels | None]:
    """Run a contestant of a script in this folder in a new process.

    Args:
        python: the interpreter.
        script: a file that calls ``serve``.
        name: of the contestant.
        warm: the folder of a tiny corpus; if it does not exist, there is no warm-up.
        parts: the corpus.
        keep: a folder that several jobs share.

    Raises:
        Failed: with the last line of its output.
    """
    with folder() as out:
        run(_command(python, script, name, out, keep or out, warm, parts), out)
        measured = Measured(**json.loads((out / _MEASURED).read_text(encoding="utf-8")))
        labels = out / _LABELS
        return measured, np.load(labels) if labels.exists() else None


def measure_start_to_end(script: str, name: str, parts: Sequence[Path], environment: Mapping[str, str]) -> Spent:
    """Run a contestant like ``measure``, without a warm-up, and count the whole process, including imports."""
    with folder() as out:
        command = _command(sys.executable, script, name, out, out, out / "none", parts)
        spent = run(command, out, environment)
        return Spent(spent.user, spent.system, spent.wall)


def _command(
    python: str, script: str, name: str, out: Path, keep: Path, warm: Path, parts: Sequence[Path]
) -> list[str]:
    return [python, str(HERE / script), name, str(out), str(keep), str(warm), *map(str, parts)]


def run(command: Sequence[str], scratch: Path, environment: Mapping[str, str] | None = None) -> Measured:
    """Run a command to its end, including all processes that it starts. Its output goes to ``log.txt`` in scratch.

    Raises:
        Failed: it failed, or took longer than three hours.
    """
    places = {name: str(scratch / name.lower()) for name in ("HF_HOME", "DATA_JUICER_CACHE_HOME", "GOLDLEAF_HOME")}
    started, log = time.perf_counter(), scratch / "log.txt"
    with log.open("wb") as said:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            env={**os.environ, **_QUIET, **places, "TMPDIR": str(scratch), **(environment or {})},
            start_new_session=True,
        )
        signal.signal(signal.SIGALRM, _too_long)
        signal.alarm(_LONGEST_SECONDS)
        try:
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        finally:
            signal.alarm(0)
            # Processes that it left behind are in its group.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    if process.returncode:
        lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        raise Failed(f"exit code {process.returncode}: {lines[-1] if lines else 'no output'}")
    wall = time.perf_counter() - started
    # A child counts what its parent had at most when it began.
    return Measured(usage.ru_utime, usage.ru_stime, wall, usage.ru_maxrss // 1024)


def _too_long(*_: object) -> None:
    raise Failed(f"stopped after {_LONGEST_SECONDS} s")
