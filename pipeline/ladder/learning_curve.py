"""How a score grows with the training rows, and what more of them would bring: a power law, with a band."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from pipeline.evaluation.estimates import Estimate, Unit, resampled_tail
from pipeline.evaluation.scores import groups, judged_in, ratios
from pipeline.finetuning.evaluate import Evaluation
from pipeline.text.wording import counted, sentence
from schemas.arms_section import ArmName

SHARES = (0.1, 0.25, 0.5, 1.0)
"""Of the training rows, at which the score is measured."""
_AHEAD = (2, 4)
"""So many times the rows are looked ahead where all were learned; else to those that there are, and twice as many."""
_FEWEST_POINTS = 3
_FAR = 3.0
"""A factor of 20: what lacks so much more is as good as unknown."""
_TELLS_NOTHING = 0.8
"""A band that takes so much of all shares there are, from 0 to 1."""
_RESAMPLES = 1000
_SEED = 17

Floats = NDArray[np.float64]


class CurvePoint(BaseModel, frozen=True):
    """The score of a model that learned from so many rows."""

    rows: int
    score: Estimate


class Curve(BaseModel, frozen=True):
    """The learning curve of one arm."""

    arm: str
    title: str
    measured: tuple[CurvePoint, ...]
    expected: tuple[CurvePoint, ...] = ()
    """On more rows than were learned, with the band of the extrapolation; empty if there are too few points, or if the
    band holds nearly every score."""
    is_untold: bool = False
    """Whether nothing is expected since the band holds nearly every score."""
    questions: int = 0
    """That every point was asked, which may be fewer than the arm itself; 0 if that was not written down."""
    growth: Estimate | None = None
    """How much better it is expected on the first of these rows than on those that it learned, on the same questions;
    None if nothing is expected."""
    leads: dict[str, Estimate] = {}
    """By how much it would then be better than other arms, by their names, on the same questions; of the adapter."""

    def __str__(self) -> str:
        points = ", ".join(f"{one.score.unit.shown(one.score.value)} on {one.rows:,}" for one in self.measured)
        ahead = ", ".join(f"{one.score} on {one.rows:,}" for one in self.expected[:1])
        asked = f", on {counted(self.questions, 'question')}" if self.questions else ""
        told = f"{sentence(self.title)} by training rows{asked}: {points}"
        if self.is_untold:
            return f"{told}; what more rows would bring cannot be told, since nearly every score is possible."
        return f"{told}; expected {ahead}." if ahead else f"{told}."


class LearnedPoint(BaseModel, frozen=True):
    """What a model that learned from so many rows earned, question by question."""

    rows: int
    score: Estimate
    credits: tuple[tuple[float, float], ...]
    """Of every question: earned, and possible; or nats and tokens."""


class Learned(BaseModel, frozen=True):
    """An arm after it learned from more and more rows, asked the same questions each time."""

    arm: str
    title: str
    unit: Unit
    ids: tuple[str, ...]
    """Of the questions."""
    groups: tuple[str, ...]
    points: tuple[LearnedPoint, ...]
    """Fewest rows first, at least one."""

    @classmethod
    def of(cls, arm: str, title: str, points: Sequence[tuple[int, Evaluation]]) -> "Learned":
        """Training rows and the evaluation after them, with its outcomes, all of the same questions."""
        outcomes = points[0][1].outcomes
        return cls(
            arm=arm,
            title=title,
            unit=judged_in(outcomes),
            ids=tuple(one.id for one in outcomes),
            groups=tuple(groups(outcomes)),
            points=tuple(
                LearnedPoint(
                    rows=rows, score=found.score, credits=tuple((a, b) for a, b in ratios(found.outcomes).tolist())
                )
                for rows, found in points
            ),
        )

    @property
    def is_enough(self) -> bool:
        """Whether there are points enough for a law."""
        return len(self.points) >= _FEWEST_POINTS


class AllLearned(BaseModel, frozen=True):
    """That of one arm: none where it has no answer."""

    arms: tuple[Learned, ...]


def adapter_curve(curves: Sequence[Curve]) -> Curve | None:
    """That of the adapter, if there are points enough to ask what more rows would bring."""
    known = (one for one in curves if one.expected or one.is_untold)
    return next((one for one in known if one.arm == ArmName.ADAPTER.value), None)


def curve_of(learned: Learned, rivals: Sequence[Learned] = (), undrawn: int = 0) -> Curve:
    """The curve of an arm, and what it and others are expected to score on more rows.

    What is missing to a perfect score falls with a power of the rows (Hestness and others 2017, "Deep Learning Scaling
    is Predictable, Empirically"); a loss does so itself. The band holds 95% of the extrapolations from resampled
    questions, or groups of them (the cluster bootstrap: Davison and Hinkley, "Bootstrap Methods and their Application",
    1997), and is wider where the points lie further from the law than other questions explain: each is of one
    training, and trainings differ by chance. That the law may not hold further out is not in it.

    Growth and leads are differences on the same resampled questions (paired: what is hard for one point is so for the
    others), again with what trainings differ by. They are not the band minus a score of now.

    Args:
        learned: the arm.
        rivals: those that it is compared with, as far as they were asked the same questions, or more. One that has
            points enough is extrapolated to as many rows, too; another is taken as it is now.
        undrawn: rows that only the arm has not learned: they are looked ahead to first, where rivals are already.
    """
    measured = tuple(CurvePoint(rows=one.rows, score=one.score) for one in learned.points)
    plain = Curve(arm=learned.arm, title=learned.title, measured=measured, questions=len(learned.ids))
    if not learned.is_enough:
        return plain
    weights = _weights(learned.groups)
    tail = resampled_tail(max(2, len(set(learned.groups))))
    last, unit = measured[-1], learned.unit
    every = last.rows + undrawn
    targets = (every, 2 * every) if undrawn else tuple(times * every for times in _AHEAD)
    first, *_ = aheads = [_ahead(learned, weights, rows / last.rows) for rows in targets]
    expected = [
        CurvePoint(rows=rows, score=_band(one, tail, unit, last.score))
        for rows, one in zip(targets, aheads, strict=True)
    ]
    if _tells_nothing(expected[0].score):
        return plain.model_copy(update={"is_untold": True})
    expected = [one for one in expected if not _tells_nothing(one.score)]
    leads = {
        one.arm: _difference(first.then - other.then, tail, unit, first, other)
        for one in rivals
        if set(learned.ids) <= set(one.ids)
        for other in [_ahead(one, weights, targets[0] / every, learned.ids)]
    }
    growth = _difference(first.then - first.now, tail, unit, first)
    return plain.model_copy(update={"expected": tuple(expected), "growth": growth, "leads": leads})


@dataclass(frozen=True)
class _Ahead:
    """Scores now and on more rows: of the questions themselves, then of each resample."""

    now: Floats
    then: Floats
    better: float
    """By how much the last of these may be better, or worse, for the trainings, in 95 of 100 cases."""
    worse: float


def _weights(names: Sequence[str]) -> Floats:
    """How often each question counts: as it is, then in each resample. Shape (resamples + 1, questions)."""
    kinds, places = np.unique(list(names), return_inverse=True)
    count = len(kinds)
    chosen = np.random.default_rng(_SEED).integers(0, count, (_RESAMPLES, count))
    drawn = np.array([np.bincount(row, minlength=count) for row in chosen], dtype=np.float64)
    return np.vstack([np.ones(len(places)), drawn[:, places]])


def _ahead(learned: Learned, weights: Floats, times: float, ids: Sequence[str] = ()) -> _Ahead:
    """Extrapolate scores to so many times the rows.

    Args:
        learned: of the arm; with fewer points than a law takes, it stays where it is.
        weights: see ``_weights``.
        times: the rows; at 1 it stays where it is.
        ids: of the questions, if not all of the arm's.
    """
    count, unit = weights.shape[1], learned.unit
    known = {one: place for place, one in enumerate(learned.ids)}
    asked = [known[one] for one in ids or learned.ids]
    sizes = np.array([one.rows for one in learned.points], dtype=np.float64)
    sums = np.tensordot(weights, np.array([one.credits for one in learned.points])[:, asked], axes=(1, 1))
    scores = sums[:, :, 0] / np.maximum(sums[:, :, 1], 1e-12)
    if not learned.is_enough or times == 1:
        return _Ahead(scores[:, -1], scores[:, -1], 0.0, 0.0)
    lacking = 1 - scores if unit is Unit.SHARE else scores
    # Nothing lacking has no logarithm: of answers that are all right, half a wrong one.
    logs, places = np.log(np.clip(lacking, 0.5 / count if unit is Unit.SHARE else 1e-9, None)), np.log(sizes)
    # More rows stand for more trust: the beginning of a curve follows no law.
    trust = np.sqrt(sizes / sizes.sum())
    design = np.stack([np.ones_like(places), places], axis=1) * trust[:, None]
    trusted = (logs * trust).T
    fits = np.linalg.lstsq(design, trusted, rcond=None)[0]
    doubt = _doubt(((trusted - design @ fits) ** 2).sum(axis=0) * len(sizes), len(sizes) - 2)
    # No model is expected to get worse by more rows.
    ahead = lacking[:, -1] * times ** np.minimum(fits[1], 0.0)
    return _Ahead(
        now=scores[:, -1],
        then=1 - ahead if unit is Unit.SHARE else ahead,
        better=float(ahead[0]) * -math.expm1(-doubt),
        worse=float(ahead[0]) * math.expm1(min(doubt, _FAR)),
    )


def _doubt(misfits: Floats, free: int) -> float:
    """By how much, as a logarithm, a point may be off the law for its training, in 95 of 100 cases.

    Args:
        misfits: sums of squares of what the law leaves unexplained: of the sample, then of the resamples.
        free: how many points there are beyond those that make a law.
    """
    from scipy.special import stdtrit

    by_questions = max(float(misfits[1:].mean() - misfits[0]), 0.0)
    by_training = max(float(misfits[0]) - by_questions, 0.0)
    return float(stdtrit(free, 0.975)) * math.sqrt(by_training / free)


def _band(ahead: _Ahead, tail: float, unit: Unit, last: Estimate) -> Estimate:
    """An extrapolated score, with the bounds of other questions and of other trainings.

    Args:
        ahead: what it is expected at.
        tail: the share of resamples beyond each end.
        unit: of the score.
        last: the score of the last point.
    """
    value = float(ahead.then[0])
    if np.ptp(ahead.then) == 0:
        # Questions that all came out alike say nothing of others by being drawn again.
        return Estimate(value=value, low=min(last.low, value), high=max(last.high, value), unit=unit)
    up, down = (ahead.better, ahead.worse) if unit is Unit.SHARE else (ahead.worse, ahead.better)
    below, above = _reach(ahead.then, tail)
    low, high = value - math.hypot(below, down), value + math.hypot(above, up)
    return Estimate(value=value, low=max(low, 0.0), high=min(high, 1.0) if unit is Unit.SHARE else high, unit=unit)


def _tells_nothing(band: Estimate) -> bool:
    """Whether a band is about as wide as everything that is possible; a loss may be anything."""
    return band.unit is Unit.SHARE and band.high - band.low >= _TELLS_NOTHING


def _difference(changes: Floats, tail: float, unit: Unit, ahead: _Ahead, other: _Ahead | None = None) -> Estimate:
    """A gain, positive if things get better: of growth, or over another arm; without bounds if all resamples agree.

    Args:
        changes: of the score.
        tail: the share of resamples beyond each end.
        unit: of the score.
        ahead: what gets better.
        other: what it is compared with on as many rows.
    """
    gains = changes if unit is Unit.SHARE else -changes
    value = float(gains[0]) + 0.0
    if np.ptp(gains) == 0:
        return Estimate(value=value, low=-math.inf, high=math.inf, unit=unit)
    below, above = _reach(gains, tail)
    its_better, its_worse = (other.better, other.worse) if other else (0.0, 0.0)
    return Estimate(
        value=value,
        low=value - math.hypot(below, ahead.worse, its_better),
        high=value + math.hypot(above, ahead.better, its_worse),
        unit=unit,
    )


def _reach(values: Floats, tail: float) -> tuple[float, float]:
    """How far resamples lie below and above the sample, which comes first."""
    low, high = map(float, np.quantile(values[1:], [tail, 1 - tail]))
    return max(0.0, float(values[0]) - low), max(0.0, high - float(values[0]))
