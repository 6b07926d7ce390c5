"""What the model that reads spans sees of a token: the words around it, and how they are written."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.label_errors.kept_arrays import hashed
from pipeline.label_errors.span_tokens import Tokens, folded_word
from pipeline.sorted_places import places_of

Ints = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.int32]

_BITS = 22
"""Of a feature's hash: with some 100,000 features, one in forty shares its weights with another."""
_LEAST_COUNT = 2
"""A feature that a single token has says nothing about others."""
_MOST_WEIGHTS = 2**24
_AROUND = 3
_MIX = np.uint64(0x9E3779B97F4A7C15)
_RUN = re.compile(r"(.)\1+")
_DIGIT = re.compile(r"\d")
_ABSENT = -1


@dataclass(frozen=True)
class FeatureColumns:
    """Which features are used, and where their weights are."""

    places: npt.NDArray[np.int32]
    """By hash; negative for a feature that is not used."""
    used: Hashes
    """Their hashes, by place."""

    @classmethod
    def of(cls, hashes: Hashes, states: int) -> "FeatureColumns":
        """Those that occur more than once, and no more than there is memory for."""
        counts = np.bincount(hashes.ravel(), minlength=2**_BITS)
        most = max(_MOST_WEIGHTS // states, 1)
        least = _LEAST_COUNT
        if (counts >= least).sum() > most:
            least = int(np.partition(counts, -most)[-most]) + 1
        used = counts >= least
        places = np.where(used, np.cumsum(used) - 1, -1).astype(np.int32)
        return cls(places, np.flatnonzero(used).astype(np.int32))


@dataclass(frozen=True)
class Codes:
    """Numbers for some texts, by their hashes."""

    hashes: npt.NDArray[np.uint64]
    """Sorted."""
    codes: npt.NDArray[np.int32]


@dataclass(frozen=True)
class WordCodes:
    """Numbers for what words have in common with others: for the words, their shapes, beginnings and ends."""

    tables: Sequence[Codes]
    """For each of these."""

    @classmethod
    def of(cls, tokens: Tokens) -> "WordCodes":
        """Number what is in some texts, in the order in which it comes."""
        tables = []
        for key in _ASPECTS:
            hashes = hashed(dict.fromkeys(map(key, tokens.words)))
            order = np.argsort(hashes)
            tables.append(Codes(hashes[order], order.astype(np.int32)))
        return cls(tables)

    def of_tokens(self, tokens: Tokens, aspect: Callable[[str], str]) -> Ints:
        """The number of every token; what has none is known by its hash."""
        if not tokens.words:
            return tokens.ids
        known = self.tables[_ASPECTS.index(aspect)]
        wanted = hashed(map(aspect, tokens.words))
        places = places_of(wanted, known.hashes)
        of_word = wanted.astype(np.int64)
        of_word[places >= 0] = known.codes[places[places >= 0]]
        found: Ints = of_word[tokens.ids]
        return found


def hashed_features(tokens: Tokens, codes: WordCodes) -> Hashes:
    """The features of every token, as hashes of ``_BITS`` bits: tokens x features."""
    words = codes.of_tokens(tokens, _folded)
    shapes = codes.of_tokens(tokens, _shape)
    word = {offset: _moved(tokens, words, offset) for offset in range(-_AROUND, _AROUND + 1)}
    shape = {offset: _moved(tokens, shapes, offset) for offset in (-1, 0, 1)}
    # A value rarely begins or ends within what is written in one piece, such as an identifier.
    left, right = _moved(tokens, tokens.spaced, -1), tokens.spaced
    templates: list[tuple[Ints, ...]] = [
        *((word[offset],) for offset in word),
        *((word[offset], word[offset + 1]) for offset in (-2, -1, 0, 1)),
        (shape[0],),
        (left, right),
        (left, shape[-1], shape[0]),
        (right, shape[0], shape[1]),
        (shape[0], word[-1]),
        (shape[0], word[1]),
        (codes.of_tokens(tokens, _beginning),),
        (codes.of_tokens(tokens, _end),),
        (np.zeros_like(words),),
    ]
    return np.column_stack([_hashes(number, template) for number, template in enumerate(templates)])


def _moved(tokens: Tokens, codes: Ints, offset: int) -> Ints:
    """For every token, the code of the one so many places behind it in its text."""
    at = np.arange(len(codes)) + offset
    row = tokens.rows
    inside = (at >= 0) & (at < len(codes))
    inside[inside] = row[at[inside]] == row[inside]
    found = np.full(len(codes), _ABSENT, dtype=np.int64)
    found[inside] = codes[at[inside]]
    return found


def _hashes(number: int, codes: Sequence[Ints]) -> Hashes:
    mixed: npt.NDArray[np.uint64] = np.full(len(codes[0]), (number + 1) * 0x51_7C_C1, dtype=np.uint64)
    for code in codes:
        mixed = (mixed ^ code.astype(np.uint64)) * _MIX
        mixed ^= mixed >> np.uint64(29)
    mixed *= _MIX
    return (mixed >> np.uint64(64 - _BITS)).astype(np.int32)


def _folded(word: str) -> str:
    """Without case and width, and without the digits of longer numbers: which ones they are says nothing of others."""
    folded = folded_word(word)
    return _DIGIT.sub("9", folded) if len(_DIGIT.findall(folded)) > 1 else folded


def _beginning(word: str) -> str:
    return _folded(word)[:3]


def _end(word: str) -> str:
    return _folded(word)[-3:]


def _shape(word: str) -> str:
    """Capitals, letters, digits and signs; of short numbers also how many digits they have."""
    kinds = "".join(
        "X" if sign.isupper() else "x" if sign.isalpha() else "9" if sign.isdigit() else sign for sign in word
    )
    return f"{len(word)} digits" if word.isdigit() and len(word) <= 4 else _RUN.sub(r"\1", kinds)


_ASPECTS = (_folded, _shape, _beginning, _end)
