"""How the steps of a run are carried out and shown; the engines in flows are such."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import ParamSpec, Protocol, TypeVar

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


def ignored(result: object) -> None:
    """Nobody waits for single results."""


class Steps(Protocol):
    """Runs steps here and now, or as tasks on other machines; the code that calls them is the same."""

    @property
    def progress(self) -> Progress:
        """Where steps report to."""

    def run(self, step: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run one step and return its result."""

    def map(self, step: Callable[[T], R], items: Sequence[T], done: Callable[[R], object] = ignored) -> list[R]:
        """Run a step on every item, side by side where the engine can; results in the items' order.

        ``done`` is told each result in this order, as soon as it is there.
        """

    def map_in_processes(
        self, step: Callable[[T], R], items: Sequence[T], done: Callable[[R], object] = ignored
    ) -> list[R]:
        """The same for a step that is Python code, and so keeps no more than one core busy by itself."""

    def warm_up_processes(self, first: Callable[[], object]) -> None:
        """There will be much to map in processes: start them in the background, and let each do something first."""
