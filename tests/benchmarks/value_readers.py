"""Libraries that read dates and numbers, as answers to: does this text say this value?

``values_in_texts.py`` runs this file with the interpreter that has the libraries: ``IN.json OUT.json``. It imports no
code of the product.
"""

import importlib.util
import json
import math
import re
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_NUMBER_SPAN = re.compile(r"\d+(?:[.,'\u2019 \u00a0\u202f]\d+)*")
_DATE_SPAN = re.compile(r"\d{1,4} ?[-/.年] ?\d{1,2} ?[-/.月] ?\d{1,4}")
_TIMED_TEXTS = 60
Found = set[Any]


@dataclass(frozen=True)
class Reader:
    """A way to read the dates or the numbers of a text in a given language."""

    kinds: tuple[str, ...]
    needs: tuple[str, ...]
    read: Callable[[str, str], Found]


def _dateparser_detects(text: str, language: str) -> Found:
    from dateparser.search import search_dates

    return {when.date().isoformat() for _, when in search_dates(text) or []}


def _dateparser(text: str, language: str) -> Found:
    from dateparser.search import search_dates

    return {when.date().isoformat() for _, when in search_dates(text, languages=[language]) or []}


def _babel_dates(text: str, language: str) -> Found:
    from babel.dates import parse_date

    found = set()
    for span in _DATE_SPAN.findall(text):
        for width in ("short", "medium"):
            try:
                found.add(parse_date(span, locale=language, format=width).isoformat())
            except (ValueError, IndexError, KeyError):
                continue
    return found


def _babel_numbers(text: str, language: str) -> Found:
    from babel.numbers import parse_decimal

    found = set()
    for span in _NUMBER_SPAN.findall(text):
        try:
            found.add(float(parse_decimal(span, locale=language)))
        except ValueError:
            continue
    return found


def _price_parser(text: str, language: str) -> Found:
    from price_parser import Price

    amounts = (Price.fromstring(span).amount for span in _NUMBER_SPAN.findall(text))
    return {float(amount) for amount in amounts if amount is not None}


def _text2num(text: str, language: str) -> Found:
    from text_to_num import alpha2digit

    return _price_parser(alpha2digit(text, language, threshold=0), language)


def _number_parser(text: str, language: str) -> Found:
    from number_parser import parse

    return _price_parser(parse(text, language=language), language)


def _quantulum(text: str, language: str) -> Found:
    from quantulum3 import parser

    return {abs(quantity.value) for quantity in parser.parse(text)} if language == "en" else set()


_DATES, _NUMBERS = ("date",), ("number", "amount")
READERS = {
    "dateparser, finds the language": Reader(_DATES, ("dateparser",), _dateparser_detects),
    "dateparser, is told the language": Reader(_DATES, ("dateparser",), _dateparser),
    "babel.parse_date, is told the language": Reader(_DATES, ("babel",), _babel_dates),
    "babel.parse_decimal, is told the language": Reader(_NUMBERS, ("babel",), _babel_numbers),
    "price-parser": Reader(_NUMBERS, ("price_parser",), _price_parser),
    "text2num and price-parser, are told the language": Reader(_NUMBERS, ("text_to_num", "price_parser"), _text2num),
    "number-parser and price-parser, are told the language": Reader(
        _NUMBERS, ("number_parser", "price_parser"), _number_parser
    ),
    "quantulum3, English only": Reader(_NUMBERS, ("quantulum3",), _quantulum),
}


def _says(reader: Reader, item: dict[str, Any]) -> bool:
    # A library that does not know a language raises, and so has not found the value.
    try:
        found = reader.read(item["text"], item["lang"])
    except Exception:
        return False
    if item["kind"] == "date":
        return item["value"] in found
    return any(math.isclose(float(item["value"]), number, rel_tol=1e-9) for number in found)


def _texts_per_second(reader: Reader, texts: list[tuple[str, str]]) -> float:
    start = time.process_time()
    for language, text in texts:
        reader.read(text, language)
    return len(texts) / (time.process_time() - start)


def main() -> None:
    """Read the lists and the texts to time, write what each reader finds and how fast it is."""
    warnings.simplefilter("ignore")
    given, out = map(Path, sys.argv[1:])
    asked = json.loads(given.read_text(encoding="utf-8"))
    made: dict[str, Any] = {}
    for name, reader in READERS.items():
        if missing := [module for module in reader.needs if importlib.util.find_spec(module) is None]:
            made[name] = {"missing": missing}
            continue
        found = {item["id"]: _says(reader, item) for item in asked["items"] if item["kind"] in reader.kinds}
        texts = [(language, text) for language, text in asked["texts"] if "English" not in name or language == "en"]
        if "number-parser" in name:
            texts = [(language, text) for language, text in texts if language in ("en", "es")]
        if "text2num" in name:
            texts = [(language, text) for language, text in texts if language != "ja"]
        speed = _texts_per_second(reader, texts[:_TIMED_TEXTS])
        made[name] = {"kinds": reader.kinds, "found": found, "texts_per_second": speed}
    out.write_text(json.dumps(made), encoding="utf-8")


if __name__ == "__main__":
    main()
