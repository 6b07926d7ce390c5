"""Collect: pull annotations, commit the decisions that follow, and update the other records."""

from collections import Counter
from dataclasses import replace

import polars as pl
from pydantic import BaseModel

from flows.context import Context
from flows.curate import LOCK_PATIENCE
from flows.engines.engine import Engine
from flows.run_page import verb_markdown
from pipeline.config.workspace import HOW_TO_CONNECT, Connection
from pipeline.curation.follow_answers import follow_answers
from pipeline.curation.history import verdict_of
from pipeline.errors import ConfigError
from pipeline.releases.recovery import recover_unrecorded_releases
from pipeline.reporting.attention import Attention, attention, unread_answers
from pipeline.reporting.overview import asked_again, count_waiting, open_seats
from pipeline.reporting.status import next_step
from pipeline.reporting.unreliable import unreliable
from pipeline.review.consensus import invalid_annotations
from pipeline.review.gold import invalid_gold_answers
from pipeline.review.human_decisions import human_decisions
from pipeline.review.known_answers import Known
from pipeline.review.pulled_answers import Pulled, keep_annotations, pull_annotations
from pipeline.state.decisions import to_frame
from pipeline.state.same_question import same_question
from pipeline.state.snapshot import Snapshot
from pipeline.state.tables import Table
from schemas.annotation import Verdict
from schemas.manifest import Funnel
from schemas.run_summary import Changed, CollectSummary, CurateSummary, Looked, Verb


class Collected(BaseModel, frozen=True):
    """The result of a collect run."""

    dataset: str
    run: str
    annotations: int
    """New, edited or deleted since the last pull."""
    decided: int
    """Records that annotators labeled, confirmed or marked as unusable."""
    unsure: int
    """Records that an annotator was unsure about; a second annotator must decide."""
    disputed: int
    """Records about which annotators contradict each other; they must agree, or a third one decide."""
    taken_back: int
    """Records whose answer was deleted, so that the automatic decision counts again."""
    waiting: int
    """Questions that are still open."""
    waiting_rows: int = 0
    """The rows that they are about."""
    unsent: int
    """Of those, not in Label Studio yet: the next curate sends them."""
    skipped: int
    """Of those, skipped by annotators; a skip is not an answer."""
    invalid: int
    """Annotations that break the task's schema and must be corrected."""
    attention: list[Attention]
    """What only annotators can settle, though Label Studio counts its task as done."""
    looked: Looked | None = None
    """What it looked at to let other records follow the answers; None if none was new."""
    change: Changed | None = None
    """What became of that."""
    funnel: Funnel
    note: str
    """Notes for the user, a line each; empty if there are none."""
    next_step: str
    """What to do now, as `goldleaf status` says it."""


def collect(context: Context, engine: Engine, *, everything: bool = False) -> Collected:
    """Pull annotations, commit the decisions that follow, and decide again about the records they affect.

    Only another collect has to wait for the server: the state's lock is taken after everything was pulled.

    Args:
        context: the dataset.
        engine: runs the steps.
        everything: read all annotations again, not only what has changed.

    Raises:
        ConfigError: nothing was curated yet, no Label Studio is configured, the home holds the dataset of another file,
            or another task was curated meanwhile.
        LabelStudioError: the server does not answer or refuses; nothing is committed.
    """
    store = context.store
    connection = context.connection
    if connection is None:
        raise ConfigError(f"Label Studio is not configured; {HOW_TO_CONNECT}")
    with store.pull_lock():
        with store.lock(Verb.COLLECT):
            # A running verb, a home of another file, or a missing curate is reported before anything is pulled.
            context.require_owner()
            if not (curated := context.last_curate()):
                name, file = context.dataset.config.name, context.dataset.path
                raise ConfigError(f"'{name}' has not been curated yet; run `goldleaf curate {file}` first")
        known = Known.of(store.snapshot())
        with engine.progress.step(f"pulling annotations from {connection.shown}") as advance:
            before = replace(known, marks={}, settled={}) if everything else known
            pulled = engine.run_with_retries(pull_annotations, context.dataset, connection, before, advance)
        with store.lock(Verb.COLLECT, LOCK_PATIENCE, engine.progress.step):
            _require_same_task(context, curated)
            with store.own_work(Verb.COLLECT):
                result = _decide(context, engine, connection, pulled, known)
    engine.emit("dataset.collected", context.event(run=result.run, decided=result.decided))
    engine.artifact(f"goldleaf-{result.dataset}-collect", lambda: verb_markdown(context, Verb.COLLECT, result))
    return result


