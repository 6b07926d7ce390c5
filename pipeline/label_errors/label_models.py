"""Four cheap models of a label, out of fold: each sees something else in a text, and none is best everywhere.

A linear model decides by single words, naive Bayes by many weak hints; linear discriminants and neighbors know words
that mean the same.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline.label_errors.kept_folds import EVERY
from pipeline.label_errors.label_odds import feature_counts, occurring, trained_weights
from pipeline.label_errors.read_texts import Sight
from pipeline.label_errors.static_embeddings import directions

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Scores = npt.NDArray[np.float32]
"""Rows x labels, or models x rows x labels."""

MAX_TRAINING_ROWS = 50_000
"""Models are trained on a random sample of at most this many rows; training time grows with rows times labels."""
_COMPARED_ROWS = 16_384
"""Neighbors are looked for among at most this many rows."""
COMPARED_AT_ONCE = 256
_PASSES = 3
"""Of the linear model: with the others beside it, five find no more (docs/decisions.md)."""
LEADING = 128
"""So many leading numbers of an embedding tell which texts are similar as well as all do: it was trained that way."""
NEAR = 0.07
"""By how much less similar a neighbor may be than the nearest one before its vote is a third."""
FAR = -1e6
"""How similar a row is to one of its group, as a neighbor."""
SMOOTHING = 0.1
_SHRINKAGE = 0.3
"""How much of the spread of the embeddings is taken to be the same in all directions."""
_IMPOSSIBLE = -50.0
"""The log probability of a label that a model has not seen."""
_TEMPERATURES = 2.0 ** np.arange(-5, 6.5, 0.5)
_TEMPERATURE_ROWS = 2_000


@dataclass(frozen=True)
class Lesson:
    """The rows that a model learns from."""

    seen: Sight
    labels: Ints
    many: int
    """How many labels there are in all."""
    seed: int

    def given(self) -> Bools:
        """Rows x labels."""
        found: Bools = self.labels[:, None] == np.arange(self.many)
        return found

    def smaller(self, most: int) -> "Lesson":
        """At most so many rows, the same number of each label, so that rare labels keep all their rows."""
        if len(self.labels) <= most:
            return self
        kept = _some_of_each(self.labels, most, self.seed)
        return Lesson(self.seen[kept], self.labels[kept], self.many, self.seed)


def _some_of_each(labels: Ints, most: int, seed: int) -> Ints:
    """Which rows to take: at most so many, the same number of each label."""
    if len(labels) <= most:
        return np.arange(len(labels))
    shuffled = np.random.default_rng(seed).permutation(len(labels))
    by_label = shuffled[np.argsort(labels[shuffled], kind="stable")]
    sizes = np.bincount(labels)
    rank = np.arange(len(labels)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    found: Ints = np.sort(by_label[np.argsort(rank, kind="stable")[:most]])
    return found


@dataclass(frozen=True)
class Judgeable:
    """Rows whose labels are to be judged, and by which others."""

    labels: Ints
    """Their codes, -1 for an unlabeled row."""
    partitions: Sequence[Ints]
    """Folds of all rows, in one or more ways: no trained model sees the fold of a row that it judges."""
    members: Ints
    """Groups: no row is a neighbor of its own group; -1 for a row that any other may judge."""
    impossible: Bools
    """Rows x labels: which ones a row cannot have."""


class Opinions(NamedTuple):
    """What the models say of rows."""

    scores: Scores
    """The log probability of every label for every row, by each model: models x rows x labels."""
    temperatures: Scores
    """What each model's own scores were multiplied by."""


@dataclass(frozen=True)
class Trained:
    """What was learned of some rows."""

    linear: Scores
    """Features + 1 x labels: a support vector machine per label, on words and pieces of words."""
    counts: Scores
    """Features x labels: in how many texts of each label each feature occurs."""
    centers: Scores
    """Numbers of an embedding x labels, of linear discriminants."""
    offsets: Scores
    """By label, what is added to these."""
    frequent: Scores
    """By label, the logarithm of its rows and one more."""


