"""The command line's frame: the application, how errors end, and how a verb finds its engine.

Only what a command needs is imported when it runs, so that ``--help`` and ``status`` are quick.
"""

import functools
import inspect
import json
import shlex
import textwrap
from collections.abc import Callable, Iterable
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ParamSpec, TypeVar

import typer
from pydantic import BaseModel
from rich.markup import escape
from typer.core import TyperGroup

from flows.cli.console import err, out, progress_for
from flows.cli.os_errors import in_a_line
from flows.cli.stdout import Terminated, known_interrupts, results, results_alone, visible, visible_json
from flows.engines.engine import Engine, Inline
from pipeline.errors import StoreError
from schemas.dataset import Runner
from schemas.durations import seconds_of
from schemas.user_code_errors import plain_words

if TYPE_CHECKING:
    from flows.context import Context

P = ParamSpec("P")
R = TypeVar("R")


_PANELS = ("Setup", "Workflow", "Inspect", "Maintenance")
"""The groups of commands in the order in which a new user needs them."""


class _Commands(TyperGroup):
    """All commands; what is wrong with an option is said in plain words."""

    def list_commands(self, ctx: Any) -> list[str]:
        """The names of the commands, panel by panel."""
        commands: dict[str, Any] = dict(self.commands)
        return sorted(commands, key=lambda name: _PANELS.index(commands[name].rich_help_panel))

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """A command with a readable help."""
        command = super().get_command(ctx, cmd_name)
        if command is not None:
            _make_readable(command, ctx)
        return command

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help of all commands."""
        _make_readable(self, ctx)
        super().format_help(ctx, formatter)

    def invoke(self, ctx: typer.Context) -> Any:  # type: ignore[override]
        """Run a command; its options are read only now."""
        try:
            return super().invoke(ctx)
        except typer.BadParameter as error:
            # typer checks values with pydantic, and passes its words on.
            error.message = plain_words(error.message)
            raise


def _make_readable(command: Any, ctx: Any) -> None:
    """Wrap the text of a help where the terminal ends, and call no flag `<bool>`: it takes no value."""
    # typer keeps the line breaks of the code.
    command.help = "\n\n".join(" ".join(part.split()) for part in inspect.cleandoc(command.help).split("\n\n"))
    for option in command.get_params(ctx):
        if getattr(option, "is_flag", False):
            option.metavar = ""


app = typer.Typer(
    name="goldleaf",
    cls=_Commands,
    help="""Turn raw examples into versioned instruction-tuning datasets, and fine-tune on them.

    The usual order: [bold]init[/] a dataset.yaml, [bold]check[/] it, [bold]curate[/] (annotators then label in
    Label Studio), [bold]collect[/] their answers, [bold]release[/] a version, [bold]finetune[/] on it.
    [bold]run[/] does the last four.

    Exit codes: 0 done, 1 failed (the message says what to do next), 2 wrong usage.
    """,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    add_completion=False,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        out.print(f"goldleaf {version('goldleaf')}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Options of the application itself; the commands are in their own modules."""


