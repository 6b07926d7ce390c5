"""How much of an answer its original explains: by the words that both have, or by words that go together elsewhere."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pipeline.label_errors.rarity import Bools, Floats, Groups, Ints, counted, quantile
from pipeline.label_errors.rewrite_columns import Bags, Columns

_SHARED = 0.5
"""Where the usual answer shares so much of itself with its original, shared words are enough."""
_LEARNING_ROWS = 20_000
_LEARNING_WORDS = 24
"""Of a text, its rarest words that other rows have, too: pairs of words grow with the square of their number."""
_LEAST_ROWS = 30
_LEAST_TELLING = 2
"""Where it is learned which words go together, a single word is often an exception."""
_PAIRS_AT_ONCE = 1_000_000


@dataclass(frozen=True, slots=True)
class Match:
    """How well every answer matches its own original, and one that has nothing to do with it: 0 to 1."""

    own: Floats
    """NaN where the answer has no words that say anything."""
    stranger: Floats
    """NaN where the row before is a copy."""
    known: Bools
    """Whether there are enough words for a judgment about the whole answer."""
    learned: bool
    """Whether it was learned which words go together, as between languages."""


def match(columns: Columns) -> Match:
    """Compare every answer with its original, and with that of the row before."""
    weights = word_weights(columns)
    own, stranger = columns.own.astype(np.float64), columns.stranger.astype(np.float64)
    matched = _share(columns.answers, weights, own)
    known = np.isfinite(matched)
    learned = bool(known.sum() >= _LEAST_ROWS and quantile(matched, columns.groups.weights * known, 0.5) < _SHARED)
    if learned:
        pairs = _Pairs.learn(columns)
        own, stranger = np.maximum(own, pairs.explained(0)), np.maximum(stranger, pairs.explained(1))
        # A word that no other answer has says nothing, unless the original has it.
        telling = np.zeros(len(weights), dtype=np.bool_)
        telling[pairs.answers.places] = True
        matched = _share(columns.answers, np.where(telling | (own > 0), weights, 0), own)
        strangers = _share(columns.answers, np.where(telling | (stranger > 0), weights, 0), stranger)
        known = columns.answers.sums((telling | (own > 0)).astype(np.float64)) >= _LEAST_TELLING
    else:
        strangers = _share(columns.answers, weights, stranger)
    return Match(matched, np.where(columns.has_stranger, strangers, np.nan), known & np.isfinite(matched), learned)


def _share(answers: Bags, weights: Floats, explained: Floats) -> Floats:
    """Of every answer: how much of the weight of its words is explained; NaN if none has weight."""
    total = answers.sums(weights)
    return np.where(total > 0, answers.sums(weights * explained) / np.where(total > 0, total, 1.0), np.nan)


def share_in_original(columns: Columns, weights: Floats) -> Floats:
    """Of every answer: how much of the weight of its words is that of words of its original; NaN without weight."""
    return _share(columns.answers, weights, columns.own.astype(np.float64))


def word_weights(columns: Columns) -> Floats:
    """Of every word of an answer: the rarer it is in the set, the more it tells what the answer is about."""
    rows = columns.groups.weights.sum()
    weights: Floats = np.log((rows + 1) / (columns.answer_counts + 0.5))[columns.answers.words]
    return weights


@dataclass(frozen=True, slots=True)
class _Side:
    """The telling words of all originals or all answers."""

    bags: Bags
    places: Ints
    """Where each of them is among all words."""
    counts: Floats
    """In how many of the rows that were learned from each word is."""


@dataclass(frozen=True, slots=True)
class _Pairs:
    """Which words of originals and answers occur together in the rows that were learned from, and how often."""

    size: int
    keys: Ints
    """A word of an original times ``size`` plus a word of an answer, ascending."""
    counts: Floats
    originals: _Side
    answers: _Side
    rows: int
    taught: Bools
    """Of every row: whether its group was learned from, so that its own words must be left out."""
    words: int

    @classmethod
    def learn(cls, columns: Columns) -> "_Pairs":
        """Learn from one row of every group, at most ``_LEARNING_ROWS``."""
        size = len(columns.vocabulary)
        _, first = np.unique(columns.groups.codes, return_index=True)
        teachers = np.sort(first)[:_LEARNING_ROWS]
        originals, answers = (
            _telling(bags, columns.groups, teachers, size) for bags in (columns.originals, columns.answers)
        )
        # With a last key that no pair has, so that every search ends at a key.
        found = [(np.array([size * size]), np.array([0]))]
        found += [
            np.unique(originals.bags.words[left] * size + answers.bags.words[right], return_counts=True)
            for left, right in _crossed(originals.bags, answers.bags, teachers, 0)
        ]
        keys, inverse = np.unique(np.concatenate([keys for keys, _ in found]), return_inverse=True)
        counts = counted(inverse, np.concatenate([counts for _, counts in found]).astype(np.float64), 0)
        taught = np.isin(columns.groups.codes, columns.groups.codes[teachers])
        return cls(size, keys, counts, originals, answers, len(teachers), taught, len(columns.answers.words))

    def explained(self, back: int) -> Floats:
        """Of every word of an answer: how much of its rarity a word of the original so many rows before explains."""
        found = np.zeros(self.words)
        every, rows = np.arange(back, len(self.taught)), self.answers.bags.rows
        for left, right in _crossed(self.originals.bags, self.answers.bags, every, back):
            # A row must not learn from itself what it is judged by.
            own = self.taught[rows[right]] & (back == 0)
            explained = self._explained(self.originals.bags.words[left], self.answers.bags.words[right], own)
            starts = np.flatnonzero(np.r_[True, right[1:] != right[:-1]])
            found[self.answers.places[right[starts]]] = np.maximum.reduceat(explained, starts)
        return found

    def _explained(self, left: Ints, right: Ints, own: Bools) -> Floats:
        """The logarithm of how much likelier the right word is beside the left one, of how much likelier it can be."""
        keys = left * self.size + right
        at = np.searchsorted(self.keys, keys)
        together = np.maximum(np.where(self.keys[at] == keys, self.counts[at], 0) - own, 0)
        usual = (np.maximum(self.answers.counts[right] - own, 0) + 0.5) / (self.rows + 1)
        beside = (together + 2 * usual) / (np.maximum(self.originals.counts[left] - own, 0) + 2)
        explained: Floats = np.clip(np.log(beside / usual) / -np.log(usual), 0.0, 1.0)
        return explained


def _telling(bags: Bags, groups: Groups, teachers: Ints, size: int) -> _Side:
    """The rarest words of every text that more than one row has."""
    spread = counted(bags.words, groups.weights[bags.rows], size)
    places = np.flatnonzero(spread[bags.words] > 1.5)
    rows = bags.rows[places]
    order = np.lexsort((places, spread[bags.words[places]], rows))
    rank = np.arange(len(rows)) - np.searchsorted(rows, rows)
    places = np.sort(places[order[rank < _LEARNING_WORDS]])
    rows = bags.rows[places]
    starts = np.searchsorted(rows, np.arange(len(bags.starts)))
    taught = np.zeros(len(bags.starts) - 1, dtype=np.bool_)
    taught[teachers] = True
    counts = counted(bags.words[places], taught[rows].astype(np.float64), size)
    return _Side(Bags(bags.words[places], starts), places, counts)


def _crossed(originals: Bags, answers: Bags, rows: Ints, back: int) -> Iterator[tuple[Ints, Ints]]:
    """Every word of an answer with every word of the original so many rows before, as places in the two bags."""
    right = np.flatnonzero(np.isin(answers.rows, rows))
    row = answers.rows[right] - back
    many = originals.sizes[row]
    right, row, many = right[many > 0], row[many > 0], many[many > 0]
    ends = np.cumsum(many)
    cuts = np.unique(np.searchsorted(ends, np.arange(0, ends.max(initial=0), _PAIRS_AT_ONCE)))
    for from_, to in itertools.pairwise([*cuts.tolist(), len(right)]):
        size = many[from_:to]
        inner = np.arange(size.sum()) - np.repeat(np.cumsum(size) - size, size)
        yield np.repeat(originals.starts[row[from_:to]], size) + inner, np.repeat(right[from_:to], size)
