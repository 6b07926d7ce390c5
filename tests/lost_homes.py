"""Homes that are lost after they have published, and rebuilt."""

from pathlib import Path

from odd import QUESTION, Odd
from support import row, write_rows

from flows.engines.engine import Inline
from flows.release import release

TOPICS = ("billing", "delivery", "returns")
Row = dict[str, object]


def rows_of(first: int, last: int) -> list[Row]:
    return [row(n, f"lamp{n} chair{n} desk{n} broke{n}", TOPICS[n % 3]) for n in range(first, last)]


def splits(odd: Odd) -> dict[str, str]:
    return dict(odd.context.store.snapshot().splits().select("record_id", "split").collect().iter_rows())


def opened(folder: Path) -> Odd:
    """A dataset that is there already."""
    odd = Odd.__new__(Odd)
    odd.folder, odd.home = folder, folder / "home"
    return odd


def published(folder: Path, batches: list[list[Row]]) -> Path:
    """The version that remains of a home in which each batch was published."""
    odd = Odd(folder, QUESTION, [])
    rows: list[Row] = []
    for batch in batches:
        rows += batch
        write_rows(folder, rows)
        odd.curate()
        path = Path(release(odd.context, Inline()).path)
    return path


def rebuilt(folder: Path, rows: list[Row], version: Path) -> Odd:
    return Odd(folder, QUESTION, rows, f"split: {{adopt: {version}}}\n")
