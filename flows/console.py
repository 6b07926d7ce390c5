"""What people see in the terminal: progress, tables and one-line errors."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table as RichTable

from flows.engine import Advance
from schemas.fate import Fate
from schemas.manifest import Funnel

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)

FATE_STYLES = {Fate.ACCEPTED: "green", Fate.REVIEW: "yellow", Fate.DUPLICATE: "blue", Fate.REJECTED: "red"}


class TerminalProgress:
    """Shows one line per step; it goes to stderr, so that stdout stays clean for machines."""

    def __init__(self, console: Console = err) -> None:
        self._console = console

    @contextmanager
    def step(self, label: str, total: int | None = None) -> Iterator[Advance]:
        """Show a spinner, and a bar where the total is known, until the step ends."""
        columns = [SpinnerColumn(finished_text="[green]✓"), TextColumn("{task.description}"), TimeElapsedColumn()]
        if total is not None:
            columns[2:2] = [BarColumn(bar_width=24), MofNCompleteColumn()]
        else:
            columns[2:2] = [TextColumn("{task.fields[count]}")]
        with Progress(*columns, console=self._console) as progress:
            task = progress.add_task(label, total=total, count="")
            done = 0

            def advance(units: int) -> None:
                nonlocal done
                done += units
                progress.update(task, advance=units, count=f"{done:,}")

            yield advance
            progress.update(task, total=total or max(done, 1), completed=total or max(done, 1))

    def say(self, text: str) -> None:
        """Print a line above the progress."""
        self._console.print(text)


def show_funnel(funnel: Funnel, title: str) -> None:
    """The funnel as a table that visibly adds up."""
    # Not the table's own title, which wraps where the table ends.
    out.print(title, soft_wrap=True)
    table = RichTable(box=None, pad_edge=False, show_header=False)
    table.add_column(justify="left")
    table.add_column(justify="right")
    table.add_column()
    table.add_row("raw", f"{funnel.raw:,}", "[dim]everything ever ingested")
    for name in ("superseded", "withdrawn"):
        if count := getattr(funnel, name):
            table.add_row(f"  - {name}", f"{count:,}", "")
    table.add_row("current", f"{funnel.current:,}", "")
    for fate, style in FATE_STYLES.items():
        count = getattr(funnel, fate.value)
        width = round(30 * count / funnel.current) if funnel.current else 0
        table.add_row(f"  [{style}]{fate}", f"{count:,}", f"[{style}]{'█' * width}")
    out.print(table)


def questions_wait(count: int) -> str:
    """How many questions people have not answered yet."""
    return "1 question waits for people" if count == 1 else f"{count:,} questions wait for people"


def show_rows(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """A plain table; numbers are right-aligned."""
    table = RichTable(title=title or None, title_justify="left", box=None, pad_edge=False, header_style="dim")
    for index, column in enumerate(columns):
        number = bool(rows) and all(isinstance(row[index], int | float) for row in rows)
        table.add_column(column, justify="right" if number else "left", overflow="fold")
    for row in rows:
        table.add_row(*(_cell(value) for value in row))
    out.print(table)


def _cell(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return "" if value is None else str(value).lower()
    if isinstance(value, int):
        return f"{value:,}"
    # Square brackets are rich's markup: text of users must not be read as such.
    return escape(str(value)) if not isinstance(value, float) else f"{value:.4g}"
