"""What the rules about rewritten texts compare: a text's words, numbers, names, links, negations and its end."""

import functools
import itertools
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

from pipeline.text.meaning_guards import negations
from pipeline.text.words import folded

_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
"""Scripts without spaces: every character is a word."""
_ENDS = ".!?\u2026\u3002\uff01\uff1f\u0964\u061f\u06d4"
_CLOSING = "\"')]}\xbb\u201d\u2019\u300d\u300f*_`"
_OPENING = '"([{\xab\xbf\xa1\u201c\u201e\u2018\u300c\u300e:;\n-\u2013\u2014/|#>*'
_MINUS = "-\u2212\u2013"
_CURRENCIES = "$\u20ac\xa3\xa5"
_BEFORE_A_SIGN = "([{\"'*_=:/\xab\u201c\u201e\u2018"
_UNSPACED_RUN = re.compile(f"[{_UNSPACED}]{{2}}")
_TOKEN = re.compile(
    rf"(?:(?<![^\s{re.escape(_BEFORE_A_SIGN)}])[{_MINUS}][{_CURRENCIES}]?)?\d+(?:[.,]\d+)*"
    rf"|[{_UNSPACED}]|(?:(?![{_UNSPACED}])[^\W\d_])+(?:['\u2019](?:(?![{_UNSPACED}])[^\W\d_])+)*"
    rf"|[{re.escape(_ENDS + _OPENING)}]"
)
_PAIRED = frozenset('()[]{}\xab\xbb\u300c\u300d\u201c\u201d\u201e"')
_SIGNS = frozenset(_ENDS + _OPENING)
_OWNED = re.compile(r"['\u2019]s?$")
_COUNTED = "zero one two three four five six seven eight nine ten eleven twelve"
_VALUES = {word: str(value) for value, word in enumerate(_COUNTED.split())}
_LESS = """
minus negative below under down less lower loss lost lose fell fall falls fallen falling drop drops dropped decline
declined declines decrease decreased decreases reduced shrank shrunk owe owes owed debt deficit freezing frost
negativ negativen unter weniger verlust gefallen gesunken sank moins negatif negatifs sous baisse perte menos
negativo negativa bajo abaixo perdida meno sotto perdita onder daling
"""
_SAYS_LESS = frozenset(_LESS.split())
"""What says of a number that it is below zero, or by how much something became less."""
_LONGEST_NUMBER = 40
_LONGEST_WORD = 60
"""Longer runs of letters do not occur again, so they are not remembered."""


class Sort(IntEnum):
    """What a token is."""

    WORD = 0
    CAPITALIZED = 1
    NUMBER = 2
    SENTENCE = 3
    """A sign after which a capital letter says nothing."""


@dataclass(frozen=True, slots=True)
class Token:
    """A token as it is compared."""

    sort: Sort
    folded: str
    negates: bool = False
    value: str = ""
    """The number that it writes, as a sign or as an English word."""


@dataclass(slots=True)
class Marks:
    """What is compared of one text."""

    text: str
    """Without blank space around it."""
    words: list[str]
    """All words and numbers, folded, in their order."""
    seen: set[str]
    """The same as a set; in scripts without spaces, also each two neighboring characters."""
    names: dict[str, str]
    """Words with a capital letter inside a sentence, folded, each as it is written."""
    numbers: dict[str, str]
    """Numbers in digits, each as it is written."""
    values: set[str]
    """Numbers in digits or as words."""
    says_less: bool
    """Whether its words may stand for a minus."""
    links: set[str]
    """Addresses of pages and mailboxes."""
    negations: list[str]


def read(text: str) -> Marks:
    """Find in a text what the rules compare."""
    text = text.strip()
    links: set[str] = set()
    plain = text
    if "@" in text or "://" in text or "www." in text:
        parts = text.split()
        links = {link for part in parts if (link := _link(part))}
        plain = " ".join(part for part in parts if not _link(part)) if links else text
    found: list[str] = []
    names: dict[str, str] = {}
    numbers: dict[str, str] = {}
    values: set[str] = set()
    negating: list[str] = []
    starts = True
    for written in _TOKEN.findall(plain):
        token = known_token(written) if len(written) <= _LONGEST_WORD else token_of(written)
        sort = token.sort
        if sort is _SENTENCE:
            starts = True
            continue
        found.append(token.folded)
        if sort is _CAPITALIZED and not starts:
            names[token.folded] = written
        elif sort is _NUMBER:
            numbers[token.value] = written
        if token.value:
            values.add(token.value)
        if token.negates:
            negating.append(token.folded)
        starts = False
    seen = set(found)
    if not plain.isascii():
        negating = list(_negations_of(plain))
        if _UNSPACED_RUN.search(plain):
            seen.update(one + other for one, other in itertools.pairwise(found) if len(one) == len(other) == 1)
    return Marks(text, found, seen, names, numbers, values, not _SAYS_LESS.isdisjoint(seen), links, negating)


