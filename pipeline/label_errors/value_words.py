"""Where values stand in their texts: texts word by word, numbers, dates and times however they are written."""

import datetime
import re
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal

from pipeline.label_errors.grounding import Source
from pipeline.label_errors.locale_words import locale_words
from pipeline.label_errors.span_tokens import Places, Tokens, folded_word, words_in, written
from schemas.field import ValueType
from schemas.field_values import Leaf

_NUMBERS = (ValueType.INTEGER, ValueType.NUMBER, ValueType.DECIMAL)
READ = (*_NUMBERS, ValueType.DATE, ValueType.DATETIME, ValueType.TIME)
"""The types of values that can be written in several ways."""
_LOOK_ALIKE = str.maketrans("oilzsgb", "0112568")
_GLUED_DIGITS = re.compile(r"[^\W\d_]*(\d+)[^\W\d_]*")
_POINTS = frozenset((".", ",", "'", "\u2019"))


class ValueFinder:
    """Finds values in the texts of rows."""

    def __init__(self, texts: Sequence[str], tokens: Tokens) -> None:
        self._texts, self._tokens = texts, tokens
        self._places: dict[Callable[[str], str], Places] = {}
        self._row, self._source = -1, Source("")

    def find(self, row: int, leaf: Leaf) -> list[tuple[int, int]]:
        """Where a value stands, as tokens counted from the text's first: the first one, and the one behind it."""
        is_text = leaf.field.type is ValueType.TEXT
        if not is_text and not self._says(row, leaf):
            return []
        alike, ways = _written(leaf)
        if alike not in self._places:
            self._places[alike] = Places(self._tokens, alike)
        found = list[tuple[int, int]]()
        for way in ways:
            for first, end in self._places[alike].find(row, way):
                apart = all(end <= other[0] or other[1] <= first for other in found)
                if apart and not (leaf.field.type in _NUMBERS and self._is_cut(row, first, end)):
                    found.append((first, end))
        return found if found or is_text else self._read(row, leaf)

    def _says(self, row: int, leaf: Leaf) -> bool:
        if row != self._row:
            self._row, self._source = row, Source(self._texts[row])
        return self._source.holds(leaf.field.type, leaf.value)

    def _read(self, row: int, leaf: Leaf) -> list[tuple[int, int]]:
        """The first part of a text that says a number, a date or a time in another way, such as in words."""
        text, tokens = self._texts[row], self._tokens
        at, stop = tokens.starts[row : row + 2].tolist()
        words = [tokens.words[id] for id in tokens.ids[at:stop].tolist()]
        if not words:
            return []

        def says(first: int, end: int) -> bool:
            return Source(written(text, first, end)).holds(leaf.field.type, leaf.value)

        # No number or date is cut: a part ends at a space, or between letters of a script that has none.
        inner = (
            place
            for place in range(1, len(words))
            if tokens.spaced[at + place - 1] or (words[place - 1][0].isalnum() and words[place][0].isalnum())
        )
        cuts = [0, *inner, len(words)]
        end = _first(cuts[1:], lambda place: says(0, place))
        first = _first([place for place in cuts if place < end][::-1], lambda place: says(place, end))
        while end - first > 1 and not words[first][0].isalnum() and says(first + 1, end):
            first += 1
        while end - first > 1 and not words[end - 1][0].isalnum() and says(first, end - 1):
            end -= 1
        return [(first, end)] if says(first, end) else []

    def _is_cut(self, row: int, first: int, end: int) -> bool:
        """Whether the words are a part of a longer number, or of two."""
        at, stop = self._tokens.starts[row], self._tokens.starts[row + 1]
        first, end = at + first, at + end
        words, ids, spaced = self._tokens.words, self._tokens.ids, self._tokens.spaced
        gaps = (place + 1 for place in range(first, end - 1) if spaced[place])
        if any(len(words[ids[place]]) != 3 for place in gaps):
            return True
        return any(
            at <= digits < stop
            and words[ids[point]] in _POINTS
            and words[ids[digits]].isdigit()
            and not (spaced[point] or spaced[point - 1])
            for point, digits in ((first - 1, first - 2), (end, end + 1))
        )


def _first(places: Sequence[int], holds: Callable[[int], bool]) -> int:
    """The first place from which on something holds, if it holds at the last one."""
    return places[bisect_left(places, True, hi=len(places) - 1, key=holds)]


def is_misread(text: str, leaf: Leaf) -> bool:
    """Whether a text says a value but for signs that look alike, as in B0OK: it was read by a machine."""
    alike, ways = _written(leaf)
    is_text = leaf.field.type is ValueType.TEXT
    words = [folded_word(word) for word in words_in(text)]
    read = [alike(word) if word.isalpha() and not is_text else alike(word.translate(_LOOK_ALIKE)) for word in words]
    wanted = ([alike(word) for word in words_in(way)] for way in ways)
    return any(read == ([word.translate(_LOOK_ALIKE) for word in way] if is_text else way) for way in wanted)


def _written(leaf: Leaf) -> tuple[Callable[[str], str], list[str]]:
    """Which words are alike for a value, and how it may be written in them."""
    type, value = leaf.field.type, str(leaf.value)
    if type is ValueType.TEXT:
        return folded_word, [value]
    return (_digits, list(_numbers(value))) if type in _NUMBERS else (_part_of_moment, list(_moments(type, value)))


def _digits(word: str) -> str:
    """26 of RM26."""
    match = _GLUED_DIGITS.fullmatch(word)
    return folded_word(match[1] if match else word)


def _part_of_moment(word: str) -> str:
    """The number of a day, an hour or a month that is named, without leading zeros."""
    found = _digits(word)
    months = locale_words().months.get(found, ())
    number = next(iter(months)) if len(months) == 1 else found
    return str(int(number)) if isinstance(number, int) or number.isdecimal() else number


def _numbers(value: str) -> Iterator[str]:
    """How a number may be written, longer ways first; whatever its sign."""
    whole, _, part = f"{abs(Decimal(value)):f}".partition(".")
    part = part.rstrip("0")
    for fraction in dict.fromkeys((part.ljust(2, "0"), part)):
        for digits in dict.fromkeys((f"{Decimal(whole):,f}".replace(",", " "), whole)):
            yield f"{digits} {fraction}".strip()


def _moments(type: ValueType, value: str) -> Iterator[str]:
    """How a date or a time may be written; of both, the date alone may be."""
    moment = datetime.datetime.fromisoformat(f"2000-01-01T{value}" if type is ValueType.TIME else value)
    days, minutes = list(_days(moment.date())), (f"{moment.minute} {moment.second}", f"{moment.minute}")
    # Of 5:15, what stands around it tells whether it is in the afternoon.
    times = [f"{hour} {rest}" for hour in (moment.hour, moment.hour % 12 or 12) for rest in minutes]
    if type is ValueType.DATETIME:
        yield from (f"{moment.year} {moment.month} {moment:%dt%H} {rest}" for rest in minutes)
        yield from (f"{one} {other}" for day in days for time in times for one, other in ((day, time), (time, day)))
    yield from times if type is ValueType.TIME else days


def _days(day: datetime.date) -> Iterator[str]:
    for year in (day.year, day.year % 100):
        yield from (f"{day.day} {day.month} {year}", f"{day.month} {day.day} {year}", f"{year} {day.month} {day.day}")
    yield from (f"{day:%Y%m%d}", f"{day.year} 年 {day.month} 月 {day.day} 日")
