"""Every date in a text, as ISO text: in digits in any order, or with the name of its month in any language."""

import datetime
import re
from collections.abc import Iterator

from pipeline.label_errors.folded_text import without_inner_stops
from pipeline.label_errors.likely_languages import is_surely_not_english
from pipeline.label_errors.locale_words import LocaleWords, locale_words

# --- in digits --------------------------------------------------------------------------------------

_YEAR = r"'?(\d{4}|\d{2})(?!\d)"
_YEAR_FIRST = re.compile(r"(?<!\d)(\d{4})([-/ ]|\. ?)(\d{1,2})\2(\d{1,2})(?!\d)")
# Not in INV-20260311, but in 20260311T1000.
_COMPACT = re.compile(r"(?<![\da-z])(?<![a-z]-)(\d{4})()(\d\d)(\d\d)(?!\d|-?[a-su-y])")
_YEAR_LAST = re.compile(rf"(?<!\d)(\d{{1,2}})([-/.]) ?(\d{{1,2}})\2 ?{_YEAR}")
# The first date of 12.07. to 26.07.2026, or of 12.-26.07.2026.
_SPAN_START = re.compile(
    r"(?<![\d.,/])(\d{1,2})(?:[-/.](\d{1,2}))?\.? ?"
    r"(?:[-\u2013]|to|until|bis|au|al|a|à|até|ao|t/m|tot|do|til) ?(?:zum |the |de )?$"
)
_LONGEST_SPAN = 16
_VIETNAMESE = re.compile(r"(?<!\d)(\d{1,2}) (?:tháng|thg) (\d{1,2})(?:,| năm)? (\d{4})(?!\d)")
_ERAS = {"明治": 1867, "大正": 1911, "昭和": 1925, "平成": 1988, "令和": 2018, "民國": 1911}
_ERA_OF_LETTER = {"m": "明治", "t": "大正", "s": "昭和", "h": "平成", "r": "令和"}
_ERA = re.compile(r"(明治|大正|昭和|平成|令和|民國|(?<![a-z])[mtshr]) ?(元|\d{1,3})(?=年|[./-]\d)")
_MONTH_AND_DAY = r" ?(\d{1,2}) ?[月월] ?(\d{1,2}) ?[日号號일]"
_EAST_ASIAN = re.compile(rf"(?<!\d)(\d{{4}}|\d\d) ?[年년]{_MONTH_AND_DAY}")
_EAST_ASIAN_END = re.compile(
    r" ?(?:から|까지|부터|[至到\-~\u2013\u301c、・]) ?(?:(\d{1,2}) ?[月월] ?)?(\d{1,2}) ?[日号號일]"
)


def dates_in(folded: str) -> Iterator[str]:
    """Every date in digits; 05/03/2026 is read both ways unless the text is surely in a language other than English."""
    western = _ERA.sub(_western, folded)
    for text in dict.fromkeys((folded, western)):
        for year, _, month, day in [*_YEAR_FIRST.findall(text), *_COMPACT.findall(text)]:
            yield from _iso(year, month, day)
    # With full stops, the day comes first in all languages of the CLDR, with other signs in nearly all but English.
    numeric = list(_YEAR_LAST.finditer(folded))
    day_first = any(match[2] != "." for match in numeric) and is_surely_not_english(folded)
    for match in numeric:
        one, sign, other, year = match.groups()
        yield from _in_order(one, other, year, day_first or sign == ".")
        if start := _SPAN_START.search(folded, max(0, match.start() - _LONGEST_SPAN), match.start()):
            yield from _in_order(start[1], start[2] or other, year, day_first or sign == ".")
    for day, month, year in _VIETNAMESE.findall(folded):
        yield from _iso(year, month, day)
    for match in _EAST_ASIAN.finditer(western):
        year, month, day = match.groups()
        yield from _iso(year, month, day)
        if end := _EAST_ASIAN_END.match(western, match.end()):
            yield from _iso(year, end.group(1) or month, end.group(2))


def _in_order(one: str, other: str, year: str, day_first: bool) -> Iterator[str]:
    """The date with the day first, unless there is no such day, and if the order is unknown the other one, too."""
    dates = list(_iso(year, other, one))
    yield from dates
    if not (day_first and dates):
        yield from _iso(year, one, other)


def _western(match: re.Match[str]) -> str:
    era, year = match.groups()
    return str(_ERAS[_ERA_OF_LETTER.get(era, era)] + (1 if year == "元" else int(year)))


def _iso(year: str, month: str, day: str) -> Iterator[str]:
    """The date, or both candidates for a two-digit year; nothing if there is no such day."""
    years = [year] if len(year) == 4 else [f"19{year}", f"20{year}"]
    for full in years:
        try:
            yield datetime.date(int(full), int(month), int(day)).isoformat()
        except ValueError:
            continue


