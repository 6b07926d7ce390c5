"""Which words of originals and answers go together in a set, as those of a translation do."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.label_errors.kept_arrays import Hashes
from pipeline.label_errors.rarity import Bools, Floats, Groups, Ints, counted
from pipeline.label_errors.rewrite_columns import Bags, Columns
from pipeline.label_errors.rewrite_words import KeptWords, Singles, taken
from pipeline.sorted_places import places_of

_LEARNING_ROWS = 20_000
_LEARNING_WORDS = 24
"""Of a text, its rarest words that other rows have, too: pairs of words grow with the square of their number."""
_TWO = 1.5
"""Groups that have a word, at least: two, one of which may be a copy in part."""
_PAIRS_AT_ONCE = 1_000_000
_STEPS = 255
"""In which the share that a pair explains is kept."""


@dataclass(frozen=True, slots=True)
class Telling:
    """The telling words of all originals or all answers."""

    bags: Bags
    places: Ints
    """Where each of them is among all words."""

    @classmethod
    def of(cls, bags: Bags, spread: Floats) -> "Telling":
        """The rarest words of every text that more than one row has.

        Args:
            bags: all words of the texts.
            spread: in how many groups each of these words is.
        """
        at = np.flatnonzero(spread > _TWO)
        rows = bags.rows[at]
        order = np.lexsort((at, spread[at], rows))
        rank = np.arange(len(rows)) - np.searchsorted(rows, rows)
        at = np.sort(at[order[rank < _LEARNING_WORDS]])
        starts = np.searchsorted(bags.rows[at], np.arange(len(bags.starts)))
        return cls(Bags(bags.words[at], starts), at)


@dataclass(frozen=True, slots=True)
class Known:
    """Pairs of numbers, by their left ones."""

    starts: Ints
    """Where each one's partners begin, and at last where they end."""
    partners: npt.NDArray[np.int32]
    """Ascending."""

    @classmethod
    def of(cls, left: Ints, right: Ints, size: int) -> "Known":
        """Ascending pairs whose left numbers are below ``size``."""
        return cls(np.searchsorted(left, np.arange(size + 1)), right.astype(np.int32))

    def places(self, left: Ints, right: Ints) -> Ints:
        """Where pairs are among these; -1 if they are not."""
        from pipeline.label_errors.pair_kernels import find_pairs

        found = np.empty(len(left), dtype=np.int64)
        find_pairs(left, right, self.starts, self.partners, found)
        return found


