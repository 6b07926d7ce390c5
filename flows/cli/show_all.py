"""How `goldleaf status --all` shows the datasets of a home."""

from datetime import datetime
from typing import TYPE_CHECKING

import typer
from rich.markup import escape

from flows.cli.app import print_json
from flows.cli.console import out, show_answer

if TYPE_CHECKING:
    from pipeline.reporting.all_datasets import DatasetLine

_UNWELL = 2
"""The exit code if somebody has to look after a dataset."""


def show_all(as_json: bool) -> None:
    """Print a line for each dataset, and below what is going on, or wrong; then the exit code is 2."""
    from flows.settings import Settings
    from pipeline.reporting.all_datasets import all_datasets

    home = Settings().home
    found = all_datasets(home)
    if as_json:
        print_json([line.model_dump(mode="json") for line in found])
        return
    if not found:
        out.print(f"no dataset in {home}", markup=False)
        return
    show_answer(
        ["dataset", "rows", "accepted", "review", "curated", "collected", "version"], [_row(one) for one in found]
    )
    for line in found:
        for holder in line.at_work:
            out.print(f"{line.dataset}: {holder}", markup=False)
        for text in (*line.stuck, *line.skipped):
            out.print(f"{line.dataset}: [red]{escape(text)}[/]", soft_wrap=True)
        for verb, began_at in line.killed.items():
            out.print(f"{line.dataset}: {killed_line(verb, began_at)}")
        for text in line.overdue:
            out.print(f"{line.dataset}: [yellow]{text}[/]; run it to see what fails, or look at its scheduler")
        if line.clock:
            out.print(f"{line.dataset}: [yellow]{escape(line.clock)}[/]")
        if line.problem:
            out.print(f"{line.dataset}: [red]{escape(line.problem)}")
    if not all(line.is_well for line in found):
        raise typer.Exit(_UNWELL)


def killed_line(verb: str, began_at: datetime) -> str:
    """That a run was killed, and what follows."""
    return f"[yellow]a {verb} was killed[/]; it began at {began_at:%F %T} UTC, and the next {verb} does its work"


def _row(line: "DatasetLine") -> list[object]:
    times = [f"{line.last[verb]:%F %T}" if verb in line.last else "never" for verb in ("curate", "collect")]
    return [line.dataset, line.current, line.accepted, line.review, *times, line.latest_release or "none"]
