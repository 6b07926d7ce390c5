"""The whole workflow on the sample clauses: what ``make demo`` runs."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from flows.context import Context
from flows.local.simulated_annotators import annotate, read_truth
from flows.local.studio_server import LocalStudio
from flows.settings import Settings, use_label_studio
from pipeline.config.workspace import Connection
from pipeline.errors import ConfigError
from pipeline.reporting.overview import count_waiting
from pipeline.reporting.write_report import write_report
from pipeline.steps import Progress

SAMPLES = Path(__file__).parents[2] / "data" / "samples"


def demo(
    settings: Settings,
    progress: Progress,
    verb: Callable[..., Any],
    show: Callable[[str, Any], None],
    wait: Callable[[str], None],
) -> Context:
    """Start a local Label Studio, run all four verbs, stop what was started.

    Args:
        settings: home, venv of Label Studio, and who annotates.
        progress: shows the steps that belong to no verb.
        verb: runs a verb by its name on the Prefect engine.
        show: shows a verb's result.
        wait: shows a text and waits for the user.

    Raises:
        ConfigError: there are no samples next to the code.
    """
    file = SAMPLES / "clauses" / "dataset.yaml"
    if not file.is_file():
        raise ConfigError(f"the demo needs the samples at {file}; run it in a clone of the repository")
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
        show("curate", verb(context, "curate"))
        if settings.annotate == "me":
            wait(
                f"Label at {studio.url} (user {studio.username}, password {studio.password}), "
                "as much as you like; then press Enter here."
            )
        else:
            _simulate(context, Connection(studio.url, studio.token), progress)
        show("collect", verb(context, "collect"))
        show("release", verb(context, "release"))
        show("finetune", verb(context, "finetune"))
    # The server is gone, and with it the address in the report.
    without = replace(context, connection=None)
    write_report(without)
    return without


def _simulate(context: Context, connection: Connection, progress: Progress) -> None:
    snapshot = context.store.snapshot().at_last_commit()
    truth = read_truth(context.dataset.folder / "truth.jsonl", snapshot, context.dataset)
    asked = count_waiting(snapshot, context.dataset.task).questions
    with progress.step("simulated annotators answer", asked) as advance:
        annotate(connection, context.dataset, truth, advance)