@dataclass(frozen=True, slots=True)
class Pairs:
    """Which words of originals and answers occur together in the rows that were learned from, and how often."""

    known: Known
    counts: Floats
    """How often each of them occurs."""
    originals: Telling
    answers: Telling
    original_counts: Floats
    """In how many of the rows that were learned from a word is."""
    answer_counts: Floats
    original_spread: Floats
    """In how many groups the original has a word."""
    rows: int
    taught: Bools
    """Of every row: whether its group was learned from, so that its own words must be left out."""
    words: int
    """How many words all answers have."""

    @classmethod
    def learn(cls, columns: Columns, groups: Groups, answer_spread: Floats) -> "Pairs":
        """Learn from one row of every group, at most ``_LEARNING_ROWS``."""
        size, bags = len(columns.vocabulary), columns.originals
        _, first = np.unique(groups.codes, return_index=True)
        teachers = np.sort(first)[:_LEARNING_ROWS]
        original_spread = counted(bags.words, groups.weights[bags.rows], size)
        originals = Telling.of(bags, original_spread[bags.words])
        answers = Telling.of(columns.answers, answer_spread[columns.answers.words])
        found = [(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64))]
        found += [
            np.unique(originals.bags.words[left] * size + answers.bags.words[right], return_counts=True)
            for left, right in _crossed(originals.bags, answers.bags, teachers, 0)
        ]
        keys, inverse = np.unique(np.concatenate([keys for keys, _ in found]), return_inverse=True)
        taught = np.zeros(len(groups.codes), dtype=np.bool_)
        taught[teachers] = True
        original_counts, answer_counts = (
            counted(bags.words, taught[bags.rows].astype(np.float64), size) for bags in (originals.bags, answers.bags)
        )
        return cls(
            known=Known.of(*np.divmod(keys, size), size),
            counts=counted(inverse, np.concatenate([counts for _, counts in found]).astype(np.float64), 0),
            originals=originals,
            answers=answers,
            original_counts=original_counts,
            answer_counts=answer_counts,
            original_spread=original_spread,
            rows=len(teachers),
            taught=np.isin(groups.codes, groups.codes[teachers]),
            words=len(columns.answers.words),
        )

    def explained(self, back: int) -> Floats:
        """Of every word of an answer: how much of its rarity a word of the original so many rows before explains."""
        found = np.zeros(self.words)
        every, rows = np.arange(back, len(self.taught)), self.answers.bags.rows
        for left, right in _crossed(self.originals.bags, self.answers.bags, every, back):
            # A row must not learn from itself what it is judged by.
            own = self.taught[rows[right]] & (back == 0)
            lefts, rights = self.originals.bags.words[left], self.answers.bags.words[right]
            together = np.maximum(taken(self.counts, self.known.places(lefts, rights)) - own, 0)
            _most(found, self.answers, right, self._likelier(lefts, rights, together, own))
        return found

    def _likelier(self, left: Ints, right: Ints, together: Floats, own: Bools) -> Floats:
        """The logarithm of how much likelier the right word is beside the left one, of how much likelier it can be."""
        usual = (np.maximum(self.answer_counts[right] - own, 0) + 0.5) / (self.rows + 1)
        beside = (together + 2 * usual) / (np.maximum(self.original_counts[left] - own, 0) + 2)
        explained: Floats = np.clip(np.log(beside / usual) / -np.log(usual), 0.0, 1.0)
        return explained

    def kept(self, hashes: Hashes, words: KeptWords) -> "KeptPairs":
        """The pairs that explain anything.

        Args:
            hashes: of all words of the vocabulary.
            words: of the answers.
        """
        lefts = np.flatnonzero(self.original_spread > _TWO)
        lefts = lefts[np.argsort(hashes[lefts])]
        number = np.zeros(len(hashes), dtype=np.int64)
        number[lefts] = np.arange(len(lefts))
        partner, size = words.places(hashes), len(words.hashes)
        every = np.repeat(np.arange(len(hashes)), np.diff(self.known.starts))
        keys, steps = np.zeros(len(every), dtype=np.int64), np.zeros(len(every), dtype=np.uint8)
        for start in range(0, len(every), _PAIRS_AT_ONCE):
            part = slice(start, start + _PAIRS_AT_ONCE)
            left, right = every[part], self.known.partners[part].astype(np.int64)
            keys[part] = number[left] * size + partner[right]
            explained = self._likelier(left, right, self.counts[part], np.zeros(len(left), dtype=np.bool_))
            steps[part] = np.rint(explained * _STEPS)
        some = np.flatnonzero(steps)
        some = some[np.argsort(keys[some])]
        return KeptPairs(
            originals=hashes[lefts],
            spread=self.original_spread[lefts].astype(np.float32),
            known=Known.of(*np.divmod(keys[some], size), len(lefts)),
            explained=steps[some],
        )


@dataclass(frozen=True, slots=True)
class KeptPairs:
    """How much of the rarity of a word in answers a word of the original explains, for the words of later rows."""

    originals: Hashes
    """The words of originals, ascending."""
    spread: Singles
    """In how many groups each is in the original."""
    known: Known
    """The pairs, of words as they are kept."""
    explained: npt.NDArray[np.uint8]
    """0 to ``_STEPS``."""

    def explains(self, columns: Columns, hashes: Hashes, at: Ints, spread: Floats) -> tuple[Ints, Floats]:
        """The telling words of answers, as places among all their words, and how much is explained of every word.

        Args:
            columns: of rows that were not learned from.
            hashes: of all words of their vocabulary.
            at: where each of them is kept among the words of answers; -1 if it is not.
            spread: in how many answers it is.
        """
        lefts = places_of(hashes, self.originals)
        originals = Telling.of(columns.originals, taken(self.spread, lefts)[columns.originals.words])
        answers = Telling.of(columns.answers, np.where(at >= 0, spread, 0)[columns.answers.words])
        found = np.zeros(len(columns.answers.words))
        for left, right in _crossed(originals.bags, answers.bags, np.arange(len(columns.last_word)), 0):
            known = self.known.places(lefts[originals.bags.words[left]], at[answers.bags.words[right]])
            _most(found, answers, right, taken(self.explained, known) / _STEPS)
        return answers.places, found


def _most(found: Floats, answers: Telling, right: Ints, explained: Floats) -> None:
    """Note what the best of the words of an original explains of each word of its answer."""
    starts = np.flatnonzero(np.r_[True, right[1:] != right[:-1]])
    found[answers.places[right[starts]]] = np.maximum.reduceat(explained, starts)


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
