"""Who holds a lock: what the lock says about its process, whether that shows a sign of life, and how to end it."""

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO

from schemas.user_code_errors import in_a_line

SILENT = timedelta(minutes=10)
"""A holder without a sign of life for so long hangs, or was stopped."""
_BEAT = 60.0
"""Seconds between two signs of life: the last line of the lock's file, and its time."""
_MOST = 1_000
_GRACE = 10.0
"""Seconds that a process has to end by itself."""
_LOOK = 0.1
_ANYBODY = "another process"


@dataclass(frozen=True)
class Holder:
    """What a lock says about who holds it."""

    who: str
    """``goldleaf curate, process 12 on host``."""
    process: int = 0
    """0 if it does not say."""
    host: str = ""
    boot: str = ""
    """Which machine that is, and since when it runs: two can have one name, and a restart begins the seconds anew."""
    began: float = 0.0
    """When it took the lock, in seconds that the machine was awake: no clock that is set changes it."""
    beat_at: datetime | None = None
    """Its last sign of life, by a clock that somebody may have set."""
    beat: float = 0.0
    """The same, in seconds that the machine was awake."""

    @property
    def seconds(self) -> float:
        """How long it has held the lock; 0 if it is on another machine."""
        return time.monotonic() - self.began if self.began and self.boot == _boot() else 0.0

    def stuck(self, now: datetime) -> str:
        """That it shows no sign of life, and what to do; empty if it does."""
        if self.beat_at is None:
            return ""
        is_ours = self.beat > 0 and self.boot == _boot()
        if (timedelta(seconds=time.monotonic() - self.beat) if is_ours else now - self.beat_at) < SILENT:
            return ""
        how = f"`kill -9 {self.process}` on {self.host}" if self.process else "end it"
        return f"has shown no sign of life since {self.beat_at:%F %T} UTC: it hangs or was stopped; {how} frees it"


def sign(lock: IO[str], who: str) -> None:
    """Say in a lock's file that we hold it."""
    lock.seek(0)
    lock.truncate()
    lock.write(f"{who}, process {os.getpid()} on {socket.gethostname()}\n{_boot()}\n{time.monotonic()}\n")
    lock.flush()


def _boot() -> str:
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return socket.gethostname()


def read_holder(lock: IO[str]) -> Holder:
    """Who holds a lock, by its file, whatever bytes that has."""
    lock.seek(0)
    who, _, rest = lock.read(_MOST).partition("\n")
    process, _, host = who.rpartition(", process ")[2].partition(" on ")
    boot, _, times = rest.partition("\n")
    began = beat = 0.0
    with suppress(ValueError):
        began, beat = (float(line) for line in (times.split() * 2)[:2])
    beat_at = datetime.fromtimestamp(os.fstat(lock.fileno()).st_mtime, UTC)
    if not (process.isascii() and process.isdigit() and host):
        # An older Goldleaf, which gives no sign of life.
        return Holder(in_a_line(who) or _ANYBODY)
    return Holder(in_a_line(who), int(process), in_a_line(host), boot, began, beat_at, beat)


@contextmanager
def beating(lock: IO[str]) -> Iterator[None]:
    """Show in a lock's file, which is signed, from time to time that this process is alive."""
    ended, signed = threading.Event(), os.fstat(lock.fileno()).st_size

    def beat() -> None:
        while not ended.wait(_BEAT):
            with suppress(OSError):
                os.pwrite(lock.fileno(), f"{time.monotonic():.3f}\n".encode(), signed)

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        # Its number may be another file's afterwards.
        thread.join()


def end(holder: Holder, file: Path) -> bool:
    """End a process of this machine, if it is indeed the one that holds a lock; returns whether it was.

    It is asked first, also if it was stopped: then it says that it has ended, and why.
    """
    if holder.host != socket.gethostname() or holder.process == os.getpid() or not _holds(holder.process, file):
        return False
    with suppress(ProcessLookupError, PermissionError):
        os.kill(holder.process, signal.SIGTERM)
        os.kill(holder.process, signal.SIGCONT)
        if not _lets_go(holder.process, file):
            os.kill(holder.process, signal.SIGKILL)
    return _lets_go(holder.process, file)


def _lets_go(process: int, file: Path) -> bool:
    limit = time.monotonic() + _GRACE
    while (holds := _holds(process, file)) and time.monotonic() < limit:
        time.sleep(_LOOK)
    return not holds


def _holds(process: int, file: Path) -> bool:
    """Whether the system says so: numbers of processes are used again, and containers have their own."""
    mine = {"FLOCK", str(process)}
    with suppress(OSError):
        inode = str(file.stat().st_ino)
        lines = [line.split() for line in Path("/proc/locks").read_text(encoding="ascii").splitlines()]
        return any(mine <= set(line[1:5]) and line[-3].rpartition(":")[2] == inode for line in lines if len(line) > 7)
    return False
