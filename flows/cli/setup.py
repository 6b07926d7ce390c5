"""The setup commands: init, label-studio and demo."""

import os
import shlex
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from flows.cli.app import AsJson, app, explained, print_json, run_verb
from flows.cli.console import TerminalProgress, err, out
from flows.cli.stdout import results
from flows.cli.verbs import show_result
from pipeline.errors import ConfigError
from pipeline.kinds.starter_files import DEFAULT_STARTER, starter_names
from schemas.dataset import Runner

Starter = StrEnum("Starter", starter_names())  # type: ignore[misc]
"""The kinds of task that a dataset can start from."""
_DEFAULT_STARTER = Starter(DEFAULT_STARTER)
_STARTERS = ", ".join(Starter)

if TYPE_CHECKING:
    from flows.local.studio_server import LocalStudio


@app.command(rich_help_panel="Setup")
@explained
def init(
    folder: Annotated[Path, typer.Argument(help="Where the files go; created if missing.", metavar="FOLDER")] = Path(),
    name: Annotated[str | None, typer.Option(help="The dataset's name. Default: the folder's.")] = None,
    kind: Annotated[
        Starter, typer.Option(help=f"The kind of task to start from: {_STARTERS}.", metavar="KIND")
    ] = _DEFAULT_STARTER,
    as_json: AsJson = False,
) -> None:
    """Write a dataset.yaml, a task file and a few example rows that work right away.

    Then replace data.jsonl with your data, and describe your inputs and targets in task.py.
    """
    from pipeline.config.scaffold import name_for, scaffold
    from pipeline.kinds.registry import kind_named

    written = scaffold(folder, name or name_for(folder), kind_named(kind.value))
    if as_json:
        print_json([str(path) for path in written])
        return
    for path in written:
        out.print(str(path), markup=False)
    out.print(f"[dim]next:[/] goldleaf check {escape(shlex.quote(str(folder / 'dataset.yaml')))}")


@app.command("label-studio", rich_help_panel="Setup")
@explained
def label_studio(
    port: Annotated[
        int | None, typer.Option(help="The server's port. Default: the last port used, or else a free one.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Run a local Label Studio in its own venv until Ctrl-C, and print how to connect.

    For trials and a few annotators; a team should run its own server on PostgreSQL.
    """
    from flows.local.studio_server import LocalStudio
    from flows.settings import Settings

    settings = Settings()
    studio = LocalStudio(
        venv=settings.goldleaf_label_studio_venv,
        data=settings.home / ".label-studio",
        cache=settings.goldleaf_cache,
        port=port,
        say=err.print if as_json else out.print,
    )
    with studio:
        if as_json:
            names = ("url", "username", "password", "token")
            print_json({name: getattr(studio, name) for name in names})
            results().flush()
        else:
            _show_access(studio)
        try:
            studio.serve()
        except KeyboardInterrupt:
            err.print("stopping")


def _show_access(studio: "LocalStudio") -> None:
    out.print(f"user {studio.username}, password {studio.password}", markup=False)
    out.print("to connect goldleaf, set these in another terminal or in .env:")
    for line in (f"LABEL_STUDIO_URL={studio.url}", f"LABEL_STUDIO_API_KEY={studio.token}"):
        out.print(f"  {line}", markup=False)
    out.print("Ctrl-C stops it; annotations are kept")


@app.command(rich_help_panel="Setup")
@explained
def demo(
    kind: Annotated[
        Starter, typer.Option(help=f"The kind of task whose sample is used: {_STARTERS}.", metavar="KIND")
    ] = _DEFAULT_STARTER,
) -> None:
    """Run the whole workflow on a sample: curate, label, collect, release, fine-tune.

    There is a sample of every kind of task; the default is the contract clauses. Simulated annotators label through
    the real API; ANNOTATE=me leaves the labeling to you. On two cores it takes 5 to 11 minutes, most
    of them for fine-tuning. It writes to the home, `data/store` unless GOLDLEAF_HOME is set; a second run adds nothing.
    """
    from flows.local.demo import demo as play
    from flows.local.demo import sample_of
    from flows.settings import Settings
    from pipeline.reporting.status import read_status

    def verb(context: Any, name: str) -> Any:
        return run_verb(context, Runner.PREFECT, False, name)

    def show(name: str, result: Any) -> None:
        out.rule(name, align="left")
        show_result(name, result, Path(os.path.relpath(sample_of(kind.value))))

    def wait(text: str) -> None:
        out.print(text)
        try:
            input()
        except EOFError as error:
            raise ConfigError("ANNOTATE=me waits until you press Enter; run `make demo` in a terminal") from error

    played = play(Settings(), kind.value, TerminalProgress(), verb, show, wait)
    context = played.context
    file, store = os.path.relpath(context.dataset.path), context.store
    out.rule("where things are", align="left")
    latest = f"{context.dataset.config.name}@{read_status(context).latest_release}"
    places = f"report   {store.report}\ndataset  {store.releases}\nadapter  {store.models}"
    out.print(places, markup=False)
    out.print("\n[bold]Try next[/]")
    explain = [f"explain {shlex.quote(played.telling)} {file}"] if played.telling else []
    others = f"demo --kind {next(other for other in Starter if other is not kind)}"
    for command in (*explain, f"verify {latest} {file}", f"status {file}", others):
        out.print(f"  .venv/bin/goldleaf {command}")
