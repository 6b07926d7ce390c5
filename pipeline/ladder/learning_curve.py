"""How a score grows with the training rows, and what more of them would bring: a power law, with a band."""

from collections.abc import Sequence

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


def forecast_of(curves: Sequence[Curve]) -> CurvePoint | None:
    """What the adapter is expected to score on twice the rows; None without its curve."""
    found = [curve for curve in curves if curve.arm == ArmName.ADAPTER.value and curve.expected]
    return found[0].expected[0] if found else None


def curve_of(arm: str, title: str, points: Sequence[tuple[int, Evaluation]]) -> Curve:
    """The curve through the evaluations of an arm that learned from more and more rows, all on the same questions.

    What is missing to a perfect score falls with a power of the rows (Hestness and others 2017, "Deep Learning Scaling
    is Predictable, Empirically"); a loss does so itself. The band holds 95% of the extrapolations from resampled
    questions; that the law may not hold further out is not in it.

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
    fits = np.linalg.lstsq(design, (logs * trust).T, rcond=None)[0]
    found = []
    for times in _AHEAD:
        rows = int(times * sizes[-1])
        # No model is expected to get worse by more rows.
        slopes = np.minimum(fits[1], 0.0)
        ahead = lacking[:, -1] * times**slopes
        values = 1 - ahead if unit is Unit.SHARE else ahead
        low, high = map(float, np.quantile(values[1:], [0.025, 0.975]))
        value = float(values[0])
        bounds = {"low": min(low, value), "high": max(high, value)}
        if np.ptp(values) == 0:
            # Questions that all came out alike say nothing of others by being drawn again.
            bounds = {"low": min(last.low, value), "high": max(last.high, value)}
        found.append(CurvePoint(rows=rows, score=Estimate(value=value, unit=unit, **bounds)))
    return found
