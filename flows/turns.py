"""How a run waits for others of its dataset, and when a scheduled one has nothing left to do."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import polars as pl

from flows.context import Context
from pipeline.errors import Busy, ConfigError, Needless, Stuck
from pipeline.releases.versions import version_folders
from pipeline.state.at_work import verb_of
from pipeline.state.locks import TURN, Turn
from pipeline.state.tries import note_done, note_skipped
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

    What becomes of it is noted.

    Raises:
        Needless: the scheduled run has nothing left to do.
        Stuck: it was skipped, as others before it, and somebody has to look why.
        ConfigError: ``wait`` is no duration.
    """
    began_at = datetime.now(UTC)
    try:
        patience = seconds_of(wait)
    except ValueError as error:
        raise ConfigError(f"wait: {error}") from error
    try:
        with _turn(context, verb, patience, progress, due_at):
            yield
    except (Busy, Needless) as error:
        if due_at is not None:
            tries = note_skipped(context.store, verb, str(error), datetime.now(UTC))
            if told := tries.told(timedelta(seconds=patience)):
                raise Stuck(f"{verb} of '{context.dataset.config.name}' was {told}") from error
        raise
    note_done(context.store, verb, began_at)


@contextmanager
def _turn(context: Context, verb: str, patience: float, progress: Progress, due_at: datetime | None) -> Iterator[None]:
    if due_at is not None and verb == Verb.FINETUNE and not version_folders(context.store.releases):
        # It looks for the version before it takes its turn.
        raise Needless(f"'{context.dataset.config.name}' has no published version yet, so there is nothing to train on")
    schedules = context.dataset.config.schedules
    turn = Turn(
        patience,
        progress.step,
        verb,
        due_at,
        lambda latest: _require_need(context, verb, latest),
        lambda holder: schedules.longest(verb_of(holder)),
        progress.say,
    )
    token = TURN.set(turn)
    try:
        yield
    finally:
        TURN.reset(token)


def _require_need(context: Context, verb: str, due_at: datetime) -> None:
    """Refuse what a run that began after this one was due has done, since that has read what was there; and what
    nothing is there for yet.

    Raises:
        Needless: there is such a run, or nothing is curated yet.
    """
    snapshot, name = context.store.snapshot(), context.dataset.config.name
    if verb in (Verb.COLLECT, Verb.RELEASE, Verb.COMPACT) and not snapshot.runs_that_did(Verb.CURATE).height:
        raise Needless(f"'{name}' has not been curated yet, so there is nothing to {verb}")
    later = snapshot.runs_that_did(Verb(verb)).filter(pl.col("started_at") >= due_at)
    # One that is later than now says nothing: a clock was wrong.
    later = later.filter(pl.col("started_at") <= datetime.now(UTC))
    if later.height:
        run, began_at = later.select("run", "started_at").row(-1)
        raise Needless(
            f"run {run} of '{name}' began at {began_at:%F %T} UTC, after this {verb} was due "
            f"({due_at:%F %T} UTC), and has done its work"
        )
