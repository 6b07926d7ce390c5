"""How the steps of a run are executed and shown; the engines in flows implement these interfaces."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import ParamSpec, Protocol, TypeVar

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


class Advance(Protocol):
    """Called as a step's work is done."""

    def __call__(self, units: int, note: str = "") -> None:
        """So many more units are done; the note replaces the last one beside the step's label.

        Whoever gives notes tells the time left in them, once it is known: a log shows no other one beside them.
        """


class Progress(Protocol):
    """Shows the user how far a run is."""

    def step(self, label: str, total: int | None = None, unit: str = "") -> AbstractContextManager[Advance]:
        """Show a step while it runs; ``total`` is the number of units, if known, and ``unit`` their name."""

    def say(self, text: str) -> None:
        """Show a permanent line."""


class Silent:
    """Discards all progress."""

    @contextmanager
    def step(self, label: str, total: int | None = None, unit: str = "") -> Iterator[Advance]:
        """Show nothing."""
        yield lambda units, note="": None

    def say(self, text: str) -> None:
        """Show nothing."""


def ignored(result: object) -> None:
    """Ignore the result."""


class Steps(Protocol):
    """Runs steps in this process, or as tasks on other machines; the calling code is the same."""

    @property
    def progress(self) -> Progress:
        """Where steps report their progress."""

    def run(self, step: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run one step and return its result."""

    def map(self, step: Callable[[T], R], items: Sequence[T], done: Callable[[R], object] = ignored) -> list[R]:
        """Run a step on every item, in parallel if the engine can; results in the items' order.

        ``done`` is called with each result, in this order, as soon as it is available.
        """

    def map_in_processes(
        self, step: Callable[[T], R], items: Sequence[T], done: Callable[[R], object] = ignored
    ) -> list[R]:
        """The same for a step of pure Python code, which keeps at most one core busy."""

    def warm_up_processes(self, first: Callable[[], object]) -> None:
        """Many items will be mapped in processes: start them in the background, and let each do something first."""
