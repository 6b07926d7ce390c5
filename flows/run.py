"""Run: all four verbs in order, with the annotations so far."""

from collections.abc import Callable, Iterator
from typing import Any

from pydantic import BaseModel

from flows.context import Context


def run_all(context: Context, verb: Callable[..., Any]) -> Iterator[tuple[str, BaseModel]]:
    """Curate, collect, release and fine-tune, and yield each result as soon as it is available.

    Without a Label Studio there is nothing to collect, and that step is skipped.

    Args:
        context: the dataset.
        verb: runs a verb by its name on the chosen engine.
    """
    yield "curate", verb("curate")
    if context.connection is not None:
        yield "collect", verb("collect")
    yield "release", verb("release")
    yield "finetune", verb("finetune")
