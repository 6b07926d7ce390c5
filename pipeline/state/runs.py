"""Runs: each is one execution of a verb, and counts once it is committed."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Generic, TypeVar

import polars as pl

from schemas.run_summary import RunSummary, Verb

Summary = TypeVar("Summary", bound=RunSummary)
_A_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Run:
    """One execution of a verb; it counts once it is committed."""

    id: str
    verb: Verb
    config_digest: str
    started_at: datetime
    goldleaf: str


@dataclass(frozen=True)
class CommittedRun(Generic[Summary]):
    """A committed run."""

    id: str
    inputs: dict[str, int]
    """The version of each table that it read."""
    summary: Summary


def with_possible_times(runs: pl.DataFrame, now: datetime) -> pl.DataFrame:
    """Committed runs, oldest first, with times that can be: a clock may have been wrong.

    None has begun or ended after a later one ended, except beside a fine-tuning, which holds another lock. One that is
    a day behind those before it had a wrong clock itself, and says nothing about them.
    """
    ended, lock = pl.col("finished_at"), pl.col("verb") == Verb.FINETUNE.value
    before = pl.when(ended <= now).then(ended).cum_max().forward_fill()
    is_sound = (ended > before - _A_DAY).fill_null(value=True)
    bound = pl.when(is_sound).then(ended).cum_min(reverse=True).backward_fill().over(lock)
    finished_at = pl.min_horizontal(ended, bound)
    return runs.with_columns(finished_at=finished_at, started_at=pl.min_horizontal("started_at", finished_at))


def ahead_of(runs: pl.DataFrame, now: datetime) -> str:
    """Which run says that it was later than now, and what comes of it; empty if none does."""
    found = runs.filter(pl.col("finished_at") > now).tail(1)
    if found.is_empty():
        return ""
    run, at = found.select("run", "finished_at").row(0)
    return (
        f"run {run} ended at {at:%F %T} UTC by its clock, which is later than now ({now:%F %T}): that clock was wrong, "
        "or this one is; what the run did counts, its time does not, and the next run puts it right"
    )
