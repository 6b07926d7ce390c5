"""Estimates: shares, ratios and losses with their 95% intervals."""

import math
from collections.abc import Sequence
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ValidationInfo, field_serializer, field_validator

Z = 1.959964
"""Standard normal quantile for a two-sided 95% interval."""
_RESAMPLES = 2000
_DRAWN_AT_ONCE = 2**20
_SEED = 17
FEWEST = 6
"""Rows that an interval takes, and groups that a verdict does: if all of fewer got better, that is chance in more than
5% of the cases (the sign test)."""
FEWEST_QUESTIONS = 30
"""That a verdict takes: of fewer, an interval is wider than any difference that matters."""
FEWEST_ROWS = 100
"""To train on, that a verdict takes: of fewer, neither an adapter nor a linear model says much about the task."""


_MOST_DIGITS = 6


class Unit(StrEnum):
    """What a value is measured in."""

    SHARE = "share"
    """From 0 to 1; higher is better."""
    NATS = "nats"
    """Of loss per token, from 0; lower is better."""

    @property
    def note(self) -> str:
        """How to read a value, if that is not known to all."""
        match self:
            case Unit.SHARE:
                return ""
            case Unit.NATS:
                return "The loss is in nats per token, by the natural logarithm: lower is better, 0 would be certainty."

    def shown(self, value: float) -> str:
        """A value in text."""
        match self:
            case Unit.SHARE:
                return f"{value:.1%}"
            case Unit.NATS:
                return f"{value:.3f}"

    def shown_change(self, change: float, sign: str = "") -> str:
        """A difference in text, without its unit; with ``+`` as the sign, it has one, and as many digits as tell it
        from zero: on which side of it a bound is may decide.
        """
        scale, digits = (100, 1) if self is Unit.SHARE else (1, 3)
        while sign and change and digits < _MOST_DIGITS and not round(scale * change, digits):
            digits += 1
        # Not -0.0.
        return f"{round(scale * change, digits) + 0.0:{sign}.{digits}f}"

    @property
    def of_changes(self) -> str:
        """The unit of differences."""
        match self:
            case Unit.SHARE:
                return "points"
            case Unit.NATS:
                return "nats per token"

    def gain(self, change: float) -> float:
        """A difference as a gain: positive if things got better."""
        return change if self is Unit.SHARE else -change


class Estimate(BaseModel, frozen=True):
    """A value with its 95% interval; without bounds if there are too few rows to know any."""

    value: float
    low: float
    high: float
    unit: Unit = Unit.SHARE

    @field_validator("low", "high", mode="before")
    @classmethod
    def _from_json(cls, bound: object, info: ValidationInfo) -> object:
        return bound if bound is not None else -math.inf if info.field_name == "low" else math.inf

    @field_serializer("low", "high", when_used="json")
    def _in_json(self, bound: float) -> float | None:
        # JSON has no infinity.
        return bound if math.isfinite(bound) else None

    def __str__(self) -> str:
        return f"{self.unit.shown(self.value)} ({self.interval})"

    @property
    def is_bounded(self) -> bool:
        """Whether the interval has bounds."""
        return math.isfinite(self.low) and math.isfinite(self.high)

    @property
    def is_sure(self) -> bool:
        """Whether a gain is none by chance alone: its whole interval is above 0."""
        return self.is_bounded and self.low > 0

    @property
    def top(self) -> float:
        """The highest that is shown: the upper bound if there is one."""
        return self.high if self.is_bounded else self.value

    @property
    def interval(self) -> str:
        """The interval in text."""
        return f"{self.unit.shown(self.low)} to {self.unit.shown(self.high)}" if self.is_bounded else NO_INTERVAL


NO_INTERVAL = "too few rows for an interval"


def wilson(successes: float, trials: float, effect: float = 1.0) -> Estimate:
    """A share with its Wilson score interval, which also holds near 0 and 1; both may be expected numbers.

    Args:
        successes: of the trials.
        trials: at least one.
        effect: so many of them say as much as an independent one, see ``design_effect``.
    """
    share = successes / trials
    if math.isinf(effect):
        return Estimate(value=share, low=-math.inf, high=math.inf)
    trials /= effect
    scale = 1 + Z**2 / trials
    center = (share + Z**2 / (2 * trials)) / scale
    half = Z / scale * math.sqrt(share * (1 - share) / trials + Z**2 / (4 * trials**2))
    # At 0 and 1 the bounds equal the share, up to rounding.
    return Estimate(value=share, low=min(share, max(0.0, center - half)), high=max(share, min(1.0, center + half)))


