"""Grounding: which extracted texts, numbers and dates do not occur in the text they were extracted from?

Month names, the words for thousands and millions, and the words inside dates come from the CLDR, by way of babel,
for all its languages at once, so that no text's language has to be guessed. Numbers in words come from text2num.
"""

import datetime
import math
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import cache, cached_property
from typing import Any, NamedTuple, assert_never

from babel import localedata
from kanjize import kanji2number
from text_to_num import alpha2digit

from schemas.fate import Reason, ReasonCode
from schemas.field import JsonValue, TargetField, ValueType


def ungrounded(text: str, targets: Mapping[str, JsonValue], fields: Sequence[TargetField]) -> list[Reason]:
    """Name the texts, numbers and dates among the targets that do not occur in the text.

    Formatting does not matter: case, whitespace and punctuation of texts, separators, scale and currencies
    of numbers, order and format of dates, in any of the CLDR's languages. Choices and booleans are not checked:
    they describe the text rather than occur in it.
    """
    source = _Source(text)
    return [
        Reason(code=ReasonCode.UNGROUNDED, field=field.name, detail=f"'{str(value)[:80]}'")
        for field in fields
        for value in _values(targets.get(field.name))
        if not source.holds(field.type, value)
    ]


def _values(target: JsonValue) -> list[str | int | float | bool]:
    return [] if target is None else list(target) if isinstance(target, list) else [target]


