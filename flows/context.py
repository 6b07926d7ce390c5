"""What every story needs: the dataset, the settings and the store."""

from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from flows.settings import Settings
from pipeline.config.dataset_file import LoadedDataset, load_dataset_file
from pipeline.errors import ConfigError
from pipeline.review.queue import Connection
from pipeline.state.store import CommittedRun, Run, Store
from schemas.run import CurateSummary, Verb


@dataclass(frozen=True)
class Context:
    """A dataset on this machine."""

    dataset: LoadedDataset
    settings: Settings
    store: Store

    @classmethod
    def load(cls, path: Path, settings: Settings | None = None) -> "Context":
        """Load a dataset.yaml, with the environment's settings unless others are given.

        Raises:
            ConfigError: the file, its task or a setting cannot be used.
        """
        settings = settings or Settings()
        dataset = load_dataset_file(path)
        return cls(dataset, settings, Store(settings.home, dataset.config.name))

    @property
    def connection(self) -> Connection | None:
        """Where Label Studio is; None where no server is named."""
        url = self.settings.label_studio_url
        return Connection(url, self.settings.label_studio_api_key.get_secret_value()) if url else None

    def require_owner(self) -> None:
        """Refuse to mix two datasets that have one name; a file that was moved, or copied as it is, is the same one.

        Raises:
            ConfigError: the state belongs to another file that is there, too, and says something else.
        """
        last = self.store.snapshot().last_run(CurateSummary)
        file = self.dataset.path
        owner = Path(last.summary.file) if last else file
        if owner != file and owner.is_file() and owner.read_bytes() != file.read_bytes():
            raise ConfigError(
                f"{self.store.root} holds the dataset of {owner}; give this one another `name:`, set GOLDLEAF_HOME, "
                "or remove that file if this one replaces it"
            )

    def last_curate(self) -> str:
        """The id of the last committed curate run; empty where nothing was ever curated."""
        last = self.store.snapshot().last_run(CurateSummary)
        return last.id if last else ""

    def has_changed_since(self, curated: CommittedRun[CurateSummary]) -> bool:
        """Whether the file or its task says something else by now than a curate run (``Snapshot.last_run``) went by."""
        return curated.summary.curation != self.dataset.curation_digest

    def new_run(self, verb: Verb) -> Run:
        """A run of this dataset under its present configuration."""
        return self.store.new_run(verb, self.dataset.config_digest, version("goldleaf"))

    def event(self, **values: Any) -> dict[str, Any]:
        """The payload of an event about this dataset."""
        return {"dataset": self.dataset.config.name, **values}