def _require_same_task(context: Context, before: str) -> None:
    """Refuse to decide with a task that was replaced by another curate while annotations were pulled.

    Raises:
        ConfigError: it was replaced.
    """
    curated = context.store.snapshot().last_run(CurateSummary)
    if curated and curated.id != before and context.dataset.has_changed_since(curated.summary):
        raise ConfigError(
            f"{context.dataset.path} or its task was changed and curated while annotations were pulled; nothing was "
            "stored; run collect again"
        )


def _decide(context: Context, engine: Engine, connection: Connection, pulled: Pulled, known: Known) -> Collected:
    """Store what was pulled and commit what follows from it; the caller holds both locks."""
    store = context.store
    recover_unrecorded_releases(store, context.dataset.config.name)
    before = store.snapshot().at_last_commit()
    run = context.new_run(Verb.COLLECT)
    changed = engine.run(keep_annotations, store, context.dataset, pulled, run.id)
    pulled_now = store.snapshot().at_last_commit()
    decisions = human_decisions(pulled_now, context.dataset, run.id)
    store.append(Table.DECISIONS, to_frame(decisions))
    marks = known.marks | {one.server: one.watermark.isoformat() for one in pulled.all if one.watermark}
    settled = {one.server: one.settled for one in pulled.all}
    notes = [_gone(context, before, connection.shown) if pulled.project is None else ""]
    summary = CollectSummary(
        watermarks=marks,
        settled=settled,
        annotations=changed,
        decided=len(decisions),
        is_gone=any(notes),
        unreliable={one.annotator: one.said for one in unreliable(pulled_now, context.dataset)},
    )
    store.commit(run, inputs={}, funnel=None, summary=summary)
    followed = follow_answers(context, engine)
    notes.append(followed.note)
    after = store.snapshot().at_last_commit()
    said = Counter(verdict_of(decision) for decision in decisions)
    seats = open_seats(after, context.dataset)
    task = context.dataset.task
    asked = count_waiting(after, task, seats)
    needed = attention(after, task, connection.shown, asked_again(seats))
    notes.append(unread_answers(after, asked_again(seats)))
    return Collected(
        dataset=context.dataset.config.name,
        run=run.id,
        annotations=changed,
        decided=said[Verdict.LABELED] + said[Verdict.UNUSABLE],
        unsure=said[Verdict.UNSURE],
        disputed=said[Verdict.DISPUTED],
        taken_back=said[None],
        waiting=asked.questions,
        waiting_rows=asked.rows,
        unsent=asked.unsent,
        skipped=asked.skipped,
        invalid=len(invalid_annotations(after, task)) + len(invalid_gold_answers(after, task)),
        attention=needed,
        looked=followed.looked,
        change=followed.change,
        funnel=after.funnel(),
        note="\n".join(filter(None, notes)),
        next_step=str(next_step(context, after, asked, len(needed))),
    )


def _gone(context: Context, snapshot: Snapshot, url: str) -> str:
    """Report that the project no longer exists; empty if nothing was ever sent under this form of the task."""
    digests = same_question(snapshot, context.dataset.task)
    if snapshot.scan(Table.PUSHES).filter(pl.col("task_digest").is_in(list(digests))).head(1).collect().is_empty():
        return ""
    return (
        f"the project of '{context.dataset.config.name}' is gone from {url}, or this is another server; the next "
        "curate recreates it and sends the open questions again; answers that were already collected still count"
    )
