"""How given labels came about: the right label, as the models see it, and now and then another one instead.

All that is unknown is fitted at once, by making the given labels most likely: how much each model is to be trusted,
how many labels are wrong at random, and how many are confused with similar ones. No rate and no weight is fixed, and
mistakes are part of the model, so that they make no model look worse than it is.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Scores = npt.NDArray[np.float32]

_FITTED_NUMBERS = 200_000
"""Rows times labels that the model is fitted to: it has few parameters."""
_FEWEST_ROWS = 2_000
_ROUNDS = (10, 25)
"""Steps before and after it is looked up which labels are similar."""
_SHARPNESS = 1.5
"""Of labels that are hard to tell apart, the nearest are confused most; of 1, 1.5 and 2, 1.5 makes labels likeliest."""
_MOST_WRONG = 0.6
"""Of the labels; and less than the share at which labels drawn by lot are wrong."""
_TRUSTED = 10
"""As if so many more labels had been seen right: where texts say nothing, labels are not wrong for that."""
_CLEAR = 0.05
"""How much less likely a text is for every nat of doubt between labels: most texts have one right label. Where a tenth
of the labels of texts that are all alike differ, it says that these are wrong, and not that each has a tenth of them.
"""
_AMBIGUOUS = 0.2
"""So much of what another label is likelier by counts as a chance of being wrong: chosen so that a fifth of mistakes in
one direction is asked about (``review.floor``); it costs up to 1.3 points of the 10% flips found (docs/decisions.md).
"""
_START = np.array([-2.0, 0.0])
"""At first a tenth of the labels are wrong, half of them by chance."""
_TIES = 0.005
"""What holds the weights of the models together, where labels do not tell which is the better one."""
_TINY = 1e-12


@dataclass(frozen=True)
class Channel:
    """A fitted model of given labels."""

    weights: Floats
    """How much each model counts."""
    random: float
    """The share of the labels that are any other than the right one."""
    confused: float
    """The share of the labels that are a similar one instead."""
    similar: npt.NDArray[Any]
    """Labels x labels: with which others the one of a row is confused; rows sum to 1."""
    mistaken: float
    """Of the labels that look confused, the share that is wrong: the others fit two labels, and are right."""

    def right(self, models: Scores) -> Floats:
        """The probability of each label to be the right one, whatever was given: rows x labels."""
        # Model by model: a product of matrices may round a row in another way if others are with it.
        mixed: Floats = np.zeros(models.shape[1:])
        for weight, log in zip(self.weights.tolist(), models, strict=True):
            mixed += weight * log.astype(np.float64)
        return _probabilities(mixed)

    def wrong(self, right: Floats, given: Ints) -> Floats:
        """The probability that the given label of each row is wrong.

        Of a label that may be right although another one is likelier by the text, a part counts: labels alone cannot
        tell a fifth that is always mistaken the same way from texts that fit two labels.
        """
        by_chance, by_likeness, kept = _ways(right, given, self.random, self.confused, self.similar)
        found: Floats = (by_chance + self.mistaken * by_likeness) / (by_chance + by_likeness + kept)
        likelier = right.max(axis=1) - right[np.arange(len(given)), given]
        found += (1 - found) * _AMBIGUOUS * likelier
        return found


def fit_channel(models: Scores, given: Ints, verified: Bools, seed: int) -> Channel:
    """Fit the model.

    Args:
        models: the log probabilities of each, models x rows x labels.
        given: the label of each row.
        verified: labels that are known to be right.
        seed: of the sample of rows that it is fitted to.
    """
    most = max(_FITTED_NUMBERS // models.shape[2], _FEWEST_ROWS)
    if len(given) > most:
        rows = np.sort(np.random.default_rng(seed).choice(len(given), most, replace=False))
        models, given, verified = models[:, rows], given[rows], verified[rows]
    # A choice of rows leaves arrays in another order, which every product with them would copy.
    logs = np.ascontiguousarray(models, dtype=np.float64)
    parameters = np.concatenate([np.full(len(logs), -np.log(len(logs))), _START])
    right = _mixed(np.exp(parameters[:-2]), logs)
    for steps in _ROUNDS:
        similar = _similar(right)
        parameters = _fitted(parameters, logs, given, verified, similar, steps)
        weights, random, confused = _read(parameters, logs.shape[2])
        right = _mixed(weights, logs)
    similar = _similar(right)
    # Where the models cannot tell labels apart, a label may well be one of two that fit.
    unsure = float((1 - right.max(axis=1)).mean())
    return Channel(weights, random, confused, similar, confused / (confused + unsure + _TINY))


def _mixed(weights: Floats, logs: Floats) -> Floats:
    """The weighted product of the models' probabilities, as probabilities."""
    return _probabilities(np.tensordot(weights, logs, 1))


