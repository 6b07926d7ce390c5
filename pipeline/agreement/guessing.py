"""Who agrees with the others no more often than somebody who guesses."""

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.agreement.field_consensus import Consensus, without_own_vote

Integers = NDArray[np.int64]

_FEWEST = 20
"""Answers to items of others, below which nothing is held against anybody."""
_APART = 5
"""Answers in which somebody who guesses would differ from the others: with fewer expected, the items are all alike."""
_NEAR_CHANCE = 0.1
"""Agreement beyond chance, as a share of the most that there could be."""


@dataclass(frozen=True)
class Guesser:
    """An annotator whose answers could be guesses."""

    annotator: int
    share: float
    """How likely the answers are those of the others, on average; beside a single other, how many are the same."""
    of: int
    """Answers to items that others have answered, too."""
    other: int | None = None
    """The only one who has answered the same items as they, and as nobody else: then either of the two may guess."""


def guessers(votes: Integers, consensus: Consensus) -> list[Guesser]:
    """Those who agree with the others as often as by chance, in ascending order.

    Of two who only have each other beside them, both are told.

    Args:
        votes: item, annotator and label of each, as integers from 0; shape (n, 3).
        consensus: of these votes.
    """
    others, is_shared = without_own_vote(votes, consensus)
    twos = _only_two(votes[is_shared])
    found: dict[int, Guesser] = {}
    for annotator in np.unique(votes[:, 1]).tolist():
        mine = (votes[:, 1] == annotator) & is_shared
        said, beside = votes[mine, 2], others[mine]
        if len(said) < _FEWEST:
            continue
        agreeing = float(beside[np.arange(len(said)), said].mean())
        counts = np.bincount(said, minlength=beside.shape[1])
        chance = float(counts @ beside.sum(axis=0)) / len(said) ** 2
        if len(said) * (1 - chance) < _APART or (agreeing - chance) / (1 - chance) > _NEAR_CHANCE:
            continue
        other = twos.get(annotator)
        if other is None:
            found[annotator] = Guesser(annotator, agreeing, len(said))
            continue
        alike = _alike(votes[is_shared], annotator, other)
        found[annotator] = Guesser(annotator, alike, len(said), other)
        found[other] = Guesser(other, alike, len(said), annotator)
    return [found[annotator] for annotator in sorted(found)]


def _only_two(votes: Integers) -> dict[int, int]:
    """Annotators all of whose items have one other's vote each, always the same one's, and the reverse."""
    items = {one: frozenset(votes[votes[:, 1] == one, 0].tolist()) for one in np.unique(votes[:, 1]).tolist()}
    by_items: defaultdict[frozenset[int], list[int]] = defaultdict(list)
    for annotator, mine in items.items():
        by_items[mine].append(annotator)
    pairs = [
        tuple(both)
        for mine, both in by_items.items()
        if len(both) == 2 and all(mine.isdisjoint(theirs) for who, theirs in items.items() if who not in both)
    ]
    return {one: other for pair in pairs for one, other in (pair, pair[::-1])}


def _alike(votes: Integers, one: int, other: int) -> float:
    """How often two said the same of the same items."""
    by_item = votes[np.argsort(votes[:, 0])]
    mine, theirs = (by_item[by_item[:, 1] == who, 2] for who in (one, other))
    return float((mine == theirs).mean())
