"""What a word is: how texts are folded and split before they are compared.

A word is a run of letters and digits, folded so that case, accents and width do not matter.
In scripts without spaces every character is a word. The compiled kernels read the same table as the
pure-Python functions here, which define what is compared and serve small numbers of texts.
"""

import functools
import unicodedata
from bisect import bisect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

SHINGLE_WORDS = 3
"""Texts are compared by their sets of word n-grams of this length."""
TABLE_SIZE = 0x40000
"""Code points above this one (private use, tags) separate words."""


class Sign(IntEnum):
    """What a character does to the words around it."""

    SEPARATOR = 0
    LETTER = 1
    """Continues the word before it; it may expand to several letters, as ß does."""
    LONE = 2
    """Is a word by itself, together with the marks that follow it: characters of scripts without spaces."""
    MARK = 3
    """Continues whatever precedes it: the vowel signs of Thai and Hindi are not letters in Unicode."""
    NOTHING = 4
    """Is skipped: accents, soft hyphens, the optional vowel points of Arabic and Hebrew."""


SIGN_SHIFT = 24
_UNSPACED = (
    *((0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF)),  # Thai and Lao, Burmese, Khmer
    *((0x3005, 0x3007), (0x3040, 0x30FF), (0x31F0, 0x31FF)),  # Japanese
    *((0x3400, 0x9FFF), (0xF900, 0xFAFF), (0xFF66, 0xFF9D), (0x20000, 0x3FFFF)),  # Chinese characters, narrow kana
)
"""Ranges of scripts without spaces."""
_AS_THEY_ARE = (
    *((0x3400, 0x4DBF), (0x4E00, 0x9FFF)),  # ideographs
    (0xAC00, 0xD7A3),  # Korean syllables
    *((0x20000, 0x2F7FF), (0x2FA20, 0x3FFFD)),  # ideographs
)
"""Ranges of characters that are all of one kind and fold to themselves; most characters are among them."""
_ACCENTS = (0x0300, 0x036F)
"""The marks of Latin, Greek and Cyrillic. Greek capitals drop them, and careless writers drop them anywhere."""
_BETWEEN = "\0"
_BARE = {0x0131: "i"} | dict.fromkeys(range(_ACCENTS[0], _ACCENTS[1] + 1))
_NARROW_VOICE_MARKS = (0xFF9E, 0xFF9F)
"""For narrow kana; they follow as separate characters."""
_KANA = {code: unicodedata.normalize("NFD", chr(code)) for code in range(0x3041, 0x3100)}
_PASSED_OVER = (
    _ACCENTS,
    *((0x0591, 0x05BD), (0x05BF, 0x05C7)),  # Hebrew points
    *((0x0640, 0x0640), (0x064B, 0x065F), (0x0670, 0x0670)),  # Arabic: the stretcher and the vowel points
    *((0x180B, 0x180F), (0xFE00, 0xFE0F)),  # variation selectors
)
_SPACES = frozenset("\u200b\ufeff")
"""Zero-width, but separates words."""


@dataclass(frozen=True)
class FoldTable:
    """What every code point becomes."""

    codes: npt.NDArray[np.uint32]
    """TABLE_SIZE entries: a ``Sign`` above ``SIGN_SHIFT``, and below it the offset of the folded letters."""
    letters: npt.NDArray[np.uint8]
    """The folded letters in UTF-8, each run after a byte with its length. The run at 0 is empty: the character
    stays as it is."""


def folded(characters: Sequence[str]) -> list[str]:
    """Characters in lower case, of normal width, without accents; "" if nothing is left.

    The dotless i becomes an i: judged by the letter alone, the Turkish capitals I and İ equal those of other languages.
    """
    # All at once, since the library's functions have more call overhead than work to do.
    text = unicodedata.normalize("NFKC", _BETWEEN.join(characters)).casefold()
    bare = unicodedata.normalize("NFD", text).translate(_BARE)
    # Kana are voiced by a separate mark, which accompanies narrow ones.
    return unicodedata.normalize("NFC", bare).translate(_KANA).split(_BETWEEN)


