"""Every number that the digits in a text can mean, whatever their separators."""

import re
from collections.abc import Iterator, Sequence
from decimal import Decimal

from pipeline.label_errors.locale_words import locale_words

_GROUPS = re.compile(r"\d+(?:[., '\u2019]\d+)*")
_SYMBOL_FOR_POINT = re.compile(r"(?<![\d.,])(\d+) ?[$£¥\u20a0-\u20bf](\d\d)(?!\d)")
_PERCENT = re.compile(
    r" ?(?:[%\u066a]|パーセント|(?:per ?cento?|pour ?cent|por ?cento|por ?ciento|prozent|procent|процент)(?![a-z]))"
)
# With the vowel signs of South and Southeast Asia, which are no letters to Python.
_SCALE = r"(?:(?:de|na) )?((?:[^\W\d_]|[\u0900-\u109f\u1780-\u17ff])+)"
_SCALES = re.compile(rf" ?{_SCALE}(?:\.? {_SCALE})?")
_ORDINAL = re.compile(r"\d+(?=[^\W\d_])")
_MAX_SPACED_GROUPS = 5
"""Groups of digits that are tried as one number: up to ten to the fifteenth."""
_MAX_SIGNS = 60
"""Nothing longer is one number, and thousands of digits would take long to read."""


def without_ordinals(spelled: str) -> str:
    """The text without the digits of words such as "first", which would be found as a one."""
    return _ORDINAL.sub(" ", spelled)


def numbers_in(folded: str) -> Iterator[Decimal]:
    """Every number that the digits can mean, as they stand."""
    for match in _GROUPS.finditer(folded):
        yield from _readings(match.group())
    for units, cents in _SYMBOL_FOR_POINT.findall(folded):
        yield from _reading(f"{units}.{cents}")


def scaled_numbers_in(folded: str) -> Iterator[Decimal]:
    """Every number that the digits can mean together with the percent sign or the words after them."""
    for match in _GROUPS.finditer(folded):
        if factors := _factors(folded, match.end()):
            for number in _readings(match.group()):
                yield from (number * factor for factor in factors)


def _factors(folded: str, end: int) -> Sequence[Decimal]:
    if _PERCENT.match(folded, end):
        return [Decimal("0.01")]
    if (match := _SCALES.match(folded, end)) is None:
        return ()
    word, next_word = match.groups()
    scales = locale_words().scales
    # "12 mil millones" is said in two words.
    twofold = [one * two for one in scales.get(word, ()) for two in scales.get(next_word or "", ())]
    return [Decimal(factor) for factor in (*scales.get(word, ()), *twofold)]


def _readings(token: str) -> Iterator[Decimal]:
    """A space may group digits or separate two numbers, so every run of parts is tried."""
    parts = token.split(" ")
    for start in range(len(parts)):
        for end in range(start + 1, min(start + _MAX_SPACED_GROUPS, len(parts)) + 1):
            yield from _reading(" ".join(parts[start:end]))


def _reading(token: str) -> Iterator[Decimal]:
    """1,249.50 and 1.249,50 and 1 249.5; without a valid grouping, each group by itself."""
    if token.isdecimal() and len(token) <= _MAX_SIGNS:
        yield Decimal(token)
        return
    groups = re.split(r"\D", token)
    separators = re.findall(r"\D", token)
    if len(token) > _MAX_SIGNS:
        yield from (Decimal(group) for group in groups if len(group) <= _MAX_SIGNS)
        return
    whole = _is_grouped(groups, separators)
    if whole:
        yield Decimal("".join(groups))
    decimal = bool(separators) and separators[-1] in ".,"
    if decimal and _is_grouped(groups[:-1], separators[:-1]) and separators[-1] not in separators[:-1]:
        yield Decimal(f"{''.join(groups[:-1])}.{groups[-1]}")
    elif not whole and " " not in separators:
        yield from map(Decimal, groups)


def _is_grouped(groups: list[str], separators: list[str]) -> bool:
    """Digits in groups of three (or, in India, of two before the last three) with one kind of separator."""
    if not separators:
        return True
    lengths_fit = len(groups[0]) <= 3 and len(groups[-1]) == 3 and {len(group) for group in groups[1:-1]} <= {2, 3}
    return lengths_fit and len(set(separators)) == 1
