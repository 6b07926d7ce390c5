"""Whether the machine was busy while something was timed: then its time is what that took, not what it takes."""

import os

from pydantic import BaseModel, computed_field

from pipeline.text.wording import counted

_BUSY = 1.25
"""Processes to a core from which on some wait. Our own threads are at most as many as the cores."""


class Load(BaseModel, frozen=True):
    """How much the machine had to do, when something had been timed."""

    average: float
    """Processes that ran or waited for a core, our own included, on average over the last minute."""
    cores: int

    @computed_field  # type: ignore[prop-decorator]
    @property
    def is_busy(self) -> bool:
        """Whether they had to share the cores."""
        return self.average > _BUSY * self.cores

    def __str__(self) -> str:
        return f"load {self.average:.1f} on {counted(self.cores, 'core')}"


def machine_load() -> Load | None:
    """The load of the last minute; None where the system does not say it."""
    try:
        average, *_ = os.getloadavg()
    except (AttributeError, OSError):
        return None
    return Load(average=round(average, 2), cores=os.cpu_count() or 1)
