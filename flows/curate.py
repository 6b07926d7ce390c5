"""Curate: raw rows in, a fate for every record, and the review batch out to annotators."""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial

from pydantic import BaseModel

from flows.context import Context
from flows.engines.engine import Engine
from flows.run_page import curate_markdown
from flows.suggest import Suggested, ask_model, hear_again
from pipeline.config.dataset_file import LoadedDataset, load_dataset_file
from pipeline.config.workspace import HOW_TO_CONNECT
from pipeline.curation.evaluation_sets import read_evaluation_sets, to_fetch
from pipeline.curation.shards import FEW_ROWS, warm_up
from pipeline.curation.stages import Decided, decide, without_garbage_collection
from pipeline.curation.task_change import told_before
from pipeline.errors import Busy, ConfigError, LabelStudioError, Unreachable
from pipeline.ingest.ingest_sources import Ingested, ingest
from pipeline.ingest.source_urls import host
from pipeline.releases.recovery import recover_unrecorded_releases
from pipeline.reporting.overview import (
    Rejection,
    count_waiting,
    in_review,
    nobody_left,
    open_seats,
    rejections,
    unkeyed,
)
from pipeline.state.locks import TURN
from pipeline.state.runs import Run
from pipeline.state.snapshot import Snapshot
from schemas.dataset import Mode, Source
from schemas.fate import ReasonCode
from schemas.manifest import Funnel
from schemas.run_summary import BudgetUse, Changed, Looked, Proof, Verb

LOCK_PATIENCE = 60.0
"""Seconds that a run waits for others after a possibly long download."""


class ReviewBatch(BaseModel, frozen=True):
    """The state of the review batch after a run."""

    waiting: int
    """Questions without an answer; a question is what one annotator is asked about one row, one task."""
    rows: int = 0
    """That they are about."""
    audits: int = 0
    """Of these, random checks of accepted records."""
    unsent: int = 0
    """Of these, not in Label Studio yet."""
    skipped: int = 0
    """Of these, skipped by annotators; a skip is not an answer."""
    sent: int = 0
    """Tasks that this run created in Label Studio."""
    hidden: int = 0
    """Of these, about hidden gold items: they are no questions of the batch."""
    withdrawn: int = 0
    """Unanswered tasks that it deleted, because their row has changed or is gone."""
    url: str = ""
    """Where annotators label."""
    refused: list[str] = []
    """Questions that the server refused, and why."""
    tabs: dict[str, str] = {}
    """Where each of the named annotators finds the own tasks, and others those for anybody."""
    strangers: list[str] = []
    """Named annotators without an account in Label Studio."""
    nobody_left: str = ""
    """That too few annotators are named to settle everything, and what to do about it."""
    notes: list[str] = []
    """What else annotators may notice: a form restored, tasks given to others, another project."""
    problem: str = ""
    """Why nothing was sent, and what to do about it."""


class Curated(BudgetUse, frozen=True):
    """The result of a curate run."""

    dataset: str
    run: str
    lines: int
    added: int
    withdrawn: int
    looked: Looked
    """What it looked at to decide."""
    change: Changed = Changed()
    """What became of the rows that this run was the first to see; ``funnel`` counts all."""
    decided: int
    """Decisions that are new or differ from earlier ones."""
    funnel: Funnel
    note: str
    """Notes for the user, a line each; empty if there are none."""
    rejections: list[Rejection]
    """Why rows are rejected, the most frequent reason first."""
    in_review: dict[ReasonCode, int]
    """How many rows are in review, by first reason."""
    proof: Proof | None = None
    """How far `review.error_rate` is proven, if it is set."""
    review: ReviewBatch
    suggested: Suggested | None = None
    """What the model of `suggest` was asked; None if the dataset names none, or this run was not to ask it."""


class NotSent(LabelStudioError):
    """Label Studio refuses the review batch; all decisions of the run are committed."""

    def __init__(self, said: str, curated: Curated) -> None:
        super().__init__(said)
        self.curated = curated

    def __reduce__(self) -> tuple[type["NotSent"], tuple[str, Curated]]:
        """Pickle both: an exception by itself only has its text."""
        return NotSent, (str(self), self.curated)


