"""Forecasts how many errors the next answers will find, from the scores as the answers so far calibrate them.

How likely a row is wrong is a smooth function of its score (a Gaussian process around a logistic function, with
Laplace's approximation: Rasmussen and Williams, "Gaussian Processes for Machine Learning", 2006, chapter 3). What
answers about some scores say of others fades with the distance: scores of labels that are confused with similar ones
are calibrated otherwise than those of labels that are wrong by chance.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from pipeline.estimation.audit_draw import Bools, Floats

_EDGE = 0.01
"""Scores are not believed closer to 0 and 1 than this."""
_GRID = np.linspace(logit(_EDGE), logit(1 - _EDGE), 41)
"""The log odds at which the function is known; scores between two of them count as the nearer one."""
_BEFORE = -0.5 + _GRID
"""The function before any answer: scores are taken to mean a bit less than they say."""
_OFFSET, _SLOPE, _BEND, _REACH = 1.5, 0.5, 1.5, 0.35
"""How far its offset, its slope and the rest may be elsewhere, and over which distance the rest is alike."""
_PRIOR = (
    _OFFSET**2
    + _SLOPE**2 * np.outer(_GRID, _GRID)
    + _BEND**2 * np.exp(-0.5 * ((_GRID[:, None] - _GRID) / _REACH) ** 2)
    + 1e-6 * np.eye(len(_GRID))
)
_STEPS, _SAMPLES, _SEED = 50, 2000, 17


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
    """The log odds at each place of the grid."""
    spread: NDArray[np.float64]
    """Their covariance."""
    unknown: float
    """The score that rows without one are taken to have."""

    def forecast(self, scores: Floats) -> Forecast:
        """What answers about some rows would find.

        Args:
            scores: of the rows that will be asked about, NaN where unknown.
        """
        if not len(scores):
            return Forecast(0, 0.0, 0, 0)
        chance = np.random.default_rng(_SEED)
        counts = np.bincount(_places(scores, self.unknown), minlength=len(_GRID))
        shares = expit(chance.multivariate_normal(self.mode, self.spread, _SAMPLES))
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
    unknown = float(np.median(known)) if known.size else 0.5
    at = _places(scores, unknown)
    asked, found = (np.bincount(at, weights=some, minlength=len(_GRID)) for some in (np.ones(len(at)), wrong))
    sure, mode = np.linalg.inv(_PRIOR), _BEFORE.copy()
    for _ in range(_STEPS):
        share = expit(mode)
        bend = sure + np.diag(asked * share * (1 - share))
        step = np.linalg.solve(bend, found - asked * share - sure @ (mode - _BEFORE))
        # Newton's step may leap too far where nearly all answers agree.
        mode = mode + step * min(1.0, 1.0 / max(1e-9, float(np.abs(step).max())))
    spread = np.linalg.inv(bend)
    return Curve(mode, (spread + spread.T) / 2, unknown)


def _places(scores: Floats, unknown: float) -> NDArray[np.int64]:
    odds = logit(np.clip(np.where(np.isnan(scores), unknown, scores), _EDGE, 1 - _EDGE))
    found: NDArray[np.int64] = np.rint((odds - _GRID[0]) / (_GRID[1] - _GRID[0])).astype(np.int64)
    return found
