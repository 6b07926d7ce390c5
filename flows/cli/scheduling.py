"""The commands for schedules: serve and deploy."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli.app import DEFAULT, AsJson, app, explained, load_context, print_json
from flows.cli.console import err, out
from pipeline.errors import ConfigError

if TYPE_CHECKING:
    from flows.deploy.deployments import Deployment

DatasetFiles = Annotated[
    list[Path] | None, typer.Argument(help="Each a dataset.yaml, or its folder.", metavar="[DATASET.YAML]...")
]


def _plan(datasets: list[Path] | None) -> "list[Deployment]":
    """What to run when; Prefect can be imported afterwards.

    Raises:
        ConfigError: there is no Prefect server, or nothing has a schedule.
    """
    from flows.deploy.deployments import planned
    from flows.settings import Settings, prepare_schedules

    settings = Settings()
    if not settings.prefect_api_url:
        raise ConfigError(
            "schedules need a Prefect server; start one (`prefect server start`) and set PREFECT_API_URL to its "
            "address, such as http://127.0.0.1:4200/api"
        )
    plan = planned([load_context(dataset) for dataset in datasets or [DEFAULT]])
    prepare_schedules(settings)
    return plan


@app.command(rich_help_panel="Workflow")
@explained
def serve(datasets: DatasetFiles = None) -> None:
    """Run the `schedules` of one or more datasets until Ctrl-C, each run in a process of its own.

    Needs a Prefect server (PREFECT_API_URL), and goes on by itself after it was away. Whatever was missed, and what
    comes while a run waits for another, becomes one run. Let systemd or the like start it again after a crash.
    """
    plan = _plan(datasets)
    if not any(deployment.schedule for deployment in plan):
        files = ", ".join(sorted({str(deployment.file) for deployment in plan}))
        raise ConfigError(f"{files} has no `schedules`; add some, such as `schedules: {{curate: '0 2 * * *'}}`")
    from flows.deploy.serving import serve as run_schedules

    try:
        run_schedules(plan, lambda text: err.print(text, markup=False, soft_wrap=True))
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
    paths. A schedule that is no longer in dataset.yaml is removed there, too.

    Example: goldleaf deploy --pool goldleaf tickets/dataset.yaml
    """
    if not pool:
        raise typer.BadParameter("name the work pool", param_hint="--pool")
    plan = _plan(datasets)
    from flows.deploy.serving import deploy as apply

    apply(plan, pool, Path.cwd(), to.absolute())
    if as_json:
        print_json([{"deployment": one.name, "file": str(one.file), "schedule": _times(one)} for one in plan])
        return
    for one in plan:
        out.print(f"{one.name}  {_times(one) or 'no schedule'}", markup=False)
    out.print(f"[dim]next:[/] prefect worker start --pool {pool}")


def _times(deployment: "Deployment") -> str:
    times = deployment.schedule
    return f"{times.cron} {times.timezone}" if times else ""
