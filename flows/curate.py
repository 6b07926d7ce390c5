"""Curate: raw rows in, a fate for every record, and the review batch out to people."""

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
from pydantic import BaseModel, ConfigDict

from flows.context import Context
from flows.engines.engine import Advance, Engine
from pipeline.config.dataset_file import LoadedDataset, load_dataset_file
from pipeline.curation.assess import Assessed, assess, open_cases
from pipeline.curation.case import Case
from pipeline.curation.contamination import reject_contaminated
from pipeline.curation.evaluation_sets import evaluation_rows, read_evaluation_sets, to_fetch
from pipeline.curation.prepare import Prepared
from pipeline.curation.shards import FEW_ROWS, prepare, warm_up, write_shards
from pipeline.curation.similar_texts import Alike, find_alike
from pipeline.curation.similarities import similarities
from pipeline.errors import Busy, ConfigError, LabelStudioError, StoreError, Unreachable
from pipeline.ingest.download import fetch, host
from pipeline.ingest.records import Ingested, ingest
from pipeline.releases.adoption import Adopted, adopt_splits
from pipeline.releases.draft import adopt_versions, commit_version
from pipeline.reporting.overview import Rejection, count_waiting, in_review, rejections, unkeyed
from pipeline.review.queue import push_questions
from pipeline.state.decisions import news
from pipeline.state.store import Run, Snapshot
from pipeline.state.tables import Table
from pipeline.state.work_files import read_work
from schemas.dataset import Source
from schemas.fate import Fate, ReasonCode
from schemas.manifest import Funnel
from schemas.run import CollectSummary, CurateSummary, Verb

LOCK_PATIENCE = 60.0
"""Seconds that a run waits for others once it has brought from a server what may have taken long."""
_OFTEN = 0.25
"""Share of a source's rows that later rows of their keys replace from which on people are told."""
_MOST = 0.5
"""Share of near duplicates from which on people are told."""


class Review(BaseModel):
    """How the review batch stands after a run."""

    model_config = ConfigDict(frozen=True)

    waiting: int
    """Questions without an answer."""
    audits: int = 0
    """Of those, random checks of accepted records."""
    unsent: int = 0
    """Of those, not in Label Studio yet."""
    sent: int = 0
    """Tasks that this run made in Label Studio."""
    withdrawn: int = 0
    """Unanswered tasks that it took back, since their row has changed or gone."""
    url: str = ""
    """Where people label."""
    refused: list[str] = []
    """Questions that the server would not take, and why."""
    problem: str = ""
    """Why nothing was sent, and what to do about it."""


class Curated(BaseModel):
    """What a curate run did."""

    model_config = ConfigDict(frozen=True)

    dataset: str
    run: str
    lines: int
    added: int
    withdrawn: int
    decided: int
    """Decisions that are new or differ from those before."""
    funnel: Funnel
    note: str
    """What people should know, a line each; empty where there is nothing to say."""
    rejections: list[Rejection]
    """Why rows are rejected, the most frequent reason first."""
    in_review: dict[ReasonCode, int]
    """How many rows are in review, by their first reason."""
    budget: int
    budget_used: int
    beyond_budget: int
    """How many more rows people would be asked about if the budget were larger."""
    beyond: dict[ReasonCode, int] = {}
    """Of those how many for which first reason."""
    review: Review


@contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """Millions of small objects are made for rows, none of them in a circle: to look for some again and again takes a
    sixth of a run."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@_without_garbage_collection()
def curate(
    context: Context, engine: Engine, *, rejudge: bool = False, reindex: bool = False, push: bool = True
) -> Curated:
    """Ingest, decide, commit, then send the review batch; never waits for a person.

    Args:
        context: the dataset.
        engine: runs the steps.
        rejudge: doubt all labels anew, not only those that no run has judged.
        reindex: compare all texts anew, not only new ones.
        push: send the review batch; otherwise it waits for the next run.

    Raises:
        SourceError, StoreError: nothing is committed.
        LabelStudioError: the server refuses; everything is committed and waits.
    """
    config, store = context.dataset.config, context.store
    patience = LOCK_PATIENCE if to_fetch(config) else 0.0
    with _fetched(context, engine) as curated, store.lock(Verb.CURATE, patience, engine.progress.step):
        context.require_owner()
        _require_same_file(context, curated)
        if reindex:
            store.drop_index()
        strange = adopt_versions(store, config.name)
        store.clear_work()
        run = context.new_run(Verb.CURATE)
        read, evaluation = _read(context, engine, run)
        decided = decide(context, engine, run, evaluation, rejudge=rejudge, read=read, strange=strange)
        store.clear_work()
        snapshot = store.snapshot().at_last_commit()
    review = _review(context, engine, run.id) if push else _waiting(context)
    assessed, funnel = decided.assessed, decided.funnel
    notes = [*_notes(read, decided, config.sources), *unkeyed(snapshot, config.sources)]
    result = Curated(
        dataset=config.name,
        run=run.id,
        lines=read.lines,
        added=decided.added,
        withdrawn=read.withdrawn,
        decided=decided.news,
        funnel=funnel,
        note="\n".join(filter(None, notes)),
        rejections=rejections(snapshot, context.dataset.task),
        in_review=in_review(snapshot),
        budget=assessed.budget,
        budget_used=assessed.used,
        beyond_budget=assessed.beyond_budget,
        beyond=assessed.beyond,
        review=review,
    )
    engine.emit("dataset.curated", context.event(run=run.id, **funnel.model_dump()))
    engine.artifact(f"goldleaf-{config.name}-funnel", funnel_markdown(config.name, funnel))
    return result


@contextmanager
def _fetched(context: Context, engine: Engine) -> Iterator[str]:
    """Fetch the sources that are URLs before the state's lock is taken: nobody else waits for their servers.

    Gives the last curate run before that.
    """
    urls = to_fetch(context.dataset.config)
    if not urls:
        yield context.last_curate()
        return
    with context.store.fetching():
        with context.store.lock(Verb.CURATE):
            # Whoever is at work now, or whose home this is, is said before anything is fetched.
            context.require_owner()
            curated = context.last_curate()
        for source in urls:
            label = f"fetching source '{source.name}' from {host(source)}"
            with engine.progress.step(label, unit="MB") as advance:
                engine.call(fetch, source, context.store.downloads, advance)
        yield curated


def _require_same_file(context: Context, curated: str) -> None:
    """Refuse to undo what another curate has decided by a newer file while this one was fetching.

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


def _read(context: Context, engine: Engine, run: Run) -> tuple[Ingested, str]:
    """Read the sources, and the sets that training data keeps away from."""
    store, dataset = context.store, context.dataset
    with engine.progress.step("reading the sources") as advance:
        expecting = _expecting(engine, dataset, advance)
        read = engine.run(ingest, store, dataset.config.sources, dataset.folder, run.id, expecting)
        return read, engine.run(read_evaluation_sets, store, dataset)


def _expecting(engine: Engine, dataset: LoadedDataset, advance: Advance) -> Advance:
    """Tell the engine as soon as there is more to check than one worker checks at a time."""
    read = 0

    def on_rows(rows: int) -> None:
        nonlocal read
        read += rows
        if read > FEW_ROWS:
            engine.expect(partial(warm_up, dataset))
        advance(rows)

    return on_rows


def _left(read: Ingested) -> list[str]:
    """Say what went with a source, since a misspelt name looks like a removed one."""
    return [
        f"source '{name}' is not in the file any more, so its records ({count:,}) are withdrawn; name it again, and "
        "they come back with what people said about them"
        for name, count in read.left
    ]


def _doubled(read: Ingested, sources: list[Source]) -> list[str]:
    """Say where a key is perhaps none, since all rows of a key but the last are out of sight; a log has some such."""
    keys = {source.name: source.key for source in sources}
    return [
        f"{count:,} of {rows:,} rows of source '{name}' have a key that a later row has, too, with other content, and "
        f"only the last one counts; is `{keys[name]}` a key?"
        for name, count, rows in read.doubled
        if count > rows * _OFTEN
    ]


def let_others_follow(context: Context, engine: Engine) -> str:
    """An answer also decides about copies and rivals of its record: decide anew where answers came in.

    It looks at the committed runs, not at this one: a run that was killed in between is made up for.

    Returns:
        Why the others must wait; empty where they need not.
    """
    snapshot = context.store.snapshot()
    curated = snapshot.last_run(CurateSummary)
    answered = [run.id for run in snapshot.committed_runs(CollectSummary) if run.summary.decided]
    pulled = snapshot.scan(Table.ANNOTATIONS).select(pl.col("run").max()).collect().item()
    if curated is None or max([*answered, pulled or ""], default="") < curated.id:
        return ""
    if context.has_changed_since(curated):
        # Its sources were not read as they are described now.
        return (
            f"{context.dataset.path} or its task was changed since the last curate: copies and rivals of what people "
            "answered follow with the next one"
        )
    decide(context, engine, context.new_run(Verb.CURATE), curated.summary.evaluation)
    return ""


