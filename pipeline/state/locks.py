"""Keeps a second process out of what another is using; the operating system frees a lock when its process dies."""

import fcntl
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import IO

from pipeline.errors import Busy, StoreError
from schemas.user_code_errors import in_a_line

Waiting = Callable[[str], AbstractContextManager[object]]
"""Shows whom we are waiting for while we do."""
_PROCESS = re.compile(r"process (\d{1,9})$")
_MOST = 1_000
_PAUSE = 0.1
"""Seconds between attempts to get a lock."""


@contextmanager
def held(
    file: Path, dataset: str, holder: str, advice: str, patience: float = 0.0, waiting: Waiting = nullcontext
) -> Iterator[None]:
    """Hold a lock.

    Args:
        file: the lock; its content tells others who holds it.
        dataset: what is in use meanwhile.
        holder: who we are.
        advice: what to do if it is taken.
        patience: seconds to wait for another process that holds it.
        waiting: shows whom we wait for.

    Raises:
        Busy: another process holds it for longer than our patience.
        StoreError: the path is not a regular file but, say, a pipe, which could block us forever.
        OSError: the file system does not support locks.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.exists() and not file.is_file():
        raise StoreError(f"{file} is not a regular file, so it cannot be the lock of '{dataset}'; move it away")
    # Whatever bytes it holds: they only say who is at work.
    with file.open("a+", encoding="utf-8", errors="replace") as lock:
        if not _is_ours(lock):
            with waiting(f"waiting for {_holder(lock)}") if patience else nullcontext():
                if not _is_ours_within(lock, patience):
                    raise Busy(f"'{dataset}' is in use by {_holder(lock)}; {advice}")
        lock.truncate(0)
        lock.write(f"{holder}, process {os.getpid()}")
        lock.flush()
        yield


def is_at_work(file: Path) -> bool:
    """Whether the process that last took a lock still runs on this machine.

    The lock itself is not tried: that would keep a process out that takes it at this moment.
    """
    try:
        found = _PROCESS.search(file.read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return False
    try:
        os.kill(int(found[1]), 0) if found else None
    except ProcessLookupError:
        return False
    except PermissionError:
        # It is another user's.
        return True
    return found is not None


def _is_ours(lock: IO[str]) -> bool:
    """Take a lock if it is free."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_ours_within(lock: IO[str], patience: float) -> bool:
    end = time.monotonic() + patience
    while not (ours := _is_ours(lock)) and time.monotonic() < end:
        time.sleep(_PAUSE)
    return ours


def _holder(lock: IO[str]) -> str:
    lock.seek(0)
    return in_a_line(lock.read(_MOST)) or "another process"