def sign(character: str) -> Sign:
    """What a character does to the words around it."""
    code = ord(character)
    category = unicodedata.category(character)
    if (category == "Cf" and character not in _SPACES) or _within(code, _PASSED_OVER):
        return Sign.NOTHING
    if category[0] in "ZPS" or code >= TABLE_SIZE:
        return Sign.SEPARATOR
    if category[0] == "M" or code in _NARROW_VOICE_MARKS:
        return Sign.MARK
    if _within(code, _UNSPACED):
        return Sign.LONE
    return Sign.LETTER if character.isalnum() else Sign.SEPARATOR


def _within(code: int, ranges: Sequence[tuple[int, int]]) -> bool:
    """Whether a code point is in one of some ascending ranges."""
    place = bisect(ranges, (code, TABLE_SIZE)) - 1
    return place >= 0 and code <= ranges[place][1]


def _letters(character: str, fold: str, kind: Sign) -> str:
    """What replaces a character within a word."""
    found = fold if kind is not Sign.LETTER or fold.isalnum() else "".join(filter(str.isalnum, fold))
    # A few signs expand to a whole phrase; the kernels' buffers have room for twice the text, separators included.
    short = len(found.encode()) <= 2 * len(character.encode())
    return found if found and short else character


@functools.cache
def fold_table() -> FoldTable:
    """The table for all code points, built once per process (a tenth of a second)."""
    codes = np.zeros(TABLE_SIZE, dtype=np.uint32)
    for first, last in _AS_THEY_ARE:
        codes[first : last + 1] = sign(chr(first)) << SIGN_SHIFT
    others = [(character, kind) for character in map(chr, _others()) if (kind := sign(character))]
    runs = bytearray([0])
    for (character, kind), fold in zip(others, folded([character for character, _ in others]), strict=True):
        codes[ord(character)] = kind << SIGN_SHIFT
        if kind is not Sign.NOTHING and fold != character and (letters := _letters(character, fold, kind)) != character:
            codes[ord(character)] |= len(runs)
            runs += bytes([len(letters.encode())]) + letters.encode()
    return FoldTable(codes, np.frombuffer(bytes(runs), dtype=np.uint8))


def _others() -> Iterator[int]:
    """The code points that need an individual look, private ones excluded."""
    start = 0
    for first, last in _AS_THEY_ARE:
        yield from (code for code in range(start, first) if not 0xD800 <= code <= 0xF8FF)
        start = last + 1


def words(text: str) -> list[str]:
    """The words of a text, folded."""
    table = fold_table()
    found: list[str] = []
    before = Sign.SEPARATOR
    for character in text:
        code = ord(character)
        entry = int(table.codes[code]) if code < TABLE_SIZE else 0
        kind, run = Sign(entry >> SIGN_SHIFT), entry & ((1 << SIGN_SHIFT) - 1)
        if kind is Sign.SEPARATOR:
            before = kind
        elif kind is not Sign.NOTHING:
            letters = bytes(table.letters[run + 1 : run + 1 + int(table.letters[run])]).decode() if run else character
            if before is Sign.SEPARATOR or kind is Sign.LONE or (kind is Sign.LETTER and before is Sign.LONE):
                found.append(letters)
            else:
                found[-1] += letters
            # A mark continues what it is attached to.
            before = kind if kind is not Sign.MARK or before is Sign.SEPARATOR else before
    return found


def shingles(found: Sequence[str]) -> set[tuple[str, ...]]:
    """The n-grams of ``SHINGLE_WORDS`` words; a shorter text is a single n-gram."""
    if not found:
        return set()
    return {tuple(found[at : at + SHINGLE_WORDS]) for at in range(max(len(found) - SHINGLE_WORDS, 0) + 1)}


def jaccard(left: str, right: str) -> float:
    """The similarity of two texts by definition, 0 to 1; a text without words is similar to nothing."""
    one, other = shingles(words(left)), shingles(words(right))
    return len(one & other) / max(len(one | other), 1)
