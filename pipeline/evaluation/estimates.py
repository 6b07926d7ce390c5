"""Estimates: shares and ratios with their 95% intervals."""

import math
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

_Z = 1.959964
"""Standard normal quantile for a two-sided 95% interval."""
_RESAMPLES = 1000
_SEED = 17


class Unit(StrEnum):
    """What a value is measured in."""

    SHARE = "share"
    """From 0 to 1; higher is better."""
    NATS = "nats"
    """Of loss, from 0; lower is better."""

    def shown(self, value: float) -> str:
        """A value in text."""
        match self:
            case Unit.SHARE:
                return f"{value:.1%}"
            case Unit.NATS:
                return f"{value:.3f}"

    def shown_change(self, before_to_after: float) -> str:
        """A difference in text, without its sign."""
        match self:
            case Unit.SHARE:
                return f"{100 * abs(before_to_after):.1f} points"
            case Unit.NATS:
                return f"{abs(before_to_after):.3f} nats"


class Estimate(BaseModel):
    """A value with its 95% interval."""

    model_config = ConfigDict(frozen=True)

    value: float
    low: float
    high: float
    unit: Unit = Unit.SHARE

    def __str__(self) -> str:
        return f"{self.unit.shown(self.value)} ({self.interval})"

    @property
    def interval(self) -> str:
        """The interval in text."""
        return f"{self.unit.shown(self.low)} to {self.unit.shown(self.high)}"


def wilson(successes: int, trials: int) -> Estimate:
    """A share with its Wilson score interval, which also holds near 0 and 1."""
    share = successes / trials
    scale = 1 + _Z**2 / trials
    center = (share + _Z**2 / (2 * trials)) / scale
    half = _Z / scale * math.sqrt(share * (1 - share) / trials + _Z**2 / (4 * trials**2))
    # At 0 and 1 the bounds equal the share, up to rounding.
    return Estimate(value=share, low=min(share, max(0.0, center - half)), high=max(share, min(1.0, center + half)))


def ratio_estimate(ratios: NDArray[np.float64], unit: Unit = Unit.SHARE) -> Estimate:
    """A ratio of sums with its interval: Wilson's if every row is 0 or 1 of 1, else by bootstrap.

    Args:
        ratios: numerator and denominator of each question, shape (n, 2).
        unit: of the ratio.
    """
    earned, possible = ratios.T
    if unit is Unit.SHARE and np.all(possible == 1) and np.all((earned == 0) | (earned == 1)):
        return wilson(int(earned.sum()), len(ratios))
    return bootstrap(ratios, unit=unit)


def bootstrap(
    ratios: NDArray[np.float64], minus: NDArray[np.float64] | None = None, unit: Unit = Unit.SHARE
) -> Estimate:
    """A ratio of sums, or the difference of two, with its percentile interval over resampled questions.

    If all questions give the same result, so does every resample, which proves nothing: the interval is then
    as wide as that of a share with all trials successful.
    """
    chance = np.random.default_rng(_SEED)

    def value(chosen: NDArray[np.int64]) -> float:
        score = _ratio(ratios[chosen])
        return score if minus is None else score - _ratio(minus[chosen])

    count = len(ratios)
    samples = [value(chance.integers(0, count, count)) for _ in range(_RESAMPLES)]
    whole = value(np.arange(count))
    low, high = map(float, np.percentile(samples, [2.5, 97.5]))
    if unit is Unit.SHARE and min(samples) == max(samples):
        reach, least = 1 - wilson(count, count).low, 0.0 if minus is None else -1.0
        low, high = max(least, whole - reach), min(1.0, whole + reach)
    return Estimate(value=whole, low=low, high=high, unit=unit)


def _ratio(rows: NDArray[np.float64]) -> float:
    numerator, denominator = rows.sum(axis=0)
    return float(numerator / denominator) if denominator else 1.0