Keeper = Callable[[int, Trained], None]
"""Takes what was learned of the rows outside of a fold."""


def log_probabilities(seen: Sight, rows: Judgeable, seed: int, keep: Keeper | None = None) -> Opinions:
    """What each model says of every label for every row.

    The linear model, which takes longer than all others together, learns from the first partition only.

    Args:
        seen: of all rows.
        rows: which are judged by which.
        seed: of the samples.
        keep: is given what was learned for each fold of the first partition, and of all rows as fold ``EVERY``.
    """
    found, temperatures = _of_partition(seen, rows, 0, seed, keep)
    for number in range(1, len(rows.partitions)):
        again, _ = _of_partition(seen, rows, number, seed)
        found[1:] = np.logaddexp(found[1:], again) - np.float32(np.log(2))
    votes = _neighbors(seen.meanings, rows, seed)
    temperature = _temperature(votes, rows.impossible, rows.labels)
    votes = normalized(votes, rows.impossible, temperature)
    return Opinions(np.concatenate([found, votes[None]]), np.append(temperatures, temperature))


def _of_partition(seen: Sight, rows: Judgeable, number: int, seed: int, keep: Keeper | None = None) -> Opinions:
    """What trained models say: in the first partition a linear one, in each naive Bayes and linear discriminants."""
    labels, folds = rows.labels, rows.partitions[number]
    many = rows.impossible.shape[1]
    found = np.empty((2 + (number == 0), len(labels), many), dtype=np.float32)
    unseen = rows.impossible.copy()
    for fold in np.unique(np.append(folds, EVERY) if keep else folds).tolist():
        inside, outside = np.flatnonzero(folds == fold), np.flatnonzero((folds != fold) & (labels >= 0))
        lesson = Lesson(seen[outside], labels[outside], many, seed).smaller(MAX_TRAINING_ROWS)
        wanted, sizes = seen[inside], np.bincount(lesson.labels, minlength=many)
        unseen[inside] |= sizes == 0
        frequent = np.log(sizes + 1).astype(np.float32)
        counts, (centers, offsets) = feature_counts(lesson.seen.words, lesson.given()), _discriminants(lesson)
        if number == 0:
            linear = trained_weights(lesson.seen.words, lesson.given(), seed, _PASSES)
            found[0, inside] = wanted.words @ linear[:-1] + linear[-1]
            if keep:
                keep(fold, Trained(linear, counts, centers, offsets, frequent))
        found[-2, inside] = _by_counts(counts, wanted) + frequent
        found[-1, inside] = wanted.meanings @ centers + offsets + frequent
    temperatures = np.array([_temperature(scores, unseen, labels) for scores in found])
    for place, temperature in enumerate(temperatures):
        found[place] = normalized(found[place], unseen, temperature)
    return Opinions(found, temperatures)


def normalized(scores: Scores, impossible: Bools, temperature: np.float32) -> Scores:
    """Scores as log probabilities; changes them in place."""
    scores[impossible] = -np.inf
    scores *= temperature
    scores -= _log_sums(scores)
    return np.maximum(scores, _IMPOSSIBLE, out=scores)


def _log_sums(scores: Scores) -> Scores:
    largest = scores.max(axis=1, keepdims=True)
    largest[~np.isfinite(largest)] = 0
    with np.errstate(divide="ignore"):
        found: Scores = largest + np.log(np.exp(scores - largest).sum(axis=1, keepdims=True))
    return found


