"""Keeps a second process out of what one is at; the operating system frees a lock when its process dies."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.errors import Busy, StoreError
from schemas.own_code import in_a_line

_MOST = 1_000


@contextmanager
def held(file: Path, dataset: str, holder: str, advice: str) -> Iterator[None]:
    """Hold a lock.

    Args:
        file: the lock; it tells others who holds it.
        dataset: what is in use meanwhile.
        holder: who we are.
        advice: what somebody who finds it taken should do.

    Raises:
        Busy: another process holds it.
        StoreError: what is there is no file, such as a pipe, which could keep us waiting for ever.
        OSError: the file system has no locks.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.exists() and not file.is_file():
        raise StoreError(f"{file} is no file, and only a file can be the lock of '{dataset}'; move it away")
    # Whatever bytes it holds: it only says who is at work.
    with file.open("a+", encoding="utf-8", errors="replace") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.seek(0)
            who = in_a_line(lock.read(_MOST)) or "another process"
            raise Busy(f"'{dataset}' is in use by {who}; {advice}") from error
        lock.truncate(0)
        lock.write(f"{holder}, process {os.getpid()}")
        lock.flush()
        yield
