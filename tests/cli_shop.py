"""Eight rows with every fate, for the tests of the command line."""

from pathlib import Path

from support import row, write_dataset
from terminal import Terminal

LAMP = "May I have my money back for the lamp?"
ROWS: list[dict[str, object]] = [
    row(1, "Where is my parcel?", "delivery"),
    row(2, "Why was I charged twice?", "billing"),
    row(3, "How do I send back shoes?", "returns"),
    row(4, "how do I send back  shoes?", "returns"),
    row(5, LAMP, "returns"),
    row(6, LAMP, "billing"),
    row(7, "Is [bold]this[/] markup?", "nonsense"),
    row(8, "Do you deliver on Sundays?", "delivery"),
]


def opened_shop(folder: Path) -> Terminal:
    """The rows, curated and published as 1.0.0."""
    write_dataset(folder, ROWS, "review: {budget: 10, audit: 0.0}\n")
    terminal = Terminal(folder)
    terminal.goldleaf("curate")
    terminal.goldleaf("release")
    return terminal