class _Source:
    """A text, and the values that can be read in it; each kind is parsed on first use."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._folded = _folded(text)

    def holds(self, type: ValueType, value: str | int | float | bool) -> bool:
        match type:
            case ValueType.TEXT:
                return self._holds_text(str(value))
            case ValueType.INTEGER | ValueType.NUMBER:
                size = abs(float(value))
                return _near(size, self._numbers) or _near(size, self._spelled_numbers)
            case ValueType.DATE:
                return str(value) in self._dates or str(value) in self._spelled_dates
            case ValueType.CHOICE | ValueType.BOOLEAN:
                # They describe the text rather than occur in it.
                return True
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
    def _digits(self) -> str:
        """The text to read numbers and dates in."""
        return _with_digits(_folded(_FIXED_SPACE.sub("'", self._text)).translate(_ARABIC_SEPARATORS))

    @cached_property
    def _spelled(self) -> set[str]:
        """The same with its number words in digits, for each language that they may be of."""
        # text2num reads the Spanish veintiuno only in full.
        words = self._digits.replace("veintiún", "veintiuno")
        return {alpha2digit(words, language, threshold=0) for language in _languages(self._words)} - {words}

    @cached_property
    def _numbers(self) -> set[float]:
        in_words = (number for number, word in enumerate(_NUMBER_WORDS) if f" {word} " in self._words)
        in_ten_thousands = (float(n.replace(",", "")) for n in _CJK_ONE_UNIT.findall(self._folded))
        return {*_numbers_in(self._digits), *in_ten_thousands, *map(float, in_words)}

    @cached_property
    def _spelled_numbers(self) -> set[float]:
        return {number for text in self._spelled for number in _numbers_in(text)}

    @cached_property
    def _dates(self) -> set[str]:
        return set(_dates_in(self._digits))

    @cached_property
    def _spelled_dates(self) -> set[str]:
        return {date for text in self._spelled for date in _dates_in(text)}


def _near(size: float, numbers: set[float]) -> bool:
    return any(math.isclose(size, number, rel_tol=1e-9) for number in numbers)


def _folded(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _words(folded: str) -> str:
    """The words, separated and surrounded by single spaces, so that searches match whole words."""
    return f" {' '.join(_WORD.findall(folded))} "


_WORD = re.compile(r"[^\W_]+")
_FIXED_SPACE = re.compile(r"(?<=\d)[\u2009\u202f](?=\d{3}(?!\d))")
"""A narrow space holds digits together: unlike a plain one, it never separates two numbers."""
_ARABIC_SEPARATORS = str.maketrans("\u066b\u066c", ".,")

# --- the CLDR's words -------------------------------------------------------------------------------


class _Vocabulary(NamedTuple):
    months: Mapping[str, frozenset[int]]
    scales: Mapping[str, frozenset[int]]
    links: frozenset[str]
    """What stands between the parts of a date: "de", "of"."""


@cache
def _vocabulary() -> _Vocabulary:
    """The words of all languages together; where two languages differ about a word, both are right."""
    months: defaultdict[str, Counter[int]] = defaultdict(Counter)
    scales: defaultdict[str, Counter[int]] = defaultdict(Counter)
    links = set(_MORE_LINKS)
    for locale in localedata.locale_identifiers():
        data = localedata.load(locale, merge_inherited=False)
        for path, name in _leaves(data.get("months")):
            if "narrow" not in path and isinstance(name, str):
                for spelling in _spellings(name, 3):
                    months[spelling][int(path[-1])] += 1
        for path, pattern in _leaves(data.get("compact_decimal_formats")):
            if match := _SCALE_PATTERN.fullmatch(pattern.pattern):
                zeros, word = match.groups()
                for spelling in _spellings(word.replace("'", ""), 2):
                    scales[spelling][int(path[-1]) // 10 ** (len(zeros) - 1)] += 1
        for _, pattern in _leaves(data.get("date_formats")):
            links.update(word.strip().casefold() for word in _QUOTED.findall(getattr(pattern, "pattern", "")))
        # Babel keeps every language it has read, which is 170 MB for all of them.
        localedata._cache.clear()
    return _Vocabulary(_agreed(months), _agreed(scales) | _MORE_SCALES, frozenset(links))


def _leaves(tree: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    if isinstance(tree, Mapping):
        for key, value in tree.items():
            yield from _leaves(value, (*path, key))
    elif tree is not None and not isinstance(tree, localedata.Alias):
        yield path, tree


def _spellings(name: str, shortest: int) -> set[str]:
    """The word with and without its accents; nothing for what is too short or holds digits or spaces."""
    word = _folded(name).strip(". ")
    if not _LETTERS.fullmatch(word) or (word.isascii() and len(word) < shortest):
        return set()
    return {word, _unaccented(word), word.replace("ä", "ae")}


def _unaccented(word: str) -> str:
    return "".join(sign for sign in unicodedata.normalize("NFKD", word) if not "\u0300" <= sign <= "\u036f")


def _agreed(words: Mapping[str, Counter[int]]) -> dict[str, frozenset[int]]:
    """Meanings that few languages give to a word are left out if many give another."""
    return {
        word: frozenset(value for value, count in counts.items() if 5 * count >= max(counts.values()))
        for word, counts in words.items()
    }


_LETTERS = re.compile(r"[^\d\s!-/:-@\[-`{-~]+")
_SCALE_PATTERN = re.compile(r"(0+)\s?([^0;]+)")
_QUOTED = re.compile(r"'([^']+)'")
_MORE_LINKS = (
    *("of", "the", "day", "days", "month", "in", "year", "de", "del", "do", "da", "du", "d", "dia", "dias", "días"),
    *("mes", "mês", "mois", "jour", "jours", "den", "tag", "\u0433", "года"),
)
_MORE_SCALES = {"k": frozenset({1000}), "m": frozenset({10**6}), "mio": frozenset({10**6}), "bn": frozenset({10**9})}

# --- numbers ----------------------------------------------------------------------------------------

_GROUPS = re.compile(r"\d+(?:[., '\u2019]\d+)*")
# With the vowel signs of India and Thailand, which are no letters to Python.
_SCALE = r"((?:[^\W\d_]|[\u0900-\u0dff\u0e30-\u0e4e])+)"
_FACTOR = re.compile(rf" ?(?:(%|percent\b)|{_SCALE}(?:\.? {_SCALE})?)")
_SYMBOL_FOR_POINT = re.compile(r"(?<![\d.,])(\d+) ?[$£¥\u20a0-\u20bf](\d\d)(?!\d)")
_NUMBER_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_MAX_SPACED_GROUPS = 5
"""Groups of digits that are tried as one number: up to ten to the fifteenth."""


def _numbers_in(folded: str) -> Iterator[float]:
    """Every number that the digits can mean, with and without a factor after them."""
    for match in _GROUPS.finditer(folded):
        factors = _factors(_FACTOR.match(folded, match.end()))
        for number in _readings(match.group()):
            yield number
            for factor in factors:
                yield number * factor
    for units, cents in _SYMBOL_FOR_POINT.findall(folded):
        yield float(f"{units}.{cents}")


def _factors(match: re.Match[str] | None) -> Sequence[float]:
    if match is None:
        return ()
    percent, word, next_word = match.groups()
    if percent:
        return (0.01,)
    scales = _vocabulary().scales
    # "12 mil millones" is said in two words.
    twofold = [one * two for one in scales.get(word, ()) for two in scales.get(next_word or "", ())]
    return [*scales.get(word, ()), *twofold]


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


# text2num has to be told the language, or it takes the "due" of an invoice for the Italian two.
_LANGUAGE_SIGNS = {
    "en": "the of and for to is your our",
    "de": "der die das und den dem ist wir für von",
    "fr": "le la les des et du est nous vous pour une",
    "es": "el la los las del y su en por para con",
    "pt": "o os as do da dos das em e ao à para no uma",
    "it": "il di che per della del un e gli è",
    "nl": "het een van en de voor is wij op",
}
_SIGNS_OF = {language: [f" {word} " for word in words.split()] for language, words in _LANGUAGE_SIGNS.items()}


def _languages(words: str) -> list[str]:
    """The languages with most of their commonest words in the text; English too."""
    counts = {language: sum(sign in words for sign in signs) for language, signs in _SIGNS_OF.items()}
    most = max(counts.values())
    return [language for language, count in counts.items() if count == most or language == "en"]


_FORMAL_DIGITS = "壱弐参拾"
_CJK_DIGITS = f"〇零一二三四五六七八九十百千万億兆{_FORMAL_DIGITS}"
_CJK_VARIANTS = str.maketrans("壹貳參萬亿佰仟两", "壱弐参万億百千二")
_CJK_NUMBER = re.compile(rf"(?:\d[\d,]*+(?:\.\d+)?+|[{_CJK_DIGITS}]){{1,40}}+")
_CJK_ONE_UNIT = re.compile(rf"(?<![\d.,{_CJK_DIGITS}])(\d[\d,]*(?:\.\d+)?)[万億兆](?![\d{_CJK_DIGITS}])")


def _with_digits(folded: str) -> str:
    """三億5,000万 becomes 350000000, and 二〇二六 becomes 2026."""
    return folded if folded.isascii() else _CJK_NUMBER.sub(_in_digits, folded.translate(_CJK_VARIANTS))


def _in_digits(match: re.Match[str]) -> str:
    number = match.group()
    # 参加: a formal digit by itself is part of a word.
    if number.isascii() or number in _FORMAL_DIGITS:
        return number
    try:
        return str(kanji2number(number.replace(",", "")))
    except ValueError:
        # 万一: not a number, or none that fits the language's rules.
        return number


# --- dates ------------------------------------------------------------------------------------------

_YEAR = r"'?(\d{4}|\d{2})(?!\d)"
_YEAR_FIRST = re.compile(r"(?<!\d)(\d{4})([-/ ]|\. ?)(\d{1,2})\2(\d{1,2})(?!\d)")
# Not in INV-20260311, but in 20260311T1000.
_COMPACT = re.compile(r"(?<![\da-z])(?<![a-z]-)(\d{4})()(\d\d)(\d\d)(?!\d|-?[a-su-y])")
_YEAR_LAST = re.compile(rf"(?<!\d)(\d{{1,2}})([-/.]) ?(\d{{1,2}})\2 ?{_YEAR}")
_ERAS = {"明治": 1867, "大正": 1911, "昭和": 1925, "平成": 1988, "令和": 2018, "民國": 1911}
_ERA = re.compile(r"(明治|大正|昭和|平成|令和|民國|(?<![a-z])[mtshr]) ?(元|\d{1,3})(?=年|[./-]\d)")
_ERA_OF_LETTER = {"m": "明治", "t": "大正", "s": "昭和", "h": "平成", "r": "令和"}
_MONTH_AND_DAY = r" ?(\d{1,2}) ?[月월] ?(\d{1,2}) ?[日号號일]"
_CJK = re.compile(rf"(?<!\d)(\d{{4}}|\d\d) ?[年년]{_MONTH_AND_DAY}")
_CJK_END = re.compile(r" ?(?:から|까지|부터|[至到\-~\u2013\u301c、・]) ?(?:(\d{1,2}) ?[月월] ?)?(\d{1,2}) ?[日号號일]")

_TOKEN = re.compile(
    r"(?P<number>\d+)(?:(?:st|nde?|rd|th|er|[eè]re|[eè]?me|ste|de|\.?[aeo])(?![^\W\d_]))?"
    r"|(?P<word>[^\d\s!-/:-@\[-`{-~\u2010-\u2015]+)|(?P<sign>[^\s.,'])"
)
_ASCII_WORD = re.compile(r"[a-z]+")
_SPAN_SIGNS = frozenset("-/~&\u2010\u2011\u2012\u2013\u2014")
_SPAN_WORDS = frozenset(
    "to till until through and bis und au et a à al y e ao até tot en do i til och до по".split()  # noqa: SIM905
)
# Each looks ahead, so that what one date takes for its year can be the day of the next.
_DAY_FIRST = (re.compile(r"(?=(?:D(?:RD){0,9}R?MR?){1,9}(Y))"), re.compile(r"(?=D(?:RD){0,9}R?MR?(D))"))
_MONTH_FIRST = (re.compile(r"(?=(?:MR?D(?:RD){0,9}R?){1,9}(Y))"), re.compile(r"(?=MR?DR?(D))"))
_YEAR_MONTH = (re.compile(r"(?<!M)(?<!MD)(Y)R?(?:MR?D(?:RD){0,9}|D(?:RD){0,9}R?M)"),)


def _dates_in(folded: str) -> Iterator[str]:
    """Every date in the text, as ISO text; 05/03/2026 is read both ways."""
    western = _ERA.sub(_western, folded)
    for text in {folded, western}:
        for year, _, month, day in [*_YEAR_FIRST.findall(text), *_COMPACT.findall(text)]:
            yield from _iso(year, month, day)
    for one, _, other, year in _YEAR_LAST.findall(folded):
        yield from _iso(year, one, other)
        yield from _iso(year, other, one)
    for match in _CJK.finditer(western):
        year, month, day = match.groups()
        yield from _iso(year, month, day)
        if end := _CJK_END.match(western, match.end()):
            yield from _iso(year, end.group(1) or month, end.group(2))
    yield from _named_dates(folded)


def _western(match: re.Match[str]) -> str:
    era, year = match.groups()
    return str(_ERAS[_ERA_OF_LETTER.get(era, era)] + (1 if year == "元" else int(year)))


def _named_dates(folded: str) -> Iterator[str]:
    """Dates with the month's name, by the sequence of days (D), months (M), years (Y) and words between (R)."""
    vocabulary = _vocabulary()
    if folded.isascii() and vocabulary.months.keys().isdisjoint(_ASCII_WORD.findall(folded)):
        return
    kinds: list[str] = []
    tokens: list[str] = []
    for match in _TOKEN.finditer(folded):
        token = match.group(match.lastgroup or 0)
        kind = _kind(match.lastgroup, token, vocabulary)
        if kind:
            kinds.append(kind)
            tokens.append(token)
    if "M" not in kinds:
        return
    sequence = "".join(kinds)
    for pattern in (*_DAY_FIRST, *_MONTH_FIRST, *_YEAR_MONTH):
        for found in pattern.finditer(sequence):
            year_at = found.start(1)
            parts = [at for at in range(found.start(), max(found.end(0), year_at)) if at != year_at]
            yield from _of_sequence(parts, kinds, tokens, tokens[year_at], pattern in _MONTH_FIRST)