@dataclass(frozen=True)
class Decided:
    """What a run has decided and committed."""

    news: int
    """Decisions that differ from those that counted before."""
    added: int
    """Records that nobody had decided about before."""
    near: int
    """Near duplicates."""
    assessed: Assessed
    funnel: Funnel
    adopted: Adopted


@_without_garbage_collection()
def decide(
    context: Context,
    engine: Engine,
    run: Run,
    evaluation: str,
    *,
    rejudge: bool = False,
    read: Ingested | None = None,
    strange: Sequence[Path] = (),
) -> Decided:
    """Give every current record its fate and commit; the caller holds the lock.

    Args:
        context: the dataset.
        engine: runs the steps.
        run: the deciding one.
        evaluation: what ``read_evaluation_sets`` has kept the evaluation rows under.
        rejudge: doubt all labels anew.
        read: what was read for it; without it no splits are taken over, since those of rows to come would be missed.
        strange: the versions in this home whose splits it does not know.
    """
    store, dataset = context.store, context.dataset
    snapshot = store.snapshot()
    folder = store.work(run.id)
    shards = engine.run(write_shards, snapshot, folder, dataset.config.engine.workers)
    with engine.progress.step("checking rows") as advance:
        prepared = engine.spread(partial(prepare, dataset=dataset), shards, lambda part: advance(part.rows))
    adopted = _take_splits_over(context, engine, run, prepared, strange) if read is not None else Adopted()
    snapshot = store.snapshot()
    cases = engine.run(open_cases, prepared, snapshot, dataset, rejudge)
    alike = _compare_texts(context, engine, snapshot, cases, prepared, evaluation, folder)
    with engine.progress.step("comparing rows, doubting, choosing"):
        assessed = engine.run(assess, cases, prepared, alike, snapshot, dataset, run.id, folder)
    decisions = read_work(assessed.path)
    found = engine.run(similarities, alike, decisions, dataset.config.duplicates.threshold)
    fresh = news(decisions, snapshot.latest_decisions().collect())
    funnel = _funnel(snapshot, decisions)
    added = _added(snapshot, read)
    store.append(Table.DECISIONS, fresh)
    store.commit(
        run,
        inputs={table.value: version for table, version in snapshot.versions.items()},
        funnel=funnel,
        summary=CurateSummary(
            file=str(dataset.path),
            curation=dataset.curation_digest,
            evaluation=evaluation,
            similarities=found,
            lines=read.lines if read else 0,
            added=added,
            withdrawn=read.withdrawn if read else 0,
            budget=assessed.budget,
            budget_used=assessed.used,
            beyond_budget=assessed.beyond_budget,
            note=assessed.note,
            adopted=adopted.versions,
        ),
    )
    near = decisions.filter(fate=Fate.DUPLICATE.value)["reasons"].str.contains(ReasonCode.NEAR_DUPLICATE.value).sum()
    return Decided(fresh.height, added, int(near), assessed, funnel, adopted)


def _compare_texts(
    context: Context,
    engine: Engine,
    snapshot: Snapshot,
    cases: list[Case],
    prepared: list[Prepared],
    evaluation: str,
    folder: Path,
) -> Alike:
    """Find similar texts, and reject what resembles the rows that a model is judged by."""
    task, config = context.dataset.task, context.dataset.config
    with engine.progress.step("comparing texts"):
        judging = evaluation_rows(snapshot, evaluation)
        texts, threshold = judging["text"].to_list(), config.duplicates.threshold
        alike = find_alike(cases, prepared, texts, snapshot, task, threshold, folder, engine.map)
        reject_contaminated(cases, alike, judging, config, task, folder, engine.map)
    return alike


