"""How likely each label belongs to each row: one linear model per label, trained on other rows, and calibrated."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

_PASSES = 5
"""Scores hardly change after that: their correlation with those of ten passes is 0.999."""
_COST = 0.3
_LARGEST_LOG_ODDS = 12.0
_CALIBRATION_ROWS = 20_000


def rarest_labels(given: Bools) -> Ints:
    """The rarest label of each row, numbered without gaps; the empty set is a label of its own."""
    counts = given.sum(axis=0)
    ranked = np.where(given, counts, len(given) + 1)
    empty = np.full((len(given), 1), len(given))
    found: Ints = np.unique(np.hstack([ranked, empty]).argmin(axis=1), return_inverse=True)[1]
    return found


Weights = npt.NDArray[np.float32]
"""Features + 1 x labels; the last line is added for every row."""


def out_of_fold(
    features: Any, given: Bools, folds: Ints, seed: int, keep: Callable[[int, Weights, Ints], None] | None = None
) -> Floats:
    """Scores of every row for every label, by models that did not see the row's fold.

    Args:
        features: of the rows (sparse).
        given: rows x labels.
        folds: of the rows.
        seed: of the order in which rows are visited.
        keep: is given each fold, the weights of its models, and the rows that they were trained on.
    """
    scores = np.empty(given.shape)
    for fold in np.unique(folds).tolist():
        inside, outside = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
        weights = trained_weights(features[outside], given[outside], seed)
        scores[inside] = linear_scores(weights, features[inside])
        if keep:
            keep(fold, weights, outside)
    return scores


def linear_scores(weights: Weights, wanted: Any) -> Floats:
    """The scores of rows for each label."""
    found: Floats = (wanted @ weights[:-1] + weights[-1]).astype(np.float64)
    return found


def feature_counts(features: Any, given: Bools) -> npt.NDArray[np.float32]:
    """Features x labels: in how many rows with each label each feature occurs."""
    found: npt.NDArray[np.float32] = occurring(features).T @ given.astype(np.float32)
    return found


def occurring(features: Any) -> Any:
    """Which features rows have, however often (sparse)."""
    found = features.copy()
    found.data = np.ones_like(found.data)
    return found


def trained_weights(features: Any, given: Bools, seed: int, passes: int = _PASSES) -> Weights:
    """Train one model per label."""
    # Imported here: numba takes half a second to import.
    from pipeline.label_errors.svm_kernels import train

    random = np.random.default_rng(seed)
    orders = np.array([random.permutation(len(given)) for _ in range(passes)])
    weights = np.zeros((features.shape[1] + 1, given.shape[1]), dtype=np.float32)
    train(features.indptr, features.indices, features.data, given, orders, _COST, weights)
    return weights


@dataclass(frozen=True)
class Calibration:
    """A line per label, from scores to log odds."""

    slopes: Floats
    intercepts: Floats

    def log_odds(self, scores: Floats) -> Floats:
        """The log odds of scores, limited: no score is certain."""
        found: Floats = np.clip(self.slopes * scores + self.intercepts, -_LARGEST_LOG_ODDS, _LARGEST_LOG_ODDS)
        return found


def calibrated(scores: Floats, given: Bools) -> Calibration:
    """Calibrate each label, and keep the slopes of rare ones near that of all labels together."""
    step = len(scores) // _CALIBRATION_ROWS + 1
    scores, given = scores[::step], given[::step]
    start = Calibration(np.ones(1), -np.ones(1))
    common = _lines(scores.reshape(-1, 1), given.reshape(-1, 1), start, ties=1e-3)
    labels = given.shape[1]
    spread = Calibration(np.repeat(common.slopes, labels), np.repeat(common.intercepts, labels))
    return _lines(scores, given, spread, ties=1.0)


def _lines(scores: Floats, given: Bools, start: Calibration, ties: float) -> Calibration:
    """A logistic regression per column on one variable, by Newton's method; ``ties`` hold its line near the start."""
    from scipy.special import expit

    slopes, intercepts = start.slopes.copy(), start.intercepts.copy()
    for _ in range(30):
        shares = expit(slopes * scores + intercepts)
        errors, weights = shares - given, shares * (1 - shares)
        slope = (errors * scores).sum(axis=0) + ties * (slopes - start.slopes)
        intercept = errors.sum(axis=0) + ties * (intercepts - start.intercepts) * 1e-3
        steep = (weights * scores**2).sum(axis=0) + ties
        mixed, flat = (weights * scores).sum(axis=0), weights.sum(axis=0) + ties * 1e-3
        scale = steep * flat - mixed**2
        moves = np.stack([flat * slope - mixed * intercept, steep * intercept - mixed * slope]) / scale
        # Far from the optimum a full step may overshoot.
        moves /= np.maximum(np.abs(moves).max(axis=0) / 2, 1)
        slopes, intercepts = slopes - moves[0], intercepts - moves[1]
    return Calibration(slopes, intercepts)