def ratio_estimate(ratios: NDArray[np.float64], unit: Unit = Unit.SHARE) -> Estimate:
    """A ratio of sums with its interval: by bootstrap, of a loss by t; of a share of right answers, see ``wilson``.

    Args:
        ratios: numerator and denominator of each question, shape (n, 2).
        unit: of the ratio.
    """
    if unit is Unit.NATS:
        loss = loss_estimate(ratios)
        return loss.model_copy(update={"low": max(0.0, loss.low)}) if loss.is_bounded else loss
    return bootstrap(ratios)


def bootstrap(ratios: NDArray[np.float64], minus: NDArray[np.float64] | None = None) -> Estimate:
    """A share as a ratio of sums, or the difference of two, with its percentile interval over resampled questions.

    Resamples of few questions vary too little, so that the percentiles are expanded as Hesterberg proposes ("What
    Teachers Should Know About the Bootstrap", 2015); of fewer than 6 they say nothing. If all questions give the same
    result, so does every resample, which proves nothing: the interval is then as wide as that of a share with all
    trials successful. Nor do differences of a few questions in one direction prove that there are none in the other:
    resamples of a difference are of two questions more, see ``_with_two_more``.
    """
    count, whole = len(ratios), _ratio(ratios) - (0.0 if minus is None else _ratio(minus))
    if count < FEWEST:
        return Estimate(value=whole, low=-math.inf, high=math.inf)
    samples = _resampled(ratios) if minus is None else _resampled(*_with_two_more(ratios, minus))
    tail = resampled_tail(count)
    low, high = map(float, np.quantile(samples, [tail, 1 - tail]))
    if np.ptp(samples) == 0:
        reach, least = 1 - wilson(count, count).low, 0.0 if minus is None else -1.0
        low, high = max(least, whole - reach), min(1.0, whole + reach)
    # What was measured is never outside, though the two questions more draw the middle towards 0.
    return Estimate(value=whole, low=min(low, whole), high=max(high, whole))


def resampled_tail(count: int) -> float:
    """The share of resamples beyond each end of a 95% interval: less than 2.5% of few, as Hesterberg (2015) proposes.

    Args:
        count: what is drawn again, at least two: questions, or groups of them.
    """
    from scipy.special import ndtr, stdtrit

    return float(ndtr(math.sqrt(count / (count - 1)) * stdtrit(count - 1, 0.025)))