# --- with the month's name --------------------------------------------------------------------------

_COMMAS = "،⹁"
_LETTERS = rf"[^\d\s!-/:-@\[-`{{-~\u2010-\u2015{_COMMAS}]+"
_WORD = re.compile(_LETTERS)
_ORDINAL = r"(?:(?:st|nde?|rd|th|er|[eè]re|[eè]?me|ste|de|-?\u0433\u043e|\.?[aeo°])(?![^\W\d_]))"
_TOKEN = re.compile(rf"(?P<number>\d+){_ORDINAL}?|(?P<word>{_LETTERS})|(?P<sign>[^\s.,'{_COMMAS}])")
_REACH = 100
"""Characters between a month's name and what may belong to it."""
_SPAN_SIGNS = {*"-/~&\u2010\u2011\u2012\u2013\u2014"}
_SPAN_WORDS = {
    *("to", "till", "until", "through", "and", "bis", "und", "au", "et", "a", "à", "al", "y", "e", "ao", "até"),
    *("tot", "en", "do", "i", "til", "och", "до", "по"),
}
# The sequences of a date, in the letters of _kind. Each looks ahead, so that what one date takes for its year can
# be the day of the next.
_DAY_FIRST = (
    re.compile(r"(?=(?:D(?:RD){0,9}R?MR?){1,9}(Y))"),
    re.compile(r"(?=D(?:RD){0,9}(?:M|RMR)(D)(?!R?[MY]))"),
)
_MONTH_FIRST = (
    re.compile(r"(?=(?:MR?D(?:RD){0,9}R?){1,9}(Y))"),
    re.compile(r"(?=M(?:D|RDR)(D)(?!R?[MY]))"),
)
_YEAR_FIRST_NAMED = (re.compile(r"(?<!M)(?<!MD)(Y)R?(?:MR?D(?:RD){0,9}|D(?:RD){0,9}R?M)(?!Y)"),)


def named_dates_in(folded: str) -> Iterator[str]:
    """Every date with its month's name, and every date of a list or span that shares a month or year with another."""
    folded = without_inner_stops(folded)
    # Most texts, and most of a long one, name no month.
    if not locale_words().months.keys().isdisjoint(_WORD.findall(folded)):
        for start, end in _around_months(folded):
            yield from _named_dates(folded, start, end)


def _around_months(folded: str) -> Iterator[tuple[int, int]]:
    """The parts of the text around names of months, from space to space."""
    months = locale_words().months
    start = end = 0
    for match in _WORD.finditer(folded):
        if match.group() in months:
            first = folded.rfind(" ", 0, max(0, match.start() - _REACH)) + 1
            if first > end:
                yield start, end
                start = first
            space = folded.find(" ", match.end() + _REACH)
            end = space if space >= 0 else len(folded)
    yield start, end


def _named_dates(folded: str, start: int, end: int) -> Iterator[str]:
    words = locale_words()
    kinds: list[str] = []
    tokens: list[str] = []
    for match in _TOKEN.finditer(folded, start, end):
        token = match.group(match.lastgroup or 0)
        if kind := _kind(match.lastgroup, token, words):
            kinds.append(kind)
            tokens.append(token)
    sequence = "".join(kinds)
    for pattern in (*_DAY_FIRST, *_MONTH_FIRST, *_YEAR_FIRST_NAMED):
        for found in pattern.finditer(sequence):
            year_at = found.start(1)
            parts = [at for at in range(found.start(), max(found.end(), year_at)) if at != year_at]
            for day, month in _days(parts, sequence, month_first=pattern in _MONTH_FIRST):
                for number in words.months[tokens[month]]:
                    yield from _iso(tokens[year_at], str(number), tokens[day])


def _kind(group: str | None, token: str, words: LocaleWords) -> str:
    """D for a day, M for a month, Y for a year, R for what joins two dates, x for anything else; "of" says nothing."""
    if group == "number":
        return "D" if len(token) <= 2 else "Y" if len(token) == 4 else "x"
    if group == "sign":
        return "R" if token in _SPAN_SIGNS else "x"
    if token in _SPAN_WORDS:
        return "R"
    return "" if token in words.links else "M" if token in words.months else "x"


def _days(parts: list[int], sequence: str, month_first: bool) -> Iterator[tuple[int, int]]:
    """Give each day the month that it stands beside: the last one named before it, or else the next."""
    months = [at for at in parts if sequence[at] == "M"]
    for at in parts:
        if sequence[at] == "D":
            sided = [month for month in months if (month < at) == month_first]
            yield at, (max(sided) if month_first else min(sided)) if sided else months[-1]
