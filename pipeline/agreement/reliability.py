"""How reliable each annotator is: against known labels, and against what the others' votes amount to."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from pipeline.agreement.field_consensus import Consensus, without_own_vote

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

_FEWEST = 20
"""Answers to items of others, below which nothing is held against anybody."""
_ALIKE = 0.95
_SURPRISE = 0.001
_NEAR_CHANCE = 0.1


class Flag(StrEnum):
    """What speaks against an annotator's answers as a whole."""

    ALL_ALIKE = "answers nearly everything alike, where the others do not"
    CHANCE = "agrees with the others no more often than by chance"


@dataclass(frozen=True)
class Rate:
    """A share with its 95% Wilson interval."""

    value: float
    low: float
    high: float
    of: int
    """Answers."""


@dataclass(frozen=True)
class Reliability:
    """What is known of an annotator."""

    annotator: int
    answers: int
    right: Rate | None
    """Answers to items with a known label that give it; None if there are none."""
    agreeing: Rate | None
    """How likely the answers are right by the other annotators' votes about the same items; None if there are none."""
    flags: tuple[Flag, ...]


def reliabilities(votes: Integers, consensus: Consensus, known: Integers | None = None) -> list[Reliability]:
    """What is known of each annotator, in ascending order; the model, which gives no votes, is left out.

    Args:
        votes: item, annotator and label of each, as integers from 0; shape (n, 3).
        consensus: of these votes.
        known: item and label of those whose true label is known, shape (m, 2).
    """
    votes = votes[np.lexsort(votes.T[::-1])]
    truth = {} if known is None else dict(known.tolist())
    others, is_shared = without_own_vote(votes, consensus)
    found = []
    for annotator in np.unique(votes[:, 1]):
        mine = votes[:, 1] == annotator
        graded = [truth[item] == said for item, _, said in votes[mine].tolist() if item in truth]
        shared = mine & is_shared
        found.append(
            Reliability(
                annotator=int(annotator),
                answers=int(mine.sum()),
                right=_rate(sum(graded), len(graded)),
                agreeing=_rate(float(others[shared, votes[shared, 2]].sum()), int(shared.sum())),
                flags=_flags(votes[shared, 2], others[shared]),
            )
        )
    return found


def _rate(hits: float, of: int) -> Rate | None:
    """A share, of which the numerator may be an expected number."""
    if not of:
        return None
    z, share = 1.959964, hits / of
    center, scale = share + z**2 / (2 * of), 1 + z**2 / of
    half = z * float(np.sqrt(share * (1 - share) / of + z**2 / (4 * of**2)))
    # At 0 and 1 the bounds equal the share, up to rounding.
    low, high = max(0.0, (center - half) / scale), min(1.0, (center + half) / scale)
    return Rate(share, min(low, share), max(high, share), of)


def _flags(said: Integers, others: Floats) -> tuple[Flag, ...]:
    """Flags by an annotator's labels, shape (n,), and what the others say about the same items, shape (n, labels)."""
    from scipy.stats import binom

    if len(said) < _FEWEST:
        return ()
    flags = []
    counts, expected = np.bincount(said, minlength=others.shape[1]), others.sum(axis=0)
    most = int(counts.argmax())
    if counts[most] >= _ALIKE * len(said):
        # The others may well say the same about all of these items.
        usual = min(max(float(expected[most]) / len(said), 0.0), 1.0)
        if binom.sf(counts[most] - 1, len(said), usual) < _SURPRISE:
            flags.append(Flag.ALL_ALIKE)
    agreeing = float(others[np.arange(len(said)), said].mean())
    chance = float(counts @ expected) / len(said) ** 2
    if chance < 1 and (agreeing - chance) / (1 - chance) <= _NEAR_CHANCE:
        flags.append(Flag.CHANCE)
    return tuple(flags)
