"""A published version of forty questions, with a base model of a few weights to fine-tune on it."""

from pathlib import Path

from small_models import save_small_model
from support import offline, row, write_dataset

from flows.context import Context
from flows.curate import curate
from flows.engines.engine import Inline
from flows.release import Released, release

TOPICS = ("billing", "delivery", "returns")


class PublishedQuestions:
    """The dataset, its home and its first version; nothing is trained yet."""

    def __init__(self, folder: Path, settings: str) -> None:
        """Write the dataset, with more of its dataset.yaml, into a folder, and publish it."""
        rows = [row(n, f"lamp{n} chair{n} desk{n} broke{n}", TOPICS[n % 3]) for n in range(40)]
        write_dataset(folder, rows, settings)
        save_small_model(folder / "model")
        self.folder = folder
        curate(self.context, Inline())
        self.released: Released = release(self.context, Inline())

    @property
    def context(self) -> Context:
        return Context.load(self.folder / "dataset.yaml", offline(self.folder / "home"))