def _temperature(scores: Scores, unseen: Bools, labels: Ints) -> np.float32:
    """What to multiply scores with, so that they make the given labels most likely."""
    rows = np.flatnonzero(labels >= 0)
    rows = rows[~unseen[rows, labels[rows]]]
    if not len(rows):
        return np.float32(1)
    rows = rows[:: len(rows) // _TEMPERATURE_ROWS + 1]
    some, given = np.where(unseen[rows], -np.inf, scores[rows]), scores[rows, labels[rows]][:, None]
    losses = [float((_log_sums(some * t) - given * t).mean()) for t in _TEMPERATURES.astype(np.float32)]
    return np.float32(_TEMPERATURES[int(np.argmin(losses))])


def _by_counts(counts: Scores, wanted: Sight) -> Scores:
    """Naive Bayes, by which words and pieces occur; what is rare with a label is drawn to how rare it is at all.

    Changes the counts.
    """
    counts = counts.T
    usual = counts.sum(axis=0) + SMOOTHING
    usual /= usual.sum()
    weight = SMOOTHING * counts.shape[1]
    counts += weight * usual
    counts /= counts.sum(axis=1, keepdims=True)
    counts /= usual
    found: Scores = occurring(wanted.words) @ np.log(counts, out=counts).T
    return found


def _discriminants(lesson: Lesson) -> tuple[Scores, Scores]:
    """Which label's mean is nearest, given how embeddings spread around these means: numbers x labels, and offsets."""
    seen = lesson.seen.meanings
    sizes = np.bincount(lesson.labels, minlength=lesson.many)[:, None]
    sums = lesson.given().T.astype(np.float32) @ seen
    means = sums / np.maximum(sizes, 1)
    spread = (seen.T @ seen).astype(np.float64) - (means * sizes).T @ means
    spread /= len(seen)
    level = np.trace(spread) / len(spread)
    spread = (1 - _SHRINKAGE) * spread + (_SHRINKAGE * level + 1e-9) * np.eye(len(spread))
    # One more row at the mean of all, so that a label with few rows is no outlier.
    centers = (sums + seen.mean(axis=0)) / (sizes + 1)
    weights = np.linalg.solve(spread, centers.T)
    offsets = -0.5 * (weights * centers.T).sum(axis=0)
    return weights.astype(np.float32), offsets.astype(np.float32)


def _neighbors(meanings: npt.NDArray[np.float32], rows: Judgeable, seed: int) -> Scores:
    """The labels of all rows of other groups, which vote by how similar their embeddings are."""
    compared = compared_rows(rows.labels, seed)
    there, starts = np.unique(rows.labels[compared], return_index=True)
    votes = np.tile(usual_votes(rows.labels, rows.impossible.shape[1]), (len(meanings), 1))
    leading = directions(meanings[:, :LEADING])
    others = np.ascontiguousarray(leading[compared].T) / np.float32(NEAR)
    for first in range(0, len(votes), COMPARED_AT_ONCE):
        chunk = slice(first, first + COMPARED_AT_ONCE)
        alike = leading[chunk] @ others
        alike[rows.members[chunk, None] == rows.members[compared]] = FAR
        votes[chunk, there] += votes_of(alike, starts)
    with np.errstate(divide="ignore"):
        return np.log(votes)


def compared_rows(labels: Ints, seed: int) -> Ints:
    """The rows that vote, by label."""
    labeled = np.flatnonzero(labels >= 0)
    compared = labeled[_some_of_each(labels[labeled], _COMPARED_ROWS, seed)]
    found: Ints = compared[np.argsort(labels[compared], kind="stable")]
    return found


def usual_votes(labels: Ints, many: int) -> Scores:
    """What each label has without any vote."""
    given = labels[labels >= 0]
    return (np.bincount(given, minlength=many) / len(given) * SMOOTHING).astype(np.float32)


def votes_of(alike: Scores, starts: Ints) -> Scores:
    """Rows x labels: the votes for each label, by how similar rows are to others, which are sorted by label."""
    alike -= alike.max(axis=1, keepdims=True)
    found: Scores = np.add.reduceat(np.exp(alike, out=alike), starts, axis=1)
    return found
