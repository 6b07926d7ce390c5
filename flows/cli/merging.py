"""The command merge: an adapter and its base model as one model."""

from pathlib import Path
from typing import Annotated

import typer

from flows.cli.app import DEFAULT, AsJson, DatasetFile, app, explained, load_context, print_json
from flows.cli.console import out, progress_for
from pipeline.errors import TrainingError


@app.command(rich_help_panel="Workflow")
@explained
def merge(
    run: Annotated[
        str,
        typer.Argument(
            help="An adapter's folder, which needs no dataset.yaml; its run's id; or latest.", metavar="RUN"
        ),
    ],
    destination: Annotated[Path, typer.Argument(help="A folder that does not exist yet.", metavar="DEST")],
    dataset: DatasetFile = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Merge an adapter into its base model, for programs that know no adapters.

    Writes the model in the numbers of its base, the tokenizer and the generation settings.

    Example: goldleaf merge latest models/clauses
    """
    from flows.settings import prepare_training

    prepare_training()
    from pipeline.finetuning.merge import merge_adapter

    adapter = _adapter_folder(run, dataset)
    progress = progress_for(as_json)
    with progress.step(f"merging {adapter.name}"):
        merged = merge_adapter(adapter, destination)
    if as_json:
        print_json(merged)
        return
    out.print(f"{merged.base_model} with the adapter, in {merged.dtype}", markup=False)
    out.print(merged.path, markup=False)


def _adapter_folder(run: str, dataset: Path) -> Path:
    from pipeline.finetuning.adapters import adapters_in, latest_adapter
    from pipeline.state.atomic import is_folder

    if is_folder(folder := Path(run)):
        return folder
    context = load_context(dataset)
    models, name = context.store.models, context.dataset.config.name
    found = latest_adapter(models) if run == "latest" else models / run
    if found is None or not is_folder(found):
        there = sorted(folder.name for folder in adapters_in(models))
        known = f"it has {', '.join(there)}" if there else "it has none; run `goldleaf finetune` first"
        raise TrainingError(f"'{name}' has no adapter '{run}': {known}")
    return found
