"""The form in which two people's wordings of the same sentence are equal: case, whitespace and punctuation left out.

Letters, numbers, negations and signs count. In doubt a mark counts, as a minus, a decimal point or an apostrophe within
a word: then two texts are different, which costs a question more.
"""

import re
import unicodedata
from collections.abc import Hashable

from pipeline.text.meaning_guards import negations, signs

_APOSTROPHES = str.maketrans("\N{RIGHT SINGLE QUOTATION MARK}\N{MODIFIER LETTER APOSTROPHE}\N{ACUTE ACCENT}`", "''''")
_SIGNS = frozenset("#%&*/@\\_§‰†‡")
"""Punctuation to Unicode that says something: 50%, C#, and/or."""
_QUOTES = ("Pi", "Pf")
_AFTER_NUMBER = frozenset(".,;:?…。、")
"""What ends a sentence after a number, and is no part of it; a quote may be feet or inches."""
_SPACE = re.compile(r"(?<!\d) | (?!\d)")
"""All but between two numbers: every day is everyday, but 1 5 is not 15."""


def wording(text: str) -> Hashable:
    """The same for texts that differ only in case, whitespace and punctuation."""
    folded = unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold()).translate(_APOSTROPHES)
    bare = "".join(" " if _is_loose(folded, at) else character for at, character in enumerate(folded))
    # Without spaces, not able would be notable.
    return _SPACE.sub("", " ".join(bare.split())), tuple(negations(folded)), tuple(signs(folded))


def _is_loose(text: str, at: int) -> bool:
    """Whether a character is punctuation that says nothing."""
    mark, before, after = text[at], text[at - 1 : at], text[at + 1 : at + 2]
    kind = unicodedata.category(mark)
    if kind[0] != "P" or mark in _SIGNS:
        return False
    if mark == "'" and before.isalpha() and after.isalpha():
        return False
    if _is_number(after):
        return (mark in "\"'" or kind in _QUOTES) and not _is_number(before)
    if kind == "Pd" and _is_number(text[at + 1 : at + 3].strip()):
        return False
    return not _is_number(before) or mark in _AFTER_NUMBER or kind == "Pe"


def _is_number(text: str) -> bool:
    return unicodedata.category(text[0])[0] == "N" if text else False
