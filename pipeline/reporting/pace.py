"""How fast a team answers: its answers by day, the time that one takes, and the work that is left."""

from collections import Counter
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from statistics import median

from pydantic import BaseModel

from pipeline.review.opinions import Opinion
from pipeline.text.wording import counted
from schemas.annotation import Verdict

ANSWERS = (Verdict.LABELED, Verdict.UNUSABLE, Verdict.UNSURE)
"""Skips and invalid ones are none."""
_CALENDAR = 60


class Day(BaseModel, frozen=True):
    """A day on which somebody answered."""

    day: date
    answers: int


class Pace(BaseModel, frozen=True):
    """Everybody's answers together."""

    answers: int
    days: list[Day]
    """Those with answers, the earliest first."""
    seconds: float | None
    """Median time per answer, as Label Studio measures it; None if it does not say."""
    open: int
    """Tasks without an answer."""

    @property
    def calendar(self) -> list[Day]:
        """All of the last 60 days up to the last one with answers, also those without any."""
        known = {one.day: one.answers for one in self.days}
        last = max(known, default=None)
        if last is None:
            return []
        number = min((last - min(known)).days + 1, _CALENDAR)
        days = [last - timedelta(days=back) for back in reversed(range(number))]
        return [Day(day=day, answers=known.get(day, 0)) for day in days]

    @property
    def work_left(self) -> str:
        """How long the open tasks take one person, in words; empty if that is not known."""
        if not (self.seconds and self.open):
            return ""
        minutes = self.seconds * self.open / 60
        return f"{minutes / 60:.1f} hours" if minutes >= 90 else counted(max(round(minutes), 1), "minute")

    def __str__(self) -> str:
        """The same in words; empty without an answer."""
        if not self.days:
            return ""
        number = len(self.days)
        daily = f" on {number:,} days, {self.answers / number:.0f} a day" if number > 1 else " on one day"
        each = "" if self.seconds is None else f"; {self.seconds:.0f} s each (median)"
        left = f"; what is open takes about {self.work_left}" if self.work_left else ""
        return f"{counted(self.answers, 'answer')}{daily}{each}{left}"


def pace(opinions: Iterable[Opinion], waiting: int, now: datetime) -> Pace:
    """The pace of a team.

    Args:
        opinions: of all annotators.
        waiting: tasks without an answer.
        now: days are those of its time zone.
    """
    answers = [one.annotation for one in opinions if one.annotation.verdict in ANSWERS]
    by_day = Counter(one.created_at.astimezone(now.tzinfo).date() for one in answers)
    times = [one.lead_time for one in answers if one.lead_time is not None]
    return Pace(
        answers=len(answers),
        days=[Day(day=day, answers=count) for day, count in sorted(by_day.items())],
        seconds=median(times) if times else None,
        open=waiting,
    )