_SENTENCE, _CAPITALIZED, _NUMBER = Sort.SENTENCE, Sort.CAPITALIZED, Sort.NUMBER


def _link(part: str) -> str:
    """The address that a part of a text without spaces is; "" if it is none."""
    bare = part.strip("()[]{}<>.,;:!?\"'*_`\xab\xbb\u201c\u201d\u201e")
    if "://" in bare or bare.startswith("www."):
        return bare
    name, at, host = bare.partition("@")
    return bare if name and at and "." in host else ""


def token_of(written: str) -> Token:
    """A token, judged by itself."""
    # A minus is also a sign before a sentence, so that numbers come first.
    if written[-1].isdecimal():
        value = number_value(written)
        return Token(_NUMBER, value, value=value)
    if written[0] in _SIGNS:
        return Token(_SENTENCE, "")
    fold = folded([_OWNED.sub("", written)])[0] or written
    # A single capital letter is an initial, a variable or the English I; the same goes for I'm.
    capital = written[0].isupper() and len(fold) > 1 and written[1] not in "'\u2019"
    negates = len(written) <= _LONGEST_WORD and bool(negations(written.lower().replace("\u2019", "'")))
    return Token(_CAPITALIZED if capital else Sort.WORD, fold, negates, _VALUES.get(fold, ""))


known_token = functools.lru_cache(maxsize=2**18)(token_of)


def number_value(written: str) -> str:
    """A number without separators of thousands and what is written for looks, in western digits.

    1,000 and 1.000 are the same, and so are 1.5 and 1,50, but not 15. Numbers with several points, such as dates and
    versions, are digits only; a version 3.10 is the same as 3.1.
    """
    marks = [sign for sign in written if sign in ".,"]
    plain = "".join(str(int(sign)) if sign.isdecimal() else "." for sign in written.lstrip(_MINUS + _CURRENCIES))
    whole, _, fraction = plain.rpartition(".") if marks else (plain, "", "")
    if len(marks) == 1:
        is_decimal = len(fraction) != 3 or whole == "0"
    else:
        is_decimal = len(set(marks)) == 2 and marks[-1] != marks[-2]
    if not is_decimal:
        whole, fraction = plain, ""
    digits = whole.replace(".", "").lstrip("0")[:_LONGEST_NUMBER] or "0"
    fraction = fraction.rstrip("0")[:_LONGEST_NUMBER]
    return f"{'' if written[0].isdecimal() else '-'}{digits}{'.' if fraction else ''}{fraction}"


@functools.lru_cache(maxsize=2**16)
def _known_negations(word: str) -> tuple[str, ...]:
    return tuple(negations(word))


def _negations_of(text: str) -> Iterator[str]:
    for word in text.lower().replace("\u2019", "'").split():
        yield from _known_negations(word) if len(word) <= _LONGEST_WORD else negations(word)


def ends_closed(text: str) -> bool:
    """Whether a text ends as a sentence does, quotes and brackets after it left out."""
    return text.rstrip(_CLOSING + " ")[-1:] in tuple(_ENDS)


def left_open(text: str) -> str:
    """The bracket or quote that a text opens and does not close; "" if there is none."""
    if _PAIRED.isdisjoint(text):
        return ""
    counts = Counter(text)
    for opening, closing in ("()", "[]", "{}", "\xab\xbb", "\u300c\u300d"):
        if counts[opening] > counts[closing]:
            return opening
    # German closes with the sign that English opens with.
    if counts["\u201e"] + counts["\u201d"] < counts["\u201c"] - counts["\u201e"]:
        return "\u201c"
    return '"' if counts['"'] % 2 else ""
