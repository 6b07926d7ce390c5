"""Short texts spelled alike: of them, a single damaged or moved word leaves few word n-grams in common.

They are written as their letters, a word each, so that the search for similar texts compares n-grams of letters. What
it proposes is then compared word by word.
"""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pipeline.similarity.pairs import Pairs, verify
from pipeline.similarity.signatures import SPELLING, Scheme
from pipeline.similarity.text_columns import Rows, Texts
from pipeline.text.meaning_guards import same_negations
from pipeline.text.words import words

_LONGEST = 24
"""Words; in longer texts, a damaged word leaves enough word n-grams in common."""
_MOST_CHARACTERS = 500
"""Longer texts are not even divided into words."""
_BETWEEN = "\N{LATIN LETTER SINOLOGICAL DOT}"
"""Stands between two words. A letter, so that it belongs to n-grams, of no language."""
_TWO_EDITS = 6
"""Letters of a word from which two edits are a typing error; in a shorter one, of three letters or more, one is."""
_SURE = 6
"""Letters of a word that one edit after the first letter hardly ever makes another word: not Iran, Jan or lend."""
_ADDED = 0.2
"""A word that one text has more may have this share of its letters."""
_ASCII_WORD, _DIGITS = re.compile("[a-z0-9]+"), re.compile(r"\d+")


def spelled(texts: Iterable[str]) -> list[str]:
    """Short texts as their letters; "" for a longer one."""
    return [" ".join(_BETWEEN.join(_short_words(text) or ())) for text in texts]


def may_mean_the_same(one: str, other: str) -> bool:
    """Whether two texts are long, or copies but for typing errors or a small word: in a short one a word decides."""
    own, others = _short_words(one), _short_words(other)
    if own is None or others is None:
        return True
    return Spelling(own).is_copy_of(Spelling(others)) and same_negations(one.lower(), other.lower())


def _short_words(text: str) -> list[str] | None:
    """The folded words of a short text; None for a longer one."""
    if len(text) > _MOST_CHARACTERS:
        return None
    # The same, in a tenth of the time.
    found = _ASCII_WORD.findall(text.lower()) if text.isascii() else words(text)
    return found if len(found) <= _LONGEST else None


def spelling_pairs(texts: Texts, left: Rows, right: Rows) -> Pairs:
    """Which pairs of spelled texts are spelled alike: a similarity of 1, else 0."""
    pairs = verify(texts, left, right)
    near = np.flatnonzero(pairs.similarity >= Scheme.of(SPELLING, 1).threshold)
    rows = np.unique(np.concatenate([left[near], right[near]])).tolist()
    own = {row: Spelling(texts.asked[row].as_py().decode().replace(" ", "").split(_BETWEEN)) for row in rows}
    found = np.zeros(len(left))
    found[near] = [own[one].is_like(own[other]) for one, other in zip(left[near], right[near], strict=True)]
    return Pairs(left, right, found, pairs.answers)


@dataclass(frozen=True)
class Spelling:
    """The folded words of a text."""

    words: list[str]

    def is_copy_of(self, other: "Spelling") -> bool:
        """Whether they are alike with their words in the same order, and no typing error that may be another word."""
        kept = [word for word in self.words if word in other._counts]
        return kept == [word for word in other.words if word in self._counts] and self.is_like(other, sure=True)

    def is_like(self, other: "Spelling", *, sure: bool = False) -> bool:
        """Whether two texts have the same numbers, and the same words in any order, but for typing errors, where words
        are divided, and one word that either has more.

        Args:
            other: the other text.
            sure: typing errors only that hardly ever make another word.
        """
        if self._numbers != other._numbers:
            return False
        if self._letters == other._letters:
            return True
        fewer, more = list((self._counts - other._counts).elements()), list((other._counts - self._counts).elements())
        if "".join(fewer) == "".join(more):
            return True
        if len(fewer) > len(more):
            fewer, more = more, fewer
        for word in fewer:
            if (meant := _meant(word, more)) is None or (sure and not _is_sure(word, meant)):
                return False
            more.remove(meant)
        return not more or (len(more) == 1 and len(more[0]) <= _ADDED * max(len(self._letters), len(other._letters)))

    @cached_property
    def _letters(self) -> str:
        return "".join(self.words)

    @cached_property
    def _counts(self) -> Counter[str]:
        return Counter(self.words)

    @cached_property
    def _numbers(self) -> list[str]:
        return sorted(_DIGITS.findall(" ".join(self.words)))


def _is_sure(word: str, other: str) -> bool:
    """Whether of two words, an edit or two from each other, one is surely a misspelling of the other."""
    from rapidfuzz.distance import OSA

    is_long = min(len(word), len(other)) >= _SURE
    return is_long and word[0] == other[0] and OSA.distance(word, other) == 1


def _meant(word: str, others: Iterable[str]) -> str | None:
    """The nearest of some words that it is a misspelling of, or the other way round."""
    from rapidfuzz.distance import OSA
    from rapidfuzz.process import extractOne

    edits = 2 if len(word) >= _TWO_EDITS else 1 if len(word) > 2 else 0
    nearest = extractOne(word, others, scorer=OSA.distance, score_cutoff=edits)
    return nearest[0] if nearest else None
