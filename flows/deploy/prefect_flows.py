"""The flows as Prefect flows.

They are separate because importing Prefect takes two seconds, which an inline run saves.
"""

from collections.abc import Callable
from contextvars import ContextVar
from pathlib import Path
from typing import Any, TypeVar, cast

from prefect import flow, tags
from prefect.runtime import flow_run
from prefect.states import Cancelled, Failed

from flows import collect as collect_story
from flows import compact as compact_story
from flows import curate as curate_story
from flows import finetune as finetune_story
from flows import release as release_story
from flows import suggest as suggest_story
from flows.cli.os_errors import in_a_line
from flows.collect import Collected
from flows.context import Context
from flows.curate import Curated, NotSent
from flows.deploy.deployments import TAG
from flows.deploy.page_log import SKIPPED, PageLog, ThisRun, run_name, tell_failures_once
from flows.engines.prefect_engine import PrefectEngine
from flows.finetune import Finetuned
from flows.release import Released
from flows.run_page import lines_about
from flows.suggest import Suggestions
from flows.turns import waiting
from pipeline.config.dataset_file import name_in
from pipeline.errors import Busy, Needless, Stuck
from pipeline.state.compaction import Compacted
from pipeline.steps import Progress, Silent
from schemas.options import Fix

R = TypeVar("R")
PROGRESS: ContextVar[Progress] = ContextVar("PROGRESS", default=Silent())  # noqa: B039 (Silent has no state)
"""Where the flows of this process report progress; a deployed run has no terminal."""


def run_here(verb: str, context: Context, progress: Progress, **arguments: Any) -> Any:
    """Run a flow in this process, and show its progress."""
    token = PROGRESS.set(progress)
    try:
        with tags(TAG, context.dataset.config.name):
            return globals()[verb](str(context.dataset.path), **arguments)
    finally:
        PROGRESS.reset(token)


def _run(verb: str, dataset: str, wait: str | None, story: Callable[[Context, PrefectEngine], R]) -> R:
    """Run a story as the current flow run, and tell its page what it did.

    A deployed run that finds the dataset in use for too long, or its work done, is skipped: nothing has failed. What
    has failed is said in a line, as at a terminal.
    """
    run = ThisRun.now()
    tell_failures_once()
    try:
        return _told(run, verb, dataset, wait, story)
    except Exception as error:
        line = in_a_line(error)
        if line is None or not run.is_deployed:
            raise
        # That nobody has a look at what is stuck would be a failure. Prefect takes a state for the result.
        is_needless = isinstance(error, Busy | Needless) and not isinstance(error, Stuck)
        return cast(R, Cancelled(name=SKIPPED, message=line) if is_needless else Failed(message=line))


def _told(run: ThisRun, verb: str, dataset: str, wait: str | None, story: Callable[[Context, PrefectEngine], R]) -> R:
    context = Context.load(Path(dataset))
    choice, name = context.dataset.config.engine, context.dataset.config.name
    page = PageLog(run, f"{verb} {name}", PROGRESS.get())
    due_at, skipped = run.skip_backlog(verb, name)
    page.tell(skipped)
    patience = wait or (context.dataset.config.schedules.wait if run.is_deployed else "0")
    try:
        with (
            PrefectEngine(page, workers=choice.workers, dask=choice.dask) as engine,
            waiting(context, verb, patience, page, due_at),
        ):
            release_story.announce_unheard(context, engine)
            result = story(context, engine)
    except NotSent as error:
        page.tell(lines_about(verb, error.curated))
        raise
    page.tell(lines_about(verb, result))
    return result


def _run_name() -> str:
    return run_name(str(flow_run.flow_name), name_in(Path(str(flow_run.parameters["dataset"]))))


@flow(name="curate", flow_run_name=_run_name)
def curate(
    dataset: str,
    rescore: bool = False,
    reindex: bool = False,
    full: bool = False,
    withdraw: list[str] | None = None,
    push: bool = True,
    suggest: bool = True,
    wait: str | None = None,
) -> Curated:
    """Ingest, decide, commit and send the review batch of a dataset.yaml."""

    def story(context: Context, engine: PrefectEngine) -> Curated:
        options = {"rescore": rescore, "reindex": reindex, "full": full, "push": push, "suggest": suggest}
        return curate_story.curate(context, engine, withdraw=withdraw or (), **options)

    return _run("curate", dataset, wait, story)


@flow(name="collect", flow_run_name=_run_name)
def collect(dataset: str, wait: str | None = None) -> Collected:
    """Pull annotations and commit the decisions that follow."""
    return _run("collect", dataset, wait, collect_story.collect)


@flow(name="release", flow_run_name=_run_name)
def release(dataset: str, version: str | None = None, wait: str | None = None, allow_lost: bool = False) -> Released:
    """Publish the accepted records as a version."""
    chosen: dict[str, Any] = {"version": version, "allow_lost": allow_lost}
    return _run("release", dataset, wait, lambda *stage: release_story.release(*stage, **chosen))


@flow(name="compact", flow_run_name=_run_name)
def compact(dataset: str, wait: str | None = None) -> dict[str, Compacted]:
    """Put together what many small runs have left."""
    return _run("compact", dataset, wait, compact_story.compact)


@flow(name="suggest", flow_run_name=_run_name)
def suggest(
    dataset: str,
    limit: int | None = None,
    dry_run: bool = False,
    retry_invalid: bool = False,
    wait: str | None = None,
) -> Suggestions:
    """Ask a model about unlabeled and doubted rows, and decide again with its answers."""

    def story(context: Context, engine: PrefectEngine) -> Suggestions:
        return suggest_story.suggest(context, engine, limit=limit, dry_run=dry_run, retry_invalid=retry_invalid)

    return _run("suggest", dataset, wait, story)


@flow(name="finetune", flow_run_name=_run_name)
def finetune(
    dataset: str,
    version: str = "latest",
    again: bool = False,
    slow_rows: int | None = None,
    seeds: int | None = None,
    curve: bool = False,
    ablate: bool = False,
    fix: list[Fix] | None = None,
    retry_invalid: bool = False,
    wait: str | None = None,
) -> Finetuned:
    """Train an adapter on a published version, and judge whether it was worth it."""

    def story(context: Context, engine: PrefectEngine) -> Finetuned:
        return finetune_story.finetune(
            context,
            engine,
            version=version,
            again=again,
            slow_rows=slow_rows,
            seeds=seeds,
            curve=curve,
            ablate=ablate,
            fix=fix,
            retry_invalid=retry_invalid,
        )

    return _run("finetune", dataset, wait, story)
