"""The libraries as answers to: is this value in this text?  Each gives the dates and numbers it reads in a text."""
import datetime, math, re, sys, warnings
warnings.filterwarnings("ignore")
from collections.abc import Callable, Iterable

LANGS = ("en", "de", "fr", "es", "pt", "ja")
LOCALE = dict(en="en_GB", de="de", fr="fr", es="es", pt="pt", ja="ja")
NUMBER_SPAN = re.compile(r"\d+(?:[.,'\u2019 \u00a0\u202f]\d+)*")
DATE_SPAN = re.compile(r"\d{1,4} ?[-/.年] ?\d{1,2} ?[-/.月] ?\d{1,4}")
# From one token with digits to another with digits, at most four words between.
NAMED_SPAN = re.compile(r"(?:[^\W\d_]+\.? )?\d{1,4}[^\s\d]{0,3}(?:[ /-]+[^\W\d_]+[.,]?){1,3}[ /-]+\d{2,4}|[^\W\d_]+\.? \d{1,2}\w{0,2},? \d{4}|(?:令和|平成)?\d{1,4}年\d{1,2}月\d{1,2}日")


def _search(text: str, lang: str | None, **settings: object) -> set[str]:
    from dateparser.search import search_dates
    found = search_dates(text, languages=[lang] if lang else None, settings=settings or None) or []
    return {when.date().isoformat() for _, when in found}

def dp_auto(text: str, lang: str) -> set[str]:
    return _search(text, None)
def dp_lang(text: str, lang: str) -> set[str]:
    return _search(text, lang)
def dp_lang_strict(text: str, lang: str) -> set[str]:
    return _search(text, lang, REQUIRE_PARTS=["day", "month", "year"])
def dp_six(text: str, lang: str) -> set[str]:
    from dateparser.search import search_dates
    return {w.date().isoformat() for _, w in search_dates(text, languages=list(LANGS)) or []}
def dp_spans(text: str, lang: str) -> set[str]:
    """dateparser.parse of the spans that regexes find, language given."""
    import dateparser
    spans = {m.group() for r in (DATE_SPAN, NAMED_SPAN) for m in r.finditer(text)}
    got = (dateparser.parse(s, languages=[lang], settings={"REQUIRE_PARTS": ["day", "month", "year"]}) for s in spans)
    return {w.date().isoformat() for w in got if w}
def dp_spans_auto(text: str, lang: str) -> set[str]:
    import dateparser
    spans = {m.group() for r in (DATE_SPAN, NAMED_SPAN) for m in r.finditer(text)}
    got = (dateparser.parse(s, settings={"REQUIRE_PARTS": ["day", "month", "year"]}) for s in spans)
    return {w.date().isoformat() for w in got if w}

def _babel_dates(text: str, locales: Iterable[str]) -> set[str]:
    from babel.dates import ParseError, parse_date
    found: set[str] = set()
    for m in DATE_SPAN.finditer(text):
        for loc in locales:
            for fmt in ("short", "medium"):
                try:
                    found.add(parse_date(m.group(), locale=loc, format=fmt).isoformat())
                except (ParseError, ValueError, IndexError, KeyError):
                    pass
    return found
def babel_dates_lang(text: str, lang: str) -> set[str]:
    return _babel_dates(text, [LOCALE.get(lang, lang)])
def babel_dates_all(text: str, lang: str) -> set[str]:
    return _babel_dates(text, [*LOCALE.values(), "en_US"])

def _babel_numbers(text: str, locales: Iterable[str]) -> set[float]:
    from babel.numbers import NumberFormatError, parse_decimal
    found: set[float] = set()
    for m in NUMBER_SPAN.finditer(text):
        for loc in locales:
            try:
                found.add(float(parse_decimal(m.group(), locale=loc)))
            except (NumberFormatError, ValueError):
                pass
    return found
def babel_numbers_lang(text: str, lang: str) -> set[float]:
    return _babel_numbers(text, [LOCALE.get(lang, lang)])
def babel_numbers_all(text: str, lang: str) -> set[float]:
    return _babel_numbers(text, [*LOCALE.values(), "de_CH", "en_IN"])

def price_whole(text: str, lang: str) -> set[float]:
    from price_parser import Price
    p = Price.fromstring(text)
    return {float(p.amount)} if p.amount is not None else set()
def price_spans(text: str, lang: str) -> set[float]:
    from price_parser import Price
    got = (Price.fromstring(m.group()).amount for m in NUMBER_SPAN.finditer(text))
    return {float(a) for a in got if a is not None}

def words_lang(text: str, lang: str) -> set[float]:
    """text2num, then price-parser over the digits: numbers in words, language given."""
    from text_to_num import alpha2digit
    if lang == "ja":
        return set()
    return price_spans(alpha2digit(text, lang, threshold=0), lang)
def number_parser_lang(text: str, lang: str) -> set[float]:
    from number_parser import parse
    if lang not in ("en", "es"):
        return set()
    return price_spans(parse(text, language=lang), lang)
def quantulum_en(text: str, lang: str) -> set[float]:
    from quantulum3 import parser
    if lang != "en":
        return set()
    return {abs(q.value) for q in parser.parse(text)}

DATES: dict[str, Callable[[str, str], set[str]]] = {
    "dateparser search, detects": dp_auto, "dateparser search, six languages": dp_six,
    "dateparser search, language given": dp_lang, "dateparser search, given, full dates only": dp_lang_strict,
    "dateparser.parse of spans, given": dp_spans, "dateparser.parse of spans, detects": dp_spans_auto,
    "babel parse_date, language given": babel_dates_lang, "babel parse_date, all locales": babel_dates_all,
}
NUMBERS: dict[str, Callable[[str, str], set[float]]] = {
    "babel parse_decimal, language given": babel_numbers_lang, "babel parse_decimal, all locales": babel_numbers_all,
    "price-parser, whole text": price_whole, "price-parser, spans": price_spans,
    "text2num + price-parser, given": words_lang, "number-parser + price-parser, given": number_parser_lang,
    "quantulum3 (English only)": quantulum_en,
}

def holds(kind: str, value: str, found: set) -> bool:
    if kind == "date":
        return value in found
    return any(math.isclose(float(value), f, rel_tol=1e-9) for f in found)
