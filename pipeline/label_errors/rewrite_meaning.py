"""How much of an answer its original explains: by the words that both have, or by words that go together elsewhere."""

from dataclasses import dataclass

import numpy as np

from pipeline.label_errors.kept_arrays import Hashes
from pipeline.label_errors.rarity import Bools, Floats, Groups, Ints, quantile
from pipeline.label_errors.rewrite_columns import Bags, Columns
from pipeline.label_errors.rewrite_pairs import KeptPairs, Pairs
from pipeline.label_errors.rewrite_words import WordUse

_SHARED = 0.5
"""Where the usual answer shares so much of itself with its original, shared words are enough."""
_LEAST_ROWS = 30
_LEAST_TELLING = 2
"""Where it is learned which words go together, a single word is often an exception."""


@dataclass(frozen=True, slots=True)
class Match:
    """How well every answer matches its own original: 0 to 1."""

    own: Floats
    """NaN where the answer has no words that say anything."""
    known: Bools
    """Whether there are enough words for a judgment about the whole answer."""
    learned: bool
    """Whether it was learned which words go together, as between languages."""


def match(columns: Columns, groups: Groups, use: WordUse) -> tuple[Match, Floats, Pairs | None]:
    """Compare every answer with its original, and with that of the row before.

    Returns:
        The match with its own original; that with the other one, which has nothing to do with it (NaN where the row
        before is a copy); and which words go together, if that was learned.
    """
    weights = word_weights(columns, use)
    own, stranger = columns.own.astype(np.float64), columns.stranger.astype(np.float64)
    matched, strangers, pairs = _by_words(columns, weights, own), _share(columns.answers, weights, stranger), None
    median = quantile(matched.own, groups.weights * matched.known, 0.5)
    if matched.known.sum() >= _LEAST_ROWS and median < _SHARED:
        pairs = Pairs.learn(columns, groups, use.counts)
        telling = pairs.answers.places
        matched = _by_pairs(columns, weights, np.maximum(own, pairs.explained(0)), telling)
        strangers = _by_pairs(columns, weights, np.maximum(stranger, pairs.explained(1)), telling).own
    has_stranger = np.r_[False, groups.codes[1:] != groups.codes[:-1]][: len(groups.codes)]
    return matched, np.where(has_stranger, strangers, np.nan), pairs


def match_by(columns: Columns, use: WordUse, pairs: KeptPairs | None, hashes: Hashes, at: Ints) -> Match:
    """Compare every answer with its original.

    Args:
        columns: of rows that were not learned from.
        use: of the words of their vocabulary.
        pairs: which words go together, if that was learned.
        hashes: of the vocabulary.
        at: where its words are kept.
    """
    weights, own = word_weights(columns, use), columns.own.astype(np.float64)
    if pairs is None:
        return _by_words(columns, weights, own)
    telling, explained = pairs.explains(columns, hashes, at, use.counts - 1)
    return _by_pairs(columns, weights, np.maximum(own, explained), telling)


def _by_words(columns: Columns, weights: Floats, own: Floats) -> Match:
    matched = _share(columns.answers, weights, own)
    return Match(matched, np.isfinite(matched), learned=False)


def _by_pairs(columns: Columns, weights: Floats, explained: Floats, places: Ints) -> Match:
    # A word that no other answer has says nothing, unless the original has it.
    says = explained > 0
    says[places] = True
    matched = _share(columns.answers, np.where(says, weights, 0), explained)
    known = columns.answers.sums(says.astype(np.float64)) >= _LEAST_TELLING
    return Match(matched, known & np.isfinite(matched), learned=True)


def share_in_original(columns: Columns, weights: Floats) -> Floats:
    """Of every answer: how much of the weight of its words is that of words of its original; NaN without weight."""
    return _share(columns.answers, weights, columns.own.astype(np.float64))


def _share(answers: Bags, weights: Floats, explained: Floats) -> Floats:
    """Of every answer: how much of the weight of its words is explained; NaN if none has weight."""
    total = answers.sums(weights)
    return np.where(total > 0, answers.sums(weights * explained) / np.where(total > 0, total, 1.0), np.nan)


def word_weights(columns: Columns, use: WordUse) -> Floats:
    """Of every word of an answer: the rarer it is in the set, the more it tells what the answer is about."""
    weights: Floats = np.log((use.rows + 1) / (use.counts + 0.5))[columns.answers.words]
    return weights
