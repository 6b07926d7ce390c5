"""Takes honest rows out of a set, each for one planted fault at most, and writes down what was planted."""

import hashlib
import json
import random
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Generic, Protocol, Self, TypeVar

Row = TypeVar("Row")


class Planted(Protocol):
    """A line to be, and what is planted in it."""

    plant: str | None
    detail: str | None
    usable: bool

    @property
    def original(self) -> Self | None:
        """The row that this one repeats or contradicts."""

    def line(self) -> bytes:
        """Return the raw line, without its newline."""


Line = TypeVar("Line", bound=Planted)


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


def lines_and_truth(rows: list[Line], true_values: Callable[[Line], Mapping[str, Any]]) -> tuple[bytes, bytes]:
    """Return the content of a file of JSON lines, and of its truth file: per line what is planted and what is true."""
    number = {id(row): at for at, row in enumerate(rows, start=1)}
    truth = (
        {
            "line": number[id(row)],
            "sha256": hashlib.sha256(row.line()).hexdigest(),
            "planted": [row.plant] if row.plant else [],
            "detail": row.detail,
            **true_values(row),
            "usable": row.usable,
            "original_line": number[id(row.original)] if row.original else None,
        }
        for row in rows
    )
    return (
        b"".join(row.line() + b"\n" for row in rows),
        "".join(json.dumps(entry) + "\n" for entry in truth).encode(),
    )
