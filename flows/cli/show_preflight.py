"""The command ``preflight``: what a training would learn from a version, and what it would not."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from flows.cli.app import DEFAULT, AsJson, DatasetFile, app, explained, load_context, print_json
from flows.cli.console import out, progress_for, show_rows
from flows.cli.inspect import version_folder
from pipeline.text.wording import counted, shown_share
from schemas.dataset import Finetune, Fix

if TYPE_CHECKING:
    from pipeline.finetuning.preflight import Keep, Preflight
    from pipeline.text.token_lengths import TokenLengths
    from schemas.task import Task

_BINS, _WIDTH = 8, 40
_MARKS = {"error": "[red]✗[/]", "warning": "[yellow]![/]", "note": "[dim]·[/]"}


@app.command(rich_help_panel="Inspect")
@explained
def preflight(
    reference: Annotated[
        str,
        typer.Argument(
            help="A version's folder, which needs no dataset.yaml; name@version; or name@latest.", metavar="REF"
        ),
    ],
    dataset: DatasetFile = DEFAULT,
    model: Annotated[
        str | None, typer.Option(help="The base model to try, instead of finetune.base_model.", metavar="ID")
    ] = None,
    fix: Annotated[
        list[Fix] | None,
        typer.Option(help="What to do about rows instead of stopping, as finetune.fix would; may be given twice."),
    ] = None,
    timing: Annotated[bool, typer.Option(help="Train for a few steps to measure the time.")] = True,
    as_json: AsJson = False,
) -> None:
    """Show what a training would learn from a version, and what it would not. Exit code 1 if it would stop.

    All rows go through the model's own chat template and tokenizer; nothing is changed. Of the few steps that are timed
    only their time is kept, for finetune. The settings are those of dataset.yaml, or of the version if REF is a folder.

    ✗ stops a training; ! would lose or change something; · is worth knowing. `--fix drop` shows what would be left
    without the rows that have errors, `--fix shorten` with the inputs cut of those that are too long.
    """
    from flows.settings import prepare_training

    prepare_training()
    from pipeline.finetuning.base_model import load_base
    from pipeline.finetuning.lora_config import lora_config
    from pipeline.finetuning.preflight import preflight as look_over
    from pipeline.releases.versions import verify

    folder = version_folder(reference, dataset, "preflight")
    verify(folder).require_sound()
    given = {"base_model": model, "fix": tuple(fix) if fix else None}
    config = _settings(folder, reference, dataset).model_copy(
        update={name: value for name, value in given.items() if value is not None}
    )
    if config.lora:
        lora_config(config)
    progress = progress_for(as_json)
    with progress.step(f"loading {config.base_model}"):
        base = load_base(config.base_model, quantize=config.quantize)
    keep, task = _keep(folder, reference, dataset), _task(folder, reference, dataset)
    found = look_over(folder, config, base, progress.step, timing=timing, keep=keep, task=task)
    if as_json:
        print_json(found)
    else:
        show_preflight(found)
        _show_next(found, f"goldleaf finetune {shlex.quote(str(dataset))}", is_told=bool(fix))
    if found.errors:
        raise typer.Exit(1)


def _settings(folder: Path, reference: str, dataset: Path) -> Finetune:
    """How would be trained: by dataset.yaml, or where only a folder is named, as the version says."""
    from pipeline.finetuning.lora_config import require_lora
    from pipeline.finetuning.model_places import placed
    from pipeline.releases.versions import read_manifest

    if folder == Path(reference):
        return Finetune.model_validate(read_manifest(folder).config.get("finetune", {}))
    loaded = load_context(dataset).dataset
    require_lora(loaded)
    return loaded.config.finetune.model_copy(
        update={"base_model": placed(loaded.config.finetune.base_model, loaded.folder)}
    )


def _keep(folder: Path, reference: str, dataset: Path) -> "Keep | None":
    """Measures the time anew and leaves it to `finetune`; None where only a folder is named, which has no home."""
    from importlib.metadata import version

    from pipeline.ladder.kept_measures import kept_measures, kept_timing

    if folder == Path(reference):
        return None
    return kept_timing(kept_measures(load_context(dataset).store.models, version("goldleaf"), is_read=False))


def _task(folder: Path, reference: str, dataset: Path) -> "type[Task] | None":
    """None where only a folder is named."""
    return None if folder == Path(reference) else load_context(dataset).dataset.task


def show_preflight(found: "Preflight") -> None:
    """Print the figures, and then what was found, the errors first."""
    figures, plan = found.figures, found.figures.plan
    out.print(f"[bold]{found.version}[/] for {escape(found.base_model)}: {figures.limit:,} tokens of a row are read")
    lengths = [
        [split, one.rows, one.kept, _quantiles(one.tokens), _quantiles(one.trained)]
        for split, one in figures.splits.items()
    ]
    show_rows("", ["split", "rows", "usable", "tokens of a row", "trained ones"], lengths)
    out.print("[dim]tokens: fewest, median, 95%, most[/]")
    if trained := figures.splits["train"].trained:
        _show_histogram("trained tokens of a training row", trained)
    if plan.rows:
        of_all = "" if plan.rows == figures.splits["train"].kept else ", as finetune.max_rows says"
        out.print(
            f"{counted(plan.rows, 'row')} would be trained on{of_all}, in {counted(plan.steps, 'step')}; "
            f"{shown_share(plan.trained_share)} of their tokens are trained, {shown_share(plan.padding)} of what is "
            "computed is padding"
        )
    _show_cost(found)
    for finding in found.findings:
        out.print(f"{_MARKS[finding.severity]} {escape(str(finding))}")
        if finding.examples:
            out.print(f"  rows: {', '.join(finding.examples)}", markup=False)
        out.print(f"  to do: {finding.next}", markup=False)


def _quantiles(lengths: "TokenLengths | None") -> str:
    if lengths is None:
        return ""
    known = lengths.records_by_length
    return " / ".join(f"{count:,}" for count in (min(known), lengths.at(0.5), lengths.at(0.95), max(known)))


def _show_histogram(title: str, lengths: "TokenLengths") -> None:
    bins = lengths.binned(_BINS)
    most = max(one.records for one in bins)
    ranges = [f"{one.low:,}" if one.low == one.high else f"{one.low:,}-{one.high:,}" for one in bins]
    wide, digits = max(map(len, ranges)), max(len(f"{one.records:,}") for one in bins)
    out.print(f"[dim]{title}[/]")
    for one, shown in zip(bins, ranges, strict=True):
        # What there is shows, however few.
        bar = f"  [blue]{'█' * max(1, round(_WIDTH * one.records / most))}[/]" if one.records else ""
        out.print(f"  {shown:>{wide}}  {one.records:>{digits},}{bar}")


def _show_cost(found: "Preflight") -> None:
    from pipeline.finetuning.preflight import shown_bytes

    timing, memory = found.figures.timing, found.figures.memory
    if timing:
        out.print(str(timing))
    if memory:
        out.print(
            f"memory: about {shown_bytes(memory.needed)} beside the model's {shown_bytes(memory.weights)}; "
            f"{shown_bytes(memory.free)} are free"
        )


def _show_next(found: "Preflight", command: str, *, is_told: bool) -> None:
    if found.errors:
        out.print(f"[red]nothing would be trained:[/] {counted(len(found.errors), 'error')}")
        return
    if not found.findings:
        out.print("[green]✓[/] nothing is wrong with the rows, the template or the end of answers")
    told = "".join(f" --fix {fix}" for fix in found.fix) if is_told else ""
    out.print(f"[dim]next:[/] {escape(command + told)}")
