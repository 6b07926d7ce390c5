"""Suggest: ask the model that `suggest` names about unlabeled and doubted rows, and decide again with its answers."""

import math
from contextlib import suppress
from typing import TYPE_CHECKING

from pydantic import BaseModel

from flows.context import Context
from flows.engines.engine import Engine
from flows.settings import prepare_training
from pipeline.config.workspace import shown_address
from pipeline.curation.stages import Decided, decide
from pipeline.errors import Busy, ConfigError, EndpointError, TrainingError
from pipeline.suggestions.asker import Asker
from pipeline.suggestions.examples_shown import with_examples
from pipeline.suggestions.ledger import Ledger, Spent
from pipeline.text.wording import counted
from schemas.run_summary import CurateSummary, Verb
from schemas.suggest_section import LATEST

# What asks a model is imported where it is asked: its client takes half a second.
if TYPE_CHECKING:
    from pipeline.suggestions.adapter_answers import AdapterAsking
    from pipeline.suggestions.asking import Asking, Outcome
    from pipeline.suggestions.rows_to_ask import Batch

_LOCK_PATIENCE = 60.0
"""Seconds to wait for another run once the answers are here."""


_RETRY = "only `goldleaf suggest --retry-invalid` asks again about rows without a valid answer"


class _EndedEarly(Exception):
    """The step is not shown as done."""


class Suggested(BaseModel, frozen=True):
    """What a model was asked, and what it answered."""

    model: str
    known: int = 0
    """Rows that it had answered validly before."""
    known_invalid: int = 0
    """Rows that it had answered before, and never validly; they are asked again if that is wanted only."""
    answered: int = 0
    """Rows with a new valid answer."""
    invalid: int = 0
    """Rows that it answered twice, both times not validly; they are not asked again unless that is wanted."""
    failed: int = 0
    """Rows that got no answer; the next run asks again."""
    waiting: int = 0
    """Rows that were not asked; the next run does."""
    why: str = ""
    """Why rows wait; empty if none do."""
    problem: str = ""
    """What was wrong with the first row of those without a valid answer."""
    notes: list[str] = []
    calls: int = 0
    tokens: int = 0
    cost: float = 0.0
    """All three of this run, at the prices of the dataset.yaml."""
    total_calls: int = 0
    total_tokens: int = 0
    total_cost: float = 0.0
    """The same of all runs."""
    news: bool = False
    """Whether decisions may change."""
    is_spent: bool = False
    """The budget is why rows wait."""

    def lines(self) -> list[str]:
        """The same for a terminal."""
        said = [f"{self.answered:,} answered"]
        said += [f"{self.known:,} known"] if self.known else []
        said += [f"{self.known_invalid:,} without a valid answer (asked before)"] if self.known_invalid else []
        said += [f"{self.invalid:,} answered twice not validly"] if self.invalid else []
        said += [f"{self.failed:,} got no answer"] if self.failed else []
        first = f" (such as: {self.problem})" if self.problem else ""
        spent = f"{counted(self.calls, 'call')}, {counted(self.tokens, 'token')}"
        spent += f", cost {self.cost:.4g} ({self.total_cost:.4g} so far)" if self.total_cost else ""
        wait = "1 suggestion waits" if self.waiting == 1 else f"{self.waiting:,} suggestions wait"
        return [
            f"{self.model}: {', '.join(said)}{first}; {spent}",
            *self.notes,
            *([_RETRY] if self.invalid or self.known_invalid else []),
            *([f"{wait}: {self.why}" if self.waiting else self.why] if self.why else []),
        ]


class Estimated(BaseModel, frozen=True):
    """What asking would take; no call is made."""

    model: str
    known: int
    """Rows that it has answered validly."""
    known_invalid: int = 0
    """Rows that it has answered, and never validly; 0 if they are to be asked again, since they are among the calls."""
    calls: int
    """Rows to ask about; each is one call, or two if its first answer is not valid."""
    tokens_in: int
    """Of the prompts, by our own count."""
    tokens_out: int
    """Of the answers, at most."""
    tokens_valid: int | None = None
    """Of the answers, if none is longer than the longest valid one; None if fields have other values than choices."""
    cost: float
    """At most, at the prices of the dataset.yaml."""
    total_cost: float
    """Of all calls so far."""


