"""Which answers are too short or too long for their originals, as the set goes."""

import math
from dataclasses import dataclass

import numpy as np

from pipeline.label_errors.rarity import Bools, Floats, Groups, quantile, usual_range

_LEAST_WIDTH = 0.1
"""Of the logarithm of a length: if all answers are of one length, a tenth more is no finding yet."""
_LEAST_ROWS = 10
_ROUNDS = 3


@dataclass(frozen=True, slots=True)
class Lengths:
    """How long the answers are, next to what is usual for originals of their length."""

    excess: Floats
    """The logarithm of an answer's length, less the usual one."""
    usual: Floats
    """The logarithm of the usual length."""
    low: float
    high: float
    """The usual range of ``excess``."""
    known: Bools
    characters: Floats

    @property
    def short(self) -> Bools:
        """Which answers are too short."""
        return self.known & (self.excess < self.low)

    @property
    def long(self) -> Bools:
        """Which answers are too long."""
        return self.known & (self.excess > self.high)

    def described(self, row: int) -> str:
        """An answer's length, in words."""
        low, high = np.exp(self.usual[row] + np.array([self.low, self.high]))
        return f"{self.characters[row]:.0f} characters; {math.ceil(low)} to {int(high)} are usual for such an original"


def compare_lengths(originals: Floats, answers: Floats, groups: Groups) -> Lengths:
    """Compare lengths in characters.

    Summaries are of one length however long the text was, translations grow with it: the set shows which.
    """
    known = (originals > 0) & (answers > 0)
    x, y = np.log(np.maximum(originals, 1)), np.log(np.maximum(answers, 1))
    weights = groups.weights * known
    slope, kept = 1.0, weights
    for _ in range(_ROUNDS if weights.sum() >= _LEAST_ROWS else 0):
        slope = _slope(x, y, kept)
        distance = np.abs(y - slope * x - quantile(y - slope * x, weights, 0.5))
        # Outliers must not bend what is usual.
        kept = weights * (distance <= 3 * max(quantile(distance, weights, 0.5), _LEAST_WIDTH))
    usual = slope * x + quantile(y - slope * x, weights, 0.5)
    low, high = usual_range(y - usual, known, groups, _LEAST_WIDTH)
    return Lengths(y - usual, usual, low, high, known, answers)


def _slope(x: Floats, y: Floats, weights: Floats) -> float:
    """How the logarithm of the answers' lengths grows with that of the originals'."""
    x = x - np.average(x, weights=weights)
    spread = float(np.average(x * x, weights=weights))
    if spread <= _LEAST_WIDTH**2:
        # All originals are of one length: nothing shows how answers grow.
        return 1.0
    return float(np.clip(np.average(x * y, weights=weights) / spread, 0, 2))
