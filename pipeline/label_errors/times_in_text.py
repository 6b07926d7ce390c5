"""Every time of day in a text: 10:30, 10.30 Uhr, 10h30, 10:30 pm, 午後3時半."""

import datetime
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pipeline.label_errors.locale_words import DayPeriod, locale_words

_CLOCK = r"(?P<sep>[:.])(?P<minute>\d\d)(?:(?P=sep)(?P<second>\d\d)(?:[.,](?P<fraction>\d{1,6}))?)?(?![\d:]|\.\d)"
_HOURS = r"h|uhr|uur|heures?|horas?|o'clock|ч|час(?:\u0430|ов)?"
# Not 10時間 or 10시간, which are durations.
_UNIT = rf" ?(?:(?P<unit>{_HOURS})(?![^\W\d_])|(?P<sign>[時时點点시])(?!間|间|간))"
_UNIT_SECOND = r"(?: ?(?P<past_second>\d{1,2}) ?(?:s(?![^\W\d_])|秒|초))?"
_UNIT_MINUTE = (
    rf"(?: ?(?P<past>\d{{1,2}})(?![\d:]|[.,]\d) ?(?:(?:min|мин)(?![^\W\d_])|[分분])?{_UNIT_SECOND}| ?(?P<half>[半반]))?"
)
_TIME = re.compile(rf"(?<![\d:.,])(?P<hour>\d{{1,2}})(?:{_CLOCK}|{_UNIT}{_UNIT_MINUTE}|(?![\d:]|[.,]\d))")
_COMPACT = re.compile(r"(?<!\d)\d{8}t(\d\d)(\d\d)(\d\d)(?!\d)")
_CLOCK_WORD_AFTER = re.compile(rf" ?(?:{_HOURS}|hrs?|hours|hodin)(?![^\W\d_])")
_CLOCK_WORD_BEFORE = re.compile(r"(?<![^\W\d_])(?:at|um|kl|klo|klokken|klockan|ore|alle|pukul|om|às|godz|w|ve?|o)\.? $")
_SPAN = re.compile(r" ?(?:[-~\u2010-\u2015]|to|till|until|bis|and|und|à|a|e|y|до) ?")
_LONGEST_PERIOD = 24
_FIRST_SCRIPT_WITHOUT_SPACES = "\u0e00"


@dataclass(frozen=True)
class _Found:
    """Digits that may be a time, and where they stand."""

    start: int
    end: int
    hour: int
    minute: int
    second: int
    microsecond: int
    surely: bool
    """Whether it is a time without a word such as "pm" beside it."""
    periods: frozenset[DayPeriod]


def times_in(folded: str) -> Iterator[datetime.time]:
    """Every time of day; "10:30 pm" is only 22:30, and the first time of "2-4 pm" may be in the afternoon, too."""
    before: _Found | None = None
    for match in _TIME.finditer(folded):
        found = _found(folded, match)
        if found.surely or found.periods:
            yield from _times(found, found.periods)
        if before and found.periods and not before.periods and _SPAN.fullmatch(folded, before.end, found.start):
            yield from _times(before, found.periods)
        before = found
    for hour, minute, second in _COMPACT.findall(folded):
        yield from _times(_Found(0, 0, int(hour), int(minute), int(second), 0, True, frozenset()), frozenset())
    yield from _named_times(folded)


def _found(folded: str, match: re.Match[str]) -> _Found:
    part: Mapping[str, str | None] = match.groupdict()
    start, end = match.span()
    certain = part["sep"] == ":" or bool(part["unit"] or part["sign"])
    beside = _CLOCK_WORD_AFTER.match(folded, end) or _CLOCK_WORD_BEFORE.search(folded, max(0, start - 12), start)
    return _Found(
        start,
        end,
        int(part["hour"] or 0),
        30 if part["half"] else int(part["minute"] or part["past"] or 0),
        int(part["second"] or part["past_second"] or 0),
        int((part["fraction"] or "0").ljust(6, "0")),
        certain or (part["sep"] == "." and bool(beside)),
        _periods(folded, start, end),
    )


def _periods(folded: str, start: int, end: int) -> frozenset[DayPeriod]:
    """What the longest name of a part of the day right after or before the digits says."""
    names = locale_words().periods
    # "3:00 Uhr nachmittags"
    if clock_word := _CLOCK_WORD_AFTER.match(folded, end):
        end = clock_word.end()
    end += folded[end : end + 1] == " "
    for stop in range(min(end + _LONGEST_PERIOD, len(folded)), end, -1):
        if (name := folded[end:stop]) in names and not (_spaced(name[-1]) and folded[stop : stop + 1].isalpha()):
            return names[name]
    start -= folded[start - 1 : start] == " "
    for first in range(max(start - _LONGEST_PERIOD, 0), start):
        if (name := folded[first:start]) in names and not (_spaced(name[0]) and folded[first - 1 : first].isalpha()):
            return names[name]
    return frozenset()


def _spaced(letter: str) -> bool:
    """Whether a letter is of a script that puts spaces between words."""
    return letter.isalpha() and letter < _FIRST_SCRIPT_WITHOUT_SPACES


def _times(found: _Found, periods: frozenset[DayPeriod]) -> Iterator[datetime.time]:
    hours = {found.hour}
    if periods and found.hour <= 12:
        hours = {hour for period in periods for hour in _hours(found.hour, period)}
    for hour in hours:
        try:
            # 24:00 is the midnight at the end of a day.
            yield datetime.time(0 if hour == 24 else hour, found.minute, found.second, found.microsecond)
        except ValueError:
            continue


def _hours(hour: int, period: DayPeriod) -> tuple[int, ...]:
    early = hour % 12
    match period:
        case DayPeriod.AM:
            return (early,)
        case DayPeriod.PM:
            return (early + 12,)
        case DayPeriod.NIGHT:
            return (early,) if early < 6 else (early + 12,)


def _named_times(folded: str) -> Iterator[datetime.time]:
    words = locale_words()
    for names, hour in ((words.noon, 12), (words.midnight, 0)):
        if any(re.search(rf"\b{re.escape(name)}\b", folded) for name in names if name in folded):
            yield datetime.time(hour)