def _probabilities(mixed: npt.NDArray[Any]) -> Floats:
    found: Floats = np.exp(mixed - mixed.max(axis=1, keepdims=True))
    found /= found.sum(axis=1, keepdims=True)
    return found


def _similar(right: Floats) -> Floats:
    """How often each label is likely where another one is."""
    together = right.T @ right
    np.fill_diagonal(together, 0)
    together = together**_SHARPNESS + _TINY
    np.fill_diagonal(together, 0)
    found: Floats = together / together.sum(axis=1, keepdims=True)
    return found


def _most(labels: int) -> float:
    return min(_MOST_WRONG, 0.8 * (1 - 1 / labels))


def _read(parameters: Floats, labels: int) -> tuple[Floats, float, float]:
    """The weights of the models, and the shares of random and of confused labels."""
    from scipy.special import expit

    wrong, by_chance = expit(parameters[-2:])
    wrong *= _most(labels)
    return np.exp(parameters[:-2]), float(wrong * by_chance), float(wrong * (1 - by_chance))


def _ways(right: Floats, given: Ints, random: float, confused: float, similar: Floats) -> tuple[Floats, Floats, Floats]:
    """How likely each row has its given label by chance, by confusion, and because it is right."""
    own = right[np.arange(len(given)), given]
    by_chance = random * (1 - own) / (right.shape[1] - 1)
    by_likeness = confused * (right * similar.T[given]).sum(axis=1)
    return by_chance, by_likeness, (1 - random - confused) * own


def _fitted(start: Floats, logs: Floats, given: Ints, verified: Bools, similar: Floats, steps: int) -> Floats:
    from scipy.optimize import minimize

    rows, labels = np.arange(len(given)), logs.shape[2]
    others, most = labels - 1, _most(labels)
    confusable = similar.T[given]
    open_ = ~verified

    def loss(parameters: Floats) -> tuple[float, Floats]:
        weights, random, confused = _read(parameters, logs.shape[2])
        right = _mixed(weights, logs)
        own = right[rows, given]
        by_chance = (1 - own) / others
        by_likeness = (right * confusable).sum(axis=1)
        rates = np.where(open_, 1.0, 0.0)
        total = own + rates * (random * (by_chance - own) + confused * (by_likeness - own)) + _TINY
        slope = -(rates * confused / total)[:, None] * confusable
        slope[rows, given] -= (1 - rates * (random + confused) - rates * random / others) / total
        doubts = np.log(right + _TINY)
        slope -= _CLEAR * (doubts + right / (right + _TINY))
        slope = right * (slope - (slope * right).sum(axis=1, keepdims=True)) / len(given)
        moves = np.tensordot(logs, slope, 2) * weights
        by_rate = -(rates[:, None] * np.stack([by_chance - own, by_likeness - own], axis=1) / total[:, None]).mean(
            axis=0
        )
        # As if one more mistake of each kind had been seen: none is impossible.
        at = np.array([random, confused])
        wrong = random + confused
        by_rate += (_TRUSTED / (1 - wrong) - 1 / at) / len(given)
        split = random * confused / wrong
        turns = [(by_rate @ at) * (1 - wrong / most), (by_rate[0] - by_rate[1]) * split]
        ties = parameters[:-2] - start[:-2]
        doubt = -_CLEAR * (right * doubts).sum(axis=1)
        expected = _TRUSTED * np.log(1 - wrong) + np.log(at).sum()
        value = float((doubt - np.log(total)).mean() - expected / len(given) + _TIES * (ties**2).mean())
        return value, np.concatenate([moves + 2 * _TIES * ties / len(ties), turns])

    found: Floats = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": steps}).x
    return found
