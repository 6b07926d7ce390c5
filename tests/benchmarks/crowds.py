"""Simulated annotators: teams, mid-sized crowds and large ones, with the ways in which annotators are known to err.

Those of the families ``alike`` and ``rare`` make the same mistakes about the same items, as no model of them expects.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

FAMILIES = ("team", "mid", "crowd")
MISLED = ("alike", "rare")


@dataclass(frozen=True)
class Crowd:
    """Votes and what is true."""

    votes: Integers
    """Item, annotator and label, shape (n, 3)."""
    truth: Integers
    """By item."""
    labels: int


def crowd(seed: int, family: str) -> Crowd:
    """A crowd whose annotators, taken together, give the right label of each kind more often than any other one."""
    for attempt in range(10_000):
        chance = np.random.default_rng([seed, 1 + FAMILIES.index(family), attempt])
        labels, items, annotators, each = _size(chance, family)
        prior = chance.dirichlet(np.full(labels, chance.choice([1.0, 3.0, 20.0]))) + 0.02
        truth = chance.choice(labels, items, p=prior / prior.sum())
        tables, mistakes = _tables(chance, labels, annotators, is_team=family == "team")
        difficult = chance.random(items) < chance.choice([0, 0, 0.05, 0.15])
        # Some annotate much more than others.
        activity = chance.pareto(chance.choice([0.8, 1.5, 5.0]), annotators) + 0.02
        activity /= activity.sum()
        pooled = np.einsum("a,akl->kl", activity, tables)
        if (pooled.diagonal() >= 1.1 * np.where(np.eye(labels, dtype=bool), 0, pooled).max(axis=1)).all():
            break
    votes = []
    for item, true in enumerate(truth):
        who = chance.choice(annotators, min(each, annotators), replace=False, p=activity)
        for annotator in who:
            odds = tables[annotator, true]
            if difficult[item]:
                odds = (odds + mistakes[true]) / 2
            votes.append((item, annotator, chance.choice(labels, p=odds / odds.sum())))
    return Crowd(np.array(votes), truth, labels)


def misled(seed: int, family: str) -> Crowd:
    """A crowd that errs alike: ``rare`` labels are taken for a frequent one; items and schools mislead (``alike``)."""
    chance = np.random.default_rng([seed, 77])
    is_rare = family == "rare"
    labels, items = (3 if is_rare else int(chance.choice([2, 3, 4, 5]))), int(chance.choice([300, 576, 1000]))
    annotators = int(chance.choice([30, 57, 120] if is_rare else [5, 12, 40, 100]))
    frequent = chance.uniform(0.75, 0.92)
    prior = (
        np.array([(1 - frequent) / 2, frequent, (1 - frequent) / 2]) if is_rare else chance.dirichlet([3.0] * labels)
    )
    truth = chance.choice(labels, items, p=prior)
    wrong = (truth + chance.integers(1, labels, items)) % labels
    pull = np.where(chance.random(items) < chance.uniform(0.05, 0.2), chance.uniform(0.3, 0.8), 0.0)
    if is_rare:
        wrong, pull = np.where(truth == 1, wrong, 1), np.where(truth == 1, pull, 1 - chance.beta(1, 2, items))
    schools = chance.integers(1 if is_rare else 3, size=annotators)
    taught = (truth + chance.integers(1, labels, (3, items))) % labels
    is_taught = chance.random((3, items)) < (0 if is_rare else chance.uniform(0, 0.25))
    right = 1 / (1 + np.exp(-chance.normal(chance.uniform(0.8, 2.5), chance.uniform(0.1, 1.0), annotators)))
    activity = chance.pareto(chance.choice([0.8, 1.5, 5.0]), annotators) + 0.02
    votes = []
    for item in range(items):
        for who in chance.choice(annotators, 5, replace=False, p=activity / activity.sum()):
            said = truth[item]
            if chance.random() < pull[item]:
                said = wrong[item]
            elif is_taught[schools[who], item] and chance.random() < 0.8:
                said = taught[schools[who], item]
            if chance.random() > right[who]:
                said = (said + chance.integers(1, labels)) % labels
            votes.append((item, who, said))
    return Crowd(np.array(votes), truth, labels)


def _size(chance: np.random.Generator, family: str) -> tuple[int, int, int, int]:
    """Labels, items, annotators and votes per item."""
    labels = int(chance.choice([2, 2, 3, 4, 5, 5, 7, 10]))
    match family:
        case "team":
            annotators = int(chance.integers(3, 9))
            return labels, int(chance.integers(40, 400)), annotators, int(chance.integers(3, min(annotators, 5) + 1))
        case "mid":
            return labels, int(chance.integers(200, 1500)), int(chance.integers(8, 50)), int(chance.integers(3, 8))
        case _:
            return labels, int(chance.integers(500, 3000)), int(chance.integers(50, 250)), int(chance.integers(3, 11))


def _tables(chance: np.random.Generator, labels: int, annotators: int, is_team: bool) -> tuple[Floats, Floats]:
    """How each annotator mistakes labels, and what is usually mistaken for what."""
    ranks, eye = np.arange(labels), np.eye(labels, dtype=bool)
    is_ordinal = chance.random() < 0.4
    if is_ordinal:
        usual = np.exp(-chance.uniform(0.5, 1.5) * np.abs(ranks[:, None] - ranks))
        if chance.random() < 0.5:  # all of them lean the same way
            usual *= np.exp(chance.uniform(0.3, 2) * np.sign(ranks - ranks[:, None]))
    else:
        usual = chance.gamma(chance.choice([0.3, 1.0, 5.0]), 1, (labels, labels)) + 1e-3
    usual = _off_diagonal(usual, eye)
    logit, spread = np.log(1 / (1 / chance.uniform(0.55, 0.9) - 1)), chance.uniform(0.3, 1.5)
    hard = chance.normal(0, chance.uniform(0, 0.7), labels)
    own = chance.choice([3.0, 10.0, 50.0])
    careless = chance.choice([0, 0, 0, 0.15] if is_team else [0, 0, 0.1, 0.3])
    leaning = chance.choice([0.0, 0.5, 1.0]) if is_ordinal else 0.0
    schools = int(chance.choice([0, 0, 2, 3]))
    taught = _off_diagonal(chance.gamma(0.5, 1, (3, labels, labels)) + 1e-3, eye)
    tables = np.empty((annotators, labels, labels))
    for annotator in range(annotators):
        if chance.random() < careless:
            tables[annotator] = chance.dirichlet(np.full(labels, chance.choice([0.2, 5.0])))
            continue
        right = 1 / (1 + np.exp(-(logit + chance.normal(0, spread) - hard)))
        mistakes = (usual + taught[chance.integers(schools)]) / 2 if schools else usual
        mean = np.where(eye, right[:, None], mistakes * (1 - right)[:, None])
        mean *= np.exp(chance.normal(0, leaning) * ranks)
        mean /= mean.sum(axis=1, keepdims=True)
        tables[annotator] = [chance.dirichlet(own * row + 1e-2) for row in mean]
    return tables, usual


def _off_diagonal(values: Floats, eye: NDArray[np.bool_]) -> Floats:
    kept: Floats = np.where(eye, 0, values)
    return kept / kept.sum(axis=-1, keepdims=True)
