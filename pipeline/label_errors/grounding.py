"""Grounding: which extracted texts, numbers and dates do not occur in the text they were extracted from?"""

import datetime
import math
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import assert_never

from schemas.fate import Reason, ReasonCode
from schemas.field import JsonValue, TargetField, ValueType
from schemas.field_values import leaves


def ungrounded(text: str, targets: Mapping[str, JsonValue], fields: Sequence[TargetField]) -> list[Reason]:
    """Name the texts, numbers and dates among the targets that do not occur in the text.

    Formatting does not matter: case, whitespace and punctuation of texts, separators and currencies
    of numbers, order and format of dates (with English month names). Choices and booleans are not checked:
    they describe the text rather than occur in it.
    """
    source = _Source(text)
    return [
        Reason(code=ReasonCode.UNGROUNDED, field=leaf.path, detail=f"'{str(leaf.value)[:80]}'")
        for leaf in leaves(fields, targets)
        if not (leaf.field.is_free or source.holds(leaf.field.type, leaf.value))
    ]


class _Source:
    """A text, and the values that can be read in it; each kind is parsed on first use."""

    def __init__(self, text: str) -> None:
        self._folded = _folded(text)

    def holds(self, type: ValueType, value: str | int | float | bool) -> bool:
        match type:
            case ValueType.TEXT:
                return self._holds_text(str(value))
            case ValueType.INTEGER | ValueType.NUMBER | ValueType.DECIMAL:
                size = abs(float(value))
                return any(math.isclose(size, number, rel_tol=1e-9) for number in self._numbers)
            case ValueType.DATE:
                return str(value) in self._dates
            case ValueType.DATETIME:
                return str(value)[:10] in self._dates
            case ValueType.CHOICE | ValueType.BOOLEAN | ValueType.TIME:
                # They describe the text rather than occur in it.
                return True
            case ValueType.OBJECT | ValueType.MESSAGES:
                raise AssertionError(f"a single value is no {type}")
            case _:
                assert_never(type)

    def _holds_text(self, value: str) -> bool:
        folded = _folded(value)
        words = _words(folded)
        if words.strip() and words in self._words:
            return True
        # Scripts without spaces have no word boundaries, and a value made only of signs has no words.
        return not (words.strip() and folded.isascii()) and folded in self._folded

    @cached_property
    def _words(self) -> str:
        return _words(self._folded)

    @cached_property
    def _numbers(self) -> set[float]:
        in_words = (number for number, word in enumerate(_NUMBER_WORDS) if f" {word} " in self._words)
        return {*_numbers_in(self._folded), *map(float, in_words)}

    @cached_property
    def _dates(self) -> set[str]:
        return set(_dates_in(self._folded))


def _folded(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _words(folded: str) -> str:
    """The words, separated and surrounded by single spaces, so that searches match whole words."""
    return f" {' '.join(_WORD.findall(folded))} "


_WORD = re.compile(r"[^\W_]+")
_GROUPS = re.compile(r"\d+(?:[., '\u2019]\d+)*")
_FACTOR = re.compile(r" ?(%|(?:percent|k|thousand|m|mio|million|bn|billion)\b)")
_FACTORS = {"%": 0.01, "percent": 0.01, "k": 1e3, "thousand": 1e3, "bn": 1e9, "billion": 1e9}
_NUMBER_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_MAX_SPACED_GROUPS = 5
"""Groups of digits that are tried as one number: up to ten to the fifteenth."""


def _numbers_in(folded: str) -> Iterator[float]:
    """Every number that the digits can mean, with and without a factor after them."""
    for match in _GROUPS.finditer(folded):
        factor = _FACTOR.match(folded, match.end())
        for number in _readings(match.group()):
            yield number
            if factor:
                yield number * _FACTORS.get(factor.group(1), 1e6)


def _readings(token: str) -> Iterator[float]:
    """A space may group digits or separate two numbers, so every run of parts is tried."""
    parts = token.split(" ")
    for start in range(len(parts)):
        for end in range(start + 1, min(start + _MAX_SPACED_GROUPS, len(parts)) + 1):
            yield from _reading(" ".join(parts[start:end]))


def _reading(token: str) -> Iterator[float]:
    """1,249.50 and 1.249,50 and 1 249.5; without a valid grouping, each group by itself."""
    groups = re.split(r"\D", token)
    separators = re.findall(r"\D", token)
    whole = _is_grouped(groups, separators)
    if whole:
        yield float("".join(groups))
    decimal = bool(separators) and separators[-1] in ".,"
    if decimal and _is_grouped(groups[:-1], separators[:-1]) and separators[-1] not in separators[:-1]:
        yield float(f"{''.join(groups[:-1])}.{groups[-1]}")
    elif not whole and " " not in separators:
        yield from map(float, groups)


def _is_grouped(groups: list[str], separators: list[str]) -> bool:
    """Digits in groups of three (or, in India, of two before the last three) with one kind of separator."""
    if not separators:
        return True
    lengths_fit = len(groups[0]) <= 3 and len(groups[-1]) == 3 and {len(group) for group in groups[1:-1]} <= {2, 3}
    return lengths_fit and len(set(separators)) == 1


_MONTHS = "janfebmaraprmayjunjulaugsepoctnovdec"
_MONTH = (
    r"(?<![a-z])(jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?"
    r"|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)\.?"
)
_DAY = r"(\d{1,2})(?:st|nd|rd|th)?"
_YEAR = r"'?(\d{4}|\d{2})(?!\d)"
_YEAR_FIRST = re.compile(r"(?<!\d)(\d{4})([-/. ]?)(\d{1,2})\2(\d{1,2})(?!\d)")
_YEAR_LAST = re.compile(rf"(?<!\d)(\d{{1,2}})([-/.]) ?(\d{{1,2}})\2 ?{_YEAR}")
_DAY_MONTH = re.compile(rf"(?<!\d){_DAY}\.?(?: day)?(?: of)?[ -]?{_MONTH},?[ -]{_YEAR}")
_MONTH_DAY = re.compile(rf"{_MONTH}[ -]{_DAY},?[ -]{_YEAR}")


def _dates_in(folded: str) -> Iterator[str]:
    """Every date in the text, as ISO text; 05/03/2026 is read both ways."""
    for year, _, month, day in _YEAR_FIRST.findall(folded):
        yield from _iso(year, month, day)
    for one, _, other, year in _YEAR_LAST.findall(folded):
        yield from _iso(year, one, other)
        yield from _iso(year, other, one)
    named = [*_DAY_MONTH.findall(folded), *((day, name, year) for name, day, year in _MONTH_DAY.findall(folded))]
    for day, name, year in named:
        yield from _iso(year, str(_MONTHS.index(name[:3]) // 3 + 1), day)


def _iso(year: str, month: str, day: str) -> Iterator[str]:
    """The date, or both candidates for a two-digit year; nothing if there is no such day."""
    years = [year] if len(year) == 4 else [f"19{year}", f"20{year}"]
    for full in years:
        try:
            yield datetime.date(int(full), int(month), int(day)).isoformat()
        except ValueError:
            continue
