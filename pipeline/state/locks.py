"""Keeps a second process out of what another is using; the operating system frees a lock when its process dies."""

import fcntl
import math
import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from pipeline.errors import Busy, StoreError, Stuck
from pipeline.state.lock_holders import Holder, beating, end, read_holder, sign

Waiting = Callable[[str], AbstractContextManager[object]]
"""Shows whom we are waiting for while we do."""
WAITS = ".next-"
"""In the name of the file that who waits for a lock holds."""
_PAUSE = 0.1
"""Seconds between attempts to get a lock."""
_LOOK = 1.0
"""Seconds between two looks whether a holder is to be ended."""
_GLANCE = 0.05
"""Seconds that whoever looks who holds a lock may keep it."""


class Turn:
    """How a run waits for others of its dataset, whichever of the locks they hold."""

    def __init__(
        self,
        seconds: float = 0.0,
        waiting: Waiting = nullcontext,
        verb: str = "",
        due_at: datetime | None = None,
        first: Callable[[datetime], object] = lambda due_at: None,
        most: Callable[[str], float] = lambda holder: math.inf,
        say: Callable[[str], object] = lambda text: None,
    ) -> None:
        """Begin to count the time.

        Args:
            seconds: how long it waits, in all.
            waiting: shows whom it waits for.
            verb: what it does.
            due_at: when a schedule wanted it. Then at most one run of the verb waits for a lock, and the others leave
                their work to it.
            first: called as soon as a scheduled run holds its first lock, with the latest time at which it, or one
                that has left its work to it, was due. What it raises ends the run, which has done nothing yet.
            most: how many seconds a holder may hold a lock, before a scheduled run that waits for it ends it.
            say: told of that.
        """
        self.waiting = waiting
        self.verb = verb
        self.due_at = due_at
        self.began_at: datetime | None = None
        """When it held its first lock."""
        self._first = first
        self._most = most
        self._say = say
        self._end = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """Seconds that it still waits."""
        return max(0.0, self._end - time.monotonic())

    def end_overlong(self, lock: IO[str], file: Path) -> None:
        """End who holds a lock, if a scheduled run has waited for it for too long."""
        holder = read_holder(lock)
        if self.due_at is not None and holder.seconds > self._most(holder.who) and end(holder, file):
            self._say(f"{holder.who} was ended: it held the dataset for {holder.seconds / 60:,.0f} min (max_run)")

    def begin(self) -> None:
        """Note that the run holds a lock."""
        if self.began_at is None:
            if self.due_at is not None:
                self._first(self.due_at)
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
    opened = os.open(file, os.O_RDWR | os.O_CREAT, 0o666)
    with os.fdopen(opened, "r+", encoding="utf-8", errors="replace") as lock:
        if not _is_ours(lock):
            with _alone(file, turn, holder) as other:
                if other:
                    raise Busy(f"'{dataset}' is in use by {_holder(lock)}, and {other} waits for it already")
                with waiting(f"waiting for {_holder(lock)}") if patience else nullcontext():
                    if not _is_ours_within(lock, max(patience, _GLANCE), lambda: turn.end_overlong(lock, file)):
                        raise _busy(dataset, read_holder(lock), advice)
        sign(lock, holder)
        turn.begin()
        with beating(lock):
            yield


def _busy(dataset: str, holder: Holder, advice: str) -> Busy:
    if stuck := holder.stuck(datetime.now(UTC)):
        return Stuck(f"'{dataset}' is in use by {holder.who}, which {stuck}")
    return Busy(f"'{dataset}' is in use by {holder.who}; {advice}")


@contextmanager
def _alone(file: Path, turn: Turn, holder: str) -> Iterator[str]:
    """Let one scheduled run of a verb wait for a lock; yields who waits already and does the work of this one, too.

    The time of the file is the latest at which one of them was due.
    """
    if turn.due_at is None:
        yield ""
        return
    path = file.with_name(f"{file.stem}{WAITS}{turn.verb}.lock")
    with path.open("a+", encoding="utf-8", errors="replace") as place:
        due_at = turn.due_at.timestamp()
        if not _is_ours(place):
            os.utime(path, (due_at, max(due_at, path.stat().st_mtime)))
            yield _holder(place)
            return
        sign(place, holder)
        os.utime(path, (due_at, due_at))
        yield ""
        turn.due_at = max(turn.due_at, datetime.fromtimestamp(path.stat().st_mtime, UTC))


def holder_of(file: Path) -> Holder | None:
    """Who holds a lock; None if it is free, or was never held."""
    if not file.is_file():
        return None
    with file.open("r", encoding="utf-8", errors="replace") as lock:
        # Shared, so that two who look do not see each other.
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return read_holder(lock)
    return None


def _is_ours(lock: IO[str]) -> bool:
    """Take a lock if it is free."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_ours_within(lock: IO[str], patience: float, look: Callable[[], object]) -> bool:
    limit, looked = time.monotonic() + patience, -math.inf
    while not (ours := _is_ours(lock)) and time.monotonic() < limit:
        if time.monotonic() > looked + _LOOK:
            look()
            looked = time.monotonic()
        time.sleep(_PAUSE)
    return ours


def _holder(lock: IO[str]) -> str:
    return read_holder(lock).who
