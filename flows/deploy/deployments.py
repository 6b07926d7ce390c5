"""Which deployments datasets have: one of each verb, with the times of ``schedules`` in dataset.yaml."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from flows.context import Context
from pipeline.errors import ConfigError
from schemas.run_summary import Verb
from schemas.schedule_section import Schedule

_ENTRYPOINTS = Path(__file__).with_name("entrypoints.py")
TAG = "goldleaf"
"""All deployments and runs have it, and the name of their dataset."""
SLUG = "dataset-yaml"
"""Of the schedule that dataset.yaml gives a deployment: it stays switched off if somebody has switched it off."""


@dataclass(frozen=True)
class Deployment:
    """A verb of a dataset, as Prefect runs it."""

    verb: Verb
    dataset: str
    file: Path
    schedule: Schedule | None
    """Without one it only runs if somebody, or an automation, starts it."""

    @property
    def name(self) -> str:
        """As Prefect shows it: ``curate/tickets``."""
        return f"{self.verb}/{self.dataset}"

    @property
    def times(self) -> str:
        """When it runs, in words; empty if nobody knows."""
        return f"{self.schedule.cron} {self.schedule.timezone}" if self.schedule else ""

    @property
    def entrypoint(self) -> str:
        """Where Prefect finds the flow, in whichever folder a run starts."""
        return f"{_ENTRYPOINTS}:{self.verb}"

    @property
    def tags(self) -> list[str]:
        """By which Prefect finds the deployment and its runs."""
        return [TAG, self.dataset]


def planned(contexts: Sequence[Context]) -> list[Deployment]:
    """The deployments of some datasets.

    Raises:
        ConfigError: two of them have the same name.
    """
    files: dict[str, Path] = {}
    for context in contexts:
        name, file = context.dataset.config.name, context.dataset.path
        if files.setdefault(name, file) != file:
            raise ConfigError(f"{files[name]} and {file} both describe '{name}'; give one of them another `name:`")
    return [
        Deployment(verb, context.dataset.config.name, context.dataset.path, context.dataset.config.schedules.of(verb))
        for context in {context.dataset.path: context for context in contexts}.values()
        for verb in Verb
    ]