def _funnel(snapshot: Snapshot, decisions: pl.DataFrame) -> Funnel:
    """The numbers of records once some decisions count.

    Raises:
        StoreError: they do not add up.
    """
    counts = dict(decisions.group_by("fate").len().iter_rows())
    funnel = snapshot.funnel().model_copy(update={fate.value: counts.get(fate.value, 0) for fate in Fate})
    if not funnel.adds_up():
        raise StoreError(
            f"the fates of '{snapshot.store.dataset}' do not add up: {funnel}; nothing was committed, please report "
            "this"
        )
    return funnel


def _take_splits_over(
    context: Context, engine: Engine, run: Run, prepared: Sequence[Prepared], strange: Sequence[Path]
) -> Adopted:
    """Take splits over from versions that the home does not know, and commit those that are its own."""
    if not (strange or context.dataset.config.split.adopt):
        return Adopted()
    store = context.store
    with engine.progress.step("taking splits over"):
        paths = [part.path for part in prepared]
        adopted = engine.run(adopt_splits, paths, store.snapshot(), context.dataset, run.id, strange)
        for manifest in reversed(adopted.own):
            commit_version(store, manifest)
    return adopted


def _mostly_alike(decided: Decided) -> str:
    """Say if most rows resemble others: in a template, a few words may be all that counts."""
    near, current = decided.near, decided.funnel.current
    if near <= current * _MOST:
        return ""
    return (
        f"{near:,} of {current:,} rows are near duplicates of others; look at some with `goldleaf duplicates`, and "
        "raise duplicates.threshold if they ask different things"
    )


def _notes(read: Ingested, decided: Decided, sources: list[Source]) -> list[str]:
    return [
        *_left(read),
        decided.adopted.note,
        decided.assessed.note,
        _mostly_alike(decided),
        *_doubled(read, sources),
    ]


def _added(snapshot: Snapshot, read: Ingested | None) -> int:
    """The records that nobody has decided about before, those among them that a killed run has left."""
    if read is None:
        return 0
    last = snapshot.last_run(CurateSummary)
    records = snapshot.scan(Table.RECORDS).filter(~pl.col("withdrawn"), pl.col("batch") > (last.id if last else ""))
    return min(int(records.select(pl.len()).collect().item()), read.lines)


def _waiting(context: Context, problem: str = "") -> Review:
    snapshot = context.store.snapshot().at_last_commit()
    found = count_waiting(snapshot, context.dataset.task)
    problem = problem if found.questions else ""
    return Review(waiting=found.questions, audits=found.audits, unsent=found.unsent, problem=problem)


def _review(context: Context, engine: Engine, run: str) -> Review:
    """Push after the commit, from committed decisions; a server that is down only makes them wait.

    Nobody waits for the server meanwhile: the state's lock is free again.
    """
    connection = context.connection
    if connection is None:
        hint = (
            "no Label Studio is named: set LABEL_STUDIO_URL and LABEL_STUDIO_API_KEY, or start `goldleaf label-studio`"
        )
        return _waiting(context, hint)
    label = f"sending the review batch to {connection.shown}"
    try:
        with context.store.push_lock(), engine.progress.step(label, _waiting(context).waiting) as advance:
            pushed = engine.call(push_questions, context.store, context.dataset, connection, run, advance)
    except (Busy, Unreachable) as error:
        return _waiting(context, str(error))
    except LabelStudioError as error:
        unasked = _waiting(context).unsent
        wait = "1 question waits" if unasked == 1 else f"{unasked or 'no'} questions wait"
        note = f"everything is decided and committed, and {wait} for the next curate"
        raise LabelStudioError(f"{error}; {note}") from error
    done = {name: getattr(pushed, name) for name in ("sent", "withdrawn", "url", "refused")}
    return _waiting(context).model_copy(update=done)


def funnel_markdown(name: str, funnel: Funnel) -> str:
    """The funnel as a page with a table and a flow chart."""
    rows = "\n".join(f"| {key} | {value:,} |" for key, value in funnel.model_dump().items())
    edges: dict[str, Any] = {fate.value: getattr(funnel, fate.value) for fate in Fate}
    chart = "\n".join(f"  current --> {fate}[{fate}: {count:,}]" for fate, count in edges.items())
    return (
        f"# {name}\n\n| | records |\n|---|---:|\n{rows}\n\n"
        f"```mermaid\nflowchart LR\n  raw[raw: {funnel.raw:,}] --> current[current: {funnel.current:,}]\n{chart}\n```\n"
    )
