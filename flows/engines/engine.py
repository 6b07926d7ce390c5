"""What a flow runs on: a flow is written once, and the engine decides how its steps run."""

from collections.abc import Callable, Sequence
from typing import Any, ParamSpec, Protocol, TypeVar

from flows.engines.processes import Processes
from pipeline.steps import Progress, Silent, Steps, ignored

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


class Engine(Steps, Protocol):
    """How steps are run and how a run is made visible."""

    def run_with_retries(self, step: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run one step that talks to a server; the engine may retry it."""

    def emit(self, event: str, payload: dict[str, Any]) -> bool:
        """Announce an event, such as ``dataset.published``; False if whoever listens could not be reached."""

    def artifact(self, key: str, markdown: Callable[[], str]) -> None:
        """Store a page with the run; it is only written if there is a place for it."""


class Inline:
    """Runs every step immediately: no server, no waiting.

    A parallel step runs in ``workers`` processes, including this one.
    """

    def __init__(self, progress: Progress | None = None, workers: int = 1) -> None:
        self._progress = progress or Silent()
        self._processes = Processes(workers - 1)

    @property
    def progress(self) -> Progress:
        """Where steps report their progress."""
        return self._progress

    def run(self, step: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the step."""
        return step(*args, **kwargs)

    def run_with_retries(self, step: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the step once: at a terminal, an immediate error is better than a wait."""
        return step(*args, **kwargs)

    def map(self, step: Callable[[T], R], items: Sequence[T], done: Callable[[R], object] = ignored) -> list[R]:
        """Call the step on one item after the other."""
        results: list[R] = []
        for item in items:
            results.append(step(item))
            done(results[-1])
        return results

    def map_in_processes(
        self, step: Callable[[T], R], items: Sequence[T], done: Callable[[R], object] = ignored
    ) -> list[R]:
        """Call the step on one item after the other, in several processes if there is more than one item."""
        if len(items) > 1:
            return self._processes.map(step, items, done)
        self._processes.end()
        return self.map(step, items, done)

    def warm_up_processes(self, first: Callable[[], object]) -> None:
        """Start the worker processes."""
        self._processes.start(first)

    def emit(self, event: str, payload: dict[str, Any]) -> bool:
        """Do nothing: inline runs have no listeners."""
        return True

    def artifact(self, key: str, markdown: Callable[[], str]) -> None:
        """The command line prints its own tables."""
