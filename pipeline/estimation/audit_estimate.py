"""Estimates from the audit which share of the accepted rows is wrong, with an interval that holds for few errors too.

The sample is stratified by score and says for each stratum which share of it is wrong (stratified prediction-powered
inference, arXiv 2406.04291: strata are what the scores predict). The interval holds every share that the answers do
not contradict: for each, the likeliest shares of the strata that add up to it are found, and the probability, under
them, of an estimate as low or as high as this one. It is not taken to be normal, since with few errors it is far from
that; for one stratum without errors the interval ends where Wilson's would, or below.

The interval misses in 5% of all cases. How much of that is above it and how much below may be chosen for each share
in advance (J. Pratt, "Length of Confidence Intervals", 1961, on which choice makes them short). Few errors have a long
tail, so that an interval with the larger part above it is shorter; with many errors both parts become equal.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.estimation.audit_draw import Bools, Chances, Floats

_MISSED = 0.05
_SKEW, _FADES = 0.015, 4.0
"""By how much more than half of the misses are above if no error is expected, and how many halve that or so."""
_TINY, _FLAT, _FAR = 1e-12, 1e-4, 32.0
"""A number as good as 0; what is as good as 0 in the saddlepoint formula; how far bounds are sought, in logarithms."""
_MUCH = 0.05
"""From this part of the rows on it counts that those found may be all; below, the strata tell more."""
_FEWEST = 4
"""Answers that a stratum needs to stand for itself."""


@dataclass(frozen=True)
class Share:
    """A share of wrong rows, 0 to 1, with its interval."""

    rate: float
    low: float
    high: float


@dataclass(frozen=True)
class Cells:
    """What is known of each stratum."""

    weight: Floats
    """Its rows without an answer, as a share of all rows that the estimate is about."""
    asked: Floats
    """Its answers, as many as they are worth: fewer if its rows had different chances, or if few are left."""
    wrong: Floats
    """Of these, the wrong ones."""


def chance_of_less(cells: Cells, shares: Floats, value: float) -> float:
    """How likely the estimate is below ``value`` if the strata have these shares of wrong rows; equality counts half.

    By the saddlepoint approximation of a weighted sum of binomials (R. Lugannani, S. Rice, "Saddle Point Approximation
    for the Distribution of the Sum of Independent Random Variables", 1980).
    """
    from scipy.optimize import brentq
    from scipy.special import expit, ndtr

    some = (cells.weight > 0) & (cells.asked > 0) & (shares > 0)
    asked, share = cells.asked[some], np.clip(shares[some], _TINY, 1 - _TINY)
    step = cells.weight[some] / asked
    odds = np.log(share) - np.log1p(-share)
    if not asked.size or value <= 0:
        return 0.5 * math.exp(float((asked * np.log1p(-share)).sum())) if value <= 0 else 1.0
    if value >= (step * asked).sum():
        return 1 - 0.5 * math.exp(float((asked * np.log(share)).sum()))

    def off(t: float) -> float:
        return float((step * asked * expit(odds + t * step)).sum()) - value

    reach = 1 / float(step.max())
    low, high = -reach, reach
    while off(low) > 0:
        low *= 2
    while off(high) < 0:
        high *= 2
    t = float(brentq(off, low, high, xtol=1e-6 * reach))
    tilted = expit(odds + t * step)
    # The estimate has steps; the mean of the formulas for "below" and "at most" counts equality half.
    smallest = float(step.min())
    lever = 2 * math.tanh(t * smallest / 2) / smallest
    v = lever * math.sqrt(float((step**2 * asked * tilted * (1 - tilted)).sum()))
    # The logarithm of the moment-generating function.
    grown = float((asked * (np.log1p(-share) + np.logaddexp(0, odds + t * step))).sum())
    w = math.copysign(math.sqrt(max(0.0, 2 * (t * value - grown))), t)
    if abs(w) < _FLAT or abs(v) < _FLAT:
        # At the mean the formula is 0 / 0; its limit is near a half.
        return float(ndtr(w))
    return float(np.clip(ndtr(w) + math.exp(-w * w / 2) / math.sqrt(2 * math.pi) * (1 / w - 1 / v), 0.0, 1.0))


def likeliest(cells: Cells, pull: float) -> Floats:
    """The likeliest shares of wrong rows in the strata, among all that add up to the same.

    Args:
        cells: the answers.
        pull: 0 for what the answers say; the sum of the shares falls as it rises, from 1 to 0.
    """
    lead = cells.asked + pull * cells.weight
    # Each stratum's likelihood is level where wrong / p - right / (1 - p) = pull * weight: a quadratic, whose smaller
    # root is written so that no digits are lost.
    root = np.sqrt(np.maximum(0.0, lead**2 - 4 * pull * cells.weight * cells.wrong))
    with np.errstate(divide="ignore", invalid="ignore"):
        p = np.where(lead > 0, 2 * cells.wrong / (lead + root), (lead - root) / (2 * pull * cells.weight))
    return np.clip(np.nan_to_num(p, nan=0.0), 0.0, 1.0)


def _above(expected: float) -> float:
    return _MISSED / 2 + _SKEW / math.sqrt(1 + expected / _FADES)


def _below(expected: float) -> float:
    return _MISSED - _above(expected)


def bounds(cells: Cells) -> tuple[float, float]:
    """The lowest and the highest share of wrong rows that the answers do not contradict, with 95% confidence."""
    return _ends(cells, _below, _above)


def fewest_left(found: Floats, left: float, most: float) -> float:
    """The fewest wrong rows that may be left, if that is less than ``most``; equality counts half, as above.

    A share is the likelihood of something that has no end. Of few rows, all that are wrong may well have been found:
    with half of them asked about, one of two times.

    Args:
        found: the chances that the wrong rows had to be among those that were found.
        left: the same of those that are left, on average.
        most: how many are left by what is known otherwise.
    """
    # The chances to find so many of all that are wrong.
    counts: NDArray[np.float64] = np.ones(1)
    for share in found:
        counts = np.convolve(counts, np.array([1 - share, share]))
    fewest = 0
    while fewest < most:
        expected = float(found.sum()) + fewest * left
        if counts[len(found) :].sum() - counts[len(found)] / 2 > _below(expected):
            return fewest
        counts = np.convolve(counts, np.array([1 - left, left]))
        fewest += 1
    return most


def upper_bound(cells: Cells, chance: float) -> float:
    """The highest share of wrong rows that the answers do not contradict; the true one is above it this rarely."""
    return _ends(cells, None, lambda expected: chance)[1]


def _ends(cells: Cells, below: Callable[[float], float] | None, above: Callable[[float], float]) -> tuple[float, float]:
    """Both ends, by how likely a share may be beyond them: of the number of errors expected in the answers under it."""
    from scipy.optimize import brentq

    seen = float((cells.weight * cells.wrong / np.maximum(cells.asked, _TINY)).sum())
    edge = float((cells.asked / np.maximum(cells.weight, _TINY)).max()) + 1

    def total(pull: float) -> float:
        return float((cells.weight * likeliest(cells, pull)).sum())

    def end(sign: int, chance: Callable[[float], float]) -> float:
        # In logarithms, since a pull may have any size.
        def over(size: float) -> float:
            shares = likeliest(cells, sign * math.expm1(size) * edge)
            less = chance_of_less(cells, shares, seen)
            return (1 - less if sign > 0 else less) - chance(float((cells.asked * shares).sum()))

        far = 1.0
        while over(far) > 0 and far < _FAR:
            far *= 2
        return total(sign * math.expm1(float(brentq(over, 0.0, far, xtol=1e-6)) if far < _FAR else far) * edge)

    return end(1, below) if below is not None and seen > 0 else 0.0, end(-1, above)


def cells_of(chances: Chances, answered: Bools, wrong: Bools, rows: int, about: Bools | None = None) -> Cells:
    """The answers by stratum; strata with few are joined to their neighbor.

    Those about other rows of a stratum say as much about ``about``, see ``estimate``.
    """
    groups: list[tuple[int, Floats, float]] = []
    for name in np.unique(chances.stratum[chances.stratum >= 0]):
        here = chances.stratum == name
        heard = here & answered
        left_here = here & ~answered if about is None else here & ~answered & about
        groups.append((int(left_here.sum()), 1 / chances.probability[heard], 0.0))
        groups[-1] = (groups[-1][0], groups[-1][1], float((groups[-1][1] * wrong[heard]).sum()))
    joined: list[tuple[int, Floats, float]] = []
    for left, worth, errors in groups:
        if joined and (len(joined[-1][1]) < _FEWEST or len(worth) < _FEWEST):
            before = joined.pop()
            left, worth, errors = left + before[0], np.concatenate([before[1], worth]), errors + before[2]
        joined.append((left, worth, errors))
    joined = [group for group in joined if group[0]]
    weight = np.array([left / rows for left, _, _ in joined])
    count = np.array([len(worth) for _, worth, _ in joined])
    even = np.array([worth.sum() ** 2 / (worth**2).sum() if len(worth) else 0.0 for _, worth, _ in joined])
    share = np.array([errors / worth.sum() if len(worth) else 0.0 for _, worth, errors in joined])
    left_over = np.array([left for left, _, _ in joined], dtype=np.float64)
    # Few rows that are left may differ from those that were asked about even if the chances to be wrong are equal.
    asked = even * left_over / (count + left_over)
    return Cells(weight, asked, share * asked)


def _chances_to_be_found(chances: Chances, answered: Bools, wrong: Bools) -> tuple[Floats, float]:
    """How likely the wrong rows were asked about: of each that was found, and on average of those that are left."""
    found: list[Floats] = []
    left, weight = 0.0, 0.0
    for name in np.unique(chances.stratum[answered & wrong]):
        here = chances.stratum == name
        share = float(answered[here].mean())
        errors = int((here & answered & wrong).sum())
        found.append(np.full(errors, share))
        # As many are expected to be left as the share of those that were found says.
        here_left = errors * (1 - share) / share
        left, weight = left + here_left * share, weight + here_left
    return np.concatenate(found), left / max(weight, _TINY)


def estimate(chances: Chances, answered: Bools, wrong: Bools, rows: int, about: Bools | None = None) -> Share | None:
    """Estimate which share of the rows is wrong now; those that were found wrong are not any more.

    Args:
        chances: of the rows that were drawn from.
        answered: which of them were drawn and answered.
        wrong: which of these were wrong; they have been corrected or removed.
        rows: how many the share is of, those that annotators confirmed or corrected included.
        about: which of the rows that were drawn from it is of, if not of all: such as those of a split, which is drawn
            by chance, so that each stratum's share is theirs, too (poststratification: Holt and Smith 1979).

    Returns:
        None if nothing was answered.
    """
    if not answered.any() or not rows:
        return None
    cells = cells_of(chances, answered, wrong, rows, about)
    if not cells.weight.size:
        return Share(0.0, 0.0, 0.0)
    low, high = bounds(cells)
    if about is None and wrong.any() and answered.mean() >= _MUCH:
        low = fewest_left(*_chances_to_be_found(chances, answered, wrong), low * rows) / rows
    rate = float((cells.weight * cells.wrong / np.maximum(cells.asked, 1e-9)).sum())
    return Share(rate, low, high)
