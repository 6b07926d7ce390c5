"""The whole workflow on a sample: what ``make demo`` runs."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from flows.context import Context
from flows.local.simulated_annotators import annotate, read_truth
from flows.local.studio_server import LocalStudio
from flows.settings import Settings, use_label_studio
from pipeline.config.dataset_file import load_dataset_file
from pipeline.config.workspace import Connection
from pipeline.errors import ConfigError
from pipeline.kinds.registry import kind_of
from pipeline.reporting.lookup import places_of
from pipeline.reporting.overview import count_waiting, open_seats
from pipeline.reporting.write_report import write_report
from pipeline.steps import Progress
from schemas.fate import LabelSource
from schemas.run_summary import Verb

SAMPLES = Path(__file__).parents[2] / "data" / "samples"
_ROUNDS = 4
"""At most: answers make other labels doubtful, so that a next round asks a little more."""


@dataclass(frozen=True)
class Played:
    """What a demo leaves."""

    context: Context
    telling: str
    """The place of a row that has something to tell, as ``explain`` takes it; empty if there are no rows."""


def sample_of(kind: str) -> Path:
    """The dataset.yaml of the sample whose task is of a kind.

    Raises:
        ConfigError: there are no samples next to the code, or none of this kind.
    """
    files = sorted(SAMPLES.glob("*/dataset.yaml"))
    if not files:
        raise ConfigError(f"the demo needs the samples in {SAMPLES}; run it in a clone of the repository")
    kinds = {kind_of(load_dataset_file(file).task).name: file for file in reversed(files)}
    if kind not in kinds:
        raise ConfigError(f"there is no sample of the kind '{kind}'; use {', '.join(sorted(kinds))}")
    return kinds[kind]


def demo(
    settings: Settings,
    kind: str,
    progress: Progress,
    verb: Callable[..., Any],
    show: Callable[[str, Any], None],
    wait: Callable[[str], None],
) -> Played:
    """Start a local Label Studio, run all four verbs, stop what was started.

    Args:
        settings: home, venv of Label Studio, and who annotates.
        kind: of the sample's task.
        progress: shows the steps that belong to no verb.
        verb: runs a verb by its name on the Prefect engine.
        show: shows a verb's result.
        wait: shows a text and waits for the user.

    Raises:
        ConfigError: there are no samples next to the code, or none of this kind.
    """
    file = sample_of(kind)
    studio = LocalStudio(
        venv=settings.goldleaf_label_studio_venv,
        data=settings.home / ".label-studio",
        cache=settings.goldleaf_cache,
        say=progress.say,
        share=True,
    )
    with studio:
        settings = use_label_studio(studio.url, studio.token)
        context = Context.load(file, settings)
        for _ in range(_ROUNDS):
            show("curate", verb(context, "curate"))
            if settings.annotate == "me":
                wait(
                    f"Label at {studio.url} (user {studio.username}, password {studio.password}), "
                    "as much as you like; then press Enter here."
                )
                show("collect", verb(context, "collect"))
                break
            if not _simulate(context, Connection(studio.url, studio.token), progress):
                break
            show("collect", verb(context, "collect"))
        show("release", verb(context, "release"))
        show("finetune", verb(context, "finetune"))
    # The server is gone, and with it the address in the report.
    without = replace(context, connection=None)
    write_report(without)
    return Played(without, telling_row(without))


def _simulate(context: Context, connection: Connection, progress: Progress) -> bool:
    """Let simulated annotators answer; returns whether there was a question that they had not skipped before."""
    snapshot = context.store.snapshot().at_last_commit()
    truth = read_truth(context.dataset.folder / "truth.jsonl", snapshot, context.dataset)
    found = count_waiting(snapshot, context.dataset.task, open_seats(snapshot, context.dataset))
    # They skip the same questions in every demo.
    asked = found.questions - found.skipped
    if not asked:
        progress.say("simulated annotators have no new question to answer")
        return False
    with progress.step("simulated annotators answer", asked) as advance:
        annotate(connection, context.dataset, truth, advance)
    return True


def telling_row(context: Context) -> str:
    """A row whose answer an annotator changed; if there is none, one that was doubted; else any."""
    snapshot = context.store.snapshot().at_last_commit()
    first = snapshot.committed_decisions(Verb.CURATE).unique("record_id", keep="first", maintain_order=True)
    doubted = first.select(
        "record_id", pl.col("targets").alias("before"), pl.col("routed").is_not_null().alias("asked")
    )
    now = snapshot.current_decisions().select("record_id", "targets", "label_source")
    rows = snapshot.current_records().select("record_id")
    for more in (now, doubted):
        rows = rows.join(more, on="record_id", maintain_order="left")
    is_human = pl.col("label_source") == LabelSource.HUMAN.value
    changed = is_human & (pl.col("targets") != pl.col("before"))
    told = rows.sort(changed.fill_null(False), "asked", descending=True, maintain_order=True).head(1).collect()
    return next(iter(places_of(snapshot, told["record_id"].to_list()).values()), "")
