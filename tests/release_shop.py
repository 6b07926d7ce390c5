"""A dataset that is released from day to day."""

from pathlib import Path

import datasets
from support import current, offline, row, write_dataset, write_rows

from flows.context import Context
from flows.curate import curate
from flows.engines.engine import Inline
from flows.release import Released, release
from schemas.decision import Decision
from schemas.identity import stable_hash

Row = dict[str, object]
TOPICS = ("billing", "delivery", "returns")
NO_REVIEW = "review: {budget: 0, audit: 0.0}\n"


class Shop:
    """A dataset whose file is rewritten from day to day."""

    def __init__(self, folder: Path, rows: list[Row], more: str = NO_REVIEW) -> None:
        self.folder = folder
        write_dataset(folder, rows, more)
        file = folder / "dataset.yaml"
        file.write_text(file.read_text().replace("key: id,", "key: id, mode: snapshot, most_withdrawn: 1,"))

    @property
    def context(self) -> Context:
        return Context.load(self.folder / "dataset.yaml", offline(self.folder / "home"))

    def day(self, rows: list[Row], version: str | None = None) -> dict[int, str]:
        """The file holds these rows now: curate, release, and return the splits by row id."""
        write_rows(self.folder, rows)
        curate(self.context, Inline())
        return self.published(self.release(version))

    def release(self, version: str | None = None) -> Released:
        return release(self.context, Inline(), version=version, allow_lost=True)

    def published(self, released: Released) -> dict[int, str]:
        loaded = load(released.path)
        names = {record(key): key for key in range(1000)}
        return {names[entry["id"]]: split for split, rows in loaded.items() for entry in rows}

    def decision(self, key: int) -> Decision:
        return current(self.context)[record(key)]


def record(key: int) -> str:
    """The record id of a row's id."""
    return stable_hash("examples", f"int:{key}")


def load(path: str) -> datasets.DatasetDict:
    """Load a version as a training script does; ``datasets`` keeps its cache beside it."""
    loaded = datasets.load_dataset(path, cache_dir=str(Path(path).parent / ".cache"))
    assert isinstance(loaded, datasets.DatasetDict)
    return loaded


def rows_of(first: int, last: int) -> list[Row]:
    """Rows that have nothing in common."""
    return [row(n, f"lamp{n} chair{n} desk{n} broke{n}", TOPICS[n % 3]) for n in range(first, last)]


def sentence(key: int, more: str = "") -> str:
    """Nine words that only rows of one key share."""
    words = ["my", "order", "of", "the", "red", "garden", "chairs", "is", "late"]
    return " ".join(f"{word}{key}" for word in words) + more
