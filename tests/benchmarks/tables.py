"""Tables of results, for the terminal and for README."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table
from rich.text import Text


@dataclass(frozen=True)
class Results:
    """A table with the notes needed to read it."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    """Cells in Markdown."""
    note: str = ""

    def show(self, console: Console) -> None:
        """Print it."""
        table = Table(title=self.title, title_justify="left", title_style="bold", box=None, pad_edge=False)
        for number, column in enumerate(self.columns):
            table.add_column(column, justify="right" if number else "left", overflow="fold")
        for row in self.rows:
            table.add_row(*map(_plain, row))
        console.print(table)
        if self.note:
            console.print(_plain(self.note), style="dim")
        console.print()

    def markdown(self) -> str:
        """The same as Markdown."""
        head = [f"| {' | '.join(self.columns)} |", f"|---|{'---:|' * (len(self.columns) - 1)}"]
        lines = [f"## {self.title}", "", *head, *(f"| {' | '.join(row)} |" for row in self.rows)]
        return "\n".join([*lines, *(["", self.note] if self.note else [])]) + "\n"


def _plain(cell: str) -> Text:
    return Text(cell.replace("**", "").replace("`", ""), style="bold" if "**" in cell else "")


def ratio(value: float, against: float) -> str:
    """How many times as much."""
    return f"{value / against:.1f} x" if against else ""


def verdict(value: float, most: float) -> str:
    """Whether a target is met."""
    return "met" if value <= most else "**missed**"
