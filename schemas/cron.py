"""Times of a schedule, as the five fields of cron: minute, hour, day of the month, month, day of the week."""

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import AfterValidator

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_LONGEST = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
"""Days of each month, in a leap year."""
_PART = re.compile(r"(\*|\w+-\w+|\w+(?!/))(?:/(\d{1,2}))?")
_EXAMPLE = "write minute, hour, day of the month, month and day of the week, such as '0 2 * * *' for every night at 2"


@dataclass(frozen=True)
class _Field:
    name: str
    least: int
    most: int
    names: dict[str, int]


_FIELDS = (
    _Field("minute", 0, 59, {}),
    _Field("hour", 0, 23, {}),
    _Field("day of the month", 1, 31, {}),
    _Field("month", 1, 12, {name: number for number, name in enumerate(_MONTHS, start=1)}),
    _Field("day of the week", 0, 7, {name: number for number, name in enumerate(_DAYS)}),
)


@dataclass(frozen=True)
class Cron:
    """When a schedule is due, in its time zone."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    """0 is Sunday."""
    any_day: bool
    any_weekday: bool

    def is_on(self, day: datetime) -> bool:
        """Whether there is a time on this day. With days of both kinds, either suffices, as in cron."""
        if day.month not in self.months:
            return False
        by_date, by_weekday = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        if self.any_day or self.any_weekday:
            return by_date and by_weekday
        return by_date or by_weekday

    def last(self, now: datetime, zone: str) -> datetime:
        """The latest time that is not after ``now``, in UTC; never one that a change of clocks leaves out."""
        return next(found for found in self._from(now, zone, step=-1) if found <= now)

    def next(self, now: datetime, zone: str) -> datetime:
        """The first time after ``now``, in UTC."""
        return next(found for found in self._from(now, zone, step=1) if found > now)

    def _from(self, now: datetime, zone: str, step: int) -> Iterator[datetime]:
        """All times from the day of ``now`` on, forward or backward."""
        hours, minutes = (sorted(some, reverse=step < 0) for some in (self.hours, self.minutes))
        for day in itertools.islice(_days(now.astimezone(ZoneInfo(zone)), step), 366 * 9):
            for hour, minute in itertools.product(hours, minutes) if self.is_on(day) else ():
                found = day.replace(hour=hour, minute=minute).astimezone(UTC)
                if found.astimezone(ZoneInfo(zone)).hour == hour:
                    yield found
        raise ValueError("there is no such time in nine years")


def _days(local: datetime, step: int) -> Iterator[datetime]:
    """Midnights as the clock on the wall shows them, which changes of clocks do not move; today's first."""
    day = local.replace(hour=0, minute=0, second=0, microsecond=0)
    while True:
        yield day
        day += timedelta(days=step)


def read_cron(text: str) -> Cron:
    """The times that a cron expression names.

    Raises:
        ValueError: it has other than five fields, a field has what cron does not know, or there is no such day.
    """
    parts = text.split()
    if len(parts) != len(_FIELDS):
        fields = "1 field" if len(parts) == 1 else f"{len(parts)} fields"
        raise ValueError(f"'{text}' has {fields} instead of 5; {_EXAMPLE}")
    minutes, hours, days, months, weekdays = (_numbers(part, field) for part, field in zip(parts, _FIELDS, strict=True))
    week = frozenset(day % 7 for day in weekdays)
    cron = Cron(minutes, hours, days, months, week, len(days) == 31, len(week) == 7)
    if cron.any_weekday and all(min(days) > _LONGEST[month - 1] for month in months):
        raise ValueError(f"'{text}' is never: no such month has {min(days)} days")
    return cron


def _numbers(part: str, field: _Field) -> frozenset[int]:
    return frozenset(itertools.chain.from_iterable(_range(one, field) for one in part.split(",")))


def _range(text: str, field: _Field) -> range:
    found = _PART.fullmatch(text)
    step = int(found[2] or 1) if found else 0
    if not found or not step:
        raise ValueError(f"'{text}' is no {field.name} of cron; {_EXAMPLE}")
    if found[1] == "*":
        # Sunday is 0 and 7.
        return range(field.least, min(field.most, 6) + 1 if field.names.get("sun") == 0 else field.most + 1, step)
    start, _, end = found[1].partition("-")
    first, last = _number(start, field), _number(end or start, field)
    if end and first >= last:
        # Prefect takes 1-1 of weekdays for all of them.
        raise ValueError(f"'{text}' is no range that goes up; write the lower {field.name} first")
    return range(first, last + 1, step)


def _number(text: str, field: _Field) -> int:
    number = field.names.get(text.lower(), int(text) if text.isascii() and text.isdigit() else -1)
    if not field.least <= number <= field.most:
        named = f", or {', '.join(field.names)}" if field.names else ""
        raise ValueError(f"'{text}' is no {field.name}; it is from {field.least} to {field.most}{named}")
    return number


def _checked(text: str) -> str:
    read_cron(text)
    return text


CronText = Annotated[str, AfterValidator(_checked)]