class Suggestions(BaseModel, frozen=True):
    """The result of a suggest run."""

    dataset: str
    suggested: Suggested | None = None
    estimated: Estimated | None = None
    """Of a dry run."""
    decided: int = 0
    """Decisions that changed."""


def suggest(
    context: Context, engine: Engine, *, limit: int | None = None, dry_run: bool = False, retry_invalid: bool = False
) -> Suggestions:
    """Ask, and decide again if there is news.

    Args:
        context: the dataset.
        engine: runs the steps.
        limit: ask about at most this many rows, instead of ``suggest.limit``.
        dry_run: only count what it would take.
        retry_invalid: ask anew about rows that have no valid answer.

    Raises:
        ConfigError: no model is configured, or nothing was curated yet.
        EndpointError: it refuses or does not answer; what it answered before is kept and counts.
        TrainingError: calls are to be counted of an adapter that is not there.
    """
    name, file = context.dataset.config.name, context.dataset.path
    context.require_owner()
    if not context.dataset.config.suggest.is_on:
        raise ConfigError(f"{file} names no model to ask; add suggest.endpoint and suggest.model, or suggest.adapter")
    if not context.last_curate():
        unasked, why = (" --no-suggest", ", which asks no model") if dry_run else ("", "")
        raise ConfigError(f"'{name}' has not been curated yet; run `goldleaf curate {file}{unasked}` first{why}")
    asker = _asker(context, limit)
    if dry_run:
        return Suggestions(dataset=name, estimated=_estimate(context, asker, retry_invalid))
    suggested = ask_model(context, engine, asker, retry_invalid=retry_invalid)
    again = hear_again(context, engine, suggested)
    if suggested.why and not suggested.is_spent:
        raise EndpointError("; ".join([suggested.lines()[-1], "what was answered is kept"]))
    return Suggestions(dataset=name, suggested=suggested, decided=again.changed if again else 0)


def _asker(context: Context, limit: int | None = None) -> Asker:
    section = context.dataset.config.suggest
    gold = context.dataset.config.gold_sources
    return Asker(section.model_copy(update={"limit": limit}) if limit else section, context.dataset.task, gold=gold)


def ask_model(
    context: Context, engine: Engine, asker: Asker | None = None, *, retry_invalid: bool = False
) -> Suggested:
    """Ask the model about the committed rows; others may curate meanwhile.

    What goes wrong on the way to the model raises nothing: it is why rows wait.
    """
    from pipeline.suggestions.asking import Outcome
    from pipeline.suggestions.rows_to_ask import batch_of, link_answers

    asker, store = asker or _asker(context), context.store
    section = asker.section
    try:
        asker = _resolved(context, asker)
    except TrainingError as error:
        return Suggested(model=asker.model, why=str(error))
    try:
        with store.asking_lock(), Ledger(store.calls) as ledger:
            # Nobody else is asking: what is still in flight was so when a run was killed.
            ledger.lose()
            if section.adapter:
                ledger.keep_adapter(section.adapter, asker.section.adapter or "", asker.weights)
            snapshot = store.snapshot().at_last_commit()
            asker = with_examples(asker, snapshot, ledger)
            batch = batch_of(snapshot, asker, ledger, retry=retry_invalid)
            # If the run is killed after this, the next one asks about them.
            ledger.set_aside(one.key for one in batch.anew)
            before, outcome = ledger.spent(), Outcome()
            if batch.todo:
                at = f" at {shown_address(section.endpoint)}" if section.endpoint else ""
                label, asking = f"asking {asker.model}{at}", _asking(context, asker, ledger)
                with suppress(_EndedEarly), engine.progress.step(label, len(batch.todo), "rows") as advance:
                    outcome = asking.ask(batch.todo, advance)
                    if outcome.why:
                        raise _EndedEarly
            news = link_answers(asker, ledger, batch)
            return _suggested(asker.model, batch, outcome, before, ledger.spent(), news)
    except Busy as error:
        return Suggested(model=asker.model, why=str(error))