DatasetFile = Annotated[Path, typer.Argument(help="The dataset.yaml, or its folder.", metavar="DATASET.YAML")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON; progress is shown at a terminal only.")]
EngineName = Annotated[
    Runner | None,
    typer.Option(
        "--engine", help="Where the steps run. Default: the dataset's, else Prefect if PREFECT_API_URL is set."
    ),
]


def _duration(written: str) -> str:
    try:
        seconds_of(written)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    return written


Wait = Annotated[
    str,
    typer.Option(
        "--wait",
        metavar="DURATION",
        callback=_duration,
        help="Wait so long for others that use the dataset, such as 10m; by default, not at all.",
    ),
]
DEFAULT = Path("dataset.yaml")
_LONGEST, _MOST_LINES = 2_000, 12
"""Limits of an error: characters per line, and lines."""
_INTERRUPTED, _TERMINATED = 130, 143
"""Exit codes: 128 and the signal's number, as shells have it."""
_KEPT = {
    "finetune": "what arms have answered and the training up to its newest checkpoint are kept",
    "suggest": "what was answered is kept",
}
"""What an interrupted command leaves to the next one, where that is more than what it has committed."""
_HERE = "the items come here"


def explained(command: Callable[P, R]) -> Callable[P, R]:
    """Turn deliberate errors, and faults of disks and tables, into one line and exit code 1."""

    @functools.wraps(command)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            with known_interrupts(), results_alone():
                return command(*args, **kwargs)
        except KeyboardInterrupt as error:
            by_signal = isinstance(error, Terminated)
            kept = _KEPT.get(command.__name__, "committed work is kept")
            how = "ended by SIGTERM" if by_signal else "interrupted"
            err.print(f"{how}; {kept}, run the command again to continue", soft_wrap=True)
            raise typer.Exit(_TERMINATED if by_signal else _INTERRUPTED) from error
        except (Exception, SystemExit) as error:
            if (line := in_a_line(error)) is None:
                raise
            err.print(f"[red]error:[/] {escape(visible(_shortened(line)))}", soft_wrap=True)
            raise typer.Exit(1) from error

    return wrapper


def _shortened(text: str) -> str:
    """A readable form of an error: what it quotes may be megabytes long."""
    half = _LONGEST // 2
    lines = text.split("\n", _MOST_LINES)
    # What to do next is at the end.
    lines = [line if len(line) <= _LONGEST else f"{line[:half]} … {line[-half:]}" for line in lines]
    return "\n".join([*lines[:_MOST_LINES], *(["…"] if len(lines) > _MOST_LINES else [])])


def print_json(value: BaseModel | list[Any] | dict[str, Any]) -> None:
    """Print a result as JSON, and nothing else on stdout."""
    text = value.model_dump_json(indent=2) if isinstance(value, BaseModel) else json.dumps(value, indent=2, default=str)
    results().write(visible_json(text) + "\n")


def print_json_list(value: BaseModel, name: str, items: Iterable[BaseModel]) -> None:
    """Print a result whose list of that name is too long for memory: its items are printed as they come."""
    stream, between = results(), "\n"
    whole = value.model_copy(update={name: [_HERE]}).model_dump_json(indent=2, warnings=False)
    head, tail = whole.split(f'"{_HERE}"', 1)
    stream.write(visible_json(head.rstrip()))
    for item in items:
        stream.write(between + textwrap.indent(visible_json(item.model_dump_json(indent=2)), "    "))
        between = ",\n"
    stream.write(visible_json(tail.lstrip() if between == "\n" else tail) + "\n")


def load_context(dataset: Path) -> "Context":
    """Load a dataset.yaml with the settings of the environment."""
    from flows.context import Context

    return Context.load(dataset)


def require_curated(context: "Context") -> None:
    """Report what to run first, if nothing was ever curated.

    Raises:
        StoreError: there is nothing to look at.
    """
    if not context.store.exists:
        name, file = context.dataset.config.name, shlex.quote(str(context.dataset.path))
        raise StoreError(f"'{name}' has not been curated yet; run `goldleaf curate {file}` first")


def require_published(context: "Context") -> None:
    """The same, if there is no version either; versions alone may have been copied to this home."""
    if not context.store.releases.is_dir():
        require_curated(context)


def _runner(context: "Context", chosen: Runner | None) -> Runner:
    choice = context.dataset.config.engine
    named = Runner.PREFECT if context.settings.prefect_api_url or choice.dask else Runner.INLINE
    return chosen or choice.runner or named


def run_verb(
    context: "Context", chosen: Runner | None, as_json: bool, verb: str, *, wait: str = "0", **arguments: Any
) -> Any:
    """Run a verb on the chosen engine and return its result; if others use the dataset, wait so long for them."""
    progress = progress_for(as_json)
    if _runner(context, chosen) is Runner.PREFECT:
        from flows.settings import prepare_prefect

        prepare_prefect(context.settings)
        from flows.deploy import prefect_flows
        from flows.engines.prefect_engine import start_server

        start_server()
        return prefect_flows.run_here(verb, context, progress, wait=wait, **arguments)
    import importlib

    from flows.turns import waiting

    story: Callable[..., Any] = getattr(importlib.import_module(f"flows.{verb}"), verb)
    engine: Engine = Inline(progress, context.dataset.config.engine.workers)
    with waiting(context, verb, wait, progress):
        return story(context, engine, **arguments)
