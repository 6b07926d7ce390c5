"""Takes honest rows out of a set, so that each is used for one planted fault at most."""

import random
from collections.abc import Callable, Iterator, Mapping
from typing import Generic, TypeVar

Row = TypeVar("Row")


class Honest(Generic[Row]):
    """The honest rows of a set in random order, and those that are still free of faults."""

    def __init__(self, rows: list[Row], rng: random.Random) -> None:
        self.free = rows[:]
        rng.shuffle(self.free)

    def take(self, suits: Callable[[Row], bool] = lambda row: True) -> Row:
        """Remove and return the next honest row that suits."""
        row = next(row for row in self.free if suits(row))
        self.free.remove(row)
        return row


def each(counts: Mapping[str, int]) -> Iterator[str]:
    """Every form of a fault as often as it is planted."""
    return (form for form, times in counts.items() for _ in range(times))
