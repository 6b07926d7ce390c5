"""What every flow needs: a dataset on this machine, and the settings of the environment."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flows.settings import Settings
from pipeline.config.dataset_file import load_dataset_file
from pipeline.config.workspace import Connection, Workspace
from pipeline.ingest.source_urls import Headers, secret_headers
from pipeline.state.store import Store
from schemas.dataset import Source


@dataclass(frozen=True)
class Context(Workspace):
    """A dataset on this machine, in its environment."""

    settings: Settings

    @classmethod
    def load(cls, path: Path, settings: Settings | None = None) -> "Context":
        """Load a dataset.yaml, with the environment's settings unless others are given.

        Raises:
            ConfigError: the file, its task or a setting cannot be used.
        """
        settings = settings or Settings()
        dataset = load_dataset_file(path)
        url, key = settings.label_studio_url, settings.label_studio_api_key.get_secret_value()
        store = Store(settings.home, dataset.config.name)
        return cls(dataset, store, Connection(url, key) if url else None, settings)

    def headers_for(self, source: Source) -> Headers:
        """What the server of a source is to be sent so that it knows us.

        Raises:
            ConfigError: a variable that the source names is not set, or the netrc file cannot be read.
        """
        return secret_headers(source, self.settings.secret, self.settings.login)

    def event(self, **values: Any) -> dict[str, Any]:
        """The payload of an event about this dataset; with its file, one automation can serve all datasets."""
        return {"dataset": self.dataset.config.name, "file": str(self.dataset.path), **values}
