"""Shows where two texts differ, word by word."""

import difflib
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from pipeline.text.words import Sign, sign, words

DIFF_CONTEXT = 12
"""Equal words shown on either side of a difference."""
_MOST_WORDS = 5_000
"""Words compared of each text; the comparison is quadratic."""
_LONGEST_WORD = 200
"""Longer strings are not words but, say, encoded files."""
_REPEATED = 20
"""At most this many times the number of different words: if a text repeats the same few, the search is cubic."""


@dataclass(frozen=True)
class Piece:
    """A stretch of text in a diff; a ``fold`` states what is left out."""

    tag: Literal["same", "form", "del", "ins", "fold"]
    text: str
    other: str = ""
    """The second text's form of words that are equal to the search."""


def word_diff(before: str, after: str) -> list[Piece]:
    """Compare two texts word by word; ``same``, ``form`` and ``del`` give the first text, ``same``, ``form`` (by
    its ``other`` text) and ``ins`` the second.

    What the search ignores is a difference in form only: case, accents, punctuation beside a word.
    """
    old, new = list(_words(before)), list(_words(after))
    one, other = ([_folded_word(word) for word in parts[:_MOST_WORDS]] for parts in (old, new))
    start = _in_common(one, other)
    compared = start + min(_MOST_WORDS, _REPEATED * len({*one[start:], *other[start:]}))
    matcher = difflib.SequenceMatcher(None, one[start:compared], other[start:compared], autojunk=False)
    pieces = list(_equal_words(old[:start], new[:start])) if start else []
    for tag, a, b, c, d in matcher.get_opcodes():
        if tag == "equal":
            pieces += _equal_words(old[start + a : start + b], new[start + c : start + d])
            continue
        if b > a:
            pieces.append(Piece("del", "".join(old[start + a : start + b])))
        if d > c:
            pieces.append(Piece("ins", "".join(new[start + c : start + d])))
    if (beyond := max(len(old), len(new)) - max(min(compared, _MOST_WORDS), start)) > 0:
        pieces.append(Piece("fold", f"{beyond:,} more words, not compared"))
    return pieces


def _in_common(one: list[str], other: list[str]) -> int:
    """How many leading words two texts share."""
    same = (a == b for a, b in zip(one, other, strict=False))
    return next((number for number, equal in enumerate(same) if not equal), min(len(one), len(other)))


def _words(text: str) -> Iterator[str]:
    """Words with the spaces before them; in scripts without spaces every character is a word, as in the search."""
    for word in re.findall(r"\s*\S+", text):
        if word.isascii():
            yield word
        else:
            yield from _characters(word)


def _characters(word: str) -> Iterator[str]:
    part, before = "", Sign.SEPARATOR
    for character in word:
        kind = sign(character)
        if kind not in (Sign.MARK, Sign.NOTHING):
            if Sign.LONE in (kind, before) and part.strip():
                yield part
                part = ""
            before = kind
        part += character
    yield part


def _folded_word(word: str) -> str:
    if len(word) > _LONGEST_WORD:
        return word.strip().casefold()
    return "".join(words(word)) or word.strip()


def _equal_words(old: list[str], new: list[str]) -> Iterator[Piece]:
    """Words that are equal to the search, one by one."""
    pairs = zip(old, new, strict=True)
    for same, run in itertools.groupby(pairs, key=lambda pair: pair[0].strip() == pair[1].strip()):
        ones, others = zip(*run, strict=True)
        for part in _ends(len(ones)):
            if isinstance(part, int):
                yield Piece("fold", f"{part} equal words")
            elif same:
                yield Piece("same", "".join(ones[part]))
            else:
                yield Piece("form", "".join(ones[part]), "".join(others[part]))


def _ends(words: int) -> tuple[slice | int, ...]:
    """Which words are shown: in a long stretch only those at both ends, with a count of the rest."""
    if words <= 3 * DIFF_CONTEXT:
        return (slice(None),)
    return slice(DIFF_CONTEXT), words - 2 * DIFF_CONTEXT, slice(words - DIFF_CONTEXT, None)
