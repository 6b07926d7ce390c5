"""Grounding: which extracted texts, numbers and dates do not occur in the text they were extracted from?"""

import datetime
import math
from collections.abc import Iterable, Iterator
from decimal import Decimal, InvalidOperation
from functools import cached_property
from typing import assert_never

from pipeline.label_errors.dates_in_text import dates_in, named_dates_in
from pipeline.label_errors.folded_text import folded, words_of
from pipeline.label_errors.number_words import counts_of_units, numerals_in_digits, spelled_out
from pipeline.label_errors.numbers_in_text import (
    numbers_in,
    scaled_numbers_in,
    without_ordinals,
)
from pipeline.label_errors.times_in_text import times_in
from schemas.field import ValueType
from schemas.field_values import Leaf


def ungrounded(text: str, values: Iterable[Leaf]) -> list[Leaf]:
    """Those of the texts, numbers, dates and times of an answer that the text lacks.

    Formatting does not matter: case, whitespace and punctuation of texts; separators, scale and currencies of
    numbers; order and format of dates; the language of month names and scales. Choices and booleans are not checked:
    they describe the text rather than occur in it. Nor are free texts.
    """
    source = Source(text)
    return [leaf for leaf in values if not (leaf.field.is_free or source.holds(leaf.field.type, leaf.value))]


class Source:
    """A text, and the values that can be read in it.

    Each way of reading is used only if the ones before it have not found the value, so most texts are not searched
    for the words of a hundred languages.
    """

    def __init__(self, text: str) -> None:
        self._folded = folded(text)

    def holds(self, type: ValueType, value: str | int | float | bool) -> bool:
        """Whether the text says this canonical value."""
        match type:
            case ValueType.TEXT:
                return self.holds_text(str(value))
            case ValueType.INTEGER | ValueType.NUMBER:
                return self.holds_number(value if isinstance(value, int) else float(value))
            case ValueType.DATE:
                return self.holds_date(str(value))
            case ValueType.DECIMAL:
                return self.holds_decimal(str(value))
            case ValueType.DATETIME:
                return self.holds_datetime(str(value))
            case ValueType.TIME:
                return self.holds_time(str(value))
            case ValueType.CHOICE | ValueType.BOOLEAN:
                # They describe the text rather than occur in it.
                return True
            case ValueType.OBJECT | ValueType.MESSAGES:
                raise AssertionError(f"a single value is no {type}")
            case _:
                assert_never(type)

    def holds_text(self, value: str) -> bool:
        """Whether the text contains these words in this order."""
        value = folded(value)
        words = words_of(value)
        if words.strip() and words in self._words:
            return True
        # Scripts without spaces have no word boundaries, and a value made only of signs has no words.
        return not (words.strip() and value.isascii()) and value in self._folded

    def holds_number(self, value: int | float) -> bool:
        """Whether the text contains the number, whatever its sign: a loss may be written in brackets."""
        size = abs(Decimal(repr(value)))
        if any(size in numbers for numbers in self._ways_of_numbers()):
            return True
        return isinstance(value, float) and any(
            math.isclose(size, number, rel_tol=1e-9) for numbers in self._ways_of_numbers() for number in numbers
        )

    def holds_decimal(self, value: str) -> bool:
        """The same for the text of a decimal, exactly: "1249.5"."""
        try:
            size = abs(Decimal(value))
        except InvalidOperation:
            return False
        return any(size in numbers for numbers in self._ways_of_numbers())

    def holds_date(self, value: str) -> bool:
        """Whether the text contains the day with this ISO text."""
        return value in self._dates or value in self._named_dates or value in self._spelled_dates

    def holds_time(self, value: str) -> bool:
        """Whether the text contains the time with this ISO text; an offset from UTC is not looked for."""
        try:
            time = datetime.time.fromisoformat(value).replace(tzinfo=None)
        except ValueError:
            return False
        return time in self._times

    def holds_datetime(self, value: str) -> bool:
        """Whether the text contains both day and time; midnight is not looked for, since it may stand for no time."""
        try:
            moment = datetime.datetime.fromisoformat(value)
        except ValueError:
            return False
        if not self.holds_date(moment.date().isoformat()):
            return False
        return moment.time() == datetime.time() or moment.time() in self._times

    def readings(self, type: ValueType) -> list[Decimal | str]:
        """All that the text can say of a type of number, date or time, the plainer ways of reading it first.

        Numbers without a sign, dates and times as ISO text. What can be read in several ways, such as 05/03/2026, is
        there several times, always in the same order.
        """
        match type:
            case ValueType.INTEGER | ValueType.NUMBER | ValueType.DECIMAL:
                return list(dict.fromkeys(number for numbers in self._ways_of_numbers() for number in numbers))
            case ValueType.DATE:
                return list(dict.fromkeys([*self._dates, *self._named_dates, *self._spelled_dates]))
            case ValueType.TIME:
                return [time.isoformat() for time in self._times]
            case ValueType.DATETIME:
                times = [*self._times, datetime.time()]
                return [f"{date}T{time.isoformat()}" for date in self.readings(ValueType.DATE) for time in times]
            case _:
                return []

    def _ways_of_numbers(self) -> Iterator[dict[Decimal, None]]:
        yield self._numbers
        yield self._scaled_numbers
        yield self._spelled_numbers

    @cached_property
    def _words(self) -> str:
        return words_of(self._folded)

    @cached_property
    def _digits(self) -> str:
        """The text in which numbers, dates and times are read."""
        return numerals_in_digits(self._folded)

    @cached_property
    def _spelled(self) -> list[str]:
        return spelled_out(self._digits)

    @cached_property
    def _numbers(self) -> dict[Decimal, None]:
        return dict.fromkeys([*numbers_in(self._digits), *map(Decimal, counts_of_units(self._folded))])

    @cached_property
    def _scaled_numbers(self) -> dict[Decimal, None]:
        return dict.fromkeys(scaled_numbers_in(self._digits))

    @cached_property
    def _spelled_numbers(self) -> dict[Decimal, None]:
        texts = [without_ordinals(text) for text in self._spelled]
        return dict.fromkeys(
            number for text in texts for way in (numbers_in, scaled_numbers_in) for number in way(text)
        )

    @cached_property
    def _dates(self) -> dict[str, None]:
        return dict.fromkeys(dates_in(self._digits))

    @cached_property
    def _named_dates(self) -> dict[str, None]:
        return dict.fromkeys(named_dates_in(self._digits))

    @cached_property
    def _spelled_dates(self) -> dict[str, None]:
        return dict.fromkeys(date for text in self._spelled for date in named_dates_in(text))

    @cached_property
    def _times(self) -> dict[datetime.time, None]:
        return dict.fromkeys(times_in(self._digits))