@without_garbage_collection()
def curate(
    context: Context,
    engine: Engine,
    *,
    rescore: bool = False,
    reindex: bool = False,
    full: bool = False,
    withdraw: Collection[str] = (),
    push: bool = True,
    suggest: bool = True,
) -> Curated:
    """Ingest, decide, commit, then send the review batch; never waits for annotators.

    Args:
        context: the dataset.
        engine: runs the steps.
        rescore: score all labels again, not only those that no run has scored.
        reindex: compare all texts again, not only new ones.
        full: read all files and decide about all records anew, not only what has changed and what that matters to.
        withdraw: the snapshot sources that may lose any number of rows, as they were removed on purpose.
        push: send the review batch; otherwise it waits for the next run.
        suggest: ask the model of `suggest`, if there is one; what it answered before counts either way.

    Raises:
        ConfigError: ``withdraw`` names another source.
        SourceError, StoreError: nothing is committed.
        NotSent: everything is committed and waits.
    """
    config, store = context.dataset.config, context.store
    _require_snapshots(config.sources, withdraw)
    patience = LOCK_PATIENCE if to_fetch(config) else 0.0
    with _fetched(context, engine) as curated, store.lock(Verb.CURATE, patience, engine.progress.step):
        context.require_owner()
        _require_same_file(context, curated)
        if becomes := told_before(store.snapshot().at_last_commit(), context.dataset):
            engine.progress.say(becomes)
        read, decided = _read_and_decide(
            context, engine, rescore=rescore, reindex=reindex, full=full, withdraw=withdraw
        )
    suggested, heard = _ask_and_decide(context, engine) if suggest else (None, None)
    snapshot = store.snapshot().at_last_commit()
    review, refusal = _sent(context, engine, (heard or decided).run) if push else (_waiting(context), None)
    result = _result(context, snapshot, read, decided, heard, review, suggested, becomes)
    _announce(context, engine, result)
    if refusal is not None:
        raise NotSent(str(refusal), result) from refusal
    return result


def _require_snapshots(sources: Sequence[Source], withdraw: Collection[str]) -> None:
    """Refuse names that would have no effect.

    Raises:
        ConfigError: there is one.
    """
    snapshots = [source.name for source in sources if source.mode is Mode.SNAPSHOT]
    for name in withdraw:
        if name not in snapshots:
            known = ", ".join(f"'{one.name}' ({one.mode.value})" for one in sources)
            raise ConfigError(
                f"--withdraw names '{name}', which is no source of mode snapshot; name one, or leave it out: the "
                f"sources are {known}"
            )


def _result(
    context: Context,
    snapshot: Snapshot,
    read: Ingested,
    decided: Decided,
    heard: Decided | None,
    review: ReviewBatch,
    suggested: Suggested | None,
    becomes: str,
) -> Curated:
    """What a run has read and decided, and decided again if it heard a model; and what has become of answers."""
    config, last = context.dataset.config, heard or decided
    notes = [becomes, *read.notes, *decided.notes, *unkeyed(snapshot, config.sources)]
    return Curated(
        dataset=config.name,
        run=last.run,
        lines=read.lines,
        added=decided.added,
        withdrawn=read.withdrawn,
        looked=decided.looked,
        change=decided.change,
        decided=decided.changed + (heard.changed if heard else 0),
        funnel=last.funnel,
        note="\n".join(filter(None, notes)),
        rejections=rejections(snapshot, context.dataset.task),
        in_review=in_review(snapshot),
        **last.use.of_budget,
        proof=last.proof,
        review=review,
        suggested=suggested,
    )


def _announce(context: Context, engine: Engine, result: Curated) -> None:
    """Tell the engine what was committed."""
    engine.emit("dataset.curated", context.event(run=result.run, **result.funnel.model_dump()))
    engine.artifact(f"goldleaf-{result.dataset}-funnel", lambda: curate_markdown(context, result))


def _sent(context: Context, engine: Engine, run: str) -> tuple[ReviewBatch, LabelStudioError | None]:
    """Send the review batch; if Label Studio refuses, also why."""
    try:
        return send_questions(context, engine, run), None
    except LabelStudioError as error:
        return _waiting(context, str(error)), error


def _read_and_decide(
    context: Context, engine: Engine, *, rescore: bool, reindex: bool, full: bool, withdraw: Collection[str]
) -> tuple[Ingested, Decided]:
    """What a run commits; the state's lock is held."""
    store = context.store
    if full:
        store.verify_anew()
    if reindex:
        store.drop_index()
    unknown = recover_unrecorded_releases(store, context.dataset.config.name)
    with store.own_work(Verb.CURATE):
        run = context.new_run(Verb.CURATE)
        read, evaluation = _read(context, engine, run, anew=full, withdraw=withdraw)
        is_full = full or reindex
        decided = decide(context, engine, run, evaluation, rescore=rescore, read=read, unknown=unknown, full=is_full)
    return read, decided


def _ask_and_decide(context: Context, engine: Engine) -> tuple[Suggested | None, Decided | None]:
    """Ask the model of `suggest`, if there is one, and decide again; its faults never stop a curate."""
    if not context.dataset.config.suggest.is_on:
        return None, None
    suggested = ask_model(context, engine)
    try:
        return suggested, hear_again(context, engine, suggested)
    except Busy as error:
        return suggested.model_copy(update={"notes": [*suggested.notes, str(error)]}), None