def _resolved(context: Context, asker: Asker) -> Asker:
    """The same with the adapter that `suggest.adapter` means, if it means one.

    Raises:
        TrainingError: it is not there.
    """
    store, run = context.store, asker.section.adapter
    if not run:
        return asker
    from pipeline.reporting.last_finetuning import why_absent
    from pipeline.suggestions.adapter_answers import with_adapter

    try:
        return with_adapter(asker, store.models, store.releases)
    except TrainingError as error:
        was_there = why_absent(store.snapshot(), "" if run == LATEST else run)
        raise TrainingError(was_there or str(error)) from error


def _asking(context: Context, asker: Asker, ledger: Ledger) -> "Asking | AdapterAsking":
    from pipeline.suggestions.adapter_answers import AdapterAsking
    from pipeline.suggestions.asking import Asking

    if asker.section.adapter:
        prepare_training()
        return AdapterAsking(asker, ledger, context.store.models)
    key = context.settings.secret(asker.section.api_key_env)
    return Asking(asker, ledger, key, context.dataset.config.measure.encoding)


def _suggested(model: str, batch: "Batch", outcome: "Outcome", before: Spent, after: Spent, news: bool) -> Suggested:
    return Suggested(
        model=model,
        known=len(batch.settled) - batch.known_invalid,
        known_invalid=batch.known_invalid,
        answered=outcome.answered,
        invalid=outcome.invalid,
        failed=outcome.failed,
        waiting=outcome.waiting,
        why=outcome.why,
        problem=outcome.first_failure,
        notes=outcome.notes,
        calls=after.calls - before.calls,
        tokens=after.tokens - before.tokens,
        cost=after.cost - before.cost,
        total_calls=after.calls,
        total_tokens=after.tokens,
        total_cost=after.cost,
        news=news,
        is_spent=outcome.is_spent,
    )


def hear_again(context: Context, engine: Engine, suggested: Suggested) -> Decided | None:
    """Decide again with the answers, if there is news; None if there is none, or a newer file was curated meanwhile:
    its own run hears them.
    """
    if not suggested.news:
        return None
    store = context.store
    with store.lock(Verb.CURATE, _LOCK_PATIENCE, engine.progress.step):
        last = store.snapshot().last_run(CurateSummary)
        if last is None or context.dataset.has_changed_since(last.summary):
            return None
        with store.own_work():
            run = context.new_run(Verb.CURATE)
            return decide(context, engine, run, last.summary.evaluation, heard=suggested.model)


def _estimate(context: Context, asker: Asker, retry_invalid: bool) -> Estimated:
    from pipeline.suggestions.answer_length import longest_valid
    from pipeline.suggestions.asking import cost_of, prompt_tokens
    from pipeline.suggestions.rows_to_ask import batch_of

    store, asker = context.store, _resolved(context, asker)
    with Ledger(store.calls) as ledger:
        snapshot = store.snapshot().at_last_commit()
        batch = batch_of(snapshot, with_examples(asker, snapshot, ledger, keep=False), ledger, retry=retry_invalid)
        spent, scale = ledger.spent(), ledger.scale(asker.section.model)
    encoding = context.dataset.config.measure.encoding
    tokens = math.ceil(scale * sum(prompt_tokens([question.body for question in batch.todo], encoding)))
    longest = _longest_answer(context, asker) * len(batch.todo)
    valid = longest_valid(asker.task, encoding)
    return Estimated(
        model=asker.model,
        known=len(batch.settled) - batch.known_invalid,
        known_invalid=batch.known_invalid,
        calls=len(batch.todo),
        tokens_in=tokens,
        tokens_out=longest,
        tokens_valid=None if valid is None else min(valid * len(batch.todo), longest),
        cost=cost_of(asker.section, tokens, longest),
        total_cost=spent.cost,
    )


def _longest_answer(context: Context, asker: Asker) -> int:
    """The tokens after which an answer is cut."""
    if asker.section.adapter:
        from pipeline.finetuning.adapters import read_record

        with suppress(TrainingError):
            return read_record(context.store.models / asker.section.adapter).max_new_tokens
    return asker.section.longest_answer or asker.section.max_tokens
