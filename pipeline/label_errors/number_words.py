"""Numbers in words: text2num for European languages, kanjize for Chinese and Japanese numerals."""

import re
from collections.abc import Set
from decimal import Decimal

from pipeline.label_errors.likely_languages import likely_languages

_REACH = 8
"""Words around a number that may belong to it: "the first day of the month of July, 2026"."""


def spelled_out(text: str) -> list[str]:
    """What is said in number words, with these in digits, once for each language that the text may be in."""
    from text_to_num import alpha2digit

    # text2num reads the Spanish veintiuno only in full.
    whole = text.replace("veintiún", "veintiuno")
    known = set(whole.split(" "))
    spelled = (alpha2digit(whole, language, threshold=-1) for language in likely_languages(text))
    return [_around_new_words(text, known) for text in spelled if text != whole]


def _around_new_words(text: str, known: Set[str]) -> str:
    """The parts of a text around the words that are not among the known ones; most of a text says no numbers."""
    tokens = text.split(" ")
    new = (at for at, token in enumerate(tokens) if token not in known)
    near = {at for center in new for at in range(center - _REACH, center + _REACH + 1)}
    return _GAP.sub(" ; ", " ".join(token if at in near else "" for at, token in enumerate(tokens)))


_GAP = re.compile(" {2,}")
_FORMAL_DIGITS = "壱弐参拾"
_NUMERALS = f"〇零一二三四五六七八九十百千万億兆{_FORMAL_DIGITS}"
_VARIANT_NUMERALS = "壹貳參萬亿佰仟两"
_VARIANTS = str.maketrans(_VARIANT_NUMERALS, "壱弐参万億百千二")
_KOREAN_NUMERALS = "천만억조"
_NUMERAL = re.compile(f"[{_NUMERALS}]")
_ANY_NUMERAL = re.compile(f"[{_NUMERALS}{_VARIANT_NUMERALS}{_KOREAN_NUMERALS}]")
_NUMBER = re.compile(rf"(?:\d[\d,]*+(?:\.\d+)?+|[{_NUMERALS}]){{1,40}}+")
_ONE_UNIT = re.compile(rf"(?<![\d.,{_NUMERALS}])(\d[\d,]*(?:\.\d+)?)[万億兆](?![\d{_NUMERALS}])")
_UNITS = {"千": 10**3, "万": 10**4, "億": 10**8, "兆": 10**12}
_DECIMAL = re.compile(r"(\d+\.\d+)([千万億兆])")
_KOREAN_NUMBER = re.compile(rf"\d[\d,.]*[{_KOREAN_NUMERALS}]+(?: ?\d[\d,.]*[{_KOREAN_NUMERALS}]+)*+")
_KOREAN_UNITS = str.maketrans(_KOREAN_NUMERALS, "千万億兆", " ")


def numerals_in_digits(folded: str) -> str:
    """三億5,000万 becomes 350000000, and 二〇二六 becomes 2026."""
    if folded.isascii() or not _ANY_NUMERAL.search(folded):
        return folded
    chinese = _KOREAN_NUMBER.sub(lambda number: number.group().translate(_KOREAN_UNITS), folded)
    return _NUMBER.sub(_in_digits, chinese.translate(_VARIANTS))


def counts_of_units(folded: str) -> list[str]:
    """The 3.5 of 3.5億円: an amount may be given in the unit that is written after it."""
    return [] if folded.isascii() else [number.replace(",", "") for number in _ONE_UNIT.findall(folded)]


def _in_digits(match: re.Match[str]) -> str:
    number = match.group()
    # 参加: a formal digit by itself is part of a word.
    if not _NUMERAL.search(number) or number in _FORMAL_DIGITS:
        return number
    digits = _DECIMAL.sub(_whole, number.replace(",", ""))
    if not _NUMERAL.search(digits):
        return digits
    from kanjize import kanji2number

    try:
        return str(kanji2number(digits))
    except ValueError:
        # 万一 is a word, and 十百 breaks the rules of the language.
        return number


def _whole(match: re.Match[str]) -> str:
    """The 3230000000 of 32.3億: kanjize would multiply floats, and lose one."""
    return f"{Decimal(match[1]) * _UNITS[match[2]]:f}".rstrip("0").rstrip(".")
