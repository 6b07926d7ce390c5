"""Worker processes for steps of pure Python code: threads would wait for the GIL."""

import gc
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from typing import Generic, TypeVar

import loky

T = TypeVar("T")
R = TypeVar("R")
_IDLE_SECONDS = 60
"""Seconds without work after which workers end by themselves."""
_LOOK_SECONDS = 0.5


class Processes:
    """A pool of workers that starts when there will be work, and ends afterwards."""

    def __init__(self, beside: int) -> None:
        """Take the number of processes in addition to this one, which works too."""
        self._beside = beside
        self._pool: loky.ProcessPoolExecutor | None = None

    def start(self, first: Callable[[], object] | None = None) -> None:
        """Start them in the background, if they are not running yet; each runs ``first`` before it takes work."""
        if self._pool is None and self._beside:
            # Not the standard library's: it would rerun the caller's script in every worker.
            first_of_all = (os.getpid(), first, gc.isenabled())
            pool = loky.ProcessPoolExecutor(
                self._beside, timeout=_IDLE_SECONDS, initializer=_begin, initargs=first_of_all
            )
            pool.submit(len, ())
            self._pool = pool

    def map(self, step: Callable[[T], R], items: Sequence[T], done: Callable[[R], object]) -> list[R]:
        """Run a step on every item; results in the items' order, ``done`` is called with each."""
        self.start()
        work = _Work(self._pool, step, items)
        told = 0
        try:
            for _ in range(self._beside):
                work.hand_over()
            while work.take():
                while work.has(told):
                    done(work.result(told))
                    told += 1
            results = [work.result(number) for number in range(len(items))]
            for number in range(told, len(items)):
                done(results[number])
            return results
        except BaseException:
            # Their current work is not needed, and a user who has interrupted us does not want to wait for it.
            work.stop()
            self.end(at_once=True)
            raise
        finally:
            self.end()

    def end(self, *, at_once: bool = False) -> None:
        """End them, if they are running: when they have nothing to do, or immediately."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, kill_workers=at_once)
            self._pool = None


def _begin(parent: int, first: Callable[[], object] | None, collects_garbage: bool) -> None:
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    # A terminal sends Ctrl-C to all processes; the parent ends this one. A KeyboardInterrupt here is a task's own.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if not collects_garbage:
        gc.disable()
    if first is not None:
        first()


def _end_with(parent: int) -> None:
    """End this process once the one that started it is gone, even by kill -9."""
    while os.getppid() == parent:
        time.sleep(_LOOK_SECONDS)
    os._exit(1)


class _Work(Generic[T, R]):
    """Items, of which each process takes the next one as soon as it is free."""

    def __init__(self, pool: "loky.ProcessPoolExecutor | None", step: Callable[[T], R], items: Sequence[T]) -> None:
        self._pool = pool
        self._step = step
        self._items = items
        self._lock = threading.Lock()
        self._waiting = deque(range(len(items)))
        self._elsewhere: dict[int, Future[R]] = {}
        self._here: dict[int, R] = {}

    def hand_over(self, _: object = None) -> None:
        """Give the next item to a worker, and so on whenever one is done."""
        with self._lock:
            if self._pool is None or not self._waiting:
                return
            number = self._waiting.popleft()
            try:
                future = self._pool.submit(self._step, self._items[number])
            except BrokenProcessPool:
                self._waiting.appendleft(number)
                return
            self._elsewhere[number] = future
        future.add_done_callback(self.hand_over)

    def take(self) -> bool:
        """Run the next item here; False if there is none."""
        with self._lock:
            number = self._waiting.popleft() if self._waiting else None
        if number is None:
            return False
        self._here[number] = self._step(self._items[number])
        return True

    def has(self, number: int) -> bool:
        """Whether the result of an item is available."""
        return number in self._here or (number in self._elsewhere and self._elsewhere[number].done())

    def result(self, number: int) -> R:
        """Wait for the result of an item."""
        # A worker may have been killed, perhaps for its memory: then this process must do the work.
        with suppress(BrokenProcessPool):
            if number in self._elsewhere:
                return self._elsewhere[number].result()
        if number not in self._here:
            self._here[number] = self._step(self._items[number])
        return self._here[number]

    def stop(self) -> None:
        """Hand out no more items."""
        with self._lock:
            self._waiting.clear()