def _resampled(ratios: NDArray[np.float64], minus: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
    """The share, or the difference, of questions that are drawn again, many times."""
    chance, count = np.random.default_rng(_SEED), len(ratios)
    rows = ratios if minus is None else np.hstack([ratios, minus])
    at_once = max(1, _DRAWN_AT_ONCE // count)
    sums = []
    for start in range(0, _RESAMPLES, at_once):
        chosen = chance.integers(0, count, (min(at_once, _RESAMPLES - start), count))
        sums.append([column[chosen].sum(axis=1) for column in np.ascontiguousarray(rows.T)])
    earned, possible, *before = np.hstack(sums)
    return _worths(earned, possible) - (_worths(*before) if before else 0.0)


def _with_two_more(
    after: NDArray[np.float64], before: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Both with two questions more: one gets better, and one worse, by as much as those usually do that differ.

    Of shares of right answers this is the adjustment of Agresti and Min (2005): without it 4 answers of 100 that got
    better, and none worse, would be better for sure, though McNemar's test has p = 0.125; and a single one that got
    worse would prove that none gets better. Where most questions differ, it changes next to nothing.
    """
    changes = _worths(*after.T) - _worths(*before.T)
    differing = changes[changes != 0]
    if not len(differing):
        return after, before
    size = float(np.sqrt((differing**2).mean()))

    def more(rows: NDArray[np.float64], *worths: float) -> NDArray[np.float64]:
        possible = rows[:, 1].mean()
        return np.vstack([rows, [(worth * possible, possible) for worth in worths]])

    return more(after, size, 0.0), more(before, 0.0, size)


def _worths(earned: NDArray[np.float64], possible: NDArray[np.float64]) -> NDArray[np.float64]:
    """What was earned of what could have been, each time; all of nothing."""
    return np.divide(earned, possible, out=np.ones(len(earned)), where=possible > 0)


def loss_estimate(losses: NDArray[np.float64], minus: NDArray[np.float64] | None = None) -> Estimate:
    """The loss per token of some rows, or the difference of two models', with the jackknife's interval.

    Nothing bounds a loss, so that few rows, or rows that are all alike, say nothing of those to come: then the
    interval has no bounds.

    Args:
        losses: nats and tokens of each row, shape (n, 2); every row has tokens.
        minus: the same of the model that it is compared with.
    """
    from scipy.special import stdtrit

    nats, tokens = (losses if minus is None else losses - [[1, 0]] * minus).T
    value = float(nats.sum() / tokens.sum())
    count, off = len(losses), nats - value * tokens
    if count < FEWEST or np.allclose(off, 0):
        return Estimate(value=value, low=-math.inf, high=math.inf, unit=Unit.NATS)
    # How far the value moves without each row (the jackknife): a long row moves it more than a short one.
    moves = off / (tokens.sum() - tokens)
    error = math.sqrt((count - 1) / count * float((moves**2).sum()))
    reach = float(stdtrit(count - 1, 0.975)) * error
    return Estimate(value=value, low=value - reach, high=value + reach, unit=Unit.NATS)


def influences(ratios: NDArray[np.float64]) -> NDArray[np.float64]:
    """By how much each question moves a ratio of sums, times their number; of shape (n,).

    Args:
        ratios: numerator and denominator of each question, shape (n, 2).
    """
    possible = ratios[:, 1].mean()
    return (ratios[:, 0] - _ratio(ratios) * ratios[:, 1]) / possible if possible else np.zeros(len(ratios))


def design_effect(moves: NDArray[np.float64], groups: Sequence[str]) -> float:
    """How many questions of groups say as much as one that is independent of all others; at least 1.

    The variance of a mean over groups, of what was measured, divided by what it would be without groups (Kish 1965): a
    model that misreads one contract gets several of its clauses wrong. A mean lies nearer to a large group, whose part
    of the variance is raised by as much (Bell and McCaffrey, "Bias Reduction in Standard Errors for Linear Regression
    with Multi-Stage Samples", 2002). A variance that was measured on few groups is itself uncertain, so that intervals
    take a t multiplier with one degree of freedom less than there are groups (Cameron and Miller, "A Practitioner's
    Guide to Cluster-Robust Inference", 2015): what it exceeds that of independent questions by is part of the effect.
    Groups count as so many of equal size as weigh as much (Kish's effective number). Of a single group nothing follows
    for others: the effect is infinite.

    Args:
        moves: by how much each question moves the value.
        groups: of each question.
    """
    from scipy.special import stdtrit

    names, places = np.unique(list(groups), return_inverse=True)
    alone, count, asked = float((moves**2).sum()), len(names), len(moves)
    if count == asked:
        return 1.0
    if count == 1:
        return math.inf
    sizes = np.bincount(places)
    worth = float(sizes.sum() ** 2 / (sizes**2).sum())
    wider = float(stdtrit(max(1.0, worth - 1), 0.975) / stdtrit(asked - 1, 0.975))
    together = float((np.bincount(places, weights=moves) ** 2 / (1 - sizes / asked)).sum())
    return max(1.0, together / alone if alone else 1.0) * max(1.0, wider) ** 2


def widened(estimate: Estimate, effect: float, least: float = 0.0) -> Estimate:
    """An interval for questions of which so many say as much as an independent one.

    Args:
        estimate: as if all were independent.
        effect: see ``design_effect``.
        least: what a share cannot be below; of a difference, -1.
    """
    if not estimate.is_bounded or effect == 1:
        return estimate
    if math.isinf(effect):
        return estimate.model_copy(update={"low": -math.inf, "high": math.inf})
    times, value = math.sqrt(effect), estimate.value
    low, high = value - times * (value - estimate.low), value + times * (estimate.high - value)
    if estimate.unit is Unit.SHARE:
        low, high = max(low, least), min(high, 1.0)
    return estimate.model_copy(update={"low": low, "high": high})


def _ratio(rows: NDArray[np.float64]) -> float:
    numerator, denominator = rows.sum(axis=0)
    return float(numerator / denominator) if denominator else 1.0
