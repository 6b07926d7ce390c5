"""How a run waits for others of its dataset, and when a scheduled one has nothing left to do."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

import polars as pl

from flows.context import Context
from pipeline.errors import Needless
from pipeline.state.locks import TURN, Turn
from pipeline.steps import Progress
from schemas.durations import seconds_of
from schemas.run_summary import Verb


@contextmanager
def waiting(
    context: Context, verb: str, wait: str, progress: Progress, due_at: datetime | None = None
) -> Iterator[None]:
    """Let a run wait for others of its dataset, whichever lock they hold.

    Args:
        context: the dataset.
        verb: what it does.
        wait: how long, in all.
        progress: shows for whom.
        due_at: when a schedule wanted it; then another one that waits, or began later and is committed, does its work.

    Raises:
        Needless: the scheduled run has nothing left to do.
        ValueError: ``wait`` is no duration.
    """
    turn = Turn(seconds_of(wait), progress.step, verb, due_at, lambda latest: _require_need(context, verb, latest))
    token = TURN.set(turn)
    try:
        yield
    finally:
        TURN.reset(token)


def _require_need(context: Context, verb: str, due_at: datetime) -> None:
    """Refuse what a run that began after this one was due has done: it has read what was there.

    Raises:
        Needless: there is such a run.
    """
    later = context.store.snapshot().runs_that_did(Verb(verb)).filter(pl.col("started_at") >= due_at)
    if later.height:
        run, began_at = later.select("run", "started_at").row(-1)
        raise Needless(
            f"run {run} of '{context.dataset.config.name}' began at {began_at:%F %T} UTC, after this {verb} was due "
            f"({due_at:%F %T} UTC), and has done its work"
        )
