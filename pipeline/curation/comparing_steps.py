"""Shows the progress of comparing texts: as one step, or where they are many, as one for each pass over them."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from pipeline.similarity.search import Map
from pipeline.steps import Steps

T = TypeVar("T")
R = TypeVar("R")
_FEW = 8
"""Shards of texts that are compared in a few seconds: those of 100,000 rows."""


@contextmanager
def comparing(steps: Steps, shards: int, what: str) -> Iterator[Map]:
    """What runs the passes over so many shards of texts while they are compared; ``what`` is done if they are few."""
    if shards > _FEW:
        yield _shown(steps)
        return
    with steps.progress.step(what):
        yield lambda step, items, what: steps.map(step, items)


def _shown(steps: Steps) -> Map:
    def each(step: Callable[[T], R], items: Sequence[T], what: str, /) -> list[R]:
        with steps.progress.step(what, len(items), "parts") as advance:
            return steps.map(step, items, lambda _: advance(1))

    return each
