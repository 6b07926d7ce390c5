"""The read-only commands: status, explain, releases, verify, report, sql and check."""

import math
import shlex
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from flows.cli.app import (
    DEFAULT,
    AsJson,
    DatasetFile,
    app,
    explained,
    load_context,
    print_json,
    require_curated,
    require_published,
)
from flows.cli.console import (
    out,
    progress_for,
    show_answer,
    show_attention,
    show_funnel,
    show_in_review,
    show_proof,
    show_rejections,
    show_rows,
)
from flows.cli.show_all import killed_line, show_all
from flows.cli.show_team import show_note, show_seats
from pipeline.errors import Damaged, ReleaseError
from pipeline.text.wording import counted, questions_wait

if TYPE_CHECKING:
    from flows.context import Context
    from pipeline.reporting.status import Status
    from schemas.manifest import Manifest

_SHOWN_ROWS = 50
_SHOWN_CHARACTERS, _SHOWN_LINES = 500, 10
"""Limits of a table's cell."""


@app.command(rich_help_panel="Inspect")
@explained
def status(
    dataset: DatasetFile = DEFAULT,
    everything: Annotated[
        bool, typer.Option("--all", help="A line for each dataset in the home; exit code 2 if one needs somebody.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show the funnel, what waits for annotators, the versions and the last runs."""
    from pipeline.reporting.status import read_status

    if everything:
        show_all(as_json)
        return
    context = load_context(dataset)
    result = read_status(context)
    if context.connection and context.connection.api_key and (result.waiting or result.attention):
        result = result.model_copy(update={"notes": [*result.notes, *_problem_of_server(context)]})
    if as_json:
        print_json(result)
        return
    title = f"{result.dataset}   [dim]{escape(result.home)}"
    if result.runs:
        show_funnel(result.funnel(), title)
    else:
        out.print(title)
        out.print("nothing has been curated yet")
    if result.waiting:
        unsent = f", {result.unsent:,} not sent yet" if result.unsent else ""
        out.print(f"[yellow]{questions_wait(result.waiting, result.skipped, result.waiting_rows)}[/]{unsent}")
    show_seats(result.seats)
    for said in (result.nobody_left, *result.notes):
        show_note(said)
    show_attention(result.attention)
    for line in result.unreliable:
        out.print(f"[yellow]note:[/] {escape(line)}: see `goldleaf annotators`", soft_wrap=True)
    if doubted := len(result.doubted_gold):
        what, which = counted(doubted, "known answer"), "it" if doubted == 1 else "them"
        out.print(f"[yellow]{what} of gold items may be wrong[/]: `goldleaf annotators` names {which}")
    show_rejections(result.rejections)
    show_in_review(result.in_review)
    if beyond := result.beyond(is_fixed=result.proof is not None):
        out.print(beyond)
    for line in result.suggestions.lines if result.suggestions else ():
        out.print(line, markup=False)
    if result.outlook:
        out.print(str(result.outlook))
    if result.audit:
        out.print(f"wrong among the accepted rows: {result.audit}")
    if result.proof is not None:
        show_proof(result.proof)
    for source in result.frozen:
        out.print(str(source), markup=False)
    _show_versions(result)
    _show_runs(result)
    out.print(f"[dim]next:[/] {escape(result.next_step)}")


def _problem_of_server(context: "Context") -> list[str]:
    """That Label Studio, where something waits, does not answer or refuses us."""
    from pipeline.reporting.check import check_label_studio

    found = check_label_studio(context)
    return [] if found.ok else [found.detail]


def _show_runs(result: "Status") -> None:
    if result.runs:
        runs = [[run.run, str(run), f"{run.finished_at:%F %T}", run.did] for run in result.runs]
        show_rows("last runs", ["run", "command", "finished", "what it did"], runs)
    for verb, began_at in result.killed.items():
        out.print(killed_line(verb, began_at))
    if result.clock:
        out.print(f"[yellow]{result.clock}[/]")


def _show_versions(result: "Status") -> None:
    """What was published, and what was trained on it."""
    if result.latest_release:
        out.print(f"latest release: [bold]{result.dataset}@{result.latest_release}")
    if result.is_finetuning:
        before = "; the last one that ended:" if result.finetuned else ""
        out.print(f"[bold]a fine-tuning is running[/]{before}")
    if result.is_asking_baselines:
        out.print("[bold]goldleaf baselines is running[/]")
    if result.finetuned:
        out.print(result.finetuned, markup=False)
    if result.training:
        out.print(str(result.training), markup=False)
    for problem in result.damaged_releases:
        out.print(f"[red]{escape(problem)}")


@app.command(rich_help_panel="Inspect")
@explained
def explain(
    record: Annotated[
        str, typer.Argument(help="A record id, its beginning, file:line, or the row's key.", metavar="ID")
    ],
    dataset: DatasetFile = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Show a record's full history: file and line, raw bytes, decisions, tasks, annotations, releases, split.

    Example: goldleaf explain clauses.jsonl:17
    """
    from flows.cli.show_story import show_story
    from pipeline.reporting.explain import explain as tell

    context = load_context(dataset)
    require_curated(context)
    story = tell(context.store.snapshot().at_last_commit(), record, context.store.releases, context.dataset)
    if as_json:
        print_json(story)
        return
    show_story(story)


@app.command(rich_help_panel="Inspect")
@explained
def releases(dataset: DatasetFile = DEFAULT, as_json: AsJson = False) -> None:
    """List the published versions in the order of publication. Exit code 1 if one of them cannot be read."""
    from pipeline.releases.versions import in_order_of_publication, readable_versions

    context = load_context(dataset)
    store = context.store
    readable, damaged = readable_versions(store.releases)
    found = in_order_of_publication(readable)
    if as_json:
        print_json([_listed(manifest, store.releases) for manifest in found])
    else:
        rows = [
            [m.version, f"{m.created_at:%F %T}", sum(file.rows for file in m.splits.values()), m.digest[:19] + "…"]
            for m in found
        ]
        show_rows("", ["version", "published", "rows", "digest"], rows)
        if found != readable:
            # For homes from before versions had to count up.
            out.print(f"`latest` means the highest version: {readable[-1].version}")
        if not found:
            verb = "release" if store.exists else "curate"
            hint = f"no version yet; run `goldleaf {verb} {shlex.quote(str(context.dataset.path))}`"
            out.print(hint, markup=False)
    if damaged:
        raise Damaged(" ".join(damaged))


def _listed(manifest: "Manifest", releases: Path) -> dict[str, Any]:
    shown = manifest.model_dump(mode="json", include={"version", "digest", "created_at", "task", "label_sources"})
    splits = {split: file.rows for split, file in manifest.splits.items()}
    return shown | {"path": str(releases / manifest.version), "splits": splits}


@app.command(rich_help_panel="Inspect")
@explained
def verify(
    reference: Annotated[
        str,
        typer.Argument(
            help="A version's folder, which needs no dataset.yaml; name@version; or name@latest.", metavar="REF"
        ),
    ],
    dataset: DatasetFile = DEFAULT,
    lock: Annotated[
        str | None, typer.Option(help="A goldleaf.lock file, or one line of it, that must pin this version.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Recompute every digest of a version, and name what is damaged. Exit code 1 if anything is.

    With --lock, also if the version is not the one that the lock pins.

    Example: goldleaf verify path/to/1.0.0 --lock goldleaf.lock
    """
    from pipeline.releases.lockfile import against_lock
    from pipeline.releases.versions import verify as check_bytes

    result = check_bytes(version_folder(reference, dataset))
    is_sound = not result.problems
    if lock is not None:
        result = against_lock(result, lock)
    if as_json:
        print_json(result)
    else:
        for problem in result.problems:
            out.print(f"[red]{escape(str(problem))}")
        # On its own line: users copy it into their goldleaf.lock.
        out.print(result.reference, markup=False)
        out.print("[green]every byte matches what was published" if is_sound else "[red]damaged")
    if result.problems:
        raise typer.Exit(1)


def version_folder(reference: str, dataset: Path, command: str = "verify") -> Path:
    """The given folder, or that of a reference to a version of a dataset; an error names the command that asks."""
    from pipeline.releases.versions import find_version
    from pipeline.state.atomic import is_file, is_folder

    if is_folder(folder := Path(reference)):
        return folder
    if "@" not in reference and len(folder.parts) > 1:
        raise ReleaseError(f"there is no folder {reference}; name a version's folder, or name@version")
    if not (is_file(dataset) or is_folder(dataset)):
        raise ReleaseError(
            f"there is no {dataset} to look up '{reference}' in; pass the path of a dataset.yaml, or a version's "
            f"folder, as in `goldleaf {command} path/to/1.0.0`"
        )
    context = load_context(dataset)
    known, (name, at, _) = context.dataset.config.name, reference.partition("@")
    if at and name != known:
        raise ReleaseError(f"{context.dataset.path} describes '{known}', not '{name}'")
    require_published(context)
    # A version alone is unambiguous, a name alone is not.
    named = reference if at or name == known else f"{known}@{name}"
    return find_version(context.store.releases, named, context.dataset.path)


@app.command(rich_help_panel="Inspect")
@explained
def report(
    dataset: DatasetFile = DEFAULT,
    to: Annotated[
        Path | None, typer.Option("--to", help="Write it here instead of into the home (GOLDLEAF_HOME).")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write the report on the current state as one HTML file, and print its path."""
    from pipeline.reporting.write_report import write_report

    path = write_report(load_context(dataset), to=to, progress=progress_for(as_json))
    if as_json:
        print_json({"path": str(path)})
        return
    out.print(str(path), markup=False)


@app.command(rich_help_panel="Inspect")
@explained
def sql(
    query: Annotated[str, typer.Argument(help="A DuckDB query: select, with, from, describe, …", metavar="QUERY")],
    dataset: DatasetFile = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Query the tables current, latest, records, decisions, splits, pushes, annotations and runs, read-only.

    `goldleaf sql "describe current"` lists a table's columns.

    Example: goldleaf sql "select fate, count(*) from current group by fate"
    """
    from pipeline.reporting.sql import query as ask

    frame = ask(load_context(dataset).store.snapshot().at_last_commit(), query)
    rows = [_plain(list(row)) for row in (frame if as_json else frame.head(_SHOWN_ROWS)).iter_rows()]
    if as_json:
        print_json([dict(zip(frame.columns, row, strict=True)) for row in rows])
        return
    shown = [[_cut(cell) for cell in row] for row in rows]
    show_answer(frame.columns, shown)
    if shown != rows:
        out.print(
            f"cells that end in … are cut to {_SHOWN_CHARACTERS} characters or {_SHOWN_LINES} lines; --json shows all"
        )
    if frame.height > _SHOWN_ROWS:
        out.print(f"… {counted(frame.height - _SHOWN_ROWS, 'more row')}; use limit, or --json for all")


def _cut(cell: Any) -> Any:
    """A cell of a table: a row of megabytes would fill a hundred thousand lines."""
    if cell is None or isinstance(cell, bool | int | float):
        return cell
    text = str(cell)
    short = "\n".join(text[:_SHOWN_CHARACTERS].splitlines()[:_SHOWN_LINES])
    return cell if short == text else f"{short.rstrip()}…"


def _plain(value: Any) -> Any:
    """A query's value in JSON form: DuckDB's sums are decimals, raw rows are bytes, and NaN is not JSON."""
    match value:
        case list():
            return [_plain(item) for item in value]
        case dict():
            return {name: _plain(item) for name, item in value.items()}
        case bytes():
            return value.decode("utf-8", "backslashreplace")
        case Decimal():
            return int(value) if value == value.to_integral_value() else float(value)
        case float():
            return value if math.isfinite(value) else None
        case _:
            return value


@app.command(rich_help_panel="Inspect")
@explained
def check(dataset: DatasetFile = DEFAULT, as_json: AsJson = False) -> None:
    """Try a dataset.yaml without changing anything: task, sources, first rows, tokens, models, home, servers.

    Of each source, the first 200 rows and those of the newest file are tried, and the 20 newest files opened. Of a
    model that `suggest` names, it shows whether it answers, and what curate would pay at most; it is not asked. Base
    model, price file and endpoints of a fine-tuning are looked for, where the file names its own.

    ✓ works; ! works, but something would be lost, such as rows, answers or an arm; ✗ fails, and so does the command.
    """
    from pipeline.reporting.check import check_dataset

    context = load_context(dataset)
    findings = check_dataset(context, context.settings.secret, context.headers_for)
    ok, warned = all(finding.ok for finding in findings), any(finding.warning for finding in findings)
    if as_json:
        print_json([finding.model_dump() for finding in findings])
    else:
        for finding in findings:
            out.print(f"{_mark(finding.ok, finding.warning)} [bold]{escape(finding.what)}[/]")
            out.print(f"  {finding.detail}", markup=False)
        first = "look at what is marked !, then " if warned else ""
        first, verb = (first, "curate") if ok else ("fix what is marked ✗, then ", "check")
        out.print(f"[dim]next:[/] {first}goldleaf {verb} {escape(shlex.quote(str(context.dataset.path)))}")
    if not ok:
        raise typer.Exit(1)


def _mark(ok: bool, warning: bool) -> str:
    if not ok:
        return "[red]✗[/]"
    return "[yellow]![/]" if warning else "[green]✓[/]"
