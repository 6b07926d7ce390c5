"""A dataset on this machine: its configuration, where its state is kept, and where its annotators are asked."""

from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

from pipeline.config.dataset_file import LoadedDataset
from pipeline.errors import ConfigError
from pipeline.state.locks import TURN
from pipeline.state.runs import Run
from pipeline.state.store import Store
from schemas.run_summary import CurateSummary, Verb

HOW_TO_CONNECT = (
    "set LABEL_STUDIO_URL and LABEL_STUDIO_API_KEY (`goldleaf label-studio` starts a local server and prints both)"
)
"""What to do if no Label Studio is configured."""


def shown_address(url: str) -> str:
    """An address as it is shown and stored: without any name and password in it."""
    scheme, separator, rest = url.partition("://") if "://" in url else ("", "", url)
    return f"{scheme}{separator}{rest.rpartition('@')[2]}"


@dataclass(frozen=True)
class Connection:
    """Where the questions of a dataset go."""

    url: str
    api_key: str

    @property
    def shown(self) -> str:
        """Its address, for messages."""
        return shown_address(self.url)


@dataclass(frozen=True)
class Workspace:
    """What every verb needs."""

    dataset: LoadedDataset
    store: Store
    connection: Connection | None
    """None if no Label Studio is configured."""

    def require_owner(self) -> None:
        """Refuse to mix two datasets with the same name; a file that was moved or copied unchanged is the same one.

        Raises:
            ConfigError: the state belongs to another file that still exists and has other content.
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
        """The id of the last committed curate run; empty if nothing was ever curated."""
        last = self.store.snapshot().last_run(CurateSummary)
        return last.id if last else ""

    def new_run(self, verb: Verb) -> Run:
        """A run of this dataset under its current configuration.

        A scheduled one has started when it was its turn: it may have fetched or pulled since. A curate begins from
        what was committed: what one has read that failed or was killed is taken back first; it holds the lock.
        """
        run, turn = self.store.new_run(verb, self.dataset.config_digest, version("goldleaf")), TURN.get(None)
        if verb is Verb.CURATE:
            # After its id was chosen, which is later than what is taken back.
            self.store.take_back_records()
        return replace(run, started_at=turn.began_at) if turn and turn.began_at else run
