"""Keeps a second process out of what another is using; the operating system frees a lock when its process dies."""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from pipeline.errors import Busy, StoreError
from schemas.user_code_errors import in_a_line

Waiting = Callable[[str], AbstractContextManager[object]]
"""Shows whom we are waiting for while we do."""
_MOST = 1_000
_PAUSE = 0.1
"""Seconds between attempts to get a lock."""
_GLANCE = 0.05
"""Seconds that whoever looks who holds a lock may keep it."""


class Turn:
    """How a run waits for others of its dataset, whichever of the locks they hold."""

    def __init__(
        self,
        seconds: float = 0.0,
        waiting: Waiting = nullcontext,
        alone: str = "",
        first: Callable[[], object] = lambda: None,
    ) -> None:
        """Begin to count the time.

        Args:
            seconds: how long it waits, in all.
            waiting: shows whom it waits for.
            alone: if not empty, at most one run that calls itself so waits for a lock: a second one would find the
                same work.
            first: called as soon as it holds its first lock; what it raises ends the run, which has done nothing yet.
        """
        self.waiting = waiting
        self.alone = alone
        self.began_at: datetime | None = None
        """When it held its first lock."""
        self._first = first
        self._end = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """Seconds that it still waits."""
        return max(0.0, self._end - time.monotonic())

    def begin(self) -> None:
        """Note that the run holds a lock."""
        if self.began_at is None:
            self._first()
            self.began_at = datetime.now(UTC)


TURN: ContextVar[Turn] = ContextVar("TURN")
"""How the current run waits; not at all, unless it is set."""


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

    The run's ``TURN`` may be to wait longer, and to show for whom.

    Raises:
        Busy: another process holds it for longer than our patience, or another one waits that will do our work.
        StoreError: the path is not a regular file but, say, a pipe, which could block us forever.
        OSError: the file system does not support locks.
    """
    turn = TURN.get(None) or Turn()
    patience, waiting = max(patience, turn.left), turn.waiting if waiting is nullcontext else waiting
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.exists() and not file.is_file():
        raise StoreError(f"{file} is not a regular file, so it cannot be the lock of '{dataset}'; move it away")
    # Whatever bytes it holds: they only say who is at work.
    with file.open("a+", encoding="utf-8", errors="replace") as lock:
        if not _is_ours(lock):
            with _alone(file, turn.alone, holder) as other:
                if other:
                    raise Busy(f"'{dataset}' is in use by {_holder(lock)}, and {other} waits for it already")
                with waiting(f"waiting for {_holder(lock)}") if patience else nullcontext():
                    if not _is_ours_within(lock, max(patience, _GLANCE)):
                        raise Busy(f"'{dataset}' is in use by {_holder(lock)}; {advice}")
        _sign(lock, holder)
        turn.begin()
        yield


@contextmanager
def _alone(file: Path, name: str, holder: str) -> Iterator[str]:
    """Keep others of this name from waiting for a lock, if there is a name; yields who waits for it already."""
    if not name:
        yield ""
        return
    with file.with_name(f"{file.stem}.next-{name}.lock").open("a+", encoding="utf-8", errors="replace") as place:
        if not _is_ours(place):
            yield _holder(place)
            return
        _sign(place, holder)
        yield ""


def _sign(lock: IO[str], holder: str) -> None:
    lock.truncate(0)
    lock.write(f"{holder}, process {os.getpid()}")
    lock.flush()


def holder_of(file: Path) -> str:
    """Who holds a lock; empty if it is free, or was never held."""
    if not file.is_file():
        return ""
    with file.open("r", encoding="utf-8", errors="replace") as lock:
        # Shared, so that two who look do not see each other.
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _holder(lock)
    return ""


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