def _of_sequence(parts: list[int], kinds: list[str], tokens: list[str], year: str, month_first: bool) -> Iterator[str]:
    """Give each day the month that it stands beside: the last one named before it, or else the next."""
    months = [at for at in parts if kinds[at] == "M"]
    for at in parts:
        if kinds[at] == "D":
            sided = [m for m in months if (m < at) == month_first]
            beside = (max(sided) if month_first else min(sided)) if sided else months[-1]
            for month in _vocabulary().months[tokens[beside]]:
                yield from _iso(year, str(month), tokens[at])


def _kind(group: str | None, token: str, vocabulary: _Vocabulary) -> str:
    """The letter for a token in the sequence; none for a word that says nothing, as "of"."""
    if group == "number":
        return "D" if len(token) <= 2 else "Y" if len(token) == 4 else "x"
    if group == "sign":
        return "R" if token in _SPAN_SIGNS else "x"
    if token in vocabulary.links:
        return "R" if token in _SPAN_WORDS else ""
    return "M" if token in vocabulary.months else "R" if token in _SPAN_WORDS else "x"


def _iso(year: str, month: str, day: str) -> Iterator[str]:
    """The date, or both candidates for a two-digit year; nothing if there is no such day."""
    years = [year] if len(year) == 4 else [f"19{year}", f"20{year}"]
    for full in years:
        try:
            yield datetime.date(int(full), int(month), int(day)).isoformat()
        except ValueError:
            continue
