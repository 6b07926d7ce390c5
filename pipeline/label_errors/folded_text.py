"""Folds texts, so that case, width and whitespace do not matter where a value is looked for."""

import re
import unicodedata

_WORD = re.compile(r"[^\W_]+")
_FIXED_SPACE = re.compile(r"(?<=\d)[\u2009\u202f](?=\d{3}(?!\d))")
"""A narrow space holds digits together: unlike a plain one, it never separates two numbers."""
_SIGNS = str.maketrans("\u066b\u066c", ".,", "\u200e\u200f\u061c")
"""The separators in Arabic numbers, and marks of direction, which are invisible."""
_INNER_STOP = re.compile(r"(?<=[^\x00-\x7f\s\d])\.(?=[^\x00-\x7f\s\d])")


def folded(text: str) -> str:
    """The text without differences of case, width and whitespace."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", _FIXED_SPACE.sub("'", text).translate(_SIGNS))
    return " ".join(text.casefold().split())


def words_of(folded: str) -> str:
    """The words, separated and surrounded by single spaces, so that searches match whole words."""
    return f" {' '.join(_WORD.findall(folded))} "


def unaccented(folded: str) -> str:
    """The text without its accents."""
    return "".join(sign for sign in unicodedata.normalize("NFKD", folded) if not "\u0300" <= sign <= "\u036f")


def without_inner_stops(folded: str) -> str:
    """The text without the full stops inside abbreviations of other scripts, as of the Thai months."""
    return folded if folded.isascii() else _INNER_STOP.sub("", folded)
