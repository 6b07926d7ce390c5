"""The flows as Prefect flows: the entrypoints of deployments.

They are separate because importing Prefect takes two seconds, which an inline run saves.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from prefect import flow
from prefect.runtime import flow_run

from flows import collect as collect_story
from flows import curate as curate_story
from flows import finetune as finetune_story
from flows import release as release_story
from flows import suggest as suggest_story
from flows.collect import Collected
from flows.context import Context
from flows.curate import Curated
from flows.engines.prefect_engine import PrefectEngine
from flows.finetune import Finetuned
from flows.release import Released
from flows.suggest import Suggestions
from pipeline.steps import Progress, Silent
from schemas.options import Fix

PROGRESS: ContextVar[Progress] = ContextVar("PROGRESS", default=Silent())  # noqa: B039 (Silent has no state)
"""Where the flows of this process report progress; a deployed run has no terminal."""


@contextmanager
def _stage(dataset: str) -> Iterator[tuple[Context, PrefectEngine]]:
    context = Context.load(Path(dataset))
    choice = context.dataset.config.engine
    with PrefectEngine(PROGRESS.get(), workers=choice.workers, dask=choice.dask) as engine:
        yield context, engine


def _run_name() -> str:
    """For example ``curate-clauses``: a whole path would fill the list of runs."""
    path = Path(str(flow_run.parameters["dataset"]))
    return f"{flow_run.flow_name}-{path.parent.name if path.stem == 'dataset' else path.stem}"


@flow(name="curate", flow_run_name=_run_name)
def curate(
    dataset: str,
    rescore: bool = False,
    reindex: bool = False,
    full: bool = False,
    push: bool = True,
    suggest: bool = True,
) -> Curated:
    """Ingest, decide, commit and send the review batch of a dataset.yaml."""
    with _stage(dataset) as stage:
        return curate_story.curate(*stage, rescore=rescore, reindex=reindex, full=full, push=push, suggest=suggest)


@flow(name="collect", flow_run_name=_run_name)
def collect(dataset: str) -> Collected:
    """Pull annotations and commit the decisions that follow."""
    with _stage(dataset) as stage:
        return collect_story.collect(*stage)


@flow(name="release", flow_run_name=_run_name)
def release(dataset: str, version: str | None = None) -> Released:
    """Publish the accepted records as a version."""
    with _stage(dataset) as stage:
        return release_story.release(*stage, version=version)


@flow(name="suggest", flow_run_name=_run_name)
def suggest(dataset: str, limit: int | None = None, dry_run: bool = False, retry_invalid: bool = False) -> Suggestions:
    """Ask a model about unlabeled and doubted rows, and decide again with its answers."""
    with _stage(dataset) as stage:
        return suggest_story.suggest(*stage, limit=limit, dry_run=dry_run, retry_invalid=retry_invalid)


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
) -> Finetuned:
    """Train an adapter on a published version, and judge whether it was worth it."""
    with _stage(dataset) as stage:
        return finetune_story.finetune(
            *stage,
            version=version,
            again=again,
            slow_rows=slow_rows,
            seeds=seeds,
            curve=curve,
            ablate=ablate,
            fix=fix,
            retry_invalid=retry_invalid,
        )