@contextmanager
def _fetched(context: Context, engine: Engine) -> Iterator[str]:
    """Fetch the sources that are URLs before taking the state's lock, so that others need not wait for their servers.

    Yields the last curate run before that.
    """
    urls = to_fetch(context.dataset.config)
    if not urls:
        yield context.last_curate()
        return
    from pipeline.ingest.download import fetch

    with context.store.fetching():
        with context.store.lock(Verb.CURATE):
            # A running verb, or a home of another file, is reported before anything is fetched.
            context.require_owner()
            curated = context.last_curate()
        # All of them first: a variable that is not set is told before anything is fetched.
        for source, headers in [(source, context.headers_for(source)) for source in urls]:
            label = f"fetching {source.told} from {host(source)}"
            with engine.progress.step(label, unit="MB") as advance:
                patience, say = turn.left if (turn := TURN.get(None)) else 0.0, engine.progress.say
                engine.run(fetch, source, context.store.downloads, advance, headers, patience, say)
        yield curated


def _require_same_file(context: Context, curated: str) -> None:
    """Refuse to undo what another curate has decided with a newer file while this one was fetching.

    Raises:
        ConfigError: it has.
    """
    file = context.dataset.path
    if context.last_curate() == curated:
        return
    if load_dataset_file(file).curation_digest != context.dataset.curation_digest:
        raise ConfigError(
            f"{file} or its task was changed and curated while sources were fetched; nothing was decided, run curate "
            "again"
        )


def _read(context: Context, engine: Engine, run: Run, *, anew: bool, withdraw: Collection[str]) -> tuple[Ingested, str]:
    """Read the sources, and the sets that training data is kept away from; ``anew`` reads unchanged files, too."""
    store, dataset = context.store, context.dataset
    read = engine.run(
        ingest,
        store,
        dataset.config.sources,
        dataset.folder,
        run.id,
        engine.progress,
        on_rows=_expecting(engine, dataset),
        anew=anew,
        withdraw=withdraw,
    )
    with engine.progress.step("reading the evaluation sets") if dataset.config.decontaminate.against else nullcontext():
        return read, engine.run(read_evaluation_sets, store, dataset)


def _expecting(engine: Engine, dataset: LoadedDataset) -> Callable[[int], None]:
    """Tell the engine as soon as there is more to validate than one worker handles at a time."""
    read = 0

    def on_rows(rows: int) -> None:
        nonlocal read
        read += rows
        if read > FEW_ROWS:
            engine.warm_up_processes(partial(warm_up, dataset))

    return on_rows


def _waiting(context: Context, problem: str = "") -> ReviewBatch:
    snapshot = context.store.snapshot().at_last_commit()
    found = count_waiting(snapshot, context.dataset.task, open_seats(snapshot, context.dataset))
    return ReviewBatch(
        waiting=found.questions,
        rows=found.rows,
        audits=found.audits,
        unsent=found.unsent,
        skipped=found.skipped,
        nobody_left=nobody_left(context.dataset.config.review, found.seats),
        problem=problem if found.questions else "",
    )


def send_questions(
    context: Context, engine: Engine, run: str, *, everything: bool = False, take_over: bool = False
) -> ReviewBatch:
    """Push after the commit, from committed decisions; if the server is down, they wait for the next run.

    With ``everything``, tasks that have lost their proposals get them again; with ``take_over``, another home sends
    none any more.
    Others need not wait for the server: the state's lock is free again.
    """
    connection = context.connection
    if connection is None:
        return _waiting(context, f"Label Studio is not configured; {HOW_TO_CONNECT}")
    # Imported here, as what fetches is: the client takes half a second.
    from pipeline.review.pushing import push_questions

    label = f"sending the questions that are not at {connection.shown} yet"
    try:
        with context.store.push_lock(), engine.progress.step(label, _waiting(context).waiting or None) as advance:
            pushed = engine.run_with_retries(
                push_questions,
                context.store,
                context.dataset,
                connection,
                run,
                advance,
                everything=everything,
                take_over=take_over,
            )
    except (Busy, Unreachable) as error:
        return _waiting(context, str(error))
    except LabelStudioError as error:
        unasked = _waiting(context).unsent
        wait = "1 question is waiting" if unasked == 1 else f"{unasked:,} questions are waiting"
        wait += " for the next curate"
        # Those that are open are on the server already.
        note = f"everything is decided and committed, and {wait if unasked else 'there is no new question'}"
        raise LabelStudioError(f"{error}; {note}") from error
    done = {name: value for name, value in vars(pushed).items() if name in ReviewBatch.model_fields}
    return _waiting(context).model_copy(update=done)
