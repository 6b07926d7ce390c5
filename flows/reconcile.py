"""Reconcile: compare the project on the server with the home, and repair what differs."""

from pydantic import BaseModel

from flows.collect import collect
from flows.context import Context
from flows.curate import ReviewBatch, send_questions
from flows.engines.engine import Engine
from pipeline.config.workspace import HOW_TO_CONNECT
from pipeline.errors import ConfigError
from pipeline.review.reconciliation import Comparison, compare_with_server


class Reconciled(BaseModel, frozen=True):
    """The result of a reconcile."""

    dataset: str
    before: Comparison
    after: Comparison | None = None
    """What still differs; None if nothing was done."""
    review: ReviewBatch | None = None
    """What was sent, and where annotators find it; None if nothing was done."""


def reconcile(context: Context, engine: Engine, *, dry_run: bool = False, take_over: bool = False) -> Reconciled:
    """Compare, then read all annotations again, delete surplus tasks and send what is missing.

    With ``dry_run`` it only compares; with ``take_over`` this home sends the questions from now on, and no other.
    Repeated, it does nothing. Nothing that a person has worked on is deleted.

    Raises:
        ConfigError: nothing was curated yet, or no Label Studio is configured.
        LabelStudioError: the server does not answer, or refuses.
    """
    connection, name = context.connection, context.dataset.config.name
    if connection is None:
        raise ConfigError(f"Label Studio is not configured; {HOW_TO_CONNECT}")
    context.require_owner()
    if not context.last_curate():
        raise ConfigError(f"'{name}' has not been curated yet; run `goldleaf curate {context.dataset.path}` first")
    with engine.progress.step(f"reading all of the project at {connection.shown}"):
        before = engine.run_with_retries(compare_with_server, context.store, context.dataset, connection)
    if dry_run or (before.agrees and not take_over):
        return Reconciled(dataset=name, before=before)
    collect(context, engine, everything=True)
    review = send_questions(context, engine, context.last_curate(), everything=True, take_over=take_over)
    with engine.progress.step("comparing again"):
        after = engine.run_with_retries(compare_with_server, context.store, context.dataset, connection)
    return Reconciled(dataset=name, before=before, after=after, review=review)
