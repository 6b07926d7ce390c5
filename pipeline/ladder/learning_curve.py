"""How a score grows with the training rows, and what more of them would bring: a power law, with a band."""

import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from pipeline.evaluation.estimates import Estimate, Unit
from pipeline.evaluation.scores import judged_in, ratios
from pipeline.finetuning.evaluate import Evaluation
from pipeline.text.wording import counted, sentence
from schemas.arms_section import ArmName

SHARES = (0.1, 0.25, 0.5, 1.0)
"""Of the training rows, at which the score is measured."""
_AHEAD = (2, 4)
"""So many times the rows are looked ahead."""
_FEWEST_POINTS = 3
_FAR = 3.0
"""A factor of 20: what lacks so much more is as good as unknown."""
_RESAMPLES = 1000
_SEED = 17

Floats = NDArray[np.float64]


class CurvePoint(BaseModel):
    """The score of a model that learned from so many rows."""

    model_config = ConfigDict(frozen=True)

    rows: int
    score: Estimate


class Curve(BaseModel):
    """The learning curve of one arm."""

    model_config = ConfigDict(frozen=True)

    arm: str
    title: str
    measured: tuple[CurvePoint, ...]
    expected: tuple[CurvePoint, ...] = ()
    """On more rows than there are, with the band of the extrapolation; empty if there are too few points."""
    questions: int = 0
    """That every point was asked, which may be fewer than the arm itself; 0 if that was not written down."""

    def __str__(self) -> str:
        points = ", ".join(f"{one.score.unit.shown(one.score.value)} on {one.rows:,}" for one in self.measured)
        ahead = ", ".join(f"{one.score} on {one.rows:,}" for one in self.expected[:1])
        asked = f", on {counted(self.questions, 'question')}" if self.questions else ""
        told = f"{sentence(self.title)} by training rows{asked}: {points}"
        return f"{told}; expected {ahead}." if ahead else f"{told}."


class Curves(BaseModel):
    """Those of one arm: none where it has no answer."""

    model_config = ConfigDict(frozen=True)

    curves: tuple[Curve, ...]


def forecast_of(curves: Sequence[Curve]) -> CurvePoint | None:
    """What the adapter is expected to score on twice the rows; None without its curve."""
    return next((curve.expected[0] for curve in _of_adapter(curves)), None)


def curve_end_of(curves: Sequence[Curve]) -> float | None:
    """What the adapter scores on all rows, on the questions of its curve; None without one."""
    return next((curve.measured[-1].score.value for curve in _of_adapter(curves)), None)


def _of_adapter(curves: Sequence[Curve]) -> Iterator[Curve]:
    return (curve for curve in curves if curve.arm == ArmName.ADAPTER.value and curve.expected)


def curve_of(arm: str, title: str, points: Sequence[tuple[int, Evaluation]]) -> Curve:
    """The curve through the evaluations of an arm that learned from more and more rows, all on the same questions.

    What is missing to a perfect score falls with a power of the rows (Hestness and others 2017, "Deep Learning Scaling
    is Predictable, Empirically"); a loss does so itself. The band holds 95% of the extrapolations from resampled
    questions, and is wider where the points lie further from the law than other questions explain: each is of one
    training, and trainings differ by chance. That the law may not hold further out is not in it.

    Args:
        arm: its name.
        title: the same in words.
        points: training rows and the evaluation after them, fewest rows first; with their outcomes.
    """
    measured = tuple(CurvePoint(rows=rows, score=found.score) for rows, found in points)
    asked = points[0][1].questions
    if len(points) < _FEWEST_POINTS:
        return Curve(arm=arm, title=title, measured=measured, questions=asked)
    unit = judged_in(points[0][1].outcomes)
    sizes = np.array([rows for rows, _ in points], dtype=np.float64)
    credits = np.array([ratios(found.outcomes) for _, found in points])
    expected = _expected(sizes, credits, unit, measured[-1].score)
    return Curve(arm=arm, title=title, measured=measured, expected=tuple(expected), questions=asked)


def _expected(sizes: Floats, credits: Floats, unit: Unit, last: Estimate) -> list[CurvePoint]:
    """Extrapolate scores.

    Args:
        sizes: training rows of each point.
        credits: points x questions x (earned, possible).
        unit: of the score.
        last: the score of the last point.
    """
    count = credits.shape[1]
    chosen = np.random.default_rng(_SEED).integers(0, count, (_RESAMPLES, count))
    # The first line is the sample itself.
    weights = np.vstack([np.ones(count), np.array([np.bincount(row, minlength=count) for row in chosen])])
    sums = np.einsum("rq,pqe->rpe", weights, credits)
    scores = sums[:, :, 0] / np.maximum(sums[:, :, 1], 1e-12)
    lacking = 1 - scores if unit is Unit.SHARE else scores
    # Nothing lacking has no logarithm: of answers that are all right, half a wrong one.
    logs, places = np.log(np.clip(lacking, 0.5 / count if unit is Unit.SHARE else 1e-9, None)), np.log(sizes)
    # More rows stand for more trust: the beginning of a curve follows no law.
    trust = np.sqrt(sizes / sizes.sum())
    design = np.stack([np.ones_like(places), places], axis=1) * trust[:, None]
    trusted = (logs * trust).T
    fits = np.linalg.lstsq(design, trusted, rcond=None)[0]
    doubt = _doubt(((trusted - design @ fits) ** 2).sum(axis=0) * len(sizes), len(sizes) - 2)
    found = []
    for times in _AHEAD:
        rows = int(times * sizes[-1])
        # No model is expected to get worse by more rows.
        slopes = np.minimum(fits[1], 0.0)
        ahead = lacking[:, -1] * times**slopes
        values = 1 - ahead if unit is Unit.SHARE else ahead
        value = float(values[0])
        bounds = _band(values, float(ahead[0]), doubt, unit)
        if np.ptp(values) == 0:
            # Questions that all came out alike say nothing of others by being drawn again.
            bounds = {"low": min(last.low, value), "high": max(last.high, value)}
        found.append(CurvePoint(rows=rows, score=Estimate(value=value, unit=unit, **bounds)))
    return found


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


def _band(values: Floats, lacking: float, doubt: float, unit: Unit) -> dict[str, float]:
    """The bounds of an extrapolated score: of other questions, and of other trainings.

    Args:
        values: of the sample, then of the resamples.
        lacking: what the first of them lacks, or its loss.
        doubt: the factor, as a logarithm, by which that may be off.
        unit: of the score.
    """
    value = float(values[0])
    low, high = map(float, np.quantile(values[1:], [0.025, 0.975]))
    less, more = lacking * -math.expm1(-doubt), lacking * math.expm1(min(doubt, _FAR))
    up, down = (less, more) if unit is Unit.SHARE else (more, less)
    low, high = value - math.hypot(value - min(low, value), down), value + math.hypot(max(high, value) - value, up)
    return {"low": max(low, 0.0), "high": min(high, 1.0) if unit is Unit.SHARE else high}
