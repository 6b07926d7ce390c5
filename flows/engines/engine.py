"""What a flow runs on: a story is told once, over an engine, and an engine decides how its steps run."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, ParamSpec, Protocol, TypeVar

from flows.engines.processes import Processes

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

Advance = Callable[[int], None]
"""Told how many more units of a step's work are done."""


class Progress(Protocol):
    """Shows people how far a run is."""

    def step(self, label: str, total: int | None = None, unit: str = "") -> AbstractContextManager[Advance]:
        """Show a step while it runs; ``total`` is the number of units, where it is known, and ``unit`` names them."""

    def say(self, text: str) -> None:
        """Show a line that stays."""


class Silent:
    """Progress that nobody watches."""

    @contextmanager
    def step(self, label: str, total: int | None = None, unit: str = "") -> Iterator[Advance]:
        """Show nothing."""
        yield lambda units: None

    def say(self, text: str) -> None:
        """Show nothing."""


def _nothing(result: object) -> None:
    """Nobody waits for single results."""


class Engine(Protocol):
    """How steps are run and how a run is made visible."""

    @property
    def progress(self) -> Progress:
        """Where steps report to."""

    def run(self, step: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run one step and return its result."""

    def call(self, step: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run one step that talks to a server; it is tried again where the engine can."""

    def map(self, step: Callable[[T], R], items: Sequence[T], done: Callable[[R], object] = _nothing) -> list[R]:
        """Run a step on every item, side by side where the engine can; results in the items' order.

        ``done`` is told each result in this order, as soon as it is there.
        """

    def spread(self, step: Callable[[T], R], items: Sequence[T], done: Callable[[R], object] = _nothing) -> list[R]:
        """The same for a step that is Python code, and so keeps no more than one core busy by itself."""

    def expect(self, first: Callable[[], object]) -> None:
        """There will be much to spread: start in the background what that needs, and let it do something first."""

    def emit(self, event: str, payload: dict[str, Any]) -> None:
        """Tell the world that something happened, such as ``dataset.published``."""

    def artifact(self, key: str, markdown: str) -> None:
        """Keep a page that people read beside the run."""


class Inline:
    """Runs every step here and now: no server, no waiting.

    A step that is spread runs in ``workers`` processes, this one among them.
    """

    def __init__(self, progress: Progress | None = None, workers: int = 1) -> None:
        self._progress = progress or Silent()
        self._processes = Processes(workers - 1)

    @property
    def progress(self) -> Progress:
        """Where steps report to."""
        return self._progress

    def run(self, step: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the step."""
        return step(*args, **kwargs)

    def call(self, step: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the step once: at a terminal, an error now is better than a wait."""
        return step(*args, **kwargs)

    def map(self, step: Callable[[T], R], items: Sequence[T], done: Callable[[R], object] = _nothing) -> list[R]:
        """Call the step on one item after the other."""
        results: list[R] = []
        for item in items:
            results.append(step(item))
            done(results[-1])
        return results

    def spread(self, step: Callable[[T], R], items: Sequence[T], done: Callable[[R], object] = _nothing) -> list[R]:
        """Call the step on one item after the other, in several processes if there is more than one item."""
        if len(items) > 1:
            return self._processes.map(step, items, done)
        self._processes.end()
        return self.map(step, items, done)

    def expect(self, first: Callable[[], object]) -> None:
        """Start the worker processes."""
        self._processes.start(first)

    def emit(self, event: str, payload: dict[str, Any]) -> None:
        """Nobody listens inline."""

    def artifact(self, key: str, markdown: str) -> None:
        """The command line prints its own tables."""
