"""The command ``baselines``: what can be done without training, on the test questions of a version."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from flows.cli.app import DEFAULT, AsJson, DatasetFile, app, explained, load_context, print_json, require_published
from flows.cli.console import out, progress_for
from flows.cli.show_finetuned import show_arms, show_others
from pipeline.text.wording import counted
from schemas.options import Fix

if TYPE_CHECKING:
    from pipeline.ladder.baselines import Baselines


@app.command(rich_help_panel="Inspect")
@explained
def baselines(
    dataset: DatasetFile = DEFAULT,
    version: Annotated[str, typer.Option(help="A published version, or latest.")] = "latest",
    slow_rows: Annotated[
        int | None, typer.Option("--slow-rows", min=1, help="How many questions slow arms are asked at most.")
    ] = None,
    fix: Annotated[
        list[Fix] | None,
        typer.Option(help="What to do about rows instead of stopping, instead of finetune.fix; may be given twice."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Compare everything that needs no training on a version's test questions, before anything is trained.

    These are the arms of dataset.yaml but for the adapter: the most frequent answer, a linear model, the nearest
    training row, the prompted base model without and with examples, and endpoints. Most teams need no more. `goldleaf
    finetune` asks none of them again, and tells whether an adapter is better.
    """
    context = load_context(dataset)
    require_published(context)
    from flows.engines.engine import Inline
    from flows.finetune import ask_untrained_arms

    engine = Inline(progress_for(as_json))
    found = ask_untrained_arms(context, engine, version=version, slow_rows=slow_rows, fix=fix)
    if as_json:
        print_json(found)
    else:
        show_baselines(found, dataset)


def show_baselines(found: "Baselines", dataset: Path) -> None:
    """Print the arms, the best of them, and what comes next."""
    rows, asked = counted(found.train_rows, "training row"), counted(found.test_rows, "test question")
    out.print(f"[bold]{found.version}[/]: {rows}, {asked}")
    best, arms = found.best, found.ladder.arms
    if reference := best or next(iter(arms), None):
        show_arms(found.ladder, reference, found.currency)
        show_others(found.ladder, reference.score.unit)
        if found.in_review is not None:
            said = found.in_review.said(found.version, found.test_rows, reference.score.unit)
            out.print(f"- {said}", markup=False)
    named = "" if dataset == DEFAULT else f" {shlex.quote(str(dataset))}"
    if best is not None:
        out.print(f"the best is {escape(best.title)} with {best.score}. Is that enough?")
    out.print(f"[dim]next:[/] goldleaf finetune{escape(named)} trains an adapter, and says whether it is better")
