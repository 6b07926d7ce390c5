"""What the rules about rewritten texts compare: a text's words, numbers, names, links, negations and its end."""

import functools
import itertools
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

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
_LETTER = rf"[^\W\d_{_UNSPACED}]"
# Most words are plain letters, and most of the rest is spaces: they come first, as they take the least time.
_TOKEN = re.compile(
    rf"[A-Za-z]+{_LETTER}*(?:['\u2019]{_LETTER}+)*"
    rf"|(?! )(?:{_LETTER}+(?:['\u2019]{_LETTER}+)*"
    rf"|(?:(?<![^\s{re.escape(_BEFORE_A_SIGN)}])[{_MINUS}][{_CURRENCIES}]?)?\d+(?:[.,]\d+)*"
    rf"|[{_UNSPACED}]|[{re.escape(_ENDS + _OPENING)}])"
)
_BRACKETS = ("()", "[]", "{}", "\xab\xbb", "\u300c\u300d")
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
_MOST_KNOWN = 2**18
Known = TypeVar("Known")


# What a token is, one bit each; a plain word is none of it.
_CAPITALIZED, _NUMBER, _NEGATES, _NUMBER_WORD, _SENTENCE = 1, 2, 4, 8, 16
"""The last one is a sign after which a capital letter says nothing."""
_NOTED = re.compile(f"[^\0\\x{_SENTENCE:02x}]".encode())


@dataclass(eq=False)
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

    @functools.cached_property
    def joined(self) -> str:
        """All words without spaces."""
        return "".join(self.words)


def read(text: str) -> Marks:
    """Find in a text what the rules compare."""
    text = text.strip()
    links: set[str] = set()
    plain = text
    if _may_be_link(text):
        parts = text.split()
        addresses = {part: link for part in parts if _may_be_link(part) and (link := _link(part))}
        if addresses:
            links = set(addresses.values())
            plain = " ".join(part for part in parts if part not in addresses)
    written = _TOKEN.findall(plain)
    # Most tokens are plain words: a loop over all of them in Python would take most of the time.
    folds = list(map(_FOLDS.__getitem__, written))
    sorts = bytes(map(_SORTS.__getitem__, written))
    words = list(filter(None, folds)) if _SENTENCE in sorts else folds
    names: dict[str, str] = {}
    numbers: dict[str, str] = {}
    values: set[str] = set()
    negating: list[str] = []
    for noted in _NOTED.finditer(sorts):
        at = noted.start()
        sort, fold = sorts[at], folds[at]
        if sort & _CAPITALIZED and at and sorts[at - 1] != _SENTENCE:
            names[fold] = written[at]
        if sort & _NUMBER:
            numbers[fold] = written[at]
            values.add(fold)
        if sort & _NUMBER_WORD:
            values.add(_VALUES[fold])
        if sort & _NEGATES:
            negating.append(fold)
    seen = set(words)
    if not plain.isascii():
        negating = _negations_of(plain)
        if _UNSPACED_RUN.search(plain):
            seen.update(one + other for one, other in itertools.pairwise(words) if len(one) == len(other) == 1)
    return Marks(text, words, seen, names, numbers, values, not _SAYS_LESS.isdisjoint(seen), links, negating)


def _may_be_link(text: str) -> bool:
    return "@" in text or "://" in text or "www." in text


def _link(part: str) -> str:
    """The address that a part of a text without spaces is; "" if it is none."""
    bare = part.strip("()[]{}<>.,;:!?\"'*_`\xab\xbb\u201c\u201d\u201e")
    if "://" in bare or bare.startswith("www."):
        return bare
    name, at, host = bare.partition("@")
    return bare if name and at and "." in host else ""


@functools.lru_cache(maxsize=2**10)
def _token(written: str) -> tuple[str, int]:
    """A token as it is compared, and what it is, judged by itself; a sign is compared with nothing."""
    # A minus is also a sign before a sentence, so that numbers come first.
    if written[-1].isdecimal():
        return number_value(written), _NUMBER
    if written[0] in _SIGNS:
        return "", _SENTENCE
    bare = _OWNED.sub("", written)
    fold = (bare.lower() if bare.isascii() else folded([bare])[0]) or written
    # A single capital letter is an initial, a variable or the English I; the same goes for I'm.
    capital = written[0].isupper() and len(fold) > 1 and written[1] not in "'\u2019"
    negates = len(written) <= _LONGEST_WORD and bool(negations(written.lower().replace("\u2019", "'")))
    return fold, _CAPITALIZED * capital | _NEGATES * negates | _NUMBER_WORD * (fold in _VALUES)


class _Known(dict[str, Known]):
    """What is known of each word, found out when it is first asked for."""

    def __init__(self, find: Callable[[str], Known]) -> None:
        super().__init__()
        self._find = find

    def __missing__(self, written: str) -> Known:
        found = self._find(written)
        if len(written) <= _LONGEST_WORD:
            if len(self) >= _MOST_KNOWN:
                self.clear()
            self[written] = found
        return found


_FOLDS = _Known(lambda written: _token(written)[0])
_SORTS = _Known(lambda written: _token(written)[1])
_NEGATIONS = _Known(negations)


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


def _negations_of(text: str) -> list[str]:
    words = text.lower().replace("\u2019", "'").split()
    return list(itertools.chain.from_iterable(map(_NEGATIONS.__getitem__, words)))


def ends_closed(text: str) -> bool:
    """Whether a text ends as a sentence does, quotes and brackets after it left out."""
    return text.rstrip(_CLOSING + " ")[-1:] in tuple(_ENDS)


def left_open(text: str) -> str:
    """The bracket or quote that a text opens and does not close; "" if there is none."""
    for pair in _BRACKETS:
        if text.count(pair[0]) > text.count(pair[1]):
            return pair[0]
    # German closes with the sign that English opens with.
    if "\u201c" in text:
        low = text.count("\u201e")
        if low + text.count("\u201d") < text.count("\u201c") - low:
            return "\u201c"
    return '"' if text.count('"') % 2 else ""
