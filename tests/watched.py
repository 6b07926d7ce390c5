"""A progress that notes how far each step has come."""

from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.steps import Advance


class Watched:
    """Notes each step with its total and what was done of it."""

    def __init__(self) -> None:
        self.steps: list[tuple[str, int | None, int]] = []
        self.ways: list[list[int]] = []
        """What was done of each after every advance."""

    @contextmanager
    def step(self, label: str, total: int | None = None, unit: str = "") -> Iterator[Advance]:
        way = [0]

        def advance(units: int, note: str = "") -> None:
            way.append(way[-1] + units)

        yield advance
        self.steps.append((label, total, way[-1]))
        self.ways.append(way)

    def say(self, text: str) -> None:
        """Nothing is said."""
