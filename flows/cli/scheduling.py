"""The commands for schedules: serve and deploy."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli.app import DEFAULT, AsJson, app, explained, load_context, print_json
from flows.cli.console import err, out
from pipeline.errors import ConfigError, GoldleafError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flows.context import Context
    from flows.deploy.deployments import Deployment

DatasetFiles = Annotated[
    list[Path] | None, typer.Argument(help="Each a dataset.yaml, or its folder.", metavar="[DATASET.YAML]...")
]


class _Plan:
    """What to run when, of those files that can be read; others stop nobody and are tried again."""

    def __init__(self, files: "Sequence[Path]") -> None:
        self.broken: dict[Path, str] = dict.fromkeys(files, "")
        """Why a file cannot be used."""
        self._contexts: list[Context] = []

    def read(self) -> "list[Deployment]":
        """The deployments of the files that can be read now and could not be before; says what is wrong with others."""
        from flows.deploy.deployments import planned

        found: list[Deployment] = []
        for file, before in list(self.broken.items()):
            try:
                context = load_context(file)
                planned([*self._contexts, context])
            except GoldleafError as error:
                self.broken[file] = str(error)
                if before != str(error):
                    err.print(f"{file} is left out: {error}", markup=False, soft_wrap=True)
                continue
            del self.broken[file]
            self._contexts.append(context)
            found += planned([context])
        return found


def _plan(datasets: list[Path] | None) -> "tuple[_Plan, list[Deployment]]":
    """What to run when; Prefect can be imported afterwards.

    Raises:
        ConfigError: there is no Prefect server, or no file can be used.
    """
    from flows.settings import Settings, prepare_schedules

    settings = Settings()
    if not settings.prefect_api_url:
        raise ConfigError(
            "schedules need a Prefect server; start one (`prefect server start`) and set PREFECT_API_URL to its "
            "address, such as http://127.0.0.1:4200/api"
        )
    files = datasets or [DEFAULT]
    if len(files) == 1:
        # Then there is nobody else to run.
        load_context(files[0])
    plan = _Plan(files)
    found = plan.read()
    if not found:
        raise ConfigError("none of these can be used, see above; correct one of them")
    prepare_schedules(settings)
    return plan, found


@app.command(rich_help_panel="Workflow")
@explained
def serve(datasets: DatasetFiles = None) -> None:
    """Run the `schedules` of one or more datasets until Ctrl-C, each run in a process of its own.

    Needs a Prefect server (PREFECT_API_URL), and goes on by itself after it was away. Whatever was missed, and what
    comes while a run waits for another, becomes one run. Let systemd or the like start it again after a crash. A
    dataset.yaml that is wrong stops no other: it is named, and tried again.
    """
    files, plan = _plan(datasets)
    if not files.broken and not any(deployment.schedule for deployment in plan):
        known = ", ".join(sorted({str(deployment.file) for deployment in plan}))
        raise ConfigError(f"{known} has no `schedules`; add some, such as `schedules: {{curate: '0 2 * * *'}}`")
    from flows.deploy.serving import serve as run_schedules

    try:
        run_schedules(plan, lambda text: err.print(text, markup=False, soft_wrap=True), files.read)
    except KeyboardInterrupt:
        err.print("stopping")


@app.command(rich_help_panel="Workflow")
@explained
def deploy(
    datasets: DatasetFiles = None,
    pool: Annotated[str, typer.Option("--pool", help="The work pool, whose workers run it.")] = "",
    to: Annotated[Path, typer.Option("--to", help="The file to write and apply.")] = Path("prefect.yaml"),
    as_json: AsJson = False,
) -> None:
    """Deploy the `schedules` of one or more datasets to a Prefect work pool, by a prefect.yaml that it writes.

    Runs start in the working directory of this command, and workers need it, the home and the datasets under the same
    paths. A schedule that is no longer in dataset.yaml is removed there, too. A dataset.yaml that is wrong stops no
    other: it stays as it was deployed, and the command fails when the others are.

    Example: goldleaf deploy --pool goldleaf tickets/dataset.yaml
    """
    if not pool:
        raise typer.BadParameter("name the work pool", param_hint="--pool")
    files, plan = _plan(datasets)
    from flows.deploy.serving import deploy as apply

    apply(plan, pool, Path.cwd(), to.absolute())
    _show_deployed(plan, pool, as_json)
    if files.broken:
        left = ", ".join(map(str, files.broken))
        raise ConfigError(f"all others are deployed, but not {left}; correct it, see above, and deploy it again")


def _show_deployed(plan: "list[Deployment]", pool: str, as_json: bool) -> None:
    if as_json:
        print_json([{"deployment": one.name, "file": str(one.file), "schedule": one.times} for one in plan])
        return
    for one in plan:
        out.print(f"{one.name}  {one.times or 'no schedule'}", markup=False)
    out.print(f"[dim]next:[/] prefect worker start --pool {pool}")
