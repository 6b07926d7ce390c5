"""The section ``schedules`` of dataset.yaml: when each verb runs, for `goldleaf serve` and `goldleaf deploy`."""

import difflib
import math
import zoneinfo
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator

from schemas.cron import CronText
from schemas.durations import Duration, seconds_of


def _zone(name: str) -> str:
    try:
        zoneinfo.ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        # Of an abbreviation such as CEST others are near that mean other times.
        places = sorted(zone for zone in zoneinfo.available_timezones() if "/" in zone)
        near = difflib.get_close_matches(name, places, n=1)
        such = near[0] if near else "Europe/Berlin"
        raise ValueError(f"'{name}' is not a time zone; use a name such as {such}") from error
    return name


TimeZone = Annotated[str, AfterValidator(_zone)]


def _long_enough(duration: str) -> str:
    if not seconds_of(duration):
        raise ValueError("0 would end every run; write how long one may take, such as 6h")
    return duration


MaxRun = Annotated[Duration, AfterValidator(_long_enough)]


class Schedule(BaseModel, extra="forbid", frozen=True):
    """When a verb runs."""

    cron: CronText
    timezone: TimeZone | None = None
    """Default: the section's."""
    max_run: MaxRun | None = None
    """Default: the section's."""


def _as_section(given: object) -> object:
    return {"cron": given} if isinstance(given, str) else given


Times = Annotated[Schedule, BeforeValidator(_as_section)]
"""A cron expression alone, or with its time zone."""


class Schedules(BaseModel, extra="forbid", frozen=True):
    """When which verb runs; one without times runs only if somebody starts it."""

    timezone: TimeZone = "UTC"
    """In which the times are meant."""
    wait: Duration = "30m"
    """How long a scheduled run waits for others of its dataset, before it is skipped."""
    max_run: MaxRun | None = None
    """How long a run may hold the dataset before a scheduled one that waits for it ends it; for ever by default."""
    curate: Times | None = None
    collect: Times | None = None
    release: Times | None = None
    finetune: Times | None = None
    compact: Times | None = None

    def of(self, verb: str) -> Schedule | None:
        """When a verb runs, with its time zone; None if it has no schedule."""
        found: Schedule | None = getattr(self, verb)
        return found and found.model_copy(update={"timezone": found.timezone or self.timezone})

    def longest(self, verb: str) -> float:
        """How many seconds a run of a verb may hold the dataset."""
        times: Schedule | None = getattr(self, verb, None)
        most = (times and times.max_run) or self.max_run
        return seconds_of(most) if most else math.inf
