"""Who agrees with the others no more often than somebody who guesses."""

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
    """How likely the answers are those of the others, on average."""
    of: int
    """Answers to items that others have answered, too."""


def guessers(votes: Integers, consensus: Consensus) -> list[Guesser]:
    """Those who agree with the others as often as by chance, in ascending order.

    Args:
        votes: item, annotator and label of each, as integers from 0; shape (n, 3).
        consensus: of these votes.
    """
    others, is_shared = without_own_vote(votes, consensus)
    found = []
    for annotator in np.unique(votes[:, 1]).tolist():
        mine = (votes[:, 1] == annotator) & is_shared
        said, beside = votes[mine, 2], others[mine]
        if len(said) < _FEWEST:
            continue
        agreeing = float(beside[np.arange(len(said)), said].mean())
        counts = np.bincount(said, minlength=beside.shape[1])
        chance = float(counts @ beside.sum(axis=0)) / len(said) ** 2
        if len(said) * (1 - chance) >= _APART and (agreeing - chance) / (1 - chance) <= _NEAR_CHANCE:
            found.append(Guesser(annotator, agreeing, len(said)))
    return found
