"""The words for months, thousands, millions and parts of the day in all languages of the CLDR, by way of babel.

All languages count at once, so that a text's language need not be guessed: "mai" is May in several of them.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from typing import Any, TypeVar

from pipeline.label_errors.folded_text import folded, unaccented, without_inner_stops

_Meaning = TypeVar("_Meaning")


class DayPeriod(StrEnum):
    """What a word says about an hour of 1 to 12."""

    AM = "am"
    PM = "pm"
    NIGHT = "night"
    """Before midnight or after it."""


_HEBREW = frozenset(map(chr, range(0x05D0, 0x05EB)))
_LETTERS = re.compile(r"[^\d\s!-/:-@\[-`{-~]+")
_SCALE_PATTERN = re.compile(r"[\u200e\u200f]?(0+)\s?([^0;]+)")
_QUOTED = re.compile(r"'([^']+)'")
_PERIODS = {
    "am": DayPeriod.AM,
    "morning": DayPeriod.AM,
    "pm": DayPeriod.PM,
    "noon": DayPeriod.PM,
    "afternoon": DayPeriod.PM,
    "evening": DayPeriod.PM,
    "night": DayPeriod.NIGHT,
}
_CLOCK_LANGUAGES = {
    *("am", "ar", "bg", "bn", "ca", "cs", "da", "de", "el", "en", "es", "fil", "fr", "gu", "he", "hi", "id", "it"),
    *("ja", "kn", "ko", "ml", "mr", "nb", "ne", "nl", "no", "pa", "pl", "pt", "ru", "si", "sq", "sv", "ta"),
    *("te", "th", "tr", "uk", "ur", "vi", "yue", "zh"),
}
"""The languages whose names of parts of the day count: in others "in", "to" and "too" are among them."""
_MORE_SCALES = {
    **{"k": frozenset({10**3}), "m": frozenset({10**6}), "mio": frozenset({10**6})},
    **{"b": frozenset({10**9}), "bn": frozenset({10**9})},
}
_MORE_LINKS = (
    *("of", "the", "day", "days", "month", "in", "year", "de", "del", "do", "da", "du", "d", "dia", "dias", "días"),
    *("mes", "mês", "mois", "jour", "jours", "den", "tag", "\u0433", "года", "թ", "คศ"),
)


@dataclass(frozen=True)
class LocaleWords:
    """Folded words with what they mean; where languages differ about a word, each of its meanings counts."""

    months: Mapping[str, frozenset[int]]
    scales: Mapping[str, frozenset[int]]
    """What the number before the word is multiplied by."""
    links: frozenset[str]
    """What stands between the parts of a date: "de", "of"."""
    periods: Mapping[str, frozenset[DayPeriod]]
    """With and without full stops and spaces: "p. m." and "pm"."""
    noon: frozenset[str]
    midnight: frozenset[str]


@cache
def locale_words() -> LocaleWords:
    """The words of all languages; read once, in about half a second, when a text first needs them."""
    from babel import localedata

    found = _Found()
    for locale in localedata.locale_identifiers():
        found.add(locale.split("_")[0], localedata.load(locale, merge_inherited=False))
        # Babel keeps every language that it has read, which is 170 MB for all of them.
        localedata._cache.clear()
    return LocaleWords(
        _agreed(found.months),
        _agreed(found.scales) | _MORE_SCALES,
        frozenset(found.links),
        _agreed(found.periods),
        frozenset(found.noon - found.stretches),
        frozenset(found.midnight - found.stretches),
    )


@dataclass
class _Found:
    """How many locales give which meaning to a word."""

    months: defaultdict[str, Counter[int]] = field(default_factory=lambda: defaultdict(Counter))
    scales: defaultdict[str, Counter[int]] = field(default_factory=lambda: defaultdict(Counter))
    periods: defaultdict[str, Counter[DayPeriod]] = field(default_factory=lambda: defaultdict(Counter))
    links: set[str] = field(default_factory=lambda: set(_MORE_LINKS))
    noon: set[str] = field(default_factory=set)
    midnight: set[str] = field(default_factory=set)
    stretches: set[str] = field(default_factory=set)
    """Parts of the day that are no single moment."""

    def add(self, language: str, locale: Mapping[str, Any]) -> None:
        for path, name in _leaves(locale.get("months")):
            if "narrow" not in path:
                for spelling in _spellings(name, 3):
                    self.months[spelling][int(path[-1])] += 1
        for path, pattern in _leaves(locale.get("compact_decimal_formats")):
            if match := _SCALE_PATTERN.fullmatch(pattern.pattern):
                zeros, word = match.groups()
                for spelling in _spellings(word.replace("'", ""), 2):
                    self.scales[spelling][int(path[-1]) // 10 ** (len(zeros) - 1)] += 1
        for _, pattern in _leaves(locale.get("date_formats")):
            self.links.update(word.strip().casefold() for word in _QUOTED.findall(getattr(pattern, "pattern", "")))
        if language in _CLOCK_LANGUAGES:
            for path, name in _leaves(locale.get("day_periods")):
                if "narrow" not in path:
                    self._add_period(path[-1], folded(name))

    def _add_period(self, key: str, name: str) -> None:
        if name.isascii() and len(name.replace(".", "")) < 3 and key not in ("am", "pm"):
            return
        if key not in ("noon", "midnight"):
            self.stretches.add(name)
        elif "." not in name:
            (self.noon if key == "noon" else self.midnight).add(name)
        if period := next((period for start, period in _PERIODS.items() if key.startswith(start)), None):
            shorter = (name.rstrip("."), re.sub("[. ]", "", name)) if name.count(".") > 1 else ()
            for spelling in {name, name.replace(" ", ""), *shorter}:
                if not spelling.isascii() or len(spelling) > 2 or spelling == key:
                    self.periods[spelling][period] += 1


def _leaves(tree: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Everything in a tree that is not itself one, nor babel's reference to another place, with its path."""
    if isinstance(tree, Mapping):
        for key, value in tree.items():
            yield from _leaves(value, (*path, key))
    elif isinstance(tree, str) or hasattr(tree, "pattern"):
        yield path, tree


def _spellings(name: str, shortest: int) -> set[str]:
    """The word with and without its accents; none for what is too short or contains digits or spaces."""
    word = without_inner_stops(folded(name)).strip(". ")
    if not _LETTERS.fullmatch(word) or (word.isascii() and len(word) < shortest):
        return set()
    # Hebrew writes "in" and the month as one word.
    return {word, unaccented(word), word.replace("ä", "ae"), *([f"\u05d1{word}"] if word[0] in _HEBREW else [])}


def _agreed(words: Mapping[str, Counter[_Meaning]]) -> dict[str, frozenset[_Meaning]]:
    """Meanings that few languages give to a word are left out if many give it another."""
    return {
        word: frozenset(meaning for meaning, count in counts.items() if 5 * count >= max(counts.values()))
        for word, counts in words.items()
    }
