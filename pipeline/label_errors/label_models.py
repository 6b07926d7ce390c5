"""Four cheap models of a label, out of fold: each sees something else in a text, and none is best everywhere.

A linear model decides by single words, naive Bayes by many weak hints; the other two know words that mean the same.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.label_errors.label_odds import label_scores

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Scores = npt.NDArray[np.float32]
"""Rows x labels, or models x rows x labels."""

MAX_TRAINING_ROWS = 50_000
"""Models are trained on a random sample of at most this many rows; training time grows with rows times labels."""
_COMPARED_ROWS = 16_384
"""Neighbors are looked for among at most this many rows."""
_CHUNK = 1_024
_NEIGHBORS, _NEAR = 100, 0.07
"""How many neighbors vote, and by how much less similar one may be before its vote is a third."""
_SMOOTHING = 0.1
_SHRINKAGE = 0.3
"""How much of the spread of the embeddings is taken to be the same in all directions."""
_IMPOSSIBLE = -50.0
"""The log probability of a label that a model has not seen."""
_TEMPERATURES = 2.0 ** np.arange(-5, 6.5, 0.5)
_TEMPERATURE_ROWS = 2_000


@dataclass(frozen=True)
class Sight:
    """What the models see of texts."""

    words: Any
    """TF-IDF of words and of pieces of words (sparse)."""
    meanings: npt.NDArray[np.float32]
    """Embeddings of length 1."""

    def __getitem__(self, rows: Ints) -> "Sight":
        return Sight(self.words[rows], self.meanings[rows])


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
        shuffled = np.random.default_rng(self.seed).permutation(len(self.labels))
        by_label = shuffled[np.argsort(self.labels[shuffled], kind="stable")]
        sizes = np.bincount(self.labels)
        rank = np.arange(len(self.labels)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        kept = np.sort(by_label[np.argsort(rank, kind="stable")[:most]])
        return Lesson(self.seen[kept], self.labels[kept], self.many, self.seed)


def log_probabilities(seen: Sight, labels: Ints, folds: Ints, seed: int, cheap: bool = False) -> Scores:
    """The log probability of every label for every row, by each model: models x rows x labels.

    Args:
        seen: of all rows.
        labels: their codes, -1 for an unlabeled row.
        folds: no model sees the fold of the row that it judges; unlabeled rows are a fold of their own.
        seed: of the samples.
        cheap: leave out the first model, which takes longer than all others together.
    """
    models = _MODELS[1:] if cheap else _MODELS
    labeled = labels >= 0
    many = int(labels.max()) + 1
    found = np.empty((len(models), len(labels), many), dtype=np.float32)
    unseen = np.zeros((len(labels), many), dtype=bool)
    for inside, outside in _parts(folds, labeled):
        lesson = Lesson(seen[outside], labels[outside], many, seed).smaller(MAX_TRAINING_ROWS)
        wanted = seen[inside]
        unseen[inside] = np.bincount(lesson.labels, minlength=many) == 0
        for place, model in enumerate(models):
            found[place, inside] = model(lesson, wanted)
    judged = np.flatnonzero(labeled)
    judged = judged[~unseen[judged, labels[judged]]]
    for scores in found:
        scores[unseen] = -np.inf
        if len(judged):
            scores *= _temperature(scores, judged, labels)
        scores -= _log_sums(scores)
        np.maximum(scores, _IMPOSSIBLE, out=scores)
    return found


def _parts(folds: Ints, labeled: Bools) -> Iterator[tuple[Ints, Ints]]:
    for fold in np.unique(folds):
        yield np.flatnonzero(folds == fold), np.flatnonzero((folds != fold) & labeled)


def _log_sums(scores: Scores) -> Scores:
    largest = scores.max(axis=1, keepdims=True)
    largest[~np.isfinite(largest)] = 0
    with np.errstate(divide="ignore"):
        found: Scores = largest + np.log(np.exp(scores - largest).sum(axis=1, keepdims=True))
    return found


def _temperature(scores: Scores, rows: Ints, labels: Ints) -> np.float32:
    """What to multiply scores with, so that they make the given labels most likely."""
    rows = rows[:: len(rows) // _TEMPERATURE_ROWS + 1]
    some, given = scores[rows], scores[rows, labels[rows]][:, None]
    losses = [float((_log_sums(some * t) - given * t).mean()) for t in _TEMPERATURES.astype(np.float32)]
    return np.float32(_TEMPERATURES[int(np.argmin(losses))])


def _linear(lesson: Lesson, wanted: Sight) -> Scores:
    """A support vector machine per label, on words and pieces of words."""
    return label_scores(wanted.words, lesson.seen.words, lesson.given(), lesson.seed).astype(np.float32)


def _bayes(lesson: Lesson, wanted: Sight) -> Scores:
    """Naive Bayes, by which words and pieces occur; what is rare with a label is drawn to how rare it is at all."""
    there, asked = _occurring(lesson.seen.words), _occurring(wanted.words)
    counts = np.asarray((there.T @ lesson.given().astype(np.float32)).T)
    usual = counts.sum(axis=0) + _SMOOTHING
    usual /= usual.sum()
    weight = _SMOOTHING * there.shape[1]
    counts += weight * usual
    counts /= counts.sum(axis=1, keepdims=True)
    counts /= usual
    found: Scores = asked @ np.log(counts, out=counts).T + _log_frequencies(lesson)
    return found


def _occurring(words: Any) -> Any:
    found = words.copy()
    found.data = np.ones_like(found.data)
    return found


def _log_frequencies(lesson: Lesson) -> Scores:
    return np.log(np.bincount(lesson.labels, minlength=lesson.many) + 1).astype(np.float32)


def _centers(lesson: Lesson, wanted: Sight) -> Scores:
    """Which label's mean is nearest, given how embeddings spread around these means (linear discriminants)."""
    seen = lesson.seen.meanings.astype(np.float64)
    sizes = np.bincount(lesson.labels, minlength=lesson.many)[:, None]
    sums = lesson.given().T.astype(np.float64) @ seen
    means = sums / np.maximum(sizes, 1)
    spread = (seen.T @ seen - (means * sizes).T @ means) / len(seen)
    level = np.trace(spread) / len(spread)
    spread = (1 - _SHRINKAGE) * spread + (_SHRINKAGE * level + 1e-9) * np.eye(len(spread))
    # One more row at the mean of all, so that a label with few rows is no outlier.
    centers = (sums + seen.mean(axis=0)) / (sizes + 1)
    weights = np.linalg.solve(spread, centers.T)
    offsets = 0.5 * (weights * centers.T).sum(axis=0)
    found: Scores = (wanted.meanings @ weights - offsets).astype(np.float32) + _log_frequencies(lesson)
    return found


def _neighbors(lesson: Lesson, wanted: Sight) -> Scores:
    """The labels of the rows with the most similar embeddings, which vote by how similar they are."""
    compared = lesson.smaller(_COMPARED_ROWS)
    count = min(_NEIGHBORS, len(compared.labels))
    usual = np.bincount(lesson.labels, minlength=lesson.many) / len(lesson.labels) * _SMOOTHING
    votes = np.tile(usual.astype(np.float32), (len(wanted.meanings), 1))
    for first in range(0, len(votes), _CHUNK):
        alike = wanted.meanings[first : first + _CHUNK] @ compared.seen.meanings.T
        nearest = np.argpartition(-alike, count - 1, axis=1)[:, :count]
        alike = np.take_along_axis(alike, nearest, axis=1)
        weights = np.exp((alike - alike.max(axis=1, keepdims=True)) / _NEAR)
        rows = np.repeat(np.arange(first, first + len(alike)), count)
        np.add.at(votes, (rows, compared.labels[nearest].ravel()), weights.ravel())
    with np.errstate(divide="ignore"):
        return np.log(votes)


_MODELS: tuple[Callable[[Lesson, Sight], Scores], ...] = (_linear, _bayes, _centers, _neighbors)
