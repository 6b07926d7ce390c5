"""Forecasts how many errors the next answers will find, from the scores as the answers so far calibrate them.

How likely a row is wrong is a logistic function of its score (J. Platt, 1999), whose two numbers are uncertain while
few answers are known (Laplace's approximation of their posterior).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from pipeline.estimation.audit_draw import Bools, Floats

_EDGE = 0.01
"""Scores are not believed closer to 0 and 1 than this."""
_BEFORE, _SURE = np.array([-1.0, 1.0]), np.array([1 / 2.0**2, 1 / 0.75**2])
"""Offset and slope before any answer, and how sure they are: scores are taken to mean a bit less than they say."""
_STEPS, _SAMPLES, _BINS, _SEED = 50, 2000, 200, 17


@dataclass(frozen=True)
class Forecast:
    """What the next answers would find."""

    answers: int
    found: float
    """Errors among them."""
    low: int
    high: int
    """The number of errors is between these with a probability of 95%."""


@dataclass(frozen=True)
class Curve:
    """How likely a row is wrong, by its score."""

    mode: Floats
    """Offset and slope."""
    spread: NDArray[np.float64]
    """Their covariance, shape (2, 2)."""
    unknown: float
    """The score that rows without one are taken to have."""

    def likely(self, scores: Floats) -> Floats:
        """How likely rows are wrong, by their scores; NaN where unknown."""
        return np.asarray(expit(self.mode[0] + self.mode[1] * self._sure(scores)))

    def _sure(self, scores: Floats) -> Floats:
        return np.asarray(logit(np.clip(np.where(np.isnan(scores), self.unknown, scores), _EDGE, 1 - _EDGE)))

    def forecast(self, scores: Floats) -> Forecast:
        """What answers about some rows would find.

        Args:
            scores: of the rows that will be asked about, NaN where unknown.
        """
        if not len(scores):
            return Forecast(0, 0.0, 0, 0)
        chance = np.random.default_rng(_SEED)
        # Rows of about the same score together: there may be a million.
        counts, edges = np.histogram(self._sure(scores), bins=min(_BINS, len(scores)))
        middle = (edges[1:] + edges[:-1]) / 2
        numbers = chance.multivariate_normal(self.mode, self.spread, _SAMPLES)
        shares = expit(numbers[:, :1] + numbers[:, 1:] * middle)
        found = chance.binomial(counts, shares).sum(axis=1)
        low, high = np.quantile(found, [0.025, 0.975], method="nearest")
        return Forecast(len(scores), float((counts * shares).sum(axis=1).mean()), int(low), int(high))


def error_curve(scores: Floats, wrong: Bools) -> Curve:
    """Learn from the answers so far how likely a row is wrong, by its score.

    Args:
        scores: of the answered rows as they were before the answer, NaN where unknown.
        wrong: whether the answer corrected or removed the row.
    """
    known = scores[~np.isnan(scores)]
    curve = Curve(_BEFORE, np.diag(1 / _SURE), float(np.median(known)) if known.size else 0.5)
    design = np.stack([np.ones(len(scores)), curve._sure(scores)], axis=1)
    mode = _BEFORE.copy()
    for _ in range(_STEPS):
        share = expit(design @ mode)
        slope = design.T @ (wrong - share) - _SURE * (mode - _BEFORE)
        bend = (design * (share * (1 - share))[:, None]).T @ design + np.diag(_SURE)
        step = np.linalg.solve(bend, slope)
        # Newton's step may leap too far where nearly all answers agree.
        mode = mode + step * min(1.0, 1.0 / max(1e-9, float(np.abs(step).max())))
    return Curve(mode, np.linalg.inv(bend), curve.unknown)
