"""Which answers are too short or too long for their originals, as the set goes."""

import math
from dataclasses import dataclass

import numpy as np

from pipeline.label_errors.rarity import Bools, Floats, Groups, Tail, quantile, usual_range
from pipeline.label_errors.rewrite_columns import Columns

_LEAST_WIDTH = 0.1
"""Of the logarithm of a length: if all answers are of one length, a tenth more is no finding yet."""
_LEAST_ROWS = 10
_ROUNDS = 3


@dataclass(frozen=True, slots=True)
class Lengths:
    """How long the answers of a set are: the logarithm of a length is linear in that of the original's."""

    slope: float
    start: float
    low: float
    high: float
    """What is usual, less and more than that."""
    short: Tail
    long: Tail

    @classmethod
    def learn(cls, columns: Columns, groups: Groups) -> "Lengths":
        """Compare lengths in characters.

        Summaries are of one length however long the text was, translations grow with it: the set shows which.
        """
        x, y, known = _logarithms(columns)
        weights = groups.weights * known
        slope, kept = 1.0, weights
        for _ in range(_ROUNDS if weights.sum() >= _LEAST_ROWS else 0):
            slope = _slope(x, y, kept)
            distance = np.abs(y - slope * x - quantile(y - slope * x, weights, 0.5))
            # Outliers must not bend what is usual.
            kept = weights * (distance <= 3 * max(quantile(distance, weights, 0.5), _LEAST_WIDTH))
        start = quantile(y - slope * x, weights, 0.5)
        excess = y - (slope * x + start)
        low, high = usual_range(excess, known, groups, _LEAST_WIDTH)
        return cls(
            slope,
            start,
            low,
            high,
            Tail.learn(excess, known & (excess < low), groups),
            Tail.learn(-excess, known & (excess > high), groups),
        )

    def says(self, columns: Columns, groups: Groups) -> tuple[Floats, Floats]:
        """What speaks against the answers that are too short, and against those that are too long."""
        x, y, known = _logarithms(columns)
        excess = y - self._usual(x)
        short, long = known & (excess < self.low), known & (excess > self.high)
        return (
            self.short.says(np.where(known, excess, np.inf), short, groups),
            self.long.says(np.where(known, -excess, np.inf), long, groups),
        )

    def described(self, columns: Columns, row: int) -> str:
        """An answer's length, in words."""
        usual = self._usual(_logarithms(columns)[0])[row]
        low, high = np.exp(usual + np.array([self.low, self.high]))
        length = columns.answer_length[row]
        return f"{length:.0f} characters; {math.ceil(low)} to {int(high)} are usual for such an original"

    def _usual(self, x: Floats) -> Floats:
        return self.slope * x + self.start


def _logarithms(columns: Columns) -> tuple[Floats, Floats, Bools]:
    """Of the originals' lengths and the answers', and which rows have both."""
    originals, answers = columns.original_length, columns.answer_length
    known = (originals > 0) & (answers > 0)
    return np.log(np.maximum(originals, 1)), np.log(np.maximum(answers, 1)), known


def _slope(x: Floats, y: Floats, weights: Floats) -> float:
    """How the logarithm of the answers' lengths grows with that of the originals'."""
    x = x - np.average(x, weights=weights)
    spread = float(np.average(x * x, weights=weights))
    if spread <= _LEAST_WIDTH**2:
        # All originals are of one length: nothing shows how answers grow.
        return 1.0
    return float(np.clip(np.average(x * y, weights=weights) / spread, 0, 2))
